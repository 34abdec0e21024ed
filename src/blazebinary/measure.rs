//! The first of the encoder's two passes: how long the bytes will be, and whether the format can hold them.
//!
//! Every limit is checked here, so that writing cannot fail and goes into a place of the right size.

use super::error::EncodeError;
use super::key::Key;
use super::layout::Layout;
use super::limits::{MAX_ENTRIES, MAX_KEY_BYTES, MAX_NESTING, MAX_RECORD_BYTES};
use super::token::{CHECKSUM_BYTES, ENTRY_KEY_HEAD_BYTES, HEADER_BYTES, NAMED_KEY_HEAD_BYTES, tag};
use super::value::{Dict, Record, Value};

/// How many bytes [`encode_record`](super::encode_record) appends.
///
/// # Errors
/// [`EncodeError`] if the record passes a limit of the format.
pub fn encoded_length(record: &Record, layout: Layout) -> Result<usize, EncodeError> {
    let mut length = match layout {
        Layout::V1 => HEADER_BYTES,
        Layout::V2 => HEADER_BYTES.saturating_add(CHECKSUM_BYTES),
    };
    check_count(record.len())?;
    for (key, value) in record.iter() {
        let key_length = match key.field_id() {
            Some(_) => 1,
            None => NAMED_KEY_HEAD_BYTES.saturating_add(check_key(key)?),
        };
        length = length.saturating_add(key_length).saturating_add(value_length(value, MAX_NESTING)?);
    }
    if length > MAX_RECORD_BYTES { Err(EncodeError::RecordTooLarge(length)) } else { Ok(length) }
}

/// `room` is how many containers may still nest. It bounds the recursion.
#[inline(always)]
pub(super) fn value_length(value: &Value, room: usize) -> Result<usize, EncodeError> {
    Ok(match value {
        Value::Null => 1,
        Value::Bool(_) => 2,
        Value::Int(value) if u8::try_from(*value).is_ok() => 2,
        Value::Int(_) | Value::Double(_) | Value::Date(_) => 9,
        Value::Uuid(_) => 17,
        Value::String(value) => string_length(value)?,
        Value::Data(value) => sized_length(value.len())?,
        Value::Array(items) => array_length(items, room)?,
        Value::Dict(dict) => dict_length(dict, room)?,
        Value::Vector(vector) => sized_length(vector.upper_halves().len().saturating_mul(4))?,
    })
}

pub(super) fn string_length(value: &str) -> Result<usize, EncodeError> {
    match value.len() {
        short @ 0..=tag::SHORT_STRING_MAX_BYTES => Ok(short.saturating_add(1)),
        long => sized_length(long),
    }
}

/// A tag, a u32 length and the bytes, which fit any u32 if they fit a record.
pub(super) fn sized_length(bytes: usize) -> Result<usize, EncodeError> {
    if bytes > MAX_RECORD_BYTES {
        Err(EncodeError::RecordTooLarge(bytes))
    } else {
        Ok(bytes.saturating_add(5))
    }
}

fn array_length(items: &[Value], room: usize) -> Result<usize, EncodeError> {
    let room = room.checked_sub(1).ok_or(EncodeError::TooDeep)?;
    let mut length = container_head(items.len())?;
    for item in items {
        length = length.saturating_add(value_length(item, room)?);
    }
    Ok(length)
}

fn dict_length(dict: &Dict, room: usize) -> Result<usize, EncodeError> {
    let room = room.checked_sub(1).ok_or(EncodeError::TooDeep)?;
    let mut length = container_head(dict.len())?;
    for (key, value) in dict.iter() {
        let entry =
            ENTRY_KEY_HEAD_BYTES.saturating_add(check_key(key)?).saturating_add(value_length(value, room)?);
        length = length.saturating_add(entry);
    }
    Ok(length)
}

fn container_head(entries: usize) -> Result<usize, EncodeError> {
    check_count(entries)?;
    Ok(if entries == 0 { 1 } else { 3 })
}

fn check_count(entries: usize) -> Result<(), EncodeError> {
    if entries > MAX_ENTRIES { Err(EncodeError::TooManyEntries(entries)) } else { Ok(()) }
}

fn check_key(key: &Key) -> Result<usize, EncodeError> {
    let length = key.as_str().len();
    if length > MAX_KEY_BYTES { Err(EncodeError::KeyTooLong(length)) } else { Ok(length) }
}
