//! Decisions as rows of the store, and those rows read back.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalogue::Catalogue;
use super::decision::{CatalogueEntry, DecidedEffect, Decision, RecordWrite};
use super::drops::{Dropped, Drops};
use super::error::EngineError;
use super::limits::OUTCOMES_KEPT;
use super::outcome::LedgerEntry;
use super::record::{Id, StoredRecord, take};
use super::retention::Mark;
use super::view::StateView;
use crate::store::keyspace::Span;
use crate::store::{
    Batch, CollectionId, Direction, EncodedKey, Fold, Image, Key, RecordRow, Snapshot, Store, StoreError,
    open, seal,
};

/// Kinds of catalogue rows.
const DATABASE: u8 = 0;
const COLLECTIONS: u8 = 1;
const NODES: u8 = 2;
const MARKS: u8 = 3;
const DROPS: u8 = 4;

/// What a store says of the database as a whole: which one, how far its clock and its changes came, and which numbers
/// were given, whether or not what had them is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) database: Id,
    pub(super) clock: u64,
    pub(super) last_change: u64,
    pub(super) last_collection: u32,
    pub(super) last_node: u32,
    /// The number of the last drop that is not remembered.
    pub(super) forgotten_drop: u64,
}

fn progress_key() -> EncodedKey {
    Key::Catalogue { kind: DATABASE, number: 0 }.encode()
}

/// Where what a record was before a change is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// In the decision, which was made on it.
    InDecision,
    /// In the store: a decision that was read from the log does not hold it.
    InStore,
}

/// Folds a decision, all but the [`Progress`].
pub(super) fn fold_decision(
    fold: &mut Fold<'_>,
    catalogue: &mut Catalogue,
    drops: &mut Arc<Drops>,
    decision: &Decision,
    before: Before,
) -> Result<(), StoreError> {
    for (sequence, effect) in decision.numbered() {
        match effect {
            DecidedEffect::Write(change) | DecidedEffect::Delete(change) => {
                fold_change(fold, sequence, change, before)?;
            }
            DecidedEffect::Catalogue(entry) => {
                catalogue.take(entry);
                fold_entry(fold, drops, sequence, entry)?;
            }
            DecidedEffect::Outcome(_) => {}
        }
    }
    if let (Some(entry), Some(node)) = (decision.ledger, catalogue.node(&decision.node)) {
        let key = Key::Operation { node, number: entry.number }.encode();
        fold.batch().put_late(key, seal(&key, &entry.to_bytes()));
        if let Some(number) = entry.number.checked_sub(OUTCOMES_KEPT).filter(|&number| number > 0) {
            fold.batch().delete_once_late(Key::Operation { node, number }.encode());
        }
    }
    Ok(())
}

fn fold_entry(
    fold: &mut Fold<'_>,
    drops: &mut Arc<Drops>,
    sequence: u64,
    entry: &CatalogueEntry,
) -> Result<(), StoreError> {
    let batch = fold.batch();
    match entry {
        CatalogueEntry::Collection { number, name } => put(batch, COLLECTIONS, *number, name.as_bytes()),
        CatalogueEntry::Node { index, node, seen } => {
            put(batch, NODES, *index, &[&node[..], &seen.to_be_bytes()].concat());
        }
        CatalogueEntry::Forgotten { index: node, highest, .. } => {
            batch.delete(Key::Catalogue { kind: NODES, number: *node }.encode());
            // As many as the ledger keeps, each put once.
            let oldest = highest.saturating_sub(OUTCOMES_KEPT).saturating_add(1);
            for number in oldest..=*highest {
                batch.delete_once_late(Key::Operation { node: *node, number }.encode());
            }
        }
        CatalogueEntry::Dropped { number: collection, name, .. } => {
            batch.delete(Key::Catalogue { kind: COLLECTIONS, number: *collection }.encode());
            let collection = *collection;
            let dropped = Dropped { collection, sequence, is_swept: false, name: name.clone() };
            put(batch, DROPS, collection, &dropped.to_bytes());
            for number in Arc::make_mut(drops).add(dropped) {
                batch.delete(Key::Catalogue { kind: DROPS, number }.encode());
            }
            fold.drop_collection(CollectionId::new(collection)?);
        }
    }
    Ok(())
}

