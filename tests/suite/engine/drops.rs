//! Dropping collections, rule by rule: one effect at the decision, rows that go later, and nobody who sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use blazedb::blazebinary::Value;
use blazedb::engine::{Database, EngineError, Id, Range, Verdict};
use blazedb::log::simfs::SimFs;
use blazedb::store::keyspace::Span;
use blazedb::store::{Direction, Key, Lsm, LsmSettings, Memory, Store};
use blazedb::wire::Position;

use super::kit::{Checkpointed, Kind, Op, World, id, open, record, run, submit};

const NODE: Id = [1; 16];
const SEGMENT_BYTES: u32 = 4 << 20;
const APPLIED: Verdict = Verdict::Applied { unchanged: 0 };

fn op(collection: &'static str, kind: Kind) -> Op {
    Op { collection, base: None, kind }
}

fn put(collection: &'static str, number: u64) -> Op {
    op(collection, Kind::Upsert(record(id(number), &[("n", Value::Int(number.cast_signed()))]), false))
}

fn drop_of(collection: &'static str) -> Op {
    op(collection, Kind::Drop)
}

fn fill(database: &Database, number: u64, collection: &'static str, rows: u64) {
    let ops: Vec<Op> = (0..rows).map(|row| put(collection, row)).collect();
    assert_eq!(run(database, NODE, number, &ops).unwrap().verdict, APPLIED);
}

/// How many records a collection has, and its number.
fn count(database: &Database, name: &str) -> (u64, u32) {
    let all = database.reader().statistics().unwrap();
    let found = all.iter().find(|collection| &*collection.name == name);
    found.map_or((0, 0), |collection| (collection.summary.live, collection.number))
}

fn sweep(database: &Database) {
    while database.is_sweeping() {
        assert!(database.maintain().unwrap());
    }
}

/// The collections that any row of the store is of.
fn collections_of(store: &dyn Store) -> BTreeSet<u32> {
    let snapshot = store.snapshot();
    let rows = snapshot.range(Span::all_records().bounds(), Direction::Ascending);
    rows.map(|row| match Key::decode(&row.unwrap().0).unwrap() {
        Key::Record(collection, _) => collection.number(),
        other => panic!("{other:?} among the records"),
    })
    .collect()
}

fn is_sound(database: &Database) {
    assert_eq!(database.verify().unwrap().findings, Vec::<String>::new());
}

#[test]
fn a_drop_is_one_effect_whatever_the_collection_holds() {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let store = Arc::new(Memory::new());
    let (database, _) = open(Arc::new(fs.clone()), store.clone(), &world, SEGMENT_BYTES).unwrap();
    fill(&database, 1, "people", 500);
    fill(&database, 2, "orders", 3);
    let before = database.position().seq;
    let outcome = run(&database, NODE, 3, &[drop_of("people")]).unwrap();
    assert_eq!((outcome.verdict, outcome.sequence), (APPLIED, before + 1));
    assert_eq!(run(&database, NODE, 3, &[drop_of("people")]), Ok(outcome), "exactly once");
    assert!(matches!(database.reader().collection("people"), Err(EngineError::UnknownCollection(_))));
    // What is not there is no change and no error.
    let again = run(&database, NODE, 4, &[drop_of("people")]).unwrap();
    assert_eq!((again.verdict, again.sequence), (Verdict::Applied { unchanged: 1 }, before + 1));
    // A new collection of the name has a new number and nothing of the old one.
    fill(&database, 5, "people", 1);
    assert_eq!((count(&database, "people"), count(&database, "orders")), ((1, 3), (3, 2)));
    is_sound(&database);
    assert_eq!(collections_of(&*store), [1, 2, 3].into());
    sweep(&database);
    assert_eq!(collections_of(&*store), [2, 3].into());
    is_sound(&database);
}

#[test]
fn within_a_transaction_each_item_sees_what_was_dropped_before_it() {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let (database, _) = open(Arc::new(fs), Arc::new(Memory::new()), &world, SEGMENT_BYTES).unwrap();
    fill(&database, 1, "people", 2);
    // All of it is replaced at once: nobody sees the collection empty.
    let insert = op("people", Kind::Insert(record(id(0), &[])));
    let replaced = [put("people", 7), drop_of("people"), drop_of("people"), insert, drop_of("orders")];
    let ticket = submit(&database, NODE, 2, &replaced).unwrap();
    assert_eq!(ticket.outcome.verdict, Verdict::Applied { unchanged: 2 });
    // Decided upon it before it is published.
    let next = submit(&database, NODE, 3, &[op("people", Kind::Delete(id(1))), put("people", 5)]).unwrap();
    assert_eq!(count(&database, "people"), (2, 1), "as it was");
    database.wait(&ticket).unwrap();
    assert_eq!(database.wait(&next).unwrap().verdict, Verdict::Applied { unchanged: 1 });
    assert_eq!(count(&database, "people"), (2, 2));
    // One that fails later takes the drop back.
    let failing =
        [drop_of("people"), op("people", Kind::Patch(id(0), vec![], record(id(0), &[]))), put("x", 1)];
    assert!(matches!(run(&database, NODE, 4, &failing).unwrap().verdict, Verdict::Refused(_)));
    assert_eq!(count(&database, "people"), (2, 2));
    // Created and dropped at once: a number is used up.
    run(&database, NODE, 5, &[put("brief", 1), drop_of("brief")]).unwrap();
    fill(&database, 6, "last", 1);
    assert_eq!((count(&database, "brief"), count(&database, "last")), ((0, 0), (1, 4)));
    sweep(&database);
    is_sound(&database);
}

