//! The bodies of the fuzz targets (`fuzz/`), as plain functions so that a unit test can run them over the committed
//! seeds. Each takes any bytes and fails by a panic where a promise of the encoding is broken.

use std::cmp::Ordering;

use super::error::{DecodeError, EncodeError};
use super::json::{read_record, read_value, write_record, write_value};
use super::limits::MAX_RECORD_BYTES;
use super::order::{compare, push_key};
use super::token::CHECKSUM_BYTES;
use super::{
    Layout, Reader, Record, RecordView, Value, ValueView, decode_lenient, encode_record, encode_value,
    read_canonical_value,
};

/// A fuzz target's body.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[
    ("record_canonical", record_canonical),
    ("record_lenient", record_lenient),
    ("json", json),
    ("order", order),
];

/// What canonical mode accepts is read whole, and leaves as it came by every way there is.
pub fn record_canonical(data: &[u8]) {
    let Ok(view) = RecordView::canonical(data) else { return };
    let record = view.to_record();
    assert_eq!(encoded(&record, view.layout()).as_deref(), Ok(data), "encoding gives the same bytes");
    assert_eq!(decode_lenient(data), Ok(record.clone()), "lenient mode reads the same");
    assert_eq!(view.len(), record.len());
    let mut met = 0usize;
    view.walk(|_| met = met.saturating_add(1));
    assert_eq!(met, values_in(&record), "a walk meets every value");
    for (key, value) in &view {
        let found = view.get(key.as_str()).map(ValueView::to_value);
        assert_eq!(found, Some(value.to_value()), "a field is found by its name");
    }

    let (mut from_bytes, mut from_memory) = (String::new(), String::new());
    write_record(view, &mut from_bytes);
    write_record(&record, &mut from_memory);
    assert_eq!(from_bytes, from_memory, "bytes and memory write the same JSON");
    assert_eq!(read_record(&from_bytes).as_ref(), Ok(&record), "which reads back");

    let (mut key_of_bytes, mut key_of_memory) = (Vec::new(), Vec::new());
    push_key(view, &mut key_of_bytes);
    push_key(&record, &mut key_of_memory);
    assert_eq!(key_of_bytes, key_of_memory, "equal records have equal keys");
    assert_eq!(compare(view, &record), Ordering::Equal);
}

/// What lenient mode accepts becomes canonical by being encoded again, in either layout, unless that is too long.
pub fn record_lenient(data: &[u8]) {
    let Ok(record) = decode_lenient(data) else { return };
    for layout in [Layout::V1, Layout::V2] {
        match encoded(&record, layout) {
            Ok(bytes) => {
                let again = RecordView::canonical(&bytes).map(|view| view.to_record());
                assert_eq!(again.as_ref(), Ok(&record));
            }
            // No form of a value is shorter than its canonical one; layout 2 adds its checksum.
            Err(error) => {
                assert!(matches!(error, EncodeError::RecordTooLarge(_)), "{error}");
                assert!(data.len().saturating_add(CHECKSUM_BYTES) > MAX_RECORD_BYTES, "{error}");
            }
        }
    }
}

/// A text that is accepted writes to one that reads back to the same value, and writes the same again.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let value = read_value(text);
    if let (Err(error), Ok(_)) = (&value, read_record(text)) {
        // Only the room for nesting differs: in a record the outermost object is not counted.
        assert_eq!(error.kind, super::json::JsonErrorKind::TooDeep);
    }
    let Ok(value) = value else { return };
    let (mut written, mut again) = (String::new(), String::new());
    write_value(&value, &mut written);
    let back = read_value(&written);
    assert_eq!(back.as_ref(), Ok(&value), "{written}");
    if let Ok(back) = &back {
        write_value(back, &mut again);
    }
    assert_eq!(again, written);
}

/// Two values, one after the other: their order is that of their keys, in bytes and in memory.
pub fn order(data: &[u8]) {
    let Ok((a, b)) = two_values(data) else { return };
    let expected = compare(a, b);
    assert_eq!(compare(b, a), expected.reverse());
    let (a_value, b_value) = (a.to_value(), b.to_value());
    assert_eq!(compare(&a_value, &b_value), expected, "memory orders as bytes do");
    assert_eq!(compare(&a_value, b), expected);

    let (a_key, b_key) = (key(a), key(b));
    assert_eq!(a_key.cmp(&b_key), expected, "keys order as values do");
    let one_begins_other = a_key.starts_with(&b_key) || b_key.starts_with(&a_key);
    assert_eq!(one_begins_other, expected.is_eq(), "no key begins another value's");
    if a_value == b_value {
        assert_eq!(expected, Ordering::Equal, "identical values are equal in order");
    }
    let mut of_memory = Vec::new();
    push_key(&a_value, &mut of_memory);
    assert_eq!(of_memory, a_key);

    let mut bytes = Vec::new();
    let written = encode_value(&a_value, &mut bytes).and_then(|()| encode_value(&b_value, &mut bytes));
    assert_eq!(written, Ok(()));
    assert!(data.starts_with(&bytes), "encoding gives the same bytes");
}

fn two_values(data: &[u8]) -> Result<(ValueView<'_>, ValueView<'_>), DecodeError> {
    let mut reader = Reader::new(data);
    Ok((read_canonical_value(&mut reader)?, read_canonical_value(&mut reader)?))
}

fn key(value: ValueView<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    push_key(value, &mut key);
    key
}

fn encoded(record: &Record, layout: Layout) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    encode_record(record, layout, &mut bytes).map(|()| bytes)
}

/// How many values a record holds, those inside containers included.
fn values_in(record: &Record) -> usize {
    record.iter().map(|(_, value)| values_within(value)).fold(0, usize::saturating_add)
}

fn values_within(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(values_within).fold(0, usize::saturating_add),
        Value::Dict(dict) => values_in(dict),
        _ => 0,
    };
    inner.saturating_add(1)
}
