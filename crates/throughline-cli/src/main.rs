//! The `throughline` command: what it can do, and where each part lives.
//!
//! A command is a file in [`cmd`]. What they share: [`store`] reads the spool, [`input`] files too, [`filter`] chooses spans,
//! [`origin`] tells whose they are, [`trace`] makes trees of spans, [`waterfall`] draws one with its [`details`], [`table`] draws lists, [`terminal`] knows the terminal, [`text`] and [`time`] write for people, [`exit`] ends.
#![forbid(unsafe_code)]

mod cmd;
mod details;
mod exit;
mod filter;
mod histogram;
mod in_order;
#[cfg(unix)]
mod inherited;
mod input;
mod origin;
mod otlp;
mod output;
mod plain_json;
#[cfg(unix)]
mod redact;
mod store;
mod table;
mod terminal;
mod text;
mod time;
mod trace;
mod wanted;
mod waterfall;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Trace commands and programs, and look at their traces, without a server.
///
/// A program that uses the Throughline library, or a command under `throughline run`, writes its spans into a spool: a
/// directory of files on this machine, where they survive whatever happens to the process. This command reads that
/// directory. Spans also go to an OpenTelemetry backend where OTEL_EXPORTER_OTLP_ENDPOINT names one.
#[derive(Parser)]
#[command(name = "throughline", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    /// The spool [default: $THROUGHLINE_SPOOL_DIR, else $XDG_STATE_HOME/throughline, else ~/.local/state/throughline; on Windows %LOCALAPPDATA%\throughline]
    #[arg(long, value_name = "DIR", global = true, display_order = 100)]
    spool: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  throughline demo                     a small job over several processes, and its trace
  throughline run -- make test         trace a command
  throughline ls                       recent traces
  throughline view last                the newest trace as a waterfall
  throughline follow                   spans as they end
  throughline doctor                   whether spans would arrive
  throughline stats                    how long spans take, and how often they fail
  throughline convert --to chrome -o trace.json
                                       a file for ui.perfetto.dev";

#[derive(Subcommand)]
enum Command {
    Run(cmd::run::Run),
    Span(cmd::span::SpanCommand),
    Inject(cmd::inject::Inject),
    Ls(cmd::ls::Ls),
    View(cmd::view::View),
    Diff(cmd::diff::Diff),
    Follow(cmd::follow::Follow),
    Stats(cmd::stats::Stats),
    Convert(cmd::convert::Convert),
    Recover(cmd::recover::Recover),
    Doctor(cmd::doctor::Doctor),
    Demo(cmd::demo::Demo),
    Completions(cmd::completions::Completions),
    Man(cmd::man::Man),
}

fn main() -> ExitCode {
    if let Some(ended) = cmd::demo::execute_as_process_of_the_demo() {
        return exit::code(ended);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let spool = cli.spool;
    let ended = match cli.command {
        Command::Run(run) => run.execute(spool),
        Command::Ls(ls) => ls.execute(spool),
        Command::View(view) => view.execute(spool),
        Command::Diff(diff) => diff.execute(spool),
        Command::Span(span) => span.execute(spool),
        Command::Inject(inject) => inject.execute(),
        Command::Follow(follow) => follow.execute(spool),
        Command::Stats(stats) => stats.execute(spool),
        Command::Convert(convert) => convert.execute(spool),
        Command::Recover(recover) => recover.execute(spool),
        Command::Doctor(doctor) => doctor.execute(spool),
        Command::Demo(demo) => demo.execute(spool),
        Command::Completions(completions) => completions.execute(),
        Command::Man(man) => man.execute(),
    };
    exit::code(ended)
}
