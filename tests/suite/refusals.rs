//! What a decoder refuses, with the code and the offset that `spec/blazebinary.md` (B-6.3, B-6.5) gives it. The
//! inputs and offsets are worked out by hand from the specification.

use blazedb::blazebinary::limits::{
    LENIENT_MAX_TEXT_BYTES, LENIENT_MAX_VECTOR_ITEMS, MAX_NESTING, MAX_RECORD_BYTES,
};
use blazedb::blazebinary::{DecodeError, RecordView, decode_lenient};

/// The codes that lenient mode has too (B-7.2, B-7.3); what has another it reads (B-7.1).
const IN_EITHER_MODE: [&str; 8] = [
    "truncated",
    "bad_magic",
    "unsupported_layout",
    "checksum_mismatch",
    "unknown_field",
    "unknown_tag",
    "invalid_utf8",
    "too_deep",
];

/// Magic, layout 1 and a count of one field; the field's key stands at byte 8.
const ONE: &str = "424c415a45 01 0001";
/// The same with the key of `priority`; its value stands at byte 9.
const VALUE: &str = "424c415a45 01 0001 09";
const TWO: &str = "424c415a45 01 0002";

fn told(error: DecodeError) -> (&'static str, usize) {
    (error.kind.code(), error.offset)
}

#[track_caller]
fn check(input: &[u8], code: &'static str, offset: usize) {
    let shown = data_encoding::HEXLOWER.encode(&input[..input.len().min(40)]);
    let canonical = RecordView::canonical(input).map(drop).map_err(told);
    assert_eq!(canonical, Err((code, offset)), "{shown}");
    let lenient = decode_lenient(input).map(drop).map_err(told);
    let expected = if IN_EITHER_MODE.contains(&code) { Err((code, offset)) } else { Ok(()) };
    assert_eq!(lenient, expected, "lenient: {shown}");
}

