//! The two frames of a segment that are not commits: its header in block 0 and its Seal in block 1.

use super::bytes::{Reader, to_u32};
use super::limits::{BLOCK_BYTES, BLOCK_LOG2, FIRST_COMMIT_OFFSET, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES};
use super::position::Location;
use crate::wire::header::{Flags, HEADER_BYTES, Header, MessageType, TRAILER_BYTES};

/// The segment format that this release writes, and the newest that it reads.
pub(crate) const FORMAT: u16 = 1;
/// Bytes of a segment header's payload.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 72;
/// Bytes of a Seal's payload.
pub(crate) const SEAL_BYTES: usize = 12;

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The database's id.
    pub database: [u8; 16],
    /// The partition.
    pub partition: u32,
    /// How often the loss of a part has been accepted; a new log begins with 1.
    pub epoch: u32,
}

/// What block 0 of a segment says. Field by field in `spec/log.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: Identity,
    /// The sequence number that the first effect in this segment has or will have.
    pub(crate) first_sequence: u64,
    /// The segment's number, from 1.
    pub(crate) segment: u32,
    /// Bytes of the whole file.
    pub(crate) bytes: u32,
    /// Random; every commit of this segment carries it.
    pub(crate) salt: u64,
    /// Where in the predecessor the log goes on here; [`Location::NONE`] if it begins here.
    pub(crate) prev: Location,
    /// The chain at `prev`. Where the log begins anew after an accepted damage, the number of the last effect that the
    /// store held then, in which the chain begins.
    pub(crate) chain: u64,
    /// The offset up to which this segment was on stable storage before it got its name.
    pub(crate) durable_end: u32,
}

/// Why a block is not a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Not a valid frame, or a field outside its range.
    Invalid,
    /// A valid frame of a later format.
    Newer(u16),
}

impl SegmentHeader {
    /// Block 0, zeros to its end included.
    pub(crate) fn to_block(self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        payload.extend(FORMAT.to_be_bytes());
        payload.extend(self.identity.database);
        payload.extend(self.identity.epoch.to_be_bytes());
        payload.extend(self.identity.partition.to_be_bytes());
        payload.extend(self.first_sequence.to_be_bytes());
        payload.extend([0, BLOCK_LOG2]);
        payload.extend(self.segment.to_be_bytes());
        payload.extend(self.bytes.to_be_bytes());
        payload.extend(self.salt.to_be_bytes());
        payload.extend(self.prev.to_u64().to_be_bytes());
        payload.extend(self.chain.to_be_bytes());
        payload.extend(self.durable_end.to_be_bytes());
        block(MessageType::SegmentHeader, 0, &payload)
    }

    /// Reads block 0.
    pub(crate) fn parse(block: &[u8]) -> Result<Self, HeaderFault> {
        let payload = frame_payload(block, MessageType::SegmentHeader, 0).ok_or(HeaderFault::Invalid)?;
        let mut reader = Reader::new(payload);
        let format = reader.u16().ok_or(HeaderFault::Invalid)?;
        if format != FORMAT {
            return Err(if format > FORMAT { HeaderFault::Newer(format) } else { HeaderFault::Invalid });
        }
        Self::parse_fields(reader).filter(Self::is_in_range).ok_or(HeaderFault::Invalid)
    }

    /// Whether an acceptance of damage cut the log in the segment `before` to go on in this one.
    pub(crate) const fn begins_epoch_after(&self, before: &Self) -> bool {
        self.identity.epoch > before.identity.epoch && self.prev.segment == before.segment
    }

    /// The number of the last effect that the store must hold if this is the oldest segment.
    pub(crate) const fn needs(&self) -> u64 {
        if self.prev.segment == 0 { self.chain } else { self.first_sequence.saturating_sub(1) }
    }

