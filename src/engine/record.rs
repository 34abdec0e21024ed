//! A record as the store keeps it: its version, its envelope, its bytes.

use super::error::EngineError;
use crate::blazebinary::keys_are_equivalent;
use crate::store::{Bytes, RecordRow};

/// The identity of a record or node: the bytes of a UUID.
pub type Id = [u8; 16];

/// A record at one version, or what is remembered of one that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The number of its latest change: the version of a record that is there.
    pub sequence: u64,
    /// When and by whom its fields were written; of a deleted one, when and by whom it was deleted.
    pub envelope: Envelope,
    /// The record; nothing if it was deleted.
    pub content: Option<Content>,
}

/// The bytes of a record and their checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The record's own complete bytes.
    pub bytes: Bytes,
    /// Their CRC-32 (IEEE).
    pub crc: u32,
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

impl Envelope {
    /// Clock u64, node u32, count of fields u16, per field the length of its name u16, its name, clock u64, node u32;
    /// big-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_bytes());
        bytes.extend(self.clock.to_be_bytes());
        bytes.extend(self.node.to_be_bytes());
        bytes.extend(u16::try_from(self.fields.len()).unwrap_or(u16::MAX).to_be_bytes());
        for field in &self.fields {
            bytes.extend(u16::try_from(field.name.len()).unwrap_or(u16::MAX).to_be_bytes());
            bytes.extend(field.name.bytes());
            bytes.extend(field.clock.to_be_bytes());
            bytes.extend(field.node.to_be_bytes());
        }
        bytes
    }

    /// Bytes of the encoding.
    pub(super) fn encoded_bytes(&self) -> usize {
        let stamps = self.fields.len().saturating_mul(14);
        self.name_bytes().saturating_add(stamps).saturating_add(14)
    }

    /// Reads what [`Envelope::to_bytes`] wrote; `None` if it is not that.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let clock = u64::from_be_bytes(take(&mut rest)?);
        let node = u32::from_be_bytes(take(&mut rest)?);
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
        rest.is_empty().then_some(Self { clock, node, fields })
    }
}

impl StoredRecord {
    /// The version that a precondition compares: 0 if the record was deleted.
    pub const fn version(&self) -> u64 {
        if self.content.is_some() { self.sequence } else { 0 }
    }

    /// The record's bytes, if it is there.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.content.as_ref().map(|content| &*content.bytes)
    }

    /// What a row of the store says.
    ///
    /// # Errors
    /// [`EngineError::Corrupted`].
    pub fn from_row(row: &RecordRow) -> Result<Self, EngineError> {
        let sequence = row.seq();
        let envelope = Envelope::parse(row.envelope())
            .ok_or_else(|| EngineError::Corrupted(format!("the envelope of version {sequence}")))?;
        let content = row.record().map(|(bytes, crc)| Content { bytes: bytes.into(), crc });
        Ok(Self { sequence, envelope, content })
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

    /// Composed by hand from the table of `spec/engine.md`.
    #[test]
    fn an_envelope_is_its_bytes_and_a_field_has_one_stamp_however_it_is_spelled() {
        let mut envelope = Envelope { clock: 0x0102, node: 3, fields: vec![] };
        envelope.stamp("ab", 4, 5);
        envelope.stamp("e\u{301}", 4, 5);
        envelope.stamp("\u{E9}", 6, 7);
        let hex = "0000000000000102 00000003 0002 \
            0002 6162 0000000000000004 00000005 0003 65cc81 0000000000000006 00000007";
        let digits: String = hex.split_whitespace().collect();
        let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
        assert_eq!(envelope.to_bytes(), bytes);
        assert_eq!(envelope.encoded_bytes(), bytes.len());
        assert_eq!(Envelope::parse(&bytes), Some(envelope));
        for length in 0..bytes.len() {
            assert_eq!(Envelope::parse(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(Envelope::parse(&[bytes, vec![0]].concat()), None);
    }
}
