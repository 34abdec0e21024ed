//! Reading validated bytes in place: no allocation, no error, no copy of the bytes.
//!
//! A view is only made by the validation pass, so every read below finds what it expects. The code still checks
//! each read, since the crate has no `unsafe`; were a check to fail, the answer would be an end of iteration.

use uuid::Uuid;

use super::date::Date;
use super::error::DecodeError;
use super::key::Key;
use super::layout::Layout;
use super::reader::Reader;
use super::token::{FieldKey, Token, entry_key};
use super::validate::canonical_record;
use super::value::{Dict, Record, Value, Vector, widen};
use super::walk::{Step, Wanted, field_name, read_past, skip_value, walk_fields};

/// A record in canonical form, read in place.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    bytes: &'a [u8],
    layout: Layout,
    count: u16,
    fields: Reader<'a>,
}

impl<'a> RecordView<'a> {
    /// Checks that `bytes` are one record in canonical form, all of it, and returns a view of it.
    ///
    /// # Errors
    /// [`DecodeError`] naming the offset: anything that the encoder would not have written.
    pub fn canonical(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let envelope = canonical_record(bytes)?;
        Ok(Self { bytes, layout: envelope.layout, count: envelope.count, fields: envelope.fields })
    }

    /// The bytes of the whole record.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The record's layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of the field `name`; a scan that decodes nothing on its way.
    #[inline]
    pub fn get(&self, name: &str) -> Option<ValueView<'a>> {
        let wanted = Wanted::new(name);
        let mut reader = self.fields;
        for _ in 0..self.count {
            let found = match FieldKey::read(&mut reader).ok()? {
                FieldKey::Common(id) => wanted.is_field(id),
                FieldKey::Named(key) => wanted.is_key(key),
            };
            if found {
                return Some(ValueView::at(reader));
            }
            reader = skip_value(reader)?;
        }
        None
    }

    /// The record's `id`, if it has one and it is a UUID.
    pub fn id(&self) -> Option<Uuid> {
        match self.get("id")? {
            ValueView::Uuid(id) => Some(id),
            _ => None,
        }
    }

    /// The fields in canonical order.
    pub fn iter(&self) -> Entries<'a> {
        Entries { reader: self.fields, remaining: self.count, top_level: true }
    }

    /// Hands every value of the record to `visit` in one linear pass, containers before what they hold.
    #[inline]
    pub fn walk(&self, mut visit: impl FnMut(Step<'a>)) {
        walk_fields(self.fields, self.count, &mut visit);
    }

    /// An owned copy.
    pub fn to_record(&self) -> Record {
        self.iter().map(|(key, value)| (Key::from(key.as_str()), value.to_value())).collect()
    }
}

impl<'a> IntoIterator for &RecordView<'a> {
    type Item = (Text<'a>, ValueView<'a>);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// Text that was found to be UTF-8.
///
/// Comparing bytes is free. [`Text::as_str`] checks them again, which costs a nanosecond for short text: the
/// price of a crate without `unsafe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub(super) &'a [u8]);

impl<'a> Text<'a> {
    /// The UTF-8 bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text.
    #[inline]
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// One value, read in place.
#[derive(Debug, Clone, Copy)]
pub enum ValueView<'a> {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// An IEEE double with its bits as written.
    Double(f64),
    /// A point in time.
    Date(Date),
    /// A UUID.
    Uuid(Uuid),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Data(&'a [u8]),
    /// A list of values.
    Array(ArrayView<'a>),
    /// Named values.
    Dict(DictView<'a>),
    /// A list of numbers.
    Vector(VectorView<'a>),
}

impl<'a> ValueView<'a> {
    /// The validated value at the reader.
    #[inline]
    pub(super) fn at(mut reader: Reader<'a>) -> Self {
        Self::head(&mut reader).unwrap_or(Self::Null)
    }

    /// Reads a value; of a container only its head.
    #[inline(always)]
    pub(super) fn head(reader: &mut Reader<'a>) -> Option<Self> {
        Some(match Token::read(reader).ok()? {
            Token::Null => Self::Null,
            Token::Bool(byte) => Self::Bool(byte != 0),
            Token::SmallInt(small) => Self::Int(i64::from(small)),
            Token::Int(int) => Self::Int(int),
            Token::Double(double) => Self::Double(double),
            Token::Date(seconds) => Self::Date(Date::from_seconds(seconds)),
            Token::Uuid(bytes) => Self::Uuid(Uuid::from_bytes(*bytes)),
            Token::EmptyString => Self::String(Text(&[])),
            Token::ShortString(text) | Token::String(text) => Self::String(Text(text)),
            Token::Data(data) => Self::Data(data),
            Token::EmptyArray => Self::Array(ArrayView { count: 0, reader: *reader }),
            Token::Array(count) => Self::Array(ArrayView { count, reader: *reader }),
            Token::EmptyDict => Self::Dict(DictView { count: 0, reader: *reader }),
            Token::Dict(count) => Self::Dict(DictView { count, reader: *reader }),
            Token::Vector(items) => Self::Vector(VectorView { items }),
        })
    }

    /// An owned copy.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Double(value) => Value::Double(value),
            Self::Date(value) => Value::Date(value),
            Self::Uuid(value) => Value::Uuid(value),
            Self::String(text) => Value::String(text.as_str().to_owned()),
            Self::Data(data) => Value::Data(data.to_owned()),
            Self::Array(array) => Value::Array(array.iter().map(Self::to_value).collect()),
            Self::Dict(dict) => Value::Dict(dict.to_dict()),
            Self::Vector(vector) => Value::Vector(Vector::from_upper_halves(vector.upper_halves().collect())),
        }
    }
}

/// An array, read in place.
#[derive(Debug, Clone, Copy)]
pub struct ArrayView<'a> {
    pub(super) count: u16,
    reader: Reader<'a>,
}

impl<'a> ArrayView<'a> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items in order.
    pub fn iter(&self) -> Items<'a> {
        Items { reader: self.reader, remaining: self.count }
    }
}

