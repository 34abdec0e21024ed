//! Frames in buffers: found without copying, written in place.
//!
//! [`FrameDecoder`] looks at a buffer that grows as bytes arrive. It remembers where it was, so that no byte is
//! parsed, compared or hashed twice however small the pieces are, and it allocates nothing.

use thiserror::Error;

use super::error_code::ErrorCode;
use super::header::{
    Flags, HEADER_BYTES, Header, HeaderError, MAGIC, MAX_PAYLOAD_BYTES, PayloadTooLong, TRAILER_BYTES,
    VERSION,
};

/// Bytes that a frame takes beside its payload: header and checksum.
pub const FRAME_OVERHEAD_BYTES: usize = HEADER_BYTES + TRAILER_BYTES;

/// A frame whose checksum is right, where it lies in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'b> {
    /// Its header.
    pub header: Header,
    /// Its payload as it travelled: compressed if the flag says so.
    pub payload: &'b [u8],
}

impl Frame<'_> {
    /// Bytes of the whole frame, header and checksum included: what is dropped from the buffer. In credit it
    /// costs what it would take uncompressed.
    pub const fn wire_bytes(&self) -> usize {
        self.payload.len().saturating_add(FRAME_OVERHEAD_BYTES)
    }
}

/// Bytes that are not a frame. The stream has lost its place, so the connection ends; [`Self::code`] says by
/// which Error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame does not begin with `BLAZE`: the peer's fault.
    #[error("{}", HeaderError::BadMagic)]
    BadMagic,
    /// A protocol version other than 1: the peer's fault.
    #[error("{}", HeaderError::UnsupportedVersion(*.0))]
    UnsupportedVersion(u8),
    /// A reserved bit of the flags: the peer's fault.
    #[error("{}", HeaderError::ReservedFlags(*.0))]
    ReservedFlags(u8),
    /// A payload over the limit that holds at this point of the connection: the peer's fault.
    #[error("a payload of {announced} bytes is announced; {max} is the most here")]
    PayloadTooLarge {
        /// The length in the header.
        announced: u32,
        /// The limit.
        max: usize,
    },
    /// Header and payload do not have the checksum that follows them: the network's fault, or memory's.
    #[error("the frame's CRC-32 is {stored:08x}, its bytes give {computed:08x}: damaged on the way")]
    ChecksumMismatch {
        /// The checksum in the frame.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
}

impl FrameError {
    /// The code by which it is answered.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::BadMagic => ErrorCode::BadMagic,
            Self::UnsupportedVersion(_) => ErrorCode::UnsupportedVersion,
            Self::ReservedFlags(_) => ErrorCode::ReservedFlags,
            Self::PayloadTooLarge { .. } => ErrorCode::PayloadTooLarge,
            Self::ChecksumMismatch { .. } => ErrorCode::FrameChecksumMismatch,
        }
    }
}

impl From<HeaderError> for FrameError {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::BadMagic => Self::BadMagic,
            HeaderError::UnsupportedVersion(version) => Self::UnsupportedVersion(version),
            HeaderError::ReservedFlags(flags) => Self::ReservedFlags(flags),
            HeaderError::PayloadTooLarge(announced) => {
                Self::PayloadTooLarge { announced, max: MAX_PAYLOAD_BYTES }
            }
        }
    }
}

/// Finds frames in a buffer that grows.
///
/// Call [`Self::decode`] with the buffer from the first byte of the frame in hand. On a frame, drop its
/// [`Frame::wire_bytes`] from the front before the next call; on `None`, append what arrives and call again.
/// [`FrameBuffer`](super::FrameBuffer) does both.
#[derive(Debug, Clone)]
pub struct FrameDecoder {
    max_payload_bytes: usize,
    state: State,
    /// Of the frame in hand, what has been hashed so far; `hashed` counts its bytes.
    hasher: crc32fast::Hasher,
    hashed: usize,
    #[cfg(test)]
    hashed_in_all: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many bytes of the header were found to be right.
    Header(usize),
    /// The header is read; payload and checksum are awaited.
    Body(Header),
    /// The stream is lost; said again to whoever asks again.
    Failed(FrameError),
}

