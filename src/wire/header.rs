//! The 15-byte header that opens every frame, on the wire and in files on disk.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 5 | magic `BLAZE` |
//! | 5 | 1 | protocol version, 1 |
//! | 6 | 1 | message type |
//! | 7 | 4 | payload length, u32 big-endian |
//! | 11 | 1 | flags |
//! | 12 | 3 | sequence, u24 big-endian |
//!
//! The payload follows, then the CRC-32 (IEEE) of header and payload, big-endian.

use thiserror::Error;

/// The bytes that open every frame.
pub const MAGIC: [u8; 5] = *b"BLAZE";
/// The protocol version that this crate speaks.
pub const VERSION: u8 = 1;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 15;
/// Bytes of the CRC-32 that closes a frame.
pub const TRAILER_BYTES: usize = 4;
/// The most bytes of a payload, before compression and after: room for one record twice over.
pub const MAX_PAYLOAD_BYTES: usize = 2 << 20;
/// Sequences are counted modulo 2²⁴.
pub const SEQUENCE_MODULUS: u32 = 1 << 24;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the table in spec/protocol.md")]
pub enum MessageType {
    Handshake = 0x01,
    Operation = 0x02,
    Query = 0x03,
    QueryResponse = 0x04,
    Subscribe = 0x05,
    Telemetry = 0x06,
    Ack = 0x07,
    Error = 0x08,
    Event = 0x10,
    Unsubscribe = 0x11,
    Ping = 0x12,
    Pong = 0x13,
    Auth = 0x14,
    Goodbye = 0x15,
    Credit = 0x16,
    Cancel = 0x17,
    /// On disk only: opens a log segment.
    SegmentHeader = 0x20,
    /// On disk only: one commit of a log.
    Commit = 0x21,
    /// On disk only: names the segment that follows a full one.
    Seal = 0x22,
    /// On disk only: opens a capture of connections.
    CaptureHeader = 0x2A,
    /// On disk only: something that happened on a captured connection.
    CaptureEntry = 0x2B,
}

impl MessageType {
    /// The type that `byte` names.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::Handshake,
            0x02 => Self::Operation,
            0x03 => Self::Query,
            0x04 => Self::QueryResponse,
            0x05 => Self::Subscribe,
            0x06 => Self::Telemetry,
            0x07 => Self::Ack,
            0x08 => Self::Error,
            0x10 => Self::Event,
            0x11 => Self::Unsubscribe,
            0x12 => Self::Ping,
            0x13 => Self::Pong,
            0x14 => Self::Auth,
            0x15 => Self::Goodbye,
            0x16 => Self::Credit,
            0x17 => Self::Cancel,
            0x20 => Self::SegmentHeader,
            0x21 => Self::Commit,
            0x22 => Self::Seal,
            0x2A => Self::CaptureHeader,
            0x2B => Self::CaptureEntry,
            _ => return None,
        })
    }

    /// Whether a peer may send it: file types are never sent.
    pub const fn is_sent_by_peers(self) -> bool {
        (self as u8) < 0x20
    }
}

/// The flags byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The payload is LZ4-compressed.
    pub const COMPRESSED: Self = Self(1);
    /// The payload is sealed end to end.
    pub const ENCRYPTED: Self = Self(1 << 1);
    /// The sender wants an Ack.
    pub const REQUIRES_ACK: Self = Self(1 << 2);
    const KNOWN: u8 = 0b111;

    /// The flags in `byte`, unless a reserved bit is set.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        if byte & !Self::KNOWN == 0 { Some(Self(byte)) } else { None }
    }

    /// The byte.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A header whose fields are all valid. The message type is not judged here: an unknown one is answered, not fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The message type as it stands in the frame.
    pub message_type: u8,
    /// Bytes of the payload as it travels: at most [`MAX_PAYLOAD_BYTES`].
    pub payload_bytes: u32,
    /// The flags.
    pub flags: Flags,
    /// The sequence: below [`SEQUENCE_MODULUS`].
    pub sequence: u32,
}

/// Why fifteen bytes are not a header: the peer's fault, and the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The first five bytes are not `BLAZE`.
    #[error("a frame begins with the bytes BLAZE: this is another protocol, or the stream lost its place")]
    BadMagic,
    /// A protocol version other than 1.
    #[error("protocol version {0} is not spoken here; version {VERSION} is")]
    UnsupportedVersion(u8),
    /// A reserved bit of the flags is set.
    #[error("flags {0:#04x} have a reserved bit set")]
    ReservedFlags(u8),
    /// A payload longer than [`MAX_PAYLOAD_BYTES`] is announced.
    #[error("a payload of {0} bytes is announced; {MAX_PAYLOAD_BYTES} is the most")]
    PayloadTooLarge(u32),
}

