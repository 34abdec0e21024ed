//! The total order against its key, against views, and against an order of numbers that is computed another way.

use std::cmp::Ordering;

use blazedb::blazebinary::json::read_value;
use blazedb::blazebinary::order::{compare, push_key};
use blazedb::blazebinary::{
    COMMON_FIELD_COUNT, FieldId, Layout, Reader, Record, Value, encode_value, encoded_length,
    read_canonical_value,
};
use proptest::prelude::*;

use crate::values::{bushes, config, dates, doubles, ints, texts, values};

fn key(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    push_key(value, &mut out);
    out
}

fn bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode_value(value, &mut out).unwrap();
    out
}

/// Two values that are likely to be close: of the same type, or the one a changed copy of the other.
fn close_pairs() -> impl Strategy<Value = (Value, Value)> {
    fn pair<T: Into<Value>>(of: impl Strategy<Value = T> + Clone) -> impl Strategy<Value = (Value, Value)> {
        (of.clone(), of).prop_map(|(a, b)| (a.into(), b.into()))
    }
    let numbers = prop_oneof![ints().prop_map(Value::from), doubles().prop_map(Value::from)].boxed();
    let tail = |value: Value, more: Vec<Value>| match value {
        Value::Array(items) => Value::Array(items.into_iter().chain(more).collect()),
        other => Value::Array([vec![other], more].concat()),
    };
    let extended = (bushes(), prop::collection::vec(bushes(), 0..2), prop::collection::vec(bushes(), 0..2))
        .prop_map(move |(value, a, b)| (tail(value.clone(), a), tail(value, b)));
    prop_oneof![
        3 => pair(numbers),
        1 => pair(dates().boxed()),
        2 => pair(texts().boxed()),
        2 => pair(values().boxed()),
        2 => extended,
    ]
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn keys_and_views_order_as_values_do((a, b) in close_pairs()) {
        let expected = compare(&a, &b);
        prop_assert_eq!(compare(&b, &a), expected.reverse());
        prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        prop_assert_eq!(key(&a).cmp(&key(&b)), expected);
        let (a_bytes, b_bytes) = (bytes(&a), bytes(&b));
        prop_assert!(key(&a).len() <= 6 * a_bytes.len(), "a key is at most six times as long");
        let a_view = read_canonical_value(&mut Reader::new(&a_bytes)).unwrap();
        let b_view = read_canonical_value(&mut Reader::new(&b_bytes)).unwrap();
        prop_assert_eq!(compare(a_view, b_view), expected);
        prop_assert_eq!(compare(a_view, &b), expected);
        let mut view_key = Vec::new();
        push_key(a_view, &mut view_key);
        prop_assert_eq!(view_key, key(&a));
    }

    #[test]
    fn no_key_begins_another_and_joined_keys_order_in_turn((a, b) in close_pairs(), (c, d) in close_pairs()) {
        let (a_key, b_key) = (key(&a), key(&b));
        prop_assert!(compare(&a, &b).is_eq() || !(a_key.starts_with(&b_key) || b_key.starts_with(&a_key)));
        let joined = [a_key, key(&c)].concat().cmp(&[b_key, key(&d)].concat());
        prop_assert_eq!(joined, compare(&a, &b).then_with(|| compare(&c, &d)));
    }

    #[test]
    fn the_order_is_transitive(a in values(), (b, c) in close_pairs()) {
        let mut sorted = [a, b, c];
        sorted.sort_by(|a, b| compare(a, b));
        let [low, middle, high] = &sorted;
        prop_assert!(compare(low, middle).is_le() && compare(middle, high).is_le());
        prop_assert!(compare(low, high).is_le());
    }

    #[test]
    fn integers_and_doubles_share_one_exact_order(int in ints(), double in doubles()) {
        prop_assert_eq!(compare(&Value::Int(int), &Value::Double(double)), int_against_double(int, double));
    }
}

/// The records whose keys grow most: a common name is one byte in the record and whole in the key.
#[test]
fn the_key_of_a_record_is_at_most_eight_times_as_long() {
    let names = (1..=COMMON_FIELD_COUNT as u8).map(|byte| FieldId::from_byte(byte).unwrap().name());
    let mut names: Vec<&str> = names.collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut greatest = 0.0f64;
    for count in 1..=names.len() {
        let record: Record = names[..count].iter().map(|name| (*name, 1i64)).collect();
        let length = encoded_length(&record, Layout::V1).unwrap();
        let mut key = Vec::new();
        push_key(&record, &mut key);
        greatest = greatest.max(key.len() as f64 / length as f64);
    }
    assert!(greatest > 6.0 && greatest <= 8.0, "{greatest}");
}

#[test]
fn comparing_in_place_allocates_nothing() {
    let text = r#"{"a":[1,{"$vector":[1.0]},{"k":"text","é":2}],"b":{"$data":"AAEC"},"c":2.5}"#;
    let (low, high) = (read_value(text).unwrap(), read_value(&text.replace("2.5", "3")).unwrap());
    let (low_bytes, high_bytes) = (bytes(&low), bytes(&high));
    let low = read_canonical_value(&mut Reader::new(&low_bytes)).unwrap();
    let high = read_canonical_value(&mut Reader::new(&high_bytes)).unwrap();
    let counted = allocation_counter::measure(|| assert_eq!(compare(low, high), Ordering::Less));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

/// The exact order of an integer and a double, by whole numbers of 128 bits: another way than the key's.
fn int_against_double(int: i64, double: f64) -> Ordering {
    let beyond_ints = 2f64.powi(63);
    if double.is_nan() || double >= beyond_ints {
        return Ordering::Less;
    }
    if double < -beyond_ints {
        return Ordering::Greater;
    }
    let whole = double.trunc() as i128;
    let fraction = double - double.trunc();
    let below_or_above = 0.0.partial_cmp(&fraction).unwrap();
    i128::from(int).cmp(&whole).then(below_or_above)
}
