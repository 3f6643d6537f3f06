//! What may be the value of an attribute.

use std::borrow::Cow;
use std::fmt::{self, Debug, Display, Write};
use std::num;
use std::rc::Rc;
use std::sync::Arc;

use throughline_wire::Value;

use crate::caught::caught;

/// Whatever may be the value of an attribute: numbers of all sizes, texts, `bool`, `char`, slices of these, bytes, `Option`s
/// (`None`: the attribute is not set), references and smart pointers to any of them, [`Value`], and with [`display`] and
/// [`debug`] everything that can be formatted.
///
/// Integers beyond the range of `i64` become the nearest `f64`.
///
/// ```
/// use throughline::{debug, display, span};
///
/// let mut span = span!("resize", image.width = 640_u16, image.tags = ["cat", "tree"]);
/// span.set("image.title", Some("A cat"));
/// span.set("image.url", display(std::net::Ipv4Addr::LOCALHOST));
/// span.set("image.format", debug(Some(1)));
/// span.set("image.author", None::<String>); // not set
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of an attribute",
    label = "no number, text, bool, slice of these, or `Option` of one",
    note = "format it: `%value` or `?value` in a macro, `throughline::display(&value)` or `throughline::debug(&value)` elsewhere"
)]
pub trait ToValue {
    /// Whether making the value runs code of the user's (`Display`, `Debug`): then it is made only for spans that are recorded.
    #[doc(hidden)]
    const IS_FORMATTED: bool = false;

    /// The value, where it can be had without a copy of anything. Of these alone the compiler sees which kind they are.
    #[doc(hidden)]
    #[inline(always)]
    fn direct(&self) -> Option<Value<'_>> {
        None
    }

    /// Calls `use_it` with the value. `None`, without a call, where there is none.
    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R>;
}

/// A value that is what its `Display` says, asked only when the span is recorded. In macros: `%value`.
///
/// One that panics costs its text, and nothing else.
pub fn display<T: Display>(value: T) -> Displayed<T> {
    Displayed(value)
}

/// A value that is what its `Debug` says, asked only when the span is recorded. In macros: `?value`.
///
/// One that panics costs its text, and nothing else.
pub fn debug<T: Debug>(value: T) -> Debugged<T> {
    Debugged(value)
}

/// Made by [`display`].
#[derive(Clone, Copy, Debug)]
pub struct Displayed<T>(T);

/// Made by [`debug`].
#[derive(Clone, Copy, Debug)]
pub struct Debugged<T>(T);

impl<T: Display> ToValue for Displayed<T> {
    const IS_FORMATTED: bool = true;

    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
        with_text(format_args!("{}", self.0), use_it)
    }
}

impl<T: Debug> ToValue for Debugged<T> {
    const IS_FORMATTED: bool = true;

    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
        with_text(format_args!("{:?}", self.0), use_it)
    }
}

impl ToValue for fmt::Arguments<'_> {
    const IS_FORMATTED: bool = true;

    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
        match self.as_str() {
            Some(text) => Some(use_it(&Value::Str(text))),
            None => with_text(*self, use_it),
        }
    }
}

impl ToValue for Value<'_> {
    #[inline(always)]
    fn direct(&self) -> Option<Value<'_>> {
        Some(*self)
    }

    #[inline(always)]
    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
        Some(use_it(self))
    }
}

impl<T: ToValue> ToValue for Option<T> {
    const IS_FORMATTED: bool = T::IS_FORMATTED;

    #[inline(always)]
    fn direct(&self) -> Option<Value<'_>> {
        self.as_ref()?.direct()
    }

    #[inline]
    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
        self.as_ref()?.with_value(use_it)
    }
}

macro_rules! copied {
    ($($type:ty)*) => {$(
        impl ToValue for $type {
            #[inline(always)]
            fn direct(&self) -> Option<Value<'_>> {
                Some(Value::from(*self))
            }

            #[inline(always)]
            fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
                Some(use_it(&Value::from(*self)))
            }
        }
    )*};
}
copied!(bool i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

macro_rules! non_zero {
    ($($type:ident)*) => {$(
        impl ToValue for num::$type {
            #[inline]
            fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
                Some(use_it(&Value::from(self.get())))
            }
        }
    )*};
}
non_zero!(NonZeroI8 NonZeroI16 NonZeroI32 NonZeroI64 NonZeroI128 NonZeroIsize);
non_zero!(NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroU128 NonZeroUsize);

