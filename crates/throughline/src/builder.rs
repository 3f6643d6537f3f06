//! Choices made in code, and switching tracing on with them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use throughline_spool::Limits;

#[cfg(feature = "otlp")]
use crate::check::Check;
use crate::config::{self, Attribute};
use crate::destination::Destination;
use crate::diagnostics::{self, report_once};
use crate::early;
use crate::guard::Tracing;
use crate::processor::{self, Chain, Redact, SpanProcessor};
use crate::propagation::Propagator;
use crate::sampler::Sampler;
use crate::span_limits::{self, SpanLimits};
use crate::start::Storage;
use crate::tracer::{self, IdGenerator};
use crate::value::ToValue;
use crate::{clock, start, testing};

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
        exit_flush: true,
        id_generator: None,
        chain: Chain::default(),
        diagnostics: None,
    }
}

/// What the first call in this process has decided.
static IS_ON: OnceLock<bool> = OnceLock::new();

/// Whether this process has switched tracing on or off already.
pub(crate) fn is_decided() -> bool {
    IS_ON.get().is_some()
}

/// Choices made in code; made by [`builder`].
#[must_use = "tracing is switched on by `init`"]
pub struct Builder {
    settings: config::Settings,
    limits: Limits,
    sync_every: Option<Duration>,
    delivers_all: bool,
    exit_flush: bool,
    id_generator: Option<Box<dyn IdGenerator>>,
    chain: Chain,
    diagnostics: Option<diagnostics::Handler>,
}

impl Builder {
    /// One more place that spans are sent to, with all that belongs to it. May be called again for others: each gets all spans, and
    /// one that is down holds none of the others up. At most 8.
    ///
    /// What the environment says of an endpoint and its headers then does not count. [`endpoint`](Self::endpoint) is one of several
    /// too.
    ///
    /// ```no_run
    /// use throughline::Destination;
    ///
    /// let _tracing = throughline::builder("orders")
    ///     .destination(Destination::otlp("http://localhost:4318"))
    ///     .destination(Destination::otlp("https://api.honeycomb.io").header("x-honeycomb-team", "key"))
    ///     .init();
    /// ```
    pub fn destination(mut self, destination: impl Into<Destination>) -> Self {
        self.settings.destinations.push(destination.into());
        self
    }

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

