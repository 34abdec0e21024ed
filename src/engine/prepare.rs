//! The part of a decision that depends on the operation's bytes alone. It needs no lock, so that connections may do
//! it side by side.

use uuid::Uuid;

use super::outcome::Refusal;
use super::record::Id;
use crate::blazebinary::{DecodeError, Record, RecordView};
use crate::wire::message::{Action, Groups, RecordOperation};
use crate::wire::{ErrorCode, FramedRecord};

/// An operation whose records were found to be well formed, or the first that is not.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// 64 bits of the hash of the body.
    pub body_hash: u64,
    /// The items in order, or why there are none.
    pub items: Result<Vec<Item<'a>>, Refusal>,
}

/// One operation on one record, or on a collection.
#[derive(Debug)]
pub struct Item<'a> {
    /// The collection's name.
    pub collection: &'a str,
    /// The record's id; zeros of a drop.
    pub id: Id,
    /// The version that its author saw.
    pub base: Option<u64>,
    /// What is done.
    pub act: Act<'a>,
}

/// What is done to a record, or to a collection.
#[derive(Debug)]
pub enum Act<'a> {
    /// Create it.
    Insert(FramedRecord<'a>),
    /// Create or replace it.
    Upsert {
        /// The record.
        record: FramedRecord<'a>,
        /// Equal bytes are no change.
        skip_unchanged: bool,
    },
    /// Remove fields, then set fields.
    Patch {
        /// The names of the fields that go.
        removed: Vec<Box<str>>,
        /// The fields that are set.
        set: Record,
    },
    /// Delete it.
    Delete,
    /// Nothing.
    Check,
    /// Remove the collection.
    Drop,
}

/// Checks an operation's body by itself.
pub fn prepare(groups: Groups<'_>) -> Prepared<'_> {
    let body_hash = hash(groups.as_bytes());
    let mut items = Vec::new();
    for (number, (collection, operation)) in (0u32..).zip(groups.operations()) {
        match item(collection.as_str(), operation) {
            Ok(item) => items.push(item),
            Err(refusal) => {
                return Prepared { body_hash, items: Err(Refusal { item: Some(number), ..refusal }) };
            }
        }
    }
    Prepared { body_hash, items: Ok(items) }
}

/// 64 bits that tell one body from another: XXH3 (`spec/adr/0013-operation-ledger.md` says why not a checksum).
fn hash(body: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(body)
}

fn item<'a>(collection: &'a str, operation: RecordOperation<'a>) -> Result<Item<'a>, Refusal> {
    let (id, act) = match operation.action {
        Action::Insert(record) => (id_of(record)?, Act::Insert(record)),
        Action::Upsert { record, skip_unchanged } => (id_of(record)?, Act::Upsert { record, skip_unchanged }),
        Action::Patch { id, removed, set } => {
            let set = view(set)?;
            if set.get("id").is_some() || removed.contains("id") {
                return Err(Refusal::of_all(ErrorCode::IdIsFixed));
            }
            let removed = removed.iter().map(Box::from).collect();
            (id, Act::Patch { removed, set: set.to_record() })
        }
        Action::Delete { id } => (id, Act::Delete),
        Action::Check { id } => (id, Act::Check),
        Action::Drop => (Uuid::nil(), Act::Drop),
    };
    Ok(Item { collection, id: id.into_bytes(), base: operation.base, act })
}

fn view(record: FramedRecord<'_>) -> Result<RecordView<'_>, Refusal> {
    record.view().map_err(|DecodeError { offset, .. }| Refusal {
        offset: u32::try_from(offset).ok(),
        ..Refusal::of_all(ErrorCode::InvalidRecord)
    })
}

fn id_of(record: FramedRecord<'_>) -> Result<Uuid, Refusal> {
    view(record)?.id().ok_or_else(|| Refusal::of_all(ErrorCode::InvalidId))
}
