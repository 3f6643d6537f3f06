//! The status of a span.

/// How the work of a span went (OTLP `Status.StatusCode`).
///
/// The numbers are those of OTLP. The rules for changing a status (Ok is final, the last Error
/// wins) belong to whoever sets it, not to the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StatusCode {
    /// Nothing was said, or a number this version does not know. The default.
    #[default]
    Unset = 0,
    /// The application declared success.
    Ok = 1,
    /// The work failed; a message may say why.
    Error = 2,
}

impl StatusCode {
    /// The number OTLP uses, 0 to 2.
    #[inline]
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code with this OTLP number; [`Unset`](Self::Unset) if there is none.
    ///
    /// ```
    /// use throughline_wire::StatusCode;
    ///
    /// assert_eq!(StatusCode::from_number(2), StatusCode::Error);
    /// assert_eq!(StatusCode::from_number(-1), StatusCode::Unset);
    /// ```
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}
