//! The store that lives in memory, for tests and `--memory`: a map of keys to their versions under one lock.
//!
//! A snapshot is a version number. The older versions of a row stay as long as an open snapshot can see them and go
//! in the order in which they were superseded, so that collecting costs what was superseded and no sweep. Ranges
//! take the lock once a chunk; what a snapshot sees does not change in between.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::keyspace::is_empty;
use super::visibility::{Boundary, OpenSnapshots, Pin, Progress, lock};
use super::{
    Batch, Bytes, Change, Direction, KeyRange, Maintained, Position, Pressure, Row, Rows, Snapshot,
    Statistics, Store, StoreError,
};

/// Rows looked at under one hold of the lock: some microseconds, which is what a commit then waits.
const CHUNK: usize = 128;

/// Nothing is below version 1, so that a snapshot of the empty store can read below it.
const FIRST_VERSION: u64 = 1;

/// A store in memory. It is never flushed: its checkpointed position stays at the start, and the log is kept.
pub struct Memory {
    rows: Arc<RwLock<Table>>,
    progress: Mutex<Progress>,
    published: RwLock<Arc<MemorySnapshot>>,
    snapshots: Arc<OpenSnapshots>,
}

/// The versions of a row. `None` is a deletion.
#[derive(Debug)]
struct Versions {
    newest: (u64, Option<Bytes>),
    /// Oldest first; empty for most rows.
    older: Vec<(u64, Option<Bytes>)>,
}

#[derive(Debug)]
struct Table {
    rows: BTreeMap<Bytes, Versions>,
    /// Keys with something to collect, and the version from which on nobody needs it.
    superseded: VecDeque<(u64, Bytes)>,
    /// The version of the next batch.
    next: u64,
    bytes: u64,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        let rows = BTreeMap::new();
        let table = Table { rows, superseded: VecDeque::new(), next: FIRST_VERSION, bytes: 0 };
        let rows = Arc::new(RwLock::new(table));
        let snapshots = Arc::new(OpenSnapshots::default());
        let start = Boundary { position: Position::START, version: FIRST_VERSION };
        let published = MemorySnapshot::at(start, &rows, &snapshots);
        Self {
            rows,
            progress: Mutex::new(Progress::starting_at(start)),
            published: RwLock::new(Arc::new(published)),
            snapshots,
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for Memory {
    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut progress = lock(&self.progress)?;
        progress.admits(&batch)?;
        batch.check_lengths()?;
        let position = batch.position();
        let mut table = write(&self.rows)?;
        let version = table.next;
        table.next = version.saturating_add(1);
        for change in batch.into_changes() {
            table.change(version, change);
        }
        table.collect(self.snapshots.oldest());
        progress.advance(Boundary { position, version: table.next });
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(read(&self.rows)?.get(key, u64::MAX))
    }

    fn applied(&self) -> Position {
        lock(&self.progress).map(|progress| progress.applied()).unwrap_or_default()
    }

    fn set_durable(&self, position: Position) {
        if let Ok(mut progress) = lock(&self.progress) {
            progress.set_durable(position);
        }
    }

    fn publish(&self, position: Position) -> Result<(), StoreError> {
        if let Some(boundary) = lock(&self.progress)?.publish(position)? {
            let snapshot = MemorySnapshot::at(boundary, &self.rows, &self.snapshots);
            *write(&self.published)? = Arc::new(snapshot);
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let published = self.published.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::<MemorySnapshot>::clone(&published)
    }

    fn pressure(&self) -> Pressure {
        Pressure::None
    }

    fn maintain(&self) -> Result<Maintained, StoreError> {
        Ok(Maintained::Idle)
    }

    fn checkpoint(&self) -> Result<Position, StoreError> {
        Ok(Position::START)
    }

    fn checkpointed(&self) -> Position {
        Position::START
    }

    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let Ok(table) = read(&self.rows) else { return Statistics::default() };
        let rows = u64::try_from(table.rows.len()).unwrap_or(u64::MAX);
        Statistics {
            memory_bytes: table.bytes,
            rows,
            snapshots: self.snapshots.count(),
            ..Default::default()
        }
    }
}

impl Table {
    fn get(&self, key: &[u8], version: u64) -> Option<Bytes> {
        self.rows.get(key)?.at(version).cloned()
    }

    fn change(&mut self, version: u64, change: Change) {
        let (key, value) = match change {
            Change::Put(key, value) | Change::PutLate(key, value) => (key, Some(value)),
            Change::Delete(key) | Change::DeleteOnce(key) | Change::DeleteOnceLate(key) => (key, None),
        };
        self.bytes = self.bytes.saturating_add(weight(&key, value.as_ref()));
        let Some(row) = self.rows.get_mut(&*key) else {
            match value {
                None => self.bytes = self.bytes.saturating_sub(weight(&key, None)),
                value => {
                    self.rows.insert(key, Versions { newest: (version, value), older: Vec::new() });
                }
            }
            return;
        };
        let deleted = value.is_none();
        let old = std::mem::replace(&mut row.newest, (version, value));
        if old.0 == version {
            self.bytes = self.bytes.saturating_sub(weight(&key, old.1.as_ref()));
            // Replaced within the batch: what came before it is queued already, a deletion may not be.
            if !deleted {
                return;
            }
        } else {
            row.older.push(old);
        }
        self.superseded.push_back((version, key));
    }

