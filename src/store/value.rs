//! How values are framed: every one carries a checksum that its writer computed and its reader compares, so that
//! wrong bytes are an error and never an answer, whatever a backend does or does not check.
//!
//! The first byte names the layout; a later layout takes a new byte. The checksum covers the key, so a row that
//! turns up under another key is an error too. All numbers are big-endian, CRC-32 is IEEE's.
//!
//! `01`, small rows:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | `01` |
//! | 1 | n | payload |
//! | 1+n | 4 | CRC-32 of the key and all before |
//!
//! `10`, a record, and `11`, the tombstone of one:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | `10` or `11` |
//! | 1 | 8 | sequence of its latest change |
//! | 9 | 2 | bytes of the envelope, e |
//! | 11 | e | envelope |
//! | 11+e | 4 | CRC-32 of the record, as it travelled with it; 0 in a tombstone |
//! | 15+e | 4 | CRC-32 of the key and all before |
//! | 19+e | n | record; nothing in a tombstone |

use super::{Bytes, CollectionId, Key, Misuse, RecordId, StoreError};

const SMALL: u8 = 0x01;
const RECORD: u8 = 0x10;
const TOMBSTONE: u8 = 0x11;
/// The longest envelope: its length has two bytes.
pub const MAX_ENVELOPE_BYTES: usize = u16::MAX as usize;

/// A small row's value: `payload` framed for `key`.
pub fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(payload.len().saturating_add(5));
    value.push(SMALL);
    value.extend_from_slice(payload);
    let checksum = checksum(key, &value);
    value.extend_from_slice(&checksum.to_be_bytes());
    value
}

/// The payload of the small row that stands under `key`.
///
/// # Errors
/// [`StoreError::Corrupt`]: these are not the bytes that were written under this key.
pub fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let (framed, stored) = value.split_last_chunk().ok_or_else(|| malformed(key))?;
    if u32::from_be_bytes(*stored) != checksum(key, framed) {
        return Err(damaged(key));
    }
    match framed.split_first() {
        Some((&SMALL, payload)) => Ok(payload),
        _ => Err(malformed(key)),
    }
}

/// Whether a record was put or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ChangeKind {
    /// The record is there.
    Put = 1,
    /// It was deleted.
    Delete = 2,
}

/// The row of a change: which record changed there last, and how. It holds no bytes of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeRow {
    /// What happened to it.
    pub kind: ChangeKind,
    /// The record's collection.
    pub collection: CollectionId,
    /// Its id.
    pub id: RecordId,
}

impl ChangeRow {
    /// The value of the row at `seq`: kind u8, collection u24, id, as a small row.
    pub fn encode(&self, seq: u64) -> Vec<u8> {
        let mut payload = [0; 20];
        if let Some((head, id)) = payload.split_first_chunk_mut::<4>() {
            let [a, b, c] = self.collection.to_bytes();
            *head = [self.kind as u8, a, b, c];
            id.copy_from_slice(&self.id);
        }
        seal(&Key::BySeq(seq).encode(), &payload)
    }

    /// Reads the value of the row at `seq`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn decode(seq: u64, value: &[u8]) -> Result<Self, StoreError> {
        let key = Key::BySeq(seq).encode();
        let parse = |payload: &[u8]| {
            let (&[kind, a, b, c], id) = payload.split_first_chunk()?;
            let kind = match kind {
                1 => ChangeKind::Put,
                2 => ChangeKind::Delete,
                _ => return None,
            };
            Some(Self { kind, collection: CollectionId::from_bytes([a, b, c]), id: id.try_into().ok()? })
        };
        parse(open(&key, value)?).ok_or_else(|| malformed(&key))
    }
}

/// The row of a record, or of the tombstone of one, with every checksum compared. Holds the bytes, copies none;
/// cloning it shares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    value: Bytes,
    seq: u64,
    record_crc: u32,
    envelope_end: usize,
    is_live: bool,
}

