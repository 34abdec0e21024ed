//! A decision: what an operation changes, final. Applying it evaluates nothing.

use std::sync::Arc;

use super::outcome::{LedgerEntry, Outcome};
use super::record::{Id, StoredRecord, take};

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

/// An entry of the catalogue, or the end of one.
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
    /// A collection was dropped: it and all its records are gone from here on.
    Dropped {
        /// Its number, which is never used again.
        number: u32,
        /// Its name, free for another collection.
        name: Box<str>,
        /// The hybrid logical clock of the drop.
        clock: u64,
        /// The index of the node that dropped it.
        node: u32,
    },
}

/// What an effect, or the head of a transaction, takes beside the bytes of records and names, roughly.
const EFFECT_HEAD_BYTES: usize = 64;

const COLLECTION: u8 = 1;
const NODE: u8 = 2;
const DROPPED: u8 = 3;

impl CatalogueEntry {
    /// The entry as the log carries it: kind u8, number u32, then the name or the node's id; of a dropped collection
    /// clock u64, node u32 and its name.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = |kind: u8, number: &u32| [&[kind][..], &number.to_be_bytes()].concat();
        match self {
            Self::Collection { number, name } => [&head(COLLECTION, number), name.as_bytes()].concat(),
            Self::Node { index, node } => [&head(NODE, index), &node[..]].concat(),
            Self::Dropped { number, name, clock, node } => {
                let stamp = [&clock.to_be_bytes()[..], &node.to_be_bytes()].concat();
                [&head(DROPPED, number), &stamp[..], name.as_bytes()].concat()
            }
        }
    }

    /// Reads an entry; `None` if it is none that this release knows.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&kind, mut rest) = bytes.split_first()?;
        let number = u32::from_be_bytes(take(&mut rest)?);
        let text = |bytes| Some(std::str::from_utf8(bytes).ok()?.into());
        Some(match kind {
            COLLECTION => Self::Collection { number, name: text(rest)? },
            NODE => Self::Node { index: number, node: rest.try_into().ok()? },
            DROPPED => {
                let clock = u64::from_be_bytes(take(&mut rest)?);
                let node = u32::from_be_bytes(take(&mut rest)?);
                Self::Dropped { number, name: text(rest)?, clock, node }
            }
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

    /// Whether readers see something else after it: a change of a record, or the drop of a collection.
    pub const fn is_change(&self) -> bool {
        match self {
            Self::Write(_) | Self::Delete(_) | Self::Catalogue(CatalogueEntry::Dropped { .. }) => true,
            Self::Catalogue(_) | Self::Outcome(_) => false,
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
        let dropped = CatalogueEntry::Dropped { number: 4, name: "people".into(), clock: 0x0506, node: 7 };
        for (entry, bytes) in [
            (collection, &b"\x01\0\0\x01\x02people"[..]),
            (node, b"\x02\0\0\0\x03ABCDEFGHIJKLMNOP"),
            (dropped, b"\x03\0\0\0\x04\0\0\0\0\0\0\x05\x06\0\0\0\x07people"),
        ] {
            assert_eq!(entry.to_bytes(), bytes);
            assert_eq!(CatalogueEntry::parse(bytes), Some(entry));
        }
        for wrong in [
            &b""[..],
            b"\x01\0\0\0",
            b"\x09\0\0\0\x01x",
            b"\x03\0\0\0\x01x",
            b"\x02\0\0\0\x01short",
            b"\x01\0\0\0\x01\xFF",
        ] {
            assert_eq!(CatalogueEntry::parse(wrong), None);
        }
    }
}
