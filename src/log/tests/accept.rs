//! Accepting damage: logs are written, damaged at rest in any of their segments, accepted with crashes at every input
//! and output in the middle of it, and go on. What is kept is a whole prefix; what is not is listed; the epoch rises; no
//! number comes twice; every byte that was there is still there. Damage that nothing can tell from an older state is told
//! by what was damaged, not by what came of it, and is rare.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::choosers::{Seeded, setting};
use super::rot::damage;
use super::world::{Known, Recovered, Violation, World, open_damaged, record};
use crate::log::accept::{Loss, Mending, Survey};
use crate::log::commit::{check_frame, find_head};
use crate::log::format::SegmentHeader;
use crate::log::limits::COMMIT_PREFIX_BYTES;
use crate::log::segment;
use crate::log::simfs::{Choose, Fault, Lies, Tear};
use crate::log::{Log, LogError};

const BLOCK: usize = 4096;

/// Ways to do it wrong: each must be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
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
pub(super) enum Stored {
    /// Nothing is held but the log.
    Nothing,
    /// A part.
    Some,
}

/// A log with a history of appends, idle times, crashes and trims, closed.
pub(super) fn written(seeded: &mut Seeded, stored: Stored) -> Result<World, Violation> {
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
pub(super) fn accept(world: &mut World, broken: Broken) -> Result<Option<Loss>, LogError> {
    accept_as_said(world, broken, &mut None)
}

/// As [`accept`], and leaves in `said` what the operator was told before anything was written: that holds if the damage
/// turns out to be accepted, however the attempt ended.
fn accept_as_said(
    world: &mut World,
    broken: Broken,
    said: &mut Option<Loss>,
) -> Result<Option<Loss>, LogError> {
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
        *said = Some(loss.clone());
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
    undecidable: u64,
    told_again: u64,
    come_back: u64,
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
        match accept_as_said(world, broken, &mut said) {
            Ok(_) => {
                if seeded.choose(2) == 0 {
                    return Ok(said);
                }
                // What was said to be done stays done.
                world.crash(seeded, Some(Tear::Any));
                counts.crashes += 1;
            }
            Err(LogError::Io { .. } | LogError::DiskFull) => {
                counts.crashes += 1;
                let tear = [None, Some(Tear::Whole), Some(Tear::Any)][seeded.choose(3)];
                world.crash(seeded, tear);
            }
            Err(error) => return Err(format!("cannot be accepted: {error}")),
        }
        counts.again += u64::from(attempt > 0);
    }
    Ok(said)
}

fn history(seed: u64, broken: Broken, counts: &mut Counts) -> Result<(), Violation> {
    let mut seeded = Seeded(seed);
    let stored = [Stored::Nothing, Stored::Some][seeded.choose(2)];
    let mut world = written(&mut seeded, stored)?;
    counts.histories += 1;
    let mut given_up = Vec::new();
    for _ in 0..1 + seeded.choose(2) {
        hurt(&mut world, &mut seeded, broken, &mut given_up, counts)?;
    }
    Ok(())
}

/// Damages the log, accepts that, and goes on.
fn hurt(
    world: &mut World,
    seeded: &mut Seeded,
    broken: Broken,
    given_up: &mut Vec<Known>,
    counts: &mut Counts,
) -> Result<(), Violation> {
    let sound: Vec<(String, Vec<u8>)> =
        files(world).into_iter().filter(|(name, _)| !name.contains('/')).collect();
    for _ in 0..1 + seeded.choose(2) {
        let kind = seeded.choose(7);
        damage(&world.fs, &sound, kind, seeded);
    }
    let before = files(world);
    let unreadable = unreadable(world, &before);
    let hurt = Hurt { sound, before, unreadable };
    let is_damaged = survey_is_damaged(world)?;
    if !is_damaged {
        counts.sound += 1;
        return go_on_unchanged(world, &hurt, counts);
    }
    let shown = open_damaged(world).map_err(|error| error.to_string())?.0;
    if broken == Broken::Sync {
        world.fs.lie(Lies { sync_dir: true, ..Lies::default() });
    }
    let loss = accept_through_crashes(world, seeded, broken, counts)?;
    world.fs.arm(u64::MAX, Fault::Error);
    world.fs.lie(Lies::default());
    check_bytes(world, &hurt)?;
    let Some(loss) = loss else {
        counts.mended += 1;
        return match world.recover()? {
            Recovered::Log(log) if log.epoch() == world.epoch => Ok(()),
            _ => Err("nothing was said to be lost".into()),
        };
    };
    check_loss(world, &hurt, &shown, &loss, given_up, counts)?;
    go_on(world, seeded, &loss)
}

