//! What the tests of the engine share: a random script, an environment that is told the time, stores and databases.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blazedb::blazebinary::{Layout, Record, Value, encode_record};
use blazedb::engine::{
    Database, EngineError, Environment, Id, Opening, Outcome, Settings, Submission, Sweeping, Ticket,
};
use blazedb::log::Filesystem;
use blazedb::log::simfs::Choose;
use blazedb::store::{
    Batch, Bytes, Change, Maintained, Memory, Position, Pressure, Snapshot, Statistics, Store, StoreError,
};
use blazedb::wire::message::{Action, OperationBody, OperationBuilder, RecordOperation};
use blazedb::wire::{CollectionName, EncodedStrings, FramedRecord};
use uuid::Uuid;

use crate::random::Random;

/// How many of something to do: `name` in the environment, else `default`.
pub(super) fn count(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

impl Choose for Random {
    fn choose(&mut self, options: usize) -> usize {
        self.below(options as u64) as usize
    }
}

/// Time that moves by itself, sometimes back on the wall, and random bits that repeat from run to run.
pub(super) struct World {
    ticks: AtomicU64,
    seed: AtomicU64,
    /// What the wall clock is ahead by, in milliseconds.
    pub(super) wall_offset: AtomicU64,
}

impl World {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            ticks: AtomicU64::new(0),
            seed: AtomicU64::new(seed),
            wall_offset: AtomicU64::new(0),
        })
    }

    /// A copy that goes on by itself.
    pub(super) fn image(&self) -> Arc<Self> {
        let copy = |from: &AtomicU64| AtomicU64::new(from.load(Ordering::Relaxed));
        let (ticks, seed, wall_offset) = (copy(&self.ticks), copy(&self.seed), copy(&self.wall_offset));
        Arc::new(Self { ticks, seed, wall_offset })
    }

    pub(super) fn pass(&self, time: Duration) {
        self.ticks.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Environment for World {
    fn unix_ms(&self) -> u64 {
        let ticks = self.ticks.fetch_add(1, Ordering::Relaxed);
        1_767_225_600_000 + ticks / 3 + self.wall_offset.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.ticks.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        Random(self.seed.fetch_add(0x1234_5678_9ABC_DEF1, Ordering::Relaxed)).next()
    }
}

/// One operation of a script, in the test's own words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Op {
    pub(super) collection: &'static str,
    pub(super) base: Option<u64>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Insert(Record),
    Upsert(Record, bool),
    Patch(Id, Vec<&'static str>, Record),
    Delete(Id),
    Check(Id),
    Drop,
}

pub(super) fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(record, Layout::V1, &mut bytes).unwrap();
    bytes
}

/// A record of this id and these fields.
pub(super) fn record(id: Id, fields: &[(&str, Value)]) -> Record {
    let mut record = Record::from_iter(fields.iter().cloned());
    record.insert("id", Value::Uuid(Uuid::from_bytes(id)));
    record
}

pub(super) fn id(number: u64) -> Id {
    Uuid::from_u128(u128::from(number) << 64 | 0x8000_0000_0000_0000).into_bytes()
}

/// The body of an operation frame.
pub(super) fn body(ops: &[Op]) -> OperationBody {
    let mut builder = OperationBuilder::new();
    for op in ops {
        let bytes = match &op.kind {
            Kind::Insert(record) | Kind::Upsert(record, _) | Kind::Patch(_, _, record) => encode(record),
            Kind::Delete(_) | Kind::Check(_) | Kind::Drop => Vec::new(),
        };
        let framed = || FramedRecord::new(&bytes).unwrap();
        let action = match &op.kind {
            Kind::Insert(_) => Action::Insert(framed()),
            Kind::Upsert(_, skip_unchanged) => {
                Action::Upsert { record: framed(), skip_unchanged: *skip_unchanged }
            }
            Kind::Patch(id, removed, _) => Action::Patch {
                id: Uuid::from_bytes(*id),
                removed: EncodedStrings::new(removed).unwrap(),
                set: framed(),
            },
            Kind::Delete(id) => Action::Delete { id: Uuid::from_bytes(*id) },
            Kind::Check(id) => Action::Check { id: Uuid::from_bytes(*id) },
            Kind::Drop => Action::Drop,
        };
        let collection = CollectionName::new(op.collection).unwrap();
        builder.push(collection, &RecordOperation { base: op.base, action }).unwrap();
    }
    builder.finish().unwrap()
}

