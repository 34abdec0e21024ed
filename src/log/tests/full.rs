//! A disk without room: what needs none goes on, what needs some is refused and changes nothing, and nothing that was
//! shown is lost, whatever crashes come before there is room again.

use super::choosers::{Seeded, setting};
use super::world::{Recovered, World, record};
use crate::log::simfs::{Choose, Tear};
use crate::log::{Log, LogError, Need};

/// The disk takes nothing more.
fn fill(world: &World) {
    world.fs.limit(Some(world.fs.used()));
}

fn recover(world: &mut World) -> Box<Log> {
    match world.recover() {
        Ok(Recovered::Log(log)) => log,
        Ok(Recovered::Died) => panic!("it does not open"),
        Err(violation) => panic!("{violation}"),
    }
}

/// Crashes with a tail that nothing vouches for, then crashes again and again on the full disk, then gets room.
#[test]
fn a_log_opens_on_a_full_disk_and_goes_on_when_there_is_room() {
    let (mut uncarried, histories) = (0, setting("BLAZEDB_LOG_HISTORIES", 4_000) / 10);
    let first = setting("BLAZEDB_LOG_SEED", 1);
    for seed in first..first + histories {
        let mut seeded = Seeded(seed);
        let mut world = World::new(512, 16 * 4096);
        world.commit_bytes = 8192;
        let mut log = world.create().unwrap();
        for at in 0..1 + seeded.choose(4) as u64 {
            // Every other batch holds a transaction that spans commits.
            let sizes: &[usize] = if seeded.choose(2) == 0 { &[100] } else { &[3000, 3000, 3000] };
            let records = sizes.iter().map(|bytes| record(seed * 10 + at, *bytes)).collect();
            world.append(&mut log, &[vec![record(at, 50)], records]).unwrap();
            if seeded.choose(3) == 0 {
                world.tick(&mut log).unwrap();
            }
        }
        // The last batch may be cut in the middle of being written.
        let (at, fault) =
            (world.fs.operations() + seeded.choose(6) as u64, crate::log::simfs::Fault::CrashMidway);
        if seeded.choose(2) == 0 {
            world.fs.arm(at, fault);
            let _ = world.append(&mut log, &[vec![record(1, 3000), record(2, 3000), record(3, 3000)]]);
        }
        drop(log);
        fill(&world);
        for _ in 0..1 + seeded.choose(3) {
            let tear = [None, Some(Tear::Whole), Some(Tear::Any)][seeded.choose(3)];
            world.crash(&mut seeded, tear);
            let mut log = recover(&mut world);
            let before = world.history.len();
            if matches!(log.reserve(100, Need::Relief), Err(LogError::DiskFull)) {
                uncarried += 1;
                world.append(&mut log, &[vec![record(9, 100)]]).unwrap();
                assert_eq!(world.history.len(), before, "refused");
                assert!(!world.tick(&mut log).unwrap() && world.trim(&mut log).is_ok());
            }
        }
        let mut log = recover(&mut world);
        let before = world.history.len();
        world.fs.limit(None);
        world.append(&mut log, &[vec![record(10, 100)], vec![record(11, 9000)]]).unwrap();
        assert_eq!(world.history.len(), before + 2);
        world.crash(&mut seeded, Some(Tear::Any));
        drop(recover(&mut world));
    }
    assert!(uncarried > histories / 4, "only {uncarried} openings found no room");
}

#[test]
fn growth_is_refused_before_the_reserve_is_touched() {
    let mut world = World::new(512, 4 * 4096);
    let mut log = world.create().unwrap();
    world.append(&mut log, &[vec![record(1, 100)]]).unwrap();
    world.append(&mut log, &[vec![record(2, 100)]]).unwrap();
    // The segment is full. The disk has 64 blocks, 4 of them in reserve, and one segment of 4 more is free.
    let capacity = 64 * 4096;
    let filler = capacity - world.fs.used() - 7 * 4096;
    world.fs.replace("filler", vec![1; filler]);
    world.fs.limit(Some(capacity));
    world.crash(&mut Seeded(1), None);
    let mut log = recover(&mut world);
    // The tail was carried into a segment of the reserve, which has a block left: growth does not get it.
    assert!(matches!(log.reserve(4096, Need::Growth), Err(LogError::DiskFull)));
    log.reserve(4096, Need::Relief).unwrap();
    assert_eq!(log.room_after(0), 0, "nobody joins a batch without asking");
    world.fs.replace("filler", vec![1; filler - 8 * 4096]);
    log.reserve(4096, Need::Growth).unwrap();
    assert!(log.room_after(0) > 0);
    world.append(&mut log, &[vec![record(3, 100)]]).unwrap();
    world.crash(&mut Seeded(1), Some(Tear::Any));
    drop(recover(&mut world));
    assert_eq!(world.history.len(), 3);
}
