//! Every limit of live changes, each with its reason.

/// Effects that one step looks at before others have their turn: some 100 µs where all of them are of other collections
/// and come from the log. The transaction at hand is looked through to its end.
pub const TURN_EFFECTS: usize = 1_024;

/// After how many numbers that concern others a subscription is told its position: whoever resumes reads no more than
/// these again, some 10 ms.
pub const UNTOLD_NUMBERS: u64 = 16_384;

/// Bytes that all subscriptions of a server together may hold between steps, in readers of the log, transactions and rows
/// that were read and not told. Beyond it a subscription keeps its position alone and reads again.
pub const MAX_RESTING_BYTES: usize = 32 << 20;

/// What an open reader of the log or of a snapshot holds at least, roughly: its window and what it pins.
pub const READER_BYTES: usize = 128 << 10;
