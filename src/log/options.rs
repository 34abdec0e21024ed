//! What a log is given from outside: whose it is, randomness, time.

use std::time::Duration;

use super::format::Identity;
use super::limits::{HASTY_SEGMENT_BYTES, SEGMENT_BYTES};

/// What the log is told when it is made or opened.
pub struct Options {
    /// Whose log it is.
    pub identity: Identity,
    /// The last sequence number that the store holds durably, 0 for none: the log must reach from there to at least
    /// there.
    pub applied: u64,
    /// Bytes of a segment; [`SEGMENT_BYTES`] except in tests.
    pub segment_bytes: u32,
    /// Gives 64 random bits for each new segment. They are never shown to clients: they are what tells a commit from
    /// a client's bytes that look like one.
    pub salts: Box<dyn FnMut() -> u64 + Send>,
}

impl Options {
    /// The options of production.
    pub fn new(identity: Identity, applied: u64, salts: Box<dyn FnMut() -> u64 + Send>) -> Self {
        Self { identity, applied, segment_bytes: SEGMENT_BYTES, salts }
    }

    /// Bytes of a segment that is made while someone waits.
    pub(crate) fn hasty_bytes(&self) -> u32 {
        self.segment_bytes.min(HASTY_SEGMENT_BYTES)
    }
}

/// The time at which something is written, as the caller's clocks have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// The hybrid logical clock: 48 bits of Unix milliseconds, 16 of counter.
    pub hlc: u64,
    /// Monotonic time since any fixed instant.
    pub elapsed: Duration,
}
