//! The order of every kind of value, through values, views and keys.

use uuid::Uuid;

use super::*;
use crate::blazebinary::{Date, Dict, Reader, Value, Vector, encode_value, read_canonical_value};

const TWO_53: i64 = 1 << 53;

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

/// Holds all ways of comparing against the order that is expected.
fn check(a: &Value, b: &Value, expected: Ordering) {
    let (a_bytes, b_bytes) = (bytes(a), bytes(b));
    let a_view = read_canonical_value(&mut Reader::new(&a_bytes)).unwrap();
    let b_view = read_canonical_value(&mut Reader::new(&b_bytes)).unwrap();
    assert_eq!(compare(a, b), expected, "{a:?} {b:?}");
    assert_eq!(compare(a_view, b_view), expected, "views {a:?} {b:?}");
    assert_eq!(compare(a, b_view), expected, "value and view {a:?} {b:?}");
    assert_eq!(key(a).cmp(&key(b)), expected, "keys {a:?} {b:?}");
    let (mut a_view_key, mut b_view_key) = (Vec::new(), Vec::new());
    push_key(a_view, &mut a_view_key);
    push_key(b_view, &mut b_view_key);
    assert_eq!((a_view_key, b_view_key), (key(a), key(b)), "keys of views {a:?} {b:?}");
}

fn date(seconds: f64) -> Value {
    Value::Date(Date::from_seconds(seconds))
}

fn dict<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Dict::from_iter(entries).into()
}

fn vector<const N: usize>(items: [f64; N]) -> Value {
    Value::Vector(Vector::from_iter(items))
}

fn double(bits: u64) -> Value {
    Value::Double(f64::from_bits(bits))
}

/// Groups of equal values, each group above the ones before it.
fn ascending() -> Vec<Vec<Value>> {
    let mut groups = vec![vec![false.into()], vec![true.into()]];
    groups.extend(ascending_numbers());
    groups.extend([
        vec![date(f64::NEG_INFINITY)],
        vec![date(-0.5)],
        vec![date(0.0), date(-0.0)],
        vec![date(f64::INFINITY)],
        vec![date(f64::NAN), date(f64::from_bits(0xFFF0_0000_0000_0001))],
        vec![Uuid::nil().into()],
        vec![Uuid::from_u128(0x7F << 120).into()],
        vec![Uuid::from_u128(0x80 << 120).into()],
    ]);
    groups.extend(ascending_texts());
    groups.extend(ascending_containers());
    groups.push(vec![Value::Null]);
    groups
}

fn ascending_numbers() -> Vec<Vec<Value>> {
    vec![
        vec![f64::NEG_INFINITY.into()],
        vec![f64::MIN.into()],
        vec![double(0xC3E0_0000_0000_0001)], // the double next below −2^63
        vec![i64::MIN.into(), (-9_223_372_036_854_775_808.0).into()],
        vec![(i64::MIN + 1).into()],
        vec![(-TWO_53 - 2).into(), (-9_007_199_254_740_994.0).into()],
        vec![(-TWO_53 - 1).into()],
        vec![(-TWO_53).into(), (-9_007_199_254_740_992.0).into()],
        vec![(-1i64).into(), (-1.0).into()],
        vec![double(0x8000_0000_0000_0001)], // −2^−1074, the greatest below zero
        vec![0i64.into(), 0.0.into(), (-0.0).into()],
        vec![double(1)],
        vec![0.5.into()],
        vec![5i64.into(), 5.0.into()],
        vec![(TWO_53 - 1).into(), 9_007_199_254_740_991.0.into()],
        vec![TWO_53.into(), 9_007_199_254_740_992.0.into()],
        vec![(TWO_53 + 1).into()],
        vec![(TWO_53 + 2).into(), 9_007_199_254_740_994.0.into()],
        vec![(TWO_53 + 3).into()], // as a double it rounds up, to 2^53 + 4
        vec![(TWO_53 + 4).into(), 9_007_199_254_740_996.0.into()],
        vec![9_223_372_036_854_774_784.0.into(), (i64::MAX - 1023).into()],
        vec![(i64::MAX - 1).into()],
        vec![i64::MAX.into()],
        vec![9_223_372_036_854_775_808.0.into()],
        vec![f64::MAX.into()],
        vec![f64::INFINITY.into()],
        vec![double(0x7FF8_0000_0000_0000), double(0x7FF0_0000_0000_0001), double(u64::MAX)],
    ]
}

