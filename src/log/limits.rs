//! Every size of the log, each with its reason.

use std::time::Duration;

use crate::wire::header::{HEADER_BYTES, TRAILER_BYTES};

/// Base-two logarithm of [`BLOCK_BYTES`], as a segment header records it.
pub const BLOCK_LOG2: u8 = 12;

/// Bytes of a block. Every frame begins on one, so that two commits never share a sector or a page: what the disk
/// does to the one being written cannot harm the one before it. 4 KiB is the larger of both in practice.
pub const BLOCK_BYTES: u32 = 1 << BLOCK_LOG2;

/// Where a segment's Seal lies: block 1, alone, since it is the one frame written after later blocks.
pub const SEAL_OFFSET: u32 = BLOCK_BYTES;

/// Where a segment's first commit begins: block 2.
pub const FIRST_COMMIT_OFFSET: u32 = 2 * BLOCK_BYTES;

/// The longest commit frame, header and trailer included: what a reader must be able to hold at once. It is a whole
/// number of blocks and leaves room for any record of 1 MiB with its envelope.
pub const MAX_COMMIT_BYTES: usize = 2 << 20;

/// Bytes of a commit's head: salt, durable mark, chain, clock and the checksum of all that.
pub const COMMIT_HEAD_BYTES: usize = 36;

/// Bytes in front of a commit's body: frame header and commit head.
pub const COMMIT_PREFIX_BYTES: usize = HEADER_BYTES + COMMIT_HEAD_BYTES;

/// The most bytes of transactions in one commit.
pub const MAX_BODY_BYTES: usize = MAX_COMMIT_BYTES - COMMIT_PREFIX_BYTES - TRAILER_BYTES;

/// The most bytes of all pieces of one transaction: large enough for any batch a client should wait for, small enough
/// that a segment for it can still be made and read back in well under a second.
pub const MAX_TRANSACTION_BYTES: usize = 64 << 20;

/// When the transactions that wait to be written exceed this, no more are accepted until some have been: four
/// commits' worth, more than a sync's time of writing. One larger transaction is accepted when nothing else waits.
pub const MAX_WAITING_BYTES: usize = 4 * MAX_COMMIT_BYTES;

/// Bytes of a segment unless one transaction needs more: rotation (some 100 ms of zeros, done beforehand) is rare at
/// this size, and what can be trimmed comes in small enough portions.
pub const SEGMENT_BYTES: u32 = 64 << 20;

/// Bytes of a segment that is made while someone waits for it: when a log is made, when one is opened after a crash, when
/// none was made beforehand. Filling 64 MiB with zeros takes 300 ms, this about 20.
pub const HASTY_SEGMENT_BYTES: u32 = 4 << 20;

/// A segment is at most so small a part of its disk, so that the log of a small one can be trimmed in steps.
pub const SEGMENT_PART: u64 = 64;

/// What a small disk does not make a segment smaller than: making one costs some five syncs.
pub const SMALL_SEGMENT_BYTES: u32 = 1 << 20;

/// The part of a disk that the log leaves to what frees space: deletions, the store's flushes, checkpoints, which
/// let the log be trimmed.
pub const RESERVE_PART: u64 = 16;

/// The most that is so left: the store's largest flush and the segments of some thousand deletions.
pub const MAX_RESERVE_BYTES: u64 = 256 << 20;

/// The longest segment: room for the largest transaction, each commit of it padded to its block.
pub const MAX_SEGMENT_BYTES: u32 = 128 << 20;

/// The shortest segment: a header, a Seal and one block of commits. Tests use short ones.
pub const MIN_SEGMENT_BYTES: u32 = 3 * BLOCK_BYTES;

/// The longest name of a principal, in bytes of UTF-8: the width of its length.
pub const MAX_PRINCIPAL_BYTES: usize = u8::MAX as usize;

/// Bytes of a piece of a transaction without its effects, when every optional part is there and the principal is as
/// long as can be.
pub const MAX_PIECE_HEAD_BYTES: usize = 4 + 1 + 8 + 16 + 8 + 8 + 1 + MAX_PRINCIPAL_BYTES + 16 + 4;

/// The longest encoded effect: one must fit a commit, since pieces end between effects.
pub const MAX_EFFECT_BYTES: usize = MAX_BODY_BYTES - MAX_PIECE_HEAD_BYTES - 4;

/// How long the log may hold a batch that no later frame vouches for, before an empty commit does. Half of the 100 ms
/// that the specification allows, so that a timer which comes late still keeps it.
pub const IDLE_AFTER: Duration = Duration::from_millis(50);

/// From this many transactions on, a batch should be synced on another thread while its leader folds it
/// (`spec/adr/0004-group-commit.md`).
pub const SYNC_ASIDE_TRANSACTIONS: u64 = 16;

/// Bytes read from a segment at a time: large enough to read at the disk's speed, small beside a segment.
pub(crate) const READ_AHEAD_BYTES: usize = 256 << 10;

/// Bytes of zeros written at a time when a segment is made.
pub(crate) const ZERO_CHUNK_BYTES: usize = 1 << 20;
