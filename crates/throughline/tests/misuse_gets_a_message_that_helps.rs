//! What is easy to get wrong does not compile, and the compiler says how it is right.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What somebody writes, and what the compiler's messages must hold.
const CASES: [(&str, &str, &[&str]); 26] = [
    (
        "value_of_no_kind",
        r#"struct Order; fn main() { let _span = throughline::span!("x", order = Order); }"#,
        &["`Order` cannot be the value of an attribute", "`?value` in a macro"],
    ),
    (
        "set_with_value_of_no_kind",
        r#"struct Order; fn main() { throughline::Span::none().set("order", Order); }"#,
        &[
            "`Order` cannot be the value of an attribute",
            "throughline::debug(&value)",
        ],
    ),
    (
        "no_name",
        "fn main() { let _span = throughline::span!(); }",
        &["a span needs a name: span!(\\\"name\\\""],
    ),
    (
        "kind_without_a_name",
        "fn main() { let _span = throughline::span!(kind: Client); }",
        &["a span needs a name"],
    ),
    (
        "options_behind_the_name",
        r#"fn main() { let _span = throughline::span!("x", parent: None, a = 1); }"#,
        &["options (`parent:`, `kind:`) come before the name"],
    ),
    (
        "event_with_a_parent",
        r#"fn main() { throughline::event!(parent: 1, "x"); }"#,
        &["an event is named with its span"],
    ),
    (
        "no_comma_behind_the_name",
        r#"fn main() { let _span = throughline::span!("x" a = 1); }"#,
        &["the name of a span is followed by a comma"],
    ),
    (
        "kind_that_is_none",
        r#"fn main() { let _span = throughline::span!(kind: Sever, "x"); }"#,
        &["no variant", "Sever"],
    ),
    (
        "options_in_the_wrong_order",
        r#"fn main() { let _span = throughline::span!(kind: Server, parent: None, "x"); }"#,
        &["`parent:` comes before `kind:`"],
    ),
    (
        "parent_without_a_context",
        r#"fn main() { let _span = throughline::span!(parent: 7, "x"); }"#,
        &["Parent<'_>", "implements `From<&SharedSpan>`"],
    ),
    (
        "attribute_without_a_key",
        r#"fn main() { let _span = throughline::span!("x", 1 + 2); }"#,
        &["this is no attribute: `1 + 2`", "`key = value`"],
    ),
    (
        "guard_over_an_await",
        r#"fn is_send(_: impl Send) {}
        fn main() {
            is_send(async {
                let _span = throughline::span!("x").enter();
                std::future::ready(()).await;
            });
        }"#,
        &["cannot be sent between threads safely"],
    ),
    (
        "current_of_another_thread",
        r#"fn main() { throughline::current(|span| std::thread::scope(|scope| { scope.spawn(|| span.set("x", 1)); })); }"#,
        &["cannot be s"],
    ),
    (
        "span_used_after_its_guard_was_made",
        r#"fn main() { let mut span = throughline::span!("x"); let _entered = span.enter(); span.set("a", 1); }"#,
        &["borrow of moved value: `span`"],
    ),
    (
        "traced_struct",
        "#[throughline::traced] struct Order; fn main() {}",
        &["`#[traced]` stands before a function"],
    ),
    (
        "traced_const_fn",
        "#[throughline::traced] const fn f() {} fn main() {}",
        &["a `const fn` cannot be traced"],
    ),
    (
        "traced_without_a_body",
        "trait Pay { #[throughline::traced] fn pay(&self); } fn main() {}",
        &["a function without a body cannot be traced"],
    ),
    (
        "traced_with_skip",
        "#[throughline::traced(skip(card))] fn f(card: u8) {} fn main() { f(1); }",
        &["no argument is recorded unless it is named in `fields(…)`"],
    ),
    (
        "traced_with_an_unknown_option",
        "#[throughline::traced(level = 7)] fn f() {} fn main() { f(); }",
        &["`#[traced]` takes `name = \\\"…\\\"`, `kind = Client`"],
    ),
    (
        "traced_with_a_name_alone",
        "#[throughline::traced(name)] fn f() {} fn main() { f(); }",
        &["`name` takes a value: `name = …`"],
    ),
    (
        "traced_with_fields_without_parentheses",
        "#[throughline::traced(fields = 7)] fn f() {} fn main() { f(); }",
        &["fields stand in parentheses"],
    ),
    (
        "traced_calls_without_a_closure",
        "#[throughline::traced(calls = true)] fn f() -> u8 { 1 } fn main() { f(); }",
        &["`calls` is for functions that return a closure: `impl Fn(…)`"],
    ),
    (
        "traced_calls_of_an_async_fn",
        "#[throughline::traced(calls = true)] async fn f() -> Box<dyn Fn()> { Box::new(|| ()) } fn main() { drop(f()); }",
        &["`calls` is for functions that are not `async`"],
    ),
    (
        "traced_calls_with_fields",
        "#[throughline::traced(calls = true, fields(a))] fn f(a: u8) -> impl Fn() -> u8 { move || a } fn main() { f(1)(); }",
        &[
            "with `calls` there is no `fields(…)`",
            "throughline::current(|span| span.set",
        ],
    ),
    (
        "traced_calls_of_no_truth",
        "#[throughline::traced(calls)] fn f() -> impl Fn() { || () } fn main() { f()(); }",
        &["`calls` takes a value: `calls = …`"],
    ),
    (
        "traced_field_of_no_kind",
        "struct Card; #[throughline::traced(fields(card))] fn f(card: Card) { drop(card); } fn main() { f(Card); }",
        &["`Card` cannot be the value of an attribute"],
    ),
];

