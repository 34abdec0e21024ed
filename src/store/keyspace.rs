//! The keys of the one ordered space that a store is; `spec/store.md` holds the same table.
//!
//! | first byte | then | row |
//! |---|---|---|
//! | `00` | | the applied position |
//! | `01` | kind u8, number u32 | catalogue: collections, nodes and what else the engine numbers |
//! | `02` | collection u24 | [summary](super::Summary) of a collection |
//! | `03` | node u32, operation u64 | operation ledger; written once, single-deleted |
//! | `10` | collection u24, id 16 bytes | [record or tombstone](super::RecordRow) |
//! | `20` | seq u64 | [change](super::ChangeRow): the record that changed there last; written once, single-deleted |
//! | `30` | | reserved for secondary indexes |
//!
//! Numbers are big-endian, so that bytes sort as numbers do.

use std::ops::{Bound, Deref};

use super::{Bytes, Misuse, StoreError};

/// The longest key: a secondary index entry of 512 bytes with its prefix and record id, rounded up.
pub const MAX_KEY_BYTES: usize = 1_024;
/// The longest value: a record of 1 MiB in its row, with room for its envelope.
pub const MAX_VALUE_BYTES: usize = (1 << 20) + (1 << 17);

const APPLIED: u8 = 0x00;
const CATALOGUE: u8 = 0x01;
const SUMMARY: u8 = 0x02;
const LEDGER: u8 = 0x03;
const RECORD: u8 = 0x10;
const BY_SEQ: u8 = 0x20;
/// The first byte of secondary index entries. None are written yet.
pub const INDEX: u8 = 0x30;

/// Bytes of the longest key with a fixed layout, a record's.
const FIXED_KEY_BYTES: usize = 20;

/// A record's identity: the bytes of its uuid.
pub type RecordId = [u8; 16];

/// The number that a collection goes by in keys, below 2²⁴; the catalogue maps names to numbers.
///
/// Why numbers: a name of up to 64 bytes would be repeated in every key, and a collection could not be renamed or
/// dropped and made anew without rewriting its rows. Why three bytes: a record's key has 20 bytes then, the most
/// that lives inside an entry in memory instead of behind a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId(u32);

impl CollectionId {
    /// The greatest number.
    pub const MAX: Self = Self((1 << 24) - 1);

