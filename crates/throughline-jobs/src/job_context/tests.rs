use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{Message, Queue, Record};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const JOB: &str = "throughline-job";
const SPAN: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn pairs<'a>(pairs: &[(&'a str, &'a str)]) -> JobContext {
    JobContext::from_pairs(pairs.iter().copied())
}

#[test]
fn names_are_read_in_any_case_and_written_in_lower_case() {
    let job = pairs(&[
        ("TRACEPARENT", PARENT),
        ("TraceState", "a=1"),
        ("Baggage", "k=v"),
        ("Throughline-Job", "c=5;a=1"),
    ]);
    let mut names = Vec::new();
    job.for_each_pair(|name, value| names.push(format!("{name}: {value}")));
    let expected = [
        format!("traceparent: {PARENT}"),
        "tracestate: a=1".to_owned(),
        "baggage: k=v".to_owned(),
        "throughline-job: c=5;a=1".to_owned(),
    ];
    assert_eq!(names, expected);
}

#[test]
fn hostile_records_carry_nothing_of_what_is_wrong() {
    let long = format!("{PARENT}{}", "-x".repeat(8192));
    let many = [SPAN; 9].join(",");
    let many = format!("a=9;s={many}");
    let bad_jobs = [
        "a",
        "a=",
        "a=+1",
        "a=-1",
        "a=4294967296",
        "a=1;a=2",
        "c=99999999999999999999",
        "c=x",
        "s=",
        "s=x",
        "s=1-2-3",
        &many,
        "a=1;s=4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
        "a=1;s=00000000000000000000000000000000-00f067aa0ba902b7-01",
    ];
    for value in bad_jobs {
        let job = pairs(&[("traceparent", PARENT), (JOB, value)]);
        assert!(job.has_span(), "{value}");
        assert_eq!(
            (job.attempts(), job.created(), job.earlier_attempts()),
            (0, None, &[][..]),
            "{value}"
        );
    }
    #[rustfmt::skip]
    let bad_parents: [&[(&str, &str)]; 5] = [
        &[("traceparent", "00-x")],
        &[("traceparent", PARENT), ("TraceParent", PARENT)],
        &[("traceparent", &long)],
        &[("traceparent", PARENT), ("traceparent", "")],
        &[("tracestate", "a=1")],
    ];
    for parent in bad_parents {
        assert!(pairs(parent).is_empty(), "{parent:?}");
    }
    let doubled = pairs(&[("traceparent", PARENT), (JOB, "a=1"), (JOB, "a=1")]);
    assert_eq!((doubled.has_span(), doubled.attempts()), (true, 0));
    let later = pairs(&[("traceparent", PARENT), (JOB, "a=1;later=version")]);
    assert_eq!(later.attempts(), 1, "what is not known is skipped");
}

#[test]
fn lines_that_are_no_context_are_empty() {
    let long = format!("{PARENT} baggage=k={}", "v".repeat(32 << 10));
    let doubled = format!("{PARENT} {PARENT}");
    for line in [
        "",
        " ",
        "null",
        "{}",
        &doubled,
        &long,
        "\\",
        "job=",
        "job=\\",
        "tracestate=a=1",
        "\u{0}\u{ffff}",
    ] {
        assert!(JobContext::parse(line).is_empty(), "{line:?}");
    }
    assert!(JobContext::parse(PARENT).has_span(), "a traceparent alone");
    assert!(
        JobContext::parse(&format!(" {PARENT}\n")).has_span(),
        "with white space around"
    );
}

#[test]
fn times_beyond_the_clock_are_no_panic() {
    let job = pairs(&[
        ("traceparent", PARENT),
        (JOB, "c=18446744073709551615;e=18446744073709551615;a=4294967295"),
    ]);
    let message = Message::of(&job);
    assert_eq!(message.attempt_number(), u32::MAX);
    assert_eq!(message.queue_wait(SystemTime::now()), Some(Duration::ZERO));
    assert_eq!(JobContext::parse(&job.to_string()), job);
}

#[test]
fn attempts_beyond_the_limit_replace_the_oldest() {
    let mut job = JobContext::parse(PARENT);
    let span = |number: u8| {
        JobContext::parse(&format!("00-{:032x}-{number:016x}-01", 1))
            .context()
            .clone()
    };
    for number in 1..=20 {
        job.begin_attempt(number.into(), &span(number));
    }
    assert_eq!(job.attempts(), 20);
    let ids: Vec<_> = job
        .earlier_attempts()
        .iter()
        .map(|span| span.span_id().to_bytes()[7])
        .collect();
    assert_eq!(ids, (13..=20).collect::<Vec<_>>());
    assert_eq!(JobContext::parse(&job.to_string()).to_string(), job.to_string());
}

