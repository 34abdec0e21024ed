//! The lexical level: one value's tag and payload, without judging its form. Validation, the lenient decoder
//! and the view all read through here, so that the table of tags is written once.

use super::dictionary::{FieldId, NAME_FOLLOWS};
use super::error::DecodeErrorKind;
use super::reader::Reader;

/// Value tags (`spec/blazebinary.md`, "Values").
pub(super) mod tag {
    pub(crate) const STRING: u8 = 0x01;
    pub(crate) const INT: u8 = 0x02;
    pub(crate) const DOUBLE: u8 = 0x03;
    pub(crate) const BOOL: u8 = 0x04;
    pub(crate) const UUID: u8 = 0x05;
    pub(crate) const DATE: u8 = 0x06;
    pub(crate) const DATA: u8 = 0x07;
    pub(crate) const ARRAY: u8 = 0x08;
    pub(crate) const DICT: u8 = 0x09;
    pub(crate) const VECTOR: u8 = 0x0A;
    pub(crate) const NULL: u8 = 0x0B;
    pub(crate) const EMPTY_STRING: u8 = 0x11;
    pub(crate) const SMALL_INT: u8 = 0x12;
    pub(crate) const EMPTY_ARRAY: u8 = 0x18;
    pub(crate) const EMPTY_DICT: u8 = 0x19;
    /// The low nibble is the length of the string that follows.
    pub(crate) const SHORT_STRING: u8 = 0x20;
    pub(crate) const SHORT_STRING_LAST: u8 = 0x2F;
    /// The longest string that a short string's tag can announce.
    pub(crate) const SHORT_STRING_MAX_BYTES: usize = 15;
}

