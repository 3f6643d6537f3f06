//! Switching tracing on: `init`, the builder, and the guard they return.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use throughline_spool::{Limits, Manifest, Recorder, Root, Settings};

use crate::config::{self, Config};
use crate::delivery::{Delivery, Flush, Report};
use crate::notice::notice;
use crate::sampler::Sampler;
use crate::source::{self, SpoolSource};
use crate::tracer::IdGenerator;
use crate::{clock, housekeeping, tracer};

/// Switches tracing on for this process, under this service name.
///
/// Everything else comes from the standard `OTEL_*` variables; with none set, spans stay in this user's local history,
/// where `throughline view` shows them. It never fails: what cannot be used is said in one line on stderr, and replaced.
/// It never waits for the network.
///
/// Keep what it returns until the end of `main`: dropping it flushes, for a bounded time. Nothing is lost without it,
/// since every span is in the spool when it has ended: the next start of the program, or `throughline recover`, sends
/// what this one could not.
///
/// ```no_run
/// let _tracing = throughline::init("orders");
/// let _span = throughline::span!("work").enter();
/// ```
pub fn init(service_name: &str) -> Tracing {
    builder(service_name).init()
}

/// As [`init`], with choices made in code. Code beats environment.
pub fn builder(service_name: &str) -> Builder {
    let settings = config::Settings {
        service_name: Some(service_name.to_owned()),
        ..Default::default()
    };
    Builder {
        settings,
        limits: Limits::default(),
        sync_every: None,
        delivers_all: false,
        id_generator: None,
    }
}

/// Choices made in code; made by [`builder`].
#[must_use = "tracing is switched on by `init`"]
pub struct Builder {
    settings: config::Settings,
    limits: Limits,
    sync_every: Option<Duration>,
    delivers_all: bool,
    id_generator: Option<Box<dyn IdGenerator>>,
}

impl Builder {
    /// Where spans are sent: a base URL, to which `/v1/traces` is appended, as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.settings.endpoint = Some(url.into());
        self
    }

    /// A header of every request, as `OTEL_EXPORTER_OTLP_HEADERS`. May be called again for others.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// How long one request may take, as `OTEL_EXPORTER_OTLP_TIMEOUT`. Default 10 s; zero is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// Which traces are recorded, as `OTEL_TRACES_SAMPLER`. Default: a span does as its parent does, and all new traces are.
    pub fn sampler(mut self, sampler: Sampler) -> Self {
        self.settings.sampler = Some(sampler);
        self
    }

    /// Makes the ids of traces and spans, instead of random ones.
    pub fn id_generator(mut self, generator: impl IdGenerator + 'static) -> Self {
        self.id_generator = Some(Box::new(generator));
        self
    }

    /// An attribute of this service, as `OTEL_RESOURCE_ATTRIBUTES`. May be called again for others.
    pub fn resource(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.resource.push((key.into(), value.into()));
        self
    }

    /// Where the spool lies, as `THROUGHLINE_SPOOL_DIR`. Default `$XDG_STATE_HOME/throughline`, or
    /// `~/.local/state/throughline`. It must be a directory of this user's alone, on a local disk.
    pub fn spool_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.spool_dir = Some(path.into());
        self
    }

    /// How many bytes of spans that no backend has got yet the spool may hold, whoever made them. Default 256 MiB; at most 16
    /// MiB where the spool lies in memory. When they are used up the oldest spans go first, counted, and a line says so.
    ///
    /// A process that lives may use what [`history_bytes`](Self::history_bytes) leaves free as well, and has one file of 64 KiB in
    /// any case.
    pub fn spool_bytes(mut self, bytes: u64) -> Self {
        self.limits.pending = bytes;
        self
    }

    /// How many bytes of delivered or local spans are kept to look at, whoever made them. Default 64 MiB; 0 keeps none of a
    /// process that has ended.
    pub fn history_bytes(mut self, bytes: u64) -> Self {
        self.limits.history = bytes;
        self
    }

    /// Makes spans durable against a power cut, this often: a span survives one when it ended at least so long before. Each
    /// sync costs the disk a write, and none is made while no span ends. At least 10 ms. Default: never; spans survive the
    /// death of the process in any case.
    ///
    /// Where the spool is in memory nothing can be durable, which is said in one line.
    pub fn sync_every(mut self, interval: Duration) -> Self {
        self.sync_every = Some(interval.max(Duration::from_millis(10)));
        self
    }

    /// Sends here also what dead processes meant for other backends, as `throughline recover --to` does.
    ///
    /// Without it a process sends only what was to go to the same endpoint with the same headers: nobody's spans go where
    /// nobody wanted them. What was recorded for local history only is never sent.
    pub fn deliver_all(mut self) -> Self {
        self.delivers_all = true;
        self
    }

    /// Switches tracing on or, given `false`, off, whatever a variable says. Off, nothing is made: no file, thread,
    /// socket or span; context still passes through. Default: on, unless a variable says otherwise.
    pub fn on(mut self, on: bool) -> Self {
        self.settings.on = Some(on);
        self
    }

    /// A variable of the application's own that switches tracing off with `0`, `false`, `no`, `none` or `off`.
    pub fn switch_variable(mut self, name: impl Into<String>) -> Self {
        self.settings.switch_variable = Some(name.into());
        self
    }

    /// Off unless an endpoint is set, here or in the environment.
    pub fn only_with_endpoint(mut self) -> Self {
        self.settings.only_with_endpoint = true;
        self
    }

    /// Switches tracing on. The first call of a process decides; what a later one returns belongs to the same tracing.
    pub fn init(self) -> Tracing {
        let executable = std::env::current_exe().ok();
        let executable = executable
            .as_deref()
            .and_then(|path| path.file_name())
            .and_then(|name| name.to_str());
        let (config, notices) = config::read(&self.settings, &|name| std::env::var_os(name), executable);
        for said in &notices {
            notice(format_args!("{said}"));
        }
        tracer::set_propagators(config.propagators);
        if !config.enabled {
            return Tracing { _private: () };
        }
        tracer::set_sampler(config.sampler.clone(), self.id_generator);
        clock::start();
        start(&config, self.limits, self.sync_every, self.delivers_all);
        Tracing { _private: () }
    }
}

