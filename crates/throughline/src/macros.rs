//! The macros: `span!`, `event!`, `link!`.

/// Starts a [`Span`](crate::Span): `span!("name", key = value, …)`.
///
/// Options come first, each at most once and in this order: `parent: <anything that has a context>` (see
/// [`Parent`](crate::Parent)), `kind: <SpanKind's variant>` (`Client`, `SpanKind::Client`, or an expression in parentheses). The name is
/// taken as it is: nothing is formatted into it, so that spans of one kind have one name. An `.await` or a `?` in a value does not
/// compile: give it a name first. Values are evaluated only when the span is recorded, or when a
/// [sampler of one's own](crate::ShouldSample) wants to see them.
///
/// | attribute | what it is |
/// |---|---|
/// | `http.route = value` | anything that is a [`ToValue`](crate::ToValue) |
/// | `"odd key" = value` | the same, for keys that are no identifiers |
/// | `user_id`, `order.id` | the variable, or the field, of this name |
/// | `url = %value`, `%url` | what `Display` says |
/// | `error = ?value`, `?error` | what `Debug` says |
///
/// ```
/// use throughline::{Context, span};
///
/// let (user_id, error) = (7, "timeout");
/// let from_afar = Context::root();
/// let mut plain = span!("load");
/// let mut rich = span!(
///     parent: &from_afar,
///     kind: Server,
///     "GET /orders/{id}",
///     http.request.method = "GET",
///     "odd key" = 7,
///     user_id,
///     ?error,
///     peer = %std::net::Ipv4Addr::LOCALHOST,
///     referrer = None::<&str>, // not set
/// );
/// ```
#[macro_export]
macro_rules! span {
    (parent: $parent:expr, kind: $kind:ident, $($rest:tt)+) => {
        $crate::__span!([$crate::__private::parent($parent).by_ref()] [$crate::SpanKind::$kind] $($rest)+)
    };
    (parent: $parent:expr, kind: $kind:expr, $($rest:tt)+) => {
        $crate::__span!([$crate::__private::parent($parent).by_ref()] [$kind] $($rest)+)
    };
    (parent: $parent:expr, $($rest:tt)+) => {
        $crate::__span!([$crate::__private::parent($parent).by_ref()] [$crate::SpanKind::Internal] $($rest)+)
    };
    (kind: $kind:ident, parent: $($rest:tt)+) => {
        compile_error!("`parent:` comes before `kind:`")
    };
    (kind: $kind:expr $(,)?) => {
        compile_error!("a span needs a name: span!(kind: Client, \"name\", key = value)")
    };
    (parent: $parent:expr $(,)?) => {
        compile_error!("a span needs a name: span!(parent: &parent, \"name\", key = value)")
    };
    (kind: $kind:ident, $($rest:tt)+) => {
        $crate::__span!([$crate::__private::ParentRef::Current] [$crate::SpanKind::$kind] $($rest)+)
    };
    (kind: $kind:expr, $($rest:tt)+) => {
        $crate::__span!([$crate::__private::ParentRef::Current] [$kind] $($rest)+)
    };
    () => {
        compile_error!("a span needs a name: span!(\"name\", key = value)")
    };
    ($($rest:tt)+) => {
        $crate::__span!([$crate::__private::ParentRef::Current] [$crate::SpanKind::Internal] $($rest)+)
    };
}

/// Adds an event to the current span, or to the one that is named: `event!(span: order, "name", key = value, …)`.
///
/// Attributes are written as in [`span!`](crate::span!); they are evaluated only when the span is recorded. Without a current span
/// nothing happens.
///
/// ```
/// use throughline::{event, span};
///
/// let order = span!("order").enter();
/// let attempt = 2;
/// event!("retry", attempt, after.seconds = 1.5);
/// event!(span: order, "paid");
/// ```
#[macro_export]
macro_rules! event {
    (parent: $($rest:tt)*) => {
        compile_error!("an event is named with its span: event!(span: order, \"name\", key = value)")
    };
    (span: $span:expr, $name:expr $(, $($attributes:tt)*)?) => {
        $span.event_with($name, |_attributes| { $crate::__attributes!(_attributes, $($($attributes)*)?); })
    };
    ($name:expr $(, $($attributes:tt)*)?) => {{
        $crate::current(|span| $crate::event!(span: span, $name $(, $($attributes)*)?));
    }};
}

