//! Typed JSON: exact in both directions, and in agreement with another implementation on plain JSON.

use blazedb::blazebinary::json::{JsonErrorKind, read_record, read_value, write_record, write_value};
use blazedb::blazebinary::limits::MAX_NESTING;
use blazedb::blazebinary::order::{compare, push_key};
use blazedb::blazebinary::{
    Layout, Reader, RecordView, Value, encode_record, encode_value, read_canonical_value,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::values::{config, doubles, ints, records, texts, values};

fn text_of(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

/// A value that plain JSON says exactly, as the other implementation has it.
fn plain() -> impl Strategy<Value = serde_json::Value> {
    let scalar = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        ints().prop_map(serde_json::Value::from),
        doubles()
            .prop_map(|double| if double.is_finite() { double } else { 0.5 })
            .prop_map(serde_json::Value::from),
        texts().prop_map(serde_json::Value::from),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        // Equivalent spellings and marks have tests of their own.
        let key = texts()
            .prop_map(|key| key.replace(|c: char| !c.is_ascii(), "x").trim_start_matches('$').to_owned());
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same value as this crate has it.
fn from_other(value: &serde_json::Value) -> Value {
    use serde_json::Value as Other;
    match value {
        Other::Null => Value::Null,
        Other::Bool(value) => Value::Bool(*value),
        Other::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Double(number.as_f64().unwrap()),
        },
        Other::String(text) => text.as_str().into(),
        Other::Array(items) => Value::Array(items.iter().map(from_other).collect()),
        Other::Object(map) => {
            Value::Dict(map.iter().map(|(key, value)| (key.as_str(), from_other(value))).collect())
        }
    }
}

/// Changes of a text that keep it close to JSON: at a place, some characters go and others come.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, String)>> {
    vec((any::<prop::sample::Index>(), 0usize..3, r#"[\[\]{}",:.0-9eE+\-\\u/tnfa \n\u{1}$]{0,3}"#), 1..4)
}

fn edited(text: &str, edits: Vec<(prop::sample::Index, usize, String)>) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (place, removed, added) in edits {
        let at = place.index(chars.len() + 1);
        let end = chars.len().min(at + removed);
        chars.splice(at..end, added.chars());
    }
    chars.into_iter().collect()
}

/// What this reader refuses on purpose where RFC 8259's grammar would not.
fn refused_on_purpose(kind: JsonErrorKind) -> bool {
    use JsonErrorKind as Kind;
    matches!(
        kind,
        Kind::IntOutOfRange
            | Kind::DuplicateKey
            | Kind::ReservedKey
            | Kind::TooDeep
            | Kind::BadInt
            | Kind::BadDouble
            | Kind::BadDate(_)
            | Kind::BadUuid
            | Kind::BadData
            | Kind::BadVector
            | Kind::InexactVectorItem
    )
}

/// The smallest stack that a value of the greatest nesting may meet (`limits::MAX_NESTING`).
const SMALL_STACK_BYTES: usize = 256 << 10;

#[test]
fn the_deepest_value_needs_little_stack() {
    let shell = |inner: String| format!("[{{\"a\":{inner}}}]");
    let text = (0..MAX_NESTING / 2).fold("1".to_owned(), |inner, _| shell(inner));
    let too_deep = shell("[".repeat(1_000_000));
    let on_small_stack = move || {
        let value = read_value(&text).unwrap();
        let (mut key, mut bytes) = (Vec::new(), Vec::new());
        push_key(&value, &mut key);
        encode_value(&value, &mut bytes).unwrap();
        let view = read_canonical_value(&mut Reader::new(&bytes)).unwrap();
        assert!(compare(&value, view).is_eq());
        assert_eq!(text_of(&value), text);
        assert_eq!(read_value(&too_deep).unwrap_err().kind, JsonErrorKind::TooDeep);
    };
    std::thread::Builder::new().stack_size(SMALL_STACK_BYTES).spawn(on_small_stack).unwrap().join().unwrap();
}

proptest! {
    #![proptest_config(config(3_000))]

    #[test]
    fn a_value_reads_back_as_it_was(value in values()) {
        let text = text_of(&value);
        prop_assert_eq!(read_value(&text), Ok(value));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        prop_assert!(!text.contains('\n'), "a record takes one line");
    }

    #[test]
    fn a_record_reads_back_and_its_bytes_write_the_same(record in records()) {
        let (mut text, mut from_bytes, mut bytes) = (String::new(), String::new(), Vec::new());
        write_record(&record, &mut text);
        encode_record(&record, Layout::V1, &mut bytes).unwrap();
        write_record(RecordView::canonical(&bytes).unwrap(), &mut from_bytes);
        prop_assert_eq!(&from_bytes, &text);
        prop_assert_eq!(read_record(&text), Ok(record));
    }

    #[test]
    fn plain_json_reads_as_another_implementation_means_it(other in plain(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&other) } else { serde_json::to_string(&other) };
        prop_assert_eq!(read_value(&text.unwrap()), Ok(from_other(&other)));
    }

    #[test]
    fn texts_are_accepted_where_another_implementation_accepts(other in plain(), edits in edits()) {
        let text = edited(&serde_json::to_string(&other).unwrap(), edits);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match read_value(&text) {
            Ok(_) => prop_assert!(theirs.is_ok(), "{:?} is accepted here, there {:?}", text, theirs),
            Err(error) if refused_on_purpose(error.kind) => {}
            Err(error) => prop_assert!(theirs.is_err(), "{:?} is refused here: {}", text, error),
        }
    }

    #[test]
    fn decimal_literals_round_once(text in r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?") {
        let nearest: f64 = text.parse().unwrap();
        match read_value(&text) {
            Ok(Value::Double(double)) => prop_assert_eq!(double.to_bits(), nearest.to_bits()),
            Err(error) => {
                prop_assert_eq!(error.kind, JsonErrorKind::DoubleOutOfRange);
                prop_assert!(nearest.is_infinite());
            }
            Ok(other) => prop_assert!(false, "{:?}", other),
        }
    }
}
