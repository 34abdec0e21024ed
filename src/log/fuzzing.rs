//! The bodies of the fuzz targets; unit tests run them over committed seeds.

use std::sync::Arc;

use super::bytes::Reader;
use super::capture::{CaptureReader, CaptureWriter};
use super::commit::{CommitHead, complete, next_chain};
use super::format::{Identity, SegmentHeader, push_frame};
use super::limits::{BLOCK_BYTES, COMMIT_PREFIX_BYTES, FIRST_COMMIT_OFFSET};
use super::options::Options;
use super::position::Location;
use super::recovery::Opened;
use super::simfs::SimFs;
use super::transaction::{Piece, PieceWriter};
use super::writer::Log;
use crate::wire::header::MessageType;

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[
    ("log_recovery", log_recovery),
    ("log_commits", log_commits),
    ("transactions", transactions),
    ("capture", capture),
];

/// The log that fuzzed segments claim to belong to.
pub const IDENTITY: Identity = Identity { database: *b"fuzzed log bytes", partition: 0, epoch: 1 };

/// Opens a log whose only segment, the first, has these bytes, and reads all of it: whatever they are, that neither
/// panics nor allocates by what they declare, and what it shows does not change when it is opened again.
pub fn log_recovery(data: &[u8]) {
    let fs = SimFs::new(512);
    fs.replace(&super::segment::name(1), data.to_vec());
    let first = open_and_read(&fs);
    let second = open_and_read(&fs);
    assert!(first == second, "opening a log changed what it shows");
}

/// Opens a log whose only segment is well made as far as checksums, salts and chains go, and holds these commits: each a
/// choice u8, a length u16 and a body. The choice says what is wrong with it: bit 0 a salt, bit 1 a chain, bit 2 a claim
/// of durability beyond its place, bit 3 a gap of a block before it. The same promise as [`log_recovery`]; checksums
/// keep mutations of a whole segment from what lies behind them.
pub fn log_commits(data: &[u8]) {
    let fs = SimFs::new(512);
    fs.replace(&super::segment::name(1), segment(data));
    let first = open_and_read(&fs);
    let second = open_and_read(&fs);
    assert!(first == second, "opening a log changed what it shows");
}

/// The body of a commit: what can be read of it, written again, is the bytes that it was read from.
pub fn transactions(data: &[u8]) {
    let mut body = Reader::new(data);
    let mut again = Vec::new();
    while let Some(piece) = Piece::parse(&mut body) {
        let effects: Option<Vec<_>> = piece.effects().collect();
        // What this release cannot read it does not write.
        let Some(effects) = effects else { return };
        assert_eq!(u32::try_from(effects.len()), Ok(piece.count()), "each effect is counted");
        let mut writer = PieceWriter::begin(&mut again, &piece.head, piece.first_sequence, piece.continued);
        for effect in &effects {
            // An effect is at most as long as the input.
            let bytes = effect.encoded_bytes().unwrap_or_default();
            writer.push(&mut again, effect, bytes);
        }
        writer.finish(&mut again, piece.continues);
    }
    assert!(data.starts_with(&again), "pieces are not the bytes that they were read from");
}

/// The pieces at the beginning of the body of a commit.
pub(crate) fn pieces(body: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut reader = Reader::new(body);
    std::iter::from_fn(move || Piece::parse(&mut reader))
}

/// Bytes of the segments that are opened; zeros behind what is written.
const SEGMENT_BYTES: u32 = 1 << 16;
/// The salt of the segment, and one that is not.
const SALT: u64 = 0x5EED;

/// A first segment around the commits that `data` asks for, as many as have room.
fn segment(data: &[u8]) -> Vec<u8> {
    let header = SegmentHeader {
        identity: IDENTITY,
        first_sequence: 1,
        segment: 1,
        bytes: SEGMENT_BYTES,
        salt: SALT,
        prev: Location::NONE,
        chain: 0,
        durable_end: FIRST_COMMIT_OFFSET,
    };
    let mut bytes = header.to_block();
    bytes.resize(super::bytes::to_usize(FIRST_COMMIT_OFFSET), 0);
    let (mut reader, mut chain) = (Reader::new(data), 0);
    while let (Some(choice), Some(length)) = (reader.u8(), reader.u16()) {
        let length = usize::from(length).min(reader.rest().len());
        let mut commit = vec![0; COMMIT_PREFIX_BYTES];
        commit.extend_from_slice(reader.bytes(length).unwrap_or_default());
        let chosen = |bit: u8| choice & bit != 0;
        let block = super::bytes::to_usize(BLOCK_BYTES);
        let gap = if chosen(8) { block } else { 0 };
        let start = bytes.len().saturating_add(gap);
        if start.saturating_add(super::bytes::round_to_block(commit.len().saturating_add(block)))
            > super::bytes::to_usize(SEGMENT_BYTES)
        {
            break;
        }
        bytes.resize(start, 0);
        let offset = super::bytes::to_u32(start);
        let durable = if chosen(4) { offset.saturating_add(BLOCK_BYTES) } else { offset };
        let head = CommitHead {
            salt: if chosen(1) { SALT ^ 1 } else { SALT },
            durable_to: Location { segment: 1, offset: durable },
            chain: if chosen(2) { chain ^ 1 } else { chain },
            hlc: u64::from(offset),
        };
        chain = complete(&mut commit, offset, &head);
        bytes.extend(commit);
    }
    bytes.resize(super::bytes::to_usize(SEGMENT_BYTES), 0);
    bytes
}

