//! Which trace is meant: the beginning of an id, or the newest.

use std::collections::BTreeMap;

use throughline_wire::TraceId;

use crate::store::Stored;
use crate::trace::Trace;

/// Candidates that are listed when a prefix is ambiguous.
const CANDIDATES: usize = 8;

/// Which trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    Last,
    Prefix(String),
}

impl Wanted {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self::Last),
            _ if (1..=32).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                Ok(Self::Prefix(text.to_ascii_lowercase()))
            }
            _ => Err("a trace id is 1 to 32 hexadecimal digits, or `last`".to_owned()),
        }
    }

    /// The trace that is meant, or why there is none and what to do.
    pub fn choose(&self, traces: &BTreeMap<TraceId, Vec<Stored>>) -> Result<Trace, (String, &'static str)> {
        let id = match self {
            Self::Last => newest(traces).ok_or(("there are no traces".to_owned(), "`throughline demo` makes one"))?,
            Self::Prefix(prefix) => only_one(traces.keys(), prefix)?,
        };
        Ok(Trace::new(id, traces.get(&id).cloned().unwrap_or_default()))
    }
}

fn newest(traces: &BTreeMap<TraceId, Vec<Stored>>) -> Option<TraceId> {
    let start = |spans: &[Stored]| spans.iter().map(|span| span.view().start_time_unix_nano()).min();
    let newest = traces.iter().max_by_key(|(_, spans)| start(spans));
    newest.map(|(id, _)| *id)
}

fn only_one<'a>(ids: impl Iterator<Item = &'a TraceId>, prefix: &str) -> Result<TraceId, (String, &'static str)> {
    let found: Vec<_> = ids.filter(|id| id.to_string().starts_with(prefix)).collect();
    match found[..] {
        [id] => Ok(*id),
        [] => Err((
            format!("no trace id begins with '{prefix}'"),
            "`throughline ls` lists the traces",
        )),
        _ => {
            let mut listed: Vec<_> = found.iter().take(CANDIDATES).map(ToString::to_string).collect();
            if found.len() > CANDIDATES {
                listed.push(format!("and {} more", found.len() - CANDIDATES));
            }
            let message = format!(
                "'{prefix}' is the beginning of {} trace ids ({})",
                found.len(),
                listed.join(", ")
            );
            Err((message, "give more digits"))
        }
    }
}
