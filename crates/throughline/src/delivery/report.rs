//! What became of the spans: the result of a flush.

use std::fmt;

use super::source::Accounts;

/// What had become of this process's spans when a flush or shutdown ended.
///
/// The counts are of all spans since the start of the process, so that
/// `started - live = delivered + pending + dropped`. Its `Display` says all of it in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    accounts: Accounts,
    /// `None` where spans stay in the local history.
    destination: Option<String>,
    trouble: Option<String>,
    /// The delivery thread did not say so itself: the counts may be old.
    outdated: bool,
}

impl Report {
    /// For spans that go nowhere but into the local history: they are what is `pending`.
    pub(crate) fn local(accounts: Accounts) -> Self {
        Self {
            accounts,
            ..Self::default()
        }
    }

    pub(super) fn new(destination: String, accounts: Accounts, trouble: Option<String>) -> Self {
        Self {
            accounts,
            destination: Some(destination),
            trouble,
            outdated: false,
        }
    }

    /// The pending spans, counted just now.
    pub(super) fn set_pending(&mut self, pending: u64) {
        self.accounts.pending = pending;
        self.accounts.in_memory = self.accounts.in_memory.min(pending);
    }

    /// The same, from somebody else than the delivery thread, with the reason for that unless
    /// there is a trouble to tell of already.
    pub(super) fn outdated(mut self, trouble: &str) -> Self {
        self.outdated = true;
        self.trouble.get_or_insert_with(|| trouble.to_owned());
        self
    }

    /// Spans that the backend has taken. Without a destination: those that the local history has evicted to keep its limit.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.accounts.delivered
    }

    /// Spans that are in the local spool and not delivered. The next start of a program with the same destination sends them, or
    /// `throughline recover`; but those that are [`in_memory`](Self::in_memory).
    ///
    /// Without a destination these are the spans in the local history.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.accounts.pending
    }

    /// Of the pending spans, those that are in memory only, because the spool cannot be written (no directory, a full disk): they
    /// end with this process if they are not delivered before.
    #[must_use]
    pub fn in_memory(&self) -> u64 {
        self.accounts.in_memory
    }

    /// Spans that are lost, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.accounts.dropped.iter().map(|(_, count)| count).sum()
    }

    /// The lost spans by reason, a word such as `rejected`; only counts above zero.
    pub fn dropped_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.accounts.dropped.iter().copied()
    }

    /// Why not everything is delivered, in words for a person; `None` where nothing went wrong.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether it is certain that nothing waits for delivery and nothing was lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let waits = self.destination.is_some() && self.pending() > 0;
        !waits && !self.outdated && self.dropped() == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.destination {
            None => {
                write!(f, "{} in the local history", Spans(self.pending()))?;
                if self.delivered() > 0 {
                    write!(f, ", {} older ones evicted", self.delivered())?;
                }
            }
            Some(destination) => {
                write!(f, "{} delivered to {destination}", Spans(self.delivered()))?;
                if self.pending() > 0 {
                    write!(f, ", {} pending in the local spool", self.pending())?;
                }
            }
        }
        if self.in_memory() > 0 {
            write!(f, " ({} of them in memory only)", self.in_memory())?;
        }
        if self.dropped() > 0 {
            write!(f, ", {} dropped (", self.dropped())?;
            for (index, (reason, count)) in self.dropped_by_reason().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                write!(f, "{comma}{reason} {count}")?;
            }
            f.write_str(")")?;
        }
        match &self.trouble {
            Some(trouble) => write!(f, ": {trouble}"),
            None => Ok(()),
        }
    }
}

struct Spans(u64);

impl fmt::Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} span{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_all_in_one_line() {
        let to = || "http://h/v1/traces".to_owned();
        let all = Accounts {
            delivered: 10,
            ..Accounts::default()
        };
        let some = Accounts {
            delivered: 1,
            pending: 3,
            in_memory: 1,
            dropped: vec![("rejected", 2), ("quota", 1)],
        };
        let kept = Accounts {
            pending: 4,
            ..Accounts::default()
        };
        for (report, line, complete) in [
            (
                Report::new(to(), all, None),
                "10 spans delivered to http://h/v1/traces",
                true,
            ),
            (
                Report::new(to(), some, Some("connection refused".into())),
                "1 span delivered to http://h/v1/traces, 3 pending in the local spool (1 of them in memory only), 3 dropped \
                 (rejected 2, quota 1): connection refused",
                false,
            ),
            (Report::local(kept), "4 spans in the local history", true),
        ] {
            assert_eq!(report.to_string(), line);
            assert_eq!(report.is_complete(), complete);
        }
    }
}