#[test]
fn record_does_not_grow_however_often_it_is_sent() {
    static QUEUE: Queue = Queue::new("test", "grow");
    let _capture = throughline::testing::capture();
    let mut headers: HashMap<String, String> = HashMap::new();
    let mut lengths = Vec::new();
    for _ in 0..30 {
        let mut message = Message::of(&headers);
        QUEUE.process(&mut message, || ());
        QUEUE.retry(&message, &mut headers).run(|| ());
        lengths.push(headers.values().map(String::len).sum::<usize>());
    }
    assert_eq!(lengths[12], lengths[29]);
}

prop_compose! {
    fn any_job()(
        ids in (1_u128.., 1_u64.., any::<u8>()),
        times in (any::<Option<u64>>(), any::<Option<u64>>()),
        attempts in any::<u32>(),
        earlier in vec((1_u128.., 1_u64.., any::<u8>()), 0..=8),
        state in prop::option::of("[a-z]{1,9}=[ -+.-<>-~]{0,30}[!-+.-<>-~]"),
        baggage in prop::option::of("[a-z]{1,9}=[!#-+.-:<-\\[\\]-~]{0,30}"),
    ) -> JobContext {
        let mut text = vec![("traceparent", format!("00-{:032x}-{:016x}-{:02x}", ids.0, ids.1, ids.2))];
        text.extend(state.map(|state| ("tracestate", state)));
        text.extend(baggage.map(|baggage| ("baggage", baggage)));
        let spans = earlier.iter().map(|(trace, span, flags)| format!("{trace:032x}-{span:016x}-{flags:02x}"));
        let mut job = format!("a={attempts}");
        times.0.iter().for_each(|time| job.push_str(&format!(";c={time}")));
        times.1.iter().for_each(|time| job.push_str(&format!(";e={time}")));
        if !earlier.is_empty() {
            job.push_str(&format!(";s={}", spans.collect::<Vec<_>>().join(",")));
        }
        text.push((JOB, job));
        JobContext::from_pairs(text)
    }
}

proptest! {
    #[test]
    fn every_form_reads_what_it_wrote(job in any_job()) {
        prop_assert!(job.has_span());
        let line = job.to_string();
        prop_assert!(!line.contains(['\n', '\r']));
        prop_assert_eq!(&JobContext::parse(&line), &job);
        let mut map: HashMap<String, String> = HashMap::new();
        map.write(&job);
        prop_assert_eq!(&map.read(), &job);
        let mut list: Vec<(String, String)> = vec![("Traceparent".to_owned(), "stale".to_owned())];
        list.write(&job);
        prop_assert_eq!(&list.read(), &job);
        #[cfg(feature = "serde")]
        {
            let json = serde_json::to_string(&job).unwrap();
            prop_assert_eq!(&serde_json::from_str::<JobContext>(&json).unwrap(), &job);
            let line = serde_json::to_string(&line).unwrap();
            prop_assert_eq!(&serde_json::from_str::<JobContext>(&line).unwrap(), &job);
        }
    }

    #[test]
    fn random_text_is_read_without_a_panic(text in ".{0,200}", bytes in vec(any::<u8>(), 0..200)) {
        let _ = JobContext::parse(&text);
        let _ = JobContext::parse(&format!("{PARENT} job={text}"));
        for name in ["traceparent", "tracestate", "baggage", JOB] {
            let _ = JobContext::from_pairs([(name.as_bytes(), bytes.as_slice())]);
        }
    }

    /// Near to what is valid: fields of a job with pieces missing, doubled and exchanged.
    #[test]
    fn mutated_line_is_read_without_a_panic(job in any_job(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let mut letters: Vec<char> = job.to_string().chars().collect();
        let at = at.index(letters.len());
        letters[at] = with;
        let read = JobContext::parse(&letters.iter().collect::<String>());
        prop_assert!(read.to_string().len() <= 32 << 10);
        let cut: String = letters[..at].iter().collect();
        let _ = JobContext::parse(&cut);
    }
}

#[cfg(feature = "serde")]
#[test]
fn values_of_other_types_are_an_empty_context() {
    for json in [
        "null",
        "1",
        "1.5",
        "-1",
        "true",
        "[1,{}]",
        "\"x\"",
        "{}",
        "{\"traceparent\":7}",
        "{\"traceparent\":[[]]}",
    ] {
        let job: JobContext = serde_json::from_str(json).unwrap();
        assert!(job.is_empty(), "{json}");
    }
    let doubled = format!("{{\"traceparent\":\"{PARENT}\",\"Traceparent\":\"{PARENT}\"}}");
    assert!(serde_json::from_str::<JobContext>(&doubled).unwrap().is_empty());
    let beside = format!("{{\"traceparent\":\"{PARENT}\",\"other\":{{\"deep\":[1]}}}}");
    assert!(serde_json::from_str::<JobContext>(&beside).unwrap().has_span());
}