/// Puts a row of the catalogue.
fn put(batch: &mut Batch, kind: u8, number: u32, payload: &[u8]) {
    let key = Key::Catalogue { kind, number }.encode();
    batch.put(key, seal(&key, payload));
}

/// The rows of a dropped collection are gone: with the batch, this is remembered.
pub(super) fn finish_drop(batch: &mut Batch, drops: &mut Drops, sequence: u64) {
    if let Some(dropped) = drops.mark_swept(sequence) {
        put(batch, DROPS, dropped.collection, &dropped.to_bytes());
    }
}

fn fold_change(
    fold: &mut Fold<'_>,
    sequence: u64,
    change: &RecordWrite,
    before: Before,
) -> Result<(), StoreError> {
    let collection = CollectionId::new(change.collection)?;
    let envelope = change.new.envelope.to_bytes();
    let image = image(&envelope, &change.new);
    match (before, &change.old) {
        (Before::InStore, _) => fold.record(sequence, collection, change.id, image),
        (Before::InDecision, None) => fold.record_after(sequence, collection, change.id, image, None),
        (Before::InDecision, Some(old)) => {
            let envelope = old.envelope.to_bytes();
            let old = (old.sequence, self::image(&envelope, old));
            fold.record_after(sequence, collection, change.id, image, Some(old))
        }
    }
}

fn image<'a>(envelope: &'a [u8], record: &'a StoredRecord) -> Image<'a> {
    Image { envelope, record: record.content.as_ref().map(|content| (&*content.bytes, content.crc)) }
}

/// Folds how far the database came: id, clock u64, last change u64, last collection u32, last node u32, last drop that is
/// forgotten u64.
pub(super) fn fold_progress(fold: &mut Fold<'_>, progress: &Progress) {
    let mut payload = progress.database.to_vec();
    payload.extend(progress.clock.to_be_bytes());
    payload.extend(progress.last_change.to_be_bytes());
    payload.extend(progress.last_collection.to_be_bytes());
    payload.extend(progress.last_node.to_be_bytes());
    payload.extend(progress.forgotten_drop.to_be_bytes());
    let key = progress_key();
    fold.batch().put_late(key, seal(&key, &payload));
}

/// Reads how far the database came; `None` of an empty store.
pub(super) fn read_progress(store: &dyn Store) -> Result<Option<Progress>, EngineError> {
    let key = progress_key();
    let Some(value) = store.late(&key)? else { return Ok(None) };
    let mut rest = open(&key, &value)?;
    let mut parse = || {
        let progress = Progress {
            database: take(&mut rest)?,
            clock: u64::from_be_bytes(take(&mut rest)?),
            last_change: u64::from_be_bytes(take(&mut rest)?),
            last_collection: u32::from_be_bytes(take(&mut rest)?),
            last_node: u32::from_be_bytes(take(&mut rest)?),
            forgotten_drop: u64::from_be_bytes(take(&mut rest)?),
        };
        rest.is_empty().then_some(progress)
    };
    parse().map(Some).ok_or_else(|| EngineError::Corrupted("the row of the database's progress".to_owned()))
}

/// Folds a mark of the log, and the removal of those no longer needed.
pub(super) fn fold_marks(fold: &mut Fold<'_>, mark: Option<Mark>, gone: Vec<u32>) {
    for number in gone {
        fold.batch().delete(Key::Catalogue { kind: MARKS, number }.encode());
    }
    if let Some(mark) = mark {
        let key = Key::Catalogue { kind: MARKS, number: mark.number }.encode();
        fold.batch().put(key, seal(&key, &mark.to_bytes()));
    }
}

/// Reads the marks of the log, in the order of their numbers.
pub(super) fn read_marks(snapshot: &dyn Snapshot) -> Result<Vec<Mark>, EngineError> {
    let rows = snapshot.range(Span::catalogue(MARKS).bounds(), Direction::Ascending);
    rows.map(|row| {
        let (key, value) = row?;
        let mark = match Key::decode(&key)? {
            Key::Catalogue { number, .. } => Mark::parse(number, open(&key, &value)?),
            _ => None,
        };
        mark.ok_or_else(|| EngineError::Corrupted(format!("mark of the log {key:?}")))
    })
    .collect()
}

