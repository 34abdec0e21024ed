//! Damage at rest: whatever a disk does to a log that was idle or cleanly closed, opening it either reports damage or
//! shows exactly what was written. A wrong or missing transaction without a word is the one thing that must not be.

use super::choosers::{Seeded, setting};
use super::world::{Recovered, World, open_damaged, record};
use crate::log::limits::MIN_SEGMENT_BYTES;
use crate::log::simfs::{Choose, SimFs};
use crate::log::{DamageKind, Log, LogError, Tail};

const BLOCK: usize = 4096;
const LOG_BYTES: usize = 64 << 10;

/// A cleanly closed log over several segments of so many blocks, with transactions of several sizes.
fn closed_log(blocks: usize, appends: u64) -> World {
    let mut world = World::new(BLOCK, (blocks * BLOCK) as u32);
    world.commit_bytes = 2 * BLOCK;
    let mut log = world.create().unwrap();
    for number in 0..appends {
        let sizes: &[usize] = [&[100][..], &[700, 20], &[3000, 3000, 3000], &[30]][number as usize % 4];
        world.append(&mut log, &[sizes.iter().map(|&bytes| record(number, bytes)).collect()]).unwrap();
    }
    world.tick(&mut log).unwrap();
    // Whatever opening a damaged log makes may be short.
    world.segment_bytes = MIN_SEGMENT_BYTES;
    world
}

/// What is wrong with what a damaged log shows, if anything.
fn judge(world: &mut World) -> Result<bool, String> {
    let written = world.history.clone();
    match open_damaged(world) {
        Ok((found, None)) if found == written => Ok(false),
        Ok((found, Some(_))) if written.starts_with(&found) => Ok(true),
        Err(LogError::NewerFormat { .. } | LogError::Foreign { .. } | LogError::Io { .. }) => Ok(true),
        Ok((found, damage)) => {
            Err(format!("{} of {} transactions are there, {damage:?}", found.len(), written.len()))
        }
        Err(error) => Err(format!("{error}")),
    }
}

/// The files of a log and their bytes.
fn files(fs: &SimFs) -> Vec<(String, Vec<u8>)> {
    fs.names().into_iter().map(|name| (name.clone(), fs.bytes(&name))).collect()
}

/// Damages `world` by `damage`, judges, and puts everything back. Returns whether the damage was reported.
fn try_damage(
    world: &mut World,
    sound: &[(String, Vec<u8>)],
    damage: impl FnOnce(&SimFs),
) -> Result<bool, String> {
    damage(&world.fs);
    let result = judge(world);
    restore(&world.fs, sound);
    result
}

fn restore(fs: &SimFs, sound: &[(String, Vec<u8>)]) {
    for name in fs.names() {
        if !sound.iter().any(|(sound, _)| *sound == name) {
            fs.lose(&name);
        }
    }
    for (name, bytes) in sound {
        fs.replace(name, bytes.clone());
    }
}

