//! Many threads at once: every operation exactly once, snapshots of whole transactions alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use blazedb::blazebinary::{RecordView, Value, ValueView};
use blazedb::engine::{DecidedEffect, Range, Verdict};
use blazedb::log::simfs::SimFs;
use blazedb::store::{Memory, Store};
use blazedb::wire::Position;

use super::kit::{Kind, Op, World, count, id, open, record, run};

const THREADS: u64 = 16;
const PAIR: [u64; 2] = [1, 2];

/// Both records of a pair say the same in every state that may be seen.
fn pair(value: i64) -> Vec<Op> {
    let op = |number| {
        let kind = Kind::Upsert(record(id(number), &[("value", Value::Int(value))]), false);
        Op { collection: "pairs", base: None, kind }
    };
    PAIR.map(op).to_vec()
}

#[test]
fn sixteen_threads_write_and_readers_see_whole_transactions() {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let (database, _) = open(Arc::new(fs.clone()), store, &world, 1 << 20).unwrap();
    let database = Arc::new(database);
    let operations = count("BLAZEDB_ENGINE_PER_THREAD", 200);
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let reader = database.reader();
                let Ok(collection) = reader.collection("pairs") else { continue };
                let [a, b] = PAIR.map(|number| reader.get(collection, &id(number)).unwrap().unwrap());
                let value = |bytes: &[u8]| match RecordView::canonical(bytes).unwrap().get("value") {
                    Some(ValueView::Int(value)) => value,
                    other => panic!("{other:?}"),
                };
                assert_eq!(value(a.bytes().unwrap()), value(b.bytes().unwrap()));
                assert!(a.sequence.abs_diff(b.sequence) == 1 && reader.position().seq >= b.sequence);
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let database = database.clone();
                scope.spawn(move || {
                    for number in 1..=operations {
                        let ops = pair((thread * operations + number).cast_signed());
                        let first = run(&database, [thread as u8; 16], number, &ops).unwrap();
                        assert_eq!(first.verdict, Verdict::Applied { unchanged: 0 });
                        let position = database.position().seq;
                        assert!(position >= first.sequence, "published before it was acknowledged");
                        assert_eq!(run(&database, [thread as u8; 16], number, &ops), Ok(first));
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    let mut changes = database.all_changes(Position::default()).unwrap();
    let (mut transactions, mut values, mut next) = (0, BTreeSet::new(), 1);
    while let Some(decision) = changes.next(&database).unwrap() {
        assert_eq!(decision.first_sequence, next);
        next = decision.last_sequence() + 1;
        transactions += 1;
        values.extend(decision.effects.iter().filter_map(|effect| match effect {
            DecidedEffect::Write(write) => Some(write.new.bytes().unwrap().to_vec()),
            _ => None,
        }));
    }
    assert_eq!((transactions, values.len() as u64), (THREADS * operations, 2 * THREADS * operations));
    println!(
        "{transactions} transactions of {THREADS} threads, {} snapshots read",
        seen.load(Ordering::Relaxed)
    );
}

/// A scan goes on in what it began to see, and ends when that grows too old.
#[test]
fn a_scan_sees_one_state_until_it_is_too_old() {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let (database, _) = open(Arc::new(fs), Arc::new(Memory::new()), &world, 4 << 20).unwrap();
    let insert = |number| {
        let kind = Kind::Insert(record(id(number), &[("name", "n".into())]));
        Op { collection: "people", base: None, kind }
    };
    let many: Vec<Op> = (0..2_500).map(insert).collect();
    run(&database, [1; 16], 1, &many).unwrap();
    let reader = database.reader();
    let collection = reader.collection("people").unwrap();
    let range = Range { is_reverse: true, limit: 2_000, ..Range::default() };
    let mut scan = reader.scan(collection, range);
    let mut found: Vec<_> = scan.next_chunk(&database).unwrap().into_iter().map(|(id, _)| id).collect();
    assert!(found.len() < 2_000, "a chunk is bounded");
    let gone: Vec<Op> = (0..2_500)
        .map(|number| Op { collection: "people", base: None, kind: Kind::Delete(id(number)) })
        .collect();
    run(&database, [1; 16], 2, &gone).unwrap();
    found.extend(scan.next_chunk(&database).unwrap().into_iter().map(|(id, _)| id));
    assert_eq!(found, (500..2_500).rev().map(id).collect::<Vec<_>>());
    assert!(scan.next_chunk(&database).unwrap().is_empty());
    let mut late = reader.scan(collection, Range::default());
    world.pass(std::time::Duration::from_secs(61));
    assert_eq!(late.next_chunk(&database), Err(blazedb::engine::EngineError::SnapshotExpired));
    let now = database.reader();
    let mut empty = now.scan(collection, Range::default());
    assert!(empty.next_chunk(&database).unwrap().is_empty(), "deletions are no rows");
    // A step looks at 1,024 rows, deletions or not.
    let mut in_steps = now.scan(collection, Range::default());
    let steps: Vec<(usize, bool)> =
        (0..3).map(|_| (in_steps.step(&database, usize::MAX).unwrap().len(), in_steps.is_done())).collect();
    assert_eq!(steps, [(0, false), (0, false), (0, true)]);
    assert_eq!(now.statistics().unwrap()[0].summary.tombstones, 2_500);
}
