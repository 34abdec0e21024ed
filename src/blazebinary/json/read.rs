//! Reading typed JSON into owned values.

use std::borrow::Cow;

use super::super::key::Key;
use super::super::key_order::compare_keys;
use super::super::limits::{MAX_ENTRIES, MAX_KEY_BYTES, MAX_NESTING};
use super::super::value::{Dict, Record, Value};
use super::cursor::Cursor;
use super::error::{JsonError, JsonErrorKind as Kind};
use super::{MARK, scalar};

/// Reads a text that is one record: an object of fields.
///
/// Memory grows with the text, to at most some forty times its length (a list of one-digit numbers); the length is
/// the caller's to bound.
///
/// # Errors
/// [`JsonError`] naming the place of what is not typed JSON or passes a limit of the format.
pub fn read_record(text: &str) -> Result<Record, JsonError> {
    let mut cursor = start(text)?;
    let at = cursor.offset();
    let not_a_record = || Kind::NotARecord.at(text, at);
    if !matches!(cursor.peek(), Some(b'{') | None) {
        return Err(not_a_record());
    }
    // The record itself is not counted among the containers that nest.
    let record = match value(&mut cursor, MAX_NESTING.saturating_add(1))? {
        Value::Dict(record) => record,
        _ => return Err(not_a_record()),
    };
    end(cursor).map(|()| record)
}

/// Reads a text that is one value.
///
/// # Errors
/// As [`read_record`].
pub fn read_value(text: &str) -> Result<Value, JsonError> {
    let mut cursor = start(text)?;
    let value = value(&mut cursor, MAX_NESTING)?;
    end(cursor).map(|()| value)
}

fn start(text: &str) -> Result<Cursor<'_>, JsonError> {
    if text.starts_with('\u{FEFF}') {
        return Err(Kind::ByteOrderMark.at(text, 0));
    }
    let mut cursor = Cursor::new(text);
    cursor.skip_blanks();
    Ok(cursor)
}

fn end(mut cursor: Cursor<'_>) -> Result<(), JsonError> {
    cursor.skip_blanks();
    match cursor.peek() {
        None => Ok(()),
        Some(_) => Err(cursor.error_at(cursor.offset(), Kind::TrailingText)),
    }
}

/// `room` is how many containers may still nest. It bounds the recursion.
fn value(cursor: &mut Cursor<'_>, room: usize) -> Result<Value, JsonError> {
    match cursor.peek() {
        Some(b'{') => object(cursor, room),
        Some(b'[') => array(cursor, room).map(Value::Array),
        Some(b'"') => cursor.string().map(|text| Value::String(text.into_owned())),
        Some(b'-' | b'0'..=b'9') => scalar::number(cursor),
        Some(b'n') if cursor.eat_word("null") => Ok(Value::Null),
        Some(b't') if cursor.eat_word("true") => Ok(Value::Bool(true)),
        Some(b'f') if cursor.eat_word("false") => Ok(Value::Bool(false)),
        _ => Err(cursor.expected("a value")),
    }
}

fn array(cursor: &mut Cursor<'_>, room: usize) -> Result<Vec<Value>, JsonError> {
    let room = enter(cursor, room, cursor.offset())?;
    let mut items = Vec::new();
    cursor.eat(b'[');
    cursor.skip_blanks();
    if cursor.eat(b']') {
        return Ok(items);
    }
    loop {
        cursor.skip_blanks();
        if items.len() == MAX_ENTRIES {
            return Err(cursor.error_at(cursor.offset(), Kind::TooManyEntries));
        }
        items.push(value(cursor, room)?);
        cursor.skip_blanks();
        if cursor.eat(b']') {
            return Ok(items);
        }
        if !cursor.eat(b',') {
            return Err(cursor.expected("a comma or ]"));
        }
    }
}

/// Reads a dict, or the scalar that an object with one key stands for. The cursor stands on the opening brace.
fn object(cursor: &mut Cursor<'_>, room: usize) -> Result<Value, JsonError> {
    let opened_at = cursor.offset();
    cursor.eat(b'{');
    cursor.skip_blanks();
    if cursor.eat(b'}') {
        return enter(cursor, room, opened_at).map(|_| Value::Dict(Dict::new()));
    }
    let key_at = cursor.offset();
    let key = member_key(cursor)?;
    if is_reserved(&key) {
        return scalar::content(&key, key_at, cursor);
    }
    let room = enter(cursor, room, opened_at)?;
    members(cursor, room, key, key_at).map(Value::Dict)
}

fn enter(cursor: &Cursor<'_>, room: usize, at: usize) -> Result<usize, JsonError> {
    room.checked_sub(1).ok_or_else(|| cursor.error_at(at, Kind::TooDeep))
}

/// One entry of an object, and where its key begins.
struct Member {
    key: Key,
    value: Value,
    at: usize,
}

/// Reads the entries of a dict, of which the first key, at `at`, has been read.
fn members<'t>(
    cursor: &mut Cursor<'t>,
    room: usize,
    mut key: Cow<'t, str>,
    mut at: usize,
) -> Result<Dict, JsonError> {
    let mut members = Vec::new();
    loop {
        if members.len() == MAX_ENTRIES {
            return Err(cursor.error_at(at, Kind::TooManyEntries));
        }
        let name = unmarked(&key);
        if name.len() > MAX_KEY_BYTES {
            return Err(cursor.error_at(at, Kind::KeyTooLong));
        }
        let name = Key::from(name);
        members.push(Member { key: name, value: value(cursor, room)?, at });
        cursor.skip_blanks();
        if cursor.eat(b'}') {
            return collect(cursor, members);
        }
        if !cursor.eat(b',') {
            return Err(cursor.expected("a comma or }"));
        }
        cursor.skip_blanks();
        at = cursor.offset();
        key = member_key(cursor)?;
        if is_reserved(&key) {
            return Err(cursor.error_at(at, Kind::ReservedKey));
        }
    }
}

/// Reads a key and the colon, and stops at the value.
fn member_key<'t>(cursor: &mut Cursor<'t>) -> Result<Cow<'t, str>, JsonError> {
    if cursor.peek() != Some(b'"') {
        return Err(cursor.expected("a key in double quotes"));
    }
    let key = cursor.string()?;
    cursor.skip_blanks();
    if !cursor.eat(b':') {
        return Err(cursor.expected("a colon"));
    }
    cursor.skip_blanks();
    Ok(key)
}

/// Whether a key begins with exactly one mark, and so is no name of a field.
fn is_reserved(key: &str) -> bool {
    key.strip_prefix(MARK).is_some_and(|rest| !rest.starts_with(MARK))
}

/// The name that a key stands for: of several marks one is taken off.
fn unmarked(key: &str) -> &str {
    key.strip_prefix(MARK).unwrap_or(key)
}

/// Sorts the members, so that keys which repeat are found.
fn collect(cursor: &Cursor<'_>, mut members: Vec<Member>) -> Result<Dict, JsonError> {
    let in_order = |a: &Member, b: &Member| compare_keys(a.key.as_str(), b.key.as_str());
    if !members.is_sorted_by(|a, b| in_order(a, b).is_lt()) {
        // A stable sort: of keys that are equal the later in the text comes second.
        members.sort_by(in_order);
        let pairs = members.iter().zip(members.iter().skip(1));
        let repeated = pairs.filter(|(a, b)| in_order(a, b).is_eq()).map(|(_, second)| second.at).min();
        if let Some(at) = repeated {
            return Err(cursor.error_at(at, Kind::DuplicateKey));
        }
    }
    Ok(members.into_iter().map(|Member { key, value, .. }| (key, value)).collect())
}
