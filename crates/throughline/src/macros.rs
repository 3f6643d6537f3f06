//! The `span!` macro.

/// Starts a [`Span`](crate::Span): `span!("name", key = value, …)`.
///
/// Options come first, each at most once and in this order: `parent: <&Context>`, `kind: <Kind's variant>`. Keys are
/// written as they are (`http.route`) or, when they are no identifiers, as literals (`"odd key"`). Values are anything
/// that converts into a [`Value`](crate::Value); they are evaluated only when the span is recorded.
///
/// ```
/// use throughline::{Context, span};
///
/// let from_afar = Context::root();
/// let mut plain = span!("load");
/// let mut rich = span!(
///     parent: &from_afar,
///     kind: Server,
///     "GET /orders/{id}",
///     http.request.method = "GET",
///     "odd key" = 7,
/// );
/// ```
#[macro_export]
macro_rules! span {
    (parent: $parent:expr, kind: $kind:ident, $($rest:tt)+) => {
        $crate::__span!([$crate::Parent::from($parent)] [$crate::Kind::$kind] $($rest)+)
    };
    (parent: $parent:expr, $($rest:tt)+) => {
        $crate::__span!([$crate::Parent::from($parent)] [$crate::Kind::Internal] $($rest)+)
    };
    (kind: $kind:ident, $($rest:tt)+) => {
        $crate::__span!([$crate::Parent::Current] [$crate::Kind::$kind] $($rest)+)
    };
    ($($rest:tt)+) => {
        $crate::__span!([$crate::Parent::Current] [$crate::Kind::Internal] $($rest)+)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __span {
    ([$parent:expr] [$kind:expr] $name:expr $(,)?) => {
        $crate::__start!($name, $kind, $parent)
    };
    ([$parent:expr] [$kind:expr] $name:expr, $($attributes:tt)+) => {{
        let mut span = $crate::__start!($name, $kind, $parent);
        if let Some(mut batch) = span.batch() {
            $crate::__attributes!(batch, $($attributes)+);
            batch.finish();
        }
        span
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __start {
    ($name:expr, $kind:expr, $parent:expr) => {{
        static SCOPE: $crate::Scope = $crate::Scope::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        $crate::Span::start($name, &SCOPE, $kind, $parent)
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __attributes {
    ($batch:ident $(,)?) => {};
    ($batch:ident, $first:ident $(. $more:ident)* = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__attribute!($batch, concat!(stringify!($first) $(, ".", stringify!($more))*), $value);
        $crate::__attributes!($batch, $($($rest)*)?);
    };
    ($batch:ident, $key:literal = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__attribute!($batch, $key, $value);
        $crate::__attributes!($batch, $($($rest)*)?);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __attribute {
    ($batch:ident, $key:expr, $value:expr) => {{
        const KEY: &str = $key;
        const BIT: u64 = $crate::__private::key_bit(KEY);
        $batch.put(KEY, BIT, &$crate::Value::from($value));
    }};
}
