use std::fs;
use std::path::PathBuf;

use throughline_testkit::sample;

use super::*;

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn sink(&self, layout: FileLayout, max_bytes: u64, rotate_bytes: u64) -> FileSink {
        FileSink::new(Files {
            path: self.0.path().join("traces"),
            layout,
            max_bytes,
            rotate_bytes,
        })
    }

    /// All files with what is in them, by name.
    fn files(&self) -> Vec<(PathBuf, String)> {
        fn walk(directory: &std::path::Path, found: &mut Vec<(PathBuf, String)>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, found),
                    false => found.push((path.clone(), fs::read_to_string(&path).unwrap())),
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.0.path().join("traces"), &mut found);
        found.sort();
        found
    }

    fn lines(&self) -> usize {
        self.files().iter().map(|(_, text)| text.lines().count()).sum()
    }
}

const MANY: u64 = 1 << 30;

#[test]
fn batch_is_one_line_of_the_process_or_one_for_each_trace() {
    for layout in [FileLayout::ByProcess, FileLayout::ByTrace] {
        let home = Home::new();
        let mut sink = home.sink(layout, MANY, MANY);
        for names in [&["a", "b"][..], &["c"]] {
            assert_eq!(sink.write(&sample::request(names)), Outcome::success());
        }
        let files = home.files();
        let names: Vec<_> = files
            .iter()
            .flat_map(|(_, text)| text.lines())
            .flat_map(|line| {
                let body = json::read_request(line.as_bytes()).expect("a line is a request");
                let spans = all_spans(&body).unwrap();
                spans
                    .iter()
                    .map(|found| found.span.name().to_owned())
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(
            files
                .iter()
                .all(|(_, text)| text.ends_with('\n') && !text.starts_with('\n'))
        );
    }
}

#[test]
fn full_file_is_followed_by_the_next_and_the_oldest_go_at_the_cap() {
    let home = Home::new();
    let mut sink = home.sink(FileLayout::ByProcess, 20 * 4096, 1);
    for _ in 0..5 {
        assert_eq!(sink.write(&sample::request(&["a"])), Outcome::success());
    }
    let stems = |home: &Home| home.files().len();
    assert_eq!((stems(&home), home.lines()), (5, 5));
    fs::write(home.0.path().join("traces/notes.txt"), vec![b'x'; 40 * 4096]).unwrap();
    for _ in 0..60 {
        assert_eq!(sink.write(&sample::request(&["a"])), Outcome::success());
    }
    let ours = home.files().len() - 1;
    assert!((15..=21).contains(&ours), "{ours} files");
    let (stem, number) = sink.own.clone().expect("it has written");
    let newest = home.0.path().join("traces").join(names::numbered(&stem, number));
    assert!(newest.exists() && number == 64, "{number}");
}

#[test]
fn request_that_is_none_is_refused_and_a_directory_that_cannot_be_used_waited_for() {
    let home = Home::new();
    let mut sink = home.sink(FileLayout::ByProcess, MANY, MANY);
    assert!(matches!(sink.write(b"\x0a\x05x"), Outcome::Refused(_)));
    let directory = home.0.path().join("traces");
    fs::remove_dir(&directory).unwrap();
    fs::write(&directory, "").unwrap();
    let outcome = sink.write(&sample::request(&["a"]));
    assert_eq!(
        outcome,
        Outcome::Unavailable {
            retry_after: None,
            message: "it is no directory, or a symbolic link, which is not followed".to_owned()
        }
    );
    fs::remove_file(&directory).unwrap();
    assert_eq!(sink.write(&sample::request(&["a"])), Outcome::success());
    assert_eq!(home.lines(), 1);
}

#[test]
fn batch_that_was_written_in_part_is_not_written_twice_also_when_it_has_grown() {
    const TRACE: &str = "11111111111111111111111111111111";
    // Those whose names are in upper case have ids.
    let request = |names: &[&str]| {
        let spans = names.iter().map(|name| match name.to_lowercase() == **name {
            true => format!(r#"{{"name":"{name}"}}"#),
            false => format!(r#"{{"name":"{name}","traceId":"{TRACE}","spanId":"2222222222222222"}}"#),
        });
        let spans = spans.collect::<Vec<_>>().join(",");
        let text = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#);
        json::read_request(text.as_bytes()).unwrap()
    };
    let home = Home::new();
    let count = |names: &[&str]| {
        let text: String = home.files().into_iter().map(|(_, text)| text).collect();
        let of = |name: &&str| text.matches(&format!("\"name\":\"{name}\"")).count();
        names.iter().map(of).collect::<Vec<_>>()
    };
    let mut sink = home.sink(FileLayout::ByTrace, MANY, MANY);
    // Where the file of the trace is to be stands something else.
    let in_the_way = home.0.path().join("traces/1970-01-01").join(names::numbered(TRACE, 0));
    fs::create_dir_all(&in_the_way).unwrap();
    for _ in 0..3 {
        assert!(matches!(
            sink.write(&request(&["a", "a", "B"])),
            Outcome::Unavailable { .. }
        ));
    }
    assert_eq!(count(&["a", "B"]), [2, 0]);
    // More has ended meanwhile, and one more that cannot be told from the others; another batch comes in between.
    let grown = ["a", "a", "B", "a", "c"];
    assert!(matches!(sink.write(&request(&grown)), Outcome::Unavailable { .. }));
    assert_eq!(sink.write(&request(&["other"])), Outcome::success());
    assert_eq!(count(&["a", "B", "c", "other"]), [3, 0, 1, 1]);
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(sink.write(&request(&grown)), Outcome::success());
    assert_eq!(count(&["a", "B", "c", "other"]), [3, 1, 1, 1]);
    assert!(sink.written.is_empty());
    // What comes later is new, also where it is the same.
    assert_eq!(sink.write(&request(&["a"])), Outcome::success());
    assert_eq!(count(&["a"]), [4]);
}

#[test]
fn file_that_could_not_be_written_goes_unless_somebody_has_written_or_is_about_to() {
    let home = Home::new();
    let path = home.0.path().join("traces");
    let directory = Directory::make(&path).unwrap();
    for (text, is_locked, stays) in [("", false, false), ("a line\n", false, true), ("", true, true)] {
        fs::write(path.join("file"), text).unwrap();
        let file = directory.append("file").unwrap();
        let somebody = directory.append("file").unwrap();
        let lock = is_locked.then(|| Lock::at_once(&somebody).unwrap());
        remove_if_empty(&directory, &file, "file");
        drop(lock);
        assert_eq!(path.join("file").exists(), stays, "{text:?} {is_locked}");
    }
}
