//! The log: the one authority on what a database holds; the normative text is `spec/log.md`.
//!
//! Batches of transactions are appended to segments of zeros and synced before anyone hears of them. After a crash
//! [`Log::open`] finds every acknowledged transaction, exactly once and in order, and none that was only half written;
//! damage is told from a torn tail and never passed over.
//!
//! | file | what it does |
//! |---|---|
//! | `fs`, `disk`, `simfs` | the filesystem it is given: the trait, the real one, the simulated one |
//! | `format`, `commit`, `transaction`, `effect` | bytes, from the outside in |
//! | `batch` | packs transactions into commits |
//! | `window`, `walk` | reads a segment in bounded memory, commit by commit |
//! | `segment`, `writer`, `options`, `room` | new segments, appending, rotation, trimming, the disk's room |
//! | `judge`, `recovery` | what a crash left, and how to go on |
//! | `salvage`, `accept` | what can be read behind damage; how to go on without what cannot |
//! | `reader` | transactions from a sequence number on |
//! | `group` | many waiters, one write, one sync |
//! | `capture` | files of what travelled over connections: the same frames and chain (`spec/capture.md`) |
//!
//! This module knows nothing of records, stores or clocks: it frames, orders and keeps what it is given.

pub mod accept;
pub mod batch;
mod bytes;
pub mod capture;
mod commit;
pub mod disk;
pub mod effect;
pub mod error;
mod format;
pub mod fs;
pub mod fuzzing;
pub mod group;
mod judge;
pub mod limits;
pub mod options;
pub mod position;
pub mod reader;
pub mod recovery;
pub mod room;
pub mod salvage;
mod segment;
#[doc(hidden)]
pub mod simfs;
pub mod transaction;
mod walk;
mod window;
pub mod writer;

#[cfg(test)]
mod tests;

pub use accept::{Loss, Mending, Survey};
pub use batch::{Batch, Sequences};
pub use effect::Effect;
pub use error::{Damage, DamageKind, LogError};
pub use format::Identity;
pub use fs::{File, Filesystem, Space};
pub use group::GroupCommit;
pub use options::{Moment, Options};
pub use position::{Location, Position};
pub use reader::{LogReader, LogView};
pub use recovery::{Opened, Report, Tail};
pub use room::Need;
pub use salvage::{Salvage, Salvaged};
pub use segment::{Spare, SpareRequest};
pub use transaction::{Piece, TransactionHead};
pub use writer::{Log, Synced, Unsynced};
