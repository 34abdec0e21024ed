//! What became of an operation, as its node is told and as the ledger keeps it.

use crate::wire::ErrorCode;

/// An operation that was refused, and why. The whole transaction had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: ErrorCode,
    /// Which item of the transaction, from 0 over all its groups; none if it is about the whole.
    pub item: Option<u32>,
    /// Where in the item's record its encoding is wrong, in bytes.
    pub offset: Option<u32>,
    /// The version at which the record stands, 0 if there is none: of a failed precondition.
    pub version: Option<u64>,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect.
    Applied {
        /// How many of its items found nothing to change.
        unchanged: u32,
    },
    /// It had no effect.
    Refused(Refusal),
}

/// The answer to an operation: the first one and every later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What became of it.
    pub verdict: Verdict,
    /// The number of its last change; of an operation that changed nothing, of the last change before it.
    pub sequence: u64,
}

/// What the ledger keeps of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The operation's number among those of its node.
    pub number: u64,
    /// 64 bits of the hash of its body.
    pub body_hash: u64,
    /// Its outcome.
    pub outcome: Outcome,
}

/// Bytes of the part of an outcome that an effect of the log carries beside the code.
const DETAIL_BYTES: usize = 4 + 4 + 8 + 8;

/// What stands for an item or offset that is not there.
const NO_U32: u32 = u32::MAX;
/// What stands for a version that is not there. No record has it: numbers are given from 1.
const NO_VERSION: u64 = u64::MAX;

impl Refusal {
    /// A refusal of item `item`.
    pub const fn of_item(code: ErrorCode, item: u32) -> Self {
        Self { code, item: Some(item), offset: None, version: None }
    }

    /// A refusal of the whole transaction.
    pub const fn of_all(code: ErrorCode) -> Self {
        Self { code, item: None, offset: None, version: None }
    }
}

impl Outcome {
    /// The number of the error, 0 if there is none.
    pub fn code(&self) -> u16 {
        match self.verdict {
            Verdict::Applied { .. } => 0,
            Verdict::Refused(refusal) => refusal.code as u16,
        }
    }

    /// The outcome's detail: item or count u32, offset u32, version u64, sequence u64, big-endian; all ones where
    /// there is none.
    pub fn detail(&self) -> [u8; DETAIL_BYTES] {
        let (first, offset, version) = match self.verdict {
            Verdict::Applied { unchanged } => (unchanged, None, None),
            Verdict::Refused(refusal) => (refusal.item.unwrap_or(NO_U32), refusal.offset, refusal.version),
        };
        let mut bytes = [0; DETAIL_BYTES];
        let fields = first.to_be_bytes().into_iter();
        let fields = fields.chain(offset.unwrap_or(NO_U32).to_be_bytes());
        let fields = fields.chain(version.unwrap_or(NO_VERSION).to_be_bytes());
        for (place, byte) in bytes.iter_mut().zip(fields.chain(self.sequence.to_be_bytes())) {
            *place = byte;
        }
        bytes
    }

    /// Reads what [`Outcome::code`] and [`Outcome::detail`] wrote; `None` if it is not that.
    pub fn parse(code: u16, detail: &[u8]) -> Option<Self> {
        let (first, rest) = detail.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let first = u32::from_be_bytes(*first);
        let (offset, version) = (u32::from_be_bytes(*offset), u64::from_be_bytes(*version));
        let sequence = u64::from_be_bytes(rest.try_into().ok()?);
        let verdict = if code == 0 {
            Verdict::Applied { unchanged: first }
        } else {
            Verdict::Refused(Refusal {
                code: ErrorCode::from_number(code)?,
                item: (first != NO_U32).then_some(first),
                offset: (offset != NO_U32).then_some(offset),
                version: (version != NO_VERSION).then_some(version),
            })
        };
        Some(Self { verdict, sequence })
    }
}

impl LedgerEntry {
    /// The row of the ledger: number u64, body hash u64, code u16, the outcome's detail.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 8 + 2 + DETAIL_BYTES);
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.body_hash.to_be_bytes());
        bytes.extend(self.outcome.code().to_be_bytes());
        bytes.extend(self.outcome.detail());
        bytes
    }

    /// Reads a row; `None` if it is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (body_hash, rest) = rest.split_first_chunk()?;
        let (code, detail) = rest.split_first_chunk()?;
        Some(Self {
            number: u64::from_be_bytes(*number),
            body_hash: u64::from_be_bytes(*body_hash),
            outcome: Outcome::parse(u16::from_be_bytes(*code), detail)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Composed by hand from the table of `spec/engine.md`.
    #[test]
    fn rows_of_the_ledger_are_their_bytes() {
        let applied = Outcome { verdict: Verdict::Applied { unchanged: 3 }, sequence: 0x0102 };
        let failed =
            Refusal { code: ErrorCode::PreconditionFailed, item: Some(1), offset: None, version: Some(7) };
        let malformed = Refusal { offset: Some(9), version: None, ..failed };
        let none = "ffffffff";
        for (verdict, hex) in [
            (applied.verdict, format!("0000 00000003 {none} {none}{none}")),
            (Verdict::Refused(failed), format!("006c 00000001 {none} 0000000000000007")),
            (Verdict::Refused(malformed), format!("006c 00000001 00000009 {none}{none}")),
            (
                Verdict::Refused(Refusal::of_all(ErrorCode::TransactionTooLarge)),
                format!("006e {none} {none} {none}{none}"),
            ),
        ] {
            let entry =
                LedgerEntry { number: 5, body_hash: 6, outcome: Outcome { verdict, sequence: 0x0102 } };
            let hex = format!("0000000000000005 0000000000000006 {hex} 0000000000000102");
            let digits: String = hex.split_whitespace().collect();
            let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
            assert_eq!(entry.to_bytes(), bytes);
            assert_eq!(LedgerEntry::parse(&bytes), Some(entry));
            assert_eq!(LedgerEntry::parse(&bytes[1..]), None);
        }
    }
}