/// Reads what is known of dropped collections.
pub(super) fn read_drops(snapshot: &dyn Snapshot, progress: &Progress) -> Result<Drops, EngineError> {
    let rows = snapshot.range(Span::catalogue(DROPS).bounds(), Direction::Ascending);
    let drops = rows.map(|row| {
        let (key, value) = row?;
        let dropped = match Key::decode(&key)? {
            Key::Catalogue { number, .. } => Dropped::parse(number, open(&key, &value)?),
            _ => None,
        };
        dropped.ok_or_else(|| EngineError::Corrupted(format!("the row of a dropped collection {key:?}")))
    });
    let drops: Vec<Dropped> = drops.collect::<Result<_, _>>()?;
    Ok(Drops::new(drops, progress.forgotten_drop))
}

/// Reads which dropped collections still have rows.
pub(super) fn read_half_gone(snapshot: &dyn Snapshot) -> Result<BTreeSet<CollectionId>, EngineError> {
    let drops = read_drops(snapshot, &Progress::default())?;
    let numbers = drops.all_half_gone().map(|dropped| CollectionId::new(dropped.collection));
    Ok(numbers.collect::<Result<_, _>>().map_err(StoreError::from)?)
}

/// Reads the whole catalogue.
pub(super) fn read_catalogue(snapshot: &dyn Snapshot, progress: &Progress) -> Result<Catalogue, EngineError> {
    let mut catalogue = Catalogue::default();
    catalogue.note_given(progress.last_collection, progress.last_node);
    for kind in [COLLECTIONS, NODES] {
        for row in snapshot.range(Span::catalogue(kind).bounds(), Direction::Ascending) {
            let (key, value) = row?;
            let payload = open(&key, &value)?;
            let entry = match Key::decode(&key)? {
                Key::Catalogue { kind: COLLECTIONS, number } => std::str::from_utf8(payload)
                    .ok()
                    .map(|name| CatalogueEntry::Collection { number, name: name.into() }),
                Key::Catalogue { number: index, .. } => {
                    let mut rest = payload;
                    let node = take(&mut rest);
                    let seen = take(&mut rest).filter(|_| rest.is_empty()).map(u64::from_be_bytes);
                    node.zip(seen).map(|(node, seen)| CatalogueEntry::Node { index, node, seen })
                }
                _ => None,
            };
            let entry = entry.ok_or_else(|| EngineError::Corrupted(format!("catalogue row {key:?}")))?;
            catalogue.take(&entry);
        }
    }
    Ok(catalogue)
}

/// Reads a record, or what is remembered of a deleted one.
pub(super) fn read_record(
    snapshot: &dyn Snapshot,
    collection: u32,
    id: &Id,
) -> Result<Option<StoredRecord>, EngineError> {
    let key = Key::Record(CollectionId::new(collection).map_err(StoreError::from)?, *id).encode();
    let Some(value) = snapshot.get(&key)? else { return Ok(None) };
    StoredRecord::from_row(&RecordRow::decode(&key, value)?).map(Some)
}

/// What the decider reads: records as they are published; of the ledger, which is the decider's alone, also what is
/// folded and not published. The decider remembers what is not published itself and finds it there first.
pub(super) struct PublishedView<'a> {
    snapshot: &'a dyn Snapshot,
    store: &'a dyn Store,
}

impl<'a> PublishedView<'a> {
    pub(super) fn new(snapshot: &'a dyn Snapshot, store: &'a dyn Store) -> Self {
        Self { snapshot, store }
    }
}

impl StateView for PublishedView<'_> {
    fn record(&self, collection: u32, id: &Id) -> Result<Option<Arc<StoredRecord>>, EngineError> {
        Ok(read_record(self.snapshot, collection, id)?.map(Arc::new))
    }

    fn highest_operation(&self, node: u32) -> Result<u64, EngineError> {
        let Some((key, _)) = self.store.last_late(Span::operations(node).bounds())? else { return Ok(0) };
        match Key::decode(&key)? {
            Key::Operation { number, .. } => Ok(number),
            other => Err(EngineError::Corrupted(format!("{other:?} in a ledger"))),
        }
    }

    fn outcome(&self, node: u32, number: u64) -> Result<Option<LedgerEntry>, EngineError> {
        let key = Key::Operation { node, number }.encode();
        let Some(value) = self.store.late(&key)? else { return Ok(None) };
        let entry = LedgerEntry::parse(open(&key, &value)?).filter(|entry| entry.number == number);
        entry.map(Some).ok_or_else(|| EngineError::Corrupted(format!("operation {number} in a ledger")))
    }
}
