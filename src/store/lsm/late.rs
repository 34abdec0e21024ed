//! Rows that are kept aside until the memtable is sealed: what is written and removed again before that costs the tree
//! nothing. `spec/adr/0025-late-rows.md` says what it is for.

use std::collections::BTreeMap;
use std::mem::size_of;

use crate::store::keyspace::is_empty;
use crate::store::{Bytes, KeyRange};

/// What a row kept aside costs beside its bytes: the two handles, and as much again for the map's half-full nodes.
const ROW_BYTES: usize = size_of::<(Bytes, LateRow)>() * 2;

/// What is to become of a row when the memtable is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LateRow {
    /// It has this value.
    Put(Bytes),
    /// The tree has it, put once; it goes.
    Gone,
    /// The tree has it, put once; it goes, and has this value after that.
    GoneThenPut(Bytes),
}

impl LateRow {
    /// The value that it has now.
    pub(super) const fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Put(value) | Self::GoneThenPut(value) => Some(value),
            Self::Gone => None,
        }
    }
}

/// The rows kept aside.
#[derive(Debug, Default)]
pub(super) struct Late {
    rows: BTreeMap<Bytes, LateRow>,
    bytes: usize,
}

impl Late {
    pub(super) fn put(&mut self, key: Bytes, value: Bytes) {
        let row = match self.rows.get(&*key) {
            Some(LateRow::Gone | LateRow::GoneThenPut(_)) => LateRow::GoneThenPut(value),
            Some(LateRow::Put(_)) | None => LateRow::Put(value),
        };
        self.set(key, Some(row));
    }

    /// Removes a row that was put once: one kept aside leaves no trace.
    pub(super) fn delete_once(&mut self, key: Bytes) {
        let row = match self.rows.get(&*key) {
            Some(LateRow::Put(_)) => None,
            Some(LateRow::Gone | LateRow::GoneThenPut(_)) | None => Some(LateRow::Gone),
        };
        self.set(key, row);
    }

    /// What is kept aside of a row; `None` if the tree says what it is.
    pub(super) fn get(&self, key: &[u8]) -> Option<&LateRow> {
        self.rows.get(key)
    }

    /// The last row of `range` that has a value here; none if no key can lie in the range.
    pub(super) fn last(&self, range: KeyRange<'_>) -> Option<(&Bytes, &Bytes)> {
        if is_empty(&range) {
            return None;
        }
        let mut rows = self.rows.range::<[u8], _>(range).rev();
        rows.find_map(|(key, row)| row.value().map(|value| (key, value)))
    }

    /// How much memory they take, roughly.
    pub(super) fn bytes(&self) -> u64 {
        u64::try_from(self.bytes).unwrap_or(u64::MAX)
    }

    /// Takes all of them, in the order of their keys.
    pub(super) fn take(&mut self) -> BTreeMap<Bytes, LateRow> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }

    fn set(&mut self, key: Bytes, row: Option<LateRow>) {
        let cost = |row: &LateRow| {
            let bytes = key.len().saturating_add(row.value().map_or(0, |value| value.len()));
            bytes.saturating_add(ROW_BYTES)
        };
        let new = row.as_ref().map_or(0, cost);
        let old = self.rows.get(&*key).map_or(0, cost);
        self.bytes = self.bytes.saturating_sub(old).saturating_add(new);
        match row {
            Some(row) => drop(self.rows.insert(key, row)),
            None => drop(self.rows.remove(&*key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound::{Excluded, Included, Unbounded};

    use super::*;

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    #[test]
    fn what_comes_and_goes_in_between_leaves_nothing() {
        let mut late = Late::default();
        for number in ["1", "2", "3"] {
            late.put(bytes(number), bytes("value"));
        }
        for number in ["1", "2", "3"] {
            late.delete_once(bytes(number));
        }
        assert_eq!((late.bytes(), late.take().len()), (0, 0));
    }

    #[test]
    fn a_range_without_keys_has_no_last_row() {
        let mut late = Late::default();
        for key in ["a", "b", "c"] {
            late.put(bytes(key), bytes("value"));
        }
        let (b, c): (&[u8], &[u8]) = (b"b", b"c");
        for range in [
            (Included(c), Included(b)),
            (Excluded(c), Included(b)),
            (Included(b), Excluded(b)),
            (Excluded(b), Excluded(b)),
        ] {
            assert_eq!(late.last(range), None, "{range:?}");
        }
        assert_eq!(late.last((Included(b), Included(b))), Some((&bytes("b"), &bytes("value"))));
    }

    #[test]
    fn what_the_tree_has_is_removed_from_it_once_whatever_follows() {
        let mut late = Late::default();
        late.delete_once(bytes("a"));
        assert_eq!(late.get(b"a"), Some(&LateRow::Gone));
        late.put(bytes("a"), bytes("1"));
        late.put(bytes("a"), bytes("2"));
        assert_eq!(late.get(b"a"), Some(&LateRow::GoneThenPut(bytes("2"))));
        late.delete_once(bytes("a"));
        assert_eq!(late.get(b"a"), Some(&LateRow::Gone));
        late.put(bytes("b"), bytes("1"));
        late.put(bytes("b"), bytes("2"));
        assert_eq!(late.get(b"b"), Some(&LateRow::Put(bytes("2"))));
        late.delete_once(bytes("c"));
        assert_eq!(late.last((Unbounded, Unbounded)), Some((&bytes("b"), &bytes("2"))));
        assert_eq!(late.last((Included(b"c"), Unbounded)), None);
        let rows = late.take();
        assert_eq!(rows.keys().map(|key| &**key).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(late.bytes(), 0);
    }
}