/// Links another span to the current one, or to the one that is named: `link!(span: order, &context, key = value, …)`.
///
/// Attributes are written as in [`span!`](crate::span!); they are evaluated only when the span is recorded. Without a current span
/// nothing happens. An empty context is no link, unless there are attributes.
///
/// ```
/// use throughline::{Context, link, span};
///
/// let cause = Context::root();
/// let order = span!("order").enter();
/// link!(&cause, reason = "retried");
/// link!(span: order, &cause);
/// ```
#[macro_export]
macro_rules! link {
    (span: $span:expr, $to:expr $(, $($attributes:tt)*)?) => {
        $span.link_with($to, |_attributes| { $crate::__attributes!(_attributes, $($($attributes)*)?); })
    };
    ($to:expr $(, $($attributes:tt)*)?) => {{
        $crate::current(|span| $crate::link!(span: span, $to $(, $($attributes)*)?));
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __span {
    ([$parent:expr] [$kind:expr] $name:expr $(,)?) => {
        $crate::Span::start($name, $crate::__scope!(), $kind, $parent)
    };
    ([$parent:expr] [$kind:expr] $name:expr, $($attributes:tt)+) => {
        if $crate::__private::wants_all() {
            $crate::__private::start_with_attributes($name, $crate::__scope!(), $kind, $parent, |attributes| {
                $crate::__attributes!(attributes, $($attributes)+);
            })
        } else {
            let mut span = $crate::Span::start($name, $crate::__scope!(), $kind, $parent);
            if let $crate::__private::Some(mut batch) = span.batch() {
                $crate::__attributes!(batch, $($attributes)+);
                batch.finish();
            }
            span
        }
    };
    ([$parent:expr] [$kind:expr] $name:tt $($rest:tt)*) => {
        compile_error!("the name of a span is followed by a comma: span!(\"name\", key = value)")
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __scope {
    () => {{
        static SCOPE: $crate::Scope = $crate::Scope::new(
            $crate::__private::crate_name(option_env!("CARGO_PKG_NAME"), module_path!()),
            match option_env!("CARGO_PKG_VERSION") {
                $crate::__private::Some(version) => version,
                $crate::__private::None => "",
            },
        );
        &SCOPE
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __attributes {
    ($to:ident $(,)?) => {};
    ($to:ident, $(,)?) => {};
    // Formatted.
    ($to:ident, ? $first:ident $(. $more:ident)* $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $crate::__key!($first $($more)*), $crate::debug(&$first $(. $more)*));
        $crate::__attributes!($to, $($($rest)*)?);
    };
    ($to:ident, % $first:ident $(. $more:ident)* $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $crate::__key!($first $($more)*), $crate::display(&$first $(. $more)*));
        $crate::__attributes!($to, $($($rest)*)?);
    };
    ($to:ident, $first:ident $(. $more:ident)* = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $crate::__key!($first $($more)*), $crate::debug(&$value));
        $crate::__attributes!($to, $($($rest)*)?);
    };
    ($to:ident, $first:ident $(. $more:ident)* = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $crate::__key!($first $($more)*), $crate::display(&$value));
        $crate::__attributes!($to, $($($rest)*)?);
    };
    ($to:ident, $key:literal = ? $value:expr $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $key, $crate::debug(&$value));
        $crate::__attributes!($to, $($($rest)*)?);
    };
    ($to:ident, $key:literal = % $value:expr $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $key, $crate::display(&$value));
        $crate::__attributes!($to, $($($rest)*)?);
    };
    // As they are.
    ($to:ident, $first:ident $(. $more:ident)* = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $crate::__key!($first $($more)*), $value);
        $crate::__attributes!($to, $($($rest)*)?);
    };
    ($to:ident, $key:literal = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $key, $value);
        $crate::__attributes!($to, $($($rest)*)?);
    };
    ($to:ident, $first:ident $(. $more:ident)* $(, $($rest:tt)*)?) => {
        $crate::__attribute!($to, $crate::__key!($first $($more)*), $first $(. $more)*);
        $crate::__attributes!($to, $($($rest)*)?);
    };
    ($to:ident, $($other:tt)+) => {
        compile_error!(concat!(
            "this is no attribute: `", stringify!($($other)+),
            "`; write `key = value`, `key = %display`, `key = ?debug`, `variable`, `%variable` or `?variable`; options (`parent:`, `kind:`) come before the name"
        ))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __key {
    ($first:ident $($more:ident)*) => {
        concat!(stringify!($first) $(, ".", stringify!($more))*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __attribute {
    ($to:ident, $key:expr, $value:expr) => {
        // The constants are items, which have no hygiene: the value is outside of their scope.
        match &$value {
            value => {
                const KEY: &str = $crate::__private::key($key);
                const BIT: u64 = $crate::__private::key_bit(KEY);
                match $crate::ToValue::direct(value) {
                    $crate::__private::Some(value) => $to.put(KEY, BIT, &value),
                    $crate::__private::None => {
                        $crate::ToValue::with_value(value, |value| $to.put_slowly(KEY, BIT, value));
                    }
                }
            }
        }
    };
}
