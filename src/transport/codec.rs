//! The frame decoder as a `tokio_util` codec, so that any byte stream becomes a stream of frames.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;
use tokio_util::codec::{Decoder, Encoder};

use crate::wire::header::HEADER_BYTES;
use crate::wire::{FRAME_OVERHEAD_BYTES, Flags, FrameDecoder, FrameError, Header, PayloadTooLong};

/// A frame that owns its payload, which shares the memory it was read into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedFrame {
    /// Its header.
    pub header: Header,
    /// Its payload as it travelled.
    pub payload: Bytes,
}

/// A frame to be sent.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingFrame<'a> {
    /// The header's byte.
    pub message_type: u8,
    /// The flags.
    pub flags: Flags,
    /// The sequence; the lower 24 bits are written.
    pub sequence: u32,
    /// The payload as it travels.
    pub payload: &'a [u8],
}

/// Why a stream of frames ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The peer sent what is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A payload to be sent is too long: the caller's fault; the stream is as it was.
    #[error(transparent)]
    TooLong(#[from] PayloadTooLong),
    /// The stream ended inside a frame: the network's fault.
    #[error("the connection ended inside a frame, {0} bytes of which had arrived")]
    EndInsideFrame(usize),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Frames in, frames out. Memory is bounded by one frame of the accepted size and what one read brings.
#[derive(Debug, Clone, Default)]
pub struct FrameCodec {
    decoder: FrameDecoder,
}

impl FrameCodec {
    /// A codec at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// See [`FrameDecoder::set_max_payload_bytes`].
    pub fn set_max_payload_bytes(&mut self, max: usize) {
        self.decoder.set_max_payload_bytes(max);
    }
}

impl Decoder for FrameCodec {
    type Item = OwnedFrame;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<OwnedFrame>, CodecError> {
        let Some(frame) = self.decoder.decode(buffer)? else {
            // Nothing is reserved by the length that the header declares: the buffer grows by what arrives.
            return Ok(None);
        };
        let (header, length, payload_length) = (frame.header, frame.wire_bytes(), frame.payload.len());
        let mut payload = buffer.split_to(length).freeze();
        payload.advance(HEADER_BYTES);
        payload.truncate(payload_length);
        Ok(Some(OwnedFrame { header, payload }))
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<OwnedFrame>, CodecError> {
        match self.decode(buffer)? {
            None if !buffer.is_empty() => Err(CodecError::EndInsideFrame(buffer.len())),
            frame => Ok(frame),
        }
    }
}

impl Encoder<OutgoingFrame<'_>> for FrameCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: OutgoingFrame<'_>, buffer: &mut BytesMut) -> Result<(), CodecError> {
        let OutgoingFrame { message_type, flags, sequence, payload } = frame;
        let header = Header::for_payload(message_type, flags, sequence, payload.len())?;
        let start = buffer.len();
        buffer.reserve(payload.len().saturating_add(FRAME_OVERHEAD_BYTES));
        buffer.extend_from_slice(&header.to_bytes());
        buffer.extend_from_slice(payload);
        let checksum = crc32fast::hash(buffer.get(start..).unwrap_or_default());
        buffer.extend_from_slice(&checksum.to_be_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio::io::AsyncWriteExt;
    use tokio_util::codec::{FramedRead, FramedWrite};

    use super::*;
    use crate::wire::encode_frame;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn payloads() -> Vec<Vec<u8>> {
        [0, 1, 27, 5_000, 100_000].map(|length| (0..length).map(|at| at as u8).collect()).into()
    }

    fn stream() -> Vec<u8> {
        let mut out = Vec::new();
        for (sequence, payload) in (0..).zip(payloads()) {
            encode_frame(2, Flags::REQUIRES_ACK, sequence, &payload, &mut out).unwrap();
        }
        out
    }

    /// Writes `bytes` through a pipe that holds `capacity` bytes and reads frames until the end.
    fn read_all(bytes: Vec<u8>, capacity: usize) -> Vec<Result<OwnedFrame, CodecError>> {
        run(async {
            let (mut near, far) = tokio::io::duplex(capacity);
            let write = async {
                near.write_all(&bytes).await.unwrap();
                drop(near);
            };
            let read = FramedRead::new(far, FrameCodec::new()).collect();
            futures_util::future::join(write, read).await.1
        })
    }

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        for capacity in [1, 2, 14, 15, 16, 1_000, 1 << 20] {
            let frames: Vec<OwnedFrame> =
                read_all(stream(), capacity).into_iter().map(Result::unwrap).collect();
            let found: Vec<Vec<u8>> = frames.iter().map(|frame| frame.payload.to_vec()).collect();
            assert_eq!(found, payloads(), "a pipe of {capacity}");
            assert!(frames.iter().zip(0..).all(|(frame, sequence)| frame.header.sequence == sequence));
        }
    }

    #[test]
    fn frames_are_written_as_the_core_writes_them() {
        let written = run(async {
            let mut sink = FramedWrite::new(Vec::new(), FrameCodec::new());
            for (sequence, payload) in (0..).zip(payloads()) {
                let frame = OutgoingFrame {
                    message_type: 2,
                    flags: Flags::REQUIRES_ACK,
                    sequence,
                    payload: &payload,
                };
                sink.send(frame).await.unwrap();
            }
            let too_long = vec![0; crate::wire::limits::MAX_PAYLOAD_BYTES + 1];
            let frame =
                OutgoingFrame { message_type: 2, flags: Flags::NONE, sequence: 9, payload: &too_long };
            assert!(matches!(sink.send(frame).await, Err(CodecError::TooLong(_))));
            sink.into_inner()
        });
        assert!(written == stream());
    }

    #[test]
    fn an_end_inside_a_frame_is_an_error() {
        let bytes = stream();
        for (length, arrived) in [(bytes.len() - 1, 100_018), (19 + 20 + 3, 3)] {
            let last = read_all(bytes[..length].to_vec(), 64).pop().unwrap();
            assert!(matches!(last, Err(CodecError::EndInsideFrame(found)) if found == arrived), "{last:?}");
        }
        assert!(read_all(Vec::new(), 64).is_empty());
    }

    #[test]
    fn what_is_no_frame_ends_the_stream() {
        let found = read_all(b"GET / HTTP/1.1\r\n".to_vec(), 64);
        assert!(matches!(found[..], [Err(CodecError::Frame(FrameError::BadMagic))]), "{found:?}");
        let mut codec = FrameCodec::new();
        codec.set_max_payload_bytes(26);
        let mut buffer = BytesMut::from(stream().as_slice());
        let lengths: Vec<usize> = std::iter::from_fn(|| codec.decode(&mut buffer).ok().flatten())
            .map(|frame| frame.payload.len())
            .collect();
        assert_eq!(lengths, [0, 1]);
    }
}
