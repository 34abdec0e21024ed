//! A snapshot: what sled holds, with the undo layer over it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use super::totals::Totals;
use super::{View, poisoned};
use crate::store::keyspace::is_empty;
use crate::store::visibility::{Boundary, OpenSnapshots, Pin};
use crate::store::{Bytes, Direction, KeyRange, Position, Row, Rows, Snapshot, StoreError};

/// Rows looked at in one step: some tens of microseconds, and a few hundred kilobytes at most.
const CHUNK: usize = 128;

pub(super) struct SledSnapshot {
    position: Position,
    totals: Totals,
    view: Arc<View>,
    pin: Arc<Pin>,
}

impl SledSnapshot {
    pub(super) fn at(at: Boundary, totals: Totals, view: &Arc<View>, snapshots: &Arc<OpenSnapshots>) -> Self {
        let pin = Arc::new(snapshots.pin(at.version));
        Self { position: at.position, totals, view: Arc::clone(view), pin }
    }

    /// Reads every row and compares count and digest.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let mut found = Totals::default();
        for row in self.range((Bound::Unbounded, Bound::Unbounded), Direction::Ascending) {
            let (key, value) = row?;
            found.add(&key, &value);
        }
        if found == self.totals { Ok(()) } else { Err(self.totals.differ_from(&found)) }
    }
}

impl Snapshot for SledSnapshot {
    fn position(&self) -> Position {
        self.position
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        // In this order: who overwrites the key publishes what it held first.
        let now = self.view.rows.get(key)?;
        let undo = self.view.undo.read().map_err(|_| poisoned())?;
        Ok(undo.at(key, self.pin.version()).map_or(now, |then| then.cloned()))
    }

    fn range(&self, (from, to): KeyRange<'_>, direction: Direction) -> Rows {
        Box::new(SledRows {
            view: Arc::clone(&self.view),
            pin: Arc::clone(&self.pin),
            from: from.map(Bytes::from),
            to: to.map(Bytes::from),
            direction,
            chunk: VecDeque::new(),
            is_done: false,
        })
    }
}

struct SledRows {
    view: Arc<View>,
    pin: Arc<Pin>,
    from: Bound<Bytes>,
    to: Bound<Bytes>,
    direction: Direction,
    chunk: VecDeque<Row>,
    is_done: bool,
}

impl SledRows {
    /// Reads the next rows and moves the bound past them.
    fn fill(&mut self) -> Result<(), StoreError> {
        let bounds = (self.from.as_ref().map(|key| &**key), self.to.as_ref().map(|key| &**key));
        if is_empty(&bounds) {
            self.is_done = true;
            return Ok(());
        }
        let rows = self.view.rows.range(bounds, self.direction, CHUNK)?;
        let end = (rows.len() == CHUNK).then(|| rows.last().map(|(key, _)| key.clone())).flatten();
        let mut rows: BTreeMap<Bytes, Bytes> = rows.into_iter().collect();
        let end = self.undo(&mut rows, end)?;
        match self.direction {
            Direction::Ascending => self.chunk.extend(rows),
            Direction::Descending => self.chunk.extend(rows.into_iter().rev()),
        }
        match (end, self.direction) {
            (Some(key), Direction::Ascending) => self.from = Bound::Excluded(key),
            (Some(key), Direction::Descending) => self.to = Bound::Excluded(key),
            (None, _) => self.is_done = true,
        }
        Ok(())
    }

    /// Puts what the reader sees in the place of what sled holds, up to `end`, or all of the range if there is none.
    /// Where many keys were overwritten it stops earlier, drops the rows beyond and says where.
    fn undo(
        &self,
        rows: &mut BTreeMap<Bytes, Bytes>,
        end: Option<Bytes>,
    ) -> Result<Option<Bytes>, StoreError> {
        let last = end.clone();
        let last = last.as_deref().map(Bound::Included);
        let (from, to) = (self.from.as_ref().map(|key| &**key), self.to.as_ref().map(|key| &**key));
        let span = match self.direction {
            Direction::Ascending => (from, last.unwrap_or(to)),
            Direction::Descending => (last.unwrap_or(from), to),
        };
        let undo = self.view.undo.read().map_err(|_| poisoned())?;
        let mut overwritten = undo.range(span, self.pin.version());
        let mut next = || match self.direction {
            Direction::Ascending => overwritten.next(),
            Direction::Descending => overwritten.next_back(),
        };
        let mut looked_at = 0_usize;
        while let Some((key, then)) = next() {
            match then {
                Some(Some(value)) => drop(rows.insert(key.clone(), value.clone())),
                Some(None) => drop(rows.remove(&**key)),
                None => {}
            }
            looked_at = looked_at.saturating_add(1);
            if looked_at == CHUNK {
                let is_within = |row: &Bytes| match self.direction {
                    Direction::Ascending => row <= key,
                    Direction::Descending => row >= key,
                };
                rows.retain(|row, _| is_within(row));
                return Ok(Some(key.clone()));
            }
        }
        Ok(end)
    }
}

impl Iterator for SledRows {
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