impl FrameDecoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self {
            max_payload_bytes: MAX_PAYLOAD_BYTES,
            state: State::Header(0),
            hasher: crc32fast::Hasher::new(),
            hashed: 0,
            #[cfg(test)]
            hashed_in_all: 0,
        }
    }

    /// Lowers or raises the largest payload that is accepted, of frames whose header has not been read yet;
    /// never beyond [`MAX_PAYLOAD_BYTES`].
    pub fn set_max_payload_bytes(&mut self, max: usize) {
        self.max_payload_bytes = max.min(MAX_PAYLOAD_BYTES);
    }

    /// Looks for the frame at the start of `buffer`, going on from where the call before ended: `buffer` holds what
    /// it held then, and more. `None`: not all of the frame is there.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the bytes that are there cannot become a frame; from then on at every call.
    #[inline]
    pub fn decode<'b>(&mut self, buffer: &'b [u8]) -> Result<Option<Frame<'b>>, FrameError> {
        let found = match self.state {
            State::Body(header) => self.body(header, buffer),
            State::Header(checked) => self.header(checked, buffer),
            State::Failed(error) => Err(error),
        };
        if let Err(error) = found {
            self.state = State::Failed(error);
        }
        found
    }

    #[inline]
    fn header<'b>(&mut self, checked: usize, buffer: &'b [u8]) -> Result<Option<Frame<'b>>, FrameError> {
        let Some(bytes) = buffer.first_chunk() else {
            self.state = State::Header(check_beginning(checked, buffer)?);
            return Ok(None);
        };
        let header = Header::parse(bytes)?;
        let announced = header.payload_bytes;
        if payload_length(header) > self.max_payload_bytes {
            return Err(FrameError::PayloadTooLarge { announced, max: self.max_payload_bytes });
        }
        self.state = State::Body(header);
        self.body(header, buffer)
    }

    #[inline]
    fn body<'b>(&mut self, header: Header, buffer: &'b [u8]) -> Result<Option<Frame<'b>>, FrameError> {
        let end = payload_length(header).saturating_add(HEADER_BYTES);
        let arrived = buffer.len().min(end);
        let fresh = buffer.get(self.hashed..arrived).unwrap_or_default();
        self.hasher.update(fresh);
        self.hashed = arrived;
        #[cfg(test)]
        {
            self.hashed_in_all += fresh.len();
        }
        let trailer = buffer.get(end..).and_then(<[u8]>::first_chunk::<TRAILER_BYTES>);
        let (Some(trailer), Some(payload)) = (trailer, buffer.get(HEADER_BYTES..end)) else {
            return Ok(None);
        };
        let hasher = std::mem::replace(&mut self.hasher, crc32fast::Hasher::new());
        let (stored, computed) = (u32::from_be_bytes(*trailer), hasher.finalize());
        if stored != computed {
            return Err(FrameError::ChecksumMismatch { stored, computed });
        }
        self.state = State::Header(0);
        self.hashed = 0;
        Ok(Some(Frame { header, payload }))
    }
}

impl Default for FrameDecoder {
    fn default() -> Self {
        Self::new()
    }
}

fn payload_length(header: Header) -> usize {
    usize::try_from(header.payload_bytes).unwrap_or(usize::MAX)
}

/// Looks at the bytes of an incomplete header behind the first `checked`, so that another protocol is turned
/// away by its first byte. Returns how many are right.
fn check_beginning(checked: usize, buffer: &[u8]) -> Result<usize, FrameError> {
    let expected = MAGIC.iter().chain(std::iter::once(&VERSION)).skip(checked);
    for (at, (&byte, &right)) in buffer.iter().skip(checked).zip(expected).enumerate() {
        if byte != right {
            let in_magic = checked.saturating_add(at) < MAGIC.len();
            return Err(if in_magic { FrameError::BadMagic } else { FrameError::UnsupportedVersion(byte) });
        }
    }
    Ok(buffer.len())
}

/// Appends a frame to `out`; its payload is what `write_payload` appends, written once and where it stays.
/// Returns the frame's length. Of `sequence` the lower 24 bits are written.
///
/// # Errors
/// [`PayloadTooLong`]; `out` is then as it was.
pub fn encode_frame_with(
    message_type: u8,
    flags: Flags,
    sequence: u32,
    out: &mut Vec<u8>,
    write_payload: impl FnOnce(&mut Vec<u8>),
) -> Result<usize, PayloadTooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write_payload(out);
    let length = out.len().saturating_sub(start).saturating_sub(HEADER_BYTES);
    let header =
        Header::for_payload(message_type, flags, sequence, length).inspect_err(|_| out.truncate(start))?;
    let frame = out.get_mut(start..).unwrap_or_default();
    if let Some(place) = frame.first_chunk_mut() {
        *place = header.to_bytes();
    }
    let checksum = crc32fast::hash(frame);
    out.extend_from_slice(&checksum.to_be_bytes());
    Ok(out.len().saturating_sub(start))
}

/// Appends a frame around a payload that exists already. Returns the frame's length.
///
/// # Errors
/// [`PayloadTooLong`]; `out` is then as it was.
pub fn encode_frame(
    message_type: u8,
    flags: Flags,
    sequence: u32,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, PayloadTooLong> {
    encode_frame_with(message_type, flags, sequence, out, |out| out.extend_from_slice(payload))
}

#[cfg(test)]
mod tests;
