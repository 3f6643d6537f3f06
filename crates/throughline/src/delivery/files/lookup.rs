//! Finding the files of a trace by the beginning of its id.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use throughline_wire::TraceId;

use super::names;

/// A file with spans of a trace; what [`find_trace_files`] finds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct TraceFile {
    /// The trace.
    pub trace_id: TraceId,
    /// The file. In one of the layout [`ByProcess`](crate::FileLayout::ByProcess) lie spans of other traces too.
    pub path: PathBuf,
}

/// The files in a directory, which a [`files`](crate::Destination::files) destination has written, with spans of the traces whose id
/// begins with `prefix` (hexadecimal, in either case); sorted by trace, then by path. Of several traces the caller decides what is meant.
///
/// Files by trace are found by their names. Those by process are read.
///
/// # Errors
///
/// `prefix` is empty or no hexadecimal number, or the directory cannot be read.
///
/// ```
/// let directory = std::env::temp_dir().join(format!("trace-files-{}", std::process::id()));
/// let day = directory.join("2026-11-21");
/// std::fs::create_dir_all(&day)?;
/// std::fs::write(day.join("4bf92f3577b34da6a3ce929d0e0e4736.jsonl"), "")?;
///
/// let found = throughline::find_trace_files(&directory, "4bf9")?;
/// assert_eq!(found[0].trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert!(throughline::find_trace_files(&directory, "4bf93")?.is_empty());
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn find_trace_files(directory: impl AsRef<Path>, prefix: &str) -> io::Result<Vec<TraceFile>> {
    let path = directory.as_ref();
    let prefix = prefix.to_ascii_lowercase();
    if prefix.is_empty() || prefix.len() > 32 || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let message = format!("{prefix:?} is not the beginning of a trace id, 1 to 32 hexadecimal digits");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut found = BTreeSet::new();
    for name in names_in(path)? {
        if names::is_of_process(&name) {
            let path = path.join(name);
            let mut ids = BTreeSet::new();
            ids_in(BufReader::new(File::open(&path)?), &prefix, &mut ids)?;
            found.extend(ids.into_iter().map(|trace_id| TraceFile {
                trace_id,
                path: path.clone(),
            }));
        } else if names::is_day(&name) {
            let day = path.join(name);
            for file in names_in(&day)? {
                let id = names::trace_id(&file).filter(|id| id.starts_with(&prefix));
                found.extend(id.and_then(|id| id.parse().ok()).map(|trace_id| TraceFile {
                    trace_id,
                    path: day.join(&file),
                }));
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn names_in(directory: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect()
}

/// The ids of traces in lines as they are written here. A value can hold no such text: its quotes are escaped.
fn ids_in(mut lines: impl BufRead, prefix: &str, ids: &mut BTreeSet<TraceId>) -> io::Result<()> {
    const MEMBER: &str = r#""traceId":""#;
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        for (at, _) in text.match_indices(MEMBER) {
            let id = text.get(at + MEMBER.len()..at + MEMBER.len() + 32);
            // A link has a trace id too: that of another span.
            let is_span = text.get(at + MEMBER.len() + 32..).is_some_and(is_followed_by_span);
            let id = id.filter(|id| is_span && id.starts_with(prefix));
            ids.extend(id.and_then(|id| id.parse::<TraceId>().ok()));
        }
        line.clear();
    }
    Ok(())
}

/// A span has its name somewhere behind its ids, a link has none.
fn is_followed_by_span(rest: &str) -> bool {
    let end = rest.find(['}', '{', '[']).unwrap_or(rest.len());
    rest[..end].contains(r#""name":"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_of_spans_are_found_in_lines_and_those_of_links_are_not() {
        let id = |digit: &str| digit.repeat(32);
        let line = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{}","spanId":"0102030405060708","name":"a","kind":1,"links":[{{"traceId":"{}","spanId":"0102030405060708"}}]}},{{"traceId":"{}","spanId":"0102030405060708","name":"b"}}]}}]}}]}}"#,
            id("1"),
            id("2"),
            id("1a"),
        );
        let line = line.replace(&id("1a"), &"1a".repeat(16));
        let found = |prefix: &str| {
            let mut ids = BTreeSet::new();
            ids_in(format!("{line}\n{line}\ntorn").as_bytes(), prefix, &mut ids).unwrap();
            ids.iter().map(TraceId::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found("1"), [id("1"), "1a".repeat(16)]);
        assert_eq!(found("1a"), ["1a".repeat(16)]);
        assert_eq!(found("2"), [""; 0]);
    }
}
