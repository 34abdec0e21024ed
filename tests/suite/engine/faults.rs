//! Every input and output of a scripted run fails once; power is cut at random points; a disk that lies is noticed.
//!
//! The script goes through rotation, checkpoints, trimming and restarts. After each fault the machine restarts and
//! three things are checked: everything acknowledged is there, what is there is the state after some number of whole
//! operations, and the script can be finished with every operation answered as it should have been.

use std::sync::Arc;

use blazedb::engine::{Database, EngineError, Id, Outcome};
use blazedb::log::simfs::{Choose, Fault, Lies, SimFs, Tear};

use super::kit::{Checkpointed, Op, World, count, open, run, submit};
use super::model::{Model, random_ops};
use crate::random::Random;

const NODE: Id = [7; 16];
/// So small that the script fills several.
const SEGMENT_BYTES: u32 = 48 << 10;
/// What is tried at every point.
const FAULTS: [Fault; 4] = [Fault::Error, Fault::Short, Fault::CrashBefore, Fault::CrashAfter];

/// The operations of a run, and what each answers and leaves.
struct Script {
    operations: Vec<(Vec<Op>, Outcome)>,
    /// The state after so many operations.
    states: Vec<Model>,
}

impl Script {
    fn new(seed: u64, operations: u64) -> Self {
        let (mut random, mut model) = (Random(seed), Model::default());
        let mut script = Self { operations: Vec::new(), states: vec![model.clone()] };
        for _ in 0..operations {
            let ops = random_ops(&mut random, &model);
            let outcome = model.apply(NODE, &ops);
            script.operations.push((ops, outcome));
            script.states.push(model.clone());
        }
        script
    }
}

/// A machine that runs the script: its disk, the store's disk, how far it came.
struct Machine<'a> {
    script: &'a Script,
    fs: SimFs,
    store: Checkpointed,
    world: Arc<World>,
    acknowledged: usize,
    submitted: usize,
    trimmed: usize,
    /// Copies of the machine at its restarts, if they are wanted: a run may begin at any.
    images: Option<Vec<Machine<'a>>>,
}

/// Why a machine stopped before the end of its script.
#[derive(Debug)]
struct Stopped;

impl<'a> Machine<'a> {
    fn new(script: &'a Script) -> Self {
        let (fs, store, world) = (SimFs::new(4096), Checkpointed::new(), World::new(9));
        Self { script, fs, store, world, acknowledged: 0, submitted: 0, trimmed: 0, images: None }
    }

    /// A copy that shares nothing with this one. No database may be open.
    fn image(&self) -> Self {
        Self {
            script: self.script,
            fs: self.fs.image(),
            store: self.store.crash(),
            world: self.world.image(),
            images: None,
            ..*self
        }
    }

    fn open(&mut self) -> Result<Database, Stopped> {
        let disk = Arc::new(self.fs.clone());
        let opened = open(disk, Arc::new(self.store.clone()), &self.world, SEGMENT_BYTES);
        let (database, _) = opened.map_err(|_| Stopped)?;
        // An input that fails may look like damage; the next start sees better.
        if database.read_only().is_some() { Err(Stopped) } else { Ok(database) }
    }

    /// Runs the script from where it stands: batches of 1 to 20 operations, a restart now and then.
    fn run(&mut self) -> Result<(), Stopped> {
        let mut database = self.open()?;
        while self.acknowledged < self.script.operations.len() {
            let batch = [1, 1, 2, 20, 1, 3, 1, 1, 1, 1, 2, 1, 1][self.acknowledged % 13];
            let end = (self.acknowledged + batch).min(self.script.operations.len());
            let mut tickets = Vec::new();
            for at in self.acknowledged..end {
                self.submitted = self.submitted.max(at + 1);
                let (ops, expected) = &self.script.operations[at];
                let ticket = submit(&database, NODE, at as u64 + 1, ops).map_err(refused)?;
                assert_eq!(ticket.outcome, *expected, "operation {at}");
                tickets.push(ticket);
            }
            for ticket in tickets {
                database.wait(&ticket).map_err(refused)?;
                self.acknowledged += 1;
            }
            if self.acknowledged % 3 < batch {
                database.maintain().map_err(refused)?;
            }
            self.world.pass(std::time::Duration::from_millis(100));
            database.tick().map_err(refused)?;
            if self.acknowledged % 17 < batch {
                self.trimmed += database.checkpoint().map_err(refused)?.trimmed_segments;
            }
            if self.acknowledged % 7 < batch {
                drop(database);
                self.store = self.store.crash();
                let image = self.images.is_some().then(|| self.image());
                self.images.iter_mut().for_each(|images| images.extend(image.as_ref().map(Self::image)));
                database = self.open()?;
            }
        }
        database.close().map_err(refused)
    }