/// Makes the recorder and starts delivery, unless that was done before.
fn start(config: &Config, limits: Limits, sync_every: Option<Duration>, delivers_all: bool) {
    let root = config
        .spool_dir
        .clone()
        .or_else(default_spool_dir)
        .map_or_else(no_root, |path| open_root(&path));
    let key = root.as_ref().filter(|_| config.destination.is_some()).map(Root::key);
    let known_key = key.as_ref().and_then(|key| key.as_ref().ok());
    let resource = &config.resource;
    let manifest = Manifest {
        service: resource.service_name().to_owned(),
        namespace: resource.get("service.namespace").unwrap_or_default().to_owned(),
        destinations: config.destination.iter().map(|to| destination(to, known_key)).collect(),
        ..Manifest::default()
    };
    let settings = Settings {
        root,
        manifest,
        resource: resource.encode().into(),
        schema_url: Arc::default(),
        limits,
        tier: None,
        sync_every,
        tick: housekeeping::tick,
        resting: clock::rest,
        is_busy: housekeeping::is_busy,
        woken: wake_delivery,
        forked: deliver_in_child,
    };
    match Recorder::install(settings) {
        Ok(recorder) => {
            // One cause, one line: where nothing can be written there is no key either.
            match (recorder.refusal(), &key) {
                (Some(refusal), _) => notice(format_args!(
                    "the spool directory cannot be written: {refusal}; {IN_MEMORY}"
                )),
                (None, Some(Err(error))) => notice(format_args!(
                    "the spool's key cannot be read: {error}; no other process delivers this one's spans"
                )),
                (None, _) => {}
            }
            if let Some(error) = recorder.maintenance_error() {
                notice(format_args!(
                    "the system gives no thread for maintenance ({error}); spans cost more, and what ended processes left stays"
                ));
            }
            let plan = config.destination.clone().map(|to| Plan {
                to,
                batch: config.batch,
                is_for_all: delivers_all,
            });
            if PLAN.set(plan).is_ok() {
                deliver(recorder);
            }
        }
        Err(_) => notice(format_args!(
            "tracing was switched on before in this process: the first call decides"
        )),
    }
}

pub(crate) const IN_MEMORY: &str = "spans are kept in memory, and die with the process";

fn no_root() -> Option<Root> {
    notice(format_args!("neither XDG_STATE_HOME nor HOME is set: {IN_MEMORY}"));
    None
}

