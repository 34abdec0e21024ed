//! Sweeping: the rows of dropped collections go, a bounded number at a time, beside the commits.
//!
//! A drop is one effect; what it leaves is nobody's. Each turn removes some records together with their changes by
//! position, so that between two turns every row that is left still has its partner. Nothing of it is logged: after a
//! restart the store says which collections are half gone, and sweeping goes on with what is there.

use super::database::Database;
use super::drops::Dropped;
use super::error::EngineError;
use super::limits::{SWEEP_CHUNKS, SWEEP_ROWS};
use super::record::Id;
use super::shared::lock;
use crate::store::keyspace::Span;
use crate::store::{CollectionId, Direction, EncodedKey, Key, RecordId, RecordRow, Snapshot, StoreError};

/// How much of dropped collections one turn of maintenance removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweeping {
    /// Rows that go at once.
    pub rows: usize,
    /// How often so many go, commits in between.
    pub chunks: usize,
}

impl Default for Sweeping {
    fn default() -> Self {
        Self { rows: SWEEP_ROWS, chunks: SWEEP_CHUNKS }
    }
}

/// Where sweeping stands: behind this record of this collection. What is before it is gone.
type Cursor = Option<(u32, Id)>;

/// Who sweeps: one at a time.
#[derive(Debug)]
pub(super) struct Sweeper {
    pace: Sweeping,
    cursor: Cursor,
}

impl Sweeper {
    pub(super) const fn new(pace: Sweeping) -> Self {
        Self { pace, cursor: None }
    }
}

/// The keys of some rows that are nobody's any more.
#[derive(Debug, Default)]
pub(super) struct Leavings {
    /// Records, and tombstones.
    pub(super) records: Vec<EncodedKey>,
    /// Their changes by position.
    pub(super) changes: Vec<EncodedKey>,
    /// The drop whose collection is gone with these.
    pub(super) finished: Option<u64>,
}

impl Database {
    /// Whether rows of dropped collections still wait to be removed.
    pub fn is_sweeping(&self) -> bool {
        self.shared.published().drops.half_gone().is_some()
    }

    /// Removes rows of dropped collections, at most so many. Returns whether there were any.
    ///
    /// # Errors
    /// [`EngineError::Read`], [`EngineError::DiskFull`]: try again later. [`EngineError::Stopped`].
    pub(super) fn sweep(&self) -> Result<bool, EngineError> {
        let mut sweeper = lock(&self.sweeper);
        for turn in 0..sweeper.pace.chunks {
            self.shared.check()?;
            let state = self.shared.published();
            let half_gone = state.drops.half_gone().filter(|dropped| dropped.sequence <= state.sequence);
            let Some(dropped) = half_gone else { return Ok(turn > 0) };
            let (leavings, next) = sweeper.next(&*state.snapshot, dropped)?;
            // As long as this snapshot is held, the store keeps what is removed.
            drop(state);
            self.shared.sweep(&leavings)?;
            sweeper.cursor = next;
        }
        Ok(true)
    }
}

impl Sweeper {
    /// The next rows of a collection behind the cursor, and where it is behind them.
    fn next(&self, snapshot: &dyn Snapshot, dropped: &Dropped) -> Result<(Leavings, Cursor), EngineError> {
        let collection = CollectionId::new(dropped.collection).map_err(StoreError::from)?;
        let mut cursor = self.cursor.filter(|(number, _)| *number == dropped.collection);
        let span = match cursor {
            Some((_, id)) => Span::records_after(collection, id),
            None => Span::records(collection),
        };
        let mut leavings = Leavings::default();
        for row in snapshot.range(span.bounds(), Direction::Ascending).take(self.pace.rows) {
            let (key, value) = row?;
            let Key::Record(_, id) = Key::decode(&key)? else {
                return Err(EngineError::Corrupted("a row among the records".to_owned()));
            };
            cursor = Some((dropped.collection, id));
            leavings.take(collection, id, RecordRow::decode(&key, value))?;
        }
        if leavings.records.len() < self.pace.rows {
            leavings.finished = Some(dropped.sequence);
            cursor = None;
        }
        Ok((leavings, cursor))
    }
}

impl Leavings {
    /// A row that is damaged does not say where its change is: that one stays, passed over by readers and told by
    /// `verify`.
    fn take(
        &mut self,
        collection: CollectionId,
        id: RecordId,
        row: Result<RecordRow, StoreError>,
    ) -> Result<(), EngineError> {
        self.records.push(Key::Record(collection, id).encode());
        match row {
            Ok(row) => self.changes.push(Key::BySeq(row.seq()).encode()),
            Err(StoreError::Corrupt(_)) => {}
            Err(other) => return Err(other.into()),
        }
        Ok(())
    }
}
