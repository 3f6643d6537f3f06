//! What tells destinations from each other, without telling what they are.

use ring::hmac;

/// HMAC-SHA256 over a list of fields, cut to 16 bytes.
pub(super) struct KeyedHash(hmac::Context);

impl KeyedHash {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    pub(super) fn field(&mut self, bytes: &[u8]) {
        // With its length in front no two lists of fields have the same bytes.
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> [u8; 16] {
        let mut hash = [0; 16];
        hash.copy_from_slice(&self.0.sign().as_ref()[..16]);
        hash
    }
}
