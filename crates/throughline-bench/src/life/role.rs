//! What a process does that the bench has started, instead of a whole bench.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use throughline::{Compression, Destination, Protocol, Tracing, span};

use super::{proc, receiver};
use crate::cases::{Order, native};
use crate::{allocations, process};

/// What a process is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Make spans, flush, and say what that took.
    Deliver,
    /// Do nothing, and say what that took.
    Empty,
    /// Make a burst of spans, rest, and say how often its threads woke up meanwhile.
    Idle,
    /// Switch tracing on, and say how long that took.
    Init,
    /// Make one span.
    OneSpan,
    /// Be a backend until the standard input ends.
    Receiver,
    /// Make spans, and end like any program.
    Short,
    /// Make one span, and say how many threads of Throughline there are shortly after.
    Threads,
}

/// What a role is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Setting {
    /// The root of the spool
    #[arg(long, hide = true)]
    pub root: Option<PathBuf>,

    /// The backend, if there is one
    #[arg(long, hide = true)]
    pub endpoint: Option<String>,

    /// A directory for files of spans
    #[arg(long, hide = true)]
    pub files: Option<PathBuf>,

    /// Whether requests go over gRPC
    #[arg(long, hide = true)]
    pub grpc: bool,

    /// Whether requests are compressed
    #[arg(long, hide = true)]
    pub gzip: bool,

    /// How many spans to make
    #[arg(long, hide = true, default_value_t = 0)]
    pub spans: u32,

    /// Bytes of spans that nobody has got which the spool may hold; without history
    #[arg(long, hide = true)]
    pub quota: Option<u64>,

    /// Seconds before the rest counts
    #[arg(long, hide = true, default_value_t = 0)]
    pub settle: u64,

    /// Seconds of rest
    #[arg(long, hide = true, default_value_t = 0)]
    pub rest: u64,
}

/// How many spans a trace has, its root included.
pub const SPANS_PER_TRACE: u32 = 500;

impl Role {
    /// Runs a process in this role and returns its answer: its figures by name.
    ///
    /// # Errors
    ///
    /// If it cannot be started, fails, or takes longer than two minutes.
    pub fn ask(self, setting: &Setting) -> io::Result<BTreeMap<String, f64>> {
        const LIMIT: Duration = Duration::from_secs(120);
        let mut command = process::again(&[])?;
        command.args(self.arguments()).args(setting.arguments());
        if self == Self::Short {
            // That nobody listens is said by each of thousands.
            command.stderr(Stdio::null());
        }
        let answer = process::answer_within(LIMIT, &mut command)?;
        Ok(serde_json::from_str(&answer)?)
    }

    pub(super) fn arguments(self) -> [String; 2] {
        let name = clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned());
        ["--role".to_owned(), name.unwrap_or_default()]
    }

    /// Does what the role says, and answers on the standard output.
    ///
    /// # Errors
    ///
    /// If that is not possible.
    pub fn play(self, setting: &Setting) -> io::Result<()> {
        let answer = match self {
            Self::Deliver => allocations::uncounted(|| deliver(setting))?,
            Self::Empty => json!({ "cpu_seconds": proc::cpu_seconds() }),
            Self::Idle => idle(setting)?,
            Self::Init => {
                let before = Instant::now();
                let _tracing = start(setting)?;
                json!({ "microseconds": before.elapsed().as_nanos() as f64 / 1e3 })
            }
            Self::OneSpan => {
                let _tracing = start(setting)?;
                drop(span!("one"));
                json!({})
            }
            Self::Receiver => return receiver::serve(setting.grpc, io::stdin().lock(), io::stdout()),
            Self::Short => {
                let _tracing = start(setting)?;
                make(setting.spans);
                json!({})
            }
            Self::Threads => {
                let _tracing = start(setting)?;
                drop(span!("one"));
                sleep(Duration::from_millis(20));
                json!({ "threads": proc::threads_named("throughline-")? })
            }
        };
        writeln!(io::stdout(), "{answer}")
    }
}