/// Bytes before the envelope, and between envelope and record.
const BEFORE_ENVELOPE: usize = 11;
const AFTER_ENVELOPE: usize = 8;

impl RecordRow {
    /// The value of the row of a record that changed at `seq`. `record` holds its bytes and their CRC-32, which is
    /// trusted, or is nothing for a tombstone. What the envelope says is the engine's.
    ///
    /// # Errors
    /// [`Misuse::EnvelopeTooLong`].
    pub fn encode(
        key: &[u8],
        seq: u64,
        envelope: &[u8],
        record: Option<(&[u8], u32)>,
    ) -> Result<Vec<u8>, Misuse> {
        let length = u16::try_from(envelope.len()).map_err(|_| Misuse::EnvelopeTooLong(envelope.len()))?;
        let (layout, (bytes, crc)) = match record {
            Some(record) => (RECORD, record),
            None => (TOMBSTONE, (&[][..], 0)),
        };
        let capacity = envelope.len().saturating_add(bytes.len());
        let mut value = Vec::with_capacity(capacity.saturating_add(BEFORE_ENVELOPE + AFTER_ENVELOPE));
        value.push(layout);
        value.extend_from_slice(&seq.to_be_bytes());
        value.extend_from_slice(&length.to_be_bytes());
        value.extend_from_slice(envelope);
        value.extend_from_slice(&crc.to_be_bytes());
        let head = checksum(key, &value);
        value.extend_from_slice(&head.to_be_bytes());
        value.extend_from_slice(bytes);
        Ok(value)
    }

    /// Reads the value of the row under `key` and compares both checksums.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`]: these are not the bytes that were written under this key.
    pub fn decode(key: &[u8], value: Bytes) -> Result<Self, StoreError> {
        let row = Self::parse(key, value)?;
        if crc32fast::hash(row.record_bytes()) != row.record_crc {
            return Err(damaged(key));
        }
        Ok(row)
    }

    /// Compares the checksum of everything before the record.
    fn parse(key: &[u8], value: Bytes) -> Result<Self, StoreError> {
        let malformed = || malformed(key);
        let (&[layout, s7, s6, s5, s4, s3, s2, s1, s0, e1, e0], _) =
            value.split_first_chunk::<BEFORE_ENVELOPE>().ok_or_else(malformed)?;
        let envelope_end = BEFORE_ENVELOPE.saturating_add(usize::from(u16::from_be_bytes([e1, e0])));
        let after = value.get(envelope_end..).ok_or_else(malformed)?;
        let (&[c3, c2, c1, c0, h3, h2, h1, h0], record) =
            after.split_first_chunk::<AFTER_ENVELOPE>().ok_or_else(malformed)?;
        let covered = value.get(..envelope_end.saturating_add(4)).ok_or_else(malformed)?;
        if checksum(key, covered) != u32::from_be_bytes([h3, h2, h1, h0]) {
            return Err(damaged(key));
        }
        let is_live = match layout {
            RECORD => true,
            TOMBSTONE if record.is_empty() => false,
            _ => return Err(malformed()),
        };
        let seq = u64::from_be_bytes([s7, s6, s5, s4, s3, s2, s1, s0]);
        let record_crc = u32::from_be_bytes([c3, c2, c1, c0]);
        Ok(Self { value, seq, record_crc, envelope_end, is_live })
    }

    /// The sequence of the record's latest change.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The envelope.
    pub fn envelope(&self) -> &[u8] {
        self.value.get(BEFORE_ENVELOPE..self.envelope_end).unwrap_or_default()
    }

    /// The record's bytes and their CRC-32; nothing for a tombstone.
    pub fn record(&self) -> Option<(&[u8], u32)> {
        self.is_live.then(|| (self.record_bytes(), self.record_crc))
    }

    fn record_bytes(&self) -> &[u8] {
        self.value.get(self.envelope_end.saturating_add(AFTER_ENVELOPE)..).unwrap_or_default()
    }
}

