//! Every limit of frames and messages, each with its reason.

pub use super::header::MAX_PAYLOAD_BYTES;
pub use crate::blazebinary::limits::MAX_RECORD_BYTES;

/// The largest payload before the handshake is done, in bytes. A hello takes about 100; more would let strangers
/// make the server hold memory for them.
pub const MAX_HANDSHAKE_PAYLOAD_BYTES: usize = 4 << 10;

/// At which plain payload length a frame of rows or changes is closed. Small enough that another stream of the
/// connection waits less than a millisecond behind one on a 1 Gbit/s link, large enough that the frame's own 46
/// bytes are nothing.
pub const BULK_PAYLOAD_BYTES: usize = 32 << 10;

/// The longest program name and version that a side gives of itself, in bytes: it ends in logs.
pub const MAX_AGENT_BYTES: usize = 128;

/// The longest text of an Error or Goodbye, in bytes: a sentence or three.
pub const MAX_TEXT_BYTES: usize = 1024;

/// The longest name of a capability, in bytes.
pub const MAX_CAPABILITY_BYTES: usize = 32;

/// The most capabilities that a side names: a few exist, and a hello must fit
/// [`MAX_HANDSHAKE_PAYLOAD_BYTES`] with room to spare.
pub const MAX_CAPABILITIES: usize = 64;

/// The most operations of one node that may be unacknowledged: the server keeps an outcome for each.
pub const MAX_OPERATION_WINDOW: u16 = 1024;

/// Payloads below this are never compressed, in bytes: the 4 bytes of plain length and LZ4's own cost eat what is
/// won, and a frame this small leaves in one packet either way.
pub const MIN_COMPRESSIBLE_BYTES: usize = 512;

/// A compressed payload must be at least this fraction smaller (one eighth) to be sent compressed; less does not
/// pay for the receiver's decompression.
pub const MIN_COMPRESSION_GAIN_DIVISOR: usize = 8;

/// The most plain bytes that one compressed byte may stand for: what an LZ4 block can reach by itself (a length
/// byte adds 255), so that no honest sender meets it.
pub const MAX_COMPRESSION_RATIO: usize = 255;
