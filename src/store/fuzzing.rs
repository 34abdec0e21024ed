//! The bodies of the fuzz targets: keys, rows and manifests as they lie on disk.

use super::value::{ChangeRow, RecordRow, open, seal};
use super::{CollectionId, Key, Summary};
use crate::store::lsm::disk::named_tables;

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[("store_rows", store_rows)];

/// Bytes of a table in a manifest: id, kind of hash, hash, sequence.
const TABLE_BYTES: usize = 8 + 25;

/// A choice u8, the length of a key u8, the key, and the rest as a value: as it is, as what a checksum closes, or as the
/// parts of a record's row of which then one bit is wrong.
pub fn store_rows(data: &[u8]) {
    let Some((&[choice, key_bytes], rest)) = data.split_first_chunk() else { return };
    let Some((key, value)) = rest.split_at_checked(usize::from(key_bytes)) else { return };
    if let Ok(found) = Key::decode(key) {
        assert_eq!(&*found.encode(), key, "a key has one form");
    }
    match choice % 4 {
        0 => {
            let _ = open(key, value);
            let _ = RecordRow::decode(key, value.into());
        }
        1 => sealed(key, value),
        2 => record(key, value, choice),
        _ => {
            if let Some(tables) = named_tables(value) {
                assert!(tables.len() <= value.len() / TABLE_BYTES, "tables from nowhere");
            }
        }
    }
}

/// What a checksum closes opens, and is read as each kind of row.
fn sealed(key: &[u8], payload: &[u8]) {
    assert_eq!(open(key, &seal(key, payload)).ok(), Some(payload));
    let change = seal(&Key::BySeq(7).encode(), payload);
    if let Ok(row) = ChangeRow::decode(7, &change) {
        assert_eq!(row.encode(7), change, "a change has one form");
    }
    let summary = seal(&Key::Summary(CollectionId::MAX).encode(), payload);
    if let Ok(row) = Summary::decode(CollectionId::MAX, &summary) {
        assert_eq!(row.encode(CollectionId::MAX), summary, "a summary has one form");
    }
}

/// The row of a record with an envelope of half of `parts` is read as it was written, and with a wrong bit not at all.
fn record(key: &[u8], parts: &[u8], choice: u8) {
    let (envelope, record) = parts.split_at(parts.len() / 2);
    let content = (choice & 4 == 0).then(|| (record, crc32fast::hash(record)));
    let Ok(value) = RecordRow::encode(key, 7, envelope, content) else { return };
    let row = RecordRow::decode(key, value.clone().into());
    assert!(row.is_ok_and(|row| (row.seq(), row.envelope(), row.record()) == (7, envelope, content)));
    let bit = parts.first().map_or(0, |&first| usize::from(first) << 3 | usize::from(choice >> 5));
    let mut damaged = value;
    if let Some(byte) = damaged.get_mut(bit >> 3) {
        *byte ^= 1 << (bit & 7);
        // CRC-32 finds every single bit (Koopman, "32-bit cyclic redundancy codes", 2002).
        assert!(RecordRow::decode(key, damaged.into()).is_err(), "bit {bit} is wrong and nobody minds");
    }
}
