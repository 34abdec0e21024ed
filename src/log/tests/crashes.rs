//! Kills, power cuts and failing disks: nothing acknowledged or shown may be lost, nothing half written may appear,
//! nothing cut may come back, and none of it may be called damage.

use super::choosers::{Every, Seeded, setting};
use super::world::{Recovered, Salts, Violation, World, record};
use crate::log::commit::{CommitHead, complete};
use crate::log::limits::{COMMIT_PREFIX_BYTES, MAX_COMMIT_BYTES};
use crate::log::simfs::{Choose, Fault, Lies, Tear};
use crate::log::{Location, Log, LogError};

const BLOCK: u32 = 4096;

/// What a script does, in order.
#[derive(Debug, Clone)]
enum Act {
    /// A batch: transactions of records of these sizes.
    Append(Vec<Vec<usize>>),
    /// The log is idle for a while.
    Idle,
    /// A checkpoint, then trimming.
    Trim,
}

fn one(bytes: usize) -> Act {
    Act::Append(vec![vec![bytes]])
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    histories: u64,
    cuts: u64,
    kills: u64,
    failed: u64,
    in_recovery: u64,
}

/// One history: a script with crashes, each chosen by `chooser`.
struct History<'a> {
    world: World,
    chooser: &'a mut dyn Choose,
    tear: Tear,
    counts: &'a mut Counts,
    /// For each incarnation of the process the number of its operation at which something happens is chosen below
    /// this; none happens if the script ends first.
    reach: &'a [u64],
    faults: &'a [Fault],
    payload: &'a dyn Fn(u64, usize) -> Vec<u8>,
    incarnation: usize,
}

impl History<'_> {
    /// Runs the script; after each crash the log is opened, checked, and the script goes on.
    fn run(&mut self, script: &[Act]) -> Result<(), Violation> {
        self.counts.histories += 1;
        let mut log = self.world.create().map_err(|error| error.to_string())?;
        self.arm();
        for act in script {
            if self.act(&mut log, act).is_err() {
                log = self.reincarnate()?;
            }
        }
        // Whatever was armed and not reached must not matter to the last look.
        self.incarnation = self.reach.len();
        self.reincarnate().map(|_| ())
    }

    fn act(&mut self, log: &mut Log, act: &Act) -> Result<(), LogError> {
        match act {
            Act::Append(transactions) => {
                let seed = self.world.fs.operations();
                let transactions: Vec<Vec<Vec<u8>>> = transactions
                    .iter()
                    .map(|sizes| sizes.iter().map(|&bytes| (self.payload)(seed, bytes)).collect())
                    .collect();
                self.world.append(log, &transactions)
            }
            Act::Idle => self.world.tick(log).map(|_| ()),
            Act::Trim => self.world.trim(log).map(|_| ()),
        }
    }

    fn arm(&mut self) {
        let Some(&reach) = self.reach.get(self.incarnation) else { return };
        self.incarnation += 1;
        let at = self.world.fs.operations() + self.chooser.choose(reach as usize) as u64;
        let fault = self.faults[self.chooser.choose(self.faults.len())];
        self.world.fs.arm(at, fault);
    }

    /// The process ends; a new one opens the log, as often as it takes.
    fn reincarnate(&mut self) -> Result<Log, Violation> {
        let mut attempts = 0;
        loop {
            self.counts.failed += u64::from(!self.world.fs.is_crashed());
            let is_cut = self.chooser.choose(2) == 0;
            if is_cut {
                self.counts.cuts += 1
            } else {
                self.counts.kills += 1
            }
            self.counts.in_recovery += u64::from(attempts > 0);
            self.world.crash(self.chooser, is_cut.then_some(self.tear));
            self.arm();
            if let Recovered::Log(log) = self.world.recover()? {
                return Ok(*log);
            }
            attempts += 1;
        }
    }
}

const CRASHES: [Fault; 4] = [Fault::CrashBefore, Fault::CrashMidway, Fault::CrashAfter, Fault::Error];

/// A short script of which every crash is tried.
struct Short {
    name: &'static str,
    sector: usize,
    blocks: u32,
    /// The most bytes of a commit.
    commit: usize,
    script: Vec<Act>,
    reach: &'static [u64],
    faults: &'static [Fault],
}

