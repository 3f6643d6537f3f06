//! What is in the queue.

use serde::{Deserialize, Serialize};

use super::Metadata;
use crate::{JobContext, Record, RequestKey};

/// Something that was pushed: its key, its data, and what middlewares have added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    id: u64,
    key: RequestKey,
    head: Head,
    data: Vec<u8>,
}

/// What stands before the data, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    key: String,
    retries: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

impl Entry {
    pub(super) fn new(key: RequestKey, data: &[u8], metadata: Metadata) -> Self {
        let head = Head {
            key: key.to_string(),
            metadata,
            ..Head::default()
        };
        Self {
            id: 0,
            key,
            head,
            data: data.to_vec(),
        }
    }

    /// Its number, greater than those given before. It gets another one each time that it is to be tried again, fails, or is put back.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The key of the request that brought it.
    #[must_use]
    pub fn key(&self) -> RequestKey {
        self.key
    }

    /// What was pushed.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// What is kept with it, the context included.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.head.metadata
    }

    /// How many attempts have begun since it was pushed or put back; of one being processed, those before.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.head.retries
    }

    /// Why it is in the error queue.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.head.reason.as_deref()
    }

    /// The context that it carries, with all attempts so far.
    #[must_use]
    pub fn context(&self) -> JobContext {
        self.head.metadata.read()
    }

    pub(super) fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.head.metadata
    }

    pub(super) fn set_retries(&mut self, retries: u32) {
        self.head.retries = retries;
    }

    pub(super) fn set_reason(&mut self, reason: Option<&str>) {
        self.head.reason = reason.map(str::to_owned);
    }

    /// The length of the head in 4 bytes, the head, the data.
    pub(super) fn encode(&self) -> Vec<u8> {
        // Strings, numbers and a map with strings as keys: nothing that JSON could not hold.
        let head = serde_json::to_vec(&self.head).unwrap_or_default();
        let mut bytes = Vec::with_capacity(4 + head.len() + self.data.len());
        bytes.extend_from_slice(&(head.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// `None` for what `encode` has not written.
    pub(super) fn decode(id: u64, bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_at_checked(4)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        let (head, data) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        Some(Self {
            id,
            key: head.key.parse().ok()?,
            head,
            data: data.to_vec(),
        })
    }
}