fn survey_is_damaged(world: &mut World) -> Result<bool, Violation> {
    let fs: Arc<dyn crate::log::Filesystem> = Arc::new(world.fs.clone());
    let options = world.options();
    Survey::of(&fs, &options).map(|survey| survey.is_some()).map_err(|error| error.to_string())
}

/// A log that is not damaged is not changed by accepting, and holds what it held.
fn go_on_unchanged(world: &mut World, hurt: &Hurt, counts: &mut Counts) -> Result<(), Violation> {
    let loss = accept(world, Broken::Not).map_err(|error| error.to_string())?;
    if loss.is_some() || files(world) != hurt.before {
        return Err("a sound log was changed".into());
    }
    let (found, _) = open_damaged(&mut world.fork()).map_err(|error| error.to_string())?;
    let next = found.last().map_or(world.applied, Known::last) + 1;
    let kept = world.history.partition_point(|known| known.first < next);
    if let Some(lost) = world.history.get(kept)
        && is_undecidable(hurt, lost)
    {
        counts.undecidable += 1;
        world.history.truncate(kept);
    }
    world.recover().map(|_| ())
}

/// Whether the damage is of the kinds that nothing can tell from an older state (6.2), and `lost` the first that they
/// took.
fn is_undecidable(hurt: &Hurt, lost: &Known) -> bool {
    let Some(((last, bytes), earlier)) = hurt.sound.split_last() else { return false };
    let is_hurt = |name: &String, bytes: &[u8], range: std::ops::Range<usize>| {
        let now = hurt.before.get(name).and_then(|now| now.get(range.clone()));
        now != bytes.get(range.clone()) || hurt.is_unreadable(name, range)
    };
    if !hurt.before.contains_key(last) {
        // The loss of a segment together with its predecessor's Seal.
        let is_unsealed = |(name, bytes): &(String, Vec<u8>)| is_hurt(name, bytes, BLOCK..2 * BLOCK);
        return earlier.last().is_some_and(is_unsealed)
            && lost.records.iter().any(|record| find(bytes, record).is_some());
    }
    // Damage in a batch and in the head of every later commit.
    let Ok(header) = SegmentHeader::parse(&bytes[..BLOCK.min(bytes.len())]) else { return false };
    let head = |block: usize| find_head(&bytes[block * BLOCK..], header.salt);
    let taken = lost.records.iter().filter_map(|record| find(bytes, record)).max();
    let Some(taken) = taken.map(|at| at / BLOCK) else { return false };
    (2..=taken).filter_map(|block| Some((block, head(block)?))).any(|(block, found)| {
        let end = (block * BLOCK + found.frame_bytes).next_multiple_of(BLOCK);
        let vouches =
            |block: &usize| head(*block).is_some_and(|later| later.head.durable_to.offset as usize >= end);
        // A block is read whole or not at all.
        let is_headless = |block: usize| {
            let at = block * BLOCK;
            is_hurt(last, bytes, at..at + COMMIT_PREFIX_BYTES) || hurt.is_unreadable(last, at..at + BLOCK)
        };
        let mut later = (block + 1..bytes.len() / BLOCK).filter(vouches);
        is_hurt(last, bytes, block * BLOCK..end) && later.all(is_headless)
    })
}

/// The parts of 512 bytes that cannot be read, by file and number.
type Unreadable = BTreeSet<(String, usize)>;

/// A log before and after damage.
struct Hurt {
    /// The files of the log itself, before.
    sound: Vec<(String, Vec<u8>)>,
    /// All files after it, and before anything was done about it.
    before: Files,
    unreadable: Unreadable,
}

impl Hurt {
    fn is_unreadable(&self, name: &str, mut range: std::ops::Range<usize>) -> bool {
        range.start -= range.start % 512;
        range.step_by(512).any(|at| self.unreadable.contains(&(name.to_owned(), at / 512)))
    }
}

fn unreadable(world: &World, files: &Files) -> Unreadable {
    let parts =
        files.iter().flat_map(|(name, bytes)| (0..bytes.len().div_ceil(512)).map(move |part| (name, part)));
    let is_lost = |&(name, part): &(&String, usize)| world.fs.is_unreadable(name, part * 512);
    parts.filter(is_lost).map(|(name, part)| (name.clone(), part)).collect()
}

