//! A logger that does not come by `tracing`, here one of `log`: its lines say which span they belong to.

#![allow(clippy::print_stderr, reason = "it is a logger")]

use log::{LevelFilter, Log, Metadata, Record};
use throughline::span;
use throughline_tracing::LogIds;

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        match LogIds::current() {
            Some(ids) => eprintln!("{ids} {}", record.args()),
            None => eprintln!("{}", record.args()),
        }
    }

    fn flush(&self) {}
}

fn main() -> Result<(), log::SetLoggerError> {
    let _tracing = throughline::init("orders");
    log::set_logger(&Lines)?;
    log::set_max_level(LevelFilter::Info);
    span!("order").in_scope(|| log::info!("paid"));
    Ok(())
}
