//! What can go wrong in a store, told apart by who is at fault.

use std::io;

use thiserror::Error;

use super::Position;

/// Why a store refuses. `Corrupt` is the disk's fault, `Io` the machine's, `Misuse` the caller's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Bytes are not those that were written. Nothing was answered from them.
    #[error(
        "the store is damaged: {0}. Move the store's directory aside and open again to rebuild it from the log or a \
         backup; if it happens twice, suspect the disk"
    )]
    Corrupt(String),
    /// The operating system refused.
    #[error("{doing}: {source}. {}", advice(source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The caller broke a rule of [`super::Store`]; nothing was done.
    #[error(transparent)]
    Misuse(#[from] Misuse),
    /// An operation panicked or failed half-way before; what is in memory is no longer known to be right.
    #[error("the store failed before ({0}); stop the process and open again, the log has everything")]
    Failed(&'static str),
}

/// Rules of [`super::Store`] that a caller can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A batch at or below what is applied: it is there already.
    #[error("a batch at {batch:?} does not lie above the applied {applied:?}; skip it")]
    NotAbove {
        /// The position of the batch.
        batch: Position,
        /// The position applied.
        applied: Position,
    },
    /// Publication of what may be lost.
    #[error("{position:?} cannot be published: the log is durable up to {durable:?}; sync it first")]
    NotDurable {
        /// The position asked for.
        position: Position,
        /// The durable position.
        durable: Position,
    },
    /// A number that does not fit its place in a key.
    #[error("collection {0} is beyond the 2²⁴ - 1 that a store can number; use fewer collections")]
    CollectionOutOfRange(u32),
    /// An envelope that does not fit its place in a row.
    #[error("an envelope has at most {max} bytes, this one has {0}", max = super::MAX_ENVELOPE_BYTES)]
    EnvelopeTooLong(usize),
    /// A key that no backend takes.
    #[error("a key has 1 to {max} bytes, this one has {0}", max = super::keyspace::MAX_KEY_BYTES)]
    KeyLength(usize),
    /// A value that no backend takes.
    #[error("a value has at most {max} bytes, this one has {0}", max = super::keyspace::MAX_VALUE_BYTES)]
    ValueTooLong(usize),
}

impl StoreError {
    /// Damage, described.
    #[cold]
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }
}

fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Free space on the disk; work goes on by itself"
        }
        io::ErrorKind::PermissionDenied => "Give this process the right to read and write the directory",
        _ => "Look at the disk and the system log, then open again",
    }
}
