//! Rust code in the pages for readers is that of the examples, which are compiled, and started by tests.

use std::fs;
use std::path::{Path, PathBuf};

use throughline_testkit::{Program, Receiver, Spool};

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks of a page that are marked as Rust.
fn rust_code(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let code: Vec<_> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            if language.starts_with("rust") {
                blocks.push(code.join("\n"));
            }
        }
    }
    blocks
}

/// The same, however far it is indented.
fn unindented(code: &str) -> String {
    code.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn rust_code_of_each_page_is_that_of_an_example() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.join("../..");
    let folders = |below: &str| {
        let entries = fs::read_dir(root.join(below)).expect("it can be listed");
        entries
            .map(|entry| entry.expect("it can be listed").path())
            .collect::<Vec<_>>()
    };
    let of_crates = folders("crates").into_iter().map(|path| path.join("examples"));
    let of_services = folders("examples").into_iter().map(|path| path.join("src/bin"));
    let examples: Vec<_> = of_crates
        .chain(of_services)
        .filter(|directory| directory.is_dir())
        .flat_map(|directory| files(&directory, "rs"))
        .map(|path| unindented(&read(&path)))
        .collect();
    let mut found = 0;
    let libraries: String = folders("crates")
        .iter()
        .filter_map(|path| fs::read_to_string(path.join("src/lib.rs")).ok())
        .collect();
    for page in files(&root, "md").into_iter().chain(files(&root.join("docs"), "md")) {
        // One that is the documentation of an item is compiled as it stands.
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        if libraries.contains(&format!("include_str!(\"../../../docs/{name}\")")) {
            continue;
        }
        for code in rust_code(&read(&page)) {
            let code = unindented(&code);
            assert!(
                examples.iter().any(|example| example.contains(&code)),
                "{} has code that no program in crates/*/examples or examples/*/src/bin has: let one have it, word for word\n{code}",
                page.display()
            );
            found += 1;
        }
    }
    assert!(found > 0, "the README shows a program");
}

#[test]
fn readme_program_delivers_its_spans() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example("orders", &spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .expect("it runs")
        .expect_success();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let mut names: Vec<_> = receiver.spans().iter().map(|span| span.name.clone()).collect();
    names.sort();
    assert_eq!(names, ["charge card", "charge card", "handle order"]);
}

#[test]
fn exporter_program_counts_failures() {
    let spool = Spool::new().expect("a private directory");
    let program = Program::example("exporter", &spool).expect("Cargo builds the examples of this package");
    let finished = program.run().expect("it runs").expect_success();
    assert_eq!(
        (finished.stdout.as_str(), finished.stderr.as_str()),
        ("charge card has failed: 4\n", "")
    );
}

#[test]
fn shop_and_worker_pool_account_for_every_span() {
    for (example, expected) in [("shop", "12 orders, "), ("worker_pool", "of 24 jobs are done.")] {
        let receiver = Receiver::start().expect("loopback has a free port");
        let spool = Spool::new().expect("a private directory");
        let finished = Program::example(example, &spool)
            .expect("Cargo builds the examples of this package")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .run()
            .expect("it runs")
            .expect_success();
        assert!(finished.stdout.contains(expected), "{}", finished.stdout);
        let delivered = format!("{} spans delivered to ", receiver.spans().len());
        assert!(finished.stdout.contains(&delivered), "{}{delivered}", finished.stdout);
        assert_eq!(finished.stderr, "", "{example}");
        let shown = receiver
            .spans()
            .iter()
            .map(|span| format!("{:?}", span.span))
            .collect::<String>();
        assert!(
            !shown.contains("@example.com") && !shown.contains("4000 0000"),
            "{example} redacts"
        );
    }
}