    fn parse_fields(mut reader: Reader<'_>) -> Option<Self> {
        let database = reader.array()?;
        let (epoch, partition) = (reader.u32()?, reader.u32()?);
        let first_sequence = reader.u64()?;
        let [cipher, block_log2] = reader.array()?;
        let (segment, bytes) = (reader.u32()?, reader.u32()?);
        let salt = reader.u64()?;
        let prev = Location::from_u64(reader.u64()?);
        let (chain, durable_end) = (reader.u64()?, reader.u32()?);
        let identity = Identity { database, partition, epoch };
        let known = reader.is_empty() && cipher == 0 && block_log2 == BLOCK_LOG2;
        known.then_some(Self { identity, first_sequence, segment, bytes, salt, prev, chain, durable_end })
    }

    fn is_in_range(&self) -> bool {
        let aligned = |offset: u32| offset.is_multiple_of(BLOCK_BYTES);
        // Only the first segment of a later epoch leaves out others, or all before it.
        let is_later = self.identity.epoch > 1;
        let prev_fits = if self.prev == Location::NONE {
            let begins = self.segment == 1 && self.chain == 0;
            begins || is_later && self.chain < self.first_sequence
        } else {
            let before = self.segment.saturating_sub(1);
            (self.prev.segment == before || is_later && (1..before).contains(&self.prev.segment))
                && aligned(self.prev.offset)
                && (FIRST_COMMIT_OFFSET..=MAX_SEGMENT_BYTES).contains(&self.prev.offset)
        };
        prev_fits
            && self.segment > 0
            && self.first_sequence > 0
            && aligned(self.bytes)
            && (MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&self.bytes)
            && aligned(self.durable_end)
            && (FIRST_COMMIT_OFFSET..=self.bytes).contains(&self.durable_end)
    }
}

/// What block 1 of a segment says once the next one exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The number of the segment that follows.
    pub(crate) successor: u32,
    /// That segment's salt.
    pub(crate) salt: u64,
}

impl Seal {
    /// Block 1, zeros to its end included.
    pub(crate) fn to_block(self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(SEAL_BYTES);
        payload.extend(self.successor.to_be_bytes());
        payload.extend(self.salt.to_be_bytes());
        block(MessageType::Seal, 1, &payload)
    }

    /// Reads block 1; `None` if it holds no valid Seal.
    pub(crate) fn parse(block: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(frame_payload(block, MessageType::Seal, 1)?);
        let seal = Self { successor: reader.u32()?, salt: reader.u64()? };
        reader.is_empty().then_some(seal)
    }
}

/// A block that holds one frame. `sequence` is the number of the block in its file.
fn block(message_type: MessageType, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(super::bytes::to_usize(BLOCK_BYTES));
    push_frame(message_type, sequence, payload, &mut bytes);
    bytes.resize(super::bytes::round_to_block(bytes.len()), 0);
    bytes
}

/// The payload of the frame that opens `block`, if it is valid and of that type and sequence.
fn frame_payload(block: &[u8], message_type: MessageType, sequence: u32) -> Option<&[u8]> {
    file_frame(block, message_type, sequence).map(|(payload, _)| payload)
}

/// Appends a frame of a file; returns its CRC.
pub(super) fn push_frame(message_type: MessageType, sequence: u32, payload: &[u8], out: &mut Vec<u8>) -> u32 {
    let header = Header {
        message_type: message_type as u8,
        payload_bytes: to_u32(payload.len()),
        flags: Flags::NONE,
        sequence,
    };
    let start = out.len();
    out.extend(header.to_bytes());
    out.extend(payload);
    let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend(crc.to_be_bytes());
    crc
}