/// Every byte that was there is there, in the log or set aside.
fn check_bytes(world: &World, hurt: &Hurt) -> Result<(), Violation> {
    let after = files(world);
    for (name, bytes) in &hurt.before {
        let plain = name.rsplit('/').next().unwrap_or(name);
        // What cannot be read is copied as it cannot be read; a Seal may have been mended in place.
        let is_kept = after.iter().any(|(other, kept)| {
            other.rsplit('/').next() == Some(plain)
                && kept.len() == bytes.len()
                && kept.iter().zip(bytes).enumerate().all(|(at, (kept, byte))| {
                    kept == byte || at / BLOCK == 1 || hurt.unreadable.contains(&(name.clone(), at / 512))
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
    hurt: &Hurt,
    shown: &[Known],
    loss: &Loss,
    given_up: &mut Vec<Known>,
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
        if !is_listed(known) && is_whole(hurt, known) {
            return Err(format!("{} could be read and is not listed", known.operation));
        }
    }
    for run in &loss.readable {
        let is_in = |known: &&Known| (run.first..=run.last).contains(&known.last());
        let ends = world.history.iter().filter(is_in).count() as u64;
        let again = given_up.iter().filter(is_in).filter(|known| is_in_cut_tail(hurt, known)).count() as u64;
        if !(ends..=ends + again).contains(&run.transactions) {
            return Err(format!("{run:?} counts what was never there"));
        }
        counts.told_again += run.transactions - ends;
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
    // What an earlier acceptance gave up may be whole where a recovery had carried it on from (7.3): if the log is cut
    // in that epoch, just behind it.
    let is_cut_there = given_up.iter().any(|known| known.last() == loss.kept_to);
    let is_next = |history: &[Known], known: &Known| {
        known.first == history.last().map_or(0, Known::last) + 1
            && known.last() <= loss.kept_to
            && is_in_cut_tail(hurt, known)
    };
    while let Some(at) = given_up.iter().position(|known| is_cut_there && is_next(&world.history, known)) {
        world.history.push(given_up.remove(at));
        counts.come_back += 1;
    }
    given_up.extend(lost);
    world.applied = world.applied.min(loss.kept_to);
    Ok(())
}

/// Whether all records of a transaction lie in whole and unharmed commits of one of the log's files, whose salt is known.
fn is_whole(hurt: &Hurt, known: &Known) -> bool {
    hurt.sound.iter().any(|(name, bytes)| {
        let Some(now) = hurt.before.get(name) else { return false };
        let Ok(header) = SegmentHeader::parse(&bytes[..BLOCK.min(bytes.len())]) else { return false };
        let is_same = |range: std::ops::Range<usize>| {
            now.get(range.clone()) == bytes.get(range.clone()) && !hurt.is_unreadable(name, range)
        };
        let is_commit = |at: usize, record: usize| {
            let found = find_head(&bytes[at..], header.salt);
            let frame = found.and_then(|found| bytes.get(at..at + found.frame_bytes));
            let Some(frame) = frame.filter(|frame| check_frame(frame).is_some()) else { return false };
            // Damage may lie in it since an earlier time. A block is read whole or not at all.
            let end = (at + frame.len()).next_multiple_of(BLOCK);
            record < end && is_same(at..at + frame.len()) && !hurt.is_unreadable(name, at..end)
        };
        let is_here = |record: &Vec<u8>| {
            let Some(record) = find(bytes, record) else { return false };
            // A commit takes two blocks at most.
            let block = record / BLOCK * BLOCK;
            record < given_up_from(hurt, &header)
                && (is_commit(block, record) || is_commit(block - BLOCK, record))
        };
        is_same(0..BLOCK) && known.records.iter().all(is_here)
    })
}

/// Where an accepted damage cut a segment: what lies behind was given up, and is not looked at (7.9).
fn given_up_from(hurt: &Hurt, header: &SegmentHeader) -> usize {
    let headers = hurt.sound.iter().filter_map(|(_, bytes)| SegmentHeader::parse(bytes.get(..BLOCK)?).ok());
    let cuts = headers.filter(|later| later.begins_epoch_after(header));
    cuts.map(|later| later.prev.offset as usize).min().unwrap_or(usize::MAX)
}

/// Whether a transaction lies behind the place where the log went on in the next segment: there it is listed (7.9), even
/// if an acceptance told of it before.
fn is_in_cut_tail(hurt: &Hurt, known: &Known) -> bool {
    hurt.sound.windows(2).any(|pair| {
        let [(name, bytes), (_, next)] = pair else { return false };
        let Ok(SegmentHeader { prev, .. }) = SegmentHeader::parse(&next[..BLOCK.min(next.len())]) else {
            return false;
        };
        let is_behind = |at: usize| at >= prev.offset as usize;
        *name == segment::name(prev.segment)
            && known.records.iter().all(|record| find(bytes, record).is_some_and(is_behind))
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
    for (name, count) in [("undecidable", counts.undecidable), ("come back", counts.come_back)] {
        assert!(count <= 1 + histories / 200, "{name}: {count} of {histories}");
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
