//! Changes from a position on, in both ways: all of them in order, or the latest of each record.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::codec::Assembler;
use super::database::Database;
use super::decision::Decision;
use super::error::EngineError;
use super::feed::Next;
use super::limits::{MAX_CHUNK_BYTES, MAX_CHUNK_ROWS};
use super::read::Reader;
use super::record::{Id, StoredRecord};
use super::rows::read_record;
use crate::log::{LogError, LogReader};
use crate::store::keyspace::Span;
use crate::store::{ChangeRow, Direction, Key};
use crate::wire::Position;

/// Every transaction after a position, in order: from memory, and where memory forgot, from the log.
pub struct AllChanges {
    after: u64,
    log: Option<(LogReader, Assembler)>,
}

impl std::fmt::Debug for AllChanges {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "AllChanges(after {})", self.after)
    }
}

/// A change, as the latest of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestChange {
    /// The collection's number.
    pub collection: u32,
    /// The record's id.
    pub id: Id,
    /// The record as it is now, or what is remembered of its deletion.
    pub record: StoredRecord,
}

/// The latest change of each record after a position, from one snapshot.
#[derive(Debug)]
pub struct LatestChanges {
    reader: Reader,
    collection: Option<u32>,
    /// The collections that are there: rows of others wait to be swept.
    live: BTreeSet<u32>,
    after: u64,
    is_done: bool,
}

impl Database {
    /// All changes after `position`, whole transactions.
    ///
    /// # Errors
    /// [`EngineError::PositionUnknown`], [`EngineError::PositionExpired`].
    pub fn all_changes(&self, position: Position) -> Result<AllChanges, EngineError> {
        let after = self.sequence_of(position)?;
        let mut changes = AllChanges { after, log: None };
        if self.next_in_feed(after) == Next::Forgotten {
            changes.open_log(self)?;
        }
        Ok(changes)
    }

    /// The latest change of each record that changed after `position`, of one collection or of all. They are the
    /// database's state at [`LatestChanges::position`] once all are read, and not before.
    ///
    /// # Errors
    /// [`EngineError::PositionUnknown`]; [`EngineError::PositionExpired`] if a collection was dropped after `position`,
    /// one of its name where one is asked for: what is gone with it has no latest change.
    pub fn latest_changes(
        &self,
        position: Position,
        collection: Option<u32>,
    ) -> Result<LatestChanges, EngineError> {
        let after = self.sequence_of(position)?;
        let reader = self.reader();
        if let Some(dropped) = reader.dropped_after(after, collection) {
            return Err(EngineError::PositionExpired { oldest: self.position_of(dropped) });
        }
        let live = reader.collections().values().copied().collect();
        Ok(LatestChanges { reader, collection, live, after, is_done: false })
    }

    /// The first transaction with an effect numbered above `after`, if the memory of recent ones reaches back so far.
    pub fn recent_after(&self, after: u64) -> Next {
        self.next_in_feed(after)
    }

    /// Whether a position is one of this database's past.
    ///
    /// # Errors
    /// [`EngineError::PositionUnknown`] if it is not.
    pub fn check_position(&self, position: Position) -> Result<(), EngineError> {
        self.sequence_of(position).map(drop)
    }

    /// The oldest position from which all changes are held.
    ///
    /// # Errors
    /// As of reading the log.
    pub fn oldest_position(&self) -> Result<Position, EngineError> {
        let oldest = self.log_view()?.first_sequence();
        Ok(oldest.map_or_else(|| self.position(), |first| self.position_of(first.saturating_sub(1))))
    }

    /// The number that a position names, if it is one of this database's past.
    fn sequence_of(&self, position: Position) -> Result<u64, EngineError> {
        let published = self.shared.published().sequence;
        let is_start = position == Position::default();
        let is_ours = position == self.position_of(position.seq);
        if !(is_start || is_ours && position.seq <= published) {
            return Err(EngineError::PositionUnknown(position));
        }
        Ok(position.seq)
    }
}

impl AllChanges {
    /// The next transaction; `None` if none is published yet. What was before each change is there only in
    /// transactions that come from memory.
    ///
    /// # Errors
    /// [`EngineError::PositionExpired`] if the log was trimmed meanwhile; [`EngineError::Corrupted`],
    /// [`EngineError::Read`].
    pub fn next(&mut self, database: &Database) -> Result<Option<Arc<Decision>>, EngineError> {
        match database.next_in_feed(self.after) {
            Next::Transaction(decision) => {
                self.log = None;
                self.after = decision.last_sequence();
                return Ok(Some(decision));
            }
            Next::Nothing => return Ok(None),
            Next::Forgotten => {}
        }
        match self.next_in_log() {
            Ok(Some(decision)) => return Ok(Some(decision)),
            // What the reader saw of the log ends here and the log has more, or a segment that it saw was trimmed.
            Ok(None) | Err(EngineError::Read(_)) => {}
            Err(error) => return Err(error),
        }
        self.open_log(database)?;
        self.next_in_log()
    }

