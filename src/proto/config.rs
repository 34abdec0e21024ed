//! What is chosen before a connection begins, and the memory that follows from it.

use std::time::Duration;

use super::limits::{
    DEFAULT_HEARTBEAT, DEFAULT_REQUEST_LIMIT, DEFAULT_STAGED_BYTES, DEFAULT_TELEMETRY_BYTES,
    DEFAULT_TELEMETRY_FRAMES, DEFAULT_WORK_BYTES, DEFAULT_WORK_FRAMES, MAX_OPERATION_WINDOW,
    MAX_REFUSAL_BYTES,
};
use crate::wire::limits::MAX_PAYLOAD_BYTES;
use crate::wire::{CreditLimit, FRAME_OVERHEAD_BYTES};

/// A frame at its largest, in bytes.
const MAX_FRAME_BYTES: usize = MAX_PAYLOAD_BYTES + FRAME_OVERHEAD_BYTES;
/// What a ledger's entry takes beside its payload, in bytes; a test holds the entries to it.
pub(crate) const ENTRY_BYTES: usize = 512;

/// A server's side of a connection.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Its program and version, for the client's logs.
    pub agent: String,
    /// How much work may be in flight: at least one frame and one byte.
    pub work: CreditLimit,
    /// How much telemetry may be in flight.
    pub telemetry: CreditLimit,
    /// How many operations may be unacknowledged: 1 to [`MAX_OPERATION_WINDOW`].
    pub operation_window: u16,
    /// How many queries and subscriptions may run.
    pub request_limit: u16,
    /// How many bytes of results and events may wait for the writer; one frame may pass it.
    pub staged_bytes: usize,
    /// Whether LZ4 is offered.
    pub compression: bool,
    /// The sequence of the first frame: 0, but for tests.
    pub first_sequence: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            agent: concat!("blazedb/", env!("CARGO_PKG_VERSION")).to_owned(),
            work: CreditLimit { frames: DEFAULT_WORK_FRAMES, bytes: DEFAULT_WORK_BYTES },
            telemetry: CreditLimit { frames: DEFAULT_TELEMETRY_FRAMES, bytes: DEFAULT_TELEMETRY_BYTES },
            operation_window: MAX_OPERATION_WINDOW,
            request_limit: DEFAULT_REQUEST_LIMIT,
            staged_bytes: DEFAULT_STAGED_BYTES,
            compression: true,
            first_sequence: 0,
        }
    }
}

impl ServerConfig {
    /// The most bytes that a connection of this configuration holds, whatever its peer sends: the frame in hand
    /// and its plain form, the work window and the frame that may overdraw it, what is staged and the frame that
    /// may pass it, one refusal per operation and request, and the ledgers' entries. A batch of output is the
    /// driver's.
    pub const fn memory_bound(&self) -> usize {
        let window = saturating_usize(self.work.bytes);
        let frames = saturating_usize(self.work.frames);
        let refusals = (self.operation_window as usize)
            .saturating_add(self.request_limit as usize)
            .saturating_mul(MAX_REFUSAL_BYTES);
        let entries = frames
            .saturating_mul(2)
            .saturating_add(self.operation_window as usize)
            .saturating_add(self.request_limit as usize)
            .saturating_mul(ENTRY_BYTES);
        MAX_FRAME_BYTES
            .saturating_mul(4)
            .saturating_add(window)
            .saturating_add(self.staged_bytes)
            .saturating_add(refusals)
            .saturating_add(entries)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "values that do not fit saturate before")]
const fn saturating_usize(value: u64) -> usize {
    if value > usize::MAX as u64 { usize::MAX } else { value as usize }
}

/// A client's side of a connection.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The database.
    pub database: String,
    /// Its program and version, for the server's logs.
    pub agent: String,
    /// The heartbeat it proposes.
    pub heartbeat: Duration,
    /// Whether LZ4 is offered.
    pub compression: bool,
    /// The sequence of the first frame: 0, but for tests.
    pub first_sequence: u32,
}

impl ClientConfig {
    /// The defaults, for `database`.
    pub fn new(database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            agent: concat!("blazedb/", env!("CARGO_PKG_VERSION")).to_owned(),
            heartbeat: DEFAULT_HEARTBEAT,
            compression: true,
            first_sequence: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ServerEvent;
    use crate::proto::outcomes::Covered;
    use crate::proto::requests::REQUEST_BYTES;

    #[test]
    fn entries_are_as_small_as_the_bound_counts_them() {
        for bytes in [size_of::<ServerEvent>(), size_of::<Covered>(), REQUEST_BYTES] {
            assert!(bytes <= ENTRY_BYTES, "{bytes}");
        }
    }

    #[test]
    fn the_default_bound_is_what_the_documents_say() {
        // Four frames of 2 MiB and 19 bytes, 4 MiB of window, 1 MiB staged, 1,280 refusals of 4 KiB, 3,328 entries.
        let expected = 4 * ((2 << 20) + 19) + (4 << 20) + (1 << 20) + 1_280 * 4_096 + 3_328 * 512;
        assert_eq!(ServerConfig::default().memory_bound(), expected);
        let mut endless = ServerConfig::default();
        (endless.work.frames, endless.work.bytes) = (u64::MAX, u64::MAX);
        assert_eq!(endless.memory_bound(), usize::MAX);
    }
}
