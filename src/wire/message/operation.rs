//! `02` Operation: one atomic transaction of a client.
//!
//! | field | |
//! |---|---|
//! | number | u64: the node's operations are numbered from 1 |
//! | ack_level | u8: 0 accepted, 1 durable, 2 replicated |
//! | groups | u16, at least 1 |
//! | … collection | str |
//! | … operations | u16, at least 1 |
//! | … … kind | u8: low nibble 1 insert, 2 upsert, 3 patch, 4 delete, 5 check, 6 drop; bit 7 base, bit 6 skip_unchanged |
//! | … … base | u64, if bit 7 is set |
//! | … … insert, upsert | record |
//! | … … patch | id 16 bytes, removed array of str, record |
//! | … … delete, check | id 16 bytes |
//! | … … drop | nothing: the whole collection goes; the first of its group |

use uuid::Uuid;

use crate::wire::encoded::EncodedStrings;
use crate::wire::message_error::{MessageError, MessageErrorKind as Kind};
use crate::wire::name::CollectionName;
use crate::wire::payload::{Checksums, PayloadReader};
use crate::wire::record::FramedRecord;
use crate::wire::scope::Subject;

pub(super) const INSERT: u8 = 1;
pub(super) const UPSERT: u8 = 2;
pub(super) const PATCH: u8 = 3;
pub(super) const DELETE: u8 = 4;
pub(super) const CHECK: u8 = 5;
pub(super) const DROP: u8 = 6;
pub(super) const KIND_BITS: u8 = 0x0F;
pub(super) const BASE_BIT: u8 = 1 << 7;
pub(super) const SKIP_UNCHANGED_BIT: u8 = 1 << 6;

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum AckLevel {
    /// Ordered; a power cut may still take it.
    Accepted = 0,
    /// On stable storage.
    #[default]
    Durable = 1,
    /// On stable storage of several machines.
    Replicated = 2,
}

impl AckLevel {
    /// The level that `byte` names.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Accepted,
            1 => Self::Durable,
            2 => Self::Replicated,
            _ => return None,
        })
    }
}

/// One atomic transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// Its number among the operations of its node: at least 1.
    pub number: u64,
    /// What the client wants to be told.
    pub ack_level: AckLevel,
    /// What it does.
    pub groups: Groups<'a>,
}

/// The body of an Operation: operations grouped by collection, in order. Validated, so that iterating cannot fail.
///
/// Made by [`Message::decode`](super::Message::decode) and by [`OperationBuilder`](super::OperationBuilder).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Groups<'a> {
    /// From the count of groups to the end of the last operation.
    pub(super) bytes: &'a [u8],
}

/// The operations on one collection.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// The collection.
    pub collection: CollectionName<'a>,
    /// What is done to it, in order.
    pub operations: Operations<'a>,
}

/// The operations of a group.
#[derive(Debug, Clone, Copy)]
pub struct Operations<'a> {
    count: u16,
    reader: PayloadReader<'a>,
}

/// One operation on one record, or on the whole collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordOperation<'a> {
    /// The version of the record that the client saw; 0 if it saw that there is none.
    pub base: Option<u64>,
    /// What is done.
    pub action: Action<'a>,
}

/// What is done to a record, or to a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Create it; an error if it exists.
    Insert(FramedRecord<'a>),
    /// Create it or replace the whole of it.
    Upsert {
        /// The record.
        record: FramedRecord<'a>,
        /// Equal bytes are no change.
        skip_unchanged: bool,
    },
    /// Set and remove top-level fields.
    Patch {
        /// Which record.
        id: Uuid,
        /// The names of the fields that go.
        removed: EncodedStrings<'a>,
        /// The fields that are set, as a record without `id`.
        set: FramedRecord<'a>,
    },
    /// Delete it.
    Delete {
        /// Which record.
        id: Uuid,
    },
    /// Do nothing, but refuse the whole transaction unless the record is at the base.
    Check {
        /// Which record.
        id: Uuid,
    },
    /// Remove the collection with all its records. It has no base, and is the first of its group.
    Drop,
}

