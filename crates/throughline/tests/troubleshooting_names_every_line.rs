//! `docs/troubleshooting.md` has every line that the library says on stderr.

use std::fs;
use std::path::{Path, PathBuf};

/// What stands between words that are filled in; shorter pieces say nothing.
const TELLING: usize = 12;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The text of the first string of the code, as the program has it.
fn first_string(code: &str) -> Option<String> {
    let (_, rest) = code.split_once('"')?;
    let (text, _) = rest.split_once('"')?;
    let lines: Vec<_> = text.split("\\\n").map(str::trim_start).collect();
    Some(lines.concat())
}

/// The first piece that is not filled in, and long enough to be told from others.
fn telling_piece(text: &str) -> Option<&str> {
    text.split('{')
        .map(|piece| piece.split_once('}').map_or(piece, |(_filled_in, rest)| rest))
        .flat_map(|piece| piece.split(['`', '(', ')', ';']))
        .map(str::trim)
        .find(|piece| piece.len() >= TELLING)
}

#[test]
fn page_has_every_line_of_the_library() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(package.join("../../docs/troubleshooting.md")).expect("the page is there");
    let page = page.replace('`', "");
    let mut files = Vec::new();
    sources(&package.join("src"), &mut files);
    let mut texts = Vec::new();
    for file in files.iter().filter(|file| !file.to_string_lossy().contains("tests")) {
        let source = fs::read_to_string(file).expect("it can be read");
        let said = source.split("report_once(format_args!(").skip(1);
        texts.extend(said.filter_map(first_string));
    }
    let outcome = fs::read_to_string(package.join("src/delivery/outcome.rs")).expect("it is there");
    let failures = outcome
        .split("impl fmt::Display for Failure")
        .nth(1)
        .expect("its texts");
    let arms = failures.split("Self::").skip(1).take_while(|arm| arm.contains("=>"));
    texts.extend(arms.filter_map(first_string));
    assert!(texts.len() > 40, "{}", texts.len());
    let missing: Vec<_> = texts
        .iter()
        .filter_map(|text| telling_piece(text))
        // A line may stop where the page has an ellipsis.
        .filter(|piece| !page.contains(&piece[..piece.len().min(40)]))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/troubleshooting.md does not have: {missing:#?}"
    );
}
