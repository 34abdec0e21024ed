//! A buffer that is filled from one side and emptied of frames from the other.

use super::frame::{Frame, FrameDecoder, FrameError};

/// Memory that an idle connection may keep for what arrives next, in bytes: enough for bursts of small frames,
/// little beside a socket's own buffers.
const KEPT_BYTES: usize = 4 << 10;

/// Received bytes and the decoder that finds frames in them. Memory grows with the bytes that arrive, never by a
/// length they declare, and an incomplete frame is bounded by the decoder's limit.
#[derive(Debug, Clone, Default)]
pub struct FrameBuffer {
    decoder: FrameDecoder,
    bytes: Vec<u8>,
    /// Where the frame in hand begins; what lies before was given out.
    start: usize,
}

impl FrameBuffer {
    /// An empty buffer at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`FrameDecoder::set_max_payload_bytes`].
    pub fn set_max_payload_bytes(&mut self, max: usize) {
        self.decoder.set_max_payload_bytes(max);
    }

    /// Appends what arrived. Take all frames before appending more, else memory grows with what is not taken.
    pub fn extend(&mut self, arrived: &[u8]) {
        self.drop_given_out();
        self.bytes.extend_from_slice(arrived);
    }

    /// The next frame, if all of it is there.
    ///
    /// # Errors
    /// [`FrameError`], from then on at every call.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        let frame = self.decoder.decode(self.bytes.get(self.start..).unwrap_or_default())?;
        if let Some(frame) = &frame {
            self.start = self.start.saturating_add(frame.wire_bytes());
        }
        Ok(frame)
    }

    /// Bytes that arrived and were not given out: none between frames.
    pub fn pending_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    /// Gives back memory that a large frame left behind; for moments of quiet.
    pub fn release_memory(&mut self) {
        self.drop_given_out();
        self.bytes.shrink_to(KEPT_BYTES);
    }

    /// What is left of a frame moves to the front at most once: afterwards it begins there.
    fn drop_given_out(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start.min(self.bytes.len()));
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Flags, encode_frame};

    #[test]
    fn memory_of_a_large_frame_is_given_back() {
        let mut bytes = Vec::new();
        encode_frame(0x02, Flags::NONE, 0, &vec![0; 1 << 20], &mut bytes).unwrap();
        bytes.extend_from_slice(b"BLA");
        let mut buffer = FrameBuffer::new();
        buffer.extend(&bytes);
        assert!(buffer.next_frame().unwrap().is_some());
        assert_eq!(buffer.next_frame(), Ok(None));
        assert_eq!(buffer.pending_bytes(), 3);
        buffer.release_memory();
        assert_eq!(buffer.pending_bytes(), 3);
        assert!(buffer.bytes.capacity() <= KEPT_BYTES);
    }
}
