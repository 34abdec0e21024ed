//! Every limit of the engine, each with its reason.

use std::time::Duration;

use crate::wire::limits::MAX_OPERATION_WINDOW;

/// How many outcomes of a node are kept: as many as it may have unacknowledged, so that every repetition that an
/// honest client can send finds its first answer.
pub const OUTCOMES_KEPT: u64 = MAX_OPERATION_WINDOW as u64;

/// The most bytes that the effects of one transaction may take. A frame holds 2 MiB, but each of its patches may
/// re-encode a record of 1 MiB: without a bound 60 KiB of patches would write 2 GiB. Below the log's own limit of
/// 64 MiB by more than all heads of pieces can take.
pub const MAX_TRANSACTION_BYTES: usize = 48 << 20;

/// The most patched fields that a record's envelope names. A patch that would pass this or
/// [`MAX_FIELD_CLOCK_BYTES`] is decided as a put of the whole record, which names none.
pub const MAX_FIELD_CLOCKS: usize = 256;

/// The most bytes of names of patched fields in an envelope: with the stamps it stays below the 65,535 bytes that a
/// row has for it.
pub const MAX_FIELD_CLOCK_BYTES: usize = 32 << 10;

/// The most collections of a database at a time: all their entries are held in memory.
pub const MAX_COLLECTIONS: usize = 65_536;

/// How many drops of collections are remembered one by one, so that whoever was away learns whether the collection that
/// he follows was dropped meanwhile. Of a position before all of them he is told that it may have been.
pub const MAX_DROPS_REMEMBERED: usize = 1024;

/// How many rows of a dropped collection go at once: half a millisecond in which commits wait for their fold.
pub const SWEEP_ROWS: usize = 256;

/// How often that is done in one turn of maintenance, commits in between: a turn every 40 ms sweeps 100,000 rows a second.
pub const SWEEP_CHUNKS: usize = 16;

/// The most nodes that have a ledger: all their ids are held in memory, some 50 bytes each.
pub const MAX_NODES: usize = 1_000_000;

/// After how long unseen an ephemeral node is forgotten, one whose client named no id: such clients do not mean to come
/// back, but for a network that broke.
pub const EPHEMERAL_UNSEEN: Duration = Duration::from_secs(3600);

/// After how long unseen any other node is forgotten: a device that was in a drawer for a month starts anew.
pub const NODE_UNSEEN: Duration = Duration::from_secs(30 * 24 * 3600);

/// How old the note may be of when an ephemeral node was seen, as long as it is: a sixth of what it is good for.
pub const EPHEMERAL_NOTED_AFTER: Duration = Duration::from_secs(600);

/// The same of any other node: a note a day costs nothing.
pub const NODE_NOTED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// For how long after it was opened a database forgets no node: clients that its own absence kept away come back first.
pub const FORGETS_AFTER: Duration = Duration::from_secs(3600);

/// How far the clock may be ahead by which a client made its node's id.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// How many nodes are looked at in one turn of upkeep: a million in a few minutes.
pub const NODES_IN_TURN: usize = 1024;

/// About how many rows one turn may write and remove: forgetting a node removes up to [`OUTCOMES_KEPT`].
pub const NODE_ROWS_IN_TURN: u64 = 4 * OUTCOMES_KEPT;

/// How many nodes' highest numbers the decider remembers; others are read from the store again.
pub const MAX_REMEMBERED_NODES: usize = 16_384;

/// How old a snapshot may become while someone reads it: long enough for a slow scan, short enough that what was
/// overwritten meanwhile does not pile up.
pub const MAX_SNAPSHOT_AGE: Duration = Duration::from_secs(60);

/// The most bytes of recent changes held in memory for subscribers that are nearly up to date. Older ones are read
/// from the log. A server that is written to as fast as it can holds this beside two memtables.
pub const MAX_FEED_BYTES: usize = 16 << 20;

/// The most rows of one chunk of a scan, so that a reader yields often enough.
pub const MAX_CHUNK_ROWS: usize = 1024;

/// The most bytes of one chunk of a scan, by the row that passes it.
pub const MAX_CHUNK_BYTES: usize = 1 << 20;
