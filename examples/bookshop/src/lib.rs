//! What the programs of the bookshop share: where they find each other, and what they say.

pub mod price_service;
mod text_codec;

use std::error::Error;

use serde::{Deserialize, Serialize};
use throughline_jobs::{Queue, redis};

/// Whatever goes wrong.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The receipts to be printed: a Redis stream.
pub static RECEIPTS: Queue = redis::queue("receipts");

/// What a customer wants.
#[derive(Debug, Deserialize, Serialize)]
pub struct Order {
    /// Its title.
    pub book: String,
}

/// Where a program listens, or the server that it needs: the variable of this name, or a default.
#[must_use]
pub fn address(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