    /// The number of the last effect that was read or passed over: where a later reader goes on.
    pub const fn after(&self) -> u64 {
        self.after
    }

    /// What it holds of the log, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.log.as_ref().map_or(0, |(reader, _)| reader.held_bytes())
    }

    fn open_log(&mut self, database: &Database) -> Result<(), EngineError> {
        let view = database.log_view()?;
        let reader = view.read_from(self.after.saturating_add(1)).map_err(|error| match error {
            LogError::Trimmed { oldest, .. } => {
                let oldest = database.position_of(oldest.saturating_sub(1));
                EngineError::PositionExpired { oldest }
            }
            other => other.into(),
        })?;
        self.log = Some((reader, Assembler::default()));
        Ok(())
    }

    fn next_in_log(&mut self) -> Result<Option<Arc<Decision>>, EngineError> {
        let Some((reader, assembler)) = &mut self.log else { return Ok(None) };
        while let Some(piece) = reader.next_piece()? {
            if let Some(decision) = assembler.take(&piece)? {
                self.after = decision.last_sequence();
                return Ok(Some(Arc::new(decision)));
            }
        }
        self.log = None;
        Ok(None)
    }
}

impl LatestChanges {
    /// The position that the changes lead to.
    pub fn position(&self) -> Position {
        self.reader.position()
    }

    /// The number of the last effect that was looked at: where a later reader goes on.
    pub const fn after(&self) -> u64 {
        self.after
    }

    /// Whether this collection is there, in the snapshot.
    pub fn has_collection(&self, number: u32) -> bool {
        self.live.contains(&number)
    }

    /// Whether all are read.
    pub const fn is_done(&self) -> bool {
        self.is_done
    }

    /// The next of them in the order of their numbers; none once all are read.
    ///
    /// # Errors
    /// [`EngineError::SnapshotExpired`], [`EngineError::Corrupted`], [`EngineError::Read`].
    pub fn next_chunk(&mut self, database: &Database) -> Result<Vec<LatestChange>, EngineError> {
        loop {
            let chunk = self.step(database)?;
            if !chunk.is_empty() || self.is_done {
                return Ok(chunk);
            }
        }
    }

    /// As [`LatestChanges::next_chunk`], but looks at no more than [`MAX_CHUNK_ROWS`] rows: none of them may be of the
    /// collection, and more may follow until [`LatestChanges::is_done`].
    ///
    /// # Errors
    /// As [`LatestChanges::next_chunk`].
    pub fn step(&mut self, database: &Database) -> Result<Vec<LatestChange>, EngineError> {
        self.reader.check_age(database)?;
        let (mut chunk, mut bytes, mut looked_at) = (Vec::new(), 0_usize, 0_usize);
        if self.is_done {
            return Ok(chunk);
        }
        let snapshot = self.reader.snapshot();
        for row in snapshot.range(Span::changes_after(self.after).bounds(), Direction::Ascending) {
            let (key, value) = row?;
            let Key::BySeq(sequence) = Key::decode(&key)? else {
                return Err(EngineError::Corrupted("a row among the changes".to_owned()));
            };
            self.after = sequence;
            looked_at = looked_at.saturating_add(1);
            let change = ChangeRow::decode(sequence, &value)?;
            let collection = change.collection.number();
            let is_wanted = self.collection.is_none_or(|wanted| wanted == collection);
            if is_wanted && self.live.contains(&collection) {
                let record = read_record(snapshot, collection, &change.id)?;
                let record = record.filter(|record| record.sequence == sequence);
                let record = record
                    .ok_or_else(|| EngineError::Corrupted(format!("the record changed at {sequence}")))?;
                bytes = bytes.saturating_add(record.bytes().map_or(0, <[u8]>::len));
                chunk.push(LatestChange { collection, id: change.id, record });
            }
            if looked_at >= MAX_CHUNK_ROWS || bytes >= MAX_CHUNK_BYTES {
                return Ok(chunk);
            }
        }
        self.is_done = true;
        Ok(chunk)
    }
}
