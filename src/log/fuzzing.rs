//! The bodies of the fuzz targets; unit tests run them over committed seeds.

use std::sync::Arc;

use super::format::Identity;
use super::options::Options;
use super::recovery::Opened;
use super::simfs::SimFs;
use super::writer::Log;

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[("log_recovery", recover)];

/// The log that fuzzed segments claim to belong to.
pub const IDENTITY: Identity = Identity { database: *b"fuzzed log bytes", partition: 0, epoch: 1 };

/// Opens a log whose only segment, the first, has these bytes, and reads all of it: whatever they are, that neither
/// panics nor allocates by what they declare, and what it shows does not change when it is opened again.
pub fn recover(data: &[u8]) {
    let fs = SimFs::new(512);
    fs.replace(&super::segment::name(1), data.to_vec());
    let first = open_and_read(&fs);
    let second = open_and_read(&fs);
    assert!(first == second, "opening a log changed what it shows");
}

/// The sequence numbers and operation numbers that can be read; `None` if the log cannot be opened.
fn open_and_read(fs: &SimFs) -> Option<Vec<(u64, u64)>> {
    let options = Options { segment_bytes: 1 << 16, ..Options::new(IDENTITY, 0, Box::new(|| 0x5EED)) };
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
            recover(&seed);
            for _ in 0..rounds {
                let mut data = seed.clone();
                for _ in 0..1 + seeded.choose(4) {
                    mutate(&mut data, &mut seeded);
                }
                recover(&data);
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
