//! The canonical mode: one pass over foreign bytes, after which reading them cannot fail.

use super::dictionary::FieldId;
use super::encode::Layout;
use super::error::{DecodeError, DecodeErrorKind as Kind};
use super::key_order::compare_keys;
use super::limits::{MAX_NESTING, MAX_RECORD_BYTES};
use super::reader::Reader;
use super::token::{CHECKSUM_BYTES, FieldKey, MAGIC, Token, entry_key, tag};
use super::view::ValueView;

/// What the header of a record says, and where its fields lie.
pub(super) struct Envelope<'a> {
    pub(super) layout: Layout,
    pub(super) count: u16,
    /// From the first byte of the record, positioned behind the header; ends before the checksum.
    pub(super) fields: Reader<'a>,
}

/// Reads header and checksum. In layout 2 the checksum is compared here, before any field is looked at.
pub(super) fn envelope(bytes: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let truncated = || Kind::Truncated.at(bytes.len());
    if reader.array().ok_or_else(truncated)? != MAGIC {
        return Err(Kind::BadMagic.at(0));
    }
    let at = reader.offset();
    let layout = match reader.u8().ok_or_else(truncated)? {
        1 => Layout::V1,
        2 => Layout::V2,
        other => return Err(Kind::UnsupportedLayout(other).at(at)),
    };
    let count = reader.u16().ok_or_else(truncated)?;
    let body = match layout {
        Layout::V1 => bytes,
        Layout::V2 => {
            let (body, stored) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(truncated)?;
            if body.len() < reader.offset() {
                return Err(truncated());
            }
            let (stored, computed) = (u32::from_be_bytes(*stored), crc32fast::hash(body));
            if stored != computed {
                return Err(Kind::ChecksumMismatch { stored, computed }.at(body.len()));
            }
            body
        }
    };
    let mut fields = Reader::new(body);
    fields.bytes(reader.offset()).ok_or_else(truncated)?;
    Ok(Envelope { layout, count, fields })
}

/// Checks that `bytes` are one record in canonical form.
pub(super) fn canonical_record(bytes: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(Kind::RecordTooLarge.at(MAX_RECORD_BYTES));
    }
    let envelope = envelope(bytes)?;
    let mut reader = envelope.fields;
    let mut previous = None;
    for _ in 0..envelope.count {
        let at = reader.offset();
        let key = match FieldKey::read(&mut reader).map_err(|kind| kind.at(at))? {
            FieldKey::Common(id) => id.name(),
            FieldKey::Named(name) => {
                let name = utf8(name, at)?;
                if FieldId::of(name).is_some() {
                    return Err(Kind::NonCanonicalKey.at(at));
                }
                name
            }
        };
        follows(&mut previous, key, at)?;
        canonical_value(&mut reader, MAX_NESTING)?;
    }
    if !reader.is_empty() {
        return Err(Kind::TrailingBytes.at(reader.offset()));
    }
    Ok(envelope)
}

/// Checks the next value, moves past it and returns it. For payloads that are a run of values.
///
/// # Errors
/// [`DecodeError`] if the next value is not in canonical form; its offset counts from the reader's start.
pub fn read_canonical_value<'a>(reader: &mut Reader<'a>) -> Result<ValueView<'a>, DecodeError> {
    let at = *reader;
    canonical_value(reader, MAX_NESTING)?;
    Ok(ValueView::at(at))
}

/// `room` is how many containers may still nest. It bounds the recursion.
fn canonical_value(reader: &mut Reader<'_>, room: usize) -> Result<(), DecodeError> {
    let at = reader.offset();
    match Token::read(reader).map_err(|kind| kind.at(at))? {
        Token::ShortString([]) => Err(Kind::NonCanonicalString.at(at)),
        Token::ShortString(text) => utf8(text, at).map(drop),
        Token::String(text) if text.len() <= tag::SHORT_STRING_MAX_BYTES => {
            Err(Kind::NonCanonicalString.at(at))
        }
        Token::String(text) => utf8(text, at).map(drop),
        Token::Int(0..=255) => Err(Kind::NonCanonicalInt.at(at)),
        Token::Bool(2..) => Err(Kind::NonCanonicalBool.at(at)),
        Token::Array(0) | Token::Dict(0) => Err(Kind::NonCanonicalEmpty.at(at)),
        Token::EmptyArray | Token::EmptyDict => enter(room, at).map(drop),
        Token::Array(count) => {
            let room = enter(room, at)?;
            (0..count).try_for_each(|_| canonical_value(reader, room))
        }
        Token::Dict(count) => {
            let room = enter(room, at)?;
            canonical_entries(reader, count, room)
        }
        Token::Null
        | Token::Bool(_)
        | Token::SmallInt(_)
        | Token::Int(_)
        | Token::Double(_)
        | Token::Date(_)
        | Token::Uuid(_)
        | Token::EmptyString
        | Token::Data(_)
        | Token::Vector(_) => Ok(()),
    }
}

fn canonical_entries(reader: &mut Reader<'_>, count: u16, room: usize) -> Result<(), DecodeError> {
    let mut previous = None;
    for _ in 0..count {
        let at = reader.offset();
        let key = entry_key(reader).map_err(|kind| kind.at(at))?;
        follows(&mut previous, utf8(key, at)?, at)?;
        canonical_value(reader, room)?;
    }
    Ok(())
}

/// Enters one more container.
#[inline]
pub(super) fn enter(room: usize, at: usize) -> Result<usize, DecodeError> {
    room.checked_sub(1).ok_or_else(|| Kind::TooDeep.at(at))
}

#[inline]
pub(super) fn utf8(bytes: &[u8], at: usize) -> Result<&str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|_| Kind::InvalidUtf8.at(at))
}

/// Checks that `key` sorts after the one before it.
#[inline]
fn follows<'a>(previous: &mut Option<&'a str>, key: &'a str, at: usize) -> Result<(), DecodeError> {
    if let Some(previous) = previous.replace(key) {
        match compare_keys(previous, key) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Err(Kind::DuplicateKey.at(at)),
            std::cmp::Ordering::Greater => return Err(Kind::KeysOutOfOrder.at(at)),
        }
    }
    Ok(())
}
