//! A record as the store keeps it: its version, its envelope, its bytes.

use std::sync::Arc;

use super::error::EngineError;
use crate::blazebinary::keys_are_equivalent;

/// The identity of a record or node: the bytes of a UUID.
pub type Id = [u8; 16];

/// A record at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The number of the change that wrote it: its version.
    pub sequence: u64,
    /// When and by whom its fields were written.
    pub envelope: Envelope,
    /// The CRC-32 (IEEE) of the bytes.
    pub crc: u32,
    /// The record's own complete bytes.
    pub bytes: Arc<[u8]>,
}

/// When and by whom a record's fields were written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// The hybrid logical clock of the last whole put.
    pub clock: u64,
    /// The index of the node that put it.
    pub node: u32,
    /// The fields patched since, those removed included, in the order of their first patch.
    pub fields: Vec<FieldStamp>,
}

/// When and by whom a field was patched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldStamp {
    /// The field's name.
    pub name: Box<str>,
    /// The hybrid logical clock of the patch.
    pub clock: u64,
    /// The index of the node that patched it.
    pub node: u32,
}

impl Envelope {
    /// Notes that a field was patched.
    pub(super) fn stamp(&mut self, name: &str, clock: u64, node: u32) {
        match self.fields.iter_mut().find(|field| keys_are_equivalent(&field.name, name)) {
            Some(field) => (field.clock, field.node) = (clock, node),
            None => self.fields.push(FieldStamp { name: name.into(), clock, node }),
        }
    }

    /// Bytes of all names.
    pub(super) fn name_bytes(&self) -> usize {
        self.fields.iter().fold(0, |sum: usize, field| sum.saturating_add(field.name.len()))
    }
}

impl StoredRecord {
    /// The row: sequence u64, clock u64, node u32, the record's CRC u32, count of fields u16, per field the length
    /// of its name u16, its name, clock u64, node u32; the CRC-32 of all that u32; the record's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let names = self.envelope.name_bytes().saturating_add(self.envelope.fields.len().saturating_mul(14));
        let mut row = Vec::with_capacity(names.saturating_add(self.bytes.len()).saturating_add(30));
        row.extend(self.sequence.to_be_bytes());
        row.extend(self.envelope.clock.to_be_bytes());
        row.extend(self.envelope.node.to_be_bytes());
        row.extend(self.crc.to_be_bytes());
        row.extend(u16::try_from(self.envelope.fields.len()).unwrap_or(u16::MAX).to_be_bytes());
        for field in &self.envelope.fields {
            row.extend(u16::try_from(field.name.len()).unwrap_or(u16::MAX).to_be_bytes());
            row.extend(field.name.bytes());
            row.extend(field.clock.to_be_bytes());
            row.extend(field.node.to_be_bytes());
        }
        row.extend(crc32fast::hash(&row).to_be_bytes());
        row.extend_from_slice(&self.bytes);
        row
    }

    /// Reads a row and checks both checksums.
    ///
    /// # Errors
    /// [`EngineError::Corrupted`].
    pub fn parse(row: &[u8]) -> Result<Self, EngineError> {
        let record = Self::read(row).ok_or_else(|| EngineError::Corrupted("the head of a record".to_owned()))?;
        if crc32fast::hash(&record.bytes) != record.crc {
            return Err(EngineError::Corrupted(format!("the record of version {}", record.sequence)));
        }
        Ok(record)
    }

    fn read(row: &[u8]) -> Option<Self> {
        let mut rest = row;
        let sequence = u64::from_be_bytes(take(&mut rest)?);
        let clock = u64::from_be_bytes(take(&mut rest)?);
        let node = u32::from_be_bytes(take(&mut rest)?);
        let crc = u32::from_be_bytes(take(&mut rest)?);
        let mut fields = Vec::new();
        for _ in 0..u16::from_be_bytes(take(&mut rest)?) {
            let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
            let (name, after) = rest.split_at_checked(length)?;
            rest = after;
            let name = std::str::from_utf8(name).ok()?.into();
            fields.push(FieldStamp {
                name,
                clock: u64::from_be_bytes(take(&mut rest)?),
                node: u32::from_be_bytes(take(&mut rest)?),
            });
        }
        let head = row.get(..row.len().saturating_sub(rest.len()))?;
        let head_crc = u32::from_be_bytes(take(&mut rest)?);
        let envelope = Envelope { clock, node, fields };
        (crc32fast::hash(head) == head_crc).then(|| Self { sequence, envelope, crc, bytes: rest.into() })
    }
}

/// The next `N` bytes of `rest`, which moves past them.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> StoredRecord {
        let mut envelope = Envelope { clock: 0x0102, node: 3, fields: vec![] };
        envelope.stamp("ab", 4, 5);
        envelope.stamp("e\u{301}", 4, 5);
        envelope.stamp("\u{E9}", 6, 7);
        StoredRecord { sequence: 9, envelope, crc: crc32fast::hash(b"bytes"), bytes: b"bytes"[..].into() }
    }

    /// Composed by hand from the table of `spec/engine.md`; the CRC of the head by zlib.
    #[test]
    fn a_row_is_its_bytes_and_a_field_has_one_stamp_however_it_is_spelled() {
        let row = sample().to_bytes();
        let head = "0000000000000009 0000000000000102 00000003 93c31526 0002 \
            0002 6162 0000000000000004 00000005 0003 65cc81 0000000000000006 00000007";
        let digits: String = head.split_whitespace().collect();
        let head = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
        assert_eq!(row[..20], head[..20]);
        assert_eq!(row[24..head.len()], head[24..]);
        assert_eq!(row[head.len() + 4..], *b"bytes");
        assert_eq!(StoredRecord::parse(&row), Ok(sample()));
    }

    #[test]
    fn every_flipped_bit_and_every_shorter_row_is_an_error() {
        let row = sample().to_bytes();
        for bit in 0..row.len() * 8 {
            let mut damaged = row.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(StoredRecord::parse(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..row.len() {
            assert!(StoredRecord::parse(&row[..length]).is_err(), "{length} bytes");
        }
    }
}