fn short_scripts() -> Vec<Short> {
    let batch = |sizes: &[usize]| Act::Append(sizes.iter().map(|&bytes| vec![bytes]).collect());
    vec![
        Short {
            name: "two commits, then another, torn by sectors of 512",
            sector: 512,
            blocks: 8,
            commit: MAX_COMMIT_BYTES,
            script: vec![one(1400), one(1400), one(100)],
            reach: &[7],
            faults: &CRASHES,
        },
        Short {
            name: "an idle commit and rotation",
            sector: 4096,
            blocks: 4,
            commit: MAX_COMMIT_BYTES,
            script: vec![one(100), Act::Idle, one(100), one(100), Act::Idle],
            reach: &[30],
            faults: &CRASHES,
        },
        Short {
            name: "crashes in recovery",
            sector: 4096,
            blocks: 4,
            commit: MAX_COMMIT_BYTES,
            script: vec![one(100), one(100), one(100)],
            reach: &[6, 14],
            faults: &[Fault::CrashMidway, Fault::Error],
        },
        Short {
            name: "and in the recovery after that",
            sector: 4096,
            blocks: 3,
            commit: MAX_COMMIT_BYTES,
            script: vec![one(100)],
            reach: &[2, 13, 13],
            faults: &[Fault::CrashAfter],
        },
        Short {
            name: "a batch of several blocks, lost in part, written again",
            sector: 4096,
            blocks: 12,
            commit: MAX_COMMIT_BYTES,
            script: vec![one(100), batch(&[6000, 5000]), one(100)],
            reach: &[6, 13],
            faults: &[Fault::CrashMidway, Fault::Error],
        },
        Short {
            name: "a transaction over three commits, lost in part, written again",
            sector: 4096,
            blocks: 12,
            commit: 4096,
            script: vec![one(100), Act::Append(vec![vec![9], vec![3000, 3000, 3000]]), one(100)],
            reach: &[7, 13],
            faults: &[Fault::CrashMidway, Fault::Error],
        },
        Short {
            name: "trimming",
            sector: 4096,
            blocks: 3,
            commit: MAX_COMMIT_BYTES,
            script: vec![one(100), one(100), one(100), Act::Trim, one(100)],
            reach: &[40, 14],
            faults: &[Fault::CrashAfter],
        },
    ]
}

/// What a history runs in beside its script.
#[derive(Clone, Copy)]
struct Setting<'a> {
    salts: Salts,
    lies: Lies,
    payload: &'a dyn Fn(u64, usize) -> Vec<u8>,
}

const HONEST: Setting<'static> = Setting { salts: Salts::Random, lies: NO_LIES, payload: &record };
const NO_LIES: Lies = Lies { sync: false, sync_dir: false, identical_writes: false };

/// Runs every history of a script; the first violation, if any.
fn explore(short: &Short, setting: Setting<'_>, counts: &mut Counts) -> Result<(), Violation> {
    let mut every = Every::default();
    loop {
        let mut world = World::new(short.sector, short.blocks * BLOCK);
        (world.salts, world.commit_bytes) = (setting.salts, short.commit);
        world.fs.lie(setting.lies);
        world.fs.count_reads(false);
        let mut history = History {
            world,
            chooser: &mut every,
            tear: Tear::Whole,
            counts: &mut *counts,
            reach: short.reach,
            faults: short.faults,
            payload: setting.payload,
            incarnation: 0,
        };
        history.run(&short.script)?;
        if !every.next() {
            return Ok(());
        }
    }
}

#[test]
fn every_crash_of_short_scripts_is_survived() {
    let mut total = 0;
    for short in short_scripts() {
        let mut counts = Counts::default();
        let result = explore(&short, HONEST, &mut counts);
        println!("{}: {counts:?}", short.name);
        assert_eq!(result, Ok(()), "{}", short.name);
        total += counts.histories;
    }
    assert!(total > 50_000, "{total} histories were tried");
}

/// The violation that some short script meets.
fn violation(setting: Setting<'_>) -> Option<Violation> {
    let mut counts = Counts::default();
    let found = short_scripts().iter().find_map(|short| explore(short, setting, &mut counts).err());
    println!("{found:?} after {counts:?}");
    found
}

#[test]
fn controls_a_disk_that_lies_is_found_out() {
    for lies in [
        Lies { sync: true, ..NO_LIES },
        Lies { sync_dir: true, ..NO_LIES },
        Lies { identical_writes: true, ..NO_LIES },
    ] {
        assert!(violation(Setting { lies, ..HONEST }).is_some(), "{lies:?} broke no promise");
    }
}

const GUESSED_SALT: u64 = 0x1234_5678_9ABC_DEF0;
/// Where a record begins in a commit that begins with it: prefix 51, piece 51, effect 45 bytes (`spec/log.md`).
const RECORD_OFFSET: usize = 147;

