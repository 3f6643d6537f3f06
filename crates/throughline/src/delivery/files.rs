//! OTLP/JSON lines in local files: each line is one `TracesData`, as the specification's file exporter writes it. Several processes
//! append to the same directory, and to the same files.

mod append;
mod cap;
mod lookup;
mod names;

use std::collections::HashMap;
use std::fs::File;
use std::io;

use throughline_spool::Recorder;
use throughline_spool::system::Directory;
use throughline_wire::request::{
    ResourceSpansView, SPAN_TAG, ScopeSpans, ScopeSpansView, append_resource_spans, resource_spans,
};
use throughline_wire::{Malformed, SpanView, json, varint};

use self::append::{Appended, Line, Lock, append};
use self::cap::Cap;
pub use self::lookup::{TraceFile, find_trace_files};
use super::blocking::Sink;
use super::outcome::Outcome;
use crate::config::Files;
use crate::destination::FileLayout;
use crate::diagnostics::report_once;

/// So many spans of batches that were written in part are remembered.
const MOST_REMEMBERED: usize = 100_000;

/// Writes to the files of one directory.
pub(super) struct FileSink {
    settings: Files,
    cap: Cap,
    /// What this process's own files begin with, and the number of the one it writes to.
    own: Option<(String, u32)>,
    /// Of batches that were written in part: the spans that are there, and how often. Such a batch comes again, and may have grown.
    written: HashMap<Box<[u8]>, u32>,
    /// The line, kept for the next.
    line: Vec<u8>,
}

/// Whether a file can be made there.
pub(super) fn check(settings: &Files) -> io::Result<()> {
    let directory = Directory::make(&settings.path)?;
    let name = names::of_check();
    let made = directory.append(&name);
    drop(made?);
    directory.remove_file(&name)
}

impl FileSink {
    pub(super) fn new(settings: Files) -> Self {
        Self {
            cap: Cap::new(settings.max_bytes),
            own: None,
            written: HashMap::new(),
            line: Vec::new(),
            settings,
        }
    }

    fn try_write(&mut self, request: &[u8]) -> Result<(), Problem> {
        // Opened anew for each batch: whoever removes it finds it made again.
        let directory = Directory::make(&self.settings.path)?;
        match self.settings.layout {
            FileLayout::ByProcess => self.by_process(&directory, request),
            FileLayout::ByTrace => self.by_trace(&directory, request),
        }
    }

    /// One line for the batch.
    fn by_process(&mut self, directory: &Directory, request: &[u8]) -> Result<(), Problem> {
        self.make_line(request)?;
        let (stem, mut number) = self.own.take().unwrap_or_else(|| (names::of_process(&service()), 0));
        let appended = self.append(directory, directory, &stem, &mut number);
        self.own = Some((stem, number));
        Ok(appended?)
    }

    /// One line for each trace, and each day on which spans of it began. Spans that an earlier attempt has written are left out.
    fn by_trace(&mut self, directory: &Directory, request: &[u8]) -> Result<(), Problem> {
        let mut spans = all_spans(request)?;
        let mut there = Vec::new();
        if !self.written.is_empty() {
            spans.retain(|found| {
                let is_there = self.take_written(found.span.as_bytes());
                there.extend(is_there.then_some(found.span.as_bytes()));
                !is_there
            });
        }
        spans.sort_by_key(|found| (found.day(), found.span.trace_id()));
        let mut lines = 0;
        let written = self.lines_by_trace(directory, &spans, &mut lines);
        if written.is_err() {
            there.extend(spans[..lines].iter().map(|found| found.span.as_bytes()));
            // Of batches that never came again.
            if self.written.len() > MOST_REMEMBERED {
                self.written.clear();
            }
            for span in there {
                *self.written.entry(span.into()).or_default() += 1;
            }
        }
        written
    }

