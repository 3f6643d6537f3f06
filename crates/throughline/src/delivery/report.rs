//! What became of the spans: the result of a flush.

use std::fmt;

use throughline_spool::Dropped;

/// What had become of this process's spans when a flush or shutdown ended.
///
/// The counts are of all spans since the start of the process, so that for each destination
/// `started - live = delivered + pending + dropped` whenever no span starts or ends. Its `Display` says all of it in one line.
///
/// With several [destinations](Self::destinations), [`delivered`](Self::delivered), [`pending`](Self::pending) and
/// [`dropped`](Self::dropped) are those of the one that is furthest behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    started: u64,
    live: u64,
    /// Where spans go nowhere but into the local history there is one, without a name.
    destinations: Vec<DestinationReport>,
}

/// What has become of this process's spans on their way to one destination; see [`Report::destinations`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationReport {
    accounts: Accounts,
    /// `None` where spans stay in the local history.
    destination: Option<String>,
    trouble: Option<String>,
    /// Whether all spans that had ended when it was asked for are settled.
    is_settled: bool,
    /// The delivery thread did not say so itself: the counts may be old.
    is_outdated: bool,
}

impl Report {
    pub(crate) fn new(started: u64, live: u64, destinations: Vec<DestinationReport>) -> Self {
        Self {
            started,
            live,
            destinations,
        }
    }

    /// Recorded spans that were started.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Of these, those that have not ended.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.live
    }

    /// For each destination what has become of the spans, in the order in which they were set up. None where spans stay in the
    /// local history.
    pub fn destinations(&self) -> impl Iterator<Item = &DestinationReport> {
        self.destinations.iter().filter(|report| report.destination.is_some())
    }

    /// Spans that the backend has taken. Without a destination: those that the local history has evicted to keep its limit.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.furthest_behind().map_or(0, DestinationReport::delivered)
    }

    /// Spans that are in the local spool and not delivered. The next start of a program with the same destination sends them, or
    /// `throughline recover`; but those that are [`in_memory`](Self::in_memory).
    ///
    /// Without a destination these are the spans in the local history.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.furthest_behind().map_or(0, DestinationReport::pending)
    }

    /// Of the pending spans, those that are in memory only, because the spool cannot be written (no directory, a full disk): they
    /// end with this process if they are not delivered before.
    #[must_use]
    pub fn in_memory(&self) -> u64 {
        self.furthest_behind().map_or(0, DestinationReport::in_memory)
    }

    /// Spans that are lost, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.furthest_behind().map_or(0, DestinationReport::dropped)
    }

    /// The lost spans by reason, a word such as `rejected`; only counts above zero.
    pub fn dropped_by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.furthest_behind()
            .into_iter()
            .flat_map(DestinationReport::dropped_by_reason)
    }

    /// Why not everything is delivered, in words for a person; `None` where nothing went wrong.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.destinations.iter().find_map(DestinationReport::trouble)
    }

    /// Whether it is certain that every destination has got every span that had ended when the report was asked for, and that none
    /// was lost. What has ended since then does not count.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.destinations.iter().all(DestinationReport::is_complete)
    }

    fn furthest_behind(&self) -> Option<&DestinationReport> {
        // Of several the first.
        let behind = |report: &&DestinationReport| report.pending() + report.lost();
        self.destinations.iter().rev().max_by_key(behind)
    }
}

impl DestinationReport {
    /// For spans that go nowhere but into the local history: they are what is `pending`.
    pub(crate) fn local(accounts: Accounts) -> Self {
        Self {
            accounts,
            is_settled: true,
            ..Self::default()
        }
    }

    pub(crate) fn new(destination: String, accounts: Accounts, trouble: Option<String>) -> Self {
        Self {
            accounts,
            destination: Some(destination),
            trouble,
            is_settled: false,
            is_outdated: false,
        }
    }

    /// The pending spans, counted just now.
    pub(super) fn set_pending(&mut self, pending: u64) {
        self.accounts.pending = pending;
        self.accounts.in_memory = self.accounts.in_memory.min(pending);
    }

    /// The same, for somebody whose spans are all settled, or not.
    /// A request is under way of whose backend nothing bad is known.
    pub(super) fn unanswered(mut self) -> Self {
        self.trouble.get_or_insert_with(|| "no answer yet".to_owned());
        self
    }

    pub(super) fn settled(mut self, is_settled: bool) -> Self {
        self.is_settled = is_settled;
        self
    }

