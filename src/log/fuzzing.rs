//! The bodies of the fuzz targets; unit tests run them over committed seeds.

use std::sync::Arc;

use super::format::Identity;
use super::recovery::Opened;
use super::simfs::SimFs;
use super::writer::{Log, Options};

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
