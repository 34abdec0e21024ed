//! What can go wrong, by whose fault.

use std::io;

use thiserror::Error;

use super::limits;

/// Why the log did not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The machine's fault. If it came from writing or syncing, what is on disk is unknown and the process must end:
    /// see [`LogError::is_fatal`].
    #[error("{operation} of log file {file:?} failed: {source}; check the disk, then start again")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file's name in the log's directory, or the directory itself (empty).
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// A write or sync failed earlier: nothing more is written.
    #[error("the log stopped at an earlier failed write or sync; end the process and start it again")]
    Poisoned,
    /// No room for the next segment. Nothing was written and nothing is lost: free some space and try again.
    #[error("the disk is full: no room for the next log segment; free some space and try again")]
    DiskFull,
    /// Bytes on disk are not what was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A segment written by a later release.
    #[error("log file {file:?} has format {found}, this binary reads 1: use the newer one")]
    NewerFormat {
        /// The file.
        file: String,
        /// Its format.
        found: u16,
    },
    /// A segment of another database or partition.
    #[error("log file {file:?} belongs to another database or partition: someone moved it here")]
    Foreign {
        /// The file.
        file: String,
    },
    /// A log was to be made where one is.
    #[error("a log exists here already: open it instead")]
    Exists,
    /// The caller's fault: an effect longer than [`limits::MAX_EFFECT_BYTES`].
    #[error("an effect takes {0} bytes, {max} is the most", max = limits::MAX_EFFECT_BYTES)]
    EffectTooLarge(usize),
    /// The caller's fault: a transaction longer than [`limits::MAX_TRANSACTION_BYTES`].
    #[error("a transaction takes {0} bytes or more, {max} is the most; split it", max = limits::MAX_TRANSACTION_BYTES)]
    TransactionTooLarge(usize),
    /// The caller's fault: a transaction without effects has no position.
    #[error("a transaction has at least one effect")]
    EmptyTransaction,
    /// The caller's fault: a name or list that its length field cannot count.
    #[error("{what} has {found} bytes or items, {max} is the most")]
    FieldTooLong {
        /// Which field.
        what: &'static str,
        /// How long it is.
        found: usize,
        /// How long it may be.
        max: usize,
    },
    /// The caller's fault: a batch that does not begin where the log ends.
    #[error("the batch begins at sequence {found}, the log goes on at {expected}")]
    OutOfOrder {
        /// Where the log goes on.
        expected: u64,
        /// Where the batch begins.
        found: u64,
    },
    /// The caller asks for what was trimmed: begin again from a snapshot.
    #[error("sequence {asked} was trimmed, the oldest held is {oldest}")]
    Trimmed {
        /// What was asked for.
        asked: u64,
        /// The oldest sequence number held.
        oldest: u64,
    },
}

impl LogError {
    /// Whether the process must end: what is on disk is no longer known.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Poisoned)
    }

    /// `source`, met while doing `operation` with `file`.
    pub(crate) fn io(operation: &'static str, file: &str, source: io::Error) -> Self {
        Self::Io { operation, file: file.to_owned(), source }
    }
}

/// Bytes on disk that are not what was written: the disk's fault, or of someone who touched the files. The log is
/// left as it is and can be read up to here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("log file {file:?} is damaged at byte {offset}: {kind}")]
pub struct Damage {
    /// The file's name in the log's directory.
    pub file: String,
    /// Where in it, in bytes from its start.
    pub offset: u64,
    /// What is wrong there.
    pub kind: DamageKind,
}

/// The ways in which a log can be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DamageKind {
    /// No segment at all.
    #[error("no segment is there")]
    NoSegment,
    /// A segment between two others, or the one that a Seal names, is gone.
    #[error("the file is missing")]
    MissingSegment,
    /// The segment header is not valid, or not that of this file.
    #[error("its header is not valid")]
    Header,
    /// The file is not as long as its header says.
    #[error("the file has {found} bytes and should have {expected}")]
    Length {
        /// Bytes of the file.
        found: u64,
        /// Bytes that its header states.
        expected: u64,
    },
    /// Header and predecessor do not fit together.
    #[error("it does not continue the segment before it")]
    Unlinked,
    /// The Seal is not valid or names another successor.
    #[error("its seal is not valid")]
    Seal,
    /// What was durable cannot be read back.
    #[error("no valid commit is here, though the log was on stable storage up to {durable}")]
    BelowDurable {
        /// The offset up to which the log was durable.
        durable: u32,
    },
    /// A commit that is whole but not the next one.
    #[error("a commit is here that does not follow the one before it")]
    OutOfPlace,
    /// The log ends before what the store has already applied.
    #[error("the log ends at sequence {end}, the store has applied {applied}")]
    EndsBelowApplied {
        /// The last sequence number of the log.
        end: u64,
        /// The last one of the store.
        applied: u64,
    },
    /// The segments of an epoch that the database has reached are gone.
    #[error("the log ends in epoch {found}, the database is in epoch {expected}")]
    EndsBelowEpoch {
        /// The epoch of the last segment.
        found: u32,
        /// The database's.
        expected: u32,
    },
    /// The log begins after what the store has applied.
    #[error("the log begins at sequence {first}, the store has applied {applied}")]
    BeginsAboveApplied {
        /// The first sequence number of the log.
        first: u64,
        /// The last one of the store.
        applied: u64,
    },
}
