//! The spans of processes that have died, from the archive.

use std::time::SystemTime;

use throughline_spool::{Archive, Portion, Settings, Stranger, Undelivered, Whose};

use crate::diagnostics::report_once;

/// What dead processes left for the destination that is also ours.
pub(crate) struct Adopted {
    /// One for all looks: what cannot be counted at once is counted later.
    archive: Archive,
    whose: Whose,
    /// `None` until it was looked for, and while another process delivers it.
    backlog: Option<Undelivered>,
    haste: Haste,
    /// Whether there may be more than was read.
    may_have_more: bool,
    /// Whether people have been told what stays: it is looked for once.
    has_said_what_stays: bool,
    /// The names of all destinations of this process: what lies for another of them, that one delivers.
    own: Vec<String>,
}

/// Whether the process may not live to settle what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    None,
    /// It has sent nothing yet.
    Begins,
    /// It has noted that it sends something.
    Noted,
}

/// Segments for others that a process that ends passes in search of something: reading them takes its time.
const PASSES_IN_HASTE: u32 = 64;

impl Adopted {
    /// `None`: there is no spool directory, or no such destination.
    pub(crate) fn new(settings: &Settings, destination: usize, is_for_all: bool) -> Option<Self> {
        let all = &settings.manifest.destinations;
        let destination = all.get(destination)?.clone();
        let whose = match is_for_all {
            true => Whose::Anybody,
            false => Whose::Of {
                destination,
                service: settings.manifest.service.clone(),
                namespace: settings.manifest.namespace.clone(),
            },
        };
        Some(Self {
            archive: Archive::new(settings.root.as_ref()?, settings.limits),
            whose,
            backlog: None,
            haste: Haste::None,
            may_have_more: false,
            has_said_what_stays: false,
            own: all.iter().map(|to| to.name.clone()).collect(),
        })
    }

    /// Looks whether there is something to deliver.
    pub(crate) fn look(&mut self) {
        self.open();
        if let (Some(backlog), false) = (&mut self.backlog, self.has_said_what_stays) {
            backlog.look_for_strangers();
        }
    }

    /// The same for a process that ends: it does not look far, and sends nothing where an earlier one did not live to see what became of it.
    pub(crate) fn look_in_haste(&mut self) {
        self.open();
        self.haste = Haste::Begins;
        // Who has something to say will say it while it lives.
        self.has_said_what_stays = true;
        if let Some(backlog) = &mut self.backlog {
            backlog.limit_search(PASSES_IN_HASTE);
        }
    }

    /// All that was sent in haste has been answered.
    pub(crate) fn end_haste(&mut self) {
        if let (Haste::Noted, Some(backlog)) = (self.haste, &mut self.backlog) {
            // Else it is as if it had not lived to see the answer.
            let _ = backlog.end_hasty();
        }
        if self.haste != Haste::None {
            (self.haste, self.backlog, self.may_have_more) = (Haste::None, None, false);
        }
    }

    fn open(&mut self) {
        self.may_have_more = true;
        if self.backlog.is_none() {
            match self.archive.undelivered(self.whose.clone()) {
                Ok(backlog) => self.backlog = backlog,
                Err(error) => report_once(format_args!(
                    "what dead processes left cannot be read: {error}; it stays in the spool"
                )),
            }
        }
    }

    /// The oldest records that are not settled. Peeks.
    pub(crate) fn next(&mut self, most_records: usize, most_bytes: usize) -> Option<Portion> {
        if !self.may_have_more {
            return None;
        }
        match self.backlog.as_mut()?.next(most_records, most_bytes) {
            Ok(Some(portion)) => self.may_send().then_some(portion),
            Ok(None) => {
                self.backlog
                    .iter()
                    .flat_map(Undelivered::strangers)
                    .filter(|stranger| !stranger.is_same_service || !self.own.contains(&stranger.destination))
                    .for_each(say_what_stays);
                self.has_said_what_stays = true;
                self.end_haste();
                // Given up, so that another process may have its turn.
                (self.backlog, self.may_have_more) = (None, false);
                None
            }
            Err(error) => {
                (self.backlog, self.may_have_more) = (None, false);
                report_once(format_args!(
                    "what dead processes left cannot be read: {error}; it stays in the spool"
                ));
                None
            }
        }
    }

    /// Whether what was found may be sent: in haste only where nobody has sent it and not seen the answer.
    fn may_send(&mut self) -> bool {
        let (Haste::Begins, Some(backlog)) = (self.haste, &mut self.backlog) else {
            return true;
        };
        if backlog.begin_hasty(SystemTime::now()).unwrap_or(false) {
            self.haste = Haste::Noted;
            return true;
        }
        (self.haste, self.backlog, self.may_have_more) = (Haste::None, None, false);
        false
    }

    pub(crate) fn settle(&mut self, portion: &Portion, rejected: u64) {
        let Some(backlog) = &mut self.backlog else { return };
        if let Err(error) = backlog.settle(portion, rejected) {
            report_once(format_args!(
                "what was delivered cannot be marked so, and may be delivered again: {error}"
            ));
        }
    }
}

/// Nobody's spans go where nobody wanted them; whoever has changed an address or a key learns what that leaves behind.
fn say_what_stays(stranger: &Stranger) {
    // Behind the word for the protocol.
    let to = stranger
        .destination
        .split_once(' ')
        .map_or("another backend", |(_, address)| address);
    let (whose, why) = match stranger.is_same_service {
        true => ("this service".to_owned(), "this process sends elsewhere"),
        false => (stranger.service.clone(), "they were recorded with other credentials"),
    };
    report_once(format_args!(
        "spans of {whose} for {to} stay in the spool, since {why}: `throughline recover --to URL` sends them, --list shows them"
    ));
}
