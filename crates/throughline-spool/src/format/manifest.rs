//! The manifest: which process wrote, and where its records are to go. It lies in the process's directory, and in every
//! segment as its process record.
//!
//! ```text
//! offset 0  magic    u32  "TLM2"
//! offset 4  version  u32  2
//! then fields: tag u8, length u32, bytes; unknown tags are skipped
//! last 4    crc      u32  CRC-32C of all before
//! ```

use std::io;

use super::header::MAX_DESTINATIONS;

const MAGIC: u32 = u32::from_le_bytes(*b"TLM2");
const VERSION: u32 = 2;

const PID: u8 = 1;
const START_TIME: u8 = 2;
const PID_NAMESPACE: u8 = 3;
const BOOT_ID: u8 = 4;
const CREATED: u8 = 5;
const SERVICE: u8 = 6;
const NAMESPACE: u8 = 7;
const DIRECTORY: u8 = 8;
const DESTINATION_NAME: u8 = 9;
const DESTINATION_IDENTITY: u8 = 10;
const DESTINATION_CREDENTIALS: u8 = 11;
const SYNCED: u8 = 12;

/// Who a process is, so that it cannot be taken for a later one with the same id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The process id, in its own PID namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot; 0 where the system does not tell.
    pub start_time: u64,
    /// The PID namespace's inode; 0 where there are none.
    pub pid_namespace: u64,
    /// The kernel's boot id; empty where there is none.
    pub boot_id: String,
}

/// Where the spans of a process are to go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Destination {
    /// For people: kind and endpoint, without secrets.
    pub name: String,
    /// What tells the destination from others: a keyed hash of scheme, host, port, path, and of headers that carry no
    /// credentials. All zero: it is known to nobody.
    pub identity: [u8; 16],
    /// A keyed hash of the credentials. They choose the account that pays and sees.
    pub credentials: [u8; 16],
}

impl Destination {
    /// The identity as the header of a segment has it; 0: it is known to nobody.
    #[must_use]
    pub(crate) fn short_identity(&self) -> u64 {
        u64::from_le_bytes(self.identity[..8].try_into().expect("8 of 16 bytes"))
    }
}

/// What is known of the process that wrote a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The process that wrote the records.
    pub owner: Identity,
    /// The name of its directory; filled in when that is made.
    pub directory: String,
    /// When the directory was made, in nanoseconds since 1970.
    pub created_unix_nano: u64,
    /// `service.name`, also in the resource.
    pub service: String,
    /// `service.namespace`, also in the resource; empty when there is none.
    pub namespace: String,
    /// The destinations, in the order of their cursors; at most 8. None: the spans stay local.
    pub destinations: Vec<Destination>,
    /// Whether something was reported to be synced: whoever moves the records must sync them.
    pub synced: bool,
}

impl Manifest {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let mut field = |tag: u8, value: &[u8]| {
            if !value.is_empty() {
                bytes.push(tag);
                bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
                bytes.extend_from_slice(value);
            }
        };
        field(PID, &self.owner.pid.to_le_bytes());
        field(START_TIME, &self.owner.start_time.to_le_bytes());
        field(PID_NAMESPACE, &self.owner.pid_namespace.to_le_bytes());
        field(BOOT_ID, self.owner.boot_id.as_bytes());
        field(CREATED, &self.created_unix_nano.to_le_bytes());
        field(SERVICE, cut(&self.service).as_bytes());
        field(NAMESPACE, cut(&self.namespace).as_bytes());
        field(DIRECTORY, self.directory.as_bytes());
        for destination in self.destinations.iter().take(MAX_DESTINATIONS) {
            // A name that is empty begins a destination all the same.
            let name = if destination.name.is_empty() {
                "?"
            } else {
                cut(&destination.name)
            };
            field(DESTINATION_NAME, name.as_bytes());
            field(DESTINATION_IDENTITY, &destination.identity);
            field(DESTINATION_CREDENTIALS, &destination.credentials);
        }
        if self.synced {
            field(SYNCED, &[1]);
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a manifest. Total: any bytes will do.
    pub(crate) fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the manifest is damaged");
        let (content, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        let (head, mut fields) = content.split_first_chunk::<8>().ok_or_else(damaged)?;
        let [magic, version] =
            [&head[..4], &head[4..]].map(|n| u32::from_le_bytes(n.try_into().expect("4 of 8 bytes")));
        if magic != MAGIC || u32::from_le_bytes(*crc) != crc32c::crc32c(content) {
            return Err(damaged());
        }
        if version != VERSION {
            let text = format!("the manifest has format {version}, this program reads {VERSION}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let mut manifest = Self::default();
        while let Some((head, rest)) = fields.split_first_chunk::<5>() {
            let len = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
            let (value, rest) = rest.split_at_checked(len).ok_or_else(damaged)?;
            fields = rest;
            let text = || String::from_utf8_lossy(value).into_owned();
            let number = || value.try_into().map(u64::from_le_bytes).map_err(|_| damaged());
            match head[0] {
                PID => manifest.owner.pid = value.try_into().map(u32::from_le_bytes).map_err(|_| damaged())?,
                START_TIME => manifest.owner.start_time = number()?,
                PID_NAMESPACE => manifest.owner.pid_namespace = number()?,
                BOOT_ID => manifest.owner.boot_id = text(),
                CREATED => manifest.created_unix_nano = number()?,
                SERVICE => manifest.service = text(),
                NAMESPACE => manifest.namespace = text(),
                DIRECTORY => manifest.directory = text(),
                DESTINATION_NAME if manifest.destinations.len() < MAX_DESTINATIONS => {
                    manifest.destinations.push(Destination {
                        name: text(),
                        ..Destination::default()
                    });
                }
                DESTINATION_IDENTITY | DESTINATION_CREDENTIALS => {
                    let destination = manifest.destinations.last_mut().ok_or_else(damaged)?;
                    let value = value.try_into().map_err(|_| damaged())?;
                    match head[0] {
                        DESTINATION_IDENTITY => destination.identity = value,
                        _ => destination.credentials = value,
                    }
                }
                SYNCED => manifest.synced = true,
                _ => {}
            }
        }
        Ok(manifest)
    }
}

/// Names are for people: the beginning of one that is very long will do, and keeps every segment small.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(512);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            owner: Identity {
                pid: 7,
                start_time: 8,
                pid_namespace: 9,
                boot_id: "boot".into(),
            },
            directory: "name".into(),
            created_unix_nano: 123,
            service: "orders".into(),
            namespace: "shop".into(),
            destinations: vec![Destination {
                name: "otlp http://h".into(),
                identity: [9; 16],
                credentials: [8; 16],
            }],
            synced: true,
        }
    }

    #[test]
    fn manifest_is_read_as_it_was_written() {
        assert_eq!(
            Manifest::from_bytes(&manifest().to_bytes()).expect("it is whole"),
            manifest()
        );
    }

    #[test]
    fn manifest_with_any_flipped_bit_is_refused() {
        let bytes = manifest().to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::from_bytes(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn manifest_of_a_newer_format_is_refused_by_its_number() {
        let mut bytes = manifest().to_bytes();
        bytes[4] = 3;
        let end = bytes.len() - 4;
        let crc = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
        let error = Manifest::from_bytes(&bytes).expect_err("it is newer");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("format 3"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Manifest::from_bytes(&bytes);
        }
    }
}