/// A record with a whole commit at the start of each block that it covers, which claims that the log was durable far
/// beyond it.
fn hostile(seed: u64, bytes: usize) -> Vec<u8> {
    let durable_to = Location { segment: 1, offset: 7 * BLOCK };
    let mut fake = vec![0; COMMIT_PREFIX_BYTES];
    complete(&mut fake, 3 * BLOCK, &CommitHead { salt: GUESSED_SALT, durable_to, chain: 0, hlc: 0 });
    let mut record = record(seed, bytes);
    let mut at = BLOCK as usize - RECORD_OFFSET;
    while let Some(place) = record.get_mut(at..).and_then(|rest| rest.get_mut(..55)) {
        place.copy_from_slice(&fake[..55]);
        at += BLOCK as usize;
    }
    record
}

#[test]
fn records_that_hold_commits_are_only_records_unless_their_salt_is_known() {
    let setting = Setting { payload: &hostile, ..HONEST };
    let several: Vec<Short> =
        short_scripts().into_iter().filter(|short| short.name.contains("several")).collect();
    let mut counts = Counts::default();
    for short in &several {
        assert_eq!(explore(short, setting, &mut counts), Ok(()));
    }
    println!("{counts:?}");
    let known = Setting { salts: Salts::Same(GUESSED_SALT), ..setting };
    assert!(
        several.iter().any(|short| explore(short, known, &mut counts).is_err()),
        "the control broke no promise"
    );
}

/// A long history whose every turn comes from the seed.
fn random_history(seed: u64, setting: Setting<'_>, counts: &mut Counts) -> Result<(), Violation> {
    let mut seeded = Seeded(seed);
    let sector = [512, 4096][seeded.choose(2)];
    let mut world = World::new(sector, (3 + seeded.choose(20) as u32) * BLOCK);
    (world.salts, world.commit_bytes) = (setting.salts, [4096, 8192, MAX_COMMIT_BYTES][seeded.choose(3)]);
    world.fs.lie(setting.lies);
    let script: Vec<Act> = (0..4 + seeded.choose(36)).map(|_| random_act(&mut seeded)).collect();
    let reach: Vec<u64> = (0..seeded.choose(8)).map(|_| [12, 30, 100][seeded.choose(3)]).collect();
    let faults = [
        Fault::CrashAfter,
        Fault::CrashMidway,
        Fault::CrashBefore,
        Fault::Error,
        Fault::Error,
        Fault::Short,
        Fault::NoSpace,
    ];
    let (tear, payload) = ([Tear::Whole, Tear::Any][seeded.choose(2)], setting.payload);
    let chooser = &mut seeded;
    History { world, chooser, tear, counts, reach: &reach, faults: &faults, payload, incarnation: 0 }
        .run(&script)
}

fn random_act(seeded: &mut Seeded) -> Act {
    match seeded.choose(10) {
        0 | 1 => Act::Idle,
        2 => Act::Trim,
        _ => {
            let transactions = 1 + seeded.choose(3);
            let effects = |seeded: &mut Seeded| {
                (0..1 + seeded.choose(3))
                    .map(|_| [20, 500, 5000][seeded.choose(3)] + seeded.choose(99))
                    .collect()
            };
            Act::Append((0..transactions).map(|_| effects(seeded)).collect())
        }
    }
}

#[test]
fn random_crashes_of_long_scripts_are_survived() {
    let histories = setting("BLAZEDB_LOG_HISTORIES", 4_000);
    let first = setting("BLAZEDB_LOG_SEED", 1);
    let mut counts = Counts::default();
    for seed in first..first + histories {
        let payload: &dyn Fn(u64, usize) -> Vec<u8> = if seed % 2 == 0 { &record } else { &hostile };
        let result = random_history(seed, Setting { payload, ..HONEST }, &mut counts);
        assert_eq!(result, Ok(()), "seed {seed}");
    }
    println!("seeds {first} and {histories} on: {counts:?}");
    assert!(
        counts.cuts > histories / 2 && counts.kills > histories / 2 && counts.in_recovery > histories / 10
    );
}

#[test]
fn controls_random_histories_find_out_each_lie() {
    for lies in [
        Lies { sync: true, ..NO_LIES },
        Lies { sync_dir: true, ..NO_LIES },
        Lies { identical_writes: true, ..NO_LIES },
    ] {
        let mut counts = Counts::default();
        let broken =
            (1..3_000).find(|&seed| random_history(seed, Setting { lies, ..HONEST }, &mut counts).is_err());
        println!("{lies:?}: seed {broken:?}");
        assert!(broken.is_some(), "{lies:?} broke no promise");
    }
}