fn open_root(path: &Path) -> Option<Root> {
    Root::open(path)
        .inspect_err(|error| {
            notice(format_args!(
                "the spool directory {} cannot be used: {error}; {IN_MEMORY}",
                path.display()
            ));
        })
        .ok()
}

/// How the destination is known to later processes: by what tells it from others, without its secrets.
///
/// Without a key it is known to nobody.
fn destination(to: &config::Destination, key: Option<&[u8; 32]>) -> throughline_spool::Destination {
    let mut name = format!("{} {}", config::Destination::KIND, to.endpoint);
    let headers = to.header_names();
    if !headers.is_empty() {
        name = format!("{name} ({})", headers.join(", "));
    }
    throughline_spool::Destination {
        name,
        identity: key.map(|key| to.identity(key)).unwrap_or_default(),
        credentials: key.map(|key| to.credentials(key)).unwrap_or_default(),
    }
}

/// Where spans are sent, and how; kept for forked children.
struct Plan {
    to: config::Destination,
    batch: config::BatchSettings,
    /// Whether what was meant for other backends goes there too.
    is_for_all: bool,
}

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
static DELIVERY: Mutex<Option<Delivery>> = Mutex::new(None);

fn delivery() -> MutexGuard<'static, Option<Delivery>> {
    DELIVERY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn deliver(recorder: &'static Recorder) {
    if let Some(Some(plan)) = PLAN.get() {
        *delivery() = Some(Delivery::start(
            plan.to.clone(),
            plan.batch,
            Box::new(SpoolSource::new(recorder, plan.is_for_all)),
        ));
    }
}

/// A span has started or ended while the delivery thread rests.
fn wake_delivery() {
    // Whoever has the lock now is about to wake the thread as well.
    if let Ok(delivery) = DELIVERY.try_lock() {
        if let Some(delivery) = &*delivery {
            delivery.wake();
        }
    }
}

/// The parent's delivery is the parent's: its thread is not here, and its locks are as the fork found them.
fn deliver_in_child(recorder: &'static Recorder) {
    // A lock that was held when the process forked stays so in the child, which then delivers nothing by itself: its
    // spans are in the spool, for the next process.
    if let Ok(mut delivery) = DELIVERY.try_lock() {
        std::mem::forget(delivery.take());
        drop(delivery);
        deliver(recorder);
    }
}

/// `$XDG_STATE_HOME/throughline`, or `~/.local/state/throughline` (XDG Base Directory Specification).
#[must_use]
pub fn default_spool_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("throughline"))
}

/// Tracing, as long as it is wanted; made by [`init`]. Dropping it flushes for a bounded time.
///
/// Dropping it does not end tracing: spans that end later are in the spool, and are delivered for as long as the process
/// lives, or by the next one.
#[derive(Debug)]
#[must_use = "dropping it flushes: keep it until the end of main, `let _tracing = throughline::init(..)`"]
pub struct Tracing {
    _private: (),
}

impl Tracing {
    /// Sends all spans that have ended so far, and says what became of them.
    ///
    /// The result can be awaited in any runtime, or blocked on by [`wait`](Flush::wait). It ends when everything is settled,
    /// when nothing more can be done, or when the time is over, whatever the backend does. What is not delivered by then
    /// stays in the spool.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # let tracing = throughline::init("orders");
    /// let report = tracing.flush(Duration::from_secs(2)).wait();
    /// println!("{report}");
    /// ```
    pub fn flush(&self, within: Duration) -> Flush {
        delivery()
            .as_ref()
            .map_or_else(local, |delivery| delivery.flush(within))
    }

    /// As [`flush`](Self::flush), and ends delivery. Spans that end later stay in the spool for the next process.
    pub fn shutdown(self, within: Duration) -> Flush {
        delivery()
            .as_ref()
            .map_or_else(local, |delivery| delivery.shutdown(within))
    }
}

/// The report where nothing is delivered anywhere.
fn local() -> Flush {
    Flush::ended(Report::local(
        Recorder::current().map(source::accounts).unwrap_or_default(),
    ))
}

impl Drop for Tracing {
    /// Sends what has ended, for at most 200 ms with a backend that answers slowly, and not at all with one that is down.
    fn drop(&mut self) {
        let exit = delivery().as_ref().map(Delivery::exit);
        if let Some(exit) = exit {
            exit.wait();
        }
        housekeeping::before_exit();
    }
}
