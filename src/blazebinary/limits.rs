//! Every limit of the encoding, each with its reason.

/// The longest record in canonical form, in bytes, its layout 2 checksum included.
///
/// A record must fit a frame twice over (the frame's payload limit is 2 MiB) so that one record never
/// needs to be split, and a reader of a stream never buffers more than a frame. Larger values wait for blobs.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// How many containers (arrays and dicts) may nest inside one another, the record itself not counted.
///
/// Deep enough for any document seen in practice; small enough that reading, comparing and dropping a value
/// recurse safely on a 256 KiB stack.
pub const MAX_NESTING: usize = 64;

/// The most entries of a record, an array or a dict: the width of the format's u16 count.
pub const MAX_ENTRIES: usize = u16::MAX as usize;

/// The longest key, in bytes of UTF-8: the width of the format's u16 length.
pub const MAX_KEY_BYTES: usize = u16::MAX as usize;

/// Lenient mode only: the longest string or data, in bytes. Swift's decoders refuse more.
pub const LENIENT_MAX_TEXT_BYTES: usize = 100_000_000;

/// Lenient mode only: the most items of a vector. Swift's decoders refuse more.
pub const LENIENT_MAX_VECTOR_ITEMS: usize = 1_000_000;