#[test]
fn misuse_gets_a_message_that_helps() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("misuse");
    let manifest = format!(
        "[package]\nname = \"misuse\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         throughline = {{ path = {here:?}, default-features = false }}\n"
    );
    fs::create_dir_all(package.join("src/bin")).expect("the target directory can be written");
    fs::write(package.join("Cargo.toml"), manifest).expect("it can be written");
    // The same versions, so that nothing has to be fetched.
    fs::copy(here.join("../../Cargo.lock"), package.join("Cargo.lock")).expect("the workspace has one");
    for (name, program, _) in CASES {
        fs::write(package.join(format!("src/bin/{name}.rs")), program).expect("it can be written");
    }
    fs::write(
        package.join("src/bin/right.rs"),
        "#![forbid(unused_imports, unreachable_code, warnings)]
        #[throughline::traced(fields(a))] fn f(a: u8) -> Option<u8> { Some(a) }
        #[throughline::traced] async fn later() -> Result<(), String> { Err(\"x\")? }
        #[throughline::traced(calls = true)] fn each() -> impl Fn(u8) -> u8 { |a| a }
        #[throughline::traced(calls = true)] fn sum(a: u8) -> impl FnMut(u8) -> u8 { let mut a = a; move |b| { a += b; a } }
        fn main() { let _span = throughline::span!(\"x\", a = 1); f(1); drop(later()); each()(1); sum(1)(2); }",
    )
    .expect("it can be written");
    let check = |arguments: &[&str]| {
        let checked = Command::new(env!("CARGO"))
            .args(["check", "--quiet", "--offline", "--message-format", "json"])
            .args(arguments)
            .current_dir(&package)
            .env("CARGO_TARGET_DIR", package.join("target"))
            .output()
            .expect("Cargo runs");
        (
            checked.status.success(),
            String::from_utf8_lossy(&checked.stdout).into_owned(),
        )
    };
    let (is_right, said) = check(&["--bin", "right"]);
    assert!(is_right, "what is right does not compile: {said}");
    let (_, all) = check(&["--bins", "--keep-going"]);
    for (name, program, expected) in CASES {
        let of_it = format!("src/bin/{name}.rs");
        let said: Vec<_> = all
            .lines()
            .filter(|line| line.contains(&of_it) && line.contains("\"level\":\"error\""))
            .collect();
        assert!(!said.is_empty(), "it compiles: {program}");
        for part in expected {
            assert!(
                said.iter().any(|line| line.contains(part)),
                "{name}: no {part:?} in {said:#?}"
            );
        }
    }
}
