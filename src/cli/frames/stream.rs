//! One side of a captured connection: bytes in, frames out, as its receiver took them.

use super::scan::{CapturedFrame, wire_bytes};
use crate::wire::HeaderError;
use crate::wire::header::{HEADER_BYTES, Header};

/// What the bytes of a side are.
pub(super) enum Piece {
    /// A frame, its checksum right or not. Its offset counts the side's bytes.
    Frame(CapturedFrame),
    /// Bytes that are no frames, since the side lost its place or speaks another protocol; the first time why.
    Lost { offset: u64, bytes: u64, why: Option<HeaderError> },
}

/// The bytes of a side that are no whole frame yet: fewer than the largest frame and what came last.
#[derive(Default)]
pub(super) struct Stream {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were taken.
    start: usize,
    /// Where the first byte of the buffer that was not taken lies among the side's bytes.
    offset: u64,
    is_lost: bool,
}

impl Stream {
    /// Adds what came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece of what came, `None` if there is no whole one.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let rest = self.buffer.get(self.start..).filter(|rest| !rest.is_empty())?;
        if self.is_lost {
            return Some(self.lose(None));
        }
        match Header::parse(rest.first_chunk::<HEADER_BYTES>()?) {
            Ok(header) => {
                let bytes = rest.get(..wire_bytes(header))?;
                let frame = CapturedFrame::new(self.offset, header, bytes)?;
                self.take(wire_bytes(header));
                Some(Piece::Frame(frame))
            }
            // A receiver ends the connection here; what the side sent on is counted.
            Err(error) => {
                self.is_lost = true;
                Some(self.lose(Some(error)))
            }
        }
    }

    /// Where the frame that never became whole begins, and how many bytes there are of it.
    pub(super) fn end(&mut self) -> Option<(u64, u64)> {
        let left = self.buffer.len().saturating_sub(self.start);
        let (offset, bytes) = (self.offset, to_u64(left));
        self.take(left);
        (bytes > 0).then_some((offset, bytes))
    }

    fn lose(&mut self, why: Option<HeaderError>) -> Piece {
        let left = self.buffer.len().saturating_sub(self.start);
        let (offset, bytes) = (self.offset, to_u64(left));
        self.take(left);
        Piece::Lost { offset, bytes, why }
    }

    fn take(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes);
        self.offset = self.offset.saturating_add(to_u64(bytes));
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
