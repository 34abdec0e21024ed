//! A commit: frame header, head, body, checksum, zeros to the end of its last block.

use super::bytes::{Reader, round_to_block, to_u32, to_usize};
use super::limits::{BLOCK_BYTES, COMMIT_PREFIX_BYTES, MAX_COMMIT_BYTES};
use super::position::Location;
use crate::wire::header::{Flags, HEADER_BYTES, Header, MessageType, TRAILER_BYTES};

/// Bytes in front of `head_crc`, which covers them.
const HEAD_CHECKED_BYTES: usize = COMMIT_PREFIX_BYTES - 4;

/// The head of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommitHead {
    /// The segment's salt.
    pub(crate) salt: u64,
    /// Up to where fdatasync had returned when this frame was built.
    pub(crate) durable_to: Location,
    /// The chained checksum of every commit before this one.
    pub(crate) chain: u64,
    /// The hybrid logical clock: 48 bits of Unix milliseconds, 16 of counter.
    pub(crate) hlc: u64,
}

/// A commit's head and how long its frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoundHead {
    pub(crate) head: CommitHead,
    /// Bytes of the frame, header and trailer included.
    pub(crate) frame_bytes: usize,
    /// The sequence of its frame header: the number of its block.
    pub(crate) block: u32,
}

/// The chain after a commit: 32 bits that depend on all history, 32 bits of the commit itself.
pub(crate) fn next_chain(chain: u64, frame_crc: u32) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chain.to_be_bytes());
    hasher.update(&frame_crc.to_be_bytes());
    u64::from(hasher.finalize()) << 32 | u64::from(frame_crc)
}

/// Completes the commit in `buffer`, whose first [`COMMIT_PREFIX_BYTES`] are reserved and whose rest is the body:
/// fills in the prefix, adds the checksum and zeros to the end of the block. Returns the chain after it.
pub(crate) fn complete(buffer: &mut Vec<u8>, offset: u32, head: &CommitHead) -> u64 {
    let payload_bytes = buffer.len().saturating_sub(HEADER_BYTES);
    let header = Header {
        message_type: MessageType::Commit as u8,
        payload_bytes: to_u32(payload_bytes),
        flags: Flags::NONE,
        sequence: offset / BLOCK_BYTES,
    };
    let mut prefix = Vec::with_capacity(COMMIT_PREFIX_BYTES);
    prefix.extend(header.to_bytes());
    prefix.extend(head.salt.to_be_bytes());
    prefix.extend(head.durable_to.to_u64().to_be_bytes());
    prefix.extend(head.chain.to_be_bytes());
    prefix.extend(head.hlc.to_be_bytes());
    prefix.extend(crc32fast::hash(&prefix).to_be_bytes());
    if let Some(reserved) = buffer.get_mut(..COMMIT_PREFIX_BYTES) {
        reserved.copy_from_slice(&prefix);
    }
    let frame_crc = crc32fast::hash(buffer);
    buffer.extend(frame_crc.to_be_bytes());
    buffer.resize(round_to_block(buffer.len()), 0);
    next_chain(head.chain, frame_crc)
}

/// The head that lies at the start of `block`, if it is one of the segment with this salt. The salt is compared
/// first: a block of payload costs eight bytes of comparison, not a checksum.
pub(crate) fn find_head(block: &[u8], salt: u64) -> Option<FoundHead> {
    let (checked, rest) = block.split_at_checked(HEAD_CHECKED_BYTES)?;
    let mut reader = Reader::new(checked);
    let header = reader.array::<HEADER_BYTES>()?;
    if reader.u64()? != salt {
        return None;
    }
    if crc32fast::hash(checked) != Reader::new(rest).u32()? {
        return None;
    }
    let header = Header::parse(&header).ok()?;
    if header.message_type != MessageType::Commit as u8 || header.flags != Flags::NONE {
        return None;
    }
    let durable_to = Location::from_u64(reader.u64()?);
    let head = CommitHead { salt, durable_to, chain: reader.u64()?, hlc: reader.u64()? };
    let frame_bytes = to_usize(header.payload_bytes).checked_add(HEADER_BYTES)?.checked_add(TRAILER_BYTES)?;
    let fits = (COMMIT_PREFIX_BYTES.saturating_add(TRAILER_BYTES)..=MAX_COMMIT_BYTES).contains(&frame_bytes);
    fits.then_some(FoundHead { head, frame_bytes, block: header.sequence })
}

/// The body of a whole frame and the checksum that closes it, if that is right.
pub(crate) fn check_frame(frame: &[u8]) -> Option<(&[u8], u32)> {
    let (checked, trailer) = frame.split_last_chunk::<TRAILER_BYTES>()?;
    let stored = u32::from_be_bytes(*trailer);
    let body = checked.get(COMMIT_PREFIX_BYTES..)?;
    (crc32fast::hash(checked) == stored).then_some((body, stored))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;

    const HEAD: CommitHead = CommitHead {
        salt: 0xA0A1_A2A3_A4A5_A6A7,
        durable_to: Location { segment: 2, offset: 0x2000 },
        chain: 0xC0C1_C2C3_C4C5_C6C7,
        hlc: 0x0199_0000_0000_0001,
    };

    /// An empty commit in block 2, composed by hand from `spec/log.md`; checksums and chain from zlib.
    const EMPTY_HEX: &str = "424c415a45 01 21 00000024 00 000002 a0a1a2a3a4a5a6a7 0000000200002000 \
        c0c1c2c3c4c5c6c7 0199000000000001 cf89937e 9970a984";
    const CHAIN_AFTER: u64 = 0x4BB2_BABA_9970_A984;

    fn empty() -> (Vec<u8>, u64) {
        let mut buffer = vec![0; COMMIT_PREFIX_BYTES];
        let chain = complete(&mut buffer, 0x2000, &HEAD);
        (buffer, chain)
    }

    #[test]
    fn an_empty_commit_is_the_bytes_of_the_specification() {
        let (buffer, chain) = empty();
        let digits: String = EMPTY_HEX.split_whitespace().collect();
        let expected = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
        assert_eq!(buffer[..expected.len()], expected);
        assert_eq!(buffer.len(), 4096);
        assert_eq!(chain, CHAIN_AFTER);
        assert_eq!(find_head(&buffer, HEAD.salt), Some(FoundHead { head: HEAD, frame_bytes: 55, block: 2 }));
        let frame_crc = u32::from_be_bytes(*expected.last_chunk().unwrap());
        assert_eq!(check_frame(&expected), Some((&[][..], frame_crc)));
    }

    #[test]
    fn a_head_is_found_only_with_its_salt_and_checksum() {
        let (buffer, _) = empty();
        assert_eq!(find_head(&buffer, HEAD.salt ^ 1), None);
        assert_eq!(find_head(&buffer[..COMMIT_PREFIX_BYTES - 1], HEAD.salt), None);
        for bit in 0..COMMIT_PREFIX_BYTES * 8 {
            let mut damaged = buffer.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(find_head(&damaged, HEAD.salt), None, "bit {bit}");
        }
    }
}
