//! What the engine says about a database, for all who wait for it: how far it is durable, and that it stopped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use thiserror::Error;

use crate::engine::{Decision, Listener};
use crate::wire::Position;

/// The machine's fault: a write, a sync or the store failed, or storage code panicked. Nothing more will be durable:
/// the process must end. Everything acknowledged is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "storage failed: {0}; what was acknowledged is safe: mend the disk if it is at fault, then start again"
)]
pub struct StorageFailure(pub String);

/// How far a database is durable and visible.
pub struct Publication {
    sequence: AtomicU64,
    /// Bytes of changes since the last checkpoint, roughly.
    unsaved_bytes: AtomicU64,
    failure: OnceLock<StorageFailure>,
    changed: Box<dyn Fn() + Send + Sync>,
    failed: Box<dyn Fn(&StorageFailure) + Send + Sync>,
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Publication({})", self.sequence())
    }
}

/// Stops the database when it is dropped by a panic: what storage code left half-way must not be gone on with.
#[derive(Debug)]
pub(super) struct StorageGuard<'a>(&'a Publication);

impl Publication {
    /// Nothing is published yet. `changed` is called whenever something was, `failed` when the database stopped;
    /// neither may wait.
    pub fn new(
        changed: impl Fn() + Send + Sync + 'static,
        failed: impl Fn(&StorageFailure) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            sequence: AtomicU64::new(0),
            unsaved_bytes: AtomicU64::new(0),
            failure: OnceLock::new(),
            changed: Box::new(changed),
            failed: Box::new(failed),
        })
    }

    /// The number up to which everything is durable and visible.
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Bytes of changes published since [`Publication::take_unsaved_bytes`] was called, roughly.
    pub fn unsaved_bytes(&self) -> u64 {
        self.unsaved_bytes.load(Ordering::Relaxed)
    }

    /// The same, and begins to count anew.
    pub fn take_unsaved_bytes(&self) -> u64 {
        self.unsaved_bytes.swap(0, Ordering::Relaxed)
    }

    /// They are still unsaved: the checkpoint failed.
    pub fn give_back_unsaved_bytes(&self, bytes: u64) {
        self.unsaved_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Why the database stopped, if it did.
    pub fn failure(&self) -> Option<&StorageFailure> {
        self.failure.get()
    }

    /// Stops the database for a reason of the caller's; the first one counts.
    pub fn fail(&self, reason: impl Into<String>) -> StorageFailure {
        let failure = self.failure.get_or_init(|| StorageFailure(reason.into())).clone();
        (self.failed)(&failure);
        failure
    }

    /// Wakes whoever waits, though nothing was published: the log is free again.
    pub fn wake(&self) {
        (self.changed)();
    }

    pub(super) const fn guard(&self) -> StorageGuard<'_> {
        StorageGuard(self)
    }
}

impl Drop for StorageGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail("storage code panicked, which is a defect: report it with this log");
        }
    }
}

impl Listener for Publication {
    fn published(&self, _: Position, transactions: &[Arc<Decision>]) {
        let Some(last) = transactions.last() else { return };
        let effects = transactions.iter().flat_map(|transaction| &transaction.effects);
        let bytes = effects.filter(|effect| effect.is_change()).fold(0_u64, |sum, effect| {
            let length = effect.change().and_then(|change| change.new.bytes()).map_or(0, <[u8]>::len);
            sum.saturating_add(u64::try_from(length).unwrap_or(u64::MAX)).saturating_add(64)
        });
        self.unsaved_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.sequence.fetch_max(last.last_sequence(), Ordering::AcqRel);
        (self.changed)();
    }

    fn stopped(&self, reason: &str) {
        self.fail(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_storage_stops_the_database() {
        let publication = Publication::new(|| {}, |_| {});
        drop(publication.guard());
        assert_eq!(publication.failure(), None);
        let inside = publication.clone();
        let panicked = std::thread::spawn(move || {
            let _guard = inside.guard();
            panic!("as it should");
        });
        assert!(panicked.join().is_err());
        assert!(publication.failure().unwrap().to_string().contains("panicked"));
        assert_eq!(publication.fail("later").0, publication.failure().unwrap().0);
    }
}