impl Setting {
    pub(super) fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = Vec::new();
        if let Some(root) = &self.root {
            arguments.extend(["--root".into(), root.into()]);
        }
        if let Some(endpoint) = &self.endpoint {
            arguments.extend(["--endpoint".into(), endpoint.into()]);
        }
        if let Some(files) = &self.files {
            arguments.extend(["--files".into(), files.into()]);
        }
        if self.grpc {
            arguments.push("--grpc".into());
        }
        if self.gzip {
            arguments.push("--gzip".into());
        }
        if let Some(quota) = self.quota {
            arguments.extend(["--quota".into(), quota.to_string().into()]);
        }
        for (name, number) in [
            ("--spans", u64::from(self.spans)),
            ("--settle", self.settle),
            ("--rest", self.rest),
        ] {
            arguments.extend([name.into(), number.to_string().into()]);
        }
        arguments
    }
}

/// Never in the spool that the user has: a root must be set.
fn start(setting: &Setting) -> io::Result<Tracing> {
    let root = setting.root.as_ref();
    let root = root.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this role needs --root"))?;
    let mut builder = throughline::builder("life").spool_dir(root);
    if let Some(endpoint) = &setting.endpoint {
        let compression = match setting.gzip {
            true => Compression::Gzip,
            false => Compression::None,
        };
        let protocol = match setting.grpc {
            true => Protocol::Grpc,
            false => Protocol::HttpProtobuf,
        };
        builder = builder.destination(Destination::otlp(endpoint).protocol(protocol).compression(compression));
    }
    if let Some(files) = &setting.files {
        // All of them are counted afterwards.
        builder = builder.destination(Destination::files(files).max_bytes(4 << 30));
    }
    if let Some(quota) = setting.quota {
        builder = builder.spool_bytes(quota).history_bytes(0);
    }
    Ok(builder.init())
}

/// Makes as many spans, in traces of [`SPANS_PER_TRACE`]; each child has five attributes.
fn make(spans: u32) {
    let order = Order::new();
    let mut left = spans;
    while left > 0 {
        let children = left.min(SPANS_PER_TRACE) - 1;
        let _root = span!("root").enter();
        for _ in 0..children {
            drop(black_box(native::five_attributes(&order)));
        }
        left -= children + 1;
    }
}

fn deliver(setting: &Setting) -> io::Result<Value> {
    let before = Instant::now();
    let tracing = start(setting)?;
    make(setting.spans);
    let made = before.elapsed();
    let report = tracing.flush(Duration::from_secs(60)).wait();
    let all = before.elapsed();
    drop(tracing);
    if !report.is_complete() {
        // Said, and visible in what arrives.
        let _ = writeln!(io::stderr(), "life: {report}");
    }
    Ok(json!({
        "cpu_seconds": proc::cpu_seconds(),
        "peak_mib": proc::peak_resident_mib()?,
        "seconds_to_make": made.as_secs_f64(),
        "seconds": all.as_secs_f64(),
    }))
}

fn idle(setting: &Setting) -> io::Result<Value> {
    let tracing = start(setting)?;
    make(setting.spans);
    let _ = tracing.flush(Duration::from_secs(10)).wait();
    sleep(Duration::from_secs(setting.settle));
    let before = proc::wake_ups()?;
    sleep(Duration::from_secs(setting.rest));
    let after = proc::wake_ups()?;
    Ok(json!({ "wake_ups": proc::wake_ups_between(&before, &after) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::Options;
    use clap::Parser as _;

    #[test]
    fn role_and_setting_survive_the_command_line() {
        let setting = Setting {
            root: Some("/spool".into()),
            endpoint: Some("http://127.0.0.1:4318".to_owned()),
            files: Some("/files".into()),
            grpc: true,
            gzip: true,
            spans: 2000,
            quota: Some(1 << 20),
            settle: 10,
            rest: 20,
        };
        for setting in [setting, Setting::default()] {
            let words = ["life".into()].into_iter();
            let words = words.chain(Role::OneSpan.arguments().map(Into::into));
            let options = Options::try_parse_from(words.chain(setting.arguments())).expect("its own arguments");
            assert_eq!((options.role, options.setting), (Some(Role::OneSpan), setting));
        }
    }
}
