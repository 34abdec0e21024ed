//! Every limit of a session, each with its reason.

use std::time::Duration;

/// A request whose payload is longer keeps its credit until it is finished: 256 requests that wait for their client
/// then hold 1 MiB, and larger ones are bounded by the work window.
pub const SMALL_REQUEST_BYTES: usize = 4 << 10;

/// How many bytes of records a scan reads at a time: two pages, so that a seek is paid for once in 64 KiB.
pub const READ_AHEAD_BYTES: usize = 64 << 10;

/// The fewest records that a scan reads at a time, however large they are.
pub const MIN_READ_AHEAD_ROWS: u64 = 16;

/// The most records that a scan reads at a time, however small they are.
pub const MAX_READ_AHEAD_ROWS: u64 = 1024;

/// How long an answer may take from its question to its last page: its snapshot keeps what was overwritten
/// meanwhile. As the engine's own limit.
pub const MAX_ANSWER_AGE: Duration = crate::engine::limits::MAX_SNAPSHOT_AGE;

/// How long a query waits for the position it asks for: longer than any commit takes that is in flight, shorter
/// than a person waits without doubt.
pub const POSITION_PATIENCE: Duration = Duration::from_secs(2);

/// How often a subscription that is told nothing is told its position, if that moved: what others changed meanwhile
/// need not be read again when it resumes. As often as clients say by default that they are there.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// Steps of a connection's subscriptions before other connections have their turn: each may fill a page or look at a
/// thousand effects.
pub const STEPS_IN_TURN: usize = 16;

/// How long a client should stay away when the server cannot take writes for want of space, in milliseconds.
pub const RETRY_AFTER_MS: i64 = 1000;
