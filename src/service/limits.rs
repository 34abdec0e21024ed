//! Every limit of a session, each with its reason.

use std::time::Duration;

/// A request whose payload is longer keeps its credit until it is finished: 256 requests that wait for their client
/// then hold 1 MiB, and larger ones are bounded by the work window.
pub const SMALL_REQUEST_BYTES: usize = 4 << 10;

/// How many bytes of records a scan reads at a time: two pages, so that a seek is paid for once in 64 KiB.
pub const READ_AHEAD_BYTES: usize = 64 << 10;

/// The fewest rows that a scan reads at a time, however large they are.
pub const MIN_READ_AHEAD_ROWS: usize = 16;

/// The most rows that a scan reads at a time, however small they are: some 1 ms.
pub const MAX_READ_AHEAD_ROWS: usize = 1024;

/// Ids that a get looks up before others have their turn: some 1 ms where none is there.
pub const LOOKUPS_IN_TURN: usize = 1024;

/// Rows of statistics that are made at a time: some 1 ms, and what a query holds of them.
pub const STATISTICS_ROWS: usize = 256;

/// How long an answer may take from its question to its last page: its snapshot keeps what was overwritten
/// meanwhile. As the engine's own limit.
pub const MAX_ANSWER_AGE: Duration = crate::engine::limits::MAX_SNAPSHOT_AGE;

/// How long a query waits for the position it asks for: longer than any commit takes that is in flight, shorter
/// than a person waits without doubt.
pub const POSITION_PATIENCE: Duration = Duration::from_secs(2);

/// How often a subscription that is told nothing is told its position, if that moved: what others changed meanwhile
/// need not be read again when it resumes. As often as clients say by default that they are there.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a client should stay away when the server cannot take writes for want of space, in milliseconds.
pub const RETRY_AFTER_MS: i64 = 1000;
