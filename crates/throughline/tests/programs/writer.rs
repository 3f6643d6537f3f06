//! Two threads that end spans until they are killed. After each `end()` a thread adds one byte to a file of its own, in the
//! directory that is the argument: what is there survives the process, and says how many of its spans had ended for sure.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

use throughline::span;

fn main() {
    let directory: PathBuf = std::env::args_os().nth(1).map(PathBuf::from).unwrap_or_default();
    let _tracing = throughline::init("writer");
    thread::scope(|scope| {
        for writer in 0..2 {
            let directory = &directory;
            scope.spawn(move || write(writer, directory));
        }
    });
}

fn write(writer: u64, directory: &Path) {
    let mut ended = File::create(directory.join(format!("ended-{writer}"))).expect("the test made the directory");
    let mut said = false;
    let mut number = 0;
    // Numbers are given in the order in which spans end. Nested: up to three in an outer one.
    loop {
        let outer = span!("outer", writer = writer).enter();
        for _ in 0..number % 4 {
            let mut inner = span!("inner", writer = writer);
            let text = text(writer, number);
            inner.set("number", number);
            inner.set("checksum", checksum(writer, number, &text));
            inner.set("text", &text);
            inner.end();
            acknowledge(&mut ended, &mut number);
        }
        let text = text(writer, number);
        outer.set("number", number);
        outer.set("checksum", checksum(writer, number, &text));
        outer.set("text", &text);
        work();
        drop(outer);
        acknowledge(&mut ended, &mut number);
        if !said {
            said = true;
            let _ = writeln!(std::io::stdout(), "{writer} has begun");
        }
        work();
    }
}

/// A program does other things than to make spans; and the disk need not take a gigabyte.
fn work() {
    for n in 0..10_000 {
        std::hint::black_box(n);
    }
}

fn acknowledge(ended: &mut File, number: &mut u64) {
    ended.write_all(b"x").expect("the disk has room for a byte");
    *number += 1;
}

/// 1 to 3000 bytes, most of them few.
fn text(writer: u64, number: u64) -> String {
    let length = match number % 16 {
        15 => 3000,
        14 => 700,
        small => 1 + small * 17,
    };
    let letter = |at: u64| char::from(b'a' + ((at * 7 + number * 3 + writer) % 26) as u8);
    (0..length).map(letter).collect()
}

/// FNV-1a over all that tells the span from others. The test computes it from what it finds.
fn checksum(writer: u64, number: u64, text: &str) -> i64 {
    let bytes = [writer, number].map(u64::to_le_bytes).into_iter().flatten();
    let hash = bytes.chain(text.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash as i64
}
