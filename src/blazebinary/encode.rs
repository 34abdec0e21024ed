//! Writing values and records in canonical form.

use uuid::Uuid;

use super::dictionary::NAME_FOLLOWS;
use super::error::EncodeError;
use super::key::Key;
use super::limits::{MAX_ENTRIES, MAX_KEY_BYTES, MAX_NESTING, MAX_RECORD_BYTES};
use super::token::{MAGIC, tag};
use super::value::{Dict, Record, Value};

/// The layout of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Layout 1: no checksum. The default, since frames, logs and stores carry one of their own.
    #[default]
    V1,
    /// Layout 2: a CRC-32 of all bytes before it closes the record.
    V2,
}

impl Layout {
    /// The byte that names the layout.
    pub const fn byte(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// Appends the canonical bytes of `record` to `out`.
///
/// ```
/// use blazedb::blazebinary::{Layout, Record, encode_record};
/// let record = Record::from_iter([("priority", 1i64)]);
/// let mut bytes = Vec::new();
/// encode_record(&record, Layout::V1, &mut bytes).unwrap();
/// assert_eq!(bytes, b"BLAZE\x01\x00\x01\x09\x12\x01");
/// ```
///
/// # Errors
/// [`EncodeError`] if the record passes a limit of the format; `out` is then as it was.
pub fn encode_record(record: &Record, layout: Layout, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let written = write_record(record, layout, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write_record(record: &Record, layout: Layout, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let [high, low] = count(record.len())?.to_be_bytes();
    let [b, l, a, z, e] = *MAGIC;
    out.extend_from_slice(&[b, l, a, z, e, layout.byte(), high, low]);
    for (key, value) in record.iter() {
        match key.field_id() {
            Some(id) => out.push(id.byte()),
            None => {
                let [high, low] = key_length(key)?.to_be_bytes();
                out.extend_from_slice(&[NAME_FOLLOWS, high, low]);
                out.extend_from_slice(key.as_str().as_bytes());
            }
        }
        write_value(value, MAX_NESTING, out)?;
    }
    if layout == Layout::V2 {
        let checksum = crc32fast::hash(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&checksum.to_be_bytes());
    }
    let length = out.len().saturating_sub(start);
    if length > MAX_RECORD_BYTES { Err(EncodeError::RecordTooLarge(length)) } else { Ok(()) }
}

/// Appends the canonical bytes of one value to `out`.
///
/// # Errors
/// [`EncodeError`] if the value passes a limit of the format; `out` is then as it was.
pub fn encode_value(value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let written = write_value(value, MAX_NESTING, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// `room` is how many containers may still nest. It bounds the recursion.
fn write_value(value: &Value, room: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match value {
        Value::Null => put::null(out),
        Value::Bool(value) => put::bool(*value, out),
        Value::Int(value) => put::int(*value, out),
        Value::Double(value) => put::double(*value, out),
        Value::Date(value) => put::tagged8(tag::DATE, value.seconds().to_be_bytes(), out),
        Value::Uuid(value) => put::uuid(value, out),
        Value::String(value) => put::string(value, out)?,
        Value::Data(value) => put::data(value, out)?,
        Value::Array(items) => write_array(items, room, out)?,
        Value::Dict(dict) => write_dict(dict, room, out)?,
        Value::Vector(vector) => {
            let halves = vector.upper_halves();
            put::head(tag::VECTOR, put::length(halves.len())?, out);
            for half in halves {
                out.extend_from_slice(&half.to_be_bytes());
            }
        }
    }
    Ok(())
}

fn write_array(items: &[Value], room: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let room = room.checked_sub(1).ok_or(EncodeError::TooDeep)?;
    if items.is_empty() {
        out.push(tag::EMPTY_ARRAY);
        return Ok(());
    }
    let [high, low] = count(items.len())?.to_be_bytes();
    out.extend_from_slice(&[tag::ARRAY, high, low]);
    items.iter().try_for_each(|item| write_value(item, room, out))
}

fn write_dict(dict: &Dict, room: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let room = room.checked_sub(1).ok_or(EncodeError::TooDeep)?;
    if dict.is_empty() {
        out.push(tag::EMPTY_DICT);
        return Ok(());
    }
    let [high, low] = count(dict.len())?.to_be_bytes();
    out.extend_from_slice(&[tag::DICT, high, low]);
    for (key, value) in dict.iter() {
        out.extend_from_slice(&key_length(key)?.to_be_bytes());
        out.extend_from_slice(key.as_str().as_bytes());
        write_value(value, room, out)?;
    }
    Ok(())
}

fn count(entries: usize) -> Result<u16, EncodeError> {
    debug_assert_eq!(MAX_ENTRIES, usize::from(u16::MAX));
    u16::try_from(entries).map_err(|_| EncodeError::TooManyEntries(entries))
}

fn key_length(key: &Key) -> Result<u16, EncodeError> {
    debug_assert_eq!(MAX_KEY_BYTES, usize::from(u16::MAX));
    let length = key.as_str().len();
    u16::try_from(length).map_err(|_| EncodeError::KeyTooLong(length))
}

/// Writers of single values, for payloads that are a fixed run of values without names.
pub mod put {
    use super::{EncodeError, Uuid, tag};

    /// Appends a null.
    #[inline]
    pub fn null(out: &mut Vec<u8>) {
        out.push(tag::NULL);
    }

    /// Appends a bool.
    #[inline]
    pub fn bool(value: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&[tag::BOOL, u8::from(value)]);
    }

    /// Appends an integer: two bytes for 0 to 255, else nine.
    #[inline]
    pub fn int(value: i64, out: &mut Vec<u8>) {
        match u8::try_from(value) {
            Ok(small) => out.extend_from_slice(&[tag::SMALL_INT, small]),
            Err(_) => tagged8(tag::INT, value.to_be_bytes(), out),
        }
    }

    /// Appends a double; its bits are kept.
    #[inline]
    pub fn double(value: f64, out: &mut Vec<u8>) {
        tagged8(tag::DOUBLE, value.to_be_bytes(), out);
    }

    /// Appends a UUID.
    #[inline]
    pub fn uuid(value: &Uuid, out: &mut Vec<u8>) {
        let mut bytes = [tag::UUID; 17];
        if let Some(body) = bytes.last_chunk_mut() {
            *body = *value.as_bytes();
        }
        out.extend_from_slice(&bytes);
    }

    /// Appends a string in the shortest of its three forms.
    ///
    /// # Errors
    /// [`EncodeError::RecordTooLarge`] from 4 GiB on, where the length no longer fits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the arm bounds the length by 15")]
    pub fn string(value: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match value.len() {
            0 => out.push(tag::EMPTY_STRING),
            short @ 1..=tag::SHORT_STRING_MAX_BYTES => {
                out.push(tag::SHORT_STRING | short as u8);
                out.extend_from_slice(value.as_bytes());
            }
            long => {
                head(tag::STRING, length(long)?, out);
                out.extend_from_slice(value.as_bytes());
            }
        }
        Ok(())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`EncodeError::RecordTooLarge`] from 4 GiB on, where the length no longer fits.
    #[inline]
    pub fn data(value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        head(tag::DATA, length(value.len())?, out);
        out.extend_from_slice(value);
        Ok(())
    }

    #[inline]
    pub(super) fn tagged8(tag: u8, [a, b, c, d, e, f, g, h]: [u8; 8], out: &mut Vec<u8>) {
        out.extend_from_slice(&[tag, a, b, c, d, e, f, g, h]);
    }

    #[inline]
    pub(super) fn head(tag: u8, length: u32, out: &mut Vec<u8>) {
        let [a, b, c, d] = length.to_be_bytes();
        out.extend_from_slice(&[tag, a, b, c, d]);
    }

    #[inline]
    pub(super) fn length(length: usize) -> Result<u32, EncodeError> {
        u32::try_from(length).map_err(|_| EncodeError::RecordTooLarge(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(value: impl Into<Value>) -> String {
        let mut out = Vec::new();
        encode_value(&value.into(), &mut out).unwrap();
        data_encoding::HEXLOWER.encode(&out)
    }

    #[test]
    fn the_shortest_form_is_written() {
        // By hand from the table of tags.
        assert_eq!(hex(0i64), "1200");
        assert_eq!(hex(255i64), "12ff");
        assert_eq!(hex(256i64), "020000000000000100");
        assert_eq!(hex(-1i64), "02ffffffffffffffff");
        assert_eq!(hex(""), "11");
        assert_eq!(hex("Hello!"), "2648656c6c6f21");
        assert_eq!(hex("0123456789abcdef"), "010000001030313233343536373839616263646566");
        assert_eq!(hex(Vec::new()), "18");
        assert_eq!(hex(Dict::new()), "19");
        assert_eq!(hex(Dict::from_iter([("id", true)])), "090001000269640401");
    }

    #[test]
    fn what_passes_a_limit_is_refused_and_leaves_nothing() {
        let mut out = vec![7];
        let long_key = "k".repeat(MAX_KEY_BYTES + 1);
        let record = Record::from_iter([(long_key.as_str(), 1i64)]);
        assert_eq!(encode_record(&record, Layout::V1, &mut out), Err(EncodeError::KeyTooLong(65_536)));
        let items = vec![Value::Null; MAX_ENTRIES + 1];
        let record = Record::from_iter([("a", items)]);
        assert_eq!(encode_record(&record, Layout::V1, &mut out), Err(EncodeError::TooManyEntries(65_536)));
        let record = Record::from_iter([("a", Value::Data(vec![0; MAX_RECORD_BYTES]))]);
        // 8 of header, 4 of key, 5 of the data's head.
        let length = MAX_RECORD_BYTES + 17;
        assert_eq!(encode_record(&record, Layout::V1, &mut out), Err(EncodeError::RecordTooLarge(length)));
        assert_eq!(out, [7]);
    }

    #[test]
    fn sixty_four_containers_nest_and_no_more() {
        let nested =
            |depth: usize| (1..depth).fold(Value::Array(vec![]), |inner, _| Value::Array(vec![inner]));
        let mut out = Vec::new();
        assert_eq!(encode_value(&nested(MAX_NESTING), &mut out), Ok(()));
        assert_eq!(encode_value(&nested(MAX_NESTING + 1), &mut out), Err(EncodeError::TooDeep));
    }
}
