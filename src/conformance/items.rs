//! Operations and records that the cases write.

use uuid::Uuid;

use super::fields::{Fields, count_of};
use crate::blazebinary::{Layout, Record, Value, encode_record};

/// One item of an Operation.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Insert(Vec<u8>),
    Upsert(Vec<u8>),
    /// An upsert that skips what is unchanged.
    Refresh(Vec<u8>),
    /// The record, the fields that go, the fields that are set.
    Patch(Uuid, Vec<&'static str>, Vec<u8>),
    Delete(Uuid),
    Check(Uuid, u64),
    Drop,
    /// The item with a base.
    Based(u64, Box<Item>),
    /// Bytes from the kind on.
    Raw(Vec<u8>),
}

impl Item {
    pub(super) fn based(self, base: u64) -> Self {
        Self::Based(base, Box::new(self))
    }

    fn parts(&self) -> (u8, Fields) {
        let fields = Fields::new();
        match self {
            Self::Insert(record) => (1, fields.record(record)),
            Self::Upsert(record) => (2, fields.record(record)),
            Self::Refresh(record) => (0x42, fields.record(record)),
            Self::Patch(id, removed, set) => (3, fields.id(*id).strs(removed).record(set)),
            Self::Delete(id) => (4, fields.id(*id)),
            Self::Check(id, base) => (0x85, fields.u64(*base).id(*id)),
            Self::Drop => (6, fields),
            Self::Based(base, item) => {
                let (kind, rest) = item.parts();
                (kind | 0x80, fields.u64(*base).bytes(&rest.done()))
            }
            Self::Raw(bytes) => match bytes.split_first() {
                Some((kind, rest)) => (*kind, fields.bytes(rest)),
                None => (0, fields),
            },
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let (kind, rest) = self.parts();
        Fields::new().u8(kind).bytes(&rest.done()).done()
    }
}

/// The level of an Ack that says *ordered*.
pub(super) const ACCEPTED: u8 = 0;
/// The level of an Ack that says *on stable storage*.
pub(super) const DURABLE: u8 = 1;

/// The payload of an Operation.
pub(super) fn operation(number: u64, level: u8, groups: &[(&str, Vec<Item>)]) -> Vec<u8> {
    let head = Fields::new().u64(number).u8(level).u16(count_of(groups));
    let all = groups.iter().fold(head, |fields, (collection, items)| {
        let head = fields.str(collection).u16(count_of(items));
        items.iter().fold(head, |fields, item| fields.bytes(&item.bytes()))
    });
    all.done()
}

/// An id that is told apart by a number, rising with it.
pub(super) fn id(number: u64) -> Uuid {
    Uuid::from_u128(0xC0F0_0000_0000_4000_8000_0000_0000_0000 | u128::from(number))
}

/// The bytes of a record of this id with these fields, in layout 1.
pub(super) fn record(id: Uuid, fields: &[(&str, Value)]) -> Vec<u8> {
    let mut record = Record::from_iter(fields.iter().cloned());
    record.insert("id", Value::Uuid(id));
    encoded(&record, Layout::V1)
}

/// The bytes of a record; cases keep within the limits.
pub(super) fn encoded(record: &Record, layout: Layout) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = encode_record(record, layout, &mut bytes);
    bytes
}

/// A record of the number alone.
pub(super) fn plain(number: u64) -> Vec<u8> {
    record(id(number), &[("n", number_value(number))])
}

/// A number as a value.
pub(super) fn number_value(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A record with a text of so many bytes that LZ4 cannot make small: letters by a generator of fixed seed.
pub(super) fn bulky(number: u64, bytes: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!'.saturating_add(u8::try_from(state % 90).unwrap_or(0)))
    };
    let text: String = std::iter::repeat_with(letter).take(bytes).collect();
    record(id(number), &[("n", number_value(number)), ("text", Value::from(text.as_str()))])
}

/// A record that is exactly so many bytes long.
pub(super) fn of_length(number: u64, bytes: usize) -> Vec<u8> {
    let shortest = bulky(number, 16).len().saturating_sub(16);
    bulky(number, bytes.saturating_sub(shortest))
}