macro_rules! texts {
    ($($type:ty)*) => {$(
        impl ToValue for $type {
            #[inline(always)]
            fn direct(&self) -> Option<Value<'_>> {
                Some(Value::Str(self))
            }

            #[inline(always)]
            fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
                Some(use_it(&Value::Str(self)))
            }
        }
    )*};
}
texts!(str String);

impl ToValue for char {
    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
        Some(use_it(&Value::Str(self.encode_utf8(&mut [0; 4]))))
    }
}

macro_rules! slices_as_they_are {
    ($($item:ty => $variant:ident,)*) => {$(
        impl ToValue for [$item] {
            #[inline(always)]
            fn direct(&self) -> Option<Value<'_>> {
                Some(Value::$variant(self))
            }

            #[inline]
            fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
                Some(use_it(&Value::$variant(self)))
            }
        }
    )*};
}
slices_as_they_are! {
    u8 => Bytes,
    &str => StrArray,
    i64 => I64Array,
    f64 => F64Array,
    bool => BoolArray,
    Value<'_> => Array,
    (&str, Value<'_>) => Map,
}

/// Those whose items have to be converted first.
macro_rules! slices_of_others {
    ($($item:ty => $variant:ident: $convert:expr,)*) => {$(
        impl ToValue for [$item] {
            fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
                let items: Vec<_> = self.iter().map($convert).collect();
                Some(use_it(&Value::$variant(&items)))
            }
        }
    )*};
}
slices_of_others! {
    String => StrArray: String::as_str,
    i8 => I64Array: |item| i64::from(*item),
    i16 => I64Array: |item| i64::from(*item),
    i32 => I64Array: |item| i64::from(*item),
    u16 => I64Array: |item| i64::from(*item),
    u32 => I64Array: |item| i64::from(*item),
    i128 => Array: |item| Value::from(*item),
    isize => Array: |item| Value::from(*item),
    u64 => Array: |item| Value::from(*item),
    u128 => Array: |item| Value::from(*item),
    usize => Array: |item| Value::from(*item),
    f32 => F64Array: |item| f64::from(*item),
}

impl ToValue for [Cow<'_, str>] {
    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
        let items: Vec<&str> = self.iter().map(|text| &**text).collect();
        Some(use_it(&Value::StrArray(&items)))
    }
}

macro_rules! sequences {
    ($(($($generics:tt)*) $type:ty,)*) => {$(
        impl<$($generics)*> ToValue for $type
        where
            [T]: ToValue,
        {
            #[inline(always)]
            fn direct(&self) -> Option<Value<'_>> {
                self.as_slice().direct()
            }

            #[inline]
            fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
                self.as_slice().with_value(use_it)
            }
        }
    )*};
}
sequences! {
    (T) Vec<T>,
    (T, const N: usize) [T; N],
}

macro_rules! pointers {
    ($($type:ty)*) => {$(
        impl<T: ToValue + ?Sized> ToValue for $type {
            const IS_FORMATTED: bool = T::IS_FORMATTED;

            #[inline(always)]
            fn direct(&self) -> Option<Value<'_>> {
                (**self).direct()
            }

            #[inline(always)]
            fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
                (**self).with_value(use_it)
            }
        }
    )*};
}
pointers!(&T &mut T Box<T> Rc<T> Arc<T>);

impl<T: ToValue + ToOwned + ?Sized> ToValue for Cow<'_, T> {
    const IS_FORMATTED: bool = T::IS_FORMATTED;

    #[inline(always)]
    fn direct(&self) -> Option<Value<'_>> {
        (**self).direct()
    }

    #[inline]
    fn with_value<R>(&self, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
        (**self).with_value(use_it)
    }
}

/// Formats without an allocation where the text is short, and lets no panic out.
fn with_text<R>(text: fmt::Arguments<'_>, use_it: impl FnOnce(&Value<'_>) -> R) -> Option<R> {
    let mut formatted = Text::default();
    write_safely(&mut formatted, text);
    Some(use_it(&Value::Str(formatted.as_str())))
}

