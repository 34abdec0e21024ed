//! The total order of values, and a key whose bytes sort the same way; the normative text is `spec/order.md`.
//!
//! bool < number < date < uuid < string < data < array < dict < vector < null and missing.
//!
//! - [`compare`] orders two values, each in memory or in validated bytes, without building anything.
//! - [`push_key`] appends a key such that `compare(a, b)` is the order of the keys as bytes. No key is the beginning
//!   of another value's, so keys may be joined to order by one value after the other, and what begins with a key is
//!   exactly what was joined to it.
//! - Equal values have equal keys and only they do: **to hash a value, hash its key**. `==` on
//!   [`Value`](super::Value) is finer (it tells 5 from 5.0), so a hash made for one must not be used for the other.
//!
//! Recursion goes as deep as the value: at most [`MAX_NESTING`](super::limits::MAX_NESTING) for whatever was
//! decoded or can be encoded.

mod number;

use std::cmp::Ordering;

use super::key_order::{compare_keys, push_normalised};
use super::value_ref::{EntriesRef, NumbersRef, ValueRef};
use number::{Place, sortable_bits};

/// The first byte of a key, by type; the order of types is the order of these.
mod rank {
    pub(super) const BOOL: u8 = 0x01;
    pub(super) const NUMBER: u8 = 0x02;
    pub(super) const DATE: u8 = 0x03;
    pub(super) const UUID: u8 = 0x04;
    pub(super) const STRING: u8 = 0x05;
    pub(super) const DATA: u8 = 0x06;
    pub(super) const ARRAY: u8 = 0x07;
    pub(super) const DICT: u8 = 0x08;
    pub(super) const VECTOR: u8 = 0x09;
    pub(super) const NULL: u8 = 0x0A;
}

/// Ends the members of a container. Below every rank and below [`MEMBER`], so that of two sequences the one that
/// ends first is the lesser.
const END: u8 = 0x00;
/// Announces an entry of a dict or an item of a vector.
const MEMBER: u8 = 0x01;
/// Ends the bytes of a text. Below what stands for a zero byte, and below every other byte, so that of two texts
/// the one that ends first is the lesser.
const TEXT_END: [u8; 2] = [0x00, 0x01];
/// Stands for a zero byte inside a text.
const TEXT_ZERO: [u8; 2] = [0x00, 0xFF];

/// The order of two values.
///
/// ```
/// use std::cmp::Ordering;
/// use blazedb::blazebinary::{Value, order::compare};
/// // 2^53 + 1 as an integer lies above 2^53 as a double, though it would round to it.
/// assert_eq!(compare(&Value::Int(9007199254740993), &Value::Double(9007199254740992.0)), Ordering::Greater);
/// // A missing value reads as null.
/// assert_eq!(compare(None::<&Value>, &Value::Null), Ordering::Equal);
/// ```
pub fn compare<'a, 'b>(a: impl Into<ValueRef<'a>>, b: impl Into<ValueRef<'b>>) -> Ordering {
    compare_values(a.into(), b.into())
}

/// Appends the key of a value to `out`. A key is at most six times as long as the encoding, that of a whole record at
/// most eight times.
pub fn push_key<'a>(value: impl Into<ValueRef<'a>>, out: &mut Vec<u8>) {
    // One buffer serves the normal forms of all keys of dicts.
    push_value(value.into(), out, &mut String::new());
}

