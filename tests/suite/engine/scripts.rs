//! Long random scripts with restarts, every operation sent more than once, over each store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use blazedb::engine::{CatalogueEntry, DecidedEffect, EngineError, Id, Outcome};
use blazedb::log::Filesystem;
use blazedb::log::simfs::SimFs;
use blazedb::store::{Lsm, LsmSettings, Memory, Store};
use blazedb::wire::Position;

use super::kit::{Checkpointed, Op, World, count, open, run};
use super::model::{Model, random_ops};
use crate::random::Random;

const SEGMENT_BYTES: u32 = 256 << 10;
const NODES: [Id; 3] = [[1; 16], [2; 16], [3; 16]];

/// A view that is kept by reading changes alone: collection number, id → bytes.
type Replica = BTreeMap<(u32, Id), Vec<u8>>;

struct Script {
    random: Random,
    model: Model,
    /// Every operation of each node with its first answer.
    history: [Vec<(Vec<Op>, Outcome)>; 3],
    all: (Replica, Position),
    latest: (Replica, Position),
    restarts: u64,
    repetitions: u64,
    refusals: u64,
    changes: u64,
    /// How often a position was not taken because of a drop, and how often a sweep was met half-way.
    resets: u64,
    half_swept: u64,
}

impl Script {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            model: Model::default(),
            history: Default::default(),
            all: Default::default(),
            latest: Default::default(),
            restarts: 0,
            repetitions: 0,
            refusals: 0,
            changes: 0,
            resets: 0,
            half_swept: 0,
        }
    }

    fn run(&mut self, operations: u64, world: &Arc<World>, make_store: &mut dyn FnMut() -> Arc<dyn Store>) {
        let fs = SimFs::new(4096);
        let mut done = 0;
        while done < operations {
            let disk: Arc<dyn Filesystem> = Arc::new(fs.clone());
            let (database, _) = open(disk, make_store(), world, SEGMENT_BYTES).unwrap();
            assert_eq!(database.read_only(), None);
            self.model.compare(&database);
            self.repeat_old_operations(&database);
            for _ in 0..20 + self.random.below(80) {
                self.operation(&database);
                done += 1;
                if self.random.chance(2) {
                    database.checkpoint().unwrap();
                }
                if self.random.chance(10) {
                    database.maintain().unwrap();
                }
            }
            self.follow(&database);
            let report = database.verify().unwrap();
            assert_eq!(report.findings, Vec::<String>::new());
            self.half_swept += u64::from(database.is_sweeping());
            if self.random.chance(50) {
                database.close().unwrap();
            }
            // The wall clock falls back: the database's does not.
            let clock = database.clock();
            drop(database);
            world.wall_offset.store(self.random.below(5_000), Ordering::Relaxed);
            let disk: Arc<dyn Filesystem> = Arc::new(fs.clone());
            let (database, _) = open(disk, make_store(), world, SEGMENT_BYTES).unwrap();
            assert!(database.clock() >= clock);
            self.restarts += 2;
        }
    }

    /// A new operation, sent one to three times.
    fn operation(&mut self, database: &blazedb::engine::Database) {
        let node = self.random.below(3) as usize;
        let ops = random_ops(&mut self.random, &self.model);
        let expected = self.model.apply(NODES[node], &ops);
        self.history[node].push((ops.clone(), expected));
        let number = self.history[node].len() as u64;
        let clock = database.clock();
        for _ in 0..1 + self.random.below(3) {
            assert_eq!(run(database, NODES[node], number, &ops), Ok(expected), "{ops:?}");
            self.repetitions += 1;
        }
        assert!(database.clock() > clock);
        self.refusals += u64::from(expected.code() != 0);
        assert_eq!(database.highest_operation(&NODES[node]), Ok(number));
        let gap = run(database, NODES[node], number + 2, &ops);
        assert_eq!(gap, Err(EngineError::OperationGap { expected: number + 1, found: number + 2 }));
    }

    /// After a restart, old numbers find their first answer, and other bodies under them are noticed.
    fn repeat_old_operations(&mut self, database: &blazedb::engine::Database) {
        for (node, history) in self.history.iter().enumerate() {
            if history.is_empty() {
                continue;
            }
            for _ in 0..5 {
                let at = self.random.below(history.len() as u64) as usize;
                let (ops, first) = &history[at];
                let number = at as u64 + 1;
                let is_kept = history.len() - at <= 1024;
                let expected = if is_kept { Ok(*first) } else { Err(EngineError::IdentityReused { number }) };
                assert_eq!(run(database, NODES[node], number, ops), expected);
                let other = [ops.clone(), ops.clone()].concat();
                assert_eq!(
                    run(database, NODES[node], number, &other),
                    Err(EngineError::IdentityReused { number })
                );
                self.repetitions += 2;
            }
        }
        self.model.compare(database);
    }

    /// Both ways of following changes lead to what is there.
    fn follow(&mut self, database: &blazedb::engine::Database) {
        let (replica, position) = &mut self.all;
        match database.all_changes(*position) {
            Ok(mut changes) => {
                while let Some(decision) = changes.next(database).unwrap() {
                    for effect in &decision.effects {
                        if let DecidedEffect::Catalogue(CatalogueEntry::Dropped { number, .. }) = effect {
                            replica.retain(|(collection, _), _| collection != number);
                        }
                        if let DecidedEffect::Write(change) | DecidedEffect::Delete(change) = effect {
                            let key = (change.collection, change.id);
                            let before = change.old.as_ref().and_then(|old| old.bytes());
                            let held = match change.new.bytes() {
                                Some(bytes) => replica.insert(key, bytes.to_vec()),
                                None => replica.remove(&key),
                            };
                            assert!(before.is_none() || before == held.as_deref());
                            self.changes += 1;
                        }
                    }
                    *position = database.position_of(decision.last_sequence());
                }
            }
            Err(EngineError::PositionExpired { oldest }) => {
                assert!(oldest.seq > position.seq);
                (*replica, *position) = self.latest.clone();
                follow_latest(database, replica, position, self.model.last_drop);
            }
            Err(other) => panic!("{other}"),
        }
        let (replica, position) = &mut self.latest;
        self.resets += u64::from(follow_latest(database, replica, position, self.model.last_drop));
        assert_eq!(self.all.0, self.latest.0);
        let mut held: Vec<&Vec<u8>> = self.latest.0.values().collect();
        let mut expected: Vec<Vec<u8>> =
            self.model.rows.values().map(|row| super::kit::encode(&row.fields)).collect();
        held.sort();
        expected.sort();
        assert_eq!(held, expected.iter().collect::<Vec<_>>());
    }
}

