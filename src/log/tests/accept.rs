//! Accepting damage: logs are written, damaged at rest in any of their segments, accepted with crashes at every input
//! and output in the middle of it, and go on. What is kept is a whole prefix; what is not is listed; the epoch rises; no
//! number comes twice; every byte that was there is still there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::choosers::{Seeded, setting};
use super::rot::damage;
use super::world::{Known, Recovered, Violation, World, open_damaged, read_all, record};
use crate::log::accept::{Loss, Mending, Survey};
use crate::log::simfs::{Choose, Fault, Lies, Tear};
use crate::log::{Log, LogError, Opened};

const BLOCK: usize = 4096;

/// Ways to do it wrong: each must be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Not,
    /// The epoch stays.
    Epoch,
    /// Nothing is said to be lost.
    List,
    /// Numbers go on as if nothing had been given out.
    Numbers,
    /// The disk says that it synced the directory, and did not.
    Sync,
}

/// How far a store has come when the damage is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// Nothing is held but the log.
    Nothing,
    /// A part.
    Some,
}

/// A log with a history of appends, idle times, crashes and trims, closed.
fn written(seeded: &mut Seeded, stored: Stored) -> Result<World, Violation> {
    let mut world = World::new([512, BLOCK][seeded.choose(2)], ((4 + seeded.choose(6)) * BLOCK) as u32);
    world.commit_bytes = [BLOCK, 2 * BLOCK][seeded.choose(2)];
    let mut log = world.create().map_err(|error| error.to_string())?;
    let acts = 6 + seeded.choose(24);
    let stored_at = seeded.choose(acts);
    for act in 0..acts {
        match seeded.choose(9) {
            0 => drop(world.tick(&mut log).map_err(|error| error.to_string())?),
            1 => {
                drop(log);
                let tear = [None, Some(Tear::Whole), Some(Tear::Any)][seeded.choose(3)];
                world.crash(seeded, tear);
                let Recovered::Log(recovered) = world.recover()? else { return Err("died".into()) };
                log = *recovered;
            }
            _ => append(&mut world, &mut log, seeded).map_err(|error| error.to_string())?,
        }
        if stored == Stored::Some && act == stored_at {
            world.trim(&mut log).map_err(|error| error.to_string())?;
        }
    }
    world.tick(&mut log).map_err(|error| error.to_string())?;
    Ok(world)
}

fn append(world: &mut World, log: &mut Log, seeded: &mut Seeded) -> Result<(), LogError> {
    let transactions: Vec<Vec<Vec<u8>>> = (0..1 + seeded.choose(2))
        .map(|_| {
            let sizes = 0..1 + seeded.choose(3);
            sizes.map(|_| record(seeded.next(), [20, 600, 3000][seeded.choose(3)])).collect()
        })
        .collect();
    world.append(log, &transactions)
}

/// Every file by its name, set aside or not.
type Files = BTreeMap<String, Vec<u8>>;

fn files(world: &World) -> Files {
    let names = world.fs.names();
    names.into_iter().map(|name| (name.clone(), world.fs.bytes(&name))).collect()
}

/// What an engine does first: it brings its store to the end of what follows the damage without a gap.
fn rescue(world: &mut World) -> Result<(), LogError> {
    let fs: Arc<dyn crate::log::Filesystem> = Arc::new(world.fs.clone());
    let options = world.options();
    let mut next = options.applied + 1;
    let mut salvage = Log::salvage(&fs)?;
    let taken: Result<(), LogError> = salvage.for_each(|found| {
        if found.is_linked && found.piece.first_sequence == next {
            next = found.piece.last_sequence() + 1;
            if !found.piece.continues {
                world.applied = next - 1;
            }
        }
        Ok(())
    });
    taken
}

