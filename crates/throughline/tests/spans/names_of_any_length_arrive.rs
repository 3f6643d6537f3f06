use crate::traced::{number, pairs, root, traced};

fn names() -> Vec<String> {
    let of_length = [0, 1, 5, 6, 7, 8, 14, 126, 127, 128, 129, 900, 1000, 5000];
    let mut names: Vec<String> = of_length
        .into_iter()
        .map(|len| "abcdefghijklmnopqrstuvwxyz".chars().cycle().take(len).collect())
        .collect();
    names.extend(["GET /注文/{id}", "🦀".repeat(32).as_str(), "a\u{0}b\r\n\"\\"].map(str::to_owned));
    names
}

#[test]
fn span_has_the_name_it_started_with() {
    let started: Vec<_> = names()
        .into_iter()
        .map(|name| {
            let mut span = root(&name);
            span.set("after", 1);
            (name, span.context())
        })
        .collect();
    let received = traced().spans(started.iter().map(|(_, context)| context));
    for ((name, _), received) in started.into_iter().zip(received) {
        assert_eq!(received.name, name);
        assert_eq!(pairs(&received.attributes), [("after", number(1))]);
    }
}

#[test]
fn renamed_span_has_the_last_name_and_all_else() {
    let mut renamed = Vec::new();
    for first in names() {
        for second in names() {
            let mut span = root(&first);
            span.set("after", 1);
            span.rename("between");
            span.event("an event", []);
            span.rename(&second);
            span.set("last", 2);
            renamed.push((first.len(), second, span.context()));
        }
    }
    let received = traced().spans(renamed.iter().map(|(_, _, context)| context));
    for ((first, second, _), received) in renamed.into_iter().zip(received) {
        assert_eq!(received.name, second, "after a name of {first} bytes");
        assert_eq!(pairs(&received.attributes), [("after", number(1)), ("last", number(2))]);
        assert_eq!(received.events.len(), 1);
    }
}

#[test]
fn text_that_is_too_long_is_cut_between_two_characters() {
    let long = format!("x{}", "ü".repeat(2 << 20));
    let cut = &long[..(64 << 10) - 1];
    let started = root(&long);
    let mut renamed = root("renamed");
    renamed.set("after", 1);
    renamed.rename(&long);
    let mut failed = root("failed");
    failed.status_error(&long);
    let contexts = [started.context(), renamed.context(), failed.context()];
    drop((started, renamed, failed));
    let received = traced().spans(&contexts);
    assert!(received[0].name == cut && received[1].name == cut);
    assert_eq!(pairs(&received[1].attributes), [("after", number(1))]);
    let status = received[2].status.clone().expect("it failed");
    assert!(status.code == 2 && status.message == cut);
}
