//! Kills, power cuts and failing disks: nothing acknowledged or shown may be lost, nothing half written may appear,
//! nothing cut may come back, and none of it may be called damage.

use super::choosers::{Every, Seeded, setting};
use super::world::{Recovered, Salts, Violation, World, record};
use crate::log::simfs::{Choose, Fault, Lies, Tear};
use crate::log::{Log, LogError};

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
            if is_cut { self.counts.cuts += 1 } else { self.counts.kills += 1 }
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
            script: vec![one(1400), one(1400), one(100)],
            reach: &[8],
            faults: &CRASHES,
        },
        Short {
            name: "an idle commit and rotation",
            sector: 4096,
            blocks: 4,
            script: vec![one(100), Act::Idle, one(100), one(100), Act::Idle],
            reach: &[40],
            faults: &CRASHES,
        },
        Short {
            name: "crashes in recovery",
            sector: 4096,
            blocks: 4,
            script: vec![one(100), one(100), one(100)],
            reach: &[6, 36],
            faults: &CRASHES,
        },
        Short {
            name: "and in the recovery after that",
            sector: 4096,
            blocks: 3,
            script: vec![one(100)],
            reach: &[4, 36, 36],
            faults: &[Fault::CrashAfter],
        },
        Short {
            name: "a batch of several blocks, lost in part, written again",
            sector: 4096,
            blocks: 12,
            script: vec![one(100), batch(&[6000, 7000]), one(100)],
            reach: &[6, 24],
            faults: &[Fault::CrashMidway, Fault::CrashAfter, Fault::Error],
        },
        Short {
            name: "trimming",
            sector: 4096,
            blocks: 3,
            script: vec![one(100), one(100), one(100), Act::Trim, one(100)],
            reach: &[60, 30],
            faults: &[Fault::CrashAfter, Fault::Error],
        },
    ]
}

/// Runs every history of a script; the first violation, if any.
fn explore(short: &Short, salts: Salts, lies: Lies, counts: &mut Counts) -> Result<(), Violation> {
    let mut every = Every::default();
    loop {
        let mut world = World::new(short.sector, short.blocks * BLOCK);
        world.salts = salts;
        world.fs.lie(lies);
        let mut history = History {
            world,
            chooser: &mut every,
            tear: Tear::Whole,
            counts: &mut *counts,
            reach: short.reach,
            faults: short.faults,
            payload: &record,
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
        let result = explore(&short, Salts::Random, Lies::default(), &mut counts);
        println!("{}: {counts:?}", short.name);
        assert_eq!(result, Ok(()), "{}", short.name);
        total += counts.histories;
    }
    assert!(total > 10_000, "{total} histories were tried");
}