    /// Whether an earlier attempt has written this span, which counts once.
    fn take_written(&mut self, span: &[u8]) -> bool {
        let Some(count) = self.written.get_mut(span) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.written.remove(span);
        }
        true
    }

    /// Writes a line for each run of spans of one trace and day, and counts the spans of those that are written.
    fn lines_by_trace(
        &mut self,
        directory: &Directory,
        spans: &[Found<'_>],
        written: &mut usize,
    ) -> Result<(), Problem> {
        let mut day: Option<(u64, Directory, String)> = None;
        for group in spans.chunk_by(|a, b| (a.day(), a.span.trace_id()) == (b.day(), b.span.trace_id())) {
            let first = &group[0];
            let (_, parent, _) = match day.take().filter(|(number, ..)| *number == first.day()) {
                Some(same) => day.insert(same),
                None => {
                    let name = names::day(first.span.start_time_unix_nano());
                    day.insert((first.day(), directory.make_child(&name)?, name))
                }
            };
            self.make_line(&request_of(group))?;
            let trace = first.span.trace_id();
            let stem = trace.map_or_else(|| "0".repeat(32), |trace| trace.to_string());
            self.append(directory, parent, &stem, &mut 0)?;
            *written += group.len();
        }
        Ok(())
    }

    fn make_line(&mut self, request: &[u8]) -> Result<(), Malformed> {
        self.line.clear();
        self.line.push(b'\n');
        json::append_request(&mut self.line, request)?;
        self.line.push(b'\n');
        Ok(())
    }

    /// Appends the line to the file of this number in `parent`, or to the first one behind it that has room.
    fn append(&mut self, directory: &Directory, parent: &Directory, stem: &str, number: &mut u32) -> io::Result<()> {
        let line = Line::new(&self.line);
        let removed = self.cap.make_room(directory, line.len())?;
        if removed > 0 {
            report_once(format_args!(
                "the trace files in {} are as large as they may be: the oldest ones are removed ({removed} this time), and so it goes on",
                self.settings.path.display()
            ));
        }
        loop {
            let name = names::numbered(stem, *number);
            let file = parent.append(&name)?;
            match append(&file, &line, self.settings.rotate_bytes) {
                Ok(Appended::Written) => return Ok(()),
                Ok(Appended::Full) => *number += 1,
                Ok(Appended::Removed) => {}
                Err(error) => {
                    remove_if_empty(parent, &file, &name);
                    return Err(error);
                }
            }
        }
    }
}

impl Sink for FileSink {
    fn write(&mut self, request: &[u8]) -> Outcome {
        match self.try_write(request) {
            Ok(()) => Outcome::success(),
            Err(Problem::Request(error)) => Outcome::Refused(format!("the spans cannot be written as JSON: {error}")),
            Err(Problem::File(error)) => Outcome::Unavailable {
                retry_after: None,
                message: error.to_string(),
            },
        }
    }
}

/// A full disk has room for the names of files: they would be left behind, one for each process that tried. Whoever appends at this moment
/// sees that his file is gone.
fn remove_if_empty(parent: &Directory, file: &File, name: &str) {
    if let Some(_lock) = Lock::at_once(file) {
        if file.metadata().is_ok_and(|seen| seen.len() == 0) {
            // It was not asked for, and may stay.
            let _ = parent.remove_file(name);
        }
    }
}

/// Why a batch is not written.
enum Problem {
    /// It is no request: never.
    Request(Malformed),
    /// Not now.
    File(io::Error),
}

impl From<Malformed> for Problem {
    fn from(error: Malformed) -> Self {
        Self::Request(error)
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

/// What this process is called.
fn service() -> String {
    let recorder = Recorder::current();
    recorder.map_or_else(String::new, |recorder| recorder.settings().manifest.service.clone())
}

/// A span with what stands around it.
struct Found<'a> {
    resource: ResourceSpansView<'a>,
    scope: ScopeSpansView<'a>,
    span: SpanView<'a>,
}

impl Found<'_> {
    /// Days since 1970 on which the span began.
    fn day(&self) -> u64 {
        self.span.start_time_unix_nano() / 86_400_000_000_000
    }
}

fn all_spans(request: &[u8]) -> Result<Vec<Found<'_>>, Malformed> {
    let mut found = Vec::new();
    for resource in resource_spans(request) {
        let resource = resource?;
        for scope in resource.scope_spans() {
            let scope = scope?;
            for span in scope.spans() {
                found.push(Found {
                    resource,
                    scope,
                    span: span?,
                });
            }
        }
    }
    Ok(found)
}

/// These spans as a request of their own.
fn request_of(group: &[Found<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for run in group.chunk_by(|a, b| {
        std::ptr::eq(a.resource.resource(), b.resource.resource()) && std::ptr::eq(a.scope.scope(), b.scope.scope())
    }) {
        let mut spans = Vec::new();
        for found in run {
            spans.push(SPAN_TAG);
            varint::push(&mut spans, found.span.as_bytes().len() as u64);
            spans.extend_from_slice(found.span.as_bytes());
        }
        let Found { resource, scope, .. } = &run[0];
        let scope = ScopeSpans {
            scope: scope.scope(),
            schema_url: scope.schema_url(),
            spans: &[&spans],
        };
        append_resource_spans(&mut body, resource.resource(), resource.schema_url(), &[scope]);
    }
    body
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
