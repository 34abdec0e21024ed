//! Every limit of a connection, each with its reason.

use std::time::Duration;

pub use crate::wire::limits::MAX_OPERATION_WINDOW;

/// From the first call to an established connection. One deadline over all phases, so that a peer cannot spend
/// it once per phase; a hello and a welcome are two small frames.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// The heartbeat that a client proposes unless told otherwise: half of the shortest idle time (30 s) after which
/// common middle boxes forget a connection.
pub const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);
/// The shortest heartbeat: more often would wake phones for nothing.
pub const MIN_HEARTBEAT: Duration = Duration::from_secs(5);
/// The longest heartbeat: a half-open connection must be found within three minutes (2½ heartbeats).
pub const MAX_HEARTBEAT: Duration = Duration::from_secs(60);

/// Bytes of an unfinished frame that count as a sign of life. Slower than this per 2½ heartbeats is a stranger
/// holding memory, not a slow link: at 60 s it is 7 bytes a second.
pub const PROGRESS_BYTES: usize = 1024;

/// From the first Goodbye to the end, whatever is still outstanding.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// How long the transport may take none of the bytes it was given before the peer counts as not reading.
pub const STALL_DEADLINE: Duration = Duration::from_secs(10);

/// Control frames a peer may send per second beyond those it was given cause for. Honest use is a Ping a
/// heartbeat.
pub const CONTROL_PER_SECOND: u64 = 200;
/// Control frames that each Operation, Query, Subscribe, QueryResponse and Event gives its receiver cause for:
/// an Error, two Acks (one per level) and a Credit.
pub const CONTROL_PER_FRAME: u64 = 4;
/// The most control frames at once: four for each operation of the largest window and each request of twice the
/// default limit, with room for as many again.
pub const CONTROL_BURST: u64 = 8192;

/// Requests cancelled before they finished, per second, that go unpunished. Cancelling is cheap for the client
/// and not for the server, so a client that cancels faster waits for new requests.
pub const CANCELS_PER_SECOND: u64 = 20;
/// Cancelled requests at once: leaving a page may drop every subscription it had.
pub const CANCEL_BURST: u64 = 256;

/// Queries and subscriptions of one connection, unless configured.
pub const DEFAULT_REQUEST_LIMIT: u16 = 256;

/// Result and event frames that wait for the writer, in bytes, unless configured: enough to keep a 10 Gbit/s
/// link busy for most of a millisecond. One frame may pass it.
pub const DEFAULT_STAGED_BYTES: usize = 1 << 20;

/// After how many bytes a request's further frames count as bulk: shorter answers overtake longer ones.
pub const BULK_AFTER_BYTES: u64 = 256 << 10;

/// Of this many result and event frames in a row, the last is taken from the lowest class that waits, so that no
/// class starves.
pub const FAIR_TURN: u32 = 8;

/// When a batch of output is closed, in bytes; its last frame may pass it. Small enough that a Pong or an Ack
/// waits less than a millisecond behind it on a 1 Gbit/s link.
pub const TRANSMIT_BYTES: usize = 64 << 10;

/// The work window, in frames, unless configured: one full window of operations.
pub const DEFAULT_WORK_FRAMES: u64 = 1024;
/// The work window, in bytes, unless configured: 4 MiB in flight saturate 1 Gbit/s over 30 ms.
pub const DEFAULT_WORK_BYTES: u64 = 4 << 20;
/// The telemetry window, in frames: enough to be told `not_supported`.
pub const DEFAULT_TELEMETRY_FRAMES: u64 = 16;
/// The telemetry window, in bytes.
pub const DEFAULT_TELEMETRY_BYTES: u64 = 64 << 10;

/// Bytes of unacknowledged operations that a client keeps, unless configured: they are memory until the server
/// says they are durable. One operation may pass it.
pub const DEFAULT_OUTBOX_BYTES: usize = 16 << 20;

/// The longest encoded text and detail of one refusal that a server keeps until it is written, in bytes.
pub const MAX_REFUSAL_BYTES: usize = 4096;