/// The payload and the CRC of the frame of a file that opens `bytes`, if it is valid and of that type and sequence.
pub(super) fn file_frame(bytes: &[u8], message_type: MessageType, sequence: u32) -> Option<(&[u8], u32)> {
    let (head, _) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let header = Header::parse(head).ok()?;
    let body_end = HEADER_BYTES.checked_add(super::bytes::to_usize(header.payload_bytes))?;
    let (frame, rest) = bytes.split_at_checked(body_end)?;
    let (trailer, _) = rest.split_first_chunk::<TRAILER_BYTES>()?;
    let crc = u32::from_be_bytes(*trailer);
    let expected = message_type as u8 == header.message_type
        && header.sequence == sequence
        && header.flags == Flags::NONE
        && crc32fast::hash(frame) == crc;
    if expected { Some((frame.get(HEADER_BYTES..)?, crc)) } else { None }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            identity: Identity { database: *b"0123456789abcdef", partition: 0, epoch: 1 },
            first_sequence: 0x0102,
            segment: 2,
            bytes: 0x0001_0000,
            salt: 0xA0A1_A2A3_A4A5_A6A7,
            prev: Location { segment: 1, offset: 0x3000 },
            chain: 0xC0C1_C2C3_C4C5_C6C7,
            durable_end: 0x2000,
        }
    }

    /// The worked example of `spec/log.md`: fields composed by hand, both checksums from another implementation (zlib).
    const HEADER_HEX: &str = "424c415a45 01 20 00000048 00 000000 \
        0001 30313233343536373839616263646566 00000001 00000000 0000000000000102 00 0c 00000002 00010000 \
        a0a1a2a3a4a5a6a7 0000000100003000 c0c1c2c3c4c5c6c7 00002000 9786788c";
    const SEAL_HEX: &str = "424c415a45 01 22 0000000c 00 000001 00000002 a0a1a2a3a4a5a6a7 8bafb0e3";

    fn unhex(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
    }

    fn check(block: &[u8], hex: &str) {
        let frame = unhex(hex);
        assert_eq!(block[..frame.len()], frame);
        assert_eq!(block.len(), 4096);
        assert!(block[frame.len()..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn header_and_seal_are_the_bytes_of_the_specification() {
        check(&header().to_block(), HEADER_HEX);
        assert_eq!(SegmentHeader::parse(&header().to_block()), Ok(header()));
        let seal = Seal { successor: 2, salt: header().salt };
        check(&seal.to_block(), SEAL_HEX);
        assert_eq!(Seal::parse(&seal.to_block()), Some(seal));
    }

    #[test]
    fn every_flipped_bit_of_a_header_or_seal_is_noticed() {
        let header = header().to_block();
        let seal = Seal { successor: 2, salt: 7 }.to_block();
        for bit in 0..(HEADER_BYTES + SEGMENT_HEADER_BYTES + TRAILER_BYTES) * 8 {
            let mut damaged = header.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::parse(&damaged), Err(HeaderFault::Invalid), "bit {bit}");
        }
        for bit in 0..(HEADER_BYTES + SEAL_BYTES + TRAILER_BYTES) * 8 {
            let mut damaged = seal.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::parse(&damaged), None, "bit {bit}");
        }
    }

    #[test]
    fn fields_outside_their_range_are_refused_though_the_checksum_is_right() {
        let wrong: [fn(&mut SegmentHeader); 8] = [
            |header| header.segment = 0,
            |header| header.segment = 3,
            |header| header.first_sequence = 0,
            |header| header.bytes = 0x1_0001,
            |header| header.bytes = 0xF000_0000,
            |header| header.durable_end = 0x1000,
            |header| header.durable_end = 0x1_1000,
            |header| header.prev.offset = 0x1000,
        ];
        for change in wrong {
            let mut changed = header();
            change(&mut changed);
            assert_eq!(SegmentHeader::parse(&changed.to_block()), Err(HeaderFault::Invalid), "{changed:?}");
        }
        let mut newer = frame_payload(&header().to_block(), MessageType::SegmentHeader, 0).unwrap().to_vec();
        newer[1] = 9;
        let newer = block(MessageType::SegmentHeader, 0, &newer);
        assert_eq!(SegmentHeader::parse(&newer), Err(HeaderFault::Newer(9)));
    }
}