impl<'a> Operation<'a> {
    pub(super) fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let number = reader.positive_u64("number")?;
        Self::read_body(reader, number).map_err(|error| error.about(Subject::Operation(number)))
    }

    fn read_body(reader: &mut PayloadReader<'a>, number: u64) -> Result<Self, MessageError> {
        let ack_level = reader.choice("ack_level", AckLevel::from_byte)?;
        Ok(Self { number, ack_level, groups: Groups::read(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.push(self.ack_level as u8);
        out.extend_from_slice(self.groups.bytes);
    }
}

impl<'a> Groups<'a> {
    /// The validation pass.
    fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let start = *reader;
        let mut item = 0u32;
        for _ in 0..reader.positive_u16("groups")? {
            reader.collection()?;
            for place in 0..reader.positive_u16("operations")? {
                RecordOperation::read_at(reader, place).map_err(|error| error.in_item(item))?;
                item = item.saturating_add(1);
            }
        }
        Ok(Self { bytes: reader.since(start) })
    }

    /// The bytes of the body, as they stand in the plain payload behind the ack level: what the node's later
    /// repetition of the number is compared with.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The groups in order.
    pub fn iter(&self) -> impl Iterator<Item = Group<'a>> + use<'a> {
        let mut reader = PayloadReader::new(self.bytes);
        let count = reader.u16().unwrap_or(0);
        (0..count).map_while(move |_| {
            let collection = reader.collection().ok()?;
            let count = reader.u16().ok()?;
            let operations = Operations { count, reader };
            for _ in 0..count {
                RecordOperation::read(&mut reader, Checksums::Trust).ok()?;
            }
            Some(Group { collection, operations })
        })
    }

    /// All operations in order, each with its collection.
    pub fn operations(&self) -> impl Iterator<Item = (CollectionName<'a>, RecordOperation<'a>)> + use<'a> {
        let mut reader = PayloadReader::new(self.bytes);
        let mut groups = reader.u16().unwrap_or(0);
        let mut current = None;
        std::iter::from_fn(move || {
            let (collection, left) = match current.take() {
                Some((collection, left)) if left > 0 => (collection, left),
                _ => {
                    groups = groups.checked_sub(1)?;
                    (reader.collection().ok()?, reader.u16().ok()?)
                }
            };
            current = Some((collection, left.checked_sub(1)?));
            Some((collection, RecordOperation::read(&mut reader, Checksums::Trust).ok()?))
        })
    }
}

impl<'a> Operations<'a> {
    /// How many there are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// The operations in order.
    pub fn iter(&self) -> impl Iterator<Item = RecordOperation<'a>> + use<'a> {
        let mut reader = self.reader;
        (0..self.count).map_while(move |_| RecordOperation::read(&mut reader, Checksums::Trust).ok())
    }
}

impl<'a> RecordOperation<'a> {
    /// The operation at this place of its group. A drop is the first: it takes one byte, and a frame full of them
    /// would be two million operations.
    fn read_at(reader: &mut PayloadReader<'a>, place: u16) -> Result<Self, MessageError> {
        let at = reader.offset();
        let operation = Self::read(reader, Checksums::Verify)?;
        if place > 0 && operation.action == Action::Drop {
            return Err(Kind::UnknownValue { field: "operation kind", value: DROP }.at(at));
        }
        Ok(operation)
    }

    fn read(reader: &mut PayloadReader<'a>, checksums: Checksums) -> Result<Self, MessageError> {
        let at = reader.offset();
        let value = reader.u8()?;
        let (kind, skip_unchanged) = (value & KIND_BITS, value & SKIP_UNCHANGED_BIT != 0);
        let has_base = value & BASE_BIT != 0;
        let defined = value & !(KIND_BITS | BASE_BIT | SKIP_UNCHANGED_BIT) == 0
            && (INSERT..=DROP).contains(&kind)
            && (kind == UPSERT || !skip_unchanged)
            && (kind != CHECK || has_base)
            && (kind != DROP || !has_base);
        if !defined {
            return Err(Kind::UnknownValue { field: "operation kind", value }.at(at));
        }
        let base = if has_base { Some(reader.u64()?) } else { None };
        let action = match kind {
            INSERT => Action::Insert(reader.record(checksums)?),
            UPSERT => Action::Upsert { record: reader.record(checksums)?, skip_unchanged },
            PATCH => Action::Patch {
                id: reader.id()?,
                removed: reader.strings("removed")?,
                set: reader.record(checksums)?,
            },
            DELETE => Action::Delete { id: reader.id()? },
            CHECK => Action::Check { id: reader.id()? },
            _ => Action::Drop,
        };
        Ok(Self { base, action })
    }

    /// Bytes it takes in a payload.
    pub fn wire_bytes(&self) -> usize {
        let mut head = 1usize;
        if self.base.is_some() {
            head = 9;
        }
        let body = match &self.action {
            Action::Insert(record) | Action::Upsert { record, .. } => record.wire_bytes(),
            Action::Patch { removed, set, .. } => {
                set.wire_bytes().saturating_add(removed.wire_bytes()).saturating_add(16)
            }
            Action::Delete { .. } | Action::Check { .. } => 16,
            Action::Drop => 0,
        };
        head.saturating_add(body)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut kind = match &self.action {
            Action::Insert(_) => INSERT,
            Action::Upsert { skip_unchanged: false, .. } => UPSERT,
            Action::Upsert { skip_unchanged: true, .. } => UPSERT | SKIP_UNCHANGED_BIT,
            Action::Patch { .. } => PATCH,
            Action::Delete { .. } => DELETE,
            Action::Check { .. } => CHECK,
            Action::Drop => DROP,
        };
        if self.base.is_some() {
            kind |= BASE_BIT;
        }
        out.push(kind);
        if let Some(base) = self.base {
            out.extend_from_slice(&base.to_be_bytes());
        }
        match &self.action {
            Action::Insert(record) | Action::Upsert { record, .. } => record.append_to(out),
            Action::Patch { id, removed, set } => {
                out.extend_from_slice(id.as_bytes());
                removed.append_to(out);
                set.append_to(out);
            }
            Action::Delete { id } | Action::Check { id } => out.extend_from_slice(id.as_bytes()),
            Action::Drop => {}
        }
    }
}

#[cfg(test)]
mod tests;
