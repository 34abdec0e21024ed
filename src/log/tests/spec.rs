//! The worked example of `spec/log.md`, whose bytes another implementation computed, against what the log writes.

use std::sync::Arc;
use std::time::Duration;

use crate::log::effect::{Checked, Effect, RecordEffect, Stamp};
use crate::log::format::Seal;
use crate::log::simfs::SimFs;
use crate::log::{Batch, Identity, Log, Moment, Options, TransactionHead};

/// The bytes of the dump: each line is an offset and up to sixteen bytes, in hexadecimal.
fn dumped(segment: &mut [u8]) -> usize {
    let mut lines = 0;
    for line in include_str!("../../../spec/log.md").lines() {
        let Some((offset, bytes)) = line.split_once("  ").filter(|(offset, _)| offset.len() == 5) else {
            continue;
        };
        let Ok(offset) = usize::from_str_radix(offset, 16) else { continue };
        for (at, byte) in bytes.split(' ').enumerate() {
            segment[offset + at] = u8::from_str_radix(byte, 16).unwrap();
        }
        lines += 1;
    }
    lines
}

#[test]
fn the_worked_example_is_what_is_written() {
    let mut expected = vec![0; 16 * 4096];
    assert_eq!(dumped(&mut expected), 6 + 2 + 11 + 4, "lines of the dump");
    let seal = expected[4096..8192].to_vec();
    assert_eq!(Seal { successor: 2, salt: 0xA0A1_A2A3_A4A5_A6A7 }.to_block(), seal);
    expected[4096..8192].fill(0);

    let fs = SimFs::new(4096);
    let identity = Identity { database: *b"0123456789abcdef", partition: 0, epoch: 1 };
    let salts = Box::new(|| 0xA0A1_A2A3_A4A5_A6A7);
    let options = Options { segment_bytes: 16 * 4096, ..Options::new(identity, 0, salts) };
    let mut log = Log::create(Arc::new(fs.clone()), options).unwrap();
    let hlc = 0x0199_0000_0000_0001;
    let head = TransactionHead {
        node: *b"abcdefghijklmnop",
        operation: 9,
        body_hash: 0x1122_3344_5566_7788,
        principal: "me",
        trace: None,
    };
    let record = [0x42, 0x4C, 0x41, 0x5A, 0x45, 1, 0, 0];
    let put = RecordEffect {
        stamp: Stamp { collection: 7, id: *b"ABCDEFGHIJKLMNOP", clock: hlc, node: 3 },
        field_clocks: Vec::new(),
        changed: Vec::new(),
        record: Checked { bytes: &record, crc: crc32fast::hash(&record) },
    };
    let mut batch = Batch::new(1);
    batch.push(&head, &[Effect::Put(put)]).unwrap();
    log.append(batch, Moment { hlc, elapsed: Duration::ZERO }).unwrap();
    log.close(Moment { hlc: hlc + 1, elapsed: Duration::ZERO }).unwrap();
    let written = fs.bytes("0000000001.log");
    assert_eq!(written.len(), expected.len());
    let first = written.iter().zip(&expected).position(|(written, expected)| written != expected);
    assert_eq!(first, None, "the first byte that differs");
}
