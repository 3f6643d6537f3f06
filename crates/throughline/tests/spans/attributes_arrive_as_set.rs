use throughline::{Context, Value, span};
use throughline_testkit::otlp::common::v1::any_value::Value as Any;
use throughline_testkit::otlp::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

use crate::traced::{number, pairs, root, text, traced};

fn array(values: impl IntoIterator<Item = Any>) -> Any {
    Any::ArrayValue(ArrayValue {
        values: values
            .into_iter()
            .map(|value| AnyValue { value: Some(value) })
            .collect(),
    })
}

fn map(key: &str, value: Any) -> Any {
    Any::KvlistValue(KeyValueList {
        values: vec![KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        }],
    })
}

#[test]
fn every_kind_of_value() {
    let inner = [("deep", Value::I64(5))];
    let mixed = [Value::Str("a"), Value::Bool(true), Value::Map(&inner)];
    #[rustfmt::skip]
    let cases = [
        (Value::Str("text"), text("text")),
        (Value::Str(""), text("")),
        (Value::Str("Grüße, 你好 🦀 \u{0}\r\n"), text("Grüße, 你好 🦀 \u{0}\r\n")),
        (Value::Bool(true), Any::BoolValue(true)),
        (Value::Bool(false), Any::BoolValue(false)),
        (Value::I64(0), number(0)),
        (Value::I64(-1), number(-1)),
        (Value::I64(i64::MIN), number(i64::MIN)),
        (Value::I64(i64::MAX), number(i64::MAX)),
        (Value::from(u64::MAX), Any::DoubleValue(18_446_744_073_709_551_615.0)),
        (Value::F64(0.0), Any::DoubleValue(0.0)),
        (Value::F64(-1.5), Any::DoubleValue(-1.5)),
        (Value::F64(f64::INFINITY), Any::DoubleValue(f64::INFINITY)),
        (Value::Bytes(&[]), Any::BytesValue(vec![])),
        (Value::Bytes(&[0, 255, 128]), Any::BytesValue(vec![0, 255, 128])),
        (Value::StrArray(&["a", ""]), array([text("a"), text("")])),
        (Value::StrArray(&[]), array([])),
        (Value::I64Array(&[1, -2]), array([number(1), number(-2)])),
        (Value::F64Array(&[0.5]), array([Any::DoubleValue(0.5)])),
        (Value::BoolArray(&[true, false]), array([Any::BoolValue(true), Any::BoolValue(false)])),
        (Value::Array(&mixed), array([text("a"), Any::BoolValue(true), map("deep", number(5))])),
        (Value::Map(&inner), map("deep", number(5))),
    ];
    let keys: Vec<String> = (0..cases.len()).map(|at| format!("key.{at}")).collect();
    let mut span = root("values");
    for ((value, _), key) in cases.iter().zip(&keys) {
        span.set(key, *value);
    }
    let received = traced().end(span);
    let expected: Vec<_> = cases
        .into_iter()
        .zip(&keys)
        .map(|((_, value), key)| (key.as_str(), value))
        .collect();
    assert_eq!(pairs(&received.attributes), expected);
    assert_eq!(received.dropped_attributes_count, 0);
}

#[test]
fn nothing_and_not_a_number_are_values_too() {
    let mut span = root("odd values");
    span.set("nothing", Value::Empty);
    span.set("nan", f64::NAN);
    let received = traced().end(span);
    assert_eq!(received.attributes[0].value.clone().and_then(|value| value.value), None);
    assert!(matches!(pairs(&received.attributes)[1].1, Any::DoubleValue(nan) if nan.is_nan()));
}

#[test]
fn macro_and_the_builder_set_what_the_methods_set() {
    let root_context = Context::root();
    let size = 640_u32;
    traced();
    let by_macro = span!(parent: &root_context, kind: Client, "made", http.route = "/x", "odd key" = 5, user.type = size, flag = true,);
    let by_builder = throughline::Span::builder("made")
        .parent(&root_context)
        .set("http.route", "/x")
        .set("odd key", 5)
        .set("user.type", size)
        .set("flag", true)
        .start();
    let by_macro = traced().end(by_macro);
    let by_builder = traced().end(by_builder);
    let expected = [
        ("http.route", text("/x")),
        ("odd key", number(5)),
        ("user.type", number(640)),
        ("flag", Any::BoolValue(true)),
    ];
    assert_eq!(pairs(&by_macro.attributes), expected);
    assert_eq!(pairs(&by_builder.attributes), expected);
}