/// Accepts once; `None` if the log is sound.
fn accept(world: &mut World, broken: Broken) -> Result<Option<Loss>, LogError> {
    let fs: Arc<dyn crate::log::Filesystem> = Arc::new(world.fs.clone());
    let mut options = world.options();
    let Some(survey) = Survey::of(&fs, &options)? else { return Ok(None) };
    if survey.is_below_applied() {
        rescue(world)?;
        options = world.options();
    }
    let Some(mut survey) = Survey::of(&fs, &options)? else { return Ok(None) };
    if let Mending::Loss(loss) = &mut survey.mending {
        match broken {
            Broken::Epoch => loss.epoch -= 1,
            Broken::List => loss.readable.clear(),
            Broken::Numbers => loss.next_sequence = loss.kept_to + 1,
            Broken::Not | Broken::Sync => {}
        }
    }
    match survey.carry_out(&fs, &mut options)? {
        Mending::Loss(loss) => Ok(Some(loss)),
        Mending::Seals => Ok(None),
    }
}

#[derive(Debug, Default)]
struct Counts {
    histories: u64,
    sound: u64,
    mended: u64,
    nothing_lost: u64,
    cut: u64,
    begun_anew: u64,
    crashes: u64,
    again: u64,
}

/// Accepts the damage, with crashes in the middle, until it is accepted.
fn accept_through_crashes(
    world: &mut World,
    seeded: &mut Seeded,
    broken: Broken,
    counts: &mut Counts,
) -> Result<Option<Loss>, Violation> {
    let mut said = None;
    for attempt in 0.. {
        if attempt < 3 {
            let fault = [
                Fault::Error,
                Fault::Short,
                Fault::NoSpace,
                Fault::CrashBefore,
                Fault::CrashMidway,
                Fault::CrashAfter,
            ];
            let reach = [40, 120, 400][seeded.choose(3)];
            let at = world.fs.operations() + seeded.choose(reach) as u64;
            world.fs.arm(at, fault[seeded.choose(fault.len())]);
        }
        match accept(world, broken) {
            Ok(loss) => {
                said = loss.or(said);
                if seeded.choose(2) == 0 {
                    return Ok(said);
                }
                // What was said to be done stays done.
                world.crash(seeded, Some(Tear::Any));
                counts.crashes += 1;
            }
            Err(LogError::Io { .. } | LogError::DiskFull) => {
                counts.crashes += 1;
                // What it would have said had it not been stopped.
                let tear = [None, Some(Tear::Whole), Some(Tear::Any)][seeded.choose(3)];
                world.crash(seeded, tear);
                said = survey(world)?.or(said);
            }
            Err(error) => return Err(format!("cannot be accepted: {error}")),
        }
        counts.again += u64::from(attempt > 0);
    }
    Ok(said)
}

fn survey(world: &mut World) -> Result<Option<Loss>, Violation> {
    let fs: Arc<dyn crate::log::Filesystem> = Arc::new(world.fs.clone());
    let options = world.options();
    let survey = Survey::of(&fs, &options).map_err(|error| error.to_string())?;
    Ok(survey.and_then(|survey| match survey.mending {
        Mending::Loss(loss) => Some(loss),
        Mending::Seals => None,
    }))
}

fn history(seed: u64, broken: Broken, counts: &mut Counts) -> Result<(), Violation> {
    let mut seeded = Seeded(seed);
    let stored = [Stored::Nothing, Stored::Some][seeded.choose(2)];
    let mut world = written(&mut seeded, stored)?;
    counts.histories += 1;
    for _ in 0..1 + seeded.choose(2) {
        hurt(&mut world, &mut seeded, broken, counts)?;
    }
    Ok(())
}

