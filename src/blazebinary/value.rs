//! Owned values: what a program builds before encoding, or keeps after decoding.

use uuid::Uuid;

use super::date::Date;
use super::key::Key;
use super::key_order::compare_keys;

/// A record: a dict at the top level of an encoding.
pub type Record = Dict;

/// One value. Equality is identity of what the encoding keeps: doubles and dates compare by their bits, so that
/// NaN equals itself and 0.0 differs from −0.0. For the order that queries use see [`super::order`].
#[derive(Debug, Clone)]
pub enum Value {
    /// No value. In the total order it stands last, beside a field that is missing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// An IEEE double; its bits are kept.
    Double(f64),
    /// A point in time.
    Date(Date),
    /// A UUID, 16 bytes in textual order.
    Uuid(Uuid),
    /// Text.
    String(String),
    /// Bytes.
    Data(Vec<u8>),
    /// A list of values, at most 65,535.
    Array(Vec<Value>),
    /// Named values, at most 65,535.
    Dict(Dict),
    /// A list of numbers at the precision that Swift's encoder keeps.
    Vector(Vector),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Data(a), Self::Data(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Dict(a), Self::Dict(b)) => a == b,
            (Self::Vector(a), Self::Vector(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<Date> for Value {
    fn from(value: Date) -> Self {
        Self::Date(value)
    }
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Self::Array(value)
    }
}

impl From<Dict> for Value {
    fn from(value: Dict) -> Self {
        Self::Dict(value)
    }
}

/// Named values in canonical key order, each key once; canonically equal keys are one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dict {
    entries: Vec<(Key, Value)>,
}

impl Dict {
    /// An empty dict.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// An empty dict with room for `capacity` entries.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: Vec::with_capacity(capacity) }
    }

    /// Sets `key` to `value` and returns the value it had. The first spelling of a key stays, as in Swift.
    ///
    /// Cheap when keys arrive in order, else a binary search and a move of what follows.
    pub fn insert(&mut self, key: impl Into<Key>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        let follows_last =
            self.entries.last().is_none_or(|(last, _)| compare_keys(last.as_str(), key.as_str()).is_lt());
        if follows_last {
            self.entries.push((key, value));
            return None;
        }
        match self.find(key.as_str()) {
            Ok(at) => self.entries.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.find(key).ok().and_then(|at| self.entries.get(at)).map(|(_, value)| value)
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        self.find(key).ok().map(|at| self.entries.remove(at).1)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries in canonical key order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Key, &Value)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The entries in canonical key order, as they lie in memory.
    pub(super) fn as_slice(&self) -> &[(Key, Value)] {
        &self.entries
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(probe, _)| compare_keys(probe.as_str(), key))
    }
}

impl IntoIterator for Dict {
    type Item = (Key, Value);
    type IntoIter = std::vec::IntoIter<(Key, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<K: Into<Key>, V: Into<Value>> FromIterator<(K, V)> for Dict {
    /// Of keys that repeat, the last value stays under the first spelling. Entries in any order are sorted once.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let pairs = entries.into_iter().map(|(key, value)| (key.into(), value.into()));
        let mut entries: Vec<(Key, Value)> = pairs.collect();
        let in_order = |a: &(Key, Value), b: &(Key, Value)| compare_keys(a.0.as_str(), b.0.as_str());
        if !entries.is_sorted_by(|a, b| in_order(a, b).is_lt()) {
            // A stable sort: of keys that are equal the later one comes second.
            entries.sort_by(in_order);
            entries.dedup_by(|later, first| {
                let repeats = in_order(later, first).is_eq();
                if repeats {
                    std::mem::swap(&mut later.1, &mut first.1);
                }
                repeats
            });
        }
        Self { entries }
    }
}

/// A vector of numbers as Swift's encoder writes it: of each 64-bit double only the upper 32 bits, which keep
/// 20 bits of mantissa (about six decimal digits), cut rather than rounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vector {
    upper_halves: Vec<u32>,
}

impl Vector {
    /// From the upper halves of the doubles' bits.
    pub fn from_upper_halves(upper_halves: Vec<u32>) -> Self {
        Self { upper_halves }
    }

    /// The upper halves of the doubles' bits.
    pub fn upper_halves(&self) -> &[u32] {
        &self.upper_halves
    }

    /// The items; the lower 32 bits of each are zero.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f64> {
        self.upper_halves.iter().map(|&half| widen(half))
    }
}

impl FromIterator<f64> for Vector {
    /// Cuts each item to the upper 32 bits.
    fn from_iter<I: IntoIterator<Item = f64>>(items: I) -> Self {
        Self { upper_halves: items.into_iter().map(|item| (item.to_bits() >> 32) as u32).collect() }
    }
}

/// The double whose upper bits are `half` and whose lower 32 bits are zero.
#[inline]
pub(super) fn widen(half: u32) -> f64 {
    f64::from_bits(u64::from(half) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_in_key_order_and_each_key_once() {
        let mut dict = Dict::new();
        for (key, value) in [("b", 1), ("a", 2), ("c", 3), ("e\u{301}", 4)] {
            assert_eq!(dict.insert(key, i64::from(value)), None);
        }
        assert_eq!(dict.insert("\u{E9}", 5i64), Some(Value::Int(4)));
        let keys: Vec<&str> = dict.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["a", "b", "c", "e\u{301}"], "the first spelling stays");
        assert_eq!(dict.get("\u{E9}"), Some(&Value::Int(5)));
        assert_eq!(dict.remove("b"), Some(Value::Int(1)));
        assert_eq!(dict.len(), 3);
    }

    #[test]
    fn collecting_gives_what_inserting_one_by_one_gives() {
        let keys = ["b", "a", "\u{E9}", "c", "a", "e\u{301}", "f", "a", "\u{E9}"];
        let mut inserted = Dict::new();
        for (at, key) in (0i64..).zip(keys) {
            inserted.insert(key, at);
        }
        let collected: Dict = keys.into_iter().zip(0i64..).collect();
        assert_eq!(collected, inserted);
        let shown: Vec<(&str, &Value)> = collected.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let int = |value: i64| Value::Int(value);
        assert_eq!(
            shown,
            [("a", &int(7)), ("b", &int(0)), ("c", &int(3)), ("f", &int(6)), ("\u{E9}", &int(8))],
            "worked by hand: the last value under the first spelling"
        );
    }

    #[test]
    fn vectors_keep_the_upper_halves() {
        let vector: Vector = [1.0, 0.1].into_iter().collect();
        assert_eq!(vector.upper_halves(), [0x3FF0_0000, 0x3FB9_9999]);
        assert_eq!(vector.iter().next(), Some(1.0));
    }
}
