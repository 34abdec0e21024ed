//! Why the engine did not do what was asked, where that is not an outcome of the operation itself.

use std::io::ErrorKind;
use std::sync::Arc;

use thiserror::Error;

use crate::log::LogError;
use crate::store::StoreError;
use crate::wire::{ErrorCode, Position};

/// The engine's errors. [`EngineError::code`] is what a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The machine's fault: a write, a sync or the store failed earlier. Whether the last operations are on disk
    /// will be seen when the database is opened again: end the process.
    #[error("the database stopped: {0}; end the process and start it again")]
    Stopped(Arc<str>),
    /// The operator's: the log or the store is damaged, the database only reads until the damage is accepted.
    #[error("the database is read-only: {0}")]
    ReadOnly(Arc<str>),
    /// The operator's: no room on the disk. Nothing has changed.
    #[error("the disk is full; free some space, writes resume by themselves")]
    DiskFull,
    /// The disk's: stored bytes are not what was written.
    #[error("stored bytes are damaged: {0}; run verify")]
    Corrupted(String),
    /// The client's: an operation number that does not follow the highest one decided.
    #[error("operation {found} came, {expected} is next")]
    OperationGap {
        /// The next number of this node.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The client's: a number that was used for another body, or one so old that its outcome is forgotten.
    #[error("operation {number} was used before, its body was another or is forgotten: take a new node id")]
    IdentityReused {
        /// The number.
        number: u64,
    },
    /// The client's: the node has no ledger, yet begins with a number that is not 1.
    #[error("the outcomes of this node are forgotten: take a new node id and compare what is unacknowledged")]
    IdentityExpired,
    /// The server's: as many nodes as it remembers.
    #[error("the database remembers as many nodes as it may; try again when some are forgotten")]
    TooManyNodes,
    /// The client's: no collection has this name.
    #[error("no collection has the name {0:?}")]
    UnknownCollection(String),
    /// The server's: a snapshot was read for too long.
    #[error("the snapshot is too old to be read on; begin again from the last row")]
    SnapshotExpired,
    /// The client's: a position of another epoch, or one that lies ahead.
    #[error("position {0} is not one of this database")]
    PositionUnknown(Position),
    /// The client's: changes of all kinds are no longer held from there.
    #[error("the changes after that position are no longer held; the oldest position held is {oldest}")]
    PositionExpired {
        /// The oldest position from which changes can be read.
        oldest: Position,
    },
    /// The operator's: the database's files are not what this binary can open.
    #[error("{0}")]
    Unusable(String),
    /// The machine's: reading the store or the log failed; nothing was changed by that.
    #[error("reading failed: {0}")]
    Read(String),
}

impl EngineError {
    /// What a client is told.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Stopped(_) => ErrorCode::ShuttingDown,
            Self::ReadOnly(_) => ErrorCode::ReadOnly,
            Self::DiskFull => ErrorCode::DiskFull,
            Self::Corrupted(_) => ErrorCode::Corrupted,
            Self::OperationGap { .. } => ErrorCode::OperationNumberGap,
            Self::IdentityReused { .. } => ErrorCode::IdentityReused,
            Self::IdentityExpired => ErrorCode::IdentityExpired,
            Self::TooManyNodes => ErrorCode::TooBusy,
            Self::UnknownCollection(_) => ErrorCode::UnknownCollection,
            Self::SnapshotExpired => ErrorCode::SnapshotExpired,
            Self::PositionUnknown(_) => ErrorCode::PositionUnknown,
            Self::PositionExpired { .. } => ErrorCode::PositionExpired,
            Self::Unusable(_) | Self::Read(_) => ErrorCode::Internal,
        }
    }
}

impl From<StoreError> for EngineError {
    /// What reading the store gives.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(what) => Self::Corrupted(what),
            StoreError::Io { source, .. } if source.kind() == ErrorKind::StorageFull => Self::DiskFull,
            other => Self::Read(other.to_string()),
        }
    }
}

impl From<LogError> for EngineError {
    /// What reading or opening the log gives. What writing it gives is told apart by who writes.
    fn from(error: LogError) -> Self {
        match error {
            LogError::DiskFull => Self::DiskFull,
            LogError::Damaged(damage) => Self::Corrupted(damage.to_string()),
            LogError::NewerFormat { .. } | LogError::Foreign { .. } | LogError::Exists => {
                Self::Unusable(error.to_string())
            }
            other => Self::Read(other.to_string()),
        }
    }
}
