//! A program that is killed at any instant has lost no span that had ended: none is torn, doubled or invented, after a
//! reboot neither, and the next process delivers them all, once.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use throughline_spool::{Reader, State};
use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::otlp::trace::v1::Span;
use throughline_testkit::otlp::trace::v1::status::StatusCode;
use throughline_testkit::prost::Message;
use throughline_testkit::{Program, Receiver, Spool};

const KILLS: u32 = 100;
const WRITERS: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn after_a_hundred_kills_no_ended_span_is_lost_torn_or_invented() {
    let mut random = Random::new();
    let receiver = down();
    let (mut ended, mut unfinished) = (0, 0);
    for kill in 0..KILLS {
        let spool = Spool::new().expect("a private directory");
        let acknowledged = kill_a_writer(&spool, &receiver, &mut random);
        let found = read(spool.path().as_path());
        found.check(&acknowledged, &format!("kill {kill} of {random:?}"));
        ended += found.finished.len();
        unfinished += found.unfinished.len();
    }
    assert!(ended > 20 * KILLS as usize, "{ended} spans are too few to tell");
    assert!(unfinished > 0, "no kill has hit an open span");
    println!("{KILLS} kills: {ended} spans had ended, {unfinished} were open; {random:?}");
}

#[test]
fn what_killed_processes_left_arrives_once_also_after_a_reboot() {
    let mut random = Random::new();
    let spool = Spool::new().expect("a private directory");
    let mut receiver = down();
    for _ in 0..8 {
        kill_a_writer(&spool, &receiver, &mut random);
    }
    let before = read(spool.path().as_path());
    let rebooted = Spool::new().expect("a private directory");
    copy_as_after_a_reboot(&spool.path(), &rebooted.path());
    let after = read(rebooted.path().as_path());
    // Open slots are never synced, and so not trusted after another boot.
    assert!(
        ids(&after.finished) == ids(&before.finished),
        "a reboot has lost finished spans"
    );
    assert!(
        ids(&after.unfinished).is_subset(&ids(&before.unfinished)),
        "a reboot invents no span"
    );
    let left = [before.ids(), after.ids()];

    receiver.restart().expect("the port is still free");
    let mut expected = 0;
    for (spool, left) in [&spool, &rebooted].into_iter().zip(&left) {
        expected += left.len();
        let adopter = adopter(spool, &receiver).spawn().expect("it runs");
        let received = receiver
            .wait_for(expected, PATIENCE)
            .unwrap_or_else(|error| panic!("{error}; {}; {random:?}", adopter.stderr()));
        assert_eq!(received.len(), expected, "{random:?}");
        let of_this_spool = &received[expected - left.len()..];
        let distinct: HashSet<_> = of_this_spool.iter().map(|span| span.span_id()).collect();
        assert!(distinct == *left, "each once; {random:?}");
    }
}

#[test]
fn adopter_that_is_killed_too_doubles_at_most_one_batch() {
    const BATCH: usize = 64;
    let mut random = Random::new();
    let spool = Spool::new().expect("a private directory");
    let mut receiver = down();
    while read(spool.path().as_path()).ids().len() < 10 * BATCH {
        kill_a_writer(&spool, &receiver, &mut random);
    }
    let left = read(spool.path().as_path()).ids();

    receiver.restart().expect("the port is still free");
    let adopting = || {
        adopter(&spool, &receiver)
            .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH.to_string())
            .spawn()
            .expect("it runs")
    };
    let first = adopting();
    receiver.wait_for_requests(3, PATIENCE).expect("it adopts");
    first.kill9().expect("it can be killed");
    let before = receiver.spans().len();
    assert!(before < left.len(), "it is killed in the middle");
    let _second = adopting();
    receiver.wait_for(left.len(), PATIENCE).expect("the rest arrives");
    // What was doubled may be among these: wait until all are there, not only as many.
    let deadline = std::time::Instant::now() + PATIENCE;
    let ids = || {
        let spans = receiver.spans();
        let ids: HashSet<_> = spans.iter().map(|span| span.span_id()).collect();
        (spans.len(), ids)
    };
    while ids().1.len() < left.len() && std::time::Instant::now() < deadline {
        let _ = receiver.wait_for(receiver.spans().len() + 1, Duration::from_secs(1));
    }
    let (count, ids) = ids();
    assert_eq!(ids, left, "{random:?}");
    assert!(
        count <= left.len() + BATCH,
        "{count} for {}, {before} before the kill; {random:?}",
        left.len()
    );
}

/// A receiver where nothing listens yet.
fn down() -> Receiver {
    let mut receiver = Receiver::start().expect("loopback has a free port");
    receiver.stop();
    receiver
}