/// One value as it stands in the bytes; of a container only the head.
#[derive(Debug, Clone, Copy)]
pub(super) enum Token<'a> {
    Null,
    Bool(u8),
    SmallInt(u8),
    Int(i64),
    Double(f64),
    Date(f64),
    Uuid(&'a [u8; 16]),
    EmptyString,
    ShortString(&'a [u8]),
    String(&'a [u8]),
    Data(&'a [u8]),
    EmptyArray,
    Array(u16),
    EmptyDict,
    Dict(u16),
    /// Four bytes an item.
    Vector(&'a [u8]),
}

impl<'a> Token<'a> {
    #[inline(always)]
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeErrorKind> {
        let tag = reader.u8().ok_or(DecodeErrorKind::Truncated)?;
        let token = match tag {
            tag::SHORT_STRING..=tag::SHORT_STRING_LAST => {
                reader.bytes(usize::from(tag & 0x0F)).map(Self::ShortString)
            }
            tag::SMALL_INT => reader.u8().map(Self::SmallInt),
            tag::STRING => sized(reader).map(Self::String),
            tag::INT => reader.array().map(|bytes| Self::Int(i64::from_be_bytes(*bytes))),
            tag::DOUBLE => reader.array().map(|bytes| Self::Double(f64::from_be_bytes(*bytes))),
            tag::BOOL => reader.u8().map(Self::Bool),
            tag::UUID => reader.array().map(Self::Uuid),
            tag::DATE => reader.array().map(|bytes| Self::Date(f64::from_be_bytes(*bytes))),
            tag::DATA => sized(reader).map(Self::Data),
            tag::ARRAY => reader.u16().map(Self::Array),
            tag::DICT => reader.u16().map(Self::Dict),
            tag::VECTOR => vector(reader).map(Self::Vector),
            tag::NULL => Some(Self::Null),
            tag::EMPTY_STRING => Some(Self::EmptyString),
            tag::EMPTY_ARRAY => Some(Self::EmptyArray),
            tag::EMPTY_DICT => Some(Self::EmptyDict),
            unknown => return Err(DecodeErrorKind::UnknownTag(unknown)),
        };
        token.ok_or(DecodeErrorKind::Truncated)
    }
}

/// How many bytes follow a tag whose payload always has the same size; a table, because skipping fields should
/// not depend on guessing their types.
#[inline(always)]
pub(super) fn fixed_payload_bytes(tag: u8) -> Option<usize> {
    let bytes = *FIXED_PAYLOAD_BYTES.get(usize::from(tag))?;
    (bytes != VARIES).then_some(usize::from(bytes))
}

const VARIES: u8 = u8::MAX;
const FIXED_PAYLOAD_BYTES: [u8; 256] = fixed_payload_table();

#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "runs in the compiler only")]
const fn fixed_payload_table() -> [u8; 256] {
    let mut table = [VARIES; 256];
    let mut length = 0;
    while length as usize <= tag::SHORT_STRING_MAX_BYTES {
        table[(tag::SHORT_STRING | length) as usize] = length;
        length += 1;
    }
    table[tag::SMALL_INT as usize] = 1;
    table[tag::BOOL as usize] = 1;
    table[tag::INT as usize] = 8;
    table[tag::DOUBLE as usize] = 8;
    table[tag::DATE as usize] = 8;
    table[tag::UUID as usize] = 16;
    table[tag::NULL as usize] = 0;
    table[tag::EMPTY_STRING as usize] = 0;
    table[tag::EMPTY_ARRAY as usize] = 0;
    table[tag::EMPTY_DICT as usize] = 0;
    table
}

#[inline]
fn sized<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = reader.u32()?;
    reader.bytes(usize::try_from(length).ok()?)
}

#[inline]
fn vector<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let count = usize::try_from(reader.u32()?).ok()?;
    reader.bytes(count.checked_mul(4)?)
}

/// A key of the top level: an id, or a name written out.
#[derive(Debug, Clone, Copy)]
pub(super) enum FieldKey<'a> {
    Common(FieldId),
    Named(&'a [u8]),
}

impl<'a> FieldKey<'a> {
    #[inline(always)]
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeErrorKind> {
        match reader.u8().ok_or(DecodeErrorKind::Truncated)? {
            NAME_FOLLOWS => entry_key(reader).map(Self::Named),
            byte => FieldId::from_byte(byte).map(Self::Common).ok_or(DecodeErrorKind::UnknownField(byte)),
        }
    }
}

/// A key of a nested dict: always a name written out.
#[inline(always)]
pub(super) fn entry_key<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeErrorKind> {
    let length = reader.u16().ok_or(DecodeErrorKind::Truncated)?;
    reader.bytes(usize::from(length)).ok_or(DecodeErrorKind::Truncated)
}

/// The u16 length in front of a nested dict's key.
pub(super) const ENTRY_KEY_HEAD_BYTES: usize = 2;
/// [`NAME_FOLLOWS`] and the u16 length in front of a name that is written out at the top level.
pub(super) const NAMED_KEY_HEAD_BYTES: usize = 3;
/// The bytes that open every record, before its layout byte and u16 field count.
pub(super) const MAGIC: &[u8; 5] = b"BLAZE";
/// Magic, layout byte and u16 field count.
pub(super) const HEADER_BYTES: usize = 8;
/// The CRC-32 that closes a layout 2 record.
pub(super) const CHECKSUM_BYTES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The table that skips and the reader that reads agree on every tag.
    #[test]
    fn skipping_and_reading_take_the_same_bytes() {
        for tag in 0..=u8::MAX {
            let mut bytes = [0; 32];
            bytes[0] = tag;
            let mut reader = Reader::new(&bytes);
            let token = Token::read(&mut reader);
            let varies = matches!(
                token,
                Err(_)
                    | Ok(Token::String(_)
                        | Token::Data(_)
                        | Token::Array(_)
                        | Token::Dict(_)
                        | Token::Vector(_))
            );
            let read = (!varies).then(|| reader.offset() - 1);
            assert_eq!(fixed_payload_bytes(tag), read, "{tag:#04x}");
        }
    }
}
