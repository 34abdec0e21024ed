//! Writing values and records in canonical form.

use uuid::Uuid;

use super::dictionary::NAME_FOLLOWS;
use super::error::EncodeError;
use super::layout::Layout;
use super::limits::MAX_NESTING;
use super::measure::{encoded_length, sized_length, string_length, value_length};
use super::token::{CHECKSUM_BYTES, MAGIC, tag};
use super::value::{Dict, Record, Value};

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
    let length = encoded_length(record, layout)?;
    append(out, length, |room| write_record(record, layout, room));
    if layout == Layout::V2 {
        close_with_checksum(out, length);
    }
    Ok(())
}

/// The checksum takes the place that was left for it at the end of the record.
fn close_with_checksum(out: &mut [u8], length: usize) {
    let start = out.len().saturating_sub(length);
    let record = out.get_mut(start..).unwrap_or_default();
    if let Some((body, checksum)) = record.split_last_chunk_mut() {
        *checksum = crc32fast::hash(body).to_be_bytes();
    }
}

/// Appends the canonical bytes of one value to `out`.
///
/// # Errors
/// [`EncodeError`] if the value passes a limit of the format; `out` is then as it was.
pub fn encode_value(value: &Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let length = value_length(value, MAX_NESTING)?;
    append(out, length, |room| write_value(value, room));
    Ok(())
}

/// Appends `length` bytes, which `write` fills.
#[inline(always)]
fn append(out: &mut Vec<u8>, length: usize, write: impl FnOnce(Room<'_>) -> Room<'_>) {
    let start = out.len();
    out.resize(start.saturating_add(length), 0);
    let left = write(Room(out.get_mut(start..).unwrap_or_default()));
    debug_assert!(left.0.is_empty() || left.0.len() == CHECKSUM_BYTES, "{} bytes too many", left.0.len());
}

/// What is left of the place that was measured for a value. Handed on by value, so that it stays in registers:
/// appending to a vector loads and stores its length for every piece.
struct Room<'a>(&'a mut [u8]);

impl<'a> Room<'a> {
    #[inline(always)]
    fn array<const N: usize>(self, bytes: [u8; N]) -> Self {
        match self.0.split_first_chunk_mut() {
            Some((place, rest)) => {
                *place = bytes;
                Self(rest)
            }
            None => Self(&mut []),
        }
    }

    #[inline(always)]
    fn bytes(self, bytes: &[u8]) -> Self {
        match self.0.split_at_mut_checked(bytes.len()) {
            Some((place, rest)) => {
                copy(bytes, place);
                Self(rest)
            }
            None => Self(&mut []),
        }
    }

    #[inline(always)]
    fn tagged(self, tag: u8, [a, b, c, d, e, f, g, h]: [u8; 8]) -> Self {
        self.array([tag, a, b, c, d, e, f, g, h])
    }

    /// A tag and a u32 length. What was measured fits.
    #[inline(always)]
    fn head4(self, tag: u8, length: usize) -> Self {
        let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.array([tag, a, b, c, d])
    }

    /// A tag and a u16 count. What was measured fits.
    #[inline(always)]
    fn head2(self, tag: u8, count: usize) -> Self {
        let [high, low] = narrow(count);
        self.array([tag, high, low])
    }

    #[inline(always)]
    fn int(self, value: i64) -> Self {
        match u8::try_from(value) {
            Ok(small) => self.array([tag::SMALL_INT, small]),
            Err(_) => self.tagged(tag::INT, value.to_be_bytes()),
        }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the arm bounds the length by 15")]
    fn string(self, value: &str) -> Self {
        match value.len() {
            0 => self.array([tag::EMPTY_STRING]),
            short @ 1..=tag::SHORT_STRING_MAX_BYTES => {
                self.array([tag::SHORT_STRING | short as u8]).bytes(value.as_bytes())
            }
            long => self.head4(tag::STRING, long).bytes(value.as_bytes()),
        }
    }
}

/// Copies between slices of one length. Short ones, which most keys and strings are, go as two copies of a fixed
/// size that overlap in the middle, which saves a call.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    match from.len() {
        8..=16 => overlapping::<8>(from, to),
        4..8 => overlapping::<4>(from, to),
        17..=32 => overlapping::<16>(from, to),
        _ => to.copy_from_slice(from),
    }
}

