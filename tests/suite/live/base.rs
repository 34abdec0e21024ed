//! A database in memory with a history that the test keeps, and a subscriber of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use blazedb::blazebinary::{Layout, Value, encode_record};
use blazedb::engine::{Database, Decision, Environment, Listener, Retention, Settings, Submission, Verdict};
use blazedb::live::{Hub, Source, Step, Subscription, Tidings, Wake, Wish};
use blazedb::log::simfs::SimFs;
use blazedb::store::{Memory, Store};
use blazedb::wire::message::{
    Action, ChangeKind, ChangesBuilder, Mode, OperationBody, OperationBuilder, RecordOperation, Start,
};
use blazedb::wire::{CollectionName, FramedRecord, Position};
use uuid::Uuid;

use crate::random::Random;
use crate::server_kit::{Act, body, record};

const NODE: [u8; 16] = [1; 16];

/// Time that moves when it is told to.
#[derive(Default)]
pub(super) struct World {
    pub(super) milliseconds: AtomicU64,
    bits: AtomicU64,
}

impl Environment for World {
    fn unix_ms(&self) -> u64 {
        1_767_225_600_000 + self.milliseconds.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        self.bits.fetch_add(1, Ordering::Relaxed)
    }
}

/// Hands on what is published, as the service does.
struct Relay(Arc<Source>);

impl Listener for Relay {
    fn published(&self, position: Position, transactions: &[Arc<Decision>]) {
        self.0.publish(position.seq, transactions);
    }

    fn stopped(&self, reason: &str) {
        panic!("{reason}");
    }
}

/// A change as the test remembers it: the value of its record, none of a deletion.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) id: Uuid,
    pub(super) value: Option<i64>,
    pub(super) is_last: bool,
}

/// A database and what was done to it.
pub(super) struct Base {
    pub(super) database: Database,
    pub(super) source: Arc<Source>,
    pub(super) world: Arc<World>,
    operations: u64,
    /// By collection, every change in order.
    pub(super) history: BTreeMap<&'static str, Vec<Known>>,
}

/// Stands for all records of a collection.
pub(super) const DROPPED: Uuid = Uuid::max();

/// How much is kept where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memories {
    pub(super) feed_bytes: usize,
    pub(super) retained_bytes: u64,
}

pub(super) const AMPLE: Memories = Memories { feed_bytes: 32 << 20, retained_bytes: 1 << 30 };

impl Base {
    pub(super) fn new(memories: Memories) -> Self {
        Self::over(Arc::new(Memory::new()), memories)
    }

    /// A database over this store.
    pub(super) fn over(store: Arc<dyn Store>, memories: Memories) -> Self {
        let source = Hub::new().source();
        let settings = Settings {
            create: true,
            segment_bytes: 128 << 10,
            feed_bytes: memories.feed_bytes,
            retention: Retention { bytes: memories.retained_bytes, ..Retention::default() },
            listener: Some(Arc::new(Relay(source.clone()))),
            ..Settings::default()
        };
        let world = Arc::new(World::default());
        let fs = Arc::new(SimFs::new(4096));
        let (database, _) = Database::open(fs, store, world.clone(), settings).unwrap();
        Self { database, source, world, operations: 0, history: BTreeMap::new() }
    }

    /// One transaction, which is remembered.
    pub(super) fn run(&mut self, collection: &'static str, changes: &[(u128, Option<i64>)]) {
        let act = |(id, value): &(u128, Option<i64>)| match value {
            Some(value) => Act::Upsert(record(Uuid::from_u128(*id), &[("n", Value::Int(*value))])),
            None => Act::Delete(Uuid::from_u128(*id)),
        };
        let acts: Vec<Act> = changes.iter().map(act).collect();
        let body = body(collection, &acts);
        self.submit(&body);
        let mut held = self.held(collection);
        let history = self.history.entry(collection).or_default();
        let begin = history.len();
        for (id, value) in changes {
            let id = Uuid::from_u128(*id);
            // A deletion of nothing is no change.
            if value.is_some() || held.contains_key(&id) {
                history.push(Known { id, value: *value, is_last: false });
            }
            match value {
                Some(value) => drop(held.insert(id, *value)),
                None => drop(held.remove(&id)),
            }
        }
        if let Some(last) = history.get_mut(begin..).and_then(<[_]>::last_mut) {
            last.is_last = true;
        }
    }