/// Damages the log, accepts that, and goes on.
fn hurt(
    world: &mut World,
    seeded: &mut Seeded,
    broken: Broken,
    counts: &mut Counts,
) -> Result<(), Violation> {
    let sound: Vec<(String, Vec<u8>)> =
        files(world).into_iter().filter(|(name, _)| !name.contains('/')).collect();
    for _ in 0..1 + seeded.choose(2) {
        let kind = seeded.choose(7);
        damage(&world.fs, &sound, kind, seeded);
    }
    let before = files(world);
    let lost = unreadable(world, &before);
    let is_damaged = survey_is_damaged(world)?;
    if !is_damaged {
        counts.sound += 1;
        return go_on_unchanged(world, &before);
    }
    let shown = open_damaged(world).map_err(|error| error.to_string())?.0;
    if broken == Broken::Sync {
        world.fs.lie(Lies { sync_dir: true, ..Lies::default() });
    }
    let loss = accept_through_crashes(world, seeded, broken, counts)?;
    world.fs.arm(u64::MAX, Fault::Error);
    world.fs.lie(Lies::default());
    check_bytes(world, &before, &lost)?;
    let Some(loss) = loss else {
        counts.mended += 1;
        return match world.recover()? {
            Recovered::Log(log) if log.epoch() == world.epoch => Ok(()),
            _ => Err("nothing was said to be lost".into()),
        };
    };
    check_loss(world, &sound, &shown, &loss, counts)?;
    go_on(world, seeded, &loss)
}

fn survey_is_damaged(world: &mut World) -> Result<bool, Violation> {
    let fs: Arc<dyn crate::log::Filesystem> = Arc::new(world.fs.clone());
    let options = world.options();
    Survey::of(&fs, &options).map(|survey| survey.is_some()).map_err(|error| error.to_string())
}

/// A log that is not damaged is not changed by accepting, and holds what it held.
fn go_on_unchanged(world: &mut World, before: &Files) -> Result<(), Violation> {
    if accept(world, Broken::Not).map_err(|error| error.to_string())?.is_some() || files(world) != *before {
        return Err("a sound log was changed".into());
    }
    // What the damage took of it was undecidable, and harmless here: the log was closed.
    world.recover().map(|_| ())
}

/// The parts of 512 bytes that cannot be read.
fn unreadable(world: &World, files: &Files) -> BTreeSet<(String, usize)> {
    let parts =
        files.iter().flat_map(|(name, bytes)| (0..bytes.len().div_ceil(512)).map(move |part| (name, part)));
    let is_lost = |&(name, part): &(&String, usize)| world.fs.is_unreadable(name, part * 512);
    parts
        .filter(is_lost)
        .map(|(name, part)| (name.rsplit('/').next().unwrap_or(name).to_owned(), part))
        .collect()
}

/// Every byte that was there is there, in the log or set aside.
fn check_bytes(world: &World, before: &Files, lost: &BTreeSet<(String, usize)>) -> Result<(), Violation> {
    let after = files(world);
    for (name, bytes) in before {
        let plain = name.rsplit('/').next().unwrap_or(name);
        // What cannot be read is copied as it cannot be read; a Seal may have been mended in place.
        let is_kept = after.iter().any(|(other, kept)| {
            other.rsplit('/').next() == Some(plain)
                && kept.len() == bytes.len()
                && kept.iter().zip(bytes).enumerate().all(|(at, (kept, byte))| {
                    kept == byte || at / BLOCK == 1 || lost.contains(&(plain.to_owned(), at / 512))
                })
        });
        if !is_kept && !name.ends_with(".tmp") {
            return Err(format!("{name} is gone"));
        }
    }
    Ok(())
}

