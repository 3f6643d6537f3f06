//! One reading of a spool: what was seen so far.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use crate::archive::layout::{from_unix_nano, unix_nano};
use crate::archive::slots::OpenSpans;
use crate::directory::Life;
use crate::files::SharedFiles;
use crate::format::header::{Cursor, Header, Signal};
use crate::format::manifest::Manifest;
use crate::format::record::{Kind, Record};
use crate::format::source::Source;
use crate::format::{recovery, unfinished};

use super::{Contents, Place, ProcessReport, State, StoredSpan};

/// What was seen so far.
pub(super) struct Reading<'a> {
    pub files: &'a SharedFiles,
    contents: Contents,
    keep: &'a mut dyn FnMut(&StoredSpan) -> bool,
    processes: HashMap<String, Seen>,
    /// Sources by their encoded form: many segments have the same.
    sources: HashMap<Box<[u8]>, Arc<Source>>,
}

/// What was seen of one process.
pub(super) struct Seen {
    /// Its index in the contents.
    pub index: usize,
    /// The generations of its segments.
    generations: HashSet<u64>,
    /// Spans that are in no record, as far as was read.
    pub open: OpenSpans,
    has_destinations: bool,
}

/// What a segment's records are shown with.
struct Shown {
    process: usize,
    /// How far each destination has got, and which of the process's it is, if that is known.
    cursors: Vec<(usize, Option<usize>)>,
}

impl<'a> Reading<'a> {
    pub fn new(files: &'a SharedFiles, keep: &'a mut dyn FnMut(&StoredSpan) -> bool) -> Self {
        Self {
            files,
            contents: Contents::default(),
            keep,
            processes: HashMap::new(),
            sources: HashMap::new(),
        }
    }

    pub fn report(&mut self, path: &Path, problem: &dyn Display) {
        self.contents.problems.push(format!("{}: {problem}", path.display()));
    }

    /// The process of this name; it is added if it is new.
    pub fn process(&mut self, name: &str, path: &Path, life: Life, manifest: &Manifest) -> &mut Seen {
        let contents = &mut self.contents;
        self.processes.entry(name.to_owned()).or_insert_with(|| {
            contents.processes.push(ProcessReport {
                name: name.to_owned(),
                path: path.to_owned(),
                service: manifest.service.clone(),
                namespace: manifest.namespace.clone(),
                owner: manifest.owner.clone(),
                created: from_unix_nano(manifest.created_unix_nano),
                life,
                destinations: manifest.destinations.clone(),
                pending: 0,
                waiting: vec![0; manifest.destinations.len()],
                open: 0,
                dropped: Default::default(),
                torn: 0,
            });
            Seen {
                index: contents.processes.len() - 1,
                generations: HashSet::new(),
                open: OpenSpans::default(),
                has_destinations: !manifest.destinations.is_empty(),
            }
        })
    }

    pub fn seen(&mut self, name: &str) -> Option<&mut Seen> {
        self.processes.get_mut(name)
    }

    pub fn report_of(&mut self, name: &str) -> Option<&mut ProcessReport> {
        let index = self.processes.get(name)?.index;
        self.contents.processes.get_mut(index)
    }

    /// Whether a segment of a process was seen before.
    pub fn knows(&self, name: &str, generation: u64) -> bool {
        self.processes
            .get(name)
            .is_some_and(|seen| seen.generations.contains(&generation))
    }

    /// Adds the spans of a segment of a process that is known. Returns how many places are torn, and their bytes.
    pub fn add_segment(&mut self, name: &str, segment: &[u8], header: &Header) -> (u64, usize) {
        let Some(seen) = self.processes.get_mut(name) else {
            return (0, 0);
        };
        if !seen.generations.insert(header.generation) {
            return (0, 0);
        }
        // Taken out: it is asked about each record.
        let mut open = std::mem::take(&mut seen.open);
        open.note_segment(header);
        let destinations = &self.contents.processes[seen.index].destinations;
        let whose = |identity: u64| destinations.iter().position(|to| to.short_identity() == identity);
        let cursors = Cursor::read_all(segment, header).into_iter().zip(header.identities);
        let shown = Shown {
            process: seen.index,
            cursors: cursors
                .take(header.destinations)
                .map(|(cursor, identity)| (cursor.offset as usize, whose(identity)))
                .collect(),
        };
        let mut bodies: HashMap<u32, &[u8]> = HashMap::new();
        let mut sources = HashMap::new();
        let mut records = recovery::records(segment, header.generation, 0);
        for (offset, record) in records.by_ref() {
            open.note(header, offset, &record);
            if record.kind == Kind::Source {
                bodies.insert(record.source, record.body());
            } else if record.kind.is_item() && header.signal == Signal::Traces {
                let body = bodies.get(&record.source);
                let known = sources.entry(record.source);
                let source = known
                    .or_insert_with(|| body.map(|body| self.source(body)).unwrap_or_default())
                    .clone();
                self.add_span(&shown, offset, &record, source);
            }
        }
        if let Some(seen) = self.processes.get_mut(name) {
            seen.open = open;
        }
        let torn = records.torn();
        (torn.len() as u64, torn.iter().map(ExactSizeIterator::len).sum())
    }

    fn source(&mut self, body: &[u8]) -> Arc<Source> {
        if let Some(source) = self.sources.get(body) {
            return source.clone();
        }
        let source = Arc::new(Source::from_bytes(body).unwrap_or_default());
        self.sources.insert(body.into(), source.clone());
        source
    }

    fn add_span(&mut self, shown: &Shown, offset: usize, record: &Record<'_>, source: Arc<Source>) {
        let report = &mut self.contents.processes[shown.process];
        let mut place = match shown.cursors[..] {
            [] => Place::Local,
            _ => Place::Delivered,
        };
        for (_, destination) in shown.cursors.iter().filter(|(cursor, _)| *cursor <= offset) {
            place = Place::Pending;
            if let Some(waiting) = destination.and_then(|at| report.waiting.get_mut(at)) {
                *waiting += 1;
            }
        }
        report.pending += u64::from(place == Place::Pending);
        let state = match record.kind {
            Kind::Unfinished => State::Unfinished,
            _ => State::Finished,
        };
        self.keep(StoredSpan {
            body: record.body().into(),
            state,
            place,
            source,
            process: shown.process,
        });
    }

    fn keep(&mut self, span: StoredSpan) {
        if (self.keep)(&span) {
            self.contents.spans.push(span);
        }
    }

    /// Adds the spans that are in no record.
    pub fn finish(mut self) -> Contents {
        let now = unix_nano(self.files.now());
        for seen in std::mem::take(&mut self.processes).into_values() {
            let life = self.contents.processes[seen.index].life;
            let known_alive = seen.open.known_alive.min(now);
            for open in seen.open.spans.values() {
                let body = match life {
                    Life::Living => unfinished::so_far(&open.body).map(Box::from),
                    Life::Dead => unfinished::close(&open.body, known_alive).map(Box::from),
                };
                let report = &mut self.contents.processes[seen.index];
                let Some(body) = body else {
                    report.torn += 1;
                    continue;
                };
                report.open += 1;
                let source = seen.open.sources.get(&open.source).cloned();
                let source = source.map(|body| self.source(&body)).unwrap_or_default();
                self.keep(StoredSpan {
                    body,
                    state: match life {
                        Life::Living => State::Open,
                        Life::Dead => State::Unfinished,
                    },
                    place: if seen.has_destinations {
                        Place::Pending
                    } else {
                        Place::Local
                    },
                    source,
                    process: seen.index,
                });
            }
        }
        self.contents
    }
}
