//! Reading and writing the fields of payloads: fixed big-endian numbers, and single canonical values.

use std::borrow::Cow;

use uuid::Uuid;

use super::clock::Clock;
use super::encoded::{EncodedDict, EncodedStrings};
use super::message_error::{MessageError, MessageErrorKind as Kind};
use super::name::{CollectionName, DatabaseName};
use super::position::{POSITION_BYTES, Position};
use super::record::FramedRecord;
use crate::blazebinary::{Reader, ValueView, put, read_canonical_value};

/// Bytes of a UUID that stands in fixed binary, without a tag.
pub(super) const UUID_BYTES: usize = 16;

/// Whether the checksums of records are compared: on arrival they are, when validated bytes are iterated not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksums {
    Verify,
    Trust,
}

/// A cursor over a payload. Every read names its field, so that errors can.
#[derive(Debug, Clone, Copy)]
pub(super) struct PayloadReader<'a> {
    reader: Reader<'a>,
    /// Whether records have to be canonical.
    is_strict: bool,
}

impl<'a> PayloadReader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload), is_strict: false }
    }

    /// One that refuses records that are not canonical (P-3.8).
    pub(super) fn strict(payload: &'a [u8]) -> Self {
        Self { is_strict: true, ..Self::new(payload) }
    }

    pub(super) fn offset(&self) -> usize {
        self.reader.offset()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// The bytes from `start`, a copy of this reader made earlier, to here.
    pub(super) fn since(&self, start: Self) -> &'a [u8] {
        let length = self.offset().saturating_sub(start.offset());
        start.rest().get(..length).unwrap_or_default()
    }

    fn fixed<const N: usize>(&mut self) -> Result<&'a [u8; N], MessageError> {
        let at = self.offset();
        self.reader.array().ok_or_else(|| Kind::Truncated.at(at))
    }

    pub(super) fn u8(&mut self) -> Result<u8, MessageError> {
        self.fixed::<1>().map(|[byte]| *byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, MessageError> {
        self.fixed().map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, MessageError> {
        self.fixed().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, MessageError> {
        self.fixed().map(|bytes| u64::from_be_bytes(*bytes))
    }

    pub(super) fn position(&mut self) -> Result<Position, MessageError> {
        self.fixed::<POSITION_BYTES>().map(Position::from_bytes)
    }

    pub(super) fn clock(&mut self) -> Result<Clock, MessageError> {
        self.u64().map(Clock::from_bits)
    }

    pub(super) fn id(&mut self) -> Result<Uuid, MessageError> {
        self.fixed::<UUID_BYTES>().map(|bytes| Uuid::from_bytes(*bytes))
    }

    /// A byte that names one of several things.
    pub(super) fn choice<T>(
        &mut self,
        field: &'static str,
        from_byte: impl FnOnce(u8) -> Option<T>,
    ) -> Result<T, MessageError> {
        let at = self.offset();
        let byte = self.u8()?;
        from_byte(byte).ok_or_else(|| Kind::UnknownValue { field, value: byte }.at(at))
    }

    /// A number counted from 1.
    pub(super) fn positive_u64(&mut self, field: &'static str) -> Result<u64, MessageError> {
        let at = self.offset();
        match self.u64()? {
            0 => Err(Kind::Zero { field }.at(at)),
            number => Ok(number),
        }
    }

    /// How many items follow: at least one.
    pub(super) fn positive_u16(&mut self, field: &'static str) -> Result<u16, MessageError> {
        let at = self.offset();
        match self.u16()? {
            0 => Err(Kind::Zero { field }.at(at)),
            count => Ok(count),
        }
    }

    /// The next `count` items of `size` bytes, unread.
    pub(super) fn items(&mut self, count: u16, size: usize) -> Result<&'a [u8], MessageError> {
        let at = self.offset();
        let length = usize::from(count).saturating_mul(size);
        self.reader.bytes(length).ok_or_else(|| Kind::Truncated.at(at))
    }

    /// A value is one field, wherever in it the fault lies (P-3.7).
    fn value(&mut self) -> Result<ValueView<'a>, MessageError> {
        let at = self.offset();
        read_canonical_value(&mut self.reader).map_err(|error| Kind::Value(error.kind).at(at))
    }

    fn optional_string(&mut self, field: &'static str) -> Result<Option<&'a str>, MessageError> {
        let at = self.offset();
        match self.value()? {
            ValueView::String(text) => Ok(Some(text.as_str())),
            ValueView::Null => Ok(None),
            _ => Err(Kind::WrongType { field }.at(at)),
        }
    }

    /// A str of at most `max` bytes.
    pub(super) fn string(&mut self, field: &'static str, max: usize) -> Result<&'a str, MessageError> {
        let at = self.offset();
        let text = self.optional_string(field)?.ok_or_else(|| Kind::WrongType { field }.at(at))?;
        if text.len() > max { Err(Kind::TooLong { field, max }.at(at)) } else { Ok(text) }
    }

    /// A str that names a database.
    pub(super) fn database(&mut self) -> Result<DatabaseName<'a>, MessageError> {
        let at = self.offset();
        let text = self.string("database", usize::MAX)?;
        DatabaseName::new(text).map_err(|error| Kind::InvalidName(error).at(at))
    }

    /// A str that names a collection.
    pub(super) fn collection(&mut self) -> Result<CollectionName<'a>, MessageError> {
        let at = self.offset();
        let name = self.optional_collection()?;
        name.ok_or_else(|| Kind::WrongType { field: "collection" }.at(at))
    }

    /// A str that names a collection, or null.
    pub(super) fn optional_collection(&mut self) -> Result<Option<CollectionName<'a>>, MessageError> {
        let at = self.offset();
        let Some(text) = self.optional_string("collection")? else { return Ok(None) };
        CollectionName::new(text).map(Some).map_err(|error| Kind::InvalidName(error).at(at))
    }

    /// A uuid, or null.
    pub(super) fn optional_uuid(&mut self, field: &'static str) -> Result<Option<Uuid>, MessageError> {
        let at = self.offset();
        match self.value()? {
            ValueView::Uuid(uuid) => Ok(Some(uuid)),
            ValueView::Null => Ok(None),
            _ => Err(Kind::WrongType { field }.at(at)),
        }
    }

    /// A uuid.
    pub(super) fn uuid(&mut self, field: &'static str) -> Result<Uuid, MessageError> {
        let at = self.offset();
        self.optional_uuid(field)?.ok_or_else(|| Kind::WrongType { field }.at(at))
    }

    /// An array of str, sorted and each once.
    pub(super) fn strings(&mut self, field: &'static str) -> Result<EncodedStrings<'a>, MessageError> {
        let start = *self;
        let ValueView::Array(array) = self.value()? else {
            return Err(Kind::WrongType { field }.at(start.offset()));
        };
        EncodedStrings::check(array, field).map_err(|kind| kind.at(start.offset()))?;
        Ok(EncodedStrings::validated(Cow::Borrowed(self.since(start))))
    }

    /// A dict that is not empty, or null.
    pub(super) fn optional_dict(&mut self, field: &'static str) -> Result<EncodedDict<'a>, MessageError> {
        let start = *self;
        match self.value()? {
            ValueView::Null => Ok(EncodedDict::NONE),
            ValueView::Dict(dict) if !dict.is_empty() => {
                Ok(EncodedDict::validated(Cow::Borrowed(self.since(start))))
            }
            ValueView::Dict(_) => Err(Kind::Empty { field }.at(start.offset())),
            _ => Err(Kind::WrongType { field }.at(start.offset())),
        }
    }

    /// A record: length, checksum, bytes.
    pub(super) fn record(&mut self, checksums: Checksums) -> Result<FramedRecord<'a>, MessageError> {
        let at = self.offset();
        let record = FramedRecord::read(&mut self.reader, checksums)?;
        if self.is_strict {
            record.view().map_err(|error| Kind::Record(error.kind).at(at))?;
        }
        Ok(record)
    }

    /// The end of a payload: nothing, or one extension whose keys need not be understood.
    pub(super) fn finish(mut self) -> Result<EncodedDict<'a>, MessageError> {
        let start = self;
        if start.rest().is_empty() {
            return Ok(EncodedDict::NONE);
        }
        let dict = match self.value() {
            Ok(ValueView::Dict(dict)) if !dict.is_empty() => dict,
            _ => return Err(Kind::TrailingBytes.at(start.offset())),
        };
        if !self.rest().is_empty() {
            return Err(Kind::TrailingBytes.at(self.offset()));
        }
        if dict.iter().any(|(key, _)| key.as_bytes().first() == Some(&MUST_UNDERSTAND)) {
            return Err(Kind::UnsupportedExtension.at(start.offset()));
        }
        Ok(EncodedDict::validated(Cow::Borrowed(self.since(start))))
    }
}

