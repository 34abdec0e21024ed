//! `04` QueryResponse: a part of an answer, or the whole of it.
//!
//! | field | |
//! |---|---|
//! | id | u64: of the Query |
//! | flags | u8: bit 0 set on the last frame of the answer |
//! | position | 16 bytes: where the answer was taken |
//! | count | u16 |
//! | … seq | u64: the record's version; 0 where the row is made up |
//! | … record | record |

use crate::wire::limits::BULK_PAYLOAD_BYTES;
use crate::wire::message_error::MessageError;
use crate::wire::payload::{Checksums, PayloadReader};
use crate::wire::position::Position;
use crate::wire::record::FramedRecord;

/// Bytes of the payload before its rows.
const HEAD_BYTES: usize = 27;
/// Bytes of a row before its record.
const ROW_HEAD_BYTES: usize = 8;

/// A part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryResponse<'a> {
    /// The request id.
    pub id: u64,
    /// Whether the answer ends here.
    pub last: bool,
    /// Where the answer was taken: the same in all its frames.
    pub position: Position,
    /// The rows.
    pub rows: Rows<'a>,
}

/// Rows of an answer. Validated, so that iterating cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rows<'a> {
    count: u16,
    bytes: &'a [u8],
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The change that made the record what it is; 0 where the row is made up, as of stats.
    pub seq: u64,
    /// The record.
    pub record: FramedRecord<'a>,
}

impl<'a> QueryResponse<'a> {
    pub(super) fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let id = reader.positive_u64("id")?;
        let last = reader.choice("flags", |byte| (byte <= 1).then_some(byte == 1))?;
        Ok(Self { id, last, position: reader.position()?, rows: Rows::read(reader)? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        out.push(u8::from(self.last));
        out.extend_from_slice(&self.position.to_bytes());
        out.extend_from_slice(&self.rows.count.to_be_bytes());
        out.extend_from_slice(self.rows.bytes);
    }
}

impl<'a> Rows<'a> {
    fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let count = reader.u16()?;
        let start = *reader;
        for _ in 0..count {
            Row::read(reader, Checksums::Verify)?;
        }
        Ok(Self { count, bytes: reader.since(start) })
    }

    /// How many rows there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no row.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let mut reader = PayloadReader::new(self.bytes);
        (0..self.count).map_while(move |_| Row::read(&mut reader, Checksums::Trust).ok())
    }
}

impl<'a> Row<'a> {
    fn read(reader: &mut PayloadReader<'a>, checksums: Checksums) -> Result<Self, MessageError> {
        Ok(Self { seq: reader.u64()?, record: reader.record(checksums)? })
    }
}

/// A frame's rows are complete: send them, clear the builder and push the row again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame is complete")]
pub struct FrameFull;

/// Collects the rows of one frame: as many as fit [`BULK_PAYLOAD_BYTES`], or a single larger one.
#[derive(Debug, Clone, Default)]
pub struct RowsBuilder {
    count: u16,
    bytes: Vec<u8>,
}

impl RowsBuilder {
    /// A frame without rows.
    pub const fn new() -> Self {
        Self { count: 0, bytes: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`FrameFull`], never of an empty builder: the row belongs to the next frame; nothing was added.
    pub fn push(&mut self, row: Row<'_>) -> Result<(), FrameFull> {
        let added = row.record.wire_bytes().saturating_add(ROW_HEAD_BYTES);
        let length = self.bytes.len().saturating_add(HEAD_BYTES).saturating_add(added);
        if self.count > 0 && length > BULK_PAYLOAD_BYTES {
            return Err(FrameFull);
        }
        self.count = self.count.checked_add(1).ok_or(FrameFull)?;
        self.bytes.extend_from_slice(&row.seq.to_be_bytes());
        row.record.append_to(&mut self.bytes);
        Ok(())
    }

    /// The rows so far.
    pub fn rows(&self) -> Rows<'_> {
        Rows { count: self.count, bytes: &self.bytes }
    }

    /// Forgets the rows; the memory is kept for the next frame.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }
}