/// A process that makes no span of its own, and lives on.
fn adopter(spool: &Spool, receiver: &Receiver) -> Program {
    Program::example("program_steps", spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .arg("park")
}

/// Runs the writer, and kills it 1 to 60 ms after both its threads have begun. Returns how many spans of each had ended.
fn kill_a_writer(spool: &Spool, receiver: &Receiver, random: &mut Random) -> Vec<u64> {
    let running = Program::example("program_writer", spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .arg(spool.home())
        .spawn()
        .expect("it runs");
    for writer in 0..WRITERS {
        running
            .wait_for_stdout(&format!("{writer} has begun"))
            .expect("it begins");
    }
    // The instant is what is tried here, so it is left to chance and not waited for.
    std::thread::sleep(Duration::from_micros(1000 + random.below(59_000)));
    running.kill9().expect("it can be killed");
    let finished = running.wait().expect("it is dead");
    assert_eq!(finished.signal, Some(9), "{finished}");
    let ended = |writer| fs::metadata(spool.home().join(format!("ended-{writer}")));
    (0..WRITERS)
        .map(|writer| ended(writer).expect("it has begun").len())
        .collect()
}

/// What lies in a spool, decoded.
struct Found {
    finished: Vec<Span>,
    unfinished: Vec<Span>,
}

fn ids(spans: &[Span]) -> HashSet<String> {
    let hex = |span: &Span| span.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    spans.iter().map(hex).collect()
}

fn read(root: &Path) -> Found {
    let contents = Reader::new(root).read();
    assert_eq!(contents.problems, [""; 0], "nothing is torn");
    let mut found = Found {
        finished: Vec::new(),
        unfinished: Vec::new(),
    };
    for stored in &contents.spans {
        let span = Span::decode(&*stored.body).expect("an OTLP span");
        match stored.state {
            State::Finished => found.finished.push(span),
            State::Unfinished => found.unfinished.push(span),
            State::Open => panic!("its process is dead: {span:?}"),
        }
    }
    found
}

impl Found {
    fn ids(&self) -> HashSet<String> {
        let mut all = ids(&self.finished);
        all.extend(ids(&self.unfinished));
        all
    }

    /// Compares with the numbers of spans that had ended for sure, by writer.
    fn check(&self, acknowledged: &[u64], context: &str) {
        assert_eq!(
            self.ids().len(),
            self.finished.len() + self.unfinished.len(),
            "no span is there twice: {context}"
        );
        let mut numbers = BTreeMap::<u64, Vec<u64>>::new();
        for span in &self.finished {
            let (writer, number) = (int(span, "writer"), int(span, "number"));
            assert_eq!(int(span, "checksum"), checksum(writer, number, text(span)), "{context}");
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
            assert!(["inner", "outer"].contains(&span.name.as_str()), "{context}");
            numbers.entry(writer).or_default().push(number);
        }
        assert_eq!(numbers.len(), acknowledged.len(), "{context}");
        for (writer, mut numbers) in numbers {
            numbers.sort_unstable();
            let count = numbers.len() as u64;
            assert!(
                numbers.into_iter().eq(0..count),
                "a gap or a double of {writer}: {context}"
            );
            // One may have ended without having been able to say so.
            let acknowledged = acknowledged[writer as usize];
            assert!(
                (acknowledged..=acknowledged + 1).contains(&count),
                "{count} of {writer} for {acknowledged}: {context}"
            );
        }
        let parents: HashSet<_> = self
            .finished
            .iter()
            .chain(&self.unfinished)
            .map(|s| &s.span_id)
            .collect();
        for span in self.finished.iter().filter(|span| span.name == "inner") {
            assert!(
                parents.contains(&span.parent_span_id),
                "an outer span is neither finished nor unfinished: {context}"
            );
        }
        let mut open = HashSet::new();
        for span in &self.unfinished {
            let status = span.status.clone().unwrap_or_default();
            assert_eq!(status.code(), StatusCode::Error, "{context}");
            assert!(span.attributes.iter().any(|a| a.key == "throughline.unfinished"));
            let writer = span
                .attributes
                .iter()
                .find(|a| a.key == "writer")
                .map(|_| int(span, "writer"));
            assert!(
                open.insert((writer, span.name.clone())),
                "a thread has one span of each name open: {context}"
            );
        }
    }
}

fn value<'a>(span: &'a Span, key: &str) -> &'a Value {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key);
    let value = attribute.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    value.unwrap_or_else(|| panic!("{key} is missing: {span:?}"))
}

fn int(span: &Span, key: &str) -> u64 {
    match value(span, key) {
        Value::IntValue(value) => *value as u64,
        other => panic!("{key} is {other:?}"),
    }
}

fn text(span: &Span) -> &str {
    match value(span, "text") {
        Value::StringValue(text) => text,
        other => panic!("the text is {other:?}"),
    }
}

/// As the writer computes it.
fn checksum(writer: u64, number: u64, text: &str) -> u64 {
    let bytes = [writer, number].map(u64::to_le_bytes).into_iter().flatten();
    bytes.chain(text.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Copies a spool whose processes are dead, and lets them be of another boot: the files are as a clean reboot leaves them,
/// and nobody holds a lock.
fn copy_as_after_a_reboot(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("it can be listed") {
        let entry = entry.expect("it can be listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("it is there").is_dir() {
            fs::create_dir(&target).expect("it is new");
            copy_as_after_a_reboot(&entry.path(), &target);
        } else {
            let bytes = fs::read(entry.path()).expect("it can be read");
            let bytes = if entry.file_name() == "manifest" {
                of_another_boot(bytes)
            } else {
                bytes
            };
            fs::write(target, bytes).expect("there is room");
        }
    }
}

/// A manifest ends with the CRC-32C of what is before.
fn of_another_boot(mut manifest: Vec<u8>) -> Vec<u8> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("Linux has one");
    let id = id.trim().as_bytes();
    let at = manifest.windows(id.len()).position(|window| window == id);
    let at = at.expect("the manifest names the boot");
    manifest[at] = if id[0] == b'0' { b'1' } else { b'0' };
    let end = manifest.len() - 4;
    let crc = !manifest[..end].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    });
    manifest[end..].copy_from_slice(&crc.to_le_bytes());
    manifest
}

/// SplitMix64. `SEED` in the environment repeats a run.
#[derive(Debug)]
struct Random {
    #[expect(dead_code, reason = "shown by Debug, so that a failure can be repeated")]
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = given.unwrap_or_else(|| now.map_or(1, |now| now.as_nanos() as u64));
        Self { seed, state: seed }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
