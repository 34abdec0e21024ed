//! Who sees what: versions, the step from applied to published, and the snapshots that are open. Shared by the
//! backends that keep several versions of a row.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Misuse, Position, StoreError};

/// A place between two batches: whoever reads there sees the row versions below `version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boundary {
    pub(super) position: Position,
    pub(super) version: u64,
}

/// How far batches came: durable ≥ published, applied ≥ published.
#[derive(Debug)]
pub(super) struct Progress {
    applied: Position,
    durable: Position,
    published: Boundary,
    /// Applied, not published, in order. As long as the caller's commits in flight.
    pending: VecDeque<Boundary>,
}

impl Progress {
    /// Everything up to `start` is applied, durable and published.
    pub(super) fn starting_at(start: Boundary) -> Self {
        let position = start.position;
        Self { applied: position, durable: position, published: start, pending: VecDeque::new() }
    }

    pub(super) fn applied(&self) -> Position {
        self.applied
    }

    pub(super) fn durable(&self) -> Position {
        self.durable
    }

    /// Whether `batch` may be applied now.
    pub(super) fn admits(&self, batch: &Batch) -> Result<(), Misuse> {
        let (position, applied) = (batch.position(), self.applied);
        let is_in_place = if batch.is_sweep() { position == applied } else { position > applied };
        if is_in_place { Ok(()) } else { Err(Misuse::NotAbove { batch: position, applied }) }
    }

    /// A batch was applied.
    pub(super) fn advance(&mut self, boundary: Boundary) {
        self.applied = boundary.position;
        self.pending.push_back(boundary);
    }

    pub(super) fn set_durable(&mut self, position: Position) {
        self.durable = self.durable.max(position);
    }

    /// Publishes what is applied up to `position`: the new place to read at, unless it is the old one.
    pub(super) fn publish(&mut self, position: Position) -> Result<Option<Boundary>, Misuse> {
        let durable = self.durable;
        if position > durable {
            return Err(Misuse::NotDurable { position, durable });
        }
        let mut newest = None;
        while let Some(boundary) = self.pending.pop_front_if(|boundary| boundary.position <= position) {
            newest = Some(boundary);
        }
        if let Some(boundary) = newest {
            self.published = boundary;
        }
        Ok(newest)
    }

    /// With nothing unpublished, moves the place to read at up to `version`, past what maintenance did since.
    /// Nothing else becomes visible by that.
    pub(super) fn refresh(&mut self, version: u64) -> Option<Boundary> {
        if !self.pending.is_empty() || version <= self.published.version {
            return None;
        }
        self.published.version = version;
        Some(self.published)
    }
}

/// The versions that open snapshots read at, with how many read at each.
#[derive(Debug, Default)]
pub(super) struct OpenSnapshots(Mutex<BTreeMap<u64, u64>>);

impl OpenSnapshots {
    /// Keeps everything that is visible below `version` until the pin is dropped.
    pub(super) fn pin(self: &Arc<Self>, version: u64) -> Pin {
        let mut open = self.open();
        let readers = open.entry(version).or_default();
        *readers = readers.saturating_add(1);
        Pin { snapshots: Arc::clone(self), version }
    }

    /// The watermark: what was superseded at a version below it is seen by nobody.
    pub(super) fn oldest(&self) -> u64 {
        self.open().keys().next().copied().unwrap_or_default()
    }

    pub(super) fn count(&self) -> u64 {
        self.open().values().sum()
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        // Whole after every statement, whatever panicked while it was held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader's hold on a version.
#[derive(Debug)]
pub(super) struct Pin {
    snapshots: Arc<OpenSnapshots>,
    version: u64,
}

impl Pin {
    pub(super) fn version(&self) -> u64 {
        self.version
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut open = self.snapshots.open();
        if let Some(readers) = open.get_mut(&self.version) {
            *readers = readers.saturating_sub(1);
            if *readers == 0 {
                open.remove(&self.version);
            }
        }
    }
}

/// Locks what a panic may have left half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, StoreError> {
    mutex.lock().map_err(|_| StoreError::Failed("a thread panicked while it changed the store"))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]
mod tests {
    use super::*;

    fn at(seq: u64) -> Boundary {
        Boundary { position: Position { epoch: 0, seq }, version: seq * 10 }
    }

    #[test]
    fn batches_are_published_in_order_and_only_once_durable() {
        let mut progress = Progress::starting_at(at(1));
        for (batch, is_admitted) in [
            (Batch::new(at(1).position), false),
            (Batch::new(at(2).position), true),
            (Batch::sweep(at(1).position), true),
            (Batch::sweep(at(2).position), false),
        ] {
            assert_eq!(progress.admits(&batch).is_ok(), is_admitted, "{batch:?}");
        }
        for seq in 2..=4 {
            progress.advance(at(seq));
        }
        let durable = at(1).position;
        let refused = Err(Misuse::NotDurable { position: at(2).position, durable });
        assert_eq!(progress.publish(at(2).position), refused);
        progress.set_durable(at(3).position);
        progress.set_durable(at(2).position);
        assert_eq!(progress.refresh(1_000), None, "unpublished batches lie below");
        assert_eq!(progress.publish(at(3).position), Ok(Some(at(3))), "two batches in one step");
        assert_eq!(progress.publish(at(3).position), Ok(None));
        progress.set_durable(at(9).position);
        assert_eq!(progress.publish(at(9).position), Ok(Some(at(4))));
        assert_eq!(progress.refresh(1_000), Some(Boundary { version: 1_000, ..at(4) }));
        assert_eq!(progress.refresh(999), None);
    }

    #[test]
    fn the_oldest_snapshot_holds_the_watermark() {
        let snapshots = Arc::new(OpenSnapshots::default());
        let [a, b, c] = [5, 5, 9].map(|version| snapshots.pin(version));
        drop(a);
        assert_eq!((snapshots.oldest(), snapshots.count()), (5, 2));
        drop(b);
        assert_eq!(snapshots.oldest(), 9);
        drop(c);
        assert_eq!(snapshots.count(), 0);
    }
}
