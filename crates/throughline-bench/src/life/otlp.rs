//! Counting the spans of an OTLP request, with no more of protobuf than that takes.

/// How many spans an `ExportTraceServiceRequest` has; none if it is not well-formed.
///
/// `resource_spans = 1`, in these `scope_spans = 2`, in these `spans = 2`.
#[must_use]
pub fn spans(request: &[u8]) -> Option<u64> {
    count(request, &[1, 2, 2])
}

/// How many messages lie at the end of this path of fields.
fn count(message: &[u8], path: &[u64]) -> Option<u64> {
    let Some((first, rest)) = path.split_first() else {
        return Some(1);
    };
    let mut reader = Reader(message);
    let mut found = 0;
    while !reader.0.is_empty() {
        if let (number, Some(inner)) = reader.field()?
            && number == *first
        {
            found += count(inner, rest)?;
        }
    }
    Some(found)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next field's number, and its bytes if it has a length.
    fn field(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let key = self.varint()?;
        let bytes = match key & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => self.take(8).map(|_| None)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.take(length)?)
            }
            5 => self.take(4).map(|_| None)?,
            _ => return None,
        };
        Some((key >> 3, bytes))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with a length. All here are shorter than 128 bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    #[test]
    fn spans_of_all_resources_and_scopes_are_counted() {
        let span = field(2, &[0x39, 1, 2, 3, 4, 5, 6, 7, 8, 0x30, 0x80, 1]);
        let empty = field(2, &[]);
        let scope = |spans: &[&[u8]]| field(2, &[field(1, b"scope"), spans.concat()].concat());
        let resource = |scopes: &[Vec<u8>]| field(1, &[field(1, b"resource"), scopes.concat()].concat());
        let request = [
            resource(&[scope(&[&span, &span]), scope(&[&empty])]),
            resource(&[]),
            field(7, b"what a later version adds"),
            resource(&[scope(&[&span])]),
        ]
        .concat();
        assert_eq!(spans(&request), Some(4));
        assert_eq!(spans(&[]), Some(0));
    }

    #[test]
    fn request_that_is_cut_or_no_protobuf_has_no_count() {
        let whole = field(1, &field(2, &field(2, &[0x30, 1])));
        for length in 1..whole.len() {
            assert_eq!(spans(&whole[..length]), None, "{length}");
        }
        for bytes in [&[0x0b][..], &[0x0a, 0xff], &[0xff; 11], &[0x09, 1, 2], &[0x0d, 1]] {
            assert_eq!(spans(bytes), None, "{bytes:?}");
        }
    }
}