/// What is kept is a prefix of what was acknowledged; what is not is listed, as far as it can be read.
fn check_loss(
    world: &mut World,
    sound: &[(String, Vec<u8>)],
    shown: &[Known],
    loss: &Loss,
    counts: &mut Counts,
) -> Result<(), Violation> {
    let lost: Vec<Known> =
        world.history.iter().filter(|known| known.last() > loss.kept_to).cloned().collect();
    if shown.iter().any(|known| known.last() > loss.kept_to.max(world.applied)) {
        return Err("what could be read before cannot be read after".into());
    }
    let is_listed =
        |known: &Known| loss.readable.iter().any(|run| run.first <= known.first && known.last() <= run.last);
    for known in &lost {
        if known.first <= loss.kept_to {
            return Err(format!("half of {} is kept", known.operation));
        }
        if known.last() >= loss.next_sequence {
            return Err(format!("the numbers of {} are given out again", known.operation));
        }
        if !is_listed(known) && is_whole(world, sound, known) {
            return Err(format!("{} could be read and is not listed", known.operation));
        }
    }
    let invented = |run: &crate::log::accept::Run| {
        let ends = world.history.iter().filter(|known| (run.first..=run.last).contains(&known.last()));
        ends.count() as u64 != run.transactions
    };
    if loss.readable.iter().any(invented) {
        return Err(format!("{:?} counts what was never there", loss.readable));
    }
    if lost.is_empty() {
        counts.nothing_lost += 1;
    }
    if loss.history_from > loss.kept_to {
        counts.begun_anew += 1
    } else {
        counts.cut += 1
    }
    let kept = world.history.len() - lost.len();
    world.history.truncate(kept);
    world.applied = world.applied.min(loss.kept_to);
    Ok(())
}

/// Whether all records of a transaction lie unharmed in a file that was there and whose salt is known.
fn is_whole(world: &World, sound: &[(String, Vec<u8>)], known: &Known) -> bool {
    let after = files(world);
    known.records.iter().all(|record| {
        sound.iter().any(|(name, bytes)| {
            let Some(at) = find(bytes, record) else { return false };
            let now = after.iter().rev().find(|(other, _)| other.ends_with(name.as_str()));
            let Some((name, kept)) = now else { return false };
            // The header has the salt; a commit takes two blocks at most.
            let from = at / BLOCK * BLOCK;
            let is_same = |range: std::ops::Range<usize>| kept.get(range.clone()) == bytes.get(range);
            let end = (at + record.len()).next_multiple_of(BLOCK) + BLOCK;
            let blocks = from.saturating_sub(BLOCK)..end.min(bytes.len());
            let mut parts = (0..BLOCK).chain(blocks.clone()).step_by(512);
            is_same(0..BLOCK) && is_same(blocks) && !parts.any(|at| world.fs.is_unreadable(name, at))
        })
    })
}

fn find(bytes: &[u8], record: &[u8]) -> Option<usize> {
    bytes.windows(record.len()).position(|window| window == record)
}

/// The log goes on in its new epoch, through crashes.
fn go_on(world: &mut World, seeded: &mut Seeded, loss: &Loss) -> Result<(), Violation> {
    let before = world.epoch;
    // Half of the time the crash came before anyone noted the epoch.
    if seeded.choose(2) == 0 {
        world.epoch = loss.epoch;
    }
    for round in 0..3 {
        let Recovered::Log(mut log) = world.recover()? else { return Err("died".into()) };
        if log.epoch() <= before {
            return Err(format!("epoch {} after {before}", log.epoch()));
        }
        world.epoch = log.epoch();
        if round == 0 && log.next_sequence() < loss.next_sequence {
            return Err("the numbers of what was lost are given out again".into());
        }
        for _ in 0..1 + seeded.choose(6) {
            append(world, &mut log, seeded).map_err(|error| error.to_string())?;
        }
        world.tick(&mut log).map_err(|error| error.to_string())?;
        if seeded.choose(4) == 0 {
            world.trim(&mut log).map_err(|error| error.to_string())?;
        }
        drop(log);
        let tear = [None, Some(Tear::Whole), Some(Tear::Any)][seeded.choose(3)];
        world.crash(seeded, tear);
    }
    let Recovered::Log(mut log) = world.recover()? else { return Err("died".into()) };
    world.tick(&mut log).map_err(|error| error.to_string()).map(|_| ())
}

