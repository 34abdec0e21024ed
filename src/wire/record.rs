//! A record as it travels: its length, the CRC-32 of its bytes, its bytes.

use super::message_error::{MessageError, MessageErrorKind as Kind};
use super::payload::Checksums;
use crate::blazebinary::limits::MAX_RECORD_BYTES;
use crate::blazebinary::{DecodeError, Reader, RecordView};

/// Bytes that a record takes on the wire beside its own: length u32 and CRC-32, big-endian.
pub const RECORD_OVERHEAD_BYTES: usize = 8;

/// A record's complete bytes and their CRC-32, as they travel, are logged and stored. One that was read from a
/// frame has the right checksum; that its bytes are canonical is [`Self::view`]'s to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramedRecord<'a> {
    bytes: &'a [u8],
    checksum: u32,
}

impl<'a> FramedRecord<'a> {
    /// A record to be sent; its checksum is computed. `None` if it is longer than
    /// [`MAX_RECORD_BYTES`](crate::blazebinary::limits::MAX_RECORD_BYTES).
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        Self::with_checksum(bytes, crc32fast::hash(bytes))
    }

    /// A record whose CRC-32 is known, since it came with it. `None` if it is longer than
    /// [`MAX_RECORD_BYTES`](crate::blazebinary::limits::MAX_RECORD_BYTES).
    pub fn with_checksum(bytes: &'a [u8], checksum: u32) -> Option<Self> {
        (bytes.len() <= MAX_RECORD_BYTES).then_some(Self { bytes, checksum })
    }

    /// The record's complete bytes.
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Their CRC-32 (IEEE).
    pub const fn checksum(self) -> u32 {
        self.checksum
    }

    /// Checks that the bytes are canonical and reads them in place.
    ///
    /// # Errors
    /// [`DecodeError`]: the fault of who encoded the record.
    pub fn view(self) -> Result<RecordView<'a>, DecodeError> {
        RecordView::canonical(self.bytes)
    }

    /// Bytes it takes in a payload.
    pub const fn wire_bytes(self) -> usize {
        self.bytes.len().saturating_add(RECORD_OVERHEAD_BYTES)
    }

    pub(super) fn append_to(self, out: &mut Vec<u8>) {
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_RECORD_BYTES, 1 MiB")]
        let length = self.bytes.len() as u32;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.checksum.to_be_bytes());
        out.extend_from_slice(self.bytes);
    }

    pub(super) fn read(reader: &mut Reader<'a>, checksums: Checksums) -> Result<Self, MessageError> {
        let at = reader.offset();
        let truncated = || Kind::Truncated.at(at);
        let length = reader.u32().ok_or_else(truncated)?;
        let checksum = reader.u32().ok_or_else(truncated)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_RECORD_BYTES {
            return Err(Kind::RecordTooLarge(length).at(at));
        }
        let bytes = reader.bytes(length).ok_or_else(truncated)?;
        if checksums == Checksums::Verify {
            let computed = crc32fast::hash(bytes);
            if computed != checksum {
                return Err(Kind::RecordChecksumMismatch { stored: checksum, computed }.at(at));
            }
        }
        Ok(Self { bytes, checksum })
    }
}
