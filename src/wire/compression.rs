//! Compressed payloads: the plain length as a u32, then one LZ4 block.
//!
//! Before a byte of room is made, the block's own sequences are walked: their lengths add up to what it will
//! become, so that a declared length is proven and not believed.

use thiserror::Error;

use super::limits::{
    MAX_COMPRESSION_RATIO, MAX_PAYLOAD_BYTES, MIN_COMPRESSIBLE_BYTES, MIN_COMPRESSION_GAIN_DIVISOR,
};
use crate::blazebinary::Reader;

/// Bytes of the plain length.
const LENGTH_BYTES: usize = 4;
/// A nibble of this value says that more bytes of length follow.
const LONG: u8 = 15;
/// A byte of length of this value says that another follows.
const LONGER: u8 = 255;
/// What is added to the length of every match: shorter ones are not worth their offset.
const MIN_MATCH_BYTES: usize = 4;

/// A compressed payload that is refused before or while it is decompressed: the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// It ends before the plain length and one byte of block.
    #[error("a compressed payload has at least 5 bytes")]
    Truncated,
    /// The plain length passes the limit of payloads.
    #[error("a plain length of {0} bytes is declared; {MAX_PAYLOAD_BYTES} is the most")]
    TooLong(u32),
    /// The plain length is not above the compressed length: nothing was won.
    #[error("the plain length of {0} bytes is not above the compressed length")]
    NoGain(u32),
    /// The plain length passes what compression can reach.
    #[error(
        "a plain length of {0} bytes is declared, over {MAX_COMPRESSION_RATIO} times the compressed length"
    )]
    RatioTooHigh(u32),
    /// The block is broken, or does not become the declared length.
    #[error("the LZ4 block is broken or does not have the declared plain length")]
    BadBlock,
}

/// Appends the compressed form of `plain` to `out` if that wins: at least an eighth of a payload that is not
/// small. Returns whether it did; if not, `out` is as it was.
pub fn compress(plain: &[u8], out: &mut Vec<u8>) -> bool {
    let (start, length) = (out.len(), plain.len());
    let Ok(declared) = u32::try_from(length) else { return false };
    if !(MIN_COMPRESSIBLE_BYTES..=MAX_PAYLOAD_BYTES).contains(&length) {
        return false;
    }
    out.extend_from_slice(&declared.to_be_bytes());
    let block_at = out.len();
    out.resize(block_at.saturating_add(lz4_flex::block::get_maximum_output_size(length)), 0);
    let block = out.get_mut(block_at..).unwrap_or_default();
    let most = length.saturating_sub(length / MIN_COMPRESSION_GAIN_DIVISOR);
    match lz4_flex::block::compress_into(plain, block) {
        Ok(written) if written.saturating_add(LENGTH_BYTES) <= most => {
            out.truncate(block_at.saturating_add(written));
            true
        }
        _ => {
            out.truncate(start);
            false
        }
    }
}

/// Replaces what is in `plain` by the plain form of `payload`. Room is made only for what the block itself was
/// found to become, at most [`MAX_PAYLOAD_BYTES`].
///
/// # Errors
/// [`CompressionError`]; `plain` is then empty.
pub fn decompress(payload: &[u8], plain: &mut Vec<u8>) -> Result<(), CompressionError> {
    plain.clear();
    let (length, block) = payload.split_first_chunk().ok_or(CompressionError::Truncated)?;
    let declared = u32::from_be_bytes(*length);
    let length = usize::try_from(declared).unwrap_or(usize::MAX);
    if block.is_empty() {
        return Err(CompressionError::Truncated);
    }
    if length > MAX_PAYLOAD_BYTES {
        return Err(CompressionError::TooLong(declared));
    }
    if length <= payload.len() {
        return Err(CompressionError::NoGain(declared));
    }
    if length > block.len().saturating_mul(MAX_COMPRESSION_RATIO) {
        return Err(CompressionError::RatioTooHigh(declared));
    }
    if plain_length(block) != Some(length) {
        return Err(CompressionError::BadBlock);
    }
    plain.resize(length, 0);
    match lz4_flex::block::decompress_into(block, plain) {
        Ok(written) if written == length => Ok(()),
        _ => {
            plain.clear();
            Err(CompressionError::BadBlock)
        }
    }
}

/// The length that a block becomes, by the lengths of its sequences; `None` if it ends inside one or a match
/// reaches before the beginning. Every step takes a byte of the block, so the walk is as long as the block.
fn plain_length(block: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(block);
    let mut length = 0usize;
    loop {
        let token = reader.u8()?;
        let literals = run_length(&mut reader, token >> 4)?;
        reader.bytes(literals)?;
        length = length.checked_add(literals)?;
        if reader.is_empty() {
            // The last sequence has literals alone.
            return Some(length);
        }
        let [low, high] = *reader.array()?;
        let offset = usize::from(u16::from_le_bytes([low, high]));
        if offset == 0 || offset > length {
            return None;
        }
        let matched = run_length(&mut reader, token & LONG)?.checked_add(MIN_MATCH_BYTES)?;
        length = length.checked_add(matched)?;
    }
}

