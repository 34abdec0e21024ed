//! Questions, owned, so that they can be asked again on another connection.

use std::ops::Bound;

use uuid::Uuid;

use crate::wire::message::{Ids, QueryKind};
use crate::wire::{CollectionName, CreditLimit, InvalidName, Position};

/// How much of an answer may wait for its reader. A frame of rows holds up to 32 KiB, so bytes bind first for full
/// frames; 8 of them keep a reader of 1 Gbit/s busy over 2 ms.
pub(super) const ANSWER_WINDOW: CreditLimit = CreditLimit { frames: 16, bytes: 256 << 10 };

/// Which records of a collection to read, in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub lower: Bound<Uuid>,
    /// Where it ends.
    pub upper: Bound<Uuid>,
    /// Whether to read from the end.
    pub reverse: bool,
    /// How many records at most; 0 for all.
    pub limit: u64,
}

impl Range {
    /// The whole collection.
    pub const ALL: Self = Self { lower: Bound::Unbounded, upper: Bound::Unbounded, reverse: false, limit: 0 };
}

/// What is asked. Names were checked when it was made.
#[derive(Debug, Clone)]
pub(super) enum Subject {
    Get { collection: String, ids: Vec<[u8; 16]> },
    Scan { collection: String, range: Range },
    Stats { collection: Option<String> },
}

#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) subject: Subject,
    pub(super) at_least: Option<Position>,
}

impl Question {
    /// The question as it travels; `None` if it has no or too many ids.
    pub(super) fn kind(&self) -> Result<Option<QueryKind<'_>>, InvalidName> {
        Ok(match &self.subject {
            Subject::Get { collection, ids } => {
                let collection = CollectionName::new(collection)?;
                Ids::new(ids).map(|ids| QueryKind::Get { collection, ids })
            }
            Subject::Scan { collection, range } => Some(QueryKind::Scan {
                collection: CollectionName::new(collection)?,
                reverse: range.reverse,
                limit: range.limit,
                lower: range.lower,
                upper: range.upper,
            }),
            Subject::Stats { collection } => {
                let collection = collection.as_deref().map(CollectionName::new).transpose()?;
                Some(QueryKind::Stats { collection })
            }
        })
    }
}
