//! An idle log vouches for its last batch once, in time, and then lets the disk sleep.

use std::sync::Arc;
use std::time::Duration;

use super::choosers::Seeded;
use super::world::{IDENTITY, push, record};
use crate::log::simfs::SimFs;
use crate::log::{Batch, Log, Moment, Opened, Options};

fn options(blocks: u32) -> Options {
    let mut seeded = Seeded(3);
    Options { segment_bytes: blocks * 4096, ..Options::new(IDENTITY, 0, Box::new(move || seeded.next())) }
}

fn at(milliseconds: u64) -> Moment {
    Moment { hlc: milliseconds << 16, elapsed: Duration::from_millis(milliseconds) }
}

fn append(log: &mut Log, moment: Moment) {
    let mut batch = Batch::new(log.next_sequence());
    push(&mut batch, 1, &[record(1, 50)]);
    log.append(batch, moment).unwrap();
}

#[test]
fn one_empty_commit_follows_a_busy_time_and_none_follows_that() {
    let fs = SimFs::new(512);
    let mut log = Log::create(Arc::new(fs.clone()), options(8)).unwrap();
    assert!(!log.tick(at(1_000)).unwrap(), "nothing was written");
    append(&mut log, at(1_000));
    assert_eq!(log.next_tick(), Some(Duration::from_millis(1_050)));
    assert!(!log.tick(at(1_049)).unwrap());
    append(&mut log, at(1_049));
    assert!(!log.tick(at(1_098)).unwrap(), "busy again");
    assert!(log.tick(at(1_099)).unwrap());
    // Blocks 2 and 3 hold the batches, block 4 the empty commit: type 21, 36 bytes of payload.
    assert_eq!(fs.bytes("0000000001.log")[4 * 4096 + 6..][..5], [0x21, 0, 0, 0, 36]);
    let operations = fs.operations();
    assert_eq!((log.tick(at(9_000)).unwrap(), log.next_tick()), (false, None));
    log.close(at(9_001)).unwrap();
    log.close(at(9_002)).unwrap();
    assert_eq!(fs.operations(), operations, "the disk sleeps");
    let Opened::ReadWrite(mut log, _) = Log::open(Arc::new(fs.clone()), options(8)).unwrap() else {
        panic!()
    };
    let operations = fs.operations();
    assert!(!log.tick(at(20_000)).unwrap());
    log.close(at(20_000)).unwrap();
    assert_eq!(fs.operations(), operations, "reopening is no reason to write");
}

#[test]
fn a_full_segment_is_vouched_for_by_the_next_one() {
    let fs = SimFs::new(512);
    let mut log = Log::create(Arc::new(fs.clone()), options(3)).unwrap();
    append(&mut log, at(0));
    log.close(at(1)).unwrap();
    assert_eq!(fs.names(), ["0000000001.log", "0000000002.log"]);
    log.close(at(2)).unwrap();
    assert_eq!(fs.names().len(), 2);
}