fn check_all(head: &str, cases: &[(&str, &'static str, usize)]) {
    for (tail, code, offset) in cases {
        check(&unhex(head, tail), code, *offset);
    }
}

fn unhex(head: &str, tail: &str) -> Vec<u8> {
    let digits: String = head.split_whitespace().chain(tail.split_whitespace()).collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
}

#[test]
fn headers() {
    check_all(
        "",
        &[
            ("", "truncated", 0),
            ("424c41", "truncated", 0),
            ("584c41", "truncated", 0),
            ("424c415a46", "bad_magic", 0),
            ("424c415a45", "truncated", 5),
            ("424c415a45 00", "unsupported_layout", 5),
            ("424c415a45 03 00", "unsupported_layout", 5),
            ("424c415a45 01", "truncated", 6),
            ("424c415a45 01 00", "truncated", 6),
            ("424c415a45 02 00", "truncated", 6),
            ("424c415a45 02 0000", "truncated", 8),
            ("424c415a45 02 0000 94d877", "truncated", 8),
            // Swift's own encoder gives the empty record 94d87736.
            ("424c415a45 02 0000 94d87737", "checksum_mismatch", 8),
            ("424c415a45 02 0000 00 94d87736", "checksum_mismatch", 9),
            // The checksum comes before what the fields hold (B-6.2); this one is zlib's.
            ("424c415a45 02 0001 09 0b 00 63487052", "trailing_bytes", 10),
            ("424c415a45 02 0001 09 0b 00 63487053", "checksum_mismatch", 11),
        ],
    );
}

#[test]
fn keys() {
    check_all(
        ONE,
        &[
            ("", "truncated", 8),
            ("00", "unknown_field", 8),
            ("3b 0b", "unknown_field", 8),
            ("fe 0b", "unknown_field", 8),
            ("ff 00", "truncated", 8),
            ("ff 0002 61", "truncated", 8),
            ("ff 0001 ff 0b", "invalid_utf8", 8),
            ("ff 0008 7072696f72697479 0b", "non_canonical_key", 8),
            ("09 09 0001 00", "truncated", 12),
            ("09 09 0001 0002 61", "truncated", 12),
            ("09 09 0001 0001 80 0b", "invalid_utf8", 12),
            ("09 09 0002 0001 61 0b 0001 61 0b", "duplicate_key", 16),
            ("09 09 0002 0001 62 0b 0001 61 0b", "keys_out_of_order", 16),
        ],
    );
    check_all(
        TWO,
        &[
            ("09 0b", "truncated", 10),
            ("09 0b 09 0b", "duplicate_key", 10),
            ("06 0b 09 0b", "keys_out_of_order", 10),
            // A name written out where it is common comes before its order (B-6.3).
            ("06 0b ff 0008 7072696f72697479 0b", "non_canonical_key", 10),
            // é as one scalar and as two; e and an accent before f, which its normal form follows.
            ("ff 0002 c3a9 0b ff 0003 65cc81 0b", "duplicate_key", 14),
            ("ff 0003 65cc81 0b ff 0001 66 0b", "keys_out_of_order", 15),
        ],
    );
}

#[test]
fn values() {
    check_all(
        VALUE,
        &[
            ("", "truncated", 9),
            ("00", "unknown_tag", 9),
            ("0c", "unknown_tag", 9),
            ("30", "unknown_tag", 9),
            ("01 0000", "truncated", 9),
            ("01 ffffffff 61", "truncated", 9),
            ("01 00000002 6869", "non_canonical_string", 9),
            ("01 00000000", "non_canonical_string", 9),
            ("20", "non_canonical_string", 9),
            // Of one item the first code of the table.
            ("01 00000001 ff", "invalid_utf8", 9),
            ("01 00000010 616161616161616161616161616161ff", "invalid_utf8", 9),
            ("22 61", "truncated", 9),
            ("21 ff", "invalid_utf8", 9),
            ("22 c080", "invalid_utf8", 9),
            ("23 eda080", "invalid_utf8", 9),
            ("24 f4908080", "invalid_utf8", 9),
            ("02 00000000000000", "truncated", 9),
            ("02 0000000000000000", "non_canonical_int", 9),
            ("02 00000000000000ff", "non_canonical_int", 9),
            ("03 00", "truncated", 9),
            ("04", "truncated", 9),
            ("04 02", "non_canonical_bool", 9),
            ("05 00", "truncated", 9),
            ("06 00", "truncated", 9),
            ("07 00000002 00", "truncated", 9),
            ("0a 00000001 000000", "truncated", 9),
            ("0a ffffffff", "truncated", 9),
            ("08 00", "truncated", 9),
            ("08 0000", "non_canonical_empty", 9),
            ("09 0000", "non_canonical_empty", 9),
            ("08 0002 0b", "truncated", 13),
            ("08 0002 0b 0c", "unknown_tag", 13),
            ("08 0002 0402 0b", "non_canonical_bool", 12),
            ("0b 00", "trailing_bytes", 10),
        ],
    );
}

#[test]
fn nesting() {
    // Arrays of one item from byte 9 on, three bytes each.
    let nested = |inner: &str| format!("{}{inner}", "080001".repeat(MAX_NESTING));
    let deepest = 9 + 3 * MAX_NESTING;
    for inner in ["18", "19", "08000118", "090001000018"] {
        check_all(VALUE, &[(&nested(inner), "too_deep", deepest)]);
    }
    let canonical =
        |inner: &str| RecordView::canonical(&unhex(VALUE, &nested(inner))).map(drop).map_err(told);
    assert_eq!(canonical("0b"), Ok(()));
    // Of one item the first code of the table, which lenient mode does not have.
    assert_eq!(canonical("080000"), Err(("non_canonical_empty", deepest)));
}

/// The first in the order of the bytes, not of the table; lenient mode comes to the second.
#[test]
fn the_first_of_several_is_told() {
    let input = unhex(VALUE, "08 0002 0402 0c");
    assert_eq!(RecordView::canonical(&input).map(drop).map_err(told), Err(("non_canonical_bool", 12)));
    assert_eq!(decode_lenient(&input).map(drop).map_err(told), Err(("unknown_tag", 14)));
}

/// A record of one value: `tag`, a u32 and `bytes` zeros.
fn zeros(tag: u8, announced: usize, bytes: usize) -> Vec<u8> {
    let head =
        [b"BLAZE\x01\x00\x01\x09".as_slice(), &[tag], &u32::try_from(announced).unwrap().to_be_bytes()];
    let mut record = head.concat();
    record.resize(record.len() + bytes, 0);
    record
}

#[test]
fn sizes() {
    // Header, key, tag and length take 14 bytes.
    let longest = MAX_RECORD_BYTES - 14;
    assert!(RecordView::canonical(&zeros(7, longest, longest)).is_ok());
    check(&zeros(7, longest + 1, longest + 1), "record_too_large", 0);
    // Too long in whole is told before what is wrong inside.
    check(&zeros(7, longest, longest + 1), "record_too_large", 0);

    let lenient = |input: &[u8]| decode_lenient(input).map(drop).map_err(told);
    for tag in [1, 7] {
        let too_long = LENIENT_MAX_TEXT_BYTES + 1;
        assert_eq!(lenient(&zeros(tag, too_long, too_long)), Err(("text_too_long", 9)));
    }
    let most = LENIENT_MAX_VECTOR_ITEMS;
    assert_eq!(lenient(&zeros(10, most, 4 * most)), Ok(()));
    assert_eq!(lenient(&zeros(10, most + 1, 4 * most + 4)), Err(("vector_too_long", 9)));
}