fn ascending_texts() -> Vec<Vec<Value>> {
    let strings = [
        "",
        "\0",
        "\0\0",
        "\0a",
        "\u{1}",
        "a",
        "a\0",
        "a\0b",
        "a\u{1}",
        "aa",
        "ab",
        "b",
        // Neither normalised nor in the order of UTF-16.
        "e\u{301}",
        "\u{E9}",
        "\u{FF5E}",
        "\u{1F525}",
    ];
    let data: [&[u8]; 8] = [&[], &[0], &[0, 0], &[0, 0xFF], &[1], &[0xFF], &[0xFF, 0], &[0xFF, 0xFF]];
    let strings = strings.iter().map(|&text| vec![Value::from(text)]);
    strings.chain(data.iter().map(|&bytes| vec![Value::Data(bytes.to_vec())])).collect()
}

fn ascending_containers() -> Vec<Vec<Value>> {
    let list = |items: &[Value]| Value::Array(items.to_vec());
    vec![
        vec![list(&[])],
        vec![list(&[false.into()])],
        vec![list(&[1i64.into()]), list(&[1.0.into()])],
        vec![list(&[1i64.into(), false.into()])],
        vec![list(&["".into()])],
        vec![list(&["a".into(), "b".into()])],
        vec![list(&["ab".into()])],
        vec![list(&[list(&[])])],
        vec![list(&[list(&[]), list(&[])])],
        vec![list(&[list(&[1i64.into()])])],
        vec![list(&[Value::Null])],
        vec![dict([])],
        vec![dict([("", Value::Null)])],
        vec![dict([("a", 1i64.into())]), dict([("a", 1.0.into())])],
        vec![dict([("a", 1i64.into()), ("b", 0i64.into())])],
        vec![dict([("a", 2i64.into())])],
        vec![dict([("a\0", 0i64.into())])],
        vec![dict([("b", 0i64.into())])],
        vec![dict([("f", 0i64.into())])],
        vec![dict([("e\u{301}", 1i64.into())]), dict([("\u{E9}", 1.0.into())])],
        vec![vector([])],
        vec![vector([f64::NEG_INFINITY])],
        vec![vector([-1.0])],
        vec![vector([0.0]), vector([-0.0])],
        vec![vector([0.0, -1.0])],
        vec![vector([1.0])],
        vec![vector([f64::NAN]), Value::Vector(Vector::from_upper_halves(vec![0xFFF0_0001]))],
    ]
}

#[test]
fn the_table_rises_through_values_views_and_keys() {
    let groups = ascending();
    for (low, lower) in groups.iter().enumerate() {
        for (high, higher) in groups.iter().enumerate() {
            for (a, b) in lower.iter().flat_map(|a| higher.iter().map(move |b| (a, b))) {
                check(a, b, low.cmp(&high));
            }
        }
    }
}

#[test]
fn keys_are_those_of_the_specification() {
    for (value, expected) in [
        (true.into(), "01 01"),
        (5i64.into(), "02 c014000000000000 0000"),
        (5.0.into(), "02 c014000000000000 0000"),
        ((-2.0).into(), "02 3fffffffffffffff 0000"),
        ((TWO_53 + 1).into(), "02 c340000000000000 0001"),
        ((-TWO_53 - 1).into(), "02 3cbffffffffffffe 0001"),
        (i64::MAX.into(), "02 c3dfffffffffffff 03ff"),
        (double(0xFFF0_0000_0000_0001), "02 fff8000000000000 0000"),
        (date(0.0), "03 8000000000000000"),
        (Value::from("a\0b"), "05 61 00ff 62 0001"),
        (Value::Data(vec![]), "06 0001"),
        (Value::Array(vec![true.into(), Value::Null]), "07 0101 0a 00"),
        (dict([("e\u{301}", false.into())]), "08 01 c3a9 0001 0100 00"),
        (vector([1.0, -2.0]), "09 01 bff00000 01 3fffffff 00"),
        (Value::Null, "0a"),
    ] {
        let specified = include_str!("../../../spec/order.md").contains(&format!("`{expected}`"));
        assert!(specified, "{expected} is not in spec/order.md");
        assert_eq!(data_encoding::HEXLOWER.encode(&key(&value)), expected.replace(' ', ""), "{value:?}");
    }
}

#[test]
fn a_missing_value_reads_as_null() {
    assert_eq!(compare(None::<&Value>, &Value::Null), Ordering::Equal);
    assert_eq!(compare(None::<&Value>, &vector([])), Ordering::Greater);
    let mut missing = Vec::new();
    push_key(None::<&Value>, &mut missing);
    assert_eq!(missing, key(&Value::Null));
}