    /// Drops a collection that is there, and writes these records to a new one of its name in the same transaction.
    pub(super) fn drop(&mut self, collection: &'static str, changes: &[(u128, i64)]) {
        let mut builder = OperationBuilder::new();
        let name = CollectionName::new(collection).unwrap();
        builder.push(name, &RecordOperation { base: None, action: Action::Drop }).unwrap();
        let history = self.history.entry(collection).or_default();
        history.push(Known { id: DROPPED, value: None, is_last: changes.is_empty() });
        for (at, (id, value)) in changes.iter().enumerate() {
            let id = Uuid::from_u128(*id);
            let mut bytes = Vec::new();
            encode_record(&record(id, &[("n", Value::Int(*value))]), Layout::V1, &mut bytes).unwrap();
            let action = Action::Insert(FramedRecord::new(&bytes).unwrap());
            builder.push(name, &RecordOperation { base: None, action }).unwrap();
            history.push(Known { id, value: Some(*value), is_last: at + 1 == changes.len() });
        }
        self.submit(&builder.finish().unwrap());
    }

    fn submit(&mut self, body: &OperationBody) {
        self.operations += 1;
        let (number, groups) = (self.operations, body.groups());
        let submission = Submission { node: NODE, number, groups, principal: "", trace: None };
        let outcome = self.database.run(&submission).unwrap();
        assert!(matches!(outcome.verdict, Verdict::Applied { .. }), "{outcome:?}");
    }

    /// A random transaction of one to `most` changes.
    pub(super) fn run_random(&mut self, random: &mut Random, collection: &'static str, most: u64) {
        let mut changes: Vec<_> = (0..=random.below(most))
            .map(|_| {
                (
                    u128::from(random.below(20)) + 1,
                    random.chance(70).then(|| random.below(1000).cast_signed()),
                )
            })
            .collect();
        // Something that always is a change.
        changes.push((99, Some(random.next().cast_signed() >> 1)));
        self.run(collection, &changes);
    }

    /// The state after all changes of a collection.
    pub(super) fn held(&self, collection: &str) -> BTreeMap<Uuid, i64> {
        let mut held = BTreeMap::new();
        self.history.get(collection).into_iter().flatten().for_each(|change| apply(&mut held, change));
        held
    }

    pub(super) fn subscribe(&self, collection: &str, mode: Mode, start: Start) -> Reader {
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = woken.clone();
        let wake: Wake = Arc::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let wish = Wish { collection: collection.into(), mode, start };
        let subscription = Subscription::begin(&self.database, &self.source, wake, wish).unwrap();
        Reader { subscription, woken, page: ChangesBuilder::new(), told: Vec::new(), positions: Vec::new() }
    }
}

pub(super) fn apply(held: &mut BTreeMap<Uuid, i64>, change: &Known) {
    match change.value {
        None if change.id == DROPPED => held.clear(),
        Some(value) => drop(held.insert(change.id, value)),
        None => drop(held.remove(&change.id)),
    }
}

/// A subscriber that remembers what it was told.
pub(super) struct Reader {
    pub(super) subscription: Subscription,
    pub(super) woken: Arc<AtomicUsize>,
    page: ChangesBuilder,
    pub(super) told: Vec<Known>,
    /// Behind each change of `told`.
    pub(super) positions: Vec<Position>,
}

impl Reader {
    /// One step; what was told beside changes.
    pub(super) fn step(&mut self, base: &Base) -> Step {
        self.page.clear();
        let step = self.subscription.step(&base.database, &mut self.page).unwrap();
        if let (Step::Tell(Tidings::Changes, position), Some(changes)) = (step, self.page.changes()) {
            for change in changes.iter() {
                let (id, value) = match change.kind {
                    ChangeKind::Delete(id) => (id, None),
                    ChangeKind::Dropped => (DROPPED, None),
                    ChangeKind::Put(record) => {
                        let record = record.view().unwrap();
                        let Some(Value::Int(n)) = record.to_record().get("n").cloned() else {
                            panic!("no n")
                        };
                        (record.id().unwrap(), Some(n))
                    }
                };
                self.told.push(Known { id, value, is_last: change.last });
                self.positions.push(Position { seq: change.seq, ..position });
            }
            assert!(self.positions.last().is_some_and(|last| *last <= position));
        }
        step
    }

    /// Steps until there is nothing; what was told beside changes and heartbeats.
    pub(super) fn read(&mut self, base: &Base) -> Vec<Tidings> {
        let mut told = Vec::new();
        loop {
            match self.step(base) {
                Step::Idle => return told,
                Step::Tell(tidings @ Tidings::Reset { .. }, _) => {
                    told.push(tidings);
                    return told;
                }
                Step::Tell(Tidings::Changes | Tidings::Heartbeat, _) | Step::More => {}
                Step::Tell(tidings, _) => told.push(tidings),
            }
        }
    }

    /// What it holds, of all it was told.
    pub(super) fn held(&self) -> BTreeMap<Uuid, i64> {
        let mut held = BTreeMap::new();
        self.told.iter().for_each(|change| apply(&mut held, change));
        held
    }
}
