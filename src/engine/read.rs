//! Reading records: from the shared snapshot that was published last, for a limited time.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::catalogue::Collections;
use super::database::Database;
use super::error::EngineError;
use super::limits::{MAX_CHUNK_BYTES, MAX_CHUNK_ROWS, MAX_SNAPSHOT_AGE};
use super::record::{Id, StoredRecord};
use super::rows::read_record;
use super::shared::PublishedState;
use crate::store::{CollectionId, Direction, Key, RecordRow, Snapshot, StoreError, Summary};
use crate::wire::Position;

/// What a reader sees: whole transactions up to one position, whatever is committed meanwhile.
#[derive(Clone)]
pub struct Reader {
    state: Arc<PublishedState>,
    position: Position,
    since: Duration,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Reader({})", self.position)
    }
}

/// Which records of a collection, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The least id.
    pub lower: Bound<Id>,
    /// The greatest id.
    pub upper: Bound<Id>,
    /// From the greatest down.
    pub is_reverse: bool,
    /// How many records at most.
    pub limit: u64,
}

impl Default for Range {
    /// All of them, from the least id up.
    fn default() -> Self {
        Self { lower: Bound::Unbounded, upper: Bound::Unbounded, is_reverse: false, limit: u64::MAX }
    }
}

/// The collections that have or had a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// The number of the one that has it.
    pub now: Option<u32>,
    /// The numbers of those that had it, the oldest first.
    pub before: Vec<u32>,
    /// The number of the last drop of one of them; of one that may have been, if its name is forgotten. Who holds
    /// nothing loses nothing by it.
    pub last_drop: Option<u64>,
    /// Drops up to this number are forgotten: of changes before it the collection may not be known.
    pub forgotten: u64,
}

/// A scan, read in chunks.
#[derive(Debug)]
pub struct Scan {
    reader: Reader,
    collection: u32,
    /// What is left of it.
    range: Range,
    is_done: bool,
}

/// A collection and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionStatistics {
    /// Its name.
    pub name: Box<str>,
    /// Its number.
    pub number: u32,
    /// How many records, how many deletions are remembered, the digest over the records.
    pub summary: Summary,
}

impl Database {
    /// A reader of what is published now.
    pub fn reader(&self) -> Reader {
        let state = self.shared.published();
        let position = self.shared.position(state.last_change);
        Reader { state, position, since: self.shared.environment.elapsed() }
    }
}

impl Reader {
    /// The position that is read at.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The number of a collection.
    ///
    /// # Errors
    /// [`EngineError::UnknownCollection`].
    pub fn collection(&self, name: &str) -> Result<u32, EngineError> {
        let number = self.state.collections.get(name).copied();
        number.ok_or_else(|| EngineError::UnknownCollection(name.to_owned()))
    }

    /// The collections that have or had a name after the number `after`.
    pub fn named_since(&self, name: &str, after: u64) -> Named {
        let drops = &self.state.drops;
        Named {
            now: self.state.collections.get(name).copied(),
            before: drops.numbers_after(after, name),
            last_drop: if after == 0 { None } else { drops.after(after, Some(name)) },
            forgotten: drops.forgotten(),
        }
    }

    /// The record of this id; `None` if there is none.
    ///
    /// # Errors
    /// [`EngineError::Corrupted`], [`EngineError::Read`].
    pub fn get(&self, collection: u32, id: &Id) -> Result<Option<StoredRecord>, EngineError> {
        Ok(read_record(self.snapshot(), collection, id)?.filter(|record| record.content.is_some()))
    }

    /// Begins a scan.
    pub fn scan(&self, collection: u32, range: Range) -> Scan {
        Scan { reader: self.clone(), collection, range, is_done: false }
    }

