//! Effects: what a transaction changes, one encoding each. The log carries them; the engine gives them meaning.
//!
//! Every effect is a kind byte and its fields, integers big-endian, in the order of the types below; `spec/log.md` has
//! the tables. An effect fills its frame exactly: what follows the last field is an error.

use super::bytes::{Reader, length_u16, to_u32};
use super::error::LogError;
use super::limits::MAX_EFFECT_BYTES;

const PUT: u8 = 1;
const PATCH: u8 = 2;
const DELETE: u8 = 3;
const CATALOGUE: u8 = 4;
const OUTCOME: u8 = 5;

/// One change, decided and final: applying it evaluates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<'a> {
    /// A record was written whole.
    Put(RecordEffect<'a>),
    /// A record is what remains after some of its fields were patched.
    Patch(RecordEffect<'a>),
    /// A record was deleted.
    Delete(Stamp),
    /// The catalogue changed; the bytes are the engine's.
    Catalogue(Checked<'a>),
    /// An operation had this outcome without changing a record.
    Outcome {
        /// The error's number in the table of errors, 0 for none.
        code: u16,
        /// More about it; the engine's.
        detail: &'a [u8],
    },
}

/// Which record, when, by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The collection's number in the catalogue.
    pub collection: u32,
    /// The record's id.
    pub id: [u8; 16],
    /// The hybrid logical clock of the record's last whole put, or of its deletion.
    pub clock: u64,
    /// The index, in the catalogue, of the node that made it.
    pub node: u32,
}

/// Bytes and the CRC-32 (IEEE) of them that came with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checked<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Their CRC-32, as the sender computed it; reading an effect does not verify it.
    pub crc: u32,
}

/// A record after the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordEffect<'a> {
    /// Which record.
    pub stamp: Stamp,
    /// The fields patched since the last whole put, removed ones included.
    pub field_clocks: Vec<FieldClock<'a>>,
    /// The names of the fields that this effect changed; of a put, none means all.
    pub changed: Vec<&'a str>,
    /// The record's encoding, whole.
    pub record: Checked<'a>,
}

/// When a field was patched, by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldClock<'a> {
    /// The field's name.
    pub name: &'a str,
    /// The hybrid logical clock of the patch.
    pub clock: u64,
    /// The index of the node that made it.
    pub node: u32,
}

impl<'a> Effect<'a> {
    /// Bytes of the encoding.
    ///
    /// # Errors
    /// [`LogError::FieldTooLong`] and [`LogError::EffectTooLarge`]: the caller's fault.
    pub fn encoded_bytes(&self) -> Result<usize, LogError> {
        let fields = match self {
            Self::Put(record) | Self::Patch(record) => record.encoded_bytes()?,
            Self::Delete(_) => Stamp::BYTES,
            Self::Catalogue(checked) => checked.encoded_bytes(),
            Self::Outcome { detail, .. } => detail.len().saturating_add(2),
        };
        let bytes = fields.saturating_add(1);
        if bytes > MAX_EFFECT_BYTES { Err(LogError::EffectTooLarge(bytes)) } else { Ok(bytes) }
    }

    /// Adds the encoding to `out`. The caller has asked for [`Effect::encoded_bytes`] and got no error.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put(record) => {
                out.push(PUT);
                record.encode(out);
            }
            Self::Patch(record) => {
                out.push(PATCH);
                record.encode(out);
            }
            Self::Delete(stamp) => {
                out.push(DELETE);
                stamp.encode(out);
            }
            Self::Catalogue(checked) => {
                out.push(CATALOGUE);
                checked.encode(out);
            }
            Self::Outcome { code, detail } => {
                out.push(OUTCOME);
                out.extend(code.to_be_bytes());
                out.extend(*detail);
            }
        }
    }

    /// Reads an effect; `None` if the bytes are not exactly one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let effect = match reader.u8()? {
            PUT => Self::Put(RecordEffect::parse(&mut reader)?),
            PATCH => Self::Patch(RecordEffect::parse(&mut reader)?),
            DELETE => Self::Delete(Stamp::parse(&mut reader)?),
            CATALOGUE => Self::Catalogue(Checked::parse(&mut reader)?),
            OUTCOME => {
                let code = reader.u16()?;
                return Some(Self::Outcome { code, detail: reader.rest() });
            }
            _ => return None,
        };
        reader.is_empty().then_some(effect)
    }
}

impl Stamp {
    const BYTES: usize = 4 + 16 + 8 + 4;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.collection.to_be_bytes());
        out.extend(self.id);
        out.extend(self.clock.to_be_bytes());
        out.extend(self.node.to_be_bytes());
    }

    fn parse(reader: &mut Reader<'_>) -> Option<Self> {
        let (collection, id) = (reader.u32()?, reader.array()?);
        Some(Self { collection, id, clock: reader.u64()?, node: reader.u32()? })
    }
}

impl<'a> Checked<'a> {
    fn encoded_bytes(&self) -> usize {
        self.bytes.len().saturating_add(8)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(to_u32(self.bytes.len()).to_be_bytes());
        out.extend(self.bytes);
        out.extend(self.crc.to_be_bytes());
    }

    fn parse(reader: &mut Reader<'a>) -> Option<Self> {
        let bytes = reader.counted_u32()?;
        Some(Self { bytes, crc: reader.u32()? })
    }
}

