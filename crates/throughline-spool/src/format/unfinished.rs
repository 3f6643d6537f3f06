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
use throughline_wire::{SpanView, StatusCode, Value, span_prefix, varint};

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
    let end_time = span_prefix::END_TIME - start;
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
            let expected = &span_prefix::TEMPLATE[at..at + len];
            body.get(at - start..at - start + len) == Some(expected)
        }) && body.len() >= span_prefix::LEN - start
    };
    [0, span_prefix::ROOT_START].into_iter().find(|start| fits(*start))
}

/// The whole fields at the beginning of a message, each with its tag.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (key, value) = varint::read(self.0)?;
        let number = u32::try_from(key).ok()? >> 3;
        let rest = match key & 7 {
            _ if number == 0 => return None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::span;

    fn open() -> Vec<u8> {
        let mut body = span(9, "open");
        for (key, value) in [("one", Value::Str("1")), ("two", Value::I64(2))] {
            append(&mut body, encode::attribute_len(key, &value), |out| {
                encode::write_attribute(out, key, &value);
            });
        }
        let event = encode::Event {
            name: "event",
            time_unix_nano: 70,
            attributes: &[],
            encoded_attributes: &[],
            dropped_attributes: 0,
        };
        append(&mut body, encode::event_len(&event), |out| {
            encode::write_event(out, &event);
        });
        body
    }

    #[test]
    fn it_ends_when_anything_of_its_process_was_last_seen() {
        for (known_alive, expected) in [(0, 70), (69, 70), (71, 71)] {
            let closed = close(&open(), known_alive).expect("it is a span");
            assert_eq!(SpanView::new(&closed).end_time_unix_nano(), expected);
        }
        let mut closing = open();
        let end = span_prefix::END_TIME - span_prefix::ROOT_START;
        closing[end..end + 8].copy_from_slice(&50_u64.to_le_bytes());
        let closed = close(&closing, 1_000).expect("it is a span");
        assert_eq!(
            SpanView::new(&closed).end_time_unix_nano(),
            50,
            "it was being ended then"
        );
    }

    #[test]
    fn its_own_status_makes_way() {
        let mut body = open();
        append(&mut body, encode::status_len(StatusCode::Ok, ""), |out| {
            encode::write_status(out, StatusCode::Ok, "");
        });
        let closed = close(&body, 0).expect("it is a span");
        assert_eq!(SpanView::new(&closed).status(), (StatusCode::Error, MESSAGE));
        assert_eq!(Fields(&closed).filter(|field| field[0] == tag::STATUS).count(), 1);
    }

    #[test]
    fn what_no_reader_takes_for_a_field_ends_the_body() {
        // A tag of more than 32 bits, field 0, a group, a wire type that is none.
        for bad in [
            &b"\xf5\xfe\xff\xff\xf6\x3f12345678"[..],
            b"\x02\x01a",
            b"\x0b\x0c",
            b"\x0e",
        ] {
            let body = [open(), bad.to_vec()].concat();
            assert_eq!(so_far(&body), Some(&open()[..]), "{bad:?}");
            let closed = close(&body, 0).expect("it is a span");
            assert!(SpanView::new(&closed).attribute(MARK).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn body_cut_anywhere_keeps_its_whole_fields() {
        let whole = open();
        let ends: Vec<usize> = Fields(&whole)
            .scan(0, |end, field| {
                *end += field.len();
                Some(*end)
            })
            .collect();
        let prefix = span_prefix::LEN - span_prefix::ROOT_START;
        for len in 0..=whole.len() {
            let expected = ends.iter().copied().filter(|end| *end <= len).max().unwrap_or(0);
            let so_far = so_far(&whole[..len]);
            assert_eq!(so_far.map(<[u8]>::len), (len >= prefix).then_some(expected), "{len}");
            let closed = close(&whole[..len], 0);
            let is_whole = closed.is_none_or(|closed| Fields(&closed).map(<[u8]>::len).sum::<usize>() == closed.len());
            assert!(is_whole, "{len}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_closed_without_a_panic(bytes: Vec<u8>, known_alive: u64, at in 0_usize..200, byte: u8) {
            let _ = (close(&bytes, known_alive), so_far(&bytes));
            let mut changed = open();
            if let Some(changed) = changed.get_mut(at) {
                *changed = byte;
            }
            if let Some(closed) = close(&changed, known_alive) {
                let mark = SpanView::new(&closed).attribute(MARK);
                proptest::prop_assert_eq!(mark.and_then(|mark| mark.as_bool()), Some(true));
            }
        }
    }
}
