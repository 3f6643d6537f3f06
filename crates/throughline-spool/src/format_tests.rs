//! `docs/spool-format.md` against the code.

use crate::directory::LONGEST_FILE;
use crate::directory::kept;
use crate::fixture::{header, manifest, offsets, segment, slot as make_slot, span};
use crate::format::header::{
    ARCHIVE_UNIT, CURSOR_LEN, Cursor, HEADER_LEN, Header, MAX_DESTINATIONS, SEALED_LEN, Sealed, UNIT,
};
use crate::format::record::{self, FRAME, HEADER, MAX_BODY};
use crate::format::{slot, source, unfinished};
use crate::recorder::slot::CAPACITY;
use crate::store::ledger::{self, Dropped};

const DOCUMENT: &str = include_str!("../../../docs/spool-format.md");

#[test]
fn document_says_what_the_code_does() {
    let mut expected = vec![
        format!("length of this header: {HEADER_LEN} |"),
        format!("| {HEADER_LEN} | records |"),
        format!("begin at multiples of {UNIT};"),
        format!("files segments begin at multiples of {ARCHIVE_UNIT}."),
        format!("{MAX_DESTINATIONS} destinations x 2 copies x {CURSOR_LEN} bytes"),
        format!("there are at most {MAX_DESTINATIONS}."),
        format!("| {} | sealed | {SEALED_LEN} bytes", Sealed::AT),
        format!("at most {MAX_BODY} bytes long"),
        format!("| longest body of a record | {MAX_BODY} bytes |"),
        format!("| longest source | {} bytes |", source::MAX_LEN),
        format!("| {HEADER} | payload |"),
        format!("A row of slots of {} bytes", slot::LEN),
        format!("| {} | body | an OTLP", slot::BODY),
        format!("| body in a slot | {CAPACITY} bytes |"),
        format!("no more than {} MiB of a file", LONGEST_FILE >> 20),
        format!("removed, at most {} MiB", kept::MOST_BYTES >> 20),
        format!("{} bytes.\n", ledger::LEN),
        format!("the attribute `{}` = true", unfinished::MARK),
        format!("\"{}\"", unfinished::MESSAGE),
    ];
    expected.extend(Dropped::ALL.map(|reason| format!("\n| {} | {}: ", reason as u8, reason.name())));
    for sentence in expected {
        assert!(DOCUMENT.contains(&sentence), "the document does not say: {sentence}");
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    record::read_u32(bytes, at).expect("it is long enough")
}

/// Written from the document alone, as a stranger would.
#[test]
fn segment_is_read_by_its_tables() {
    let generation = 0x1_0000_0002_u64;
    let body = span(5, "name");
    let mut bytes = segment(generation, UNIT, std::slice::from_ref(&body));
    let cursor = Cursor {
        offset: 400,
        sequence: 3,
        settled: 1,
    };
    let place = 128 + (2 * 6 + 3 % 2) * 16;
    assert_eq!(cursor.position(6), place);
    bytes[place..place + 16].copy_from_slice(&cursor.to_bytes(generation));

    assert_eq!(&bytes[..4], b"TLS2");
    assert_eq!((u32_at(&bytes, 4), u32_at(&bytes, 16)), (384, 16384));
    assert_eq!((&bytes[8..16], bytes[20]), (&generation.to_le_bytes()[..], 1));
    assert_eq!(
        u32_at(&bytes, 28),
        crc32c::crc32c_append(crc32c::crc32c(&bytes[..28]), &bytes[64..128])
    );
    assert_eq!(
        [0, 4, 8].map(|at| u32_at(&bytes, place + at)),
        [400, 3, 1],
        "offset, sequence, items"
    );
    assert_eq!(
        u32_at(&bytes, place + 12),
        crc32c::crc32c_append(2, &bytes[place..place + 12])
    );

    let commit = u32_at(&bytes, 384);
    assert_eq!((commit >> 24, (commit & 0xff_ffff) as usize), (1, FRAME + body.len()));
    let payload = &bytes[396..396 + FRAME + body.len()];
    assert_eq!((payload[0], &payload[4..]), (0x12, body.as_slice()));
    let length = u32::from(payload[1] & 0x7f) | u32::from(payload[2] & 0x7f) << 7 | u32::from(payload[3]) << 14;
    assert_eq!(length as usize, body.len());
    let generation = 1_u64 << 32 | 2;
    let seed = (generation.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 ^ 384 ^ commit;
    assert_eq!(
        u32_at(&bytes, 388),
        crc32c::crc32c_append(seed, &bytes[392..396 + payload.len()])
    );
    let next = (396 + payload.len()).next_multiple_of(8);
    assert_eq!(offsets(&[body, Vec::new()])[1], next);
    assert_eq!(u32_at(&bytes, next), 0);
    assert_eq!(Header::from_bytes(&bytes), Some(header(generation, UNIT)));
}

/// The fixture writes slots by the document's table; the reader of the crate has to agree.
#[test]
fn slot_is_read_by_its_table() {
    let body = span(5, "name");
    for closing in [None, Some((7, 384))] {
        let bytes = make_slot(&body, closing);
        let seen = slot::read(&bytes).expect("it is in use");
        assert_eq!((seen.body, seen.closing, seen.source), (body.as_slice(), closing, 0));
    }
}

#[test]
fn manifest_is_read_by_its_tables() {
    let bytes = manifest(2).to_bytes();
    assert_eq!((&bytes[..4], u32_at(&bytes, 4)), (&b"TLM2"[..], 2));
    let end = bytes.len() - 4;
    assert_eq!(u32_at(&bytes, end), crc32c::crc32c(&bytes[..end]));
    let mut at = 8;
    let mut tags = Vec::new();
    while at < end {
        tags.push(bytes[at]);
        at += 5 + u32_at(&bytes, at + 1) as usize;
    }
    assert_eq!((at, tags), (end, vec![1, 2, 3, 5, 6, 9, 10, 11, 9, 10, 11]));
}
