//! A span that its process did not live to end, made into one that can be delivered.
//!
//! Its bytes are taken as far as they are whole: the process can have died between any two stores. It is given
//!
//! * an end, when it had none: the newest moment at which the process, and therefore the span, is known to have been
//!   there. That is the latest time in any of the process's spans. The time of the file would add nothing, since the
//!   kernel notes the first store to a page, not the last;
//! * the attribute `throughline.unfinished` = true, by which it can be told from a span that ended;
//! * the status ERROR with [`MESSAGE`], for backends that know nothing of that attribute.

use throughline_wire::encode::{self, tag};
use throughline_wire::{SpanView, StatusCode, Value, prefix, varint};

/// What the status of such a span says.
pub(crate) const MESSAGE: &str = "the process ended before this span did";
/// The attribute that marks such a span.
pub(crate) const MARK: &str = "throughline.unfinished";

/// The body of a finished span from that of an open one, as its slot shows it.
///
/// `known_alive` is when the process is known to have been alive, in nanoseconds since 1970. `None`: the bytes are not
/// what a slot holds.
pub(crate) fn close(open: &[u8], known_alive: u64) -> Option<Vec<u8>> {
    let start = prefix_start(open)?;
    let view = SpanView::new(open);
    let end = match view.end_time_unix_nano() {
        0 => known_alive.max(newest(&view)),
        end => end,
    };
    let mark = Value::Bool(true);
    let mut body = Vec::with_capacity(open.len() + 128);
    for field in Fields(open) {
        if field[0] != tag::STATUS {
            body.extend_from_slice(field);
        }
    }
    let end_time = prefix::END_TIME - start;
    body.get_mut(end_time..end_time + 8)?
        .copy_from_slice(&end.to_le_bytes());
    append(&mut body, encode::attribute_len(MARK, &mark), |out| {
        encode::write_attribute(out, MARK, &mark);
    });
    append(&mut body, encode::status_len(StatusCode::Error, MESSAGE), |out| {
        encode::write_status(out, StatusCode::Error, MESSAGE);
    });
    Some(body)
}

/// An open span of a living process, as far as its bytes are whole.
pub(crate) fn so_far(open: &[u8]) -> Option<&[u8]> {
    prefix_start(open)?;
    Some(&open[..Fields(open).map(<[u8]>::len).sum()])
}

/// The newest time that a span mentions, in nanoseconds since 1970.
pub(crate) fn newest(span: &SpanView<'_>) -> u64 {
    let events = span.events().map(|event| event.time_unix_nano());
    let ends = span.start_time_unix_nano().max(span.end_time_unix_nano());
    events.fold(ends, u64::max)
}

fn append(body: &mut Vec<u8>, len: usize, write: impl FnOnce(&mut [u8])) {
    let at = body.len();
    body.resize(at + len, 0);
    write(&mut body[at..]);
}

/// Where in the template of the prefix these bytes begin; `None` when they begin otherwise.
fn prefix_start(body: &[u8]) -> Option<usize> {
    const TAGS: [(usize, usize); 7] = [(0, 2), (10, 2), (28, 2), (38, 1), (47, 1), (56, 2), (62, 1)];
    let fits = |start: usize| {
        TAGS.into_iter().filter(|(at, _)| *at >= start).all(|(at, len)| {
            let expected = &prefix::TEMPLATE[at..at + len];
            body.get(at - start..at - start + len) == Some(expected)
        }) && body.len() >= prefix::LEN - start
    };
    [0, prefix::ROOT_START].into_iter().find(|start| fits(*start))
}

/// The whole fields at the beginning of a message, each with its tag.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (key, value) = varint::read(self.0)?;
        let rest = match key & 7 {
            _ if key >> 3 == 0 => return None,
            0 => varint::read(value)?.1,
            1 => value.get(8..)?,
            2 => {
                let (len, value) = varint::read(value)?;
                value.get(usize::try_from(len).ok()?..)?
            }
            5 => value.get(4..)?,
            _ => return None,
        };
        let (field, rest) = self.0.split_at(self.0.len() - rest.len());
        self.0 = rest;
        Some(field)
    }
}
