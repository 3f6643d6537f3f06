//! The value of an attribute, borrowed from wherever it is.

use std::borrow::Cow;

/// A value on its way into a span: OTLP `AnyValue` without ownership.
///
/// Being [`Copy`] and borrowed, it costs nothing until it is [encoded](crate::encode).
///
/// Integers beyond the range of `i64` become the nearest [`F64`](Value::F64): the magnitude stays
/// right and the value stays a number, where wrapping or clipping would make up another one.
/// An `Option` that is `None` becomes [`Empty`](Value::Empty).
///
/// ```
/// use throughline_wire::Value;
///
/// assert_eq!(Value::from("text"), Value::Str("text"));
/// assert_eq!(Value::from(7_u64), Value::I64(7));
/// assert_eq!(Value::from(u64::MAX), Value::F64(18_446_744_073_709_551_615.0));
/// assert_eq!(Value::from(None::<bool>), Value::Empty);
/// assert_eq!(Value::from(&["a", "b"]), Value::StrArray(&["a", "b"]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// No value, which OTLP can say (an `AnyValue` with nothing set). The default.
    #[default]
    Empty,
    /// Text.
    Str(&'a str),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A floating-point number; NaN and the infinities are allowed.
    F64(f64),
    /// Bytes that are not text.
    Bytes(&'a [u8]),
    /// Values of any kind, in order.
    Array(&'a [Value<'a>]),
    /// Names and values, in order.
    Map(&'a [(&'a str, Value<'a>)]),
    /// An array of texts.
    StrArray(&'a [&'a str]),
    /// An array of whole numbers.
    I64Array(&'a [i64]),
    /// An array of floating-point numbers.
    F64Array(&'a [f64]),
    /// An array of yes or no.
    BoolArray(&'a [bool]),
}

macro_rules! from_small_integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Value<'_> {
            #[inline]
            fn from(value: $integer) -> Self {
                Self::I64(i64::from(value))
            }
        }
    )*};
}
from_small_integers!(i8 i16 i32 i64 u8 u16 u32);

macro_rules! from_large_integers {
    ($($integer:ty)*) => {$(
        /// The nearest [`F64`](Value::F64) if it does not fit into an `i64`.
        impl From<$integer> for Value<'_> {
            #[inline]
            fn from(value: $integer) -> Self {
                match i64::try_from(value) {
                    Ok(value) => Self::I64(value),
                    Err(_) => Self::F64(value as f64),
                }
            }
        }
    )*};
}
from_large_integers!(i128 isize u64 u128 usize);

macro_rules! from_slices {
    ($($item:ty => $variant:ident,)*) => {$(
        impl<'a> From<&'a [$item]> for Value<'a> {
            #[inline]
            fn from(value: &'a [$item]) -> Self {
                Self::$variant(value)
            }
        }

        impl<'a, const N: usize> From<&'a [$item; N]> for Value<'a> {
            #[inline]
            fn from(value: &'a [$item; N]) -> Self {
                Self::$variant(value)
            }
        }

        impl<'a> From<&'a Vec<$item>> for Value<'a> {
            #[inline]
            fn from(value: &'a Vec<$item>) -> Self {
                Self::$variant(value)
            }
        }
    )*};
}
from_slices! {
    u8 => Bytes,
    &'a str => StrArray,
    i64 => I64Array,
    f64 => F64Array,
    bool => BoolArray,
    Value<'a> => Array,
    (&'a str, Value<'a>) => Map,
}

impl<'a> From<&'a str> for Value<'a> {
    #[inline]
    fn from(value: &'a str) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    #[inline]
    fn from(value: &'a String) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a Cow<'_, str>> for Value<'a> {
    #[inline]
    fn from(value: &'a Cow<'_, str>) -> Self {
        Self::Str(value)
    }
}

impl From<bool> for Value<'_> {
    #[inline]
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<f32> for Value<'_> {
    #[inline]
    fn from(value: f32) -> Self {
        Self::F64(f64::from(value))
    }
}

impl From<f64> for Value<'_> {
    #[inline]
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    #[inline]
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_integers_keep_their_magnitude() {
        let edge = i64::MAX as u64;
        let cases = [
            (Value::from(edge), Value::I64(i64::MAX)),
            (Value::from(edge + 1), Value::F64(9.223_372_036_854_776e18)),
            (Value::from(usize::MAX), Value::F64(1.8446744073709552e19)),
            (Value::from(i128::from(i64::MIN)), Value::I64(i64::MIN)),
            (Value::from(i128::MIN), Value::F64(-1.7014118346046923e38)),
            (Value::from(-5_isize), Value::I64(-5)),
        ];
        for (value, expected) in cases {
            assert_eq!(value, expected);
        }
    }

    #[test]
    fn anything_a_caller_has_at_hand_is_a_value() {
        let (text, bytes) = (String::from("x"), vec![1_u8]);
        assert_eq!(Value::from(&text), Value::Str("x"));
        assert_eq!(Value::from(&Cow::Borrowed("x")), Value::Str("x"));
        assert_eq!(Value::from(&bytes), Value::Bytes(&[1]));
        assert_eq!(Value::from(Some("x")), Value::Str("x"));
        assert_eq!(Value::from(1.5_f32), Value::F64(1.5));
        assert_eq!(Value::from(&[Value::Empty]), Value::Array(&[Value::Empty]));
        assert_eq!(
            Value::from(&[("k", Value::I64(1))]),
            Value::Map(&[("k", Value::I64(1))])
        );
    }
}
