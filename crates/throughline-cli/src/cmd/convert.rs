//! `throughline convert`: spans in the formats of other tools.

mod chrome;
mod folded;
mod held;
mod jaeger;
mod otlp;

use std::io::{self, Write};
use std::path::PathBuf;

use self::chrome::Chrome;
use self::folded::Folded;
use self::jaeger::Jaeger;
use self::otlp::{Encoding, Otlp};
use crate::exit::{Failure, USAGE};
use crate::input::{Input, Visitor};
use crate::output::Output;

/// Convert spans to the formats of other tools.
///
/// Reads the spool, or files of OTLP/JSON lines and OTLP protobuf. A line that cannot be read is named on stderr and costs
/// no other; the exit code is 1 then. Open spans of the spool are left out: they have no end yet.
///
/// The file of --output is new, readable by you only, and appears when it is whole. Spans are converted as they are read,
/// but for three formats. Jaeger has its spans by trace, and chrome by the time of their start: both hold all of them in
/// memory, as large as they are in OTLP protobuf, and 100 bytes for each. Folded holds 100 bytes for each.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  throughline convert --to otlp-json --output traces.jsonl
  throughline convert --to jaeger --trace 4bf92f35 --output trace.json
  throughline convert --to chrome --since 1h | gzip > trace.json.gz
  throughline convert --to folded --service shop | flamegraph.pl > shop.svg
  throughline convert --to otlp-protobuf traces.jsonl | curl --data-binary @- \\
      -H 'content-type: application/x-protobuf' http://localhost:4318/v1/traces")]
pub struct Convert {
    /// The format
    #[arg(long, value_name = "FORMAT")]
    to: Format,

    /// The file to write [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    input: Input,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Trace events, for ui.perfetto.dev and chrome://tracing
    Chrome,
    /// Stacks and the microseconds spent in each itself, for flame graphs
    Folded,
    /// What Jaeger's user interface uploads
    Jaeger,
    /// One TracesData per line (the OpenTelemetry file format)
    OtlpJson,
    /// One TracesData, which is also an ExportTraceServiceRequest
    OtlpProtobuf,
}

/// Writes spans in one format.
trait Converter: Visitor {
    /// Writes what is left.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

impl Convert {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let path = self.output.as_deref();
        if self.to == Format::OtlpProtobuf && Output::is_terminal(path) {
            let message = "protobuf is not for terminals: add --output FILE, or redirect stdout";
            return Err(Failure::with_code(USAGE, message));
        }
        let mut output = Output::open(path)?;
        let mut converter = self.converter(output.writer());
        let read = self.input.read(spool, &mut *converter)?;
        let (bad, written) = match read {
            Ok(bad) => (bad, converter.finish()),
            Err(error) => {
                drop(converter);
                (Default::default(), Err(error))
            }
        };
        output.finish(written)?;
        bad.into_result()
    }

    fn converter<'a>(&self, out: &'a mut dyn Write) -> Box<dyn Converter + 'a> {
        match self.to {
            Format::Chrome => Box::new(Chrome::new(out)),
            Format::Folded => Box::new(Folded::new(out)),
            Format::Jaeger => Box::new(Jaeger::new(out)),
            Format::OtlpJson => Box::new(Otlp::new(out, Encoding::Json)),
            Format::OtlpProtobuf => Box::new(Otlp::new(out, Encoding::Protobuf)),
        }
    }
}