/// A payload over [`MAX_PAYLOAD_BYTES`]: the caller's fault. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a payload has at most {max} bytes, this one has {0}; split it", max = MAX_PAYLOAD_BYTES)]
pub struct PayloadTooLong(pub usize);

impl Header {
    /// The header of a payload to be sent.
    ///
    /// # Errors
    /// [`PayloadTooLong`].
    pub fn for_payload(
        message_type: u8,
        flags: Flags,
        sequence: u32,
        length: usize,
    ) -> Result<Self, PayloadTooLong> {
        match u32::try_from(length) {
            Ok(payload_bytes) if length <= MAX_PAYLOAD_BYTES => {
                Ok(Self { message_type, payload_bytes, flags, sequence })
            }
            _ => Err(PayloadTooLong(length)),
        }
    }

    /// Reads a header. Nothing is allocated by what it announces.
    ///
    /// # Errors
    /// [`HeaderError`], the first field that is wrong in the order of their offsets, the length before the flags.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        let [b, l, a, z, e, version, message_type, n3, n2, n1, n0, flags, s2, s1, s0] = *bytes;
        if [b, l, a, z, e] != MAGIC {
            return Err(HeaderError::BadMagic);
        }
        if version != VERSION {
            return Err(HeaderError::UnsupportedVersion(version));
        }
        let payload_bytes = u32::from_be_bytes([n3, n2, n1, n0]);
        if usize::try_from(payload_bytes).map_or(true, |length| length > MAX_PAYLOAD_BYTES) {
            return Err(HeaderError::PayloadTooLarge(payload_bytes));
        }
        let flags = Flags::from_byte(flags).ok_or(HeaderError::ReservedFlags(flags))?;
        let sequence = u32::from_be_bytes([0, s2, s1, s0]);
        Ok(Self { message_type, payload_bytes, flags, sequence })
    }

    /// The fifteen bytes. Of the sequence the lower 24 bits are written.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [b, l, a, z, e] = MAGIC;
        let [n3, n2, n1, n0] = self.payload_bytes.to_be_bytes();
        let [_, s2, s1, s0] = self.sequence.to_be_bytes();
        [b, l, a, z, e, VERSION, self.message_type, n3, n2, n1, n0, self.flags.byte(), s2, s1, s0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Composed by hand from the table above: an Operation of 258 bytes that wants an Ack, sequence 0x010203.
    const BYTES: [u8; HEADER_BYTES] = [0x42, 0x4C, 0x41, 0x5A, 0x45, 1, 2, 0, 0, 1, 2, 0b100, 1, 2, 3];

    fn with(offset: usize, byte: u8) -> [u8; HEADER_BYTES] {
        let mut bytes = BYTES;
        bytes[offset] = byte;
        bytes
    }

    #[test]
    fn a_header_is_read_and_written() {
        let header = Header {
            message_type: MessageType::Operation as u8,
            payload_bytes: 258,
            flags: Flags::REQUIRES_ACK,
            sequence: 0x01_02_03,
        };
        assert_eq!(Header::parse(&BYTES), Ok(header));
        assert_eq!(header.to_bytes(), BYTES);
    }

    #[test]
    fn each_wrong_field_has_its_error() {
        assert_eq!(Header::parse(&with(4, b'F')), Err(HeaderError::BadMagic));
        assert_eq!(Header::parse(&with(5, 2)), Err(HeaderError::UnsupportedVersion(2)));
        assert_eq!(Header::parse(&with(11, 0b1000)), Err(HeaderError::ReservedFlags(8)));
        assert_eq!(
            Header::parse(&with(8, 0x20)).map(|header| header.payload_bytes),
            Err(HeaderError::PayloadTooLarge(0x20_01_02))
        );
        assert!(Header::parse(&with(6, 0xEE)).is_ok(), "an unknown type is not the header's to judge");
    }

    #[test]
    fn message_types_are_their_bytes() {
        for byte in 0..=u8::MAX {
            if let Some(message_type) = MessageType::from_byte(byte) {
                assert_eq!(message_type as u8, byte);
                assert_eq!(message_type.is_sent_by_peers(), byte < 0x20);
            }
        }
    }
}