/// The first byte of an extension's key that a receiver must know.
const MUST_UNDERSTAND: u8 = b'!';

/// Appends a str. Callers bound it, so that its length always fits; a longer one is cut.
pub(super) fn put_string(text: &str, max: usize, out: &mut Vec<u8>) {
    // Fails only from 4 GiB on, which the cut excludes.
    let _ = put::string(clip(text, max), out);
}

/// The longest prefix of `text` of at most `max` bytes that is whole characters.
fn clip(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// Appends a str, or null.
pub(super) fn put_optional_name(name: Option<CollectionName<'_>>, out: &mut Vec<u8>) {
    match name {
        Some(name) => put_name(name.as_str(), out),
        None => put::null(out),
    }
}

/// Appends the name of a database or collection.
pub(super) fn put_name(name: &str, out: &mut Vec<u8>) {
    put_string(name, super::name::MAX_NAME_BYTES, out);
}

/// Bytes that the name of a database or collection takes: those of a str.
pub(super) fn name_bytes(name: &str) -> usize {
    const SHORT_STRING_BYTES: usize = 15;
    let head = if name.len() > SHORT_STRING_BYTES { 5 } else { 1 };
    name.len().saturating_add(head)
}

/// Appends a uuid, or null.
pub(super) fn put_optional_uuid(uuid: Option<Uuid>, out: &mut Vec<u8>) {
    match uuid {
        Some(uuid) => put::uuid(&uuid, out),
        None => put::null(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(clip("aé", 3), "aé");
        assert_eq!(clip("aé", 2), "a");
        assert_eq!(clip("é", 0), "");
    }
}
