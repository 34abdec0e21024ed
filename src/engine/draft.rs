//! A decision in the making: the items of one transaction, each seeing what those before it did.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decider::Decider;
use super::decision::{CatalogueEntry, DecidedEffect, RecordWrite};
use super::error::EngineError;
use super::limits::{MAX_COLLECTIONS, MAX_TRANSACTION_BYTES};
use super::outcome::Refusal;
use super::patch::{Stamp, patch};
use super::prepare::{Act, Item};
use super::record::{Content, Envelope, Id, StoredRecord};
use super::view::StateView;
use crate::blazebinary::Record;
use crate::store::CollectionId;
use crate::wire::{ErrorCode, FramedRecord};

/// What an effect of the log costs beside the bytes of its record and the names in it, at most.
const EFFECT_OVERHEAD_BYTES: usize = 128;

pub(super) struct Draft<'a> {
    decider: &'a Decider,
    published: &'a dyn StateView,
    node: u32,
    clock: u64,
    next_sequence: u64,
    records: BTreeMap<(u32, Id), Arc<StoredRecord>>,
    /// What the names mean by now, where that has changed: nothing, of one that was dropped.
    collections: BTreeMap<&'a str, Option<u32>>,
    /// How many collections there are, and the highest number that one ever had.
    live_collections: usize,
    last_collection: u32,
    effects: Vec<DecidedEffect>,
    bytes: usize,
    unchanged: u32,
}

/// Why a transaction goes no further.
pub(super) enum Stop {
    /// An outcome.
    Refused(Refusal),
    /// None.
    Failed(EngineError),
}

impl From<ErrorCode> for Stop {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(Refusal::of_all(code))
    }
}

impl From<EngineError> for Stop {
    /// A damaged record refuses the operations on it; the node goes on with others.
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Corrupted(_) => ErrorCode::Corrupted.into(),
            other => Self::Failed(other),
        }
    }
}

type Current = Option<Arc<StoredRecord>>;

impl<'a> Draft<'a> {
    pub(super) fn new(
        decider: &'a Decider,
        published: &'a dyn StateView,
        node: u32,
        clock: u64,
        next_sequence: u64,
    ) -> Self {
        Self {
            decider,
            published,
            node,
            clock,
            next_sequence,
            records: BTreeMap::new(),
            collections: BTreeMap::new(),
            live_collections: decider.catalogue.collections().len(),
            last_collection: decider.catalogue.last_collection(),
            effects: Vec::new(),
            bytes: 0,
            unchanged: 0,
        }
    }

    /// The effects, and how many items found nothing to change.
    pub(super) fn finish(self) -> (Vec<DecidedEffect>, u32) {
        (self.effects, self.unchanged)
    }

    /// Decides one item.
    pub(super) fn item(&mut self, item: &Item<'a>) -> Result<(), Stop> {
        if matches!(item.act, Act::Drop) {
            return self.drop_collection(item.collection);
        }
        let collection = self.collection(item.collection);
        let current = match collection {
            Some(collection) => self.record(collection, &item.id)?,
            None => None,
        };
        let version = current.as_ref().map_or(0, |record| record.version());
        if item.base.is_some_and(|base| base != version) {
            let refusal = Refusal::of_all(ErrorCode::PreconditionFailed);
            return Err(Stop::Refused(Refusal { version: Some(version), ..refusal }));
        }
        let exists = version != 0;
        match &item.act {
            Act::Insert(_) if exists => return Err(ErrorCode::AlreadyExists.into()),
            Act::Upsert { record, skip_unchanged: true } if is_same(&current, *record) => {
                self.note_unchanged()
            }
            Act::Insert(record) | Act::Upsert { record, .. } => self.put(item, *record, current)?,
            Act::Patch { removed, set } => {
                let old = current.filter(|_| exists).ok_or(ErrorCode::NotFound)?;
                self.patch(item, &old, removed, set)?;
            }
            Act::Delete if exists => self.delete(item, current)?,
            Act::Delete => self.note_unchanged(),
            // A drop was done above.
            Act::Check | Act::Drop => {}
        }
        Ok(())
    }

    fn collection(&self, name: &str) -> Option<u32> {
        match self.collections.get(name) {
            Some(number) => *number,
            None => self.decider.catalogue.collection(name),
        }
    }

