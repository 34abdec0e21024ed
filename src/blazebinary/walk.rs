//! Moving over validated bytes: the visit of every value, the scan for one field, and the skip of a value.

use super::dictionary::FieldId;
use super::key_order::keys_are_equivalent;
use super::reader::Reader;
use super::token::{FieldKey, Token, entry_key, fixed_payload_bytes};
use super::view::{Text, ValueView};

/// One value met on a [walk](super::RecordView::walk).
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// How many containers are around the value, the record not counted: 0 for a field of the record.
    pub depth: usize,
    /// The key, unless the value is an item of an array.
    pub key: Option<Text<'a>>,
    /// The value. What a container holds follows in later steps with a greater depth.
    pub value: ValueView<'a>,
}

// Like validation, the walk takes the reader by value and returns what is left, so that it stays in registers.
// `None` ends it early, which validated bytes never bring about.

pub(super) fn walk_fields<'a>(
    mut reader: Reader<'a>,
    count: u16,
    visit: &mut impl FnMut(Step<'a>),
) -> Option<Reader<'a>> {
    for _ in 0..count {
        let key = field_name(&mut reader)?;
        reader = walk_value(reader, 0, Some(key), visit)?;
    }
    Some(reader)
}

#[inline(always)]
fn walk_value<'a>(
    mut reader: Reader<'a>,
    depth: usize,
    key: Option<Text<'a>>,
    visit: &mut impl FnMut(Step<'a>),
) -> Option<Reader<'a>> {
    let value = ValueView::head(&mut reader)?;
    visit(Step { depth, key, value });
    match value {
        ValueView::Array(array) => walk_items(reader, array.count, depth.saturating_add(1), visit),
        ValueView::Dict(dict) => walk_entries(reader, dict.count, depth.saturating_add(1), visit),
        _ => Some(reader),
    }
}

fn walk_items<'a>(
    mut reader: Reader<'a>,
    count: u16,
    depth: usize,
    visit: &mut impl FnMut(Step<'a>),
) -> Option<Reader<'a>> {
    for _ in 0..count {
        reader = walk_value(reader, depth, None, visit)?;
    }
    Some(reader)
}

fn walk_entries<'a>(
    mut reader: Reader<'a>,
    count: u16,
    depth: usize,
    visit: &mut impl FnMut(Step<'a>),
) -> Option<Reader<'a>> {
    for _ in 0..count {
        let key = Text(entry_key(&mut reader).ok()?);
        reader = walk_value(reader, depth, Some(key), visit)?;
    }
    Some(reader)
}

/// The next key of the top level.
#[inline(always)]
pub(super) fn field_name<'a>(reader: &mut Reader<'a>) -> Option<Text<'a>> {
    Some(match FieldKey::read(reader).ok()? {
        FieldKey::Common(id) => Text(id.name().as_bytes()),
        FieldKey::Named(name) => Text(name),
    })
}

/// The name that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    name: &'a str,
    field_id: Option<FieldId>,
    is_ascii: bool,
}

impl<'a> Wanted<'a> {
    #[inline]
    pub(super) fn new(name: &'a str) -> Self {
        Self { name, field_id: FieldId::of(name), is_ascii: name.is_ascii() }
    }

    #[inline(always)]
    pub(super) fn is_field(&self, id: FieldId) -> bool {
        match self.field_id {
            Some(wanted) => wanted == id,
            None => !self.is_ascii && keys_are_equivalent(id.name(), self.name),
        }
    }

    /// Whether `key` names the same field. What normalises to ASCII and is not ASCII is longer than its normal
    /// form, so for an ASCII name most keys are dismissed by their length.
    #[inline(always)]
    pub(super) fn is_key(&self, key: &[u8]) -> bool {
        let name = self.name.as_bytes();
        if key.len() == name.len() && key == name {
            return true;
        }
        let may_be_equivalent = !self.is_ascii || (key.len() > name.len() && !key.is_ascii());
        may_be_equivalent && keys_are_equivalent(Text(key).as_str(), self.name)
    }
}

/// Reads a value and moves past all of it.
#[inline]
pub(super) fn read_past<'a>(reader: &mut Reader<'a>) -> Option<ValueView<'a>> {
    let start = *reader;
    let value = ValueView::head(reader)?;
    if matches!(value, ValueView::Array(_) | ValueView::Dict(_)) {
        *reader = skip_value(start)?;
    }
    Some(value)
}

/// What follows a value. Recursion ends at the nesting that validation allowed.
#[inline(always)]
pub(super) fn skip_value(mut reader: Reader<'_>) -> Option<Reader<'_>> {
    let mut ahead = reader;
    if let Some(bytes) = fixed_payload_bytes(ahead.u8()?) {
        ahead.bytes(bytes)?;
        return Some(ahead);
    }
    match Token::read(&mut reader).ok()? {
        Token::Array(count) => skip_items(reader, count),
        Token::Dict(count) => skip_entries(reader, count),
        _ => Some(reader),
    }
}

fn skip_items(mut reader: Reader<'_>, count: u16) -> Option<Reader<'_>> {
    for _ in 0..count {
        reader = skip_value(reader)?;
    }
    Some(reader)
}

fn skip_entries(mut reader: Reader<'_>, count: u16) -> Option<Reader<'_>> {
    for _ in 0..count {
        entry_key(&mut reader).ok()?;
        reader = skip_value(reader)?;
    }
    Some(reader)
}
