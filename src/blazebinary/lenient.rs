//! The lenient mode: reads what Swift's decoders accept into an owned record, which encodes canonically.

use uuid::Uuid;

use super::date::Date;
use super::error::{DecodeError, DecodeErrorKind as Kind};
use super::key::Key;
use super::limits::{LENIENT_MAX_TEXT_BYTES, LENIENT_MAX_VECTOR_ITEMS, MAX_NESTING};
use super::reader::Reader;
use super::token::{FieldKey, Token, entry_key};
use super::validate::{enter, envelope, utf8};
use super::value::{Dict, Record, Value, Vector};

/// Decodes a record as Swift's decoders do (`spec/blazebinary.md`, "Lenient decoding"): bytes behind the last
/// field are ignored, non-canonical forms, unsorted and repeated keys are read, and of a repeated key the last
/// value wins under the first spelling.
///
/// Two differences are deliberate: more than [`MAX_NESTING`] nested containers are an error, and a leading
/// U+FEFF is kept. Memory grows with the bytes there are, never by a declared length.
///
/// # Errors
/// [`DecodeError`] for what Swift refuses too: truncation, unknown tags and field ids, a wrong checksum of
/// layout 2, text that is not UTF-8, a string or vector over its limit.
pub fn decode_lenient(bytes: &[u8]) -> Result<Record, DecodeError> {
    let envelope = envelope(bytes)?;
    let mut reader = envelope.fields;
    let mut fields: Vec<(Key, Value)> = Vec::new();
    for _ in 0..envelope.count {
        let at = reader.offset();
        let key = match FieldKey::read(&mut reader).map_err(|kind| kind.at(at))? {
            FieldKey::Common(id) => Key::from(id),
            FieldKey::Named(name) => Key::from(utf8(name, at)?),
        };
        fields.push((key, value(&mut reader, MAX_NESTING)?));
    }
    Ok(fields.into_iter().collect())
}

/// `room` is how many containers may still nest. It bounds the recursion.
fn value(reader: &mut Reader<'_>, room: usize) -> Result<Value, DecodeError> {
    let at = reader.offset();
    let value = match Token::read(reader).map_err(|kind| kind.at(at))? {
        Token::Null => Value::Null,
        Token::Bool(byte) => Value::Bool(byte != 0),
        Token::SmallInt(small) => Value::Int(i64::from(small)),
        Token::Int(int) => Value::Int(int),
        Token::Double(double) => Value::Double(double),
        Token::Date(seconds) => Value::Date(Date::from_seconds(seconds)),
        Token::Uuid(bytes) => Value::Uuid(Uuid::from_bytes(*bytes)),
        Token::EmptyString => Value::String(String::new()),
        Token::ShortString(text) | Token::String(text) => {
            Value::String(utf8(bounded(text, at)?, at)?.to_owned())
        }
        Token::Data(data) => Value::Data(bounded(data, at)?.to_owned()),
        Token::EmptyArray | Token::Array(0) => enter(room, at).map(|_| Value::Array(Vec::new()))?,
        Token::Array(count) => {
            let room = enter(room, at)?;
            // Every item takes a byte at least, so the capacity never passes what the input can fill.
            let mut items = Vec::with_capacity(usize::from(count).min(reader.rest().len()));
            for _ in 0..count {
                items.push(value(reader, room)?);
            }
            Value::Array(items)
        }
        Token::EmptyDict | Token::Dict(0) => enter(room, at).map(|_| Value::Dict(Dict::new()))?,
        Token::Dict(count) => {
            let room = enter(room, at)?;
            let mut entries: Vec<(Key, Value)> = Vec::new();
            for _ in 0..count {
                let at = reader.offset();
                let key = entry_key(reader).map_err(|kind| kind.at(at))?;
                let key = Key::from(utf8(key, at)?);
                entries.push((key, value(reader, room)?));
            }
            Value::Dict(entries.into_iter().collect())
        }
        Token::Vector(items) if items.len() / 4 > LENIENT_MAX_VECTOR_ITEMS => {
            return Err(Kind::VectorTooLong.at(at));
        }
        Token::Vector(items) => {
            let halves = items.as_chunks::<4>().0.iter().map(|item| u32::from_be_bytes(*item)).collect();
            Value::Vector(Vector::from_upper_halves(halves))
        }
    };
    Ok(value)
}

fn bounded(text: &[u8], at: usize) -> Result<&[u8], DecodeError> {
    if text.len() > LENIENT_MAX_TEXT_BYTES { Err(Kind::TextTooLong.at(at)) } else { Ok(text) }
}
