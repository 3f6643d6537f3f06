//! Whose a record is: a resource and an instrumentation scope, written once in each segment that names them.
//!
//! ```text
//! the body of a source record: four times `length u32, bytes`
//!   an OTLP Resource, its schema URL, an OTLP InstrumentationScope, its schema URL
//! ```

use std::sync::Arc;

use super::record::read_u32;

/// The longest source, encoded; what is longer is stored without its resource.
pub(crate) const MAX_LEN: usize = 1 << 20;

/// Whose records are: what stands around them in an OTLP request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// An encoded OTLP `Resource`.
    pub resource: Arc<[u8]>,
    /// The resource's schema URL, or empty.
    pub schema_url: Arc<str>,
    /// An encoded OTLP `InstrumentationScope`.
    pub scope: Arc<[u8]>,
    /// The scope's schema URL, or empty.
    pub scope_schema_url: Arc<str>,
}

impl Source {
    /// The body of a source record.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let encode = |parts: [&[u8]; 4]| {
            let mut bytes = Vec::with_capacity(16 + parts.iter().map(|part| part.len()).sum::<usize>());
            for part in parts {
                bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
                bytes.extend_from_slice(part);
            }
            bytes
        };
        let (url, scope_url) = (self.schema_url.as_bytes(), self.scope_schema_url.as_bytes());
        let whole = encode([&self.resource, url, &self.scope, scope_url]);
        if whole.len() <= MAX_LEN {
            return whole;
        }
        let reduced = encode([&[], url, &self.scope, scope_url]);
        if reduced.len() <= MAX_LEN {
            reduced
        } else {
            encode([&[]; 4])
        }
    }

    /// Reads the body of a source record. Total: any bytes will do.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut part = || {
            let len = read_u32(bytes, 0)? as usize;
            let part = bytes.get(4..4_usize.checked_add(len)?)?;
            bytes = &bytes[4 + len..];
            Some(part)
        };
        let [resource, url, scope, scope_url] = [part()?, part()?, part()?, part()?];
        let text = |bytes: &[u8]| Arc::from(&*String::from_utf8_lossy(bytes));
        Some(Self {
            resource: resource.into(),
            schema_url: text(url),
            scope: scope.into(),
            scope_schema_url: text(scope_url),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            resource: b"resource".as_slice().into(),
            schema_url: "https://example.com/1".into(),
            scope: b"scope".as_slice().into(),
            scope_schema_url: "https://example.com/2".into(),
        }
    }

    #[test]
    fn source_is_read_as_it_was_written_and_cut_ones_are_refused() {
        let bytes = source().to_bytes();
        assert_eq!(Source::from_bytes(&bytes), Some(source()));
        for len in 0..bytes.len() {
            assert_eq!(Source::from_bytes(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn source_that_is_too_long_loses_its_resource() {
        let long = Source {
            resource: vec![1; MAX_LEN].into(),
            ..source()
        };
        let read = Source::from_bytes(&long.to_bytes()).expect("it is whole");
        assert_eq!((read.resource.len(), &*read.scope), (0, &b"scope"[..]));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Source::from_bytes(&bytes);
        }
    }
}
