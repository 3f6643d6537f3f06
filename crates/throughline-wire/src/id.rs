//! Trace and span ids: fixed-size, never all zero.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::hex::{self, Case};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The id with these bytes, most significant first; `None` if all of them are zero.
            #[inline]
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Option<Self> {
                let mut at = 0;
                while at < $bytes {
                    if bytes[at] != 0 {
                        return Some(Self(bytes));
                    }
                    at += 1;
                }
                None
            }

            /// Reads hexadecimal digits of either case, as OTLP/JSON allows on input. Everywhere
            /// else ids are lower-case: use [`FromStr`].
            ///
            /// # Errors
            /// [`InvalidId`] unless these are exactly the digits of an id that is not zero.
            pub fn from_hex_any_case(text: &str) -> Result<Self, InvalidId> {
                Self::from_hex(text.as_bytes(), Case::Any).ok_or(InvalidId(()))
            }

            /// The bytes, most significant first.
            #[inline]
            #[must_use]
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }

            pub(crate) fn from_hex(text: &[u8], case: Case) -> Option<Self> {
                Self::from_bytes(hex::decode(text, case)?)
            }
        }

        /// Reads lower-case hexadecimal digits, exactly as many as the id has.
        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::from_hex(text.as_bytes(), Case::Lower).ok_or(InvalidId(()))
            }
        }

        /// Lower-case hexadecimal digits, as W3C trace context and OTLP/JSON write ids.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; 2 * $bytes];
                hex::encode(&self.0, &mut text);
                f.pad(std::str::from_utf8(&text).expect("hex::encode writes ASCII digits only"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id! {
    /// Names one trace: 16 bytes, at least one of them not zero
    /// (W3C Trace Context Level 2, section 3.2.2.3).
    ///
    /// ```
    /// use throughline_wire::TraceId;
    ///
    /// let id: TraceId = "0af7651916cd43dd8448eb211c80319c".parse()?;
    /// assert_eq!(id.to_string(), "0af7651916cd43dd8448eb211c80319c");
    /// assert!("0AF7651916CD43DD8448EB211C80319C".parse::<TraceId>().is_err());
    /// assert_eq!(TraceId::from_bytes([0; 16]), None);
    /// # Ok::<(), throughline_wire::InvalidId>(())
    /// ```
    TraceId, 16
}

id! {
    /// Names one span of a trace: 8 bytes, at least one of them not zero
    /// (`parent-id` in W3C Trace Context Level 2, section 3.2.2.4).
    ///
    /// ```
    /// use throughline_wire::SpanId;
    ///
    /// let id: SpanId = "b7ad6b7169203331".parse()?;
    /// assert_eq!(id.to_bytes()[0], 0xb7);
    /// assert_eq!(SpanId::from_hex_any_case("B7AD6B7169203331"), Ok(id));
    /// # Ok::<(), throughline_wire::InvalidId>(())
    /// ```
    SpanId, 8
}

/// A text is no id: the wrong length, something other than hexadecimal digits, or only zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidId(());

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: expected 32 (trace) or 16 (span) hexadecimal digits that are not all zero")
    }
}

impl Error for InvalidId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_is_refused() {
        for bad in [
            "",
            "0000000000000000",
            "b7ad6b716920333",
            "b7ad6b71692033311",
            "+7ad6b7169203331",
            "b7ad6b716920333 ",
            "B7AD6B7169203331",
            "b7ad6b716920333g",
        ] {
            assert!(bad.parse::<SpanId>().is_err(), "{bad:?}");
        }
        assert!(SpanId::from_hex_any_case("0000000000000000").is_err());
        assert!(TraceId::from_hex_any_case("B7AD6B7169203331").is_err());
    }

    #[test]
    fn single_bit_anywhere_makes_an_id() {
        for bit in 0..128 {
            let bytes = (1u128 << bit).to_be_bytes();
            let id = TraceId::from_bytes(bytes).unwrap();
            assert_eq!(id.to_bytes(), bytes);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn debug_names_the_type() {
        let id: SpanId = "b7ad6b7169203331".parse().unwrap();
        assert_eq!(format!("{id:?}"), "SpanId(b7ad6b7169203331)");
    }
}
