//! `docs/features.md` names a test for each row that is there; this one checks that they exist.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let page = fs::read_to_string(root.join("docs/features.md")).expect("the page is there");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| id |"));
    let mut proven = 0;
    for row in rows {
        let proof = row
            .trim_end_matches(" |")
            .rsplit(" | ")
            .next()
            .expect("a row has cells");
        for proof in proof.split(", ").filter(|proof| proof.starts_with('`')) {
            let mut names = proof.split('`').skip(1).step_by(2);
            let (file, test) = (names.next().expect("a file"), names.next());
            let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}\n{row}"));
            if let Some(test) = test {
                assert!(source.contains(&format!("fn {test}(")), "{file} has no {test}\n{row}");
            }
            proven += 1;
        }
    }
    assert!(
        proven > 20,
        "only {proven} proofs were found: has the page another form?"
    );
}
