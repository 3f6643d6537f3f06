//! What an operation has come to.

use std::any::type_name;
use std::fmt::Display;

/// What an operation may return: a `Result` whose error can be displayed, a `bool` that says whether it succeeded, or nothing.
///
/// A failure becomes the status of the span and its attribute `error.type`: the error's type, or `_OTHER` where it is a mere text.
pub trait Outcome {
    /// The failure, if it is one.
    fn failure(&self) -> Option<Failure<'_>>;
}

/// Why an operation failed.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    kind: &'a str,
    message: Option<&'a dyn Display>,
}

impl<'a> Failure<'a> {
    /// A failure of a kind, which is one of a few (semantic conventions, `error.type`), and its message if it says more.
    #[must_use]
    pub fn new(kind: &'a str, message: Option<&'a dyn Display>) -> Self {
        Self { kind, message }
    }

    /// A failure by an error.
    #[must_use]
    pub fn of<E: Display>(error: &'a E) -> Self {
        let kind = match type_name::<E>() {
            "alloc::string::String" | "&str" => OTHER,
            kind => kind,
        };
        Self::new(kind, Some(error))
    }

    /// The value of `error.type`.
    #[must_use]
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// What the error says of itself.
    #[must_use]
    pub fn message(&self) -> Option<&'a dyn Display> {
        self.message
    }
}

impl std::fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// "When error.type is set to a type […]": there is none (semantic conventions, `error.type`).
const OTHER: &str = "_OTHER";

impl<T, E: Display> Outcome for Result<T, E> {
    fn failure(&self) -> Option<Failure<'_>> {
        self.as_ref().err().map(Failure::of)
    }
}

impl Outcome for bool {
    fn failure(&self) -> Option<Failure<'_>> {
        (!self).then_some(Failure::new(OTHER, None))
    }
}

impl Outcome for () {
    fn failure(&self) -> Option<Failure<'_>> {
        None
    }
}
