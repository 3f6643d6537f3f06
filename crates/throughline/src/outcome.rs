//! What a traced function has come to: an `Err` becomes the status of the span it ran in.
//!
//! Which of these is called the compiler decides by the type of the error alone, trying the traits from the first to the last:
//! each is implemented for one reference less than the one before.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::ops::Deref;

use crate::span::current;
use crate::value::write_safely;

/// What was returned.
#[derive(Debug)]
pub struct Outcome<'a, T>(pub &'a T);

/// The error with its sources.
pub trait RecordError {
    /// Sets the current span's status, if there is an error.
    fn record(&self);
}

impl<T, E: Error> RecordError for &&&&Outcome<'_, Result<T, E>> {
    fn record(&self) {
        if let Err(error) = self.0 {
            current(|span| span.error(error));
        }
    }
}

/// The error that a box holds: `Box<dyn Error>`, `anyhow::Error`.
pub trait RecordBoxedError {
    /// Sets the current span's status, if there is an error.
    fn record(&self);
}

impl<T, E: Deref<Target: Error>> RecordBoxedError for &&&Outcome<'_, Result<T, E>> {
    fn record(&self) {
        if let Err(error) = self.0 {
            current(|span| span.error(&**error));
        }
    }
}

/// What the error says of itself.
pub trait RecordDisplay {
    /// Sets the current span's status, if there is an error.
    fn record(&self);
}

impl<T, E: Display> RecordDisplay for &&Outcome<'_, Result<T, E>> {
    fn record(&self) {
        if let Err(error) = self.0 {
            fail_with(format_args!("{error}"));
        }
    }
}

/// What the error says of itself to programmers.
pub trait RecordDebug {
    /// Sets the current span's status, if there is an error.
    fn record(&self);
}

impl<T, E: Debug> RecordDebug for &Outcome<'_, Result<T, E>> {
    fn record(&self) {
        if let Err(error) = self.0 {
            fail_with(format_args!("{error:?}"));
        }
    }
}

/// Nothing is known of what was returned.
pub trait RecordNothing {
    /// Sets the current span's status, if there is an error.
    fn record(&self);
}

impl<T> RecordNothing for Outcome<'_, T> {
    fn record(&self) {}
}

fn fail_with(text: std::fmt::Arguments<'_>) {
    current(|span| {
        let mut message = String::new();
        write_safely(&mut message, text);
        span.status_error(&message);
    });
}
