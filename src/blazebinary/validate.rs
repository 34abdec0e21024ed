//! The canonical mode: one pass over foreign bytes, after which reading them cannot fail.

use std::cmp::Ordering;

use super::dictionary::FieldId;
use super::error::{DecodeError, DecodeErrorKind as Kind};
use super::key_order::{KeyScan, KeySequence, text_is_ascii};
use super::layout::Layout;
use super::limits::{MAX_NESTING, MAX_RECORD_BYTES};
use super::reader::Reader;
use super::token::{
    CHECKSUM_BYTES, ENTRY_KEY_HEAD_BYTES, FieldKey, HEADER_BYTES, MAGIC, NAMED_KEY_HEAD_BYTES, Token,
    entry_key, tag,
};
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
    if reader.array().ok_or_else(|| Kind::Truncated.at(0))? != MAGIC {
        return Err(Kind::BadMagic.at(0));
    }
    let at = reader.offset();
    let layout = match reader.u8().ok_or_else(|| Kind::Truncated.at(at))? {
        1 => Layout::V1,
        2 => Layout::V2,
        other => return Err(Kind::UnsupportedLayout(other).at(at)),
    };
    let at = reader.offset();
    let count = reader.u16().ok_or_else(|| Kind::Truncated.at(at))?;
    let body = match layout {
        Layout::V1 => bytes,
        Layout::V2 => before_checksum(bytes)?,
    };
    let mut fields = Reader::new(body);
    fields.bytes(HEADER_BYTES).ok_or_else(|| Kind::Truncated.at(HEADER_BYTES))?;
    Ok(Envelope { layout, count, fields })
}

/// What a layout 2 record holds before its checksum, once that was found to be right.
fn before_checksum(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let split = bytes.split_last_chunk::<CHECKSUM_BYTES>().filter(|(body, _)| body.len() >= HEADER_BYTES);
    let (body, stored) = split.ok_or_else(|| Kind::Truncated.at(HEADER_BYTES))?;
    let (stored, computed) = (u32::from_be_bytes(*stored), crc32fast::hash(body));
    if stored == computed {
        Ok(body)
    } else {
        Err(Kind::ChecksumMismatch { stored, computed }.at(body.len()))
    }
}

/// Checks that `bytes` are one record in canonical form.
pub(super) fn canonical_record(bytes: &[u8]) -> Result<Envelope<'_>, DecodeError> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(Kind::RecordTooLarge.at(0));
    }
    let envelope = envelope(bytes)?;
    let rest = canonical_fields(envelope.fields, envelope.count)?;
    if !rest.is_empty() {
        return Err(Kind::TrailingBytes.at(rest.offset()));
    }
    Ok(envelope)
}

/// Checks the next value, moves past it and returns it. For payloads that are a run of values.
///
/// # Errors
/// [`DecodeError`] if the next value is not in canonical form; its offset counts from the reader's start.
pub fn read_canonical_value<'a>(reader: &mut Reader<'a>) -> Result<ValueView<'a>, DecodeError> {
    let start = *reader;
    *reader = canonical_value(start, MAX_NESTING)?;
    Ok(ValueView::at(start))
}

// The functions below take the reader by value and return what is left of it: it then stays in registers,
// where a reference would keep it in memory (a third of the time of a pass over a small record).

fn canonical_fields(mut reader: Reader<'_>, count: u16) -> Result<Reader<'_>, DecodeError> {
    let mut keys = KeySequence::default();
    for _ in 0..count {
        let start = reader;
        match FieldKey::read(&mut reader).map_err(|kind| kind.at(start.offset()))? {
            FieldKey::Common(id) => follows(keys.advance(id.name().as_bytes(), id.scan()), start)?,
            FieldKey::Named(name) => {
                let scan = check_key(name, start, NAMED_KEY_HEAD_BYTES)?;
                if FieldId::of_bytes(name).is_some() {
                    return Err(Kind::NonCanonicalKey.at(start.offset()));
                }
                follows(keys.advance(name, scan), start)?;
            }
        }
        reader = canonical_value(reader, MAX_NESTING)?;
    }
    Ok(reader)
}

/// `room` is how many containers may still nest. It bounds the recursion.
#[inline(always)]
fn canonical_value(start: Reader<'_>, room: usize) -> Result<Reader<'_>, DecodeError> {
    let mut reader = start;
    match Token::read(&mut reader).map_err(|kind| kind.at(start.offset()))? {
        Token::ShortString([]) => return Err(Kind::NonCanonicalString.at(start.offset())),
        Token::ShortString(text) => {
            let input = start.rest().get(1..).unwrap_or_default();
            if !text_is_ascii(text, input) {
                utf8(text, start.offset())?;
            }
        }
        Token::String(text) if text.len() <= tag::SHORT_STRING_MAX_BYTES => {
            utf8(text, start.offset())?;
            return Err(Kind::NonCanonicalString.at(start.offset()));
        }
        Token::String(text) => {
            utf8(text, start.offset())?;
        }
        Token::Int(0..=255) => return Err(Kind::NonCanonicalInt.at(start.offset())),
        Token::Bool(2..) => return Err(Kind::NonCanonicalBool.at(start.offset())),
        Token::Array(0) | Token::Dict(0) => return Err(Kind::NonCanonicalEmpty.at(start.offset())),
        Token::EmptyArray | Token::EmptyDict => {
            enter(room, start.offset())?;
        }
        Token::Array(count) => return canonical_items(reader, count, enter(room, start.offset())?),
        Token::Dict(count) => return canonical_entries(reader, count, enter(room, start.offset())?),
        Token::Null
        | Token::Bool(_)
        | Token::SmallInt(_)
        | Token::Int(_)
        | Token::Double(_)
        | Token::Date(_)
        | Token::Uuid(_)
        | Token::EmptyString
        | Token::Data(_)
        | Token::Vector(_) => {}
    }
    Ok(reader)
}

fn canonical_items(mut reader: Reader<'_>, count: u16, room: usize) -> Result<Reader<'_>, DecodeError> {
    for _ in 0..count {
        reader = canonical_value(reader, room)?;
    }
    Ok(reader)
}

fn canonical_entries(mut reader: Reader<'_>, count: u16, room: usize) -> Result<Reader<'_>, DecodeError> {
    let mut keys = KeySequence::default();
    for _ in 0..count {
        let start = reader;
        let key = entry_key(&mut reader).map_err(|kind| kind.at(start.offset()))?;
        let scan = check_key(key, start, ENTRY_KEY_HEAD_BYTES)?;
        follows(keys.advance(key, scan), start)?;
        reader = canonical_value(reader, room)?;
    }
    Ok(reader)
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

/// Checks that a key, which stands `head_bytes` behind `start`, is UTF-8, and looks at it once.
#[inline(always)]
fn check_key(key: &[u8], start: Reader<'_>, head_bytes: usize) -> Result<KeyScan, DecodeError> {
    let scan = KeyScan::of(key, start.rest().get(head_bytes..).unwrap_or_default());
    if !scan.is_ascii {
        utf8(key, start.offset())?;
    }
    Ok(scan)
}

/// Checks that a key sorts after the one before it.
#[inline(always)]
fn follows(order: Option<Ordering>, start: Reader<'_>) -> Result<(), DecodeError> {
    match order {
        None | Some(Ordering::Less) => Ok(()),
        Some(Ordering::Equal) => Err(Kind::DuplicateKey.at(start.offset())),
        Some(Ordering::Greater) => Err(Kind::KeysOutOfOrder.at(start.offset())),
    }
}
