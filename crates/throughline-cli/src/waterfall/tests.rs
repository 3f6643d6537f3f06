//! Waterfalls as they are drawn. After a wanted change, look at what is new and copy it into `drawn/`.

use super::*;
use crate::trace::tests::{span, trace};

/// Five levels, four services, an error, a span that never ended, an open one, a parent that is not here, wide
/// characters, and names that would like to rule the terminal.
fn rich() -> Trace {
    trace([
        span(1, "nightly", 0, 1000),
        span(2, "pack", 10, 250).child_of(1).attribute("files", "3\x1b[2J"),
        span(3, "POST /jobs", 260, 900).child_of(1),
        span(4, "POST /jobs", 270, 880).child_of(3).service("server"),
        span(5, "漢字 compress 漢字", 300, 700).child_of(4).service("worker"),
        span(6, "gzip", 310, 400)
            .child_of(5)
            .error("disk\n\x1b[31mfull")
            .service("worker"),
        span(7, "\x1b]0;owned\x07\u{202e}evil", 410, 410)
            .child_of(5)
            .state(State::Unfinished)
            .service("worker"),
        span(8, "answer", 900, 0).child_of(1).state(State::Open),
        span(9, "elsewhere", 950, 990).child_of(99).service("other"),
    ])
}

fn drawn(trace: &Trace, columns: usize, with_details: bool) -> String {
    draw(
        trace,
        Terminal {
            columns,
            is_limit: true,
            colours: false,
        },
        &Zone::new(true),
        with_details,
    )
}

#[test]
fn waterfall_fits_any_width() {
    for (columns, with_details, expected) in [
        (40, false, include_str!("drawn/40.txt")),
        (80, false, include_str!("drawn/80.txt")),
        (200, true, include_str!("drawn/200-details.txt")),
    ] {
        let drawn = drawn(&rich(), columns, with_details);
        assert!(drawn == expected, "{columns} columns:\n{drawn}");
        assert!(drawn.lines().all(|line| width(line) <= columns), "{drawn}");
    }
}

#[test]
fn waterfall_draws_odd_traces() {
    let deep = (1..=120).map(|depth| {
        let made = span(depth, &format!("level {depth}"), depth.into(), 200);
        if depth > 1 { made.child_of(depth - 1) } else { made }
    });
    for (what, trace) in [
        ("no span", trace([])),
        ("no time at all", trace([span(1, "at once", 5, 5)])),
        (
            "an end before the start",
            trace([span(1, "back", 9, 3), span(2, "b", 1, 2).child_of(1)]),
        ),
        ("no name", trace([span(1, "", 0, 1).service("")])),
        ("a long name", trace([span(1, &"long ".repeat(100), 0, 1)])),
        ("many levels", trace(deep)),
    ] {
        for columns in [20, 33, 100, 1000] {
            for line in drawn(&trace, columns, true).lines() {
                assert!(width(line) <= columns, "{what} in {columns} columns: {line}");
            }
        }
    }
}

#[test]
fn names_of_any_script_keep_the_grid() {
    let trace = trace([
        span(1, "root", 0, 100),
        span(2, "e\u{301}te\u{301}", 0, 100).child_of(1),
        span(3, "👩\u{200d}👩\u{200d}👧 ❤\u{fe0f} 🇦🇹", 0, 100).child_of(1),
        span(4, &"👩\u{200d}👩\u{200d}👧".repeat(40), 0, 100).child_of(1),
        span(5, &"e\u{301}".repeat(90), 0, 100).child_of(1),
    ]);
    for columns in [40, 41, 80] {
        let drawn = drawn(&trace, columns, false);
        let bars: Vec<_> = drawn
            .lines()
            .filter_map(|line| Some(width(&line[..line.find('█')?])))
            .collect();
        assert_eq!(bars.len(), 5, "{drawn}");
        assert!(bars.iter().all(|column| *column == bars[0]), "{bars:?}: {drawn}");
    }
}

#[test]
fn details_are_not_cut_where_there_is_no_limit() {
    let trace = trace([span(1, "s", 0, 1)
        .attribute("key", &"long ".repeat(100))
        .error(&"bad ".repeat(100))]);
    let terminal = Terminal {
        columns: 80,
        is_limit: false,
        colours: false,
    };
    let drawn = draw(&trace, terminal, &Zone::new(true), true);
    assert!(drawn.contains(&format!("key = {}", "long ".repeat(100))), "{drawn}");
    assert!(drawn.contains(&"bad ".repeat(100)), "{drawn}");
}

#[test]
fn waterfall_in_colours_has_the_same_text() {
    let terminal = Terminal {
        columns: 80,
        is_limit: true,
        colours: true,
    };
    let mut plain = draw(&rich(), terminal, &Zone::new(true), true);
    assert!(plain.contains("\x1b[31m"));
    for code in ["\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, drawn(&rich(), 80, true));
}

#[test]
fn waterfall_fits_whatever_a_span_holds() {
    // A small generator (Knuth's MMIX) is enough to hit every field, and gives the same spans each time.
    let mut state = 1_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for _ in 0..2000 {
        let mut spans = rich().spans;
        for span in &mut spans {
            let mut body = span.body.to_vec();
            for _ in 0..1 + random() % 8 {
                let at = random() % body.len();
                body[at] = random() as u8;
            }
            span.body = body.into();
        }
        for (id, spans) in crate::trace::group(spans) {
            let columns = 20 + random() % 100;
            let trace = Trace::new(id, spans);
            for line in drawn(&trace, columns, true).lines() {
                assert!(
                    width(line) <= columns && !line.contains(char::is_control),
                    "{columns} columns: {line:?}"
                );
            }
        }
    }
}