    /// The collection numbered `number`.
    ///
    /// # Errors
    /// [`Misuse::CollectionOutOfRange`] above [`CollectionId::MAX`].
    pub const fn new(number: u32) -> Result<Self, Misuse> {
        if number <= Self::MAX.0 { Ok(Self(number)) } else { Err(Misuse::CollectionOutOfRange(number)) }
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    pub(super) const fn to_bytes(self) -> [u8; 3] {
        let [_, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    pub(super) const fn from_bytes([a, b, c]: [u8; 3]) -> Self {
        Self(u32::from_be_bytes([0, a, b, c]))
    }
}

/// A key, typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// How far the log is folded into what is on disk. Written by the backend itself.
    Applied,
    /// An entry of the catalogue, numbered within its kind. What the kinds are is the engine's.
    Catalogue {
        /// What is numbered.
        kind: u8,
        /// Its number.
        number: u32,
    },
    /// The count and digest of a collection.
    Summary(CollectionId),
    /// The outcome of an operation. The node goes by its number in the catalogue.
    Operation {
        /// The node's number.
        node: u32,
        /// The operation's number.
        number: u64,
    },
    /// A record, or the tombstone of one.
    Record(CollectionId, RecordId),
    /// The change with this sequence, if its record has not changed since. The epoch is not part of the key: within
    /// one store a sequence is never used twice.
    BySeq(u64),
}

impl Key {
    /// The bytes of the key.
    pub fn encode(&self) -> EncodedKey {
        let mut key = EncodedKey { bytes: [0; FIXED_KEY_BYTES], length: 0 };
        match *self {
            Self::Applied => key.push(&[APPLIED]),
            Self::Catalogue { kind, number } => {
                key.push(&[CATALOGUE, kind]);
                key.push(&number.to_be_bytes());
            }
            Self::Summary(collection) => {
                key.push(&[SUMMARY]);
                key.push(&collection.to_bytes());
            }
            Self::Operation { node, number } => {
                key.push(&[LEDGER]);
                key.push(&node.to_be_bytes());
                key.push(&number.to_be_bytes());
            }
            Self::Record(collection, id) => {
                key.push(&[RECORD]);
                key.push(&collection.to_bytes());
                key.push(&id);
            }
            Self::BySeq(seq) => {
                key.push(&[BY_SEQ]);
                key.push(&seq.to_be_bytes());
            }
        }
        key
    }

    /// The key that `bytes` are.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: no key of the table above.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::parse(bytes).ok_or_else(|| {
            StoreError::corrupt(format!("unknown key {}", data_encoding::HEXLOWER.encode(bytes)))
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&space, rest) = bytes.split_first()?;
        Some(match space {
            APPLIED if rest.is_empty() => Self::Applied,
            CATALOGUE => {
                let (&kind, number) = rest.split_first()?;
                Self::Catalogue { kind, number: u32::from_be_bytes(number.try_into().ok()?) }
            }
            SUMMARY => Self::Summary(CollectionId::from_bytes(rest.try_into().ok()?)),
            LEDGER => {
                let (node, number) = rest.split_first_chunk()?;
                let number = u64::from_be_bytes(number.try_into().ok()?);
                Self::Operation { node: u32::from_be_bytes(*node), number }
            }
            RECORD => {
                let (collection, id) = rest.split_first_chunk()?;
                Self::Record(CollectionId::from_bytes(*collection), id.try_into().ok()?)
            }
            BY_SEQ => Self::BySeq(u64::from_be_bytes(rest.try_into().ok()?)),
            _ => return None,
        })
    }
}

/// The bytes of a [`Key`], on the stack.
#[derive(Debug, Clone, Copy)]
pub struct EncodedKey {
    bytes: [u8; FIXED_KEY_BYTES],
    length: usize,
}

impl EncodedKey {
    fn push(&mut self, part: &[u8]) {
        let end = self.length.saturating_add(part.len());
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(part);
            self.length = end;
        }
    }
}

impl Deref for EncodedKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl From<EncodedKey> for Bytes {
    fn from(key: EncodedKey) -> Self {
        (&*key).into()
    }
}

/// A run of keys with its own bounds, to be lent to [`super::Snapshot::range`].
#[derive(Debug, Clone)]
pub struct Span {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Span {
    /// The records of a collection, in the order of their ids.
    pub fn records(collection: CollectionId) -> Self {
        Self::prefix(&[&[RECORD][..], &collection.to_bytes()].concat())
    }

    /// The records of a collection behind `after`, in the order of their ids.
    pub fn records_after(collection: CollectionId, after: RecordId) -> Self {
        let mut from = Key::Record(collection, after).encode().to_vec();
        // The least key that is greater.
        from.push(0);
        Self { from, to: Self::records(collection).to }
    }

    /// The records of all collections.
    pub fn all_records() -> Self {
        Self::prefix(&[RECORD])
    }

    /// The changes after sequence `after`, in their order.
    pub fn changes_after(after: u64) -> Self {
        match after.checked_add(1) {
            Some(first) => {
                Self { from: Key::BySeq(first).encode().to_vec(), to: vec![BY_SEQ.saturating_add(1)] }
            }
            None => Self { from: vec![BY_SEQ.saturating_add(1)], to: vec![BY_SEQ.saturating_add(1)] },
        }
    }

    /// The summaries of all collections.
    pub fn summaries() -> Self {
        Self::prefix(&[SUMMARY])
    }

    /// The ledger of a node, in the order of the operations.
    pub fn operations(node: u32) -> Self {
        Self::prefix(&[&[LEDGER][..], &node.to_be_bytes()].concat())
    }