/// Writes what somebody else's code formats. Of one that reports an error or panics, what it wrote before.
pub(crate) fn write_safely(out: &mut impl Write, text: fmt::Arguments<'_>) {
    if caught(|| out.write_fmt(text)).is_none() {
        // Writing to memory does not fail.
        let _ = out.write_str("(its message panicked)");
    }
}

/// A text that is on the stack while it is short.
struct Text {
    short: [u8; 128],
    len: usize,
    /// All of it, once it is longer.
    long: String,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            short: [0; 128],
            len: 0,
            long: String::new(),
        }
    }
}

impl Text {
    fn as_str(&self) -> &str {
        if self.long.is_empty() {
            // Only whole `str`s are written there.
            std::str::from_utf8(&self.short[..self.len]).unwrap_or_default()
        } else {
            &self.long
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = self.len + more.len();
        if let (true, Some(room)) = (self.long.is_empty(), self.short.get_mut(self.len..end)) {
            room.copy_from_slice(more.as_bytes());
            self.len = end;
            return Ok(());
        }
        if self.long.is_empty() {
            let short = self.as_str().to_owned();
            self.long = short;
        }
        self.long.push_str(more);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: impl ToValue) -> Option<String> {
        value.with_value(|value| format!("{value:?}"))
    }

    #[test]
    fn text_of_any_length_is_kept_whole() {
        for len in [0, 1, 127, 128, 129, 1000] {
            let text = "ü".repeat(len / 2) + &"x".repeat(len % 2);
            for parts in [1, 2, 5] {
                let mut whole = Text::default();
                let chars: Vec<_> = text.chars().collect();
                for part in chars.chunks(chars.len().div_ceil(parts).max(1)) {
                    let part: String = part.iter().collect();
                    whole.write_str(&part).expect("memory takes it");
                }
                assert_eq!(whole.as_str(), text, "{len} {parts}");
            }
        }
    }

    #[test]
    #[expect(
        clippy::needless_borrows_for_generic_args,
        clippy::cloned_ref_to_slice_refs,
        reason = "references are what it is about"
    )]
    fn value_is_whatever_a_user_has_in_hand() {
        let text = String::from("x");
        for (value, expected) in [
            (shown(&&text), "Str(\"x\")"),
            (shown(&&"x"), "Str(\"x\")"),
            (shown(text.clone()), "Str(\"x\")"),
            (shown(Cow::Borrowed("x")), "Str(\"x\")"),
            (shown(Arc::<str>::from("x")), "Str(\"x\")"),
            (shown('ü'), "Str(\"ü\")"),
            (shown(7_usize), "I64(7)"),
            (shown(&&7_u8), "I64(7)"),
            (shown(num::NonZeroU16::MAX), "I64(65535)"),
            (shown(u64::MAX), "F64(1.8446744073709552e19)"),
            (shown(1.5_f32), "F64(1.5)"),
            (shown(Some(&Some(true))), "Bool(true)"),
            (shown([1_u8, 2]), "Bytes([1, 2])"),
            (shown(vec![1, 2]), "I64Array([1, 2])"),
            (shown(&[text.clone()]), "StrArray([\"x\"])"),
            (shown([Cow::Borrowed("x")]), "StrArray([\"x\"])"),
            (shown(&["x"][..]), "StrArray([\"x\"])"),
            (shown([u64::MAX]), "Array([F64(1.8446744073709552e19)])"),
            (shown([("k", Value::from(1))]), "Map([(\"k\", I64(1))])"),
            (shown(display(1.5)), "Str(\"1.5\")"),
            (shown(debug(&text)), "Str(\"\\\"x\\\"\")"),
            (shown(format_args!("{text}{}", 1)), "Str(\"x1\")"),
            (shown(format_args!("plain")), "Str(\"plain\")"),
        ] {
            assert_eq!(value.as_deref(), Some(expected));
        }
        assert_eq!(shown(None::<&str>), None);
        assert_eq!(shown(Some(&None::<&str>)), None);
    }

    #[test]
    fn formatter_that_panics_or_fails_costs_its_text_only() {
        struct Broken(bool);
        impl Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                if self.0 {
                    panic!("as the test wants")
                } else {
                    Err(fmt::Error)
                }
            }
        }
        assert_eq!(
            shown(display(Broken(true))).as_deref(),
            Some("Str(\"half(its message panicked)\")")
        );
        assert_eq!(shown(display(Broken(false))).as_deref(), Some("Str(\"half\")"));
    }
}