/// Returns whether it had to begin again: exactly if a collection was dropped since (P-4.8.2).
fn follow_latest(
    database: &blazedb::engine::Database,
    replica: &mut Replica,
    position: &mut Position,
    last_drop: u64,
) -> bool {
    let (mut begun, mut is_reset) = (database.latest_changes(*position, None), false);
    if position.seq > 0 && last_drop > position.seq {
        assert_eq!(
            begun.err(),
            Some(EngineError::PositionExpired { oldest: database.position_of(last_drop) })
        );
        replica.clear();
        is_reset = true;
        begun = database.latest_changes(Position::default(), None);
    }
    let mut changes = begun.unwrap();
    loop {
        let chunk = changes.next_chunk(database).unwrap();
        if chunk.is_empty() {
            break;
        }
        for change in chunk {
            match change.record.bytes() {
                Some(bytes) => replica.insert((change.collection, change.id), bytes.to_vec()),
                None => replica.remove(&(change.collection, change.id)),
            };
        }
    }
    *position = changes.position();
    is_reset
}

fn check(name: &str, seed: u64, operations: u64, mut make_store: impl FnMut() -> Arc<dyn Store>) {
    let mut script = Script::new(seed);
    script.run(operations, &World::new(seed), &mut make_store);
    let numbers: usize = script.history.iter().map(Vec::len).sum();
    assert!(script.refusals > operations / 20 && script.changes > operations / 20);
    assert!(script.resets > 2 && script.half_swept > 2, "{} and {}", script.resets, script.half_swept);
    println!(
        "{name}: {numbers} operations, {} sent, {} refused, {} restarts, {} changes followed, {} resets, {} met half swept",
        script.repetitions,
        script.refusals,
        script.restarts,
        script.changes,
        script.resets,
        script.half_swept
    );
}

#[test]
fn a_model_agrees_over_memory() {
    check("memory", 1, count("BLAZEDB_ENGINE_OPERATIONS", 2_000), || Arc::new(Memory::new()));
}

#[test]
fn a_model_agrees_over_a_store_that_keeps_its_checkpoints() {
    let mut store = Checkpointed::new();
    check("checkpointed", 2, count("BLAZEDB_ENGINE_OPERATIONS", 5_000), || {
        store = store.crash();
        Arc::new(store.clone())
    });
}

#[test]
fn a_model_agrees_over_lsm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let settings = LsmSettings { memtable_bytes: 16 << 10, ..LsmSettings::default() };
    check("lsm", 3, count("BLAZEDB_ENGINE_OPERATIONS", 1_000), || {
        Arc::new(Lsm::open(&path, settings).unwrap())
    });
}