fn compare_values(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    use ValueRef as V;
    match (a, b) {
        (V::Bool(a), V::Bool(b)) => a.cmp(&b),
        (V::Int(a), V::Int(b)) => a.cmp(&b),
        (V::Double(a), V::Double(b)) => sortable_bits(a).cmp(&sortable_bits(b)),
        (V::Int(a), V::Double(b)) => Place::of_int(a).cmp(&Place::of_double(b)),
        (V::Double(a), V::Int(b)) => Place::of_double(a).cmp(&Place::of_int(b)),
        (V::Date(a), V::Date(b)) => sortable_bits(a.seconds()).cmp(&sortable_bits(b.seconds())),
        (V::Uuid(a), V::Uuid(b)) => a.as_bytes().cmp(b.as_bytes()),
        (V::String(a), V::String(b)) | (V::Data(a), V::Data(b)) => a.cmp(b),
        (V::Array(a), V::Array(b)) => compare_members(a, b, compare_values),
        (V::Dict(a), V::Dict(b)) => compare_members(a, b, |(a_key, a), (b_key, b)| {
            compare_keys(a_key, b_key).then_with(|| compare_values(a, b))
        }),
        (V::Vector(a), V::Vector(b)) => compare_members(a, b, |a, b| sortable_bits(a).cmp(&sortable_bits(b))),
        (a, b) => rank_of(&a).cmp(&rank_of(&b)),
    }
}

/// The order of the first members that differ; where none does, the shorter sequence is the lesser.
fn compare_members<T>(
    mut a: impl Iterator<Item = T>,
    mut b: impl Iterator<Item = T>,
    compare: impl Fn(T, T) -> Ordering,
) -> Ordering {
    loop {
        let order = match (a.next(), b.next()) {
            (Some(a), Some(b)) => compare(a, b),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn rank_of(value: &ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Bool(_) => rank::BOOL,
        ValueRef::Int(_) | ValueRef::Double(_) => rank::NUMBER,
        ValueRef::Date(_) => rank::DATE,
        ValueRef::Uuid(_) => rank::UUID,
        ValueRef::String(_) => rank::STRING,
        ValueRef::Data(_) => rank::DATA,
        ValueRef::Array(_) => rank::ARRAY,
        ValueRef::Dict(_) => rank::DICT,
        ValueRef::Vector(_) => rank::VECTOR,
        ValueRef::Null => rank::NULL,
    }
}

fn push_value(value: ValueRef<'_>, out: &mut Vec<u8>, normalised: &mut String) {
    out.push(rank_of(&value));
    match value {
        ValueRef::Null => {}
        ValueRef::Bool(value) => out.push(u8::from(value)),
        ValueRef::Int(int) => Place::of_int(int).push_key(out),
        ValueRef::Double(double) => Place::of_double(double).push_key(out),
        ValueRef::Date(date) => out.extend_from_slice(&sortable_bits(date.seconds()).to_be_bytes()),
        ValueRef::Uuid(id) => out.extend_from_slice(id.as_bytes()),
        ValueRef::String(bytes) | ValueRef::Data(bytes) => push_escaped(bytes, out),
        ValueRef::Array(items) => {
            items.for_each(|item| push_value(item, out, normalised));
            out.push(END);
        }
        ValueRef::Dict(entries) => push_entries(entries, out, normalised),
        ValueRef::Vector(numbers) => push_numbers(numbers, out),
    }
}

fn push_entries(entries: EntriesRef<'_>, out: &mut Vec<u8>, normalised: &mut String) {
    for (key, value) in entries {
        out.push(MEMBER);
        normalised.clear();
        push_normalised(key, normalised);
        push_escaped(normalised.as_bytes(), out);
        push_value(value, out, normalised);
    }
    out.push(END);
}

/// Of an item's sortable bits the upper half: the lower one says no more than the sign does.
fn push_numbers(numbers: NumbersRef<'_>, out: &mut Vec<u8>) {
    for number in numbers {
        let [a, b, c, d, ..] = sortable_bits(number).to_be_bytes();
        out.extend_from_slice(&[MEMBER, a, b, c, d]);
    }
    out.push(END);
}

/// The bytes with every zero marked, and an end.
fn push_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    let mut runs = bytes.split(|&byte| byte == 0);
    out.extend_from_slice(runs.next().unwrap_or_default());
    for run in runs {
        out.extend_from_slice(&TEXT_ZERO);
        out.extend_from_slice(run);
    }
    out.extend_from_slice(&TEXT_END);
}

#[cfg(test)]
mod tests;