impl<'a> RecordEffect<'a> {
    fn encoded_bytes(&self) -> Result<usize, LogError> {
        length_u16("the list of field clocks", self.field_clocks.len())?;
        length_u16("the list of changed fields", self.changed.len())?;
        let mut bytes = self.record.encoded_bytes().saturating_add(Stamp::BYTES + 2 + 2);
        for field in &self.field_clocks {
            length_u16("a field's name", field.name.len())?;
            bytes = bytes.saturating_add(field.name.len()).saturating_add(2 + 8 + 4);
        }
        for name in &self.changed {
            length_u16("a field's name", name.len())?;
            bytes = bytes.saturating_add(name.len()).saturating_add(2);
        }
        Ok(bytes)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.stamp.encode(out);
        encode_u16(self.field_clocks.len(), out);
        for field in &self.field_clocks {
            encode_text(field.name, out);
            out.extend(field.clock.to_be_bytes());
            out.extend(field.node.to_be_bytes());
        }
        encode_u16(self.changed.len(), out);
        for name in &self.changed {
            encode_text(name, out);
        }
        self.record.encode(out);
    }

    /// Lists grow by what was read, never by what their count says.
    fn parse(reader: &mut Reader<'a>) -> Option<Self> {
        let stamp = Stamp::parse(reader)?;
        let mut field_clocks = Vec::new();
        for _ in 0..reader.u16()? {
            let name = reader.text_u16()?;
            field_clocks.push(FieldClock { name, clock: reader.u64()?, node: reader.u32()? });
        }
        let mut changed = Vec::new();
        for _ in 0..reader.u16()? {
            changed.push(reader.text_u16()?);
        }
        Some(Self { stamp, field_clocks, changed, record: Checked::parse(reader)? })
    }
}

/// Lengths were checked by `encoded_bytes`.
fn encode_u16(value: usize, out: &mut Vec<u8>) {
    out.extend(u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes());
}

fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode_u16(text.len(), out);
    out.extend(text.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp =
        Stamp { collection: 7, id: *b"ABCDEFGHIJKLMNOP", clock: 0x0199_0000_0000_0001, node: 3 };
    const STAMP_HEX: &str = "00000007 4142434445464748494a4b4c4d4e4f50 0199000000000001 00000003";

    /// Composed by hand from the tables of `spec/log.md`.
    fn vectors() -> Vec<(Effect<'static>, String)> {
        let record = Checked { bytes: &[0x42, 0x4C], crc: 0x0102_0304 };
        let put = RecordEffect { stamp: STAMP, field_clocks: vec![], changed: vec![], record };
        let patch = RecordEffect {
            stamp: STAMP,
            field_clocks: vec![FieldClock { name: "ab", clock: 5, node: 6 }],
            changed: vec!["ab", "é"],
            record,
        };
        vec![
            (Effect::Put(put), format!("01 {STAMP_HEX} 0000 0000 00000002 424c 01020304")),
            (
                Effect::Patch(patch),
                format!(
                    "02 {STAMP_HEX} 0001 0002 6162 0000000000000005 00000006 \
                     0002 0002 6162 0002 c3a9 00000002 424c 01020304"
                ),
            ),
            (Effect::Delete(STAMP), format!("03 {STAMP_HEX}")),
            (Effect::Catalogue(record), "04 00000002 424c 01020304".to_owned()),
            (Effect::Outcome { code: 0x0102, detail: &[9] }, "05 0102 09".to_owned()),
        ]
    }

    #[test]
    fn every_kind_is_its_bytes() {
        for (effect, hex) in vectors() {
            let digits: String = hex.split_whitespace().collect();
            let expected = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
            let mut bytes = Vec::new();
            effect.encode(&mut bytes);
            assert_eq!(bytes, expected, "{effect:?}");
            assert_eq!(effect.encoded_bytes().unwrap(), expected.len(), "{effect:?}");
            assert_eq!(Effect::parse(&expected), Some(effect));
        }
    }

    #[test]
    fn bytes_that_are_not_exactly_one_effect_are_refused() {
        for (effect, _) in vectors() {
            let mut bytes = Vec::new();
            effect.encode(&mut bytes);
            if !matches!(effect, Effect::Outcome { .. }) {
                bytes.push(0);
                assert_eq!(Effect::parse(&bytes), None, "trailing byte: {effect:?}");
                bytes.pop();
                for length in 0..bytes.len() {
                    assert_eq!(Effect::parse(&bytes[..length]), None, "{length} bytes of {effect:?}");
                }
            }
        }
        assert_eq!(Effect::parse(&[6]), None);
        assert_eq!(Effect::parse(&[]), None);
    }

    #[test]
    fn what_no_length_can_count_is_refused() {
        let name = "n".repeat(65_536);
        let record = Checked { bytes: &[], crc: 0 };
        let long = RecordEffect { stamp: STAMP, field_clocks: vec![], changed: vec![&name], record };
        assert!(matches!(
            Effect::Put(long).encoded_bytes(),
            Err(LogError::FieldTooLong { found: 65_536, .. })
        ));
        let detail = vec![0; MAX_EFFECT_BYTES - 2];
        let large = Effect::Outcome { code: 0, detail: &detail };
        assert!(matches!(large.encoded_bytes(), Err(LogError::EffectTooLarge(_))));
        let largest = Effect::Outcome { code: 0, detail: &detail[1..] };
        assert_eq!(largest.encoded_bytes().unwrap(), MAX_EFFECT_BYTES);
    }
}
