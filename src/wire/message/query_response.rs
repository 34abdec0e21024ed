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

    /// Whether there are no rows.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets the rows; the memory is kept for the next frame.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Message;
    use super::super::testing::{EMPTY_RECORD, EMPTY_RECORD_BYTES, any as of, check, rejects, round_trip};
    use super::*;
    use crate::wire::MessageErrorKind as Kind;

    const HEAD: &str = "0000000000000005 01 00000001000000000000000000000009";
    const POSITION: Position = Position { epoch: 1, partition: 0, seq: 9 };

    #[test]
    fn rows_are_read_and_written() {
        let mut builder = RowsBuilder::new();
        for seq in [7, 0] {
            builder.push(Row { seq, record: FramedRecord::new(EMPTY_RECORD_BYTES).unwrap() }).unwrap();
        }
        let response =
            |rows| Message::QueryResponse(QueryResponse { id: 5, last: true, position: POSITION, rows });
        check(
            &format!("{HEAD} 0002 0000000000000007 {EMPTY_RECORD} 0000000000000000 {EMPTY_RECORD}"),
            response(builder.rows()),
        );
        check(&format!("{HEAD} 0000"), response(Rows::default()));
        assert_eq!(builder.rows().iter().map(|row| row.seq).collect::<Vec<_>>(), [7, 0]);
    }

    #[test]
    fn a_record_that_is_not_as_it_was_sent_is_refused() {
        let damaged = EMPTY_RECORD.replacen("01", "02", 1);
        // The CRC-32 of the damaged bytes, from zlib.
        let kind = Kind::RecordChecksumMismatch { stored: 0x969e_c96f, computed: 0x94d87736 };
        rejects(4, &format!("{HEAD} 0001 0000000000000007 {damaged}"), 35, kind);
        let kind = Kind::RecordTooLarge(0x10_0001);
        rejects(4, &format!("{HEAD} 0001 0000000000000007 00100001 00000000"), 35, kind);
        rejects(4, &HEAD.replacen("05 01", "05 02", 1), 8, Kind::UnknownValue { field: "flags", value: 2 });
        rejects(4, "0000000000000000", 0, Kind::Zero { field: "id" });
    }

    #[test]
    fn a_frame_is_closed_at_32_kib_and_a_larger_row_travels_alone() {
        let (small, large) = (vec![1; 1_000], vec![2; 100_000]);
        let row = |bytes| Row { seq: 1, record: FramedRecord::new(bytes).unwrap() };
        let mut builder = RowsBuilder::new();
        while builder.push(row(&small)).is_ok() {}
        // A row of 1,000 bytes takes 8 + 8 + 1,000; (32,768 - 27) / 1,016 = 32 of them fit.
        assert_eq!(builder.rows().len(), 32);
        assert_eq!(builder.push(row(&large)), Err(FrameFull));
        builder.clear();
        assert_eq!(builder.push(row(&large)), Ok(()));
        assert_eq!(builder.push(row(&[])), Err(FrameFull));
        // Exactly full: 32,768 - 27 - 16.
        let exact = vec![3; 32_725];
        builder.clear();
        builder.push(row(&[])).unwrap();
        assert_eq!(builder.push(row(&exact)), Err(FrameFull), "16 bytes too many");
        assert_eq!(builder.push(row(&exact[16..])), Ok(()));
        let mut bytes = Vec::new();
        let rows = builder.rows();
        Message::QueryResponse(QueryResponse { id: 1, last: false, position: POSITION, rows })
            .encode(&mut bytes);
        assert_eq!(bytes.len(), BULK_PAYLOAD_BYTES);
    }

    proptest! {
        #[test]
        fn responses_come_back(
            (id, last, position) in (1u64.., any::<bool>(), of::position()),
            rows in prop::collection::vec((any::<u64>(), of::record()), 0..20),
        ) {
            let mut builder = RowsBuilder::new();
            for (seq, record) in &rows {
                builder.push(Row { seq: *seq, record: FramedRecord::new(record).unwrap() }).unwrap();
            }
            let built: Vec<_> = builder.rows().iter().map(|row| (row.seq, row.record.bytes().to_vec())).collect();
            prop_assert_eq!(built, rows);
            round_trip(&Message::QueryResponse(QueryResponse { id, last, position, rows: builder.rows() }));
        }
    }
}
