//! Typed JSON: a text form of values that is exact in both directions; the normative text is `spec/json.md`.
//!
//! What JSON says exactly is plain JSON. The rest is an object with one key, `$int`, `$double`, `$date`, `$uuid`,
//! `$data` or `$vector`; a key of a dict or record that begins with `$` gains another. A number with a point or an
//! exponent is a double, any other an integer.
//!
//! ```
//! use blazedb::blazebinary::json;
//! let text = r#"{"a":5,"b":5.0,"id":{"$uuid":"550e8400-e29b-41d4-a716-446655440000"}}"#;
//! let record = json::read_record(text).unwrap();
//! let mut again = String::new();
//! json::write_record(&record, &mut again);
//! assert_eq!(again, text);
//! ```

mod cursor;
mod error;
mod read;
mod scalar;
mod write;

pub use error::{JsonError, JsonErrorKind};
pub use read::{read_record, read_value};
pub use write::{write_record, write_value};

/// The keys that make an object with one key a scalar.
mod scalar_key {
    pub(super) const INT: &str = "$int";
    pub(super) const DOUBLE: &str = "$double";
    pub(super) const DATE: &str = "$date";
    pub(super) const UUID: &str = "$uuid";
    pub(super) const DATA: &str = "$data";
    pub(super) const VECTOR: &str = "$vector";
}

/// Begins the keys above, and is doubled where a key of a dict begins with it.
const MARK: char = '$';

/// The greatest magnitude of an integer that is written as a plain number: beyond it readers that keep numbers as
/// doubles, JavaScript's among them, would round.
const MAX_PLAIN_INT: u64 = (1 << 53) - 1;

/// The bits of the NaN that is written by its name; every other NaN is written by its bits.
const NAMED_NAN: u64 = 0x7FF8_0000_0000_0000;
const NAN: &str = "NaN";
const INFINITY: &str = "Infinity";
const NEGATIVE_INFINITY: &str = "-Infinity";
/// Begins the 16 hexadecimal digits of a double's bits.
const BITS_PREFIX: &str = "0x";

#[cfg(test)]
mod tests;