/// Reads a capture: what can be read of it is, written again, the bytes that it was read from. If the first byte is odd
/// the rest is a capture, else payloads, each behind its length, of which one is made.
pub fn capture(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let bytes = if choice & 1 == 1 { rest.to_vec() } else { framed(rest) };
    let Ok((header, mut reader)) = CaptureReader::begin(bytes.as_slice()) else { return };
    let mut again = Vec::new();
    let mut writer = CaptureWriter::begin(&header, &mut again);
    while let Ok(Some(entry)) = reader.next_entry() {
        writer.entry(&entry, &mut again);
    }
    assert!(bytes.starts_with(&again), "a capture is not the bytes that it was read from");
}

/// Frames with the right sequences, chains and CRCs around the payloads in `data`.
fn framed(mut data: &[u8]) -> Vec<u8> {
    let (mut out, mut sequence, mut chain) = (Vec::new(), 0u32, 0);
    while let Some((&length, behind)) = data.split_first() {
        let (payload, behind) = behind.split_at(usize::from(length).min(behind.len()));
        let crc = if sequence == 0 {
            push_frame(MessageType::CaptureHeader, sequence, payload, &mut out)
        } else {
            let payload = [&u64::to_be_bytes(chain), payload].concat();
            push_frame(MessageType::CaptureEntry, sequence, &payload, &mut out)
        };
        (sequence, chain) = (sequence.saturating_add(1), next_chain(chain, crc));
        data = behind;
    }
    out
}

/// The sequence numbers and operation numbers that can be read; `None` if the log cannot be opened.
fn open_and_read(fs: &SimFs) -> Option<Vec<(u64, u64)>> {
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::new(IDENTITY, 0, Box::new(|| SALT)) };
    let view = match Log::open(Arc::new(fs.clone()), options).ok()? {
        Opened::ReadWrite(log, _) => log.view(),
        Opened::ReadOnly(view, _) => view,
    };
    let mut reader = view.read_from(0).ok()?;
    let mut read = Vec::new();
    while let Ok(Some(piece)) = reader.next_piece() {
        read.push((piece.first_sequence, piece.head.operation));
        for effect in piece.effects() {
            std::hint::black_box(effect);
        }
    }
    Some(read)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use super::*;
    use crate::log::effect::Checked;
    use crate::log::simfs::Choose;
    use crate::log::tests::choosers::{Seeded, setting};
    use crate::log::{Batch, Effect, Moment, TransactionHead};

    /// The bytes of a log: empty, with one commit, with several.
    fn seeds() -> Vec<Vec<u8>> {
        let seed = |appends: u64| {
            let fs = SimFs::new(512);
            let options =
                Options { segment_bytes: 1 << 15, ..Options::new(IDENTITY, 0, Box::new(|| 0x5EED)) };
            let mut log = Log::create(Arc::new(fs.clone()), options).unwrap();
            for operation in 1..=appends {
                let head =
                    TransactionHead { node: [1; 16], operation, body_hash: 2, principal: "p", trace: None };
                let bytes = vec![operation as u8; 900];
                let effect = Effect::Catalogue(Checked { bytes: &bytes, crc: 0 });
                let mut batch = Batch::new(log.next_sequence());
                batch.push(&head, &vec![effect; operation as usize]).unwrap();
                log.append(batch, Moment::default()).unwrap();
            }
            fs.bytes("0000000001.log")
        };
        vec![Vec::new(), vec![0; 5000], seed(0), seed(1), seed(4)]
    }

    /// Repairs the checksums of the frame that begins a block, so that a mutation reaches what lies behind them.
    fn repair(data: &mut [u8], block: usize) {
        let Some(frame) = data.get_mut(block..) else { return };
        let Some(length) = frame.get(7..11) else { return };
        let payload = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let end = payload.saturating_add(15);
        if end.saturating_add(4) > frame.len() {
            return;
        }
        if block >= 8192 && end >= 51 {
            let crc = crc32fast::hash(&frame[..47]);
            frame[47..51].copy_from_slice(&crc.to_be_bytes());
        }
        let crc = crc32fast::hash(&frame[..end]);
        frame[end..end + 4].copy_from_slice(&crc.to_be_bytes());
    }

    #[test]
    fn seeds_and_their_mutations_are_survived() {
        let mut seeded = Seeded(7);
        let rounds = setting("BLAZEDB_LOG_FUZZ", 400);
        let mut tried = 0_u64;
        for seed in seeds() {
            log_recovery(&seed);
            for _ in 0..rounds {
                let mut data = seed.clone();
                for _ in 0..1 + seeded.choose(4) {
                    mutate(&mut data, &mut seeded);
                }
                log_recovery(&data);
                tried += 1;
            }
        }
        println!("{tried} mutations");
    }

    fn mutate(data: &mut Vec<u8>, seeded: &mut Seeded) {
        if data.is_empty() {
            data.push(seeded.next() as u8);
            return;
        }
        let at = match seeded.choose(3) {
            0 => seeded.choose(data.len()),
            // Somewhere in a frame: where fields are.
            _ => (seeded.choose(6) * 4096 + seeded.choose(160)).min(data.len() - 1),
        };
        match seeded.choose(5) {
            0 => data[at] ^= 1 << seeded.choose(8),
            1 => data[at] = [0, 1, 0x7F, 0xFF][seeded.choose(4)],
            2 => data.truncate(at),
            3 => data[at..].iter_mut().take(4).for_each(|byte| *byte = 0xFF),
            _ => data[at] = seeded.next() as u8,
        }
        if seeded.choose(4) > 0 {
            repair(data, at / 4096 * 4096);
        }
    }
}
