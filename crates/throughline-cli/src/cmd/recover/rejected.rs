//! Payloads that a backend refused for good: listed, and sent again.

use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use throughline::{Destination, OtlpDestination};
use throughline_spool::{Rejected, Root};
use throughline_wire::terminal::escaped;

use super::spans;
use crate::exit::{FAILURE, Failure, print};
use crate::table::Table;
use crate::terminal::{Style, Terminal};
use crate::text::count;
use crate::time::Zone;

/// Lists them.
pub fn list(spool: &Path, zone: &Zone, terminal: Terminal) -> Result<u8, Failure> {
    let Some((_, kept)) = kept(spool)? else {
        return none(spool);
    };
    let time = format!("refused{}", zone.heading_suffix());
    let mut table = Table::new(["spans", "KiB", &time, "by", "reason"])
        .right_aligned(0)
        .right_aligned(1)
        .shrinking(3, 12)
        .shrinking(4, 20);
    for rejected in &kept {
        let since = rejected.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let cells = [
            rejected.spans.to_string(),
            rejected.bytes.div_ceil(1024).to_string(),
            zone.moment(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)),
            escaped(&rejected.destination).into_owned(),
            escaped(&rejected.reason).into_owned(),
        ];
        table.row(Style::Plain, cells);
    }
    print(&format!(
        "Rejected and kept in {}: {}.\n\n{}\n`throughline recover --rejected --to URL` sends them again.\n",
        escaped(&spool.join("rejected").display().to_string()),
        spans(kept.iter().map(|rejected| rejected.spans).sum()),
        table.draw(terminal)
    ))
}

/// Sends them again, oldest first; what is taken is removed.
pub fn send(spool: &Path, to: &str, headers: &[(String, String)]) -> Result<u8, Failure> {
    let Some((root, kept)) = kept(spool)? else {
        return none(spool);
    };
    let mut destination = Destination::otlp(to);
    for (name, value) in headers {
        destination = destination.header(name, value);
    }
    let (mut sent, mut again, mut trouble) = (0, 0, None);
    let mut left = kept.iter();
    while let Some(rejected) = left.next() {
        let answer = root
            .read_rejected(rejected)
            .and_then(|payload| destination.send(payload));
        match answer {
            Ok(refused) => {
                sent += rejected.spans.saturating_sub(refused);
                again += refused;
                root.remove_rejected(rejected).map_err(Failure::new)?;
            }
            // One that is refused again says nothing of the others, unless it is not about its spans.
            Err(error) => {
                again += rejected.spans;
                let is_last = left.as_slice().is_empty();
                let ends = !is_last && fails_without_spans(&destination, &error);
                trouble = Some(error.to_string());
                if ends {
                    break;
                }
            }
        }
    }
    let untried = left.as_slice();
    let mut out = format!("Delivered {} that had been rejected.\n", spans(sent));
    if again > 0 {
        let why = trouble.as_deref().unwrap_or("the backend has taken the others only");
        out.push_str(&format!("Not delivered: {}: {}.\n", spans(again), escaped(why)));
    }
    if !untried.is_empty() {
        out.push_str(&format!(
            "Not tried: {} in {}, since a request without spans fails in the same way.\n",
            spans(untried.iter().map(|rejected| rejected.spans).sum()),
            count(untried.len(), "payload"),
        ));
    }
    print(&out)?;
    Ok(if again > 0 { FAILURE } else { 0 })
}

/// Whether a failure is one of the destination: a request without spans fails in the same way.
fn fails_without_spans(destination: &OtlpDestination, error: &io::Error) -> bool {
    let without = destination.send(Vec::new());
    without.is_err_and(|without| without.to_string() == error.to_string())
}

/// `None`: there are none.
fn kept(spool: &Path) -> Result<Option<(Root, Vec<Rejected>)>, Failure> {
    if !spool.exists() {
        return Ok(None);
    }
    let root = Root::open(spool).map_err(Failure::new)?;
    let kept = root.rejected().map_err(Failure::new)?;
    Ok((!kept.is_empty()).then_some((root, kept)))
}

fn none(spool: &Path) -> Result<u8, Failure> {
    let place = spool.display().to_string();
    print(&format!("No rejected spans in {}.\n", escaped(&place)))
}