    /// The catalogue entries of a kind.
    pub fn catalogue(kind: u8) -> Self {
        Self::prefix(&[CATALOGUE, kind])
    }

    /// Its bounds: the first included, the second not.
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (Bound::Included(&self.from), Bound::Excluded(&self.to))
    }

    /// Every key that begins with `prefix`, whose bytes are not all `ff`.
    fn prefix(prefix: &[u8]) -> Self {
        let mut to = prefix.to_vec();
        while let Some(last) = to.pop() {
            if let Some(next) = last.checked_add(1) {
                to.push(next);
                break;
            }
        }
        Self { from: prefix.to_vec(), to }
    }
}

/// Whether no key can lie between the bounds; maps refuse such ranges.
pub(super) fn is_empty((from, to): &(Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match (from, to) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from >= to
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const C: CollectionId = CollectionId(0x01_02_03);
    const ID: RecordId = [0xAB; 16];

    /// Written by hand from the table in `spec/store.md`.
    #[test]
    fn keys_are_their_bytes_both_ways() {
        let check = |key: Key, hex: &str| {
            assert_eq!(data_encoding::HEXLOWER.encode(&key.encode()), hex);
            assert_eq!(Key::decode(&key.encode()).unwrap(), key);
        };
        check(Key::Applied, "00");
        check(Key::Catalogue { kind: 2, number: 5 }, "010200000005");
        check(Key::Summary(C), "02010203");
        check(Key::Operation { node: 9, number: 258 }, "03000000090000000000000102");
        check(Key::Record(C, ID), "10010203abababababababababababababababab");
        check(Key::BySeq(258), "200000000000000102");
    }

    #[test]
    fn other_bytes_are_no_keys() {
        for bytes in
            [&[][..], &[0, 0], &[0x01, 1], &[0x02, 1, 2], &[0x10, 0, 0, 1], &[0x20, 0], &[0x30], &[0xFF; 9]]
        {
            assert!(matches!(Key::decode(bytes), Err(StoreError::Corrupt(_))), "{bytes:?}");
        }
    }

    #[test]
    fn collections_are_numbered_in_three_bytes() {
        assert_eq!(CollectionId::new(0xFF_FFFF), Ok(CollectionId::MAX));
        assert_eq!(CollectionId::new(1 << 24), Err(Misuse::CollectionOutOfRange(1 << 24)));
    }

    #[test]
    fn spans_hold_their_keys_and_no_others() {
        let inside = |span: &Span, key: Key| {
            let key = key.encode();
            span.from.as_slice() <= &*key && &*key < span.to.as_slice()
        };
        let last = CollectionId::MAX;
        for (span, member, stranger) in [
            (Span::records(C), Key::Record(C, [0xFF; 16]), Key::Record(CollectionId(0x01_02_04), [0; 16])),
            (Span::records(last), Key::Record(last, [0xFF; 16]), Key::BySeq(0)),
            (Span::records_after(C, ID), Key::Record(C, [0xAC; 16]), Key::Record(C, ID)),
            (Span::changes_after(7), Key::BySeq(8), Key::BySeq(7)),
            (Span::changes_after(0), Key::BySeq(u64::MAX), Key::Record(last, [0xFF; 16])),
            (Span::summaries(), Key::Summary(last), Key::Operation { node: 0, number: 0 }),
            (
                Span::operations(1),
                Key::Operation { node: 1, number: u64::MAX },
                Key::Operation { node: 2, number: 0 },
            ),
            (
                Span::catalogue(1),
                Key::Catalogue { kind: 1, number: u32::MAX },
                Key::Catalogue { kind: 2, number: 0 },
            ),
        ] {
            assert!(inside(&span, member) && !inside(&span, stranger), "{span:?}");
        }
        assert!(!inside(&Span::changes_after(u64::MAX), Key::BySeq(u64::MAX)));
    }
}