/// Flips every bit of the only segment of a log of 64 KiB, a part of them in each thread.
fn flip_every_bit(world: &World, stride: usize) -> (u64, u64) {
    let threads = 2;
    let counts: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let flip = |part: usize| {
            let mut world = world.fork();
            let sound = files(&world.fs);
            let (name, bytes) = sound[0].clone();
            let (mut reported, mut harmless) = (0, 0);
            for bit in (part * stride..bytes.len() * 8).step_by(threads * stride) {
                world.fs.flip(&name, bit);
                match judge(&mut world) {
                    Ok(true) => reported += 1,
                    Ok(false) => harmless += 1,
                    Err(wrong) => panic!("bit {bit} (byte {:#x}): {wrong}", bit / 8),
                }
                if world.fs.names().len() == 1 {
                    world.fs.flip(&name, bit);
                } else {
                    restore(&world.fs, &sound);
                }
            }
            (reported, harmless)
        };
        let running: Vec<_> = (0..threads).map(|part| scope.spawn(move || flip(part))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
}

#[test]
fn every_flipped_bit_of_a_closed_log_of_64_kib_is_noticed() {
    let mut world = closed_log(LOG_BYTES / BLOCK, 9);
    assert_eq!(world.fs.names().len(), 1, "one segment");
    let stride = setting("BLAZEDB_LOG_FLIP_STRIDE", 1) as usize;
    let (reported, harmless) = flip_every_bit(&world, stride);
    println!("{reported} flips reported, {harmless} harmless (padding and empty blocks)");
    assert_eq!(reported + harmless, (LOG_BYTES * 8 / stride) as u64);
    assert!(reported > 0 && harmless > 0);
    // Closed a second time without anything new, it is written to no more.
    let Ok(Recovered::Log(mut log)) = world.recover() else { panic!("a closed log opens") };
    assert!(!world.tick(&mut log).unwrap());
}

#[test]
fn a_flip_in_the_last_batch_is_undecidable_before_anything_vouches_for_it() {
    let mut world = World::new(BLOCK, LOG_BYTES as u32);
    let mut log = world.create().unwrap();
    world.append(&mut log, &[vec![record(1, 100)]]).unwrap();
    world.append(&mut log, &[vec![record(2, 100)]]).unwrap();
    let (name, mut bytes) = files(&world.fs)[0].clone();
    bytes[3 * BLOCK + 200] ^= 1;
    world.fs.replace(&name, bytes);
    let (found, damage) = open_damaged(&mut world).unwrap();
    assert_eq!((found.len(), damage), (1, None), "as the specification says it must be");
}

#[test]
fn what_recovery_carried_into_a_new_segment_is_vouched_for() {
    let mut world = World::new(BLOCK, 6 * BLOCK as u32);
    let mut log = world.create().unwrap();
    world.append(&mut log, &[vec![record(1, 100)], vec![record(2, 100)]]).unwrap();
    world.crash(&mut Seeded(1), None);
    let Ok(Recovered::Log(_)) = world.recover() else { panic!("a killed log opens") };
    let sound = files(&world.fs);
    assert_eq!(sound.len(), 2, "the batch was carried");
    let end = sound[1].1.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for bit in (2 * BLOCK * 8..end * 8).step_by(5) {
        let result = try_damage(&mut world, &sound, |fs| fs.flip(&sound[1].0, bit));
        assert!(
            result.unwrap_or_else(|wrong| panic!("bit {bit}: {wrong}")),
            "bit {bit} of the carried commit"
        );
    }
}

#[test]
fn random_damage_over_several_segments_is_noticed() {
    let trials = setting("BLAZEDB_LOG_ROT", 20_000);
    let mut world = closed_log(6, 24);
    let sound = files(&world.fs);
    assert!(sound.len() > 4);
    let mut seeded = Seeded(setting("BLAZEDB_LOG_SEED", 1));
    let mut counts = [[0_u64; 2]; 7];
    for trial in 0..trials {
        let kind = seeded.choose(counts.len());
        let result = try_damage(&mut world, &sound, |fs| damage(fs, &sound, kind, &mut seeded));
        let reported = result.unwrap_or_else(|wrong| panic!("trial {trial}, kind {kind}: {wrong}"));
        counts[kind][usize::from(reported)] += 1;
    }
    let names = ["flip", "zeroed", "garbage", "misdirected", "unreadable", "missing file", "shortened file"];
    for (name, [harmless, reported]) in names.iter().zip(counts) {
        println!("{name}: {reported} reported, {harmless} harmless");
        assert!(reported > 0, "{name} was never noticed");
    }
}

pub(super) fn damage(fs: &SimFs, sound: &[(String, Vec<u8>)], kind: usize, seeded: &mut Seeded) {
    // What earlier damage left too short has nothing more to lose.
    let sound: Vec<&(String, Vec<u8>)> = sound.iter().filter(|(_, bytes)| bytes.len() >= BLOCK).collect();
    if sound.is_empty() {
        return;
    }
    let (name, bytes) = sound[seeded.choose(sound.len())];
    let sector_bytes = [512, BLOCK][seeded.choose(2)];
    let sector = seeded.choose(bytes.len() / sector_bytes) * sector_bytes;
    let mut damaged = bytes.clone();
    let place = &mut damaged[sector..sector + sector_bytes];
    match kind {
        0 => {
            let bit = seeded.choose(bytes.len() * 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        1 => place.fill(0),
        2 => place.iter_mut().for_each(|byte| *byte = seeded.next() as u8),
        3 => {
            // The sector holds what another, of this file or another, should hold.
            let (_, from) = sound[seeded.choose(sound.len())];
            let at = seeded.choose(from.len() / sector_bytes) * sector_bytes;
            place.copy_from_slice(&from[at..at + sector_bytes]);
        }
        4 => return fs.lose_sector(name, sector),
        5 => return fs.lose(name),
        _ => damaged.truncate(seeded.choose(bytes.len())),
    }
    fs.replace(name, damaged);
}

#[test]
fn every_missing_file_is_noticed() {
    for appends in 8..20 {
        let mut world = closed_log(6, appends);
        let sound = files(&world.fs);
        for (name, _) in &sound {
            let result = try_damage(&mut world, &sound, |fs| fs.lose(name));
            assert_eq!(result, Ok(true), "{name} of {}", sound.len());
        }
    }
}

/// A stale disk shows zeros, as before a block was written.
#[test]
fn sectors_that_a_disk_never_wrote_are_noticed() {
    let mut world = closed_log(6, 24);
    let sound = files(&world.fs);
    let mut reported = 0;
    for (name, bytes) in &sound {
        for block in 0..bytes.len() / BLOCK {
            let result = try_damage(&mut world, &sound, |fs| {
                let mut stale = bytes.clone();
                stale[block * BLOCK..(block + 1) * BLOCK].fill(0);
                fs.replace(name, stale);
            });
            // The last empty commit vouches for what is before it; it may go itself, as may the last Seal but one.
            reported += u64::from(result.unwrap_or_else(|wrong| panic!("{name} block {block}: {wrong}")));
        }
    }
    println!("{reported} reported");
    assert!(reported > 20);
}

#[test]
fn every_prefix_of_the_last_64_kib_recovers_to_its_whole_transactions() {
    let mut world = World::new(BLOCK, (32 * BLOCK) as u32);
    world.commit_bytes = 2 * BLOCK;
    let mut log = world.create().unwrap();
    // Where each transaction's commit ends in the file; only then is it whole.
    let mut ends = Vec::new();
    for number in 0_u64.. {
        let sizes: &[usize] = [&[100][..], &[700, 20], &[3000, 3000, 3000]][number as usize % 3];
        world.append(&mut log, &[sizes.iter().map(|&bytes| record(number, bytes)).collect()]).unwrap();
        ends.push(last_nonzero(&world));
        if ends[ends.len() - 1] > LOG_BYTES + 2 * BLOCK {
            break;
        }
    }
    world.segment_bytes = MIN_SEGMENT_BYTES;
    let (name, bytes) = files(&world.fs)[0].clone();
    let end = ends[ends.len() - 1];
    let stride = setting("BLAZEDB_LOG_PREFIX_STRIDE", 1) as usize;
    let mut tried = 0_u64;
    for length in (end - LOG_BYTES..=end).step_by(stride) {
        let mut prefix = bytes.clone();
        prefix[length..].fill(0);
        let mut world = world.fork();
        world.fs.replace(&name, prefix);
        let (found, damage) = open_damaged(&mut world).unwrap();
        let whole = ends.partition_point(|&end| end <= length);
        assert_eq!(damage, None, "{length} bytes");
        assert_eq!(found, world.history[..whole], "{length} bytes");
        tried += 1;
    }
    println!("{tried} prefixes");
}

fn last_nonzero(world: &World) -> usize {
    files(&world.fs)[0].1.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

#[test]
fn a_file_cut_short_is_reported_and_what_is_left_can_be_read() {
    let world = closed_log(16, 9);
    let (name, bytes) = files(&world.fs)[0].clone();
    for length in (0..bytes.len()).step_by(511) {
        let mut world = world.fork();
        world.fs.replace(&name, bytes[..length].to_vec());
        let (found, damage) = open_damaged(&mut world).unwrap();
        assert!(world.history.starts_with(&found));
        let kind = damage.unwrap().kind;
        let expected = DamageKind::Length { found: length as u64, expected: bytes.len() as u64 };
        assert!(kind == expected || kind == DamageKind::Header, "{kind:?}");
        if length > 6 * BLOCK {
            assert!(!found.is_empty(), "{length} bytes hold something");
        }
    }
}

#[test]
fn a_damaged_log_is_left_as_it_is() {
    let mut world = closed_log(6, 24);
    let sound = files(&world.fs);
    let (name, mut bytes) = sound[1].clone();
    bytes[2 * BLOCK + 60] ^= 1;
    world.fs.replace(&name, bytes);
    world.fs.replace("0000000099.tmp", vec![1]);
    let before = files(&world.fs);
    let (found, damage) = open_damaged(&mut world).unwrap();
    assert_eq!(files(&world.fs), before);
    let damage = damage.unwrap();
    assert_eq!((damage.file.as_str(), damage.offset), (name.as_str(), 2 * BLOCK as u64));
    assert!(!found.is_empty() && found.len() < world.history.len());
}

#[test]
fn nothing_is_read_where_the_beginning_is_lost_whatever_else_is() {
    let mut world = closed_log(6, 24);
    let sound = files(&world.fs);
    world.fs.lose(&sound[0].0);
    world.fs.lose(&sound[sound.len() - 2].0);
    let (found, damage) = open_damaged(&mut world).unwrap();
    let damage = damage.unwrap();
    assert_eq!((found, damage.file), (Vec::new(), sound[1].0.clone()));
    assert!(matches!(damage.kind, DamageKind::BeginsAboveApplied { applied: 0, .. }), "{:?}", damage.kind);
}

#[test]
fn a_log_that_ends_before_the_store_or_begins_after_it_is_damaged() {
    let mut world = closed_log(6, 12);
    let last = world.history[world.history.len() - 1].last();
    let open = |world: &mut World, applied: u64| {
        let options = crate::log::Options { applied, ..world.options() };
        match Log::open(std::sync::Arc::new(world.fs.clone()), options).unwrap() {
            crate::log::Opened::ReadOnly(_, damage) => Err(damage.kind),
            crate::log::Opened::ReadWrite(log, report) => {
                assert_eq!(report.tail, Tail::Clean);
                Ok(log)
            }
        }
    };
    assert!(open(&mut world, last).is_ok());
    assert_eq!(
        open(&mut world, last + 1).unwrap_err(),
        DamageKind::EndsBelowApplied { end: last, applied: last + 1 }
    );
    let mut log = open(&mut world, 0).unwrap();
    let checkpoint = (0..).find(|&checkpoint| log.trim(checkpoint).unwrap() > 0).unwrap();
    let first = log.first_sequence();
    assert_eq!(first, checkpoint + 1, "nothing above the checkpoint was trimmed, and all that could be was");
    assert!(open(&mut world, first - 1).is_ok());
    assert_eq!(
        open(&mut world, first - 2).unwrap_err(),
        DamageKind::BeginsAboveApplied { first, applied: first - 2 }
    );
}
