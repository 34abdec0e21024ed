//! The ordered view that the log is folded into: records, changes by position, ledger, catalogue. The key space and
//! the framing of values are formats; the normative text is `spec/store.md`.
//!
//! ```text
//!            committer                                        its own thread        readers
//!   apply ──► applied ──► set_durable ──► publish ─────────────────────────────► snapshot
//!                              │                                    ▲
//!                              └────► (flush only up to here) ── maintain / checkpoint
//! ```
//!
//! A store is a view, never the authority for durability: the log is its journal, it has none of its own, and what
//! it loses in a crash is replayed from [`Store::checkpointed`] on. In the order of a commit:
//!
//! 1. [`Store::apply`] folds a batch while its log write is still syncing. Nobody but the committer, through
//!    [`Store::get`], sees it yet.
//! 2. [`Store::set_durable`] says how far the log is on stable storage. No backend writes anything above that.
//! 3. [`Store::publish`] makes the batch visible: readers share the last published [`Snapshot`].
//!
//! [`Store::maintain`] flushes and compacts, on a thread of the caller. This module knows nothing of the log, of
//! frames, operations or queries; only [`Lsm`], [`Sled`] and [`directory`] touch files.

mod batch;
mod bytes;
pub mod directory;
mod error;
mod fold;
pub mod fuzzing;
pub mod keyspace;
mod lsm;
mod memory;
#[cfg(feature = "sled")]
mod sled;
mod summary;
mod value;
mod verify;
mod visibility;

use std::ops::Bound;
use std::sync::Arc;

#[cfg(feature = "sled")]
pub use self::sled::{Sled, SledSettings};
pub use batch::{Batch, Change};
pub use bytes::Bytes;
pub use error::{Misuse, StoreError};
pub use fold::{Fold, Image};
pub use keyspace::{CollectionId, EncodedKey, Key, RecordId};
pub use lsm::{Lsm, LsmSettings};
pub use memory::Memory;
pub use summary::{Summary, row_hash};
pub use value::{ChangeKind, ChangeRow, MAX_ENVELOPE_BYTES, RecordRow, open, seal};
pub use verify::{MAX_FINDINGS, VerifyReport, verify, verify_with};

/// How far a log has been folded: the epoch and the sequence of the last effect. Ordered by epoch, then sequence.
/// [`Position::START`] stands before the first effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Counts the acceptances of damage.
    pub epoch: u32,
    /// Counts effects, from 1.
    pub seq: u64,
}

impl Position {
    /// Before everything.
    pub const START: Self = Self { epoch: 0, seq: 0 };
}

/// Which way a range is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the least key up.
    Ascending,
    /// From the greatest key down.
    Descending,
}

/// A key and its value, as they stand in the store.
pub type Row = (Bytes, Bytes);
/// The rows of a range, in order. After an error it ends.
pub type Rows = Box<dyn Iterator<Item = Result<Row, StoreError>> + Send>;
/// The bounds of a range of keys.
pub type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A consistent view of the store at one position; it never changes, whatever is applied, flushed or compacted.
///
/// As long as it is held the store keeps what it can see, in memory and on disk: whoever opens snapshots gives them
/// a maximum age.
pub trait Snapshot: Send + Sync {
    /// The position it stands at.
    fn position(&self) -> Position;

    /// The value of `key`, as it was put.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] or [`StoreError::Io`]; never a wrong or missing row.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// The rows of `range`. An empty or inverted range has none. The iterator keeps its own hold on the view.
    fn range(&self, range: KeyRange<'_>, direction: Direction) -> Rows;
}

/// An ordered key space that takes atomic batches and hands out consistent snapshots.
///
/// `apply`, `get`, `set_durable` and `publish` are the committer's, one thread at a time; `maintain`, `checkpoint`
/// and `check` belong to any other thread; the rest to everybody.
pub trait Store: Send + Sync {
    /// Applies all of `batch`, or nothing of it. Invisible to snapshots until [`Store::publish`].
    ///
    /// # Errors
    /// [`Misuse::NotAbove`] unless the batch's position is above [`Store::applied`]: a replay skips what is there. A
    /// [sweep](Batch::sweep) must be exactly there; it is published with whatever is applied at that position.
    fn apply(&self, batch: Batch) -> Result<(), StoreError>;

    /// The value of `key` with everything applied, published or not.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// The value of the [late](Change::PutLate) row `key`, with everything applied.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    fn late(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.get(key)
    }

    /// The last late row of `range` with everything published, or more.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    fn last_late(&self, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        self.snapshot().range(range, Direction::Descending).next().transpose()
    }

    /// The position of the last applied batch.
    fn applied(&self) -> Position;

    /// Says that the log is on stable storage up to `position`. Never goes back: a lower one is ignored.
    fn set_durable(&self, position: Position);

    /// Makes every applied batch at or below `position` visible, in one step.
    ///
    /// # Errors
    /// [`Misuse::NotDurable`] above what [`Store::set_durable`] said.
    fn publish(&self, position: Position) -> Result<(), StoreError>;

    /// The last published snapshot. Cheap: all callers share one.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// How urgently [`Store::maintain`] is wanted. Cheap enough to ask after every batch.
    fn pressure(&self) -> Pressure;

    /// Does one piece of work: a flush or a compaction, or nothing. To be called again while it says
    /// [`Maintained::Worked`]. Each piece may take seconds.
    ///
    /// # Errors
    /// [`StoreError::Io`]: nothing was lost; when the disk is full, call again once there is room.
    fn maintain(&self) -> Result<Maintained, StoreError>;

    /// Brings what is applied and durable to stable storage and says up to where the store on disk now stands,
    /// which is [`Store::applied`] unless the log was behind.
    ///
    /// # Errors
    /// As [`Store::maintain`].
    fn checkpoint(&self) -> Result<Position, StoreError>;

    /// Up to where the store on disk stands; below it the log is no longer needed to rebuild this store.
    fn checkpointed(&self) -> Position;

    /// Reads everything on disk again, past every cache, and compares all checksums of the backend's own.
    /// [`verify`] reads the rows.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] at the first damage.
    fn check(&self) -> Result<(), StoreError>;

    /// What it holds and costs.
    fn statistics(&self) -> Statistics;
}

/// How urgently a store wants [`Store::maintain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Nothing to do.
    None,
    /// A flush or a compaction is due; commits need not wait for it.
    Wanted,
    /// The committer must let maintenance catch up before the next batch: memory or reads would suffer. It says
    /// first how far the log is durable, since nothing above that can be flushed.
    Stalled,
}

/// Whether a call of [`Store::maintain`] found work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintained {
    /// A flush or a compaction was done; there may be more.
    Worked,
    /// There is nothing to do, or nothing that the durable position allows.
    Idle,
}

/// What a store holds and costs. Counts of rows are approximate: they include versions not yet compacted away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Bytes of the live files.
    pub disk_bytes: u64,
    /// Bytes of rows in memory that are on no disk.
    pub memory_bytes: u64,
    /// Rows, deletions and old versions among them.
    pub rows: u64,
    /// Files of rows.
    pub tables: u64,
    /// Snapshots that are open, the published one included.
    pub snapshots: u64,
}