/// A length that begins in a nibble of the token and goes on in bytes.
fn run_length(reader: &mut Reader<'_>, nibble: u8) -> Option<usize> {
    let mut length = usize::from(nibble);
    if nibble == LONG {
        loop {
            let more = reader.u8()?;
            length = length.checked_add(usize::from(more))?;
            if more != LONGER {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(plain: &[u8]) -> bool {
        let mut compressed = vec![7];
        let won = compress(plain, &mut compressed);
        if won {
            assert!(compressed.len() <= plain.len() - plain.len() / 8 + 1);
            let mut again = vec![1, 2, 3];
            assert_eq!(decompress(&compressed[1..], &mut again), Ok(()));
            assert_eq!(again, plain);
        } else {
            assert_eq!(compressed, [7]);
        }
        won
    }

    #[test]
    fn compression_is_used_where_it_wins() {
        assert!(check(&[0; 512]));
        assert!(!check(&[0; 511]), "too small to be worth it");
        assert!(check(&vec![0; MAX_PAYLOAD_BYTES]));
        assert!(!check(&vec![0; MAX_PAYLOAD_BYTES + 1]));
        // A generator without pattern: xorshift32.
        let mut state = 1u32;
        let noise: Vec<u8> = (0..4_096)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state as u8
            })
            .collect();
        assert!(!check(&noise));
    }

    /// By hand from LZ4's block format: literal 'a', a match of 4 + 15 + 10 at offset 1, five literals 'b'.
    const BLOCK: [u8; 11] = [0x1F, b'a', 1, 0, 10, 0x50, b'b', b'b', b'b', b'b', b'b'];

    fn declared(length: u32, block: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes(), block].concat()
    }

    /// How many literals end a block, and how many bytes before its end the last match begins, `None` without one: by the
    /// block format itself.
    fn ending(block: &[u8]) -> (usize, Option<usize>) {
        let (mut at, mut length, mut last_match) = (0, 0, None);
        let run = |nibble: u8, at: &mut usize| {
            let mut sum = usize::from(nibble);
            let mut goes_on = nibble == LONG;
            while goes_on {
                sum += usize::from(block[*at]);
                goes_on = block[*at] == LONGER;
                *at += 1;
            }
            sum
        };
        loop {
            let token = block[at];
            at += 1;
            let literals = run(token >> 4, &mut at);
            (at, length) = (at + literals, length + literals);
            if at == block.len() {
                return (literals, last_match.map(|begin: usize| length - begin));
            }
            at += 2;
            last_match = Some(length);
            length += run(token & LONG, &mut at) + MIN_MATCH_BYTES;
        }
    }

    /// P-5.6.
    #[test]
    fn blocks_end_as_the_format_wants_it() {
        assert_eq!(ending(&BLOCK), (5, Some(34)), "by hand");
        for length in 512..600 {
            for period in [1, 3, 64] {
                let plain: Vec<u8> = (0..length).map(|at| (at % period) as u8).collect();
                let mut payload = Vec::new();
                assert!(compress(&plain, &mut payload));
                let (literals, before) = ending(&payload[LENGTH_BYTES..]);
                assert!(literals >= 5 && before.unwrap() >= 12, "{length} {period}: {literals} {before:?}");
            }
        }
    }

    #[test]
    fn a_block_is_read() {
        let mut plain = Vec::new();
        assert_eq!(decompress(&declared(35, &BLOCK), &mut plain), Ok(()));
        assert_eq!(plain, [[b'a'; 30].as_slice(), &[b'b'; 5]].concat());
    }

    #[test]
    fn lies_and_bombs_are_refused_before_room_is_made() {
        let bomb = declared(2 << 20, &[BLOCK[0], BLOCK[1], 1, 0, 255, 255, 255, 255]);
        let cases: [(Vec<u8>, CompressionError); 10] = [
            (vec![], CompressionError::Truncated),
            (declared(35, &[]), CompressionError::Truncated),
            (declared(u32::MAX, &BLOCK), CompressionError::TooLong(u32::MAX)),
            (declared((2 << 20) + 1, &BLOCK), CompressionError::TooLong((2 << 20) + 1)),
            (declared(15, &BLOCK), CompressionError::NoGain(15)),
            (bomb, CompressionError::RatioTooHigh(2 << 20)),
            (declared(255 * 11 + 1, &BLOCK), CompressionError::RatioTooHigh(2806)),
            (declared(36, &BLOCK), CompressionError::BadBlock),
            (declared(34, &BLOCK), CompressionError::BadBlock),
            (
                declared(35, &[0x1F, b'a', 2, 0, 10, 0x50, b'b', b'b', b'b', b'b', b'b']),
                CompressionError::BadBlock,
            ),
        ];
        for (payload, error) in cases {
            let mut plain = Vec::new();
            let used =
                allocation_counter::measure(|| assert_eq!(decompress(&payload, &mut plain), Err(error)));
            assert_eq!(used.count_total, 0, "{error}");
        }
        for end in 0..BLOCK.len() {
            assert!(decompress(&declared(35, &BLOCK[..end]), &mut Vec::new()).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(words in prop::collection::vec(0u8..6, 0..5_000)) {
            check(&words);
        }

        #[test]
        fn any_bytes_are_refused_or_have_the_declared_length(
            length in 0u32..3_000,
            block in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut plain = Vec::new();
            if decompress(&declared(length, &block), &mut plain).is_ok() {
                prop_assert_eq!(plain.len(), length as usize);
            }
        }
    }
}
