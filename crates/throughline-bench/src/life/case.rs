//! The cases, in the order of the table.

use std::io;
use std::path::Path;

use super::{delivery, disk, idle, outage, start};

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A million spans over HTTP to a process of its own.
    Delivery,
    /// The same over gRPC.
    Grpc,
    /// The same over HTTP, compressed.
    Gzip,
    /// The same, to files.
    Files,
    /// The time that `init` takes, beside what dead processes have left.
    Init,
    /// Processes that have a maintenance thread.
    Threads,
    /// Wake-ups of a process at rest.
    Idle,
    /// What short processes leave on disk.
    Disk,
    /// Short processes while the backend is dead.
    Outage,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured, in words, with its unit.
    pub what: &'static str,
    /// The value.
    pub value: f64,
}

impl Case {
    /// Every case.
    pub const ALL: [Self; 9] = [
        Self::Delivery,
        Self::Grpc,
        Self::Gzip,
        Self::Files,
        Self::Init,
        Self::Threads,
        Self::Idle,
        Self::Disk,
        Self::Outage,
    ];

    /// The word to choose it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Grpc => "grpc",
            Self::Gzip => "gzip",
            Self::Files => "files",
            Self::Init => "init",
            Self::Threads => "threads",
            Self::Idle => "idle",
            Self::Disk => "disk",
            Self::Outage => "outage",
        }
    }

    /// Runs the case; `home` is for files.
    ///
    /// # Errors
    ///
    /// If a process cannot be started, fails, or does not end in time.
    pub fn run(self, home: &Path, quick: bool) -> io::Result<Vec<Figure>> {
        match self {
            Self::Delivery => delivery::run(home, if quick { 1 } else { 5 }, &delivery::PLAIN),
            Self::Grpc => delivery::run(home, if quick { 1 } else { 5 }, &delivery::GRPC),
            Self::Gzip => delivery::run(home, if quick { 1 } else { 3 }, &delivery::GZIP),
            Self::Files => delivery::run(home, if quick { 1 } else { 3 }, &delivery::FILES),
            Self::Init => start::init(home, if quick { 10 } else { 30 }),
            Self::Threads => start::threads(home, if quick { 100 } else { 1000 }),
            Self::Idle => idle::run(home, quick),
            Self::Disk => disk::run(home),
            Self::Outage => outage::run(home, if quick { 500 } else { 5000 }),
        }
    }
}
