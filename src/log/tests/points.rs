//! Every input and output of a long script fails once, in every way; after it the log must hold what it must.

use super::choosers::{Seeded, setting};
use super::world::{Recovered, Violation, World, record};
use crate::log::simfs::{Choose, Fault, Tear};
use crate::log::{Log, LogError, Need};

const FAULTS: [Fault; 6] =
    [Fault::Error, Fault::Short, Fault::NoSpace, Fault::CrashBefore, Fault::CrashMidway, Fault::CrashAfter];
/// The script's sessions: each opens the log, works, and ends in its own way.
const SESSIONS: u64 = 28;
/// Operations of a session, opening and ending it not counted.
const ACTS: u64 = 11;

/// Works for a while: batches of several sizes, idle times, a checkpoint with trimming; rotation comes by itself.
fn session(world: &mut World, log: &mut Log, number: u64) -> Result<(), LogError> {
    for act in 0..ACTS {
        let seed = number * ACTS + act;
        match seed % 7 {
            3 => drop(world.tick(log)?),
            5 if number % 3 == 2 => drop(world.trim(log)?),
            2 => world.append(log, &[vec![record(seed, 3000), record(seed, 3000), record(seed, 900)]])?,
            _ => world.append(log, &[vec![record(seed, 90)], vec![record(seed, 200), record(seed, 30)]])?,
        }
    }
    Ok(())
}

/// How a session ends: closed, killed, its power cut.
fn end(world: &mut World, mut log: Log, number: u64, seeded: &mut Seeded) -> Result<(), LogError> {
    if number.is_multiple_of(3) {
        world.tick(&mut log)?;
    }
    drop(log);
    world.crash(seeded, (number % 3 == 2).then_some(Tear::Any));
    Ok(())
}

/// Opens, works and ends with `fault` at the operation `at`. Whatever came of it, a process that nothing happens to
/// then finds the log as it must be, works, and so does another.
fn strike(before: &World, number: u64, at: u64, fault: Fault) -> Result<(), Violation> {
    let mut world = before.fork();
    let mut seeded = Seeded(at);
    world.fs.arm(at, fault);
    if let Recovered::Log(mut log) = world.recover()?
        && session(&mut world, &mut log, number).is_ok()
    {
        let _ = end(&mut world, *log, number, &mut seeded);
    }
    for after in 0..2 {
        let tear = [None, Some(Tear::Whole), Some(Tear::Any)][seeded.choose(3)];
        world.crash(&mut seeded, tear);
        let Recovered::Log(mut log) = world.recover()? else {
            return Err("nothing was wrong any more".into());
        };
        world.append(&mut log, &[vec![record(after, 100)]]).map_err(|error| error.to_string())?;
    }
    world.crash(&mut seeded, Some(Tear::Any));
    world.recover().map(|_| ())
}

#[test]
fn every_input_and_output_may_fail_once() {
    let stride = setting("BLAZEDB_LOG_POINT_STRIDE", 1);
    let mut world = World::new(512, 10 * 4096);
    world.commit_bytes = 8192;
    drop(world.create().unwrap());
    let (mut points, mut tried) = (0, 0);
    for number in 0..SESSIONS {
        let before = world.fork();
        let first = world.fs.operations();
        let Ok(Recovered::Log(mut log)) = world.recover() else { panic!("session {number} does not begin") };
        session(&mut world, &mut log, number).unwrap();
        end(&mut world, *log, number, &mut Seeded(number)).unwrap();
        let last = world.fs.operations();
        for at in (first..last).step_by(stride as usize) {
            for fault in FAULTS {
                let result = strike(&before, number, at, fault);
                assert_eq!(result, Ok(()), "session {number}, operation {at}, {fault:?}");
                tried += 1;
            }
        }
        points += last - first;
    }
    println!("{points} inputs and outputs of {} operations, {tried} faults", SESSIONS * (ACTS + 2));
    assert!(points >= 2_000, "{points} points");
    assert!(world.history.len() as u64 >= 200);
}

#[test]
fn a_log_that_is_being_made_may_fail_anywhere() {
    let mut tried = 0;
    for at in 0..12 {
        for fault in FAULTS {
            for tear in [None, Some(Tear::Whole), Some(Tear::Any)] {
                let mut world = World::new(512, 4 * 4096);
                world.fs.arm(at, fault);
                let made = world.create().is_ok();
                world.crash(&mut Seeded(at), tear);
                // Nothing was promised before it was made; then it opens, or can be made anew.
                match world.create() {
                    Ok(_) => assert!(!made),
                    Err(LogError::Exists) => {
                        let recovered = world.recover();
                        assert!(
                            matches!(recovered, Ok(Recovered::Log(_))),
                            "operation {at}, {fault:?}, {tear:?}"
                        );
                    }
                    Err(error) => panic!("operation {at}, {fault:?}, {tear:?}: {error}"),
                }
                tried += 1;
            }
        }
    }
    println!("{tried} faults");
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let mut world = World::new(512, 4 * 4096);
    let mut log = world.create().unwrap();
    world.append(&mut log, &[vec![record(1, 100)]]).unwrap();
    world.append(&mut log, &[vec![record(2, 100)]]).unwrap();
    // The segment is full: the next batch needs another, for which there is no room.
    world.fs.arm(world.fs.operations() + 2, Fault::NoSpace);
    assert!(matches!(log.reserve(4096, Need::Growth), Err(LogError::DiskFull)));
    assert_eq!(log.next_sequence(), 3);
    assert_eq!(world.fs.names(), ["0000000001.log"], "nothing is left behind");
    log.reserve(4096, Need::Growth).unwrap();
    world.append(&mut log, &[vec![record(3, 100)]]).unwrap();
    world.crash(&mut Seeded(1), Some(Tear::Any));
    assert!(matches!(world.recover(), Ok(Recovered::Log(_))));
    assert_eq!(world.history.len(), 3);
}