#[inline(always)]
fn overlapping<const N: usize>(from: &[u8], to: &mut [u8]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut::<N>()) {
        *to = *from;
    }
    if let (Some(from), Some(to)) = (from.last_chunk::<N>(), to.last_chunk_mut::<N>()) {
        *to = *from;
    }
}

#[inline(always)]
fn narrow(count: usize) -> [u8; 2] {
    u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes()
}

fn write_record<'a>(record: &Record, layout: Layout, room: Room<'a>) -> Room<'a> {
    let [high, low] = narrow(record.len());
    let [b, l, a, z, e] = *MAGIC;
    let mut room = room.array([b, l, a, z, e, layout.byte(), high, low]);
    for (key, value) in record.iter() {
        room = match key.field_id() {
            Some(id) => room.array([id.byte()]),
            None => room.head2(NAME_FOLLOWS, key.as_str().len()).bytes(key.as_str().as_bytes()),
        };
        room = write_value(value, room);
    }
    room
}

#[inline(always)]
fn write_value<'a>(value: &Value, room: Room<'a>) -> Room<'a> {
    match value {
        Value::Null => room.array([tag::NULL]),
        Value::Bool(value) => room.array([tag::BOOL, u8::from(*value)]),
        Value::Int(value) => room.int(*value),
        Value::Double(value) => room.tagged(tag::DOUBLE, value.to_be_bytes()),
        Value::Date(value) => room.tagged(tag::DATE, value.seconds().to_be_bytes()),
        Value::Uuid(value) => room.array([tag::UUID]).array(*value.as_bytes()),
        Value::String(value) => room.string(value),
        Value::Data(value) => room.head4(tag::DATA, value.len()).bytes(value),
        Value::Array(items) => write_array(items, room),
        Value::Dict(dict) => write_dict(dict, room),
        Value::Vector(vector) => {
            let halves = vector.upper_halves();
            let room = room.head4(tag::VECTOR, halves.len());
            halves.iter().fold(room, |room, half| room.array(half.to_be_bytes()))
        }
    }
}

fn write_array<'a>(items: &[Value], mut room: Room<'a>) -> Room<'a> {
    if items.is_empty() {
        return room.array([tag::EMPTY_ARRAY]);
    }
    room = room.head2(tag::ARRAY, items.len());
    for item in items {
        room = write_value(item, room);
    }
    room
}

fn write_dict<'a>(dict: &Dict, mut room: Room<'a>) -> Room<'a> {
    if dict.is_empty() {
        return room.array([tag::EMPTY_DICT]);
    }
    room = room.head2(tag::DICT, dict.len());
    for (key, value) in dict.iter() {
        room = room.array(narrow(key.as_str().len())).bytes(key.as_str().as_bytes());
        room = write_value(value, room);
    }
    room
}

/// Writers of single values, for payloads that are a fixed run of values without names.
pub mod put {
    use super::{EncodeError, Uuid, append, sized_length, string_length, tag};

    /// Appends a null.
    pub fn null(out: &mut Vec<u8>) {
        out.push(tag::NULL);
    }

    /// Appends a bool.
    pub fn bool(value: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&[tag::BOOL, u8::from(value)]);
    }

    /// Appends an integer: two bytes for 0 to 255, else nine.
    pub fn int(value: i64, out: &mut Vec<u8>) {
        let length = if u8::try_from(value).is_ok() { 2 } else { 9 };
        append(out, length, |room| room.int(value));
    }

    /// Appends a double; its bits are kept.
    pub fn double(value: f64, out: &mut Vec<u8>) {
        append(out, 9, |room| room.tagged(tag::DOUBLE, value.to_be_bytes()));
    }

    /// Appends a UUID.
    pub fn uuid(value: &Uuid, out: &mut Vec<u8>) {
        append(out, 17, |room| room.array([tag::UUID]).array(*value.as_bytes()));
    }

    /// Appends a string in the shortest of its three forms.
    ///
    /// # Errors
    /// [`EncodeError::RecordTooLarge`] if it is longer than a record may be.
    pub fn string(value: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        append(out, string_length(value)?, |room| room.string(value));
        Ok(())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`EncodeError::RecordTooLarge`] if they are more than a record may hold.
    pub fn data(value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        append(out, sized_length(value.len())?, |room| room.head4(tag::DATA, value.len()).bytes(value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blazebinary::limits::{MAX_ENTRIES, MAX_KEY_BYTES, MAX_RECORD_BYTES};

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