#[test]
fn damage_anywhere_is_accepted_and_nothing_else_is_lost() {
    let histories = setting("BLAZEDB_LOG_ACCEPTANCES", 1_500);
    let first = setting("BLAZEDB_LOG_SEED", 1);
    let mut counts = Counts::default();
    for seed in first..first + histories {
        let result = history(seed, Broken::Not, &mut counts);
        assert_eq!(result, Ok(()), "seed {seed}");
    }
    println!("seeds {first} and {histories} on: {counts:?}");
    let least = histories / 50;
    for (name, count) in [
        ("sound", counts.sound),
        ("mended", counts.mended * 10),
        ("nothing lost", counts.nothing_lost),
        ("cut", counts.cut),
        ("begun anew", counts.begun_anew),
        ("crashes", counts.crashes),
    ] {
        assert!(count > least, "{name}: {count}");
    }
}

#[test]
fn controls_an_acceptance_that_is_broken_is_found_out() {
    for broken in [Broken::Epoch, Broken::List, Broken::Numbers, Broken::Sync] {
        let mut counts = Counts::default();
        let found = (1..600).find_map(|seed| history(seed, broken, &mut counts).err().map(|why| (seed, why)));
        println!("{broken:?}: {found:?}");
        assert!(found.is_some(), "{broken:?} broke no promise");
    }
}

/// Every input and output of one acceptance fails once, in every way, with a cut behind it.
#[test]
fn every_input_and_output_of_an_acceptance_may_fail_once() {
    let stride = setting("BLAZEDB_LOG_POINT_STRIDE", 1) as usize;
    let mut tried = 0_u64;
    for (seed, stored) in [(3, Stored::Nothing), (4, Stored::Some), (11, Stored::Some)] {
        let mut seeded = Seeded(seed);
        let damaged = written(&mut seeded, stored).unwrap();
        let sound: Vec<(String, Vec<u8>)> = files(&damaged).into_iter().collect();
        let (name, mut bytes) = sound[sound.len() / 2].clone();
        bytes[2 * BLOCK + 70] ^= 1;
        damaged.fs.replace(&name, bytes);
        let mut dry = damaged.fork();
        let begin = dry.fs.operations();
        let expected = accept(&mut dry, Broken::Not).unwrap().expect("the flip is damage");
        for at in (begin..dry.fs.operations()).step_by(stride) {
            for fault in [
                Fault::Error,
                Fault::Short,
                Fault::NoSpace,
                Fault::CrashBefore,
                Fault::CrashMidway,
                Fault::CrashAfter,
            ] {
                for tear in [None, Some(Tear::Whole), Some(Tear::Any)] {
                    let mut world = damaged.fork();
                    world.fs.arm(at, fault);
                    let first = accept(&mut world, Broken::Not);
                    world.crash(&mut Seeded(at), tear);
                    let second = accept(&mut world, Broken::Not).unwrap();
                    let said = second.or(first.ok().flatten());
                    assert!(said.is_none_or(|said| said == expected), "operation {at}, {fault:?}, {tear:?}");
                    world.history.retain(|known| known.last() <= expected.kept_to);
                    world.applied = world.applied.min(expected.kept_to);
                    let Ok(Recovered::Log(log)) = world.recover() else {
                        panic!("operation {at}, {fault:?}, {tear:?}")
                    };
                    assert_eq!((log.epoch(), log.next_sequence()), (expected.epoch, expected.next_sequence));
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} faults");
    assert!(tried > 1_000);
}

#[test]
fn a_missing_directory_of_segments_is_accepted_as_the_loss_of_all() {
    let mut world = written(&mut Seeded(5), Stored::Some).unwrap();
    for name in world.fs.names() {
        world.fs.lose(&name);
    }
    let applied = world.applied;
    let loss = accept(&mut world, Broken::Not).unwrap().unwrap();
    assert_eq!((loss.kept_to, loss.readable, loss.files), (applied, Vec::new(), Vec::new()));
    world.history.retain(|known| known.last() <= applied);
    let options = world.options();
    let Opened::ReadWrite(log, report) = Log::open(Arc::new(world.fs.clone()), options).unwrap() else {
        panic!()
    };
    assert_eq!((report.epoch, read_all(&log.view()).unwrap()), (2, Vec::new()));
}
