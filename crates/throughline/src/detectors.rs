//! What is found out about this process and its machine, for the resource, where nobody has said it (OpenTelemetry semantic
//! conventions, "Resource": service, process, host, os). It costs two short reads, and a forked child has its own.

use std::fmt::Write;
use std::fs;

use crate::config::Attribute;
use crate::random;

/// The attributes of this process.
pub(crate) fn detect() -> Vec<Attribute> {
    let executable = std::env::current_exe().ok();
    let name = executable.as_deref().and_then(|path| path.file_name());
    [
        Attribute::of("service.instance.id", instance_id(random::trace_id())),
        Attribute::of("process.pid", std::process::id()),
        Attribute::of("process.executable.name", name.map(|name| name.to_string_lossy())),
        Attribute::of("host.name", system("hostname")),
        Attribute::of("host.arch", architecture()),
        Attribute::of("os.type", operating_system()),
        Attribute::of("os.version", system("osrelease")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A UUID of version 4 (RFC 9562, section 5.4), as the conventions recommend.
fn instance_id(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let mut id = String::with_capacity(36);
    for (at, byte) in random.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing to memory does not fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// What Linux says of itself in a file; nothing on other systems.
fn system(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The word that the conventions have for it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

fn operating_system() -> &'static str {
    match std::env::consts::OS {
        "macos" | "ios" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_id_is_a_uuid_of_version_4() {
        assert_eq!(instance_id([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(instance_id([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
