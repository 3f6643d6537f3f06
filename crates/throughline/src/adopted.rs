//! The spans of processes that have died, from the archive.

use throughline_spool::{Archive, Portion, Root, Settings, Stranger, Undelivered, Whose};

use crate::diagnostics::report_once;

/// What dead processes left for the destination that is also ours.
pub(crate) struct Adopted {
    root: Root,
    limits: throughline_spool::Limits,
    whose: Whose,
    /// `None` until it was looked for, and while another process delivers it.
    backlog: Option<Undelivered>,
    /// Whether there may be more than was read.
    may_have_more: bool,
    /// Whether people have been told what stays: it is looked for once.
    has_said_what_stays: bool,
    /// The names of all destinations of this process: what lies for another of them, that one delivers.
    own: Vec<String>,
}

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
            root: settings.root.clone()?,
            limits: settings.limits,
            whose,
            backlog: None,
            may_have_more: false,
            has_said_what_stays: false,
            own: all.iter().map(|to| to.name.clone()).collect(),
        })
    }

    /// Looks whether there is something to deliver.
    pub(crate) fn look(&mut self) {
        self.may_have_more = true;
        if self.backlog.is_none() {
            match Archive::new(&self.root, self.limits).undelivered(self.whose.clone()) {
                Ok(backlog) => {
                    self.backlog = backlog;
                    if let (Some(backlog), false) = (&mut self.backlog, self.has_said_what_stays) {
                        backlog.look_for_strangers();
                    }
                }
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
            Ok(Some(portion)) => Some(portion),
            Ok(None) => {
                self.backlog
                    .iter()
                    .flat_map(Undelivered::strangers)
                    .filter(|stranger| !stranger.is_same_service || !self.own.contains(&stranger.destination))
                    .for_each(say_what_stays);
                self.has_said_what_stays = true;
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
