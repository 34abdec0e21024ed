//! The ids of imported records: the same file, or the same key, gives the same ids; the normative text is
//! `spec/import.md`, I-4.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::blazebinary::{EncodeError, Value, encode_value};

/// The SHA-256 of a file, decompressed.
pub(crate) type FileHash = [u8; 32];

/// The field that names a record.
pub(super) const ID: &str = "id";
/// What an imported field `id` becomes if it does not name records.
pub(super) const SOURCE_ID: &str = "source_id";

/// The id of the record that is the `row`th of its file, from 1: 48 bits of the file's hash, then the row in 74 bits
/// around version and variant, so that ids are in the order of rows.
pub(super) fn of_row(file: &FileHash, row: u64) -> Uuid {
    let [a, b, c, d, e, f, ..] = *file;
    // Twelve bits stand between version and variant, which no row reaches, and 62 behind the variant.
    let number = row.to_be_bytes();
    let [hash_and_version, tail] = [[a, b, c, d, e, f, 0, 0], number];
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().zip(hash_and_version.into_iter().chain(tail)) {
        *place = byte;
    }
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// The id of the record of `collection` whose key is `values`: the first 16 bytes of the SHA-256 of their canonical
/// encodings one behind the other, with the bits of version and variant put in.
///
/// # Errors
/// [`EncodeError`] if a value passes a limit of the encoding.
pub(super) fn of_key<'a>(
    collection: &str,
    values: impl Iterator<Item = Option<&'a Value>>,
) -> Result<Uuid, EncodeError> {
    let mut encoded = Vec::new();
    crate::blazebinary::put::string(collection, &mut encoded)?;
    for value in values {
        encode_value(value.unwrap_or(&Value::Null), &mut encoded)?;
    }
    let hash: [u8; 32] = Sha256::digest(&encoded).into();
    let mut bytes = [0; 16];
    for (place, byte) in bytes.iter_mut().zip(hash) {
        *place = byte;
    }
    Ok(Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hashlib (spec/import.md, I-4.6).
    #[test]
    fn ids_by_key_are_what_python_computes() {
        let check = |values: &[Option<Value>], expected: &str| {
            let id = of_key("flights", values.iter().map(Option::as_ref)).unwrap();
            assert_eq!(id.to_string(), expected, "{values:?}");
        };
        check(&[Some(Value::from("UA")), Some(Value::Int(1545))], KEY_UA_1545);
        check(&[Some(Value::from("UA")), None], KEY_UA_NULL);
        check(&[Some(Value::from("UA")), Some(Value::Null)], KEY_UA_NULL);
    }

    const KEY_UA_1545: &str = "cbe942a2-9628-840e-b4c7-da2c44b6b15c";
    const KEY_UA_NULL: &str = "43660f71-3da3-8664-994f-d0e37e4e7f6e";

    /// The hash is that of the bytes `a\n1\n` (spec/import.md, I-4.6).
    #[test]
    fn ids_by_row_are_what_python_computes_and_rise() {
        let hash: FileHash = Sha256::digest(b"a\n1\n").into();
        for (row, expected) in [
            (1, "309b0e45-a73d-8000-8000-000000000001"),
            (256, "309b0e45-a73d-8000-8000-000000000100"),
            (1 << 61, "309b0e45-a73d-8000-a000-000000000000"),
        ] {
            assert_eq!(of_row(&hash, row).to_string(), expected);
        }
        assert!(of_row(&hash, 255) < of_row(&hash, 256));
    }
}