/// A nested dict, read in place.
#[derive(Debug, Clone, Copy)]
pub struct DictView<'a> {
    pub(super) count: u16,
    reader: Reader<'a>,
}

impl<'a> DictView<'a> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<ValueView<'a>> {
        let wanted = Wanted::new(key);
        let mut reader = self.reader;
        for _ in 0..self.count {
            if wanted.is_key(entry_key(&mut reader).ok()?) {
                return Some(ValueView::at(reader));
            }
            reader = skip_value(reader)?;
        }
        None
    }

    /// The entries in canonical order.
    pub fn iter(&self) -> Entries<'a> {
        Entries { reader: self.reader, remaining: self.count, top_level: false }
    }

    /// An owned copy.
    pub fn to_dict(&self) -> Dict {
        self.iter().map(|(key, value)| (Key::from(key.as_str()), value.to_value())).collect()
    }
}

/// A vector, read in place.
#[derive(Debug, Clone, Copy)]
pub struct VectorView<'a> {
    items: &'a [u8],
}

impl<'a> VectorView<'a> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len() / 4
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items as they lie in the bytes.
    pub(super) fn chunks(&self) -> &'a [[u8; 4]] {
        self.items.as_chunks().0
    }

    /// The upper halves of the items' bits.
    pub fn upper_halves(&self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.items.as_chunks::<4>().0.iter().map(|item| u32::from_be_bytes(*item))
    }

    /// The items; the lower 32 bits of each are zero.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f64> + 'a {
        self.upper_halves().map(widen)
    }
}

/// The items of an array.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    reader: Reader<'a>,
    remaining: u16,
}

impl<'a> Iterator for Items<'a> {
    type Item = ValueView<'a>;

    fn next(&mut self) -> Option<ValueView<'a>> {
        self.remaining = self.remaining.checked_sub(1)?;
        read_past(&mut self.reader)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.remaining), Some(usize::from(self.remaining)))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// The fields of a record, or the entries of a dict.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    reader: Reader<'a>,
    remaining: u16,
    top_level: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Text<'a>, ValueView<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let key = match self.top_level {
            true => field_name(&mut self.reader)?,
            false => Text(entry_key(&mut self.reader).ok()?),
        };
        Some((key, read_past(&mut self.reader)?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.remaining), Some(usize::from(self.remaining)))
    }
}

impl ExactSizeIterator for Entries<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blazebinary::encode_record;

    fn sample() -> Vec<u8> {
        let inner =
            Dict::from_iter([("x", Value::Array(vec![1i64.into(), "two".into()])), ("y", Value::Null)]);
        let record = Record::from_iter([
            ("id", Value::Uuid(Uuid::from_u128(7))),
            ("e\u{301}", 5i64.into()),
            ("nested", inner.into()),
            ("zip", "10115".into()),
        ]);
        let mut bytes = Vec::new();
        encode_record(&record, Layout::V2, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn fields_are_found_by_name_however_it_is_spelled() {
        let bytes = sample();
        let view = RecordView::canonical(&bytes).unwrap();
        assert_eq!(view.id(), Some(Uuid::from_u128(7)));
        assert!(matches!(view.get("\u{E9}"), Some(ValueView::Int(5))));
        assert!(matches!(view.get("zip"), Some(ValueView::String(text)) if text == "10115"));
        let Some(ValueView::Dict(nested)) = view.get("nested") else { panic!() };
        assert!(matches!(nested.get("y"), Some(ValueView::Null)));
        assert!(nested.get("z").is_none() && view.get("absent").is_none());
    }

    #[test]
    fn a_walk_meets_every_value_once_with_its_depth() {
        let bytes = sample();
        let view = RecordView::canonical(&bytes).unwrap();
        let mut steps = Vec::new();
        view.walk(|step| steps.push((step.depth, step.key.map_or("-", Text::as_str).to_owned())));
        let expected =
            [(0, "id"), (0, "nested"), (1, "x"), (2, "-"), (2, "-"), (1, "y"), (0, "zip"), (0, "e\u{301}")];
        assert_eq!(steps, expected.map(|(depth, key)| (depth, key.to_owned())));
    }

    #[test]
    fn an_owned_copy_encodes_to_the_same_bytes() {
        let bytes = sample();
        let view = RecordView::canonical(&bytes).unwrap();
        let mut again = Vec::new();
        encode_record(&view.to_record(), view.layout(), &mut again).unwrap();
        assert_eq!(again, bytes);
    }
}