pub(super) fn submission(node: Id, number: u64, body: &OperationBody) -> Submission<'_> {
    Submission { node, number, groups: body.groups(), principal: "test", trace: None }
}

pub(super) fn submit(database: &Database, node: Id, number: u64, ops: &[Op]) -> Result<Ticket, EngineError> {
    database.submit(&submission(node, number, &body(ops)))
}

pub(super) fn run(database: &Database, node: Id, number: u64, ops: &[Op]) -> Result<Outcome, EngineError> {
    database.run(&submission(node, number, &body(ops)))
}

/// Opens, making what is not there.
pub(super) fn open(
    fs: Arc<dyn Filesystem>,
    store: Arc<dyn Store>,
    world: &Arc<World>,
    segment_bytes: u32,
) -> Result<(Database, Opening), EngineError> {
    // So slow that sweeps are met half-way.
    let sweeping = Sweeping { rows: 2, chunks: 2 };
    let settings =
        Settings { create: true, segment_bytes, feed_bytes: 4096, sweeping, ..Settings::default() };
    let settings =
        Settings { retention: blazedb::engine::Retention { bytes: 8192, ..settings.retention }, ..settings };
    Database::open(fs, store, world.clone(), settings)
}

/// A store in memory that a crash takes back to its last checkpoint, as it does with one on disk.
#[derive(Clone)]
pub(super) struct Checkpointed {
    memory: Arc<Memory>,
    disk: Arc<Mutex<Saved>>,
    /// Whether batches are refused.
    pub(super) fails: Arc<AtomicBool>,
}

/// What is "on disk": every batch, and how many of them a crash leaves.
#[derive(Default)]
struct Saved {
    batches: Vec<Batch>,
    durable: Position,
    checkpointed: Position,
}

impl Checkpointed {
    pub(super) fn new() -> Self {
        Self { memory: Arc::new(Memory::new()), disk: Arc::default(), fails: Arc::default() }
    }

    /// The store as it is after a crash.
    pub(super) fn crash(&self) -> Self {
        let memory = Memory::new();
        let saved = self.disk.lock().unwrap();
        let batches: Vec<Batch> =
            saved.batches.iter().filter(|batch| batch.position() <= saved.checkpointed).cloned().collect();
        for batch in &batches {
            memory.apply(batch.clone()).unwrap();
        }
        memory.set_durable(saved.checkpointed);
        memory.publish(saved.checkpointed).unwrap();
        let disk = Saved { batches, durable: saved.checkpointed, checkpointed: saved.checkpointed };
        drop(saved);
        Self { memory: Arc::new(memory), disk: Arc::new(Mutex::new(disk)), fails: Arc::default() }
    }
}

impl Store for Checkpointed {
    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(StoreError::Failed("the test wants it"));
        }
        self.memory.apply(batch.clone())?;
        self.disk.lock().unwrap().batches.push(batch);
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.memory.get(key)
    }

    fn applied(&self) -> Position {
        self.memory.applied()
    }

    fn set_durable(&self, position: Position) {
        self.disk.lock().unwrap().durable = position;
        self.memory.set_durable(position);
    }

    fn publish(&self, position: Position) -> Result<(), StoreError> {
        self.memory.publish(position)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.memory.snapshot()
    }

    fn pressure(&self) -> Pressure {
        Pressure::None
    }

    fn maintain(&self) -> Result<Maintained, StoreError> {
        Ok(Maintained::Idle)
    }

    fn checkpoint(&self) -> Result<Position, StoreError> {
        let mut saved = self.disk.lock().unwrap();
        let durable = saved.durable;
        let reached = saved.batches.iter().map(Batch::position).filter(|position| *position <= durable).max();
        saved.checkpointed = reached.unwrap_or(saved.checkpointed);
        Ok(saved.checkpointed)
    }

    fn checkpointed(&self) -> Position {
        self.disk.lock().unwrap().checkpointed
    }

    fn check(&self) -> Result<(), StoreError> {
        // No key is removed as one that was put once unless it was.
        let mut puts = std::collections::BTreeMap::<Bytes, u32>::new();
        for change in self.disk.lock().unwrap().batches.iter().flat_map(Batch::changes) {
            match change {
                Change::Put(key, _) | Change::PutLate(key, _) => *puts.entry(key.clone()).or_default() += 1,
                Change::Delete(key) => drop(puts.remove(key)),
                Change::DeleteOnce(key) | Change::DeleteOnceLate(key) => {
                    assert_eq!(puts.remove(key), Some(1), "{key:?} was not put once");
                }
            }
        }
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        self.memory.statistics()
    }
}
