//! The kind of a span.

/// What a span stands for in a call between two parties (OTLP `Span.SpanKind`).
///
/// The numbers are those of OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SpanKind {
    /// Not said, or a number this version does not know. Receivers treat it as internal.
    Unspecified = 0,
    /// Work inside one program. The default.
    #[default]
    Internal = 1,
    /// Handles a request that came over the network.
    Server = 2,
    /// Sends a request and waits for its answer.
    Client = 3,
    /// Hands a message over that is handled later.
    Producer = 4,
    /// Handles a message that was handed over earlier.
    Consumer = 5,
}

impl SpanKind {
    /// The number OTLP uses, 0 to 5.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this OTLP number; [`Unspecified`](Self::Unspecified) if there is none.
    ///
    /// ```
    /// use throughline_wire::SpanKind;
    ///
    /// assert_eq!(SpanKind::from_number(3), SpanKind::Client);
    /// assert_eq!(SpanKind::from_number(99), SpanKind::Unspecified);
    /// ```
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}
