//! The situations, and the cases: each situation in each library.

use std::fmt;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::figures::{Events, Figures};
use super::library::Library;
use super::system_calls::{self, Marker};
use super::timeline::Timeline;
use super::{page_faults, preemptions};

/// How spans come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Situation {
    /// 400 bursts of 500 spans, each after 5 ms of rest.
    BurstsOf500,
    /// 60 bursts of 2,000 spans, each after 60 ms of rest.
    BurstsOf2000,
    /// The first 100,000 spans of the process without any rest, 500 per trace.
    First100000,
}

/// A situation in one library, bare or with attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Who makes the spans.
    pub library: Library,
    /// When.
    pub situation: Situation,
    /// Whether each child has five attributes.
    pub attributes: bool,
}

impl Situation {
    /// How many traces there are.
    #[must_use]
    pub fn traces(self) -> usize {
        match self {
            Self::BurstsOf500 => 400,
            Self::BurstsOf2000 => 60,
            Self::First100000 => 200,
        }
    }

    /// How many spans a trace has, its root included.
    #[must_use]
    pub fn spans_per_trace(self) -> usize {
        match self {
            Self::BurstsOf500 | Self::First100000 => 500,
            Self::BurstsOf2000 => 2000,
        }
    }

    /// How many spans there are.
    #[must_use]
    pub fn spans(self) -> usize {
        self.traces() * self.spans_per_trace()
    }

    fn rest(self) {
        match self {
            Self::BurstsOf500 => thread::sleep(Duration::from_millis(5)),
            Self::BurstsOf2000 => thread::sleep(Duration::from_millis(60)),
            Self::First100000 => (),
        }
    }
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BurstsOf500 => "bursts of 500",
            Self::BurstsOf2000 => "bursts of 2,000",
            Self::First100000 => "first 100,000",
        })
    }
}

impl Case {
    /// Every case, in the order of the table.
    #[must_use]
    pub fn all() -> Vec<Self> {
        const KINDS: [(Situation, bool); 5] = [
            (Situation::BurstsOf500, true),
            (Situation::BurstsOf2000, false),
            (Situation::BurstsOf2000, true),
            (Situation::First100000, false),
            (Situation::First100000, true),
        ];
        let of_kind = |(situation, attributes)| {
            Library::ALL.map(|library| Self {
                library,
                situation,
                attributes,
            })
        };
        KINDS.into_iter().flat_map(of_kind).collect()
    }

    /// Library, situation and kind of span, as in `native/bursts of 500, 5 attributes`.
    #[must_use]
    pub fn name(&self) -> String {
        let kind = if self.attributes { "5 attributes" } else { "bare" };
        format!("{}/{}, {kind}", self.library, self.situation)
    }

    /// The same case in another library.
    #[must_use]
    pub fn in_library(self, library: Library) -> Self {
        Self { library, ..self }
    }

    /// Runs the case in this process, which must not have made a span before. `home` is for files.
    ///
    /// # Errors
    ///
    /// If page faults or preemptions cannot be read, or more spans arrive than were made.
    pub fn run(&self, home: &Path) -> io::Result<Figures> {
        let situation = self.situation;
        let mut timeline = Timeline::new(situation.traces(), situation.spans_per_trace());
        // Reading them for the first time makes some.
        page_faults::of_this_thread()?;
        preemptions::of_this_thread()?;
        let mut tracer = self.library.start(home, self.attributes);

        let preempted = preemptions::of_this_thread()?;
        let faults = page_faults::of_this_thread()?;
        system_calls::mark(Marker::Begin);
        for _ in 0..situation.traces() {
            situation.rest();
            timeline.begin();
            tracer.trace(situation.spans_per_trace(), &mut timeline);
        }
        system_calls::mark(Marker::End);
        let faults = page_faults::of_this_thread()? - faults;
        let preempted = preemptions::of_this_thread()? - preempted;

        let made = situation.spans() as u64;
        let arrived = tracer.arrived();
        let lost = made
            .checked_sub(arrived)
            .ok_or_else(|| io::Error::other(format!("{arrived} of {made} spans arrived")))?;
        let events = Events {
            faults,
            preempted,
            lost,
        };
        Ok(Figures::new(&timeline, events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_case_has_its_own_name() {
        let names: HashSet<_> = Case::all().iter().map(Case::name).collect();
        assert_eq!(names.len(), Case::all().len());
    }

    #[test]
    fn situations_have_as_many_spans_as_their_names_say() {
        assert_eq!(Situation::BurstsOf500.spans(), 200_000);
        assert_eq!(Situation::BurstsOf2000.spans(), 120_000);
        assert_eq!(Situation::First100000.spans(), 100_000);
    }
}
