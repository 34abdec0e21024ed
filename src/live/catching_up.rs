//! The newest image of each record, in the order of their changes: how a subscription gets from a position that may be
//! old to what is published now.

use std::collections::VecDeque;

use super::following::image;
use super::limits::READER_BYTES;
use crate::engine::{Database, EngineError, LatestChange, LatestChanges};
use crate::wire::message::{Change, ChangesBuilder};

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Further.
    On,
    /// At the snapshot's position.
    There,
    /// Nowhere: the collection was dropped before the first snapshot.
    Gone,
}

/// A way from a position to a snapshot. It may be dropped and begun again from its position, with a newer snapshot.
#[derive(Debug, Default)]
pub(super) struct CatchingUp {
    changes: Option<LatestChanges>,
    ahead: VecDeque<LatestChange>,
    /// It begins with nothing, so that what was gone by then need not be told.
    begins_empty: bool,
    /// Deletions up to this number are not told.
    silent_until: u64,
}

impl CatchingUp {
    /// To be begun; `begins_empty` for a subscriber that holds nothing.
    pub(super) fn new(begins_empty: bool) -> Self {
        Self { begins_empty, ..Self::default() }
    }

    /// Adds records of `collection` that changed behind the number `after`, which moves behind what was looked at.
    ///
    /// # Errors
    /// Those of [`LatestChanges::step`].
    pub(super) fn fill(
        &mut self,
        database: &Database,
        collection: u32,
        after: &mut u64,
        page: &mut ChangesBuilder,
    ) -> Result<Way, EngineError> {
        let mut changes = match self.changes.take() {
            Some(changes) => changes,
            None => database.latest_changes(database.position_of(*after), Some(collection))?,
        };
        let snapshot = changes.position().seq;
        if std::mem::take(&mut self.begins_empty) {
            if !changes.has_collection(collection) {
                return Ok(Way::Gone);
            }
            self.silent_until = snapshot;
        }
        if self.ahead.is_empty() {
            match changes.step(database) {
                Ok(chunk) => self.ahead.extend(chunk),
                // The next step takes a newer one.
                Err(EngineError::SnapshotExpired) => return Ok(Way::On),
                Err(error) => return Err(error),
            }
        }
        let is_told = self.tell(after, page);
        let is_done = is_told && changes.is_done();
        if is_told {
            *after = changes.after().max(*after);
        }
        if is_done {
            *after = snapshot.max(*after);
        }
        self.changes = Some(changes);
        Ok(if is_done { Way::There } else { Way::On })
    }

    /// Adds what was read to the page; whether all of it fitted.
    fn tell(&mut self, after: &mut u64, page: &mut ChangesBuilder) -> bool {
        while let Some(LatestChange { id, record, .. }) = self.ahead.front() {
            let is_silent = record.content.is_none() && record.sequence <= self.silent_until;
            let change = Change { seq: record.sequence, last: false, kind: image(record, *id) };
            if !is_silent && page.push(change).is_err() {
                return false;
            }
            *after = record.sequence;
            self.ahead.pop_front();
        }
        true
    }

    /// What it holds, roughly, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        let reader = if self.changes.is_some() { READER_BYTES } else { 0 };
        self.ahead.iter().fold(reader, |sum, change| {
            let bytes = change.record.bytes().map_or(0, <[u8]>::len);
            sum.saturating_add(bytes).saturating_add(size_of::<LatestChange>())
        })
    }

    /// Keeps the position alone.
    pub(super) fn forget(&mut self) {
        self.changes = None;
        self.ahead = VecDeque::new();
    }
}