    /// Sees spans as they start and end, before anybody else does; it may change them or leave them out. May be called again for
    /// others, which come behind.
    pub fn processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.chain.processors.push(Box::new(processor));
        self
    }

    /// Hands each span to [`testing::capture`](crate::testing::capture) as well, as it is committed: for a program whose own builder
    /// switches tracing on in its tests too. Without a capture it costs memory for nothing: leave it to tests.
    ///
    /// ```no_run
    /// let builder = throughline::builder("orders");
    /// let builder = if cfg!(test) { builder.capturing() } else { builder };
    /// let _tracing = builder.init();
    /// ```
    pub fn capturing(mut self) -> Self {
        self.chain.captures = true;
        self
    }

    /// Cleans what spans say: each name, message and attribute, before the span is committed. May be called again for others: the first
    /// that does not keep a piece decides on it.
    ///
    /// Until a span has ended, others see no more of it than what it held at its start, redacted. Where a redactor panics, what it was asked about is
    /// removed.
    ///
    /// ```no_run
    /// use throughline::{Content, Redaction};
    ///
    /// let _tracing = throughline::builder("orders")
    ///     .redact(|content: &Content<'_>| match content {
    ///         Content::Attribute("url.full", url) => match url.as_str().and_then(|url| url.split_once('?')) {
    ///             Some((path, _query)) => Redaction::Replace(path.to_owned()),
    ///             None => Redaction::Keep,
    ///         },
    ///         _ => Redaction::Keep,
    ///     })
    ///     .redact(throughline::redact_keys(["authorization", "password"]))
    ///     .init();
    /// ```
    pub fn redact(mut self, redactor: impl Redact + 'static) -> Self {
        self.chain.redactors.push(Box::new(redactor));
        self
    }

    /// How much one span may hold, as the `OTEL_*_LIMIT` variables; what is not said here comes from those.
    pub fn limits(mut self, limits: SpanLimits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// Makes the ids of traces and spans, instead of random ones.
    pub fn id_generator(mut self, generator: impl IdGenerator + 'static) -> Self {
        self.id_generator = Some(Box::new(generator));
        self
    }

    /// An attribute of this service, as `OTEL_RESOURCE_ATTRIBUTES`: any value, and a key that was set before gets the new one. May be
    /// called again for others.
    ///
    /// `service.instance.id`, `process.pid`, `process.executable.name`, `host.name`, `host.arch`, `os.type` and `os.version` are found
    /// out where nobody says them.
    pub fn resource(mut self, key: &str, value: impl ToValue) -> Self {
        self.settings.resource.extend(Attribute::of(key, value));
        self
    }

    /// Which instance of the service this is: without `OTEL_SERVICE_NAME` and its kin the service's name becomes `<name>-<instance>`.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.settings.instance = Some(instance.into());
        self
    }

    /// Layers of variables: with `variable_prefixes(["ORDERS_", "ORDERS_BLUE_"])` each variable is read by the strongest name that is set,
    /// `ORDERS_BLUE_OTEL_TRACES_SAMPLER`, then `ORDERS_OTEL_TRACES_SAMPLER`, then `OTEL_TRACES_SAMPLER`: settings of one instance, of
    /// one application, and of the whole machine. Code beats them all. The last prefix is the strongest. Of two variables for one
    /// setting, such as those for traces and for all signals, the specific one wins in whichever layer it is.
    pub fn variable_prefixes<P: Into<String>>(mut self, prefixes: impl IntoIterator<Item = P>) -> Self {
        self.settings.variable_prefixes = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// Whether dropping what [`init`](Self::init) returns flushes. Default `true`; with `false` a program ends at once, and what is not
    /// delivered goes with the next one, or with `throughline recover`.
    pub fn exit_flush(mut self, flushes: bool) -> Self {
        self.exit_flush = flushes;
        self
    }

    /// The conventions that the resource's attributes follow (OTLP `ResourceSpans.schema_url`). Default: none is said.
    pub fn schema_url(mut self, url: impl Into<String>) -> Self {
        self.settings.schema_url = url.into();
        self
    }

    /// For how long a span waits for company before it is sent, as `OTEL_BSP_SCHEDULE_DELAY`. Default 5 s.
    pub fn schedule_delay(mut self, delay: Duration) -> Self {
        self.settings.schedule_delay = Some(delay);
        self
    }

    /// The most spans of one request, as `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`. Default 512; at least 1. A request has at most 2 MiB in any
    /// case, but for a single span that is longer.
    pub fn batch_spans(mut self, spans: usize) -> Self {
        self.settings.batch_spans = Some(spans.max(1));
        self
    }

    /// Which formats carry the context over a border, as `OTEL_PROPAGATORS`, in this order; see [`extract`](crate::extract) for what the
    /// order means. One that is named twice counts once. Default: [`TraceContext`](Propagator::TraceContext) and
    /// [`Baggage`](Propagator::Baggage). None: the context stays in this process.
    ///
    /// ```no_run
    /// use throughline::Propagator;
    ///
    /// let with_zipkin = throughline::builder("orders")
    ///     .propagators([Propagator::B3, Propagator::TraceContext, Propagator::Baggage])
    ///     .init();
    /// ```
    pub fn propagators(mut self, propagators: impl IntoIterator<Item = Propagator>) -> Self {
        self.settings.propagators = Some(propagators.into_iter().collect());
        self
    }

    /// Gets what there is to say to the person who runs the program, one line at a time, instead of stderr: settings that cannot be
    /// used, and changes of a destination's state. For programs that own their terminal, or have a log.
    ///
    /// It is called on whichever thread has something to say, under no lock. What panics in it is lost.
    ///
    /// ```no_run
    /// let _tracing = throughline::builder("orders")
    ///     .diagnostics(|line| eprintln!("[tracing] {line}"))
    ///     .init();
    /// ```
    pub fn diagnostics(mut self, handler: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.diagnostics = Some(Box::new(handler));
        self
    }

    /// Where the spool lies, as `THROUGHLINE_SPOOL_DIR`. Default `$XDG_STATE_HOME/throughline`, or
    /// `~/.local/state/throughline`; on Windows `%LOCALAPPDATA%\throughline`. It must be a directory of this user's alone, on a
    /// local disk.
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

    /// Looks at the settings and sends each destination a request without spans, to find out whether it takes them: the whole way, with
    /// names, proxies, TLS and keys. Nothing is switched on, and nothing is left behind but the directory of a files destination.
    ///
    /// It blocks for at most about `within`. `throughline doctor` is this and a look at the spool.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let check = throughline::builder("orders").check(Duration::from_secs(5));
    /// for destination in &check.destinations {
    ///     println!("{}: {}", destination.name, destination.problem.as_deref().unwrap_or("well"));
    /// }
    /// ```
    #[cfg(feature = "otlp")]
    #[must_use]
    pub fn check(&self, within: Duration) -> Check {
        let (config, wrong_settings) = self.read_config(&|name| std::env::var_os(name));
        Check {
            is_on: config.enabled,
            wrong_settings: wrong_settings.iter().map(ToString::to_string).collect(),
            destinations: crate::delivery::check(&config.destinations, within),
            spool_dir: config.spool_dir.or_else(crate::default_spool_dir),
        }
    }

    fn read_config(
        &self,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> (config::Config, Vec<config::WrongSetting>) {
        let executable = std::env::current_exe().ok();
        let executable = executable
            .as_deref()
            .and_then(|path| path.file_name())
            .and_then(|name| name.to_str());
        config::read(&self.settings, environment, executable)
    }

    /// Switches tracing on. The first call of a process decides; what a later one returns belongs to the same tracing.
    pub fn init(self) -> Tracing {
        if testing::is_in_charge() {
            return Tracing::new(self.exit_flush);
        }
        self.init_from(&|name| std::env::var_os(name), Storage::Spool)
    }

    /// For tests: no file, no destination, and the environment has no say.
    pub(crate) fn init_in_memory(self) -> Tracing {
        self.init_from(&|_| None, Storage::Memory)
    }

    fn init_from(mut self, environment: &dyn Fn(&str) -> Option<OsString>, storage: Storage) -> Tracing {
        if let Some(handler) = self.diagnostics.take() {
            diagnostics::set_handler(handler);
        }
        let (config, wrong_settings) = self.read_config(environment);
        if config.is_silent {
            // Unless the program has chosen what becomes of it.
            diagnostics::set_handler(Box::new(|_| ()));
        }
        for said in &wrong_settings {
            report_once(format_args!("{said}"));
        }
        tracer::set_propagators(config.propagators.clone());
        let mut decides = false;
        let is_on = *IS_ON.get_or_init(|| {
            decides = true;
            if config.enabled {
                processor::set_chain(self.chain);
            }
            config.enabled
        });
        let early = if decides { early::end() } else { None };
        if let (Some(early), true, Storage::Spool) = (early, is_on, &storage) {
            report_once(format_args!(
                "{early} had started before tracing was switched on, and will not be recorded: call `init` first"
            ));
        }
        if !decides && config.enabled {
            let before = if is_on { "on" } else { "off" };
            report_once(format_args!(
                "tracing was switched {before} before in this process: the first call decides"
            ));
        }
        if !decides || !is_on {
            return Tracing::new(self.exit_flush);
        }
        span_limits::set(config.limits);
        tracer::set_sampler(config.sampler.clone(), self.id_generator);
        clock::start();
        start::start(config, storage, self.limits, self.sync_every, self.delivers_all);
        Tracing::new(self.exit_flush)
    }
}