    fn record(&self, collection: u32, id: &Id) -> Result<Current, EngineError> {
        if let Some(record) = self.records.get(&(collection, *id)) {
            return Ok(Some(record.clone()));
        }
        match self.decider.overlay.record(collection, id) {
            Some(record) => Ok(Some(record.clone())),
            None => self.published.record(collection, id),
        }
    }

    fn note_unchanged(&mut self) {
        self.unchanged = self.unchanged.saturating_add(1);
    }

    fn put(&mut self, item: &Item<'a>, record: FramedRecord<'_>, old: Current) -> Result<(), Stop> {
        let content = Content { bytes: record.bytes().into(), crc: record.checksum() };
        self.change(item, old, self.whole(), Some(content), None)
    }

    fn patch(
        &mut self,
        item: &Item<'a>,
        old: &Arc<StoredRecord>,
        removed: &[Box<str>],
        set: &Record,
    ) -> Result<(), Stop> {
        let patched = patch(old, removed, set, Stamp { clock: self.clock, node: self.node })?;
        let content = Content { crc: crc32fast::hash(&patched.bytes), bytes: patched.bytes.into() };
        self.change(item, Some(old.clone()), patched.envelope, Some(content), patched.changed)
    }

    fn delete(&mut self, item: &Item<'a>, old: Current) -> Result<(), Stop> {
        self.change(item, old, self.whole(), None, None)
    }

    /// The envelope of a record that is written as a whole, or deleted.
    fn whole(&self) -> Envelope {
        Envelope { clock: self.clock, node: self.node, fields: Vec::new() }
    }

    /// `content` is there unless the record is deleted, `patched` if it is what remains after a patch.
    fn change(
        &mut self,
        item: &Item<'a>,
        old: Current,
        envelope: Envelope,
        content: Option<Content>,
        patched: Option<Vec<Box<str>>>,
    ) -> Result<(), Stop> {
        let collection = self.collection_to_write(item.collection)?;
        let names = patched.iter().flatten();
        let names = names.fold(0, |sum: usize, name| sum.saturating_add(name.len()).saturating_add(2));
        let bytes = content.as_ref().map_or(0, |content| content.bytes.len());
        self.charge(bytes.saturating_add(names).saturating_add(envelope.encoded_bytes()))?;
        let (is_delete, is_patch) = (content.is_none(), patched.is_some());
        let new = Arc::new(StoredRecord { sequence: self.next_sequence, envelope, content });
        self.records.insert((collection, item.id), new.clone());
        let changed = patched.unwrap_or_default();
        let write = RecordWrite { collection, id: item.id, is_patch, changed, old, new };
        self.push(if is_delete { DecidedEffect::Delete(write) } else { DecidedEffect::Write(write) });
        Ok(())
    }

    fn push(&mut self, effect: DecidedEffect) {
        self.effects.push(effect);
        self.next_sequence = self.next_sequence.saturating_add(1);
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(EFFECT_OVERHEAD_BYTES);
        if self.bytes > MAX_TRANSACTION_BYTES { Err(ErrorCode::TransactionTooLarge.into()) } else { Ok(()) }
    }

    /// The number of a collection, which its first write creates.
    fn collection_to_write(&mut self, name: &'a str) -> Result<u32, Stop> {
        if let Some(number) = self.collection(name) {
            return Ok(number);
        }
        let number = self.last_collection.saturating_add(1);
        if self.live_collections >= MAX_COLLECTIONS || CollectionId::new(number).is_err() {
            return Err(ErrorCode::NotSupported.into());
        }
        self.charge(name.len())?;
        self.collections.insert(name, Some(number));
        self.last_collection = number;
        self.live_collections = self.live_collections.saturating_add(1);
        self.push(DecidedEffect::Catalogue(CatalogueEntry::Collection { number, name: name.into() }));
        Ok(number)
    }

    /// Whatever the collection holds, this is one effect.
    fn drop_collection(&mut self, name: &'a str) -> Result<(), Stop> {
        let Some(number) = self.collection(name) else {
            self.note_unchanged();
            return Ok(());
        };
        self.charge(name.len())?;
        self.collections.insert(name, None);
        self.live_collections = self.live_collections.saturating_sub(1);
        let (clock, node) = (self.clock, self.node);
        let entry = CatalogueEntry::Dropped { number, name: name.into(), clock, node };
        self.push(DecidedEffect::Catalogue(entry));
        Ok(())
    }
}

fn is_same(current: &Current, record: FramedRecord<'_>) -> bool {
    current.as_ref().and_then(|current| current.bytes()).is_some_and(|bytes| bytes == record.bytes())
}