    /// Drops what nobody sees who reads at `oldest` or later.
    fn collect(&mut self, oldest: u64) {
        while let Some((version, key)) = self.superseded.pop_front_if(|(version, _)| *version < oldest) {
            let Some(row) = self.rows.get_mut(&*key) else { continue };
            let mut freed = 0u64;
            row.older.retain(|(older, value)| {
                let stays = *older >= version;
                if !stays {
                    freed = freed.saturating_add(weight(&key, value.as_ref()));
                }
                stays
            });
            if row.older.is_empty() && row.newest == (version, None) {
                freed = freed.saturating_add(weight(&key, None));
                self.rows.remove(&*key);
            }
            self.bytes = self.bytes.saturating_sub(freed);
        }
    }
}

impl Versions {
    fn at(&self, version: u64) -> Option<&Bytes> {
        if self.newest.0 < version {
            return self.newest.1.as_ref();
        }
        self.older.iter().rev().find(|(older, _)| *older < version)?.1.as_ref()
    }
}

fn weight(key: &Bytes, value: Option<&Bytes>) -> u64 {
    u64::try_from(key.len().saturating_add(value.map_or(0, |value| value.len()))).unwrap_or(u64::MAX)
}

struct MemorySnapshot {
    position: Position,
    rows: Arc<RwLock<Table>>,
    pin: Arc<Pin>,
}

impl MemorySnapshot {
    fn at(boundary: Boundary, rows: &Arc<RwLock<Table>>, snapshots: &Arc<OpenSnapshots>) -> Self {
        let pin = Arc::new(snapshots.pin(boundary.version));
        Self { position: boundary.position, rows: Arc::clone(rows), pin }
    }
}

impl Snapshot for MemorySnapshot {
    fn position(&self) -> Position {
        self.position
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(read(&self.rows)?.get(key, self.pin.version()))
    }

    fn range(&self, (from, to): KeyRange<'_>, direction: Direction) -> Rows {
        Box::new(MemoryRows {
            rows: Arc::clone(&self.rows),
            pin: Arc::clone(&self.pin),
            from: from.map(Bytes::from),
            to: to.map(Bytes::from),
            direction,
            chunk: VecDeque::new(),
            is_done: false,
        })
    }
}

struct MemoryRows {
    rows: Arc<RwLock<Table>>,
    pin: Arc<Pin>,
    from: Bound<Bytes>,
    to: Bound<Bytes>,
    direction: Direction,
    chunk: VecDeque<Row>,
    is_done: bool,
}

impl MemoryRows {
    /// Reads the next [`CHUNK`] rows and moves the bound past them.
    fn fill(&mut self) -> Result<(), StoreError> {
        let bounds = (self.from.as_ref().map(|key| &**key), self.to.as_ref().map(|key| &**key));
        if is_empty(&bounds) {
            self.is_done = true;
            return Ok(());
        }
        let table = read(&self.rows)?;
        let range = table.rows.range::<[u8], _>(bounds);
        let mut ordered: Box<dyn Iterator<Item = (&Bytes, &Versions)>> = match self.direction {
            Direction::Ascending => Box::new(range),
            Direction::Descending => Box::new(range.rev()),
        };
        let mut last = None;
        for (key, versions) in ordered.by_ref().take(CHUNK) {
            if let Some(value) = versions.at(self.pin.version()) {
                self.chunk.push_back((key.clone(), value.clone()));
            }
            last = Some(key.clone());
        }
        self.is_done = ordered.next().is_none();
        match (last, self.direction) {
            (Some(key), Direction::Ascending) => self.from = Bound::Excluded(key),
            (Some(key), Direction::Descending) => self.to = Bound::Excluded(key),
            (None, _) => self.is_done = true,
        }
        Ok(())
    }
}

impl Iterator for MemoryRows {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.chunk.is_empty() && !self.is_done {
            if let Err(error) = self.fill() {
                self.is_done = true;
                return Some(Err(error));
            }
        }
        self.chunk.pop_front().map(Ok)
    }
}

fn read<T>(lock: &RwLock<T>) -> Result<RwLockReadGuard<'_, T>, StoreError> {
    lock.read().map_err(|_| StoreError::Failed("a thread panicked while it changed the store"))
}

fn write<T>(lock: &RwLock<T>) -> Result<RwLockWriteGuard<'_, T>, StoreError> {
    lock.write().map_err(|_| StoreError::Failed("a thread panicked while it changed the store"))
}
