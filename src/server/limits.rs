//! Every limit of a server, each with its reason. Those of a connection are the protocol's
//! ([`crate::proto::limits`]).

use std::time::Duration;

/// Where a server listens unless told otherwise: this machine only; 25293 spells BLAZE on a keypad.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:25293";
/// Where data lies unless told otherwise.
pub const DEFAULT_DATA_DIR: &str = "./blazedb-data";
/// The database that an empty directory gets.
pub const DEFAULT_DATABASE: &str = "main";

/// Connections at once. An idle one takes some 10 KiB, under TLS 18 (`benches/README.md`). Where the process may have
/// fewer descriptors there are fewer.
pub const MAX_CONNECTIONS: usize = 10_000;
/// Descriptors that a database's files take: 256 tables kept open, and those that are written and merged beside them,
/// and the log's segments.
pub const DESCRIPTORS_PER_DATABASE: usize = 320;
/// Descriptors of the process itself: its standard streams, the listener, the runtime, connections that are turned
/// away.
pub const DESCRIPTORS_FOR_ITSELF: usize = 32;
/// Connections whose handshake is not done; further ones wait in the backlog. Each may hold 4 KiB and 5 seconds.
pub const MAX_HANDSHAKES: usize = 1_024;
/// Of these, those of one address: a quarter. Enough for a herd behind one address, who each take a round trip or two (over
/// 50 ms and TLS 2,500 a second come in); further ones wait.
pub const MAX_HANDSHAKES_OF_ONE: usize = MAX_HANDSHAKES / 4;
/// How long a connection that has spoken waits for its turn among those of its address, at most: a client has given up
/// after 5 s, and others may be more patient with a server that is slow.
pub const MAX_HANDSHAKE_WAIT: Duration = Duration::from_secs(30);
/// Sockets beyond the places of clients, for asking how the server is when they are all taken, and for being told so in
/// the way that one came. They are among [`DESCRIPTORS_FOR_ITSELF`].
pub const SPARE_PLACES: usize = 8;
/// How long one who has begun to speak keeps such a place from others who come: the three round trips of TLS and a request,
/// over a third of a second each.
pub const SPARE_PATIENCE: Duration = Duration::from_secs(1);
/// One read of what a connection begins with: the longest hello that may be sent, nearly.
pub const FIRST_BYTES: usize = 4 << 10;
/// The longest head of an HTTP request, in bytes: the library takes no smaller limit, and browsers send 2 KiB.
pub const HTTP_BUFFER_BYTES: usize = 8 << 10;
/// The most header lines of an HTTP request: browsers send 20.
pub const MAX_HTTP_HEADERS: usize = 64;
/// The rights on a Unix socket: its owner may connect, since nobody can be authenticated.
pub const SOCKET_MODE: u32 = 0o600;
/// The rights on the key of a certificate.
pub const KEY_MODE: u32 = 0o600;
/// Connections that the system holds until they are accepted: a reconnecting herd of 10,000 overflows the usual
/// 1,024.
pub const BACKLOG: u32 = 4_096;
/// The first pause after an accept failed for want of descriptors or memory; it doubles up to [`MAX_ACCEPT_PAUSE`].
pub const MIN_ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause: clients give up after some seconds.
pub const MAX_ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Bytes read from a socket at a time.
pub const READ_BYTES: usize = 64 << 10;
/// Reads from one socket before the others have their turn.
pub const READS_IN_TURN: usize = 4;
/// How long the work of one client may take before the others, sockets and signals have their turn; by what passes it,
/// which is one operation, one page, one step of a subscription. Ten clients that work without pause hold up another
/// by some 10 ms on two cores.
pub const TURN: Duration = Duration::from_millis(2);
/// Batches of output and the pages that follow them, before the others have their turn.
pub const ROUNDS_IN_TURN: u32 = 8;
/// Memory for output that an idle connection may keep, in bytes.
pub const IDLE_OUTPUT_BYTES: usize = 4 << 10;

/// How long the last words of a connection that ended may take, and its peer to hang up.
pub const LINGER: Duration = Duration::from_secs(1);
/// Bytes that such a peer may still send; they are thrown away, so that it reads the last words before a reset.
pub const LINGER_BYTES: usize = 4 << 20;

/// From this wait for the disk on, the thread that leads a commit lets another take the connections that it serves
/// meanwhile: changing threads costs about 35 µs, which would be a quarter of a fast disk's sync and is nothing beside a
/// slow one's.
pub const SLOW_DISK: Duration = Duration::from_millis(2);

/// Threads that serve connections, at most: beyond, the decider's lock is what they wait for.
pub const MAX_WORKERS: usize = 8;

/// How often the log is asked whether it became idle: it must vouch for its last batch within 100 ms.
pub const TICK: Duration = Duration::from_millis(40);
/// By how much the upkeep thread is nicer than those that serve clients: a flush of 64 MiB takes a core for half a
/// second, and clients should not wait beside it. It still gets a quarter of a busy core, so that a store that takes
/// writes as fast as it can is not left behind.
pub const UPKEEP_NICENESS: i32 = 5;
/// How often the store is asked for maintenance.
pub const MAINTENANCE: Duration = Duration::from_millis(200);
/// How long after a change a checkpoint is made at the latest: restarting replays a minute of work at most.
pub const CHECKPOINT_AFTER: Duration = Duration::from_secs(60);
/// After how many bytes of changes a checkpoint is made: a fraction of a second to replay.
pub const CHECKPOINT_BYTES: u64 = 64 << 20;
/// The fewest that may be asked for: each checkpoint is a file or more, and some ten syncs.
pub const MIN_CHECKPOINT_BYTES: u64 = 1 << 20;
/// How long a duty that met a full disk waits until it tries again: trying may write a lot, in vain.
pub const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

/// The log keeps at most so small a part of the disk for subscribers that were away.
pub const RETENTION_PART: u64 = 10;
/// A memtable, and a table of the store, is at most so small a part of the disk: flushing it must fit beside the rest.
pub const MEMTABLE_PART: u64 = 32;
/// What a small disk does not make a memtable smaller than.
pub const MIN_MEMTABLE_BYTES: u64 = 1 << 20;
/// The store's cache of blocks takes so small a part of the machine's memory: beside two memtables and the feed it is not
/// what decides whether a small machine swaps.
pub const CACHE_PART: u64 = 64;
/// The least that the cache takes: a point read that misses it reads and decodes a block, some 5 µs.
pub const MIN_CACHE_BYTES: u64 = 32 << 20;
/// The most: above it the system's own cache of pages serves as well, for a copy more.
pub const MAX_CACHE_BYTES: u64 = 256 << 20;
/// Changes of at most so small a part of the disk lie in the log alone: it is trimmed only up to a checkpoint.
pub const CHECKPOINT_PART: u64 = 32;

/// How long clients are told to wait before they connect to a server that is stopping, in milliseconds.
pub const RETRY_AFTER_MS: u32 = 1_000;
/// How long stopping waits for clients, the protocol's own deadline for a Goodbye included.
pub const STOP_DEADLINE: Duration = Duration::from_secs(12);

/// Bytes of a segment of a log that lives in memory: its next one is always there beforehand.
pub const MEMORY_SEGMENT_BYTES: u32 = 4 << 20;
