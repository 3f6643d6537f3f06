//! A batch as it goes over the wire: as protobuf or JSON, compressed or not.

use std::io::Write;

use bytes::Bytes;
use flate2::write::GzEncoder;
use throughline_wire::json;

use super::outcome::Outcome;
use crate::destination::{Compression, Protocol};

/// Encodes batches for one destination, each once: a request that failed comes again.
pub(super) struct Encoder {
    protocol: Protocol,
    compression: Compression,
    /// What came last, and what it became.
    last: Option<(Bytes, Bytes)>,
}

impl Encoder {
    pub fn new(protocol: Protocol, compression: Compression) -> Self {
        Self {
            protocol,
            compression,
            last: None,
        }
    }

    /// The body as it goes over the wire.
    pub fn encode(&mut self, body: Bytes) -> Result<Bytes, Outcome> {
        if self.protocol != Protocol::HttpJson && self.compression == Compression::None {
            return Ok(body);
        }
        if let Some((_, encoded)) = self.last.as_ref().filter(|(last, _)| *last == body) {
            return Ok(encoded.clone());
        }
        let mut encoded = match self.protocol {
            Protocol::HttpJson => as_json(&body)?,
            Protocol::HttpProtobuf | Protocol::Grpc => body.clone(),
        };
        if self.compression == Compression::Gzip {
            encoded = gzip(&encoded);
        }
        self.last = Some((body, encoded.clone()));
        Ok(encoded)
    }

    /// What was encoded last, unless it has arrived.
    #[cfg(test)]
    pub fn last(&self) -> Option<&Bytes> {
        self.last.as_ref().map(|(_, encoded)| encoded)
    }

    /// What was encoded last has arrived.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

fn as_json(body: &[u8]) -> Result<Bytes, Outcome> {
    let mut text = Vec::with_capacity(3 * body.len());
    match json::append_request(&mut text, body) {
        Ok(()) => Ok(text.into()),
        Err(error) => Err(Outcome::Refused(format!(
            "the spans cannot be written as JSON: {error}"
        ))),
    }
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    let written = encoder.write_all(body);
    let compressed = written.and_then(|()| encoder.finish());
    compressed.expect("memory takes whatever is written").into()
}