    /// The same, from somebody else than the delivery thread, with the reason for that unless
    /// there is a trouble to tell of already.
    pub(crate) fn outdated(mut self, trouble: &str) -> Self {
        self.is_outdated = true;
        self.trouble.get_or_insert_with(|| trouble.to_owned());
        self
    }

    /// Counts again where the delivery thread has not said how things stand.
    pub(super) fn bring_up_to_date(&mut self, accounts: impl FnOnce() -> Accounts) {
        if self.is_outdated {
            self.accounts = accounts();
        }
    }

    /// The destination's address, without user, password and query.
    #[must_use]
    pub fn name(&self) -> &str {
        self.destination.as_deref().unwrap_or("local history")
    }

    /// Spans that the destination has taken.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.accounts.delivered
    }

    /// Spans that are in the local spool and not delivered.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.accounts.pending
    }

    /// Of the pending spans, those that are in memory only.
    #[must_use]
    pub fn in_memory(&self) -> u64 {
        self.accounts.in_memory
    }

    /// Spans that the destination will not get, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.accounts.dropped.iter().map(|(_, count)| count).sum()
    }

    /// Those that nobody wanted to lose: not what was filtered.
    fn lost(&self) -> u64 {
        let filtered = Dropped::Filtered.name();
        let lost = self.dropped_by_reason().filter(|(reason, _)| *reason != filtered);
        lost.map(|(_, count)| count).sum()
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

    /// Whether it is certain that the destination has got every span that had ended when the report was asked for, and that none
    /// was lost.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_settled && !self.is_outdated && self.lost() == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.destinations.is_empty() {
            return f.write_str("tracing is off");
        }
        for (index, report) in self.destinations.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            report.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for DestinationReport {
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
                match self.pending() {
                    0 => {}
                    all if all == self.in_memory() => write!(f, ", {all} pending in memory only")?,
                    pending => write!(f, ", {pending} pending in the local spool")?,
                }
            }
        }
        if self.in_memory() > 0 && (self.destination.is_none() || self.in_memory() < self.pending()) {
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

/// What became of this process's spans since it started: the terms of
/// `started - live = delivered + pending + dropped`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accounts {
    pub(crate) delivered: u64,
    pub(crate) pending: u64,
    /// Of these, those that are in memory only.
    pub(crate) in_memory: u64,
    /// Counts above zero, each with its reason in one word.
    pub(crate) dropped: Vec<(&'static str, u64)>,
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
    fn report_says_all_in_one_line() {
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
                DestinationReport::new(to(), all, None).settled(true),
                "10 spans delivered to http://h/v1/traces",
                true,
            ),
            (
                DestinationReport::new(to(), some, Some("connection refused".into())),
                "1 span delivered to http://h/v1/traces, 3 pending in the local spool (1 of them in memory only), 3 dropped \
                 (rejected 2, quota 1): connection refused",
                false,
            ),
            (DestinationReport::local(kept), "4 spans in the local history", true),
        ] {
            assert_eq!(report.to_string(), line);
            assert_eq!(report.is_complete(), complete);
        }
    }

    #[test]
    fn report_of_several_destinations_is_that_of_the_one_furthest_behind() {
        let one = |name: &str, delivered, pending, dropped: u64, is_settled| {
            let accounts = Accounts {
                delivered,
                pending,
                in_memory: 0,
                dropped: Some(("rejected", dropped))
                    .filter(|(_, count)| *count > 0)
                    .into_iter()
                    .collect(),
            };
            DestinationReport::new(name.to_owned(), accounts, None).settled(is_settled)
        };
        let report = Report::new(
            12,
            2,
            vec![
                one("a", 10, 0, 0, true),
                one("b", 7, 3, 0, false),
                one("c", 8, 2, 0, true),
            ],
        );
        assert_eq!((report.started(), report.live()), (12, 2));
        assert_eq!((report.delivered(), report.pending(), report.dropped()), (7, 3, 0));
        assert!(!report.is_complete());
        assert_eq!(
            report.destinations().map(DestinationReport::name).collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert!(
            report
                .to_string()
                .starts_with("10 spans delivered to a; 7 spans delivered to b, 3 pending")
        );
        // What ended after it was asked for is pending, and that is all right.
        assert!(Report::new(12, 0, vec![one("a", 10, 2, 0, true)]).is_complete());
        assert!(!Report::new(12, 0, vec![one("a", 10, 0, 2, true)]).is_complete());
    }
}
