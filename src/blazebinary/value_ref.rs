//! A value to be read wherever it lies: in memory as a [`Value`], or in validated bytes as a [`ValueView`].
//!
//! The total order and the JSON writer are written once, over this type, and so agree for both by construction;
//! a value in memory can also be compared with one in bytes. Nothing here allocates or copies.

use uuid::Uuid;

use super::date::Date;
use super::key::Key;
use super::value::{Dict, Record, Value, Vector, widen};
use super::view::{DictView, Entries, Items, RecordView, ValueView, VectorView};

/// A borrowed value, in memory or in validated bytes. Made by `into()` from `&Value` and [`ValueView`], and from
/// an `Option` of either, where a missing value reads as null.
#[derive(Debug, Clone)]
pub enum ValueRef<'a> {
    /// No value, or a missing one.
    Null,
    /// A truth value.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// An IEEE double.
    Double(f64),
    /// A point in time.
    Date(Date),
    /// A UUID.
    Uuid(Uuid),
    /// Text, as its UTF-8 bytes.
    String(&'a [u8]),
    /// Bytes.
    Data(&'a [u8]),
    /// A list of values.
    Array(ItemsRef<'a>),
    /// Named values.
    Dict(EntriesRef<'a>),
    /// A list of numbers.
    Vector(NumbersRef<'a>),
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Double(value) => Self::Double(*value),
            Value::Date(value) => Self::Date(*value),
            Value::Uuid(value) => Self::Uuid(*value),
            Value::String(text) => Self::String(text.as_bytes()),
            Value::Data(data) => Self::Data(data),
            Value::Array(items) => Self::Array(ItemsRef(Source::Memory(items.iter()))),
            Value::Dict(dict) => Self::Dict(dict.into()),
            Value::Vector(vector) => Self::Vector(vector.into()),
        }
    }
}

impl<'a> From<ValueView<'a>> for ValueRef<'a> {
    fn from(value: ValueView<'a>) -> Self {
        match value {
            ValueView::Null => Self::Null,
            ValueView::Bool(value) => Self::Bool(value),
            ValueView::Int(value) => Self::Int(value),
            ValueView::Double(value) => Self::Double(value),
            ValueView::Date(value) => Self::Date(value),
            ValueView::Uuid(value) => Self::Uuid(value),
            ValueView::String(text) => Self::String(text.as_bytes()),
            ValueView::Data(data) => Self::Data(data),
            ValueView::Array(array) => Self::Array(ItemsRef(Source::Bytes(array.iter()))),
            ValueView::Dict(dict) => Self::Dict(dict.into()),
            ValueView::Vector(vector) => Self::Vector(vector.into()),
        }
    }
}

impl<'a, T: Into<ValueRef<'a>>> From<Option<T>> for ValueRef<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Where something lies: an iterator of either kind.
#[derive(Debug, Clone)]
enum Source<M, B> {
    Memory(M),
    Bytes(B),
}

/// The items of an array, in order.
#[derive(Debug, Clone)]
pub struct ItemsRef<'a>(Source<std::slice::Iter<'a, Value>, Items<'a>>);

impl<'a> Iterator for ItemsRef<'a> {
    type Item = ValueRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<ValueRef<'a>> {
        match &mut self.0 {
            Source::Memory(items) => items.next().map(ValueRef::from),
            Source::Bytes(items) => items.next().map(ValueRef::from),
        }
    }
}

/// The fields of a record or the entries of a dict, in canonical key order. Made by `into()` from `&Record`,
/// `&Dict`, [`RecordView`] and [`DictView`].
#[derive(Debug, Clone)]
pub struct EntriesRef<'a>(Source<std::slice::Iter<'a, (Key, Value)>, Entries<'a>>);

impl<'a> From<&'a Record> for EntriesRef<'a> {
    fn from(record: &'a Record) -> Self {
        Self(Source::Memory(record.as_slice().iter()))
    }
}

impl<'a> From<RecordView<'a>> for EntriesRef<'a> {
    fn from(record: RecordView<'a>) -> Self {
        Self(Source::Bytes(record.iter()))
    }
}

impl<'a> From<DictView<'a>> for EntriesRef<'a> {
    fn from(dict: DictView<'a>) -> Self {
        Self(Source::Bytes(dict.iter()))
    }
}

impl<'a> Iterator for EntriesRef<'a> {
    type Item = (&'a str, ValueRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Memory(entries) => entries.next().map(|(key, value)| (key.as_str(), value.into())),
            Source::Bytes(entries) => entries.next().map(|(key, value)| (key.as_str(), value.into())),
        }
    }
}

impl<'a> From<EntriesRef<'a>> for ValueRef<'a> {
    fn from(entries: EntriesRef<'a>) -> Self {
        Self::Dict(entries)
    }
}

impl<'a> From<&'a Dict> for ValueRef<'a> {
    fn from(dict: &'a Dict) -> Self {
        Self::Dict(dict.into())
    }
}

impl<'a> From<RecordView<'a>> for ValueRef<'a> {
    fn from(record: RecordView<'a>) -> Self {
        Self::Dict(record.into())
    }
}

/// The items of a vector as doubles, in order.
#[derive(Debug, Clone)]
pub struct NumbersRef<'a>(Source<std::slice::Iter<'a, u32>, std::slice::Iter<'a, [u8; 4]>>);

impl<'a> From<&'a Vector> for NumbersRef<'a> {
    fn from(vector: &'a Vector) -> Self {
        Self(Source::Memory(vector.upper_halves().iter()))
    }
}

impl<'a> From<VectorView<'a>> for NumbersRef<'a> {
    fn from(vector: VectorView<'a>) -> Self {
        Self(Source::Bytes(vector.chunks().iter()))
    }
}

impl Iterator for NumbersRef<'_> {
    type Item = f64;

    #[inline]
    fn next(&mut self) -> Option<f64> {
        let half = match &mut self.0 {
            Source::Memory(halves) => *halves.next()?,
            Source::Bytes(chunks) => u32::from_be_bytes(*chunks.next()?),
        };
        Some(widen(half))
    }
}