    /// The machine starts again and finishes the script.
    fn recover(&mut self) -> Result<(), String> {
        self.store = self.store.crash();
        let database = self.open().map_err(|_| "cannot be opened".to_owned())?;
        let decided = database.highest_operation(&NODE).map_err(|error| error.to_string())? as usize;
        if decided < self.acknowledged {
            return Err(format!("{} were acknowledged, {decided} are there", self.acknowledged));
        }
        assert!(decided <= self.submitted);
        self.script.states[decided].compare(&database);
        assert_eq!(database.verify().unwrap().findings, Vec::<String>::new());
        for at in decided.saturating_sub(30)..self.script.operations.len().min(decided + 30) {
            let (ops, expected) = &self.script.operations[at];
            assert_eq!(run(&database, NODE, at as u64 + 1, ops), Ok(*expected), "operation {at}");
        }
        let reached = self.script.operations.len().min(decided + 30);
        self.script.states[reached].compare(&database);
        Ok(())
    }
}

fn refused(error: EngineError) -> Stopped {
    let is_known = matches!(
        error,
        EngineError::Stopped(_) | EngineError::DiskFull | EngineError::Read(_) | EngineError::Corrupted(_)
    );
    assert!(is_known, "{error}");
    Stopped
}

#[test]
fn every_input_and_output_fails_once() {
    let script = Script::new(5, count("BLAZEDB_ENGINE_FAULT_OPERATIONS", 360));
    let mut dry = Machine::new(&script);
    dry.images = Some(vec![Machine::new(&script)]);
    dry.run().unwrap();
    let (points, images) = (dry.fs.operations(), dry.images.take().unwrap());
    assert!(points >= 2_000, "{points} inputs and outputs");
    assert!(dry.trimmed >= 2, "{} segments trimmed", dry.trimmed);
    // Without the wish for all, each point meets one of the faults in turn.
    let all = count("BLAZEDB_ENGINE_ALL_FAULTS", 0) == 1;
    let (mut runs, mut stops) = (0_u64, 0_u64);
    for point in 0..points {
        for (kind, fault) in FAULTS.into_iter().enumerate() {
            if !all && (point as usize + point as usize / 4) % 4 != kind {
                continue;
            }
            let before = images.partition_point(|image| image.fs.operations() <= point);
            let mut machine = images[before - 1].image();
            machine.fs.arm(point, fault);
            stops += u64::from(machine.run().is_err());
            let mut random = Random(point * 4 + kind as u64);
            if random.chance(50) {
                machine.fs.kill(&mut random)
            } else {
                machine.fs.cut(&mut random, Tear::Any)
            }
            machine.recover().unwrap_or_else(|why| panic!("point {point}, {fault:?}: {why}"));
            runs += 1;
        }
    }
    assert!(stops * 2 > runs, "most faults stop the database");
    println!("{points} inputs and outputs, {runs} runs with a fault, {stops} of them stopped the database");
}

/// Cuts the power at a random input or output; returns whether something acknowledged was lost.
fn power_cut(script: &Script, seed: u64, points: u64, lies: Lies) -> bool {
    let mut random = Random(seed);
    let mut machine = Machine::new(script);
    machine.fs.lie(lies);
    let fault = [Fault::CrashBefore, Fault::CrashMidway, Fault::CrashAfter][random.choose(3)];
    machine.fs.arm(random.below(points), fault);
    let _ = machine.run();
    machine.fs.cut(&mut random, Tear::Any);
    machine.fs.lie(Lies::default());
    machine.recover().is_err()
}

#[test]
fn power_cuts_lose_nothing_unless_the_disk_lies() {
    let script = Script::new(6, 120);
    let mut dry = Machine::new(&script);
    dry.run().unwrap();
    let points = dry.fs.operations();
    let cuts = count("BLAZEDB_ENGINE_CUTS", 200);
    for seed in 0..cuts {
        assert!(!power_cut(&script, seed, points, Lies::default()), "seed {seed}");
    }
    let lies = Lies { sync: true, ..Lies::default() };
    let lost = (0..40).filter(|&seed| power_cut(&script, seed, points, lies)).count();
    assert!(lost >= 10, "a disk that does not sync lost something in {lost} of 40 cuts only");
    println!("{cuts} power cuts, nothing lost; with a disk that does not sync, {lost} of 40 lost something");
}
