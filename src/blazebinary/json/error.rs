//! What can be wrong with a JSON text.

use thiserror::Error;

use super::super::date::DateError;
use super::super::limits;

/// A text that is not an acceptable value: its author's fault. Names the place of the item that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} (at line {line}, column {column})")]
pub struct JsonError {
    /// The line, from 1; lines end with a line feed.
    pub line: usize,
    /// The column, from 1, in characters (Unicode scalar values).
    pub column: usize,
    /// The offset from the start of the text, in bytes.
    pub offset: usize,
    /// What is wrong.
    pub kind: JsonErrorKind,
}

/// The ways in which a text can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// The text ends before the value does.
    #[error("the text ends here, but {0} should follow")]
    UnexpectedEnd(&'static str),
    /// Something else stands where the grammar wants this.
    #[error("expected {0}")]
    Expected(&'static str),
    /// More text follows the value.
    #[error("more text follows the value; one text holds one value")]
    TrailingText,
    /// The text begins with U+FEFF.
    #[error("the text begins with a byte order mark (U+FEFF); save it as UTF-8 without one")]
    ByteOrderMark,
    /// A record was wanted, the text holds another value.
    #[error("a record is an object of fields, such as {{\"name\":\"Ada\"}}")]
    NotARecord,
    /// A number that begins with a zero and goes on.
    #[error("a number does not begin with 0 unless a point or exponent follows it")]
    LeadingZero,
    /// A literal without point or exponent outside 64 bits.
    #[error(
        "an integer lies between -2^63 and 2^63-1; write it with a point (1.0) for a double, or as a string"
    )]
    IntOutOfRange,
    /// A literal beyond the greatest double.
    #[error("a double goes up to about 1.8e308; for infinity write {{\"$double\":\"Infinity\"}}")]
    DoubleOutOfRange,
    /// A control character as itself in a string.
    #[error("a control character in a string is written as an escape, such as \\n or \\u001f")]
    ControlCharacter,
    /// An escape that JSON does not define.
    #[error("not an escape; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX")]
    BadEscape,
    /// Half of a surrogate pair.
    #[error(
        "half of a surrogate pair: \\ud800 to \\udbff and \\udc00 to \\udfff stand only together, in this order"
    )]
    LoneSurrogate,
    /// A key that names the same field as one before it.
    #[error("a key appears twice in this object (keys with equal NFC forms are one key)")]
    DuplicateKey,
    /// A key with one `$` that is not one of the six, or not alone.
    #[error(
        "a key with one $ is reserved: $int, $double, $date, $uuid, $data and $vector stand alone in their object; write $$ for a field whose name begins with $"
    )]
    ReservedKey,
    /// The content of `$int`.
    #[error("$int holds the decimal digits of a 64-bit integer as a string, such as \"9007199254740993\"")]
    BadInt,
    /// The content of `$double`.
    #[error(
        "$double holds a number, or one of \"NaN\", \"Infinity\", \"-Infinity\", or \"0x\" and the 16 hexadecimal digits of its bits"
    )]
    BadDouble,
    /// The content of `$date`.
    #[error(
        "$date holds an RFC 3339 date such as \"2013-01-01T10:00:00Z\", or \"0x\" and the 16 hexadecimal digits of its bits: {0}"
    )]
    BadDate(DateError),
    /// The content of `$uuid`.
    #[error("$uuid holds a hyphenated UUID such as \"550e8400-e29b-41d4-a716-446655440000\"")]
    BadUuid,
    /// The content of `$data`.
    #[error("$data holds padded standard base64, such as \"AAEC/w==\"")]
    BadData,
    /// The content of `$vector`.
    #[error("$vector holds an array of numbers, each a literal or {{\"$double\":…}}")]
    BadVector,
    /// A NaN in a vector with bits in the half that vectors do not keep: cutting them could leave an infinity.
    #[error("a vector keeps the upper 32 bits of an item: the last eight digits of this NaN must be 0")]
    InexactVectorItem,
    /// More containers inside one another than [`limits::MAX_NESTING`].
    #[error("more than {} containers nest inside one another; flatten the value", limits::MAX_NESTING)]
    TooDeep,
    /// More entries in one container than [`limits::MAX_ENTRIES`].
    #[error("a record, array or dict has at most {} entries; split it", limits::MAX_ENTRIES)]
    TooManyEntries,
    /// A key longer than [`limits::MAX_KEY_BYTES`].
    #[error("a key has at most {} bytes of UTF-8", limits::MAX_KEY_BYTES)]
    KeyTooLong,
}

impl JsonErrorKind {
    /// This kind, found at byte `offset` of `text`.
    #[cold]
    pub(super) fn at(self, text: &str, offset: usize) -> JsonError {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let line_ends = before.bytes().filter(|&byte| byte == b'\n').count();
        JsonError {
            line: line_ends.saturating_add(1),
            column: column.saturating_add(1),
            offset: before.len(),
            kind: self,
        }
    }
}
