//! Writing typed JSON: compact, keys in canonical order.

use std::fmt::{Arguments, Write};

use data_encoding::BASE64;

use super::super::value_ref::{EntriesRef, ItemsRef, NumbersRef, ValueRef};
use super::{BITS_PREFIX, INFINITY, MARK, MAX_PLAIN_INT, NAMED_NAN, NAN, NEGATIVE_INFINITY, scalar_key};

/// Appends a record as one JSON object without blanks or line ends, so that a file may hold one a line. Takes a
/// `&Record` or a [`RecordView`](crate::blazebinary::RecordView), which is read in place.
pub fn write_record<'a>(record: impl Into<EntriesRef<'a>>, out: &mut String) {
    entries(record.into(), out);
}

/// Appends a value as JSON without blanks or line ends. Takes a `&Value` or a
/// [`ValueView`](crate::blazebinary::ValueView), which is read in place.
pub fn write_value<'a>(value: impl Into<ValueRef<'a>>, out: &mut String) {
    any(value.into(), out);
}

/// Recursion goes as deep as the value: `MAX_NESTING` for whatever was decoded or can be encoded.
fn any(value: ValueRef<'_>, out: &mut String) {
    match value {
        ValueRef::Null => out.push_str("null"),
        ValueRef::Bool(true) => out.push_str("true"),
        ValueRef::Bool(false) => out.push_str("false"),
        ValueRef::Int(int) => integer(int, out),
        ValueRef::Double(number) => double(number, out),
        ValueRef::Date(date) => match date.to_rfc3339() {
            Some(text) => scalar(scalar_key::DATE, format_args!("{text}"), out),
            None => bits(scalar_key::DATE, date.seconds(), out),
        },
        ValueRef::Uuid(id) => scalar(scalar_key::UUID, format_args!("{}", id.hyphenated()), out),
        ValueRef::String(bytes) => string(utf8(bytes), out),
        ValueRef::Data(data) => {
            scalar(scalar_key::DATA, format_args!("{}", BASE64.encode_display(data)), out);
        }
        ValueRef::Array(array) => items(array, out),
        ValueRef::Dict(dict) => entries(dict, out),
        ValueRef::Vector(vector) => numbers(vector, out),
    }
}

/// Strings were found to be UTF-8 when they were read; a crate without `unsafe` asks again.
fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn integer(int: i64, out: &mut String) {
    if int.unsigned_abs() <= MAX_PLAIN_INT {
        push(format_args!("{int}"), out);
    } else {
        scalar(scalar_key::INT, format_args!("{int}"), out);
    }
}

fn double(number: f64, out: &mut String) {
    if number.is_finite() {
        // The fewest digits that read back to the same bits, and always a point or an exponent.
        push(format_args!("{number:?}"), out);
    } else if number == f64::INFINITY {
        scalar(scalar_key::DOUBLE, format_args!("{INFINITY}"), out);
    } else if number == f64::NEG_INFINITY {
        scalar(scalar_key::DOUBLE, format_args!("{NEGATIVE_INFINITY}"), out);
    } else if number.to_bits() == NAMED_NAN {
        scalar(scalar_key::DOUBLE, format_args!("{NAN}"), out);
    } else {
        bits(scalar_key::DOUBLE, number, out);
    }
}

fn bits(key: &str, number: f64, out: &mut String) {
    scalar(key, format_args!("{BITS_PREFIX}{:016x}", number.to_bits()), out);
}

/// An object of one key. The text needs no escaping: it holds letters, digits and `+ - . / : =` only.
fn scalar(key: &str, text: Arguments<'_>, out: &mut String) {
    push(format_args!("{{\"{key}\":\"{text}\"}}"), out);
}

fn push(text: Arguments<'_>, out: &mut String) {
    // Writing to a string does not fail.
    let _ = out.write_fmt(text);
}

fn items(items: ItemsRef<'_>, out: &mut String) {
    out.push('[');
    for (at, item) in items.enumerate() {
        separate(at, out);
        any(item, out);
    }
    out.push(']');
}

fn entries(entries: EntriesRef<'_>, out: &mut String) {
    out.push('{');
    for (at, (key, value)) in entries.enumerate() {
        separate(at, out);
        out.push('"');
        if key.starts_with(MARK) {
            out.push(MARK);
        }
        escaped(key, out);
        out.push_str("\":");
        any(value, out);
    }
    out.push('}');
}

fn numbers(numbers: NumbersRef<'_>, out: &mut String) {
    push(format_args!("{{\"{}\":[", scalar_key::VECTOR), out);
    for (at, number) in numbers.enumerate() {
        separate(at, out);
        double(number, out);
    }
    out.push_str("]}");
}

fn separate(at: usize, out: &mut String) {
    if at > 0 {
        out.push(',');
    }
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    escaped(text, out);
    out.push('"');
}

/// Escapes what JSON demands and nothing else.
fn escaped(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        // What is escaped is one ASCII byte, so both cuts lie between characters.
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut tail = tail.chars();
        match tail.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\t') => out.push_str("\\t"),
            Some('\n') => out.push_str("\\n"),
            Some('\u{C}') => out.push_str("\\f"),
            Some('\r') => out.push_str("\\r"),
            Some(control) => push(format_args!("\\u{:04x}", u32::from(control)), out),
            None => {}
        }
        rest = tail.as_str();
    }
    out.push_str(rest);
}
