//! Folding changes of records into a batch, so that record, change by position, count and digest move together.

use std::collections::BTreeMap;

use super::{
    Batch, ChangeKind, ChangeRow, CollectionId, Key, Position, RecordId, RecordRow, Store, StoreError,
    Summary, row_hash,
};

/// What a record becomes.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Its envelope.
    pub envelope: &'a [u8],
    /// Its bytes and their CRC-32, or nothing when it is deleted.
    pub record: Option<(&'a [u8], u32)>,
}

impl Image<'_> {
    /// Its share of the digest.
    fn hash(&self, id: &RecordId) -> Option<u128> {
        self.record.map(|(record, _)| row_hash(id, self.envelope, record))
    }
}

/// What must be known of a row to replace it.
#[derive(Debug, Clone, Copy)]
struct Known {
    seq: u64,
    /// The row's share of the digest; a tombstone has none.
    hash: Option<u128>,
}

impl Known {
    fn of(id: &RecordId, row: &RecordRow) -> Self {
        let hash = row.record().map(|(record, _)| row_hash(id, row.envelope(), record));
        Self { seq: row.seq(), hash }
    }
}

/// A batch under construction: changes of records in the order of their sequences, and any other rows.
pub struct Fold<'a> {
    store: &'a dyn Store,
    batch: Batch,
    summaries: BTreeMap<CollectionId, Summary>,
    changed: BTreeMap<(CollectionId, RecordId), Known>,
}

impl<'a> Fold<'a> {
    /// A fold on top of everything applied to `store`, which will stand at `position` after it.
    pub fn new(store: &'a dyn Store, position: Position) -> Self {
        Self { store, batch: Batch::new(position), summaries: BTreeMap::new(), changed: BTreeMap::new() }
    }

    /// Folds in one change of a record, with the sequence `seq`. Reads what the record was.
    ///
    /// # Errors
    /// What reading the old row gives, and [`super::Misuse::EnvelopeTooLong`].
    pub fn record(
        &mut self,
        seq: u64,
        collection: CollectionId,
        id: RecordId,
        image: Image<'_>,
    ) -> Result<(), StoreError> {
        let old = match self.changed.get(&(collection, id)) {
            Some(known) => Some(*known),
            None => {
                let key = Key::Record(collection, id).encode();
                let value = self.store.get(&key)?;
                value.map(|value| RecordRow::decode(&key, value)).transpose()?.map(|row| Known::of(&id, &row))
            }
        };
        let known = self.replace(seq, collection, id, image, old)?;
        self.changed.insert((collection, id), known);
        Ok(())
    }

    /// The same, of a record that is known as it was before: `None` if there was no row of it. Reads nothing. A fold
    /// is told of all changes this way or of all by [`Fold::record`].
    ///
    /// # Errors
    /// As [`Fold::record`].
    pub fn record_after(
        &mut self,
        seq: u64,
        collection: CollectionId,
        id: RecordId,
        image: Image<'_>,
        before: Option<(u64, Image<'_>)>,
    ) -> Result<(), StoreError> {
        let old = before.map(|(seq, image)| Known { seq, hash: image.hash(&id) });
        self.replace(seq, collection, id, image, old).map(drop)
    }

    /// Forgets the count and digest of a collection that was dropped. Its other rows are nobody's any more: they go with
    /// [sweeps](Batch::sweep). Nothing may be folded into it afterwards.
    pub fn drop_collection(&mut self, collection: CollectionId) {
        self.summaries.remove(&collection);
        self.batch.delete(Key::Summary(collection).encode());
    }

    /// The batch so far, for rows that are not records.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// The batch, with the counts and digests of the collections it touched.
    pub fn finish(mut self) -> Batch {
        for (collection, summary) in &self.summaries {
            self.batch.put(Key::Summary(*collection).encode(), summary.encode(*collection));
        }
        self.batch
    }

    fn replace(
        &mut self,
        seq: u64,
        collection: CollectionId,
        id: RecordId,
        image: Image<'_>,
        old: Option<Known>,
    ) -> Result<Known, StoreError> {
        let key = Key::Record(collection, id).encode();
        let row = RecordRow::encode(&key, seq, image.envelope, image.record)?;
        let hash = image.hash(&id);
        let summary = self.summary(collection)?;
        match old.map(|old| old.hash) {
            Some(Some(hash)) => summary.remove(hash),
            Some(None) => summary.tombstones = summary.tombstones.saturating_sub(1),
            None => {}
        }
        match hash {
            Some(hash) => summary.add(hash),
            None => summary.tombstones = summary.tombstones.saturating_add(1),
        }
        if let Some(old) = old {
            self.batch.delete_once(Key::BySeq(old.seq).encode());
        }
        let kind = if image.record.is_some() { ChangeKind::Put } else { ChangeKind::Delete };
        self.batch.put(key, row);
        self.batch.put(Key::BySeq(seq).encode(), ChangeRow { kind, collection, id }.encode(seq));
        Ok(Known { seq, hash })
    }

    fn summary(&mut self, collection: CollectionId) -> Result<&mut Summary, StoreError> {
        match self.summaries.entry(collection) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let value = self.store.get(&Key::Summary(collection).encode())?;
                let summary = value.map(|value| Summary::decode(collection, &value)).transpose()?;
                Ok(entry.insert(summary.unwrap_or_default()))
            }
        }
    }
}
