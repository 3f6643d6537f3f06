//! `docs/spool-format.md` against the code.

use crate::directory::LONGEST_FILE;
use crate::fixture::{manifest, offsets, segment, slot, span};
use crate::ledger::{self, Dropped};
use crate::record::{self, FRAME, HEADER, Kind, MAX_BODY};
use crate::segment::{Cursor, HEADER_LEN, Header, MAX_DESTINATIONS, UNIT};
use crate::{quarantine, slot};

const DOCUMENT: &str = include_str!("../../../docs/spool-format.md");

#[test]
fn the_document_says_what_the_code_does() {
    let kinds = (Kind::Finished as u8, Kind::Unfinished as u8);
    let mut expected = vec![
        format!("length of this header: {HEADER_LEN} |"),
        format!("| {HEADER_LEN} | records |"),
        format!("begin at multiples of {UNIT}."),
        format!("{MAX_DESTINATIONS} destinations x 2 copies x 16 bytes"),
        format!("the first {MAX_DESTINATIONS} have cursors"),
        format!("Kinds: {} a span that was ended, {} one", kinds.0, kinds.1),
        format!("at most {MAX_BODY} bytes long"),
        format!("| longest body of a record | {MAX_BODY} bytes |"),
        format!("| {HEADER} | payload |"),
        format!("A row of slots of {} bytes", slot::LEN),
        format!("| {} | body | an OTLP", slot::BODY),
        format!("| body in a slot | {} bytes |", slot::CAPACITY),
        format!("no more than {} MiB of a file", LONGEST_FILE >> 20),
        format!("removed, at most {} MiB", quarantine::MOST_BYTES >> 20),
        format!("{} bytes.\n", ledger::LEN),
        format!("the attribute `{}` = true", crate::unfinished::MARK),
        format!("\"{}\"", crate::unfinished::MESSAGE),
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
fn a_segment_is_read_by_its_tables() {
    let generation = 0x1_0000_0002_u64;
    let body = span(5, "name");
    let mut bytes = segment(generation, UNIT, std::slice::from_ref(&body));
    let cursor = Cursor {
        offset: 400,
        sequence: 3,
    };
    let place = 64 + (2 * 6 + 3 % 2) * 16;
    assert_eq!(Cursor::position(6, 3), place);
    bytes[place..place + 16].copy_from_slice(&cursor.to_bytes(generation));

    assert_eq!(&bytes[..4], b"TLS1");
    assert_eq!((u32_at(&bytes, 4), u32_at(&bytes, 16)), (320, 16384));
    assert_eq!(bytes[8..16], generation.to_le_bytes());
    assert_eq!(u32_at(&bytes, 20), crc32c::crc32c(&bytes[..20]));
    assert_eq!((u32_at(&bytes, place), u32_at(&bytes, place + 4)), (400, 3));
    assert_eq!(
        u32_at(&bytes, place + 12),
        crc32c::crc32c_append(2, &bytes[place..place + 12])
    );

    let commit = u32_at(&bytes, 320);
    assert_eq!((commit >> 24, (commit & 0xff_ffff) as usize), (1, FRAME + body.len()));
    let payload = &bytes[332..332 + FRAME + body.len()];
    assert_eq!((payload[0], &payload[4..]), (0x12, body.as_slice()));
    let length = u32::from(payload[1] & 0x7f) | u32::from(payload[2] & 0x7f) << 7 | u32::from(payload[3]) << 14;
    assert_eq!(length as usize, body.len());
    let seed = 2 ^ 1 ^ 320 ^ commit;
    assert_eq!(
        u32_at(&bytes, 324),
        crc32c::crc32c_append(seed, &bytes[328..332 + payload.len()])
    );
    let next = (332 + payload.len()).next_multiple_of(8);
    assert_eq!(offsets(&[body, Vec::new()])[1], next);
    assert_eq!(u32_at(&bytes, next), 0);
    assert_eq!(Header::from_bytes(&bytes), Some(Header { generation, len: UNIT }));
}

/// The fixture writes slots by the document's table; the reader of the crate has to agree.
#[test]
fn a_slot_is_read_by_its_table() {
    let body = span(5, "name");
    for closing in [None, Some((7, 320))] {
        let bytes = slot(&body, closing);
        let seen = slot::read(&bytes).expect("it is in use");
        assert_eq!((seen.body, seen.closing, seen.scope), (body.as_slice(), closing, 0));
    }
}

#[test]
fn a_manifest_is_read_by_its_tables() {
    let bytes = manifest(2).to_bytes();
    assert_eq!((&bytes[..4], u32_at(&bytes, 4)), (&b"TLM1"[..], 1));
    let end = bytes.len() - 4;
    assert_eq!(u32_at(&bytes, end), crc32c::crc32c(&bytes[..end]));
    let mut at = 8;
    let mut tags = Vec::new();
    while at < end {
        tags.push(bytes[at]);
        at += 5 + u32_at(&bytes, at + 1) as usize;
    }
    assert_eq!((at, tags), (end, vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 10]));
}