/// Around the slot's 1 KiB, and around lengths whose own length takes another byte.
const LENGTHS: [usize; 9] = [0, 1, 100, 127, 128, 700, 1000, 5000, 20_000];

#[test]
fn key_set_again_has_the_last_value_whatever_its_length() {
    let mut made = Vec::new();
    for first in LENGTHS {
        for second in LENGTHS {
            let mut span = root("twice");
            span.set("before", 1);
            span.set("key", "a".repeat(first));
            span.set("after", "c".repeat(50));
            span.set("key", "b".repeat(second));
            span.set("end", true);
            made.push((first, second, span.context()));
        }
    }
    for (first, second, context) in made {
        let received = traced().span(&context);
        let expected = [
            ("before", number(1)),
            ("key", text(&"b".repeat(second))),
            ("after", text(&"c".repeat(50))),
            ("end", Any::BoolValue(true)),
        ];
        assert!(
            pairs(&received.attributes) == expected,
            "{first} then {second}: {:?}",
            received.attributes
        );
        assert_eq!(received.name, "twice");
    }
}

#[test]
fn key_twice_in_the_macro_has_the_last_value_of_whatever_kind() {
    traced();
    let long = "x".repeat(3000);
    let span = span!(parent: &Context::root(), "twice", a = 1, b = "b", a = "two", b = &long, c = 0.5, a = false);
    let received = traced().end(span);
    assert_eq!(
        pairs(&received.attributes),
        [
            ("a", Any::BoolValue(false)),
            ("b", text(&long)),
            ("c", Any::DoubleValue(0.5))
        ]
    );
}

#[test]
fn keys_that_share_a_hash_stay_apart() {
    // 64 bits stand for all keys: among 100 keys there are many that share one.
    let keys: Vec<String> = (0..100).map(|at| format!("k{at}")).collect();
    let mut span = root("many keys");
    for (at, key) in keys.iter().enumerate() {
        span.set(key, at);
    }
    for (at, key) in keys.iter().enumerate().filter(|(at, _)| at % 3 == 0) {
        span.set(key, at + 1000);
    }
    let received = traced().end(span);
    let expected: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(at, key)| (key.as_str(), number(if at % 3 == 0 { at + 1000 } else { at } as i64)))
        .collect();
    assert_eq!(pairs(&received.attributes), expected);
}

#[test]
fn nearly_two_mebibytes_in_one_span() {
    let large = "0123456789abcdef".repeat(1_900_000 / 16);
    let mut span = root("large");
    span.set("small", 1);
    span.set("large", &large);
    let received = traced().end(span);
    assert!(pairs(&received.attributes) == [("small", number(1)), ("large", text(&large))]);
}

#[test]
fn value_is_a_variable_a_field_or_formatted() {
    struct Order {
        id: u64,
        note: Option<&'static str>,
    }
    let (user_id, price, error) = (7_u32, 2.5, std::fmt::Error);
    let url = std::net::Ipv4Addr::LOCALHOST;
    let order = Order { id: 9, note: None };
    let root = Context::root();
    let mut span = throughline::span!(
        parent: &root,
        "shorthand",
        user_id,
        order.id,
        order.note,
        ?error,
        %url,
        total = price * 2.0,
        text = String::from("owned"),
        "as debug" = ?Some(1),
        "as display" = %1.5,
        by.debug = ?error,
        by.display = %url,
    );
    span.set("letter", 'x');
    span.set("absent", None::<u8>);
    span.set("late", throughline::display(&url));
    span.set("args", format_args!("{user_id}!"));
    let received = traced().end(span);
    let debugged = text("Error");
    let expected = [
        ("user_id", number(7)),
        ("order.id", number(9)),
        ("error", debugged.clone()),
        ("url", text("127.0.0.1")),
        ("total", Any::DoubleValue(5.0)),
        ("text", text("owned")),
        ("as debug", text("Some(1)")),
        ("as display", text("1.5")),
        ("by.debug", debugged),
        ("by.display", text("127.0.0.1")),
        ("letter", text("x")),
        ("late", text("127.0.0.1")),
        ("args", text("7!")),
    ];
    assert_eq!(pairs(&received.attributes), expected);
}

