//! Trees as text: what matches, and what is said of what does not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use throughline::testing::{self, Capture};
use throughline::{Value, span};

/// What the assertion says of another tree.
fn difference(capture: &Capture, expected: &str) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| capture.assert_tree(expected))).expect_err("it is another tree");
    *panic.downcast::<String>().expect("a text")
}

/// Two orders: the first is charged twice, in vain at first.
fn two_orders() -> Capture {
    let capture = testing::capture();
    span!("order", order.id = 1).in_scope(|| {
        span!("charge", card = "visa").status_error("declined");
        span!("charge", card = "amex", amount = 2.0, retry = true).end();
    });
    span!("order", order.id = 2).in_scope(|| span!("GET /orders/{id}").end());
    capture
}

#[test]
fn tree_is_shown_line_by_line() {
    let capture = two_orders();
    assert_eq!(
        capture.tree().to_string(),
        "order\n  charge !\n  charge\norder\n  GET /orders/{id}\n"
    );
    assert_eq!(
        capture.tree().with_attributes().to_string(),
        "order {order.id=1}\n  charge ! {card=visa}\n  charge {card=amex, amount=2.0, retry=true}\n\
         order {order.id=2}\n  GET /orders/{id}\n"
    );
}

#[test]
fn assertion_takes_siblings_in_any_order() {
    let capture = two_orders();
    capture.assert_tree(
        "order
           GET /orders/{id}
         order
           charge
           charge !",
    );
}

#[test]
fn assertion_checks_attributes_that_are_named() {
    let capture = two_orders();
    // The first line fits both of its name: it gives way to the second, which fits one only.
    capture.assert_tree(
        "order {order.id=2}
           GET /orders/{id} {}
         order {..}
           charge {amount=2.0, card=\"amex\", ..}
           charge ! {card=visa}",
    );
    let odd = testing::capture();
    span!("a", x = "1", y = 1).end();
    span!("a", x = "b").end();
    odd.assert_tree("a {..}\na {y=1, ..}");
    odd.assert_tree("a {x=b}\na {x=\"1\", y=1}");
    assert!(difference(&odd, "a {x=b}\na {x=1, y=1}").contains("+ a {x=\"1\", y=1}"));
}

#[test]
fn name_or_value_that_could_be_mistaken_is_quoted() {
    let capture = testing::capture();
    span!(
        "odd {name} !",
        x = "a, b",
        y = "true",
        z = "",
        bytes = Value::Bytes(&[1, 171])
    )
    .end();
    span!(" ").end();
    let shown = capture.tree().with_attributes().to_string();
    assert_eq!(
        shown,
        "\"odd {name} !\" {x=\"a, b\", y=\"true\", z=\"\", bytes=0x01ab}\n\" \"\n"
    );
    capture.assert_tree(&shown);
}

#[test]
fn difference_is_shown_as_a_tree() {
    let capture = two_orders();
    assert_eq!(
        difference(
            &capture,
            "order {order.id=7}
               charge
               charge
             order
               ship
                 label
               GET /orders/{id}"
        ),
        "the captured spans are not the expected tree (- expected, + captured):
- order {order.id=7}
+ order {order.id=1}
    charge
-   charge
+   charge !
  order
-   ship
-     label
    GET /orders/{id}
note: `charge` failed: declined
"
    );
    assert_eq!(
        difference(&capture, "order"),
        "the captured spans are not the expected tree (- expected, + captured):
  order
+   charge !
+   charge
+ order
+   GET /orders/{id}
note: `charge` failed: declined
"
    );
}

#[test]
fn missing_span_that_strayed_is_noted() {
    let capture = testing::capture();
    std::thread::spawn(|| span!("the one that strayed").end())
        .join()
        .expect("it ends well");
    assert_eq!(
        difference(&capture, "the one that strayed !"),
        "the captured spans are not the expected tree (- expected, + captured):
- the one that strayed !
note: `the one that strayed` started on a thread without a capture, and without a parent: hand the context on
"
    );
}

#[test]
fn failure_is_reported_where_the_assertion_stands() {
    static PLACE: Mutex<Option<String>> = Mutex::new(None);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current()
            .name()
            .is_some_and(|name| name.ends_with("where_the_assertion_stands"))
        {
            *PLACE.lock().unwrap_or_else(PoisonError::into_inner) =
                info.location().map(|place| place.file().to_owned());
        }
        hook(info);
    }));
    let capture = testing::capture();
    let place = || {
        PLACE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .unwrap_or_default()
    };
    difference(&capture, "a");
    assert!(place().ends_with("trees.rs"));
    difference(&capture, "a {");
    assert!(place().ends_with("trees.rs"));
    assert!(catch_unwind(AssertUnwindSafe(|| capture.span("a"))).is_err());
    assert!(place().ends_with("trees.rs"));
}

#[test]
fn span_is_found_by_its_name_if_there_is_one() {
    let capture = two_orders();
    let find = |name: &str| {
        *catch_unwind(AssertUnwindSafe(|| capture.span(name)))
            .expect_err("not one")
            .downcast::<String>()
            .expect("a text")
    };
    assert!(find("ship").starts_with("no span is named `ship`; captured:\norder\n  charge !\n"));
    assert!(find("order").starts_with("2 spans are named `order`; captured:\n"));
}
