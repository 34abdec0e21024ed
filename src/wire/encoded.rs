//! Values inside payloads that stay in their canonical bytes: dicts of details and extensions, lists of names.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::message_error::MessageErrorKind;
use crate::blazebinary::{
    ArrayView, Dict, DictView, EncodeError, Reader, Value, ValueView, compare_keys, encode_value, put,
    read_canonical_value,
};

/// A dict in canonical bytes, or none: the detail of an Error, the extension of a payload. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodedDict<'a>(Cow<'a, [u8]>);

impl<'a> EncodedDict<'a> {
    /// No dict.
    pub const NONE: Self = Self(Cow::Borrowed(&[]));

    /// Encodes `dict`; an empty one is none.
    ///
    /// # Errors
    /// [`EncodeError`] if it passes a limit of the encoding.
    pub fn new(dict: Dict) -> Result<EncodedDict<'static>, EncodeError> {
        let mut bytes = Vec::new();
        if !dict.is_empty() {
            encode_value(&Value::Dict(dict), &mut bytes)?;
        }
        Ok(EncodedDict(Cow::Owned(bytes)))
    }

    /// Takes bytes that were found to be one canonical dict.
    pub(super) fn validated(bytes: Cow<'a, [u8]>) -> Self {
        Self(bytes)
    }

    /// Whether there is no dict.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The dict, read in place.
    pub fn view(&self) -> Option<DictView<'_>> {
        match read_canonical_value(&mut Reader::new(&self.0)).ok()? {
            ValueView::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<ValueView<'_>> {
        self.view()?.get(key)
    }

    /// Appends the bytes; nothing for none.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    /// Appends the bytes, or a null.
    pub(super) fn append_or_null(&self, out: &mut Vec<u8>) {
        if self.is_none() {
            put::null(out);
        }
        self.append_to(out);
    }
}

/// A list of strings in canonical bytes, sorted in key order, each once: capabilities, names of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedStrings<'a>(Cow<'a, [u8]>);

impl<'a> EncodedStrings<'a> {
    /// No string.
    pub const EMPTY: Self = Self(Cow::Borrowed(&[0x18]));

    /// Sorts `strings`, drops repetitions and encodes them.
    ///
    /// # Errors
    /// [`EncodeError`] if there are more than an array can hold.
    pub fn new<S: AsRef<str>>(strings: &[S]) -> Result<EncodedStrings<'static>, EncodeError> {
        let mut sorted: Vec<&str> = strings.iter().map(AsRef::as_ref).collect();
        sorted.sort_by(|a, b| compare_keys(a, b));
        sorted.dedup_by(|a, b| compare_keys(a, b).is_eq());
        let items = sorted.into_iter().map(Value::from).collect();
        let mut bytes = Vec::new();
        encode_value(&Value::Array(items), &mut bytes)?;
        Ok(EncodedStrings(Cow::Owned(bytes)))
    }

    /// Takes bytes that were found to be one canonical array that passes [`Self::check`].
    pub(super) fn validated(bytes: Cow<'a, [u8]>) -> Self {
        Self(bytes)
    }

    /// Checks that an array holds strings alone, sorted, each once.
    pub(super) fn check(array: ArrayView<'_>, field: &'static str) -> Result<(), MessageErrorKind> {
        let mut previous: Option<&str> = None;
        for item in array.iter() {
            let ValueView::String(text) = item else { return Err(MessageErrorKind::WrongType { field }) };
            let text = text.as_str();
            let in_order =
                previous.replace(text).is_none_or(|previous| compare_keys(previous, text) == Ordering::Less);
            if !in_order {
                return Err(MessageErrorKind::NotSorted { field });
            }
        }
        Ok(())
    }

    fn array(&self) -> Option<ArrayView<'_>> {
        match read_canonical_value(&mut Reader::new(&self.0)).ok()? {
            ValueView::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let items = self.array().into_iter().flat_map(|array| array.iter());
        items.map(|item| match item {
            ValueView::String(text) => text.as_str(),
            _ => "",
        })
    }

    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.array().map_or(0, |array| array.len())
    }

    /// Whether there is no string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes they take in a payload.
    pub fn wire_bytes(&self) -> usize {
        self.0.len()
    }

    /// Whether `wanted` is among them.
    pub fn contains(&self, wanted: &str) -> bool {
        self.iter().any(|string| string == wanted)
    }

    /// Appends the bytes.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

impl Default for EncodedStrings<'_> {
    fn default() -> Self {
        Self::EMPTY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_sorted_and_each_once() {
        let strings = EncodedStrings::new(&["b", "a", "b"]).unwrap();
        // Tag 08, count 2, two short strings of one byte.
        assert_eq!(strings.0.as_ref(), [0x08, 0, 2, 0x21, b'a', 0x21, b'b']);
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(strings.contains("b") && !strings.contains("c"));
        assert_eq!(EncodedStrings::new::<&str>(&[]).unwrap(), EncodedStrings::EMPTY);
        assert!(EncodedStrings::EMPTY.is_empty());
    }

    #[test]
    fn a_dict_is_read_in_place_and_an_empty_one_is_none() {
        let dict = EncodedDict::new(Dict::from_iter([("item", 3i64)])).unwrap();
        assert!(matches!(dict.get("item"), Some(ValueView::Int(3))));
        assert!(dict.get("other").is_none());
        assert_eq!(EncodedDict::new(Dict::new()).unwrap(), EncodedDict::NONE);
    }
}