#[test]
fn formatter_runs_only_for_a_span_that_is_recorded_and_may_use_it() {
    /// Writes to the span that it is a value of.
    struct Nosy<'a>(&'a dyn Fn());
    impl std::fmt::Display for Nosy<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            (self.0)();
            f.write_str("seen")
        }
    }
    let shared = root("shared").share();
    let clone = shared.clone();
    let write = move || clone.set("from.inside", true);
    shared.set("nosy", throughline::display(Nosy(&write)));
    throughline::event!(span: shared, "event", nosy = %Nosy(&write));
    let context = shared.context();
    shared.end();
    let ended = || panic!("it is not asked");
    shared.set("lost", throughline::display(Nosy(&ended)));
    let received = traced().span(&context);
    assert_eq!(
        pairs(&received.attributes),
        [("from.inside", Any::BoolValue(true)), ("nosy", text("seen"))]
    );
    assert_eq!(pairs(&received.events[0].attributes), [("nosy", text("seen"))]);

    let unsampled = throughline::extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]);
    let mut unsampled = throughline::span!(parent: unsampled, "unsampled", lost = %Nosy(&ended));
    unsampled.set("lost", throughline::display(Nosy(&ended)));
    throughline::event!(span: unsampled, "lost", lost = %Nosy(&ended));
    throughline::Span::none().set("lost", throughline::debug(&received.name));
}

/// Names that the macro's own must not get in the way of.
#[test]
fn value_may_have_any_name() {
    const KEY: &str = "a constant";
    static BIT: u32 = 7;
    #[expect(non_upper_case_globals, reason = "they hide those of the prelude")]
    mod hiding {
        pub const None: u8 = 1;
    }
    fn generic<const KEY: u64>() -> throughline::Span {
        throughline::span!(parent: Context::root(), "generic", k = KEY)
    }
    let (span, value, batch, attributes, r#type) = (1, 2, 3, 4, 5);
    let root_context = Context::root();
    let mut of_macro = throughline::span!(
        parent: &root_context,
        "names",
        api.key = KEY,
        bit = BIT,
        display = %KEY,
        span,
        value,
        batch,
        attributes,
        r#type,
    );
    throughline::event!(span: of_macro, "event", what = KEY, n = BIT, r#type);
    let received = traced().end(of_macro);
    let expected = [
        ("api.key", text(KEY)),
        ("bit", number(7)),
        ("display", text(KEY)),
        ("span", number(1)),
        ("value", number(2)),
        ("batch", number(3)),
        ("attributes", number(4)),
        ("type", number(5)),
    ];
    assert_eq!(pairs(&received.attributes), expected);
    let of_event = [("what", text(KEY)), ("n", number(7)), ("type", number(5))];
    assert_eq!(pairs(&received.events[0].attributes), of_event);
    assert_eq!(pairs(&traced().end(generic::<9>()).attributes), [("k", number(9))]);
    let hidden = {
        use hiding::None;
        throughline::span!(parent: &root_context, "hidden", none = None)
    };
    assert_eq!(pairs(&traced().end(hidden).attributes), [("none", number(1))]);
}

#[test]
fn attributes_arrive_whatever_room_they_leave() {
    // One of these lengths fills the memory that a span begins in to its last byte, whatever came before.
    let lengths = 0..1200_usize;
    let spans: Vec<_> = lengths
        .clone()
        .flat_map(|len| {
            let long = "x".repeat(len);
            let mut one_by_one = root("one by one");
            one_by_one.set("number", len);
            one_by_one.set("long", &*long);
            let mut together = span!(parent: &Context::root(), "together", number = len, long = &*long);
            let contexts = [one_by_one.context(), together.context()];
            one_by_one.end();
            together.set("more", true);
            together.set("long", "again");
            together.end();
            contexts
        })
        .collect();
    let received = traced().spans(&spans);
    for (len, pair) in lengths.zip(received.chunks(2)) {
        let number = number(i64::try_from(len).expect("it is small"));
        assert_eq!(
            pairs(&pair[0].attributes),
            [("number", number.clone()), ("long", text(&"x".repeat(len)))],
            "{len}"
        );
        assert_eq!(
            pairs(&pair[1].attributes),
            [
                ("number", number),
                ("long", text("again")),
                ("more", Any::BoolValue(true))
            ],
            "{len}"
        );
    }
}