fn checksum(key: &[u8], framed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(framed);
    hasher.finalize()
}

#[cold]
pub(super) fn malformed(key: &[u8]) -> StoreError {
    StoreError::corrupt(format!("the row under {} has no known layout", data_encoding::HEXLOWER.encode(key)))
}

#[cold]
fn damaged(key: &[u8]) -> StoreError {
    StoreError::corrupt(format!(
        "the row under {} does not match its checksum",
        data_encoding::HEXLOWER.encode(key)
    ))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]
mod tests {
    use super::*;

    const C: CollectionId = CollectionId::MAX;

    fn flips(value: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..value.len() * 8).map(|bit| {
            let mut flipped = value.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        })
    }

    fn record_key() -> (Key, RecordId) {
        let id = std::array::from_fn(|at| u8::try_from(at).unwrap());
        (Key::Record(CollectionId::new(7).unwrap(), id), id)
    }

    /// Composed from the table above; both checksums come from zlib's crc32.
    #[test]
    fn a_record_row_is_its_bytes() {
        let hex = "100000000000000102000401656e76e904c514cb290b8668656c6c6f207265636f7264";
        let key = record_key().0.encode();
        let crc = 0xe904_c514;
        let value = RecordRow::encode(&key, 258, b"\x01env", Some((b"hello record", crc))).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(&value), hex);
        let row = RecordRow::decode(&key, value.into()).unwrap();
        assert_eq!(
            (row.seq(), row.envelope(), row.record()),
            (258, &b"\x01env"[..], Some((&b"hello record"[..], crc)))
        );
    }

    #[test]
    fn a_tombstone_has_no_record() {
        let key = record_key().0.encode();
        let value = RecordRow::encode(&key, 3, b"", None).unwrap();
        let row = RecordRow::decode(&key, value.into()).unwrap();
        assert_eq!((row.seq(), row.record()), (3, None));
    }

    #[test]
    fn every_flipped_bit_and_every_other_key_is_an_error() {
        let (key, _) = record_key();
        let key = key.encode();
        let record =
            RecordRow::encode(&key, 258, b"env", Some((b"hello", crc32fast::hash(b"hello")))).unwrap();
        let tombstone = RecordRow::encode(&key, 258, b"env", None).unwrap();
        for value in [&record, &tombstone] {
            for flipped in flips(value) {
                assert!(matches!(RecordRow::decode(&key, flipped.into()), Err(StoreError::Corrupt(_))));
            }
            assert!(RecordRow::decode(&Key::BySeq(1).encode(), value.as_slice().into()).is_err());
            for length in 0..value.len() {
                assert!(RecordRow::decode(&key, value[..length].into()).is_err());
            }
        }
        let change = ChangeRow { kind: ChangeKind::Delete, collection: C, id: [5; 16] };
        let value = change.encode(9);
        assert_eq!(ChangeRow::decode(9, &value).unwrap(), change);
        assert!(ChangeRow::decode(8, &value).is_err());
        assert!(flips(&value).all(|flipped| ChangeRow::decode(9, &flipped).is_err()));
    }

    #[test]
    fn a_change_row_is_its_bytes() {
        let (_, id) = record_key();
        let row = ChangeRow { kind: ChangeKind::Put, collection: CollectionId::new(7).unwrap(), id };
        let value = row.encode(258);
        assert!(
            data_encoding::HEXLOWER.encode(&value).starts_with("0101000007000102030405060708090a0b0c0d0e0f")
        );
        assert_eq!(value.len(), 25);
    }

    #[test]
    fn an_envelope_has_its_limit() {
        let long = vec![0; MAX_ENVELOPE_BYTES + 1];
        assert_eq!(RecordRow::encode(b"k", 1, &long, None), Err(Misuse::EnvelopeTooLong(65_536)));
        assert!(RecordRow::encode(b"k", 1, &long[1..], None).is_ok());
    }
}
