//! The promise that reading in place allocates nothing, counted.

use blazedb::blazebinary::{
    Dict, Layout, Record, RecordView, Value, decode_lenient, encode_record, keys_are_equivalent,
};

/// Every type, nesting, and keys that need normalising to be compared.
fn sample() -> Vec<u8> {
    let inner = Dict::from_iter([
        ("list", Value::Array(vec![1i64.into(), "two".into(), Value::Null])),
        ("\u{E9}", Value::Data(vec![1, 2, 3])),
        ("e\u{301}e", true.into()),
    ]);
    let record = Record::from_iter([
        ("id", Value::Uuid(uuid::Uuid::from_u128(7))),
        ("nested", Value::Array(vec![inner.into()])),
        ("score", 2.5.into()),
        ("vector", Value::Vector([1.0, 2.0].into_iter().collect())),
    ]);
    let mut bytes = Vec::new();
    encode_record(&record, Layout::V2, &mut bytes).unwrap();
    bytes
}

#[test]
fn validating_and_visiting_allocate_nothing() {
    let bytes = sample();
    let mut visited = 0;
    let counted = allocation_counter::measure(|| {
        let view = RecordView::canonical(&bytes).unwrap();
        view.walk(|step| visited += usize::from(step.key.is_none_or(|key| !key.as_str().is_empty())));
        visited += view.iter().count();
        assert!(view.get("score").is_some() && view.get("\u{C9}").is_none());
    });
    assert_eq!(
        visited,
        (4 + 1 + 3 + 3) + 4,
        "fields, the dict, its entries, the list's items; then the fields again"
    );
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

/// Arrays inside one another, each of which announces 65,535 items of which one is there.
#[test]
fn a_declared_count_makes_no_room() {
    let mut bytes = b"BLAZE\x01\x00\x01\x09".to_vec();
    (0..64).for_each(|_| bytes.extend_from_slice(&[0x08, 0xFF, 0xFF]));
    bytes.resize(70_000, 0xEE);
    let counted = allocation_counter::measure(|| assert!(decode_lenient(&bytes).is_err()));
    assert!(counted.bytes_max < 70_000, "{counted:?}");
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1u8])));
    assert_eq!(counted.count_total, 1);
    assert!(keys_are_equivalent("\u{E9}", "e\u{301}"));
}