    /// All collections in the order of their names, with what they hold.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn statistics(&self) -> Result<Vec<CollectionStatistics>, EngineError> {
        self.state.collections.iter().map(|(name, &number)| self.statistics_of(name, number)).collect()
    }

    /// What the collection of this name and number holds.
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn statistics_of(&self, name: &str, number: u32) -> Result<CollectionStatistics, EngineError> {
        let id = CollectionId::new(number).map_err(StoreError::from)?;
        let value = self.snapshot().get(&Key::Summary(id).encode())?;
        let summary = value.map(|value| Summary::decode(id, &value)).transpose()?.unwrap_or_default();
        Ok(CollectionStatistics { name: name.into(), number, summary })
    }

    /// All collections as they are at the position.
    pub fn collections(&self) -> &Collections {
        &self.state.collections
    }

    /// The number of the last drop after `after` of a collection that has or had the name of this one, or of any. Who
    /// holds nothing, as at 0, loses nothing.
    pub(super) fn dropped_after(&self, after: u64, collection: Option<u32>) -> Option<u64> {
        let drops = &self.state.drops;
        if after == 0 || drops.last() <= after {
            return None;
        }
        let Some(number) = collection else { return drops.after(after, None) };
        let live = self.collections().iter().find(|(_, live)| **live == number).map(|(name, _)| &**name);
        match live.or_else(|| drops.name(number)) {
            Some(name) => drops.after(after, Some(name)),
            None => Some(drops.last()),
        }
    }

    pub(super) fn snapshot(&self) -> &dyn Snapshot {
        &*self.state.snapshot
    }

    pub(super) fn check_age(&self, database: &Database) -> Result<(), EngineError> {
        let age = database.shared.environment.elapsed().saturating_sub(self.since);
        if age > MAX_SNAPSHOT_AGE { Err(EngineError::SnapshotExpired) } else { Ok(()) }
    }
}

impl Scan {
    /// The position that is read at.
    pub const fn position(&self) -> Position {
        self.reader.position
    }

    /// What is left of it.
    pub const fn rest(&self) -> Range {
        self.range
    }

    /// Whether all are read.
    pub const fn is_done(&self) -> bool {
        self.is_done || self.range.limit == 0
    }

    /// The next records; none once all are read.
    ///
    /// # Errors
    /// [`EngineError::SnapshotExpired`], [`EngineError::Corrupted`], [`EngineError::Read`].
    pub fn next_chunk(&mut self, database: &Database) -> Result<Vec<(Id, StoredRecord)>, EngineError> {
        loop {
            let chunk = self.step(database, MAX_CHUNK_ROWS)?;
            if !chunk.is_empty() || self.is_done() {
                return Ok(chunk);
            }
        }
    }

    /// As [`Scan::next_chunk`], but looks at no more than `rows` rows, at most [`MAX_CHUNK_ROWS`]: all of them may be
    /// deletions, which cost as records do, and more may follow until [`Scan::is_done`].
    ///
    /// # Errors
    /// As [`Scan::next_chunk`].
    pub fn step(&mut self, database: &Database, rows: usize) -> Result<Vec<(Id, StoredRecord)>, EngineError> {
        self.reader.check_age(database)?;
        let rows = rows.clamp(1, MAX_CHUNK_ROWS);
        let (mut chunk, mut bytes, mut looked_at) = (Vec::new(), 0_usize, 0_usize);
        if self.is_done() {
            return Ok(chunk);
        }
        let [lower, upper] = self.bounds()?;
        let direction = if self.range.is_reverse { Direction::Descending } else { Direction::Ascending };
        let bounds = (as_slice(&lower), as_slice(&upper));
        for row in self.reader.snapshot().range(bounds, direction) {
            let (key, value) = row?;
            let Key::Record(_, id) = Key::decode(&key)? else {
                return Err(EngineError::Corrupted("a row among the records".to_owned()));
            };
            let record = StoredRecord::from_row(&RecordRow::decode(&key, value)?)?;
            let rest = if self.range.is_reverse { &mut self.range.upper } else { &mut self.range.lower };
            *rest = Bound::Excluded(id);
            looked_at = looked_at.saturating_add(1);
            if let Some(length) = record.bytes().map(<[u8]>::len) {
                bytes = bytes.saturating_add(length);
                chunk.push((id, record));
                self.range.limit = self.range.limit.saturating_sub(1);
            }
            if self.range.limit == 0 || looked_at >= rows || bytes >= MAX_CHUNK_BYTES {
                return Ok(chunk);
            }
        }
        self.is_done = true;
        Ok(chunk)
    }

    fn bounds(&self) -> Result<[Bound<Vec<u8>>; 2], EngineError> {
        let collection = CollectionId::new(self.collection).map_err(StoreError::from)?;
        let key = |id| Key::Record(collection, id).encode().to_vec();
        let whole = |bound: Bound<Id>, extreme: u8| match bound {
            Bound::Unbounded => Bound::Included(key([extreme; 16])),
            bound => bound.map(key),
        };
        Ok([whole(self.range.lower, 0), whole(self.range.upper, u8::MAX)])
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}