#[test]
fn who_reads_on_sees_what_was_there_and_who_comes_back_is_told() {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let (database, _) = open(Arc::new(fs), Arc::new(Memory::new()), &world, SEGMENT_BYTES).unwrap();
    fill(&database, 1, "people", 30);
    fill(&database, 2, "orders", 3);
    let (reader, before) = (database.reader(), database.position());
    run(&database, NODE, 3, &[drop_of("people")]).unwrap();
    let dropped = database.position();
    fill(&database, 4, "people", 2);
    sweep(&database);
    let mut scan = reader.scan(reader.collection("people").unwrap(), Range::default());
    assert_eq!(scan.next_chunk(&database).unwrap().len(), 30);
    let latest = |position, name: Option<&str>| {
        let collection = name.map(|name| database.reader().collection(name).unwrap());
        let mut changes = database.latest_changes(position, collection)?;
        Ok(std::iter::from_fn(|| {
            Some(changes.next_chunk(&database).unwrap()).filter(|chunk| !chunk.is_empty())
        })
        .map(|chunk| chunk.len())
        .sum::<usize>())
    };
    let expired = Err(EngineError::PositionExpired { oldest: dropped });
    for (position, name, expected) in [
        (before, Some("people"), expired.clone()),
        (before, None, expired),
        (before, Some("orders"), Ok(0)),
        (dropped, Some("people"), Ok(2)),
        (dropped, None, Ok(2)),
        // Who holds nothing has nothing to forget.
        (Position::default(), Some("people"), Ok(2)),
        (Position::default(), None, Ok(5)),
    ] {
        assert_eq!(latest(position, name), expected, "{name:?} after {position}");
    }
}

/// Begins sweeping, crashes, and goes on, over a store that a crash takes back to its checkpoint.
fn crash_half_way(mut reopen: impl FnMut() -> Arc<dyn Store>) {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let mut open = || open(Arc::new(fs.clone()), reopen(), &world, SEGMENT_BYTES).unwrap().0;
    let database = open();
    fill(&database, 1, "people", 40);
    fill(&database, 2, "people", 20);
    database.checkpoint().unwrap();
    run(&database, NODE, 3, &[drop_of("people")]).unwrap();
    for _ in 0..3 {
        assert!(database.maintain().unwrap());
    }
    database.checkpoint().unwrap();
    let mut turns = 0;
    let mut database = database;
    while database.is_sweeping() {
        is_sound(&database);
        assert_eq!(count(&database, "people"), (0, 0));
        database.maintain().unwrap();
        if turns % 2 == 0 {
            // Without a change nothing of the sweep needs to be on disk.
            drop(database);
            database = open();
        } else {
            fill(&database, 4 + turns / 2, "orders", 1);
            database.checkpoint().unwrap();
        }
        turns += 1;
        assert!(turns < 100, "the sweep does not get on");
    }
    assert!(turns >= 5, "{turns} turns");
    is_sound(&database);
    // The number is not given again, even where no row names it any more.
    drop(database);
    let database = open();
    fill(&database, 4 + turns / 2, "people", 1);
    assert_eq!(count(&database, "people"), (1, 3));
    is_sound(&database);
}

#[test]
fn a_crash_in_the_middle_of_a_sweep_goes_on_over_a_store_of_checkpoints() {
    let mut store = Checkpointed::new();
    crash_half_way(|| {
        store = store.crash();
        Arc::new(store.clone())
    });
}

#[test]
fn a_crash_in_the_middle_of_a_sweep_goes_on_over_lsm() {
    let directory = tempfile::tempdir().unwrap();
    let settings = LsmSettings { memtable_bytes: 2 << 10, ..LsmSettings::default() };
    crash_half_way(|| Arc::new(Lsm::open(&directory.path().join("store"), settings).unwrap()));
}

#[test]
fn over_memory_a_restart_replays_the_drop() {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let open = || open(Arc::new(fs.clone()), Arc::new(Memory::new()), &world, SEGMENT_BYTES).unwrap().0;
    let database = open();
    fill(&database, 1, "people", 40);
    run(&database, NODE, 2, &[drop_of("people"), put("people", 1)]).unwrap();
    sweep(&database);
    let position = database.position();
    drop(database);
    let database = open();
    assert!(database.is_sweeping());
    assert_eq!((count(&database, "people"), database.position()), ((1, 2), position));
    sweep(&database);
    is_sound(&database);
}
