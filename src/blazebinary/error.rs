//! What can be wrong with bytes that are read, and with values that are written.

use thiserror::Error;

use super::limits;

/// Bytes that are not an acceptable encoding: the sender's fault. Names the offset, in bytes from the start of
/// the input, of the item that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} (at byte {offset})")]
pub struct DecodeError {
    /// Where the wrong item begins, in bytes from the start of the input.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
}

/// The ways in which bytes can be wrong. [`DecodeErrorKind::code`] is the name that vectors and other
/// implementations use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The input ends inside the item.
    #[error("the input ends inside this item")]
    Truncated,
    /// The first five bytes are not `BLAZE`.
    #[error("a record begins with the bytes BLAZE")]
    BadMagic,
    /// A layout byte other than 1 and 2.
    #[error("record layout {0:#04x} is not known; 1 and 2 are")]
    UnsupportedLayout(u8),
    /// The CRC-32 of a layout 2 record does not match its bytes.
    #[error(
        "the record's CRC-32 is {stored:08x}, its bytes give {computed:08x}: damaged on the way or at rest"
    )]
    ChecksumMismatch {
        /// The checksum the record carries.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// A value tag that the format does not define.
    #[error("value tag {0:#04x} is not defined")]
    UnknownTag(u8),
    /// A field id outside the dictionary of common names.
    #[error("field id {0:#04x} is not in the dictionary of common names")]
    UnknownField(u8),
    /// A string or key that is not UTF-8.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// Bytes after the last field.
    #[error("bytes follow the last field")]
    TrailingBytes,
    /// An integer of 0 to 255 written in nine bytes.
    #[error("not canonical: an integer of 0 to 255 takes tag 12")]
    NonCanonicalInt,
    /// A string in a longer form than its length needs.
    #[error("not canonical: strings of 0, 1 to 15 and more bytes take tags 11, 21 to 2f and 01")]
    NonCanonicalString,
    /// A bool byte other than 0 and 1.
    #[error("not canonical: a bool is 00 or 01")]
    NonCanonicalBool,
    /// An empty array or dict with a count.
    #[error("not canonical: an empty array takes tag 18, an empty dict tag 19")]
    NonCanonicalEmpty,
    /// A common name that is written out at the top level.
    #[error("not canonical: a common field name takes its one-byte id")]
    NonCanonicalKey,
    /// A key that sorts before the one in front of it.
    #[error("not canonical: keys are sorted by the UTF-8 bytes of their NFC forms")]
    KeysOutOfOrder,
    /// A key that names the same field as the one in front of it.
    #[error("a key appears twice (keys with equal NFC forms are one key)")]
    DuplicateKey,
    /// More containers inside one another than [`limits::MAX_NESTING`].
    #[error("more than {} containers nest inside one another", limits::MAX_NESTING)]
    TooDeep,
    /// A record longer than [`limits::MAX_RECORD_BYTES`].
    #[error("a record has at most {} bytes", limits::MAX_RECORD_BYTES)]
    RecordTooLarge,
    /// Lenient mode: a string or data longer than [`limits::LENIENT_MAX_TEXT_BYTES`].
    #[error("a string or data has at most {} bytes", limits::LENIENT_MAX_TEXT_BYTES)]
    TextTooLong,
    /// Lenient mode: a vector of more items than [`limits::LENIENT_MAX_VECTOR_ITEMS`].
    #[error("a vector has at most {} items", limits::LENIENT_MAX_VECTOR_ITEMS)]
    VectorTooLong,
}

impl DecodeErrorKind {
    /// The stable name of this kind, as vectors and other implementations use it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::BadMagic => "bad_magic",
            Self::UnsupportedLayout(_) => "unsupported_layout",
            Self::ChecksumMismatch { .. } => "checksum_mismatch",
            Self::UnknownTag(_) => "unknown_tag",
            Self::UnknownField(_) => "unknown_field",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TrailingBytes => "trailing_bytes",
            Self::NonCanonicalInt => "non_canonical_int",
            Self::NonCanonicalString => "non_canonical_string",
            Self::NonCanonicalBool => "non_canonical_bool",
            Self::NonCanonicalEmpty => "non_canonical_empty",
            Self::NonCanonicalKey => "non_canonical_key",
            Self::KeysOutOfOrder => "keys_out_of_order",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::RecordTooLarge => "record_too_large",
            Self::TextTooLong => "text_too_long",
            Self::VectorTooLong => "vector_too_long",
        }
    }

    /// This kind, found at `offset`.
    #[cold]
    pub(super) fn at(self, offset: usize) -> DecodeError {
        DecodeError { offset, kind: self }
    }
}

/// A value that the format cannot hold: the caller's fault. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// More entries in one container than [`limits::MAX_ENTRIES`].
    #[error("a record, array or dict has at most {max} entries, this one has {0}", max = limits::MAX_ENTRIES)]
    TooManyEntries(usize),
    /// A key longer than [`limits::MAX_KEY_BYTES`].
    #[error("a key has at most {max} bytes, this one has {0}", max = limits::MAX_KEY_BYTES)]
    KeyTooLong(usize),
    /// More containers inside one another than [`limits::MAX_NESTING`].
    #[error("at most {} containers nest inside one another; flatten the value", limits::MAX_NESTING)]
    TooDeep,
    /// A record longer than [`limits::MAX_RECORD_BYTES`].
    #[error("a record has at most {max} bytes, this one has {0}; split it", max = limits::MAX_RECORD_BYTES)]
    RecordTooLarge(usize),
}
