//! A decision: what an operation changes, final. Applying it evaluates nothing.

use std::sync::Arc;

use super::outcome::{LedgerEntry, Outcome};
use super::record::{Id, StoredRecord};

/// What was decided of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Who asked.
    pub node: Id,
    /// The node's index.
    pub node_index: u32,
    /// The operation's place in the ledger of its node, outcome included. The database's own decisions have none.
    pub ledger: Option<LedgerEntry>,
    /// The number of the first effect.
    pub first_sequence: u64,
    /// The clock of everything in it.
    pub clock: u64,
    /// What changes, in order; at least one.
    pub effects: Vec<DecidedEffect>,
}

/// One effect. The n-th of a decision has the number `first_sequence + n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecidedEffect {
    /// A record was written.
    Write(RecordWrite),
    /// A record was deleted.
    Delete(RecordWrite),
    /// The catalogue gained an entry.
    Catalogue(CatalogueEntry),
    /// The operation had this outcome beside or instead of changing records.
    Outcome(Outcome),
}

/// A record before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// The collection's number.
    pub collection: u32,
    /// The record's id.
    pub id: Id,
    /// Whether it is what remains after a patch, rather than put whole.
    pub is_patch: bool,
    /// The names of the fields that a patch changed; of a put none, which means all.
    pub changed: Vec<Box<str>>,
    /// The record before, or what was remembered of it.
    pub old: Option<Arc<StoredRecord>>,
    /// The record after, or what will be remembered of it.
    pub new: Arc<StoredRecord>,
}

/// An entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueEntry {
    /// A collection was created.
    Collection {
        /// Its number, from 1.
        number: u32,
        /// Its name.
        name: Box<str>,
    },
    /// A node's first operation was decided.
    Node {
        /// Its index, from 1.
        index: u32,
        /// Its id.
        node: Id,
    },
}

/// What an effect, or the head of a transaction, takes beside the bytes of records and names, roughly.
const EFFECT_HEAD_BYTES: usize = 64;

const COLLECTION: u8 = 1;
const NODE: u8 = 2;

impl CatalogueEntry {
    /// The entry as the log carries it: kind u8, number u32, then the name or the node's id.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (kind, number, rest) = match self {
            Self::Collection { number, name } => (COLLECTION, number, name.as_bytes()),
            Self::Node { index, node } => (NODE, index, &node[..]),
        };
        let mut bytes = vec![kind];
        bytes.extend(number.to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    /// Reads an entry; `None` if it is none that this release knows.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let (number, rest) = rest.split_first_chunk()?;
        let number = u32::from_be_bytes(*number);
        Some(match kind {
            COLLECTION => Self::Collection { number, name: std::str::from_utf8(rest).ok()?.into() },
            NODE => Self::Node { index: number, node: rest.try_into().ok()? },
            _ => return None,
        })
    }
}

impl Decision {
    /// The number of the last effect.
    pub fn last_sequence(&self) -> u64 {
        let count = u64::try_from(self.effects.len()).unwrap_or(u64::MAX);
        self.first_sequence.saturating_add(count).saturating_sub(1)
    }

    /// What it takes in the log, roughly, in bytes.
    pub(super) fn encoded_bytes(&self) -> usize {
        let changes = self.effects.iter().filter_map(DecidedEffect::change);
        let bytes = changes.fold(0, |sum: usize, change| {
            let names = change.new.envelope.name_bytes();
            sum.saturating_add(change.new.bytes().map_or(0, <[u8]>::len)).saturating_add(names)
        });
        let heads = self.effects.len().saturating_mul(EFFECT_HEAD_BYTES);
        bytes.saturating_add(heads).saturating_add(EFFECT_HEAD_BYTES)
    }

    /// The effects with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &DecidedEffect)> {
        (self.first_sequence..).zip(&self.effects)
    }
}

impl DecidedEffect {
    /// The change of a record, if it is one.
    pub const fn change(&self) -> Option<&RecordWrite> {
        match self {
            Self::Write(change) | Self::Delete(change) => Some(change),
            Self::Catalogue(_) | Self::Outcome(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_the_catalogue_are_their_bytes() {
        let collection = CatalogueEntry::Collection { number: 0x0102, name: "people".into() };
        let node = CatalogueEntry::Node { index: 3, node: *b"ABCDEFGHIJKLMNOP" };
        for (entry, bytes) in
            [(collection, &b"\x01\0\0\x01\x02people"[..]), (node, b"\x02\0\0\0\x03ABCDEFGHIJKLMNOP")]
        {
            assert_eq!(entry.to_bytes(), bytes);
            assert_eq!(CatalogueEntry::parse(bytes), Some(entry));
        }
        for wrong in
            [&b""[..], b"\x01\0\0\0", b"\x03\0\0\0\x01x", b"\x02\0\0\0\x01short", b"\x01\0\0\0\x01\xFF"]
        {
            assert_eq!(CatalogueEntry::parse(wrong), None);
        }
    }
}
