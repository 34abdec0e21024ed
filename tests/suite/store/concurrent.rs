//! Snapshots under a writer, a flusher and a compactor at full speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use blazedb::store::keyspace::Span;
use blazedb::store::{Batch, Direction, Key, Maintained, Pressure, Snapshot, Store};

use super::count_from_env;
use super::history::{at, collection};

/// Rows that every batch sets to its own sequence.
const ROWS: u8 = 8;
/// How often the flusher makes a checkpoint, which some backends have nothing else of.
const TURNS_TO_A_CHECKPOINT: u64 = 64;

fn record(number: u8) -> Key {
    Key::Record(collection(1), [number; 16])
}

fn batch(seq: u64) -> Batch {
    let mut batch = Batch::new(at(seq));
    for number in 0..ROWS {
        batch.put(record(number).encode(), seq.to_be_bytes().to_vec());
    }
    if seq > 1 {
        batch.delete_once(Key::BySeq(seq - 1).encode());
    }
    batch.put(Key::BySeq(seq).encode(), [7; 100].to_vec());
    batch
}

/// Whether the snapshot shows anything but exactly the batch that it says it stands at.
fn is_torn(snapshot: &dyn Snapshot, number: usize) -> bool {
    let seq = snapshot.position().seq;
    let expected = seq.to_be_bytes();
    let span = Span::all_records();
    let direction = if number.is_multiple_of(2) { Direction::Ascending } else { Direction::Descending };
    let rows: Vec<_> = snapshot.range(span.bounds(), direction).map(Result::unwrap).collect();
    let changes = Span::changes_after(0);
    let changes: Vec<_> = snapshot.range(changes.bounds(), direction).map(|row| row.unwrap().0).collect();
    let one = snapshot.get(&record(ROWS - 1).encode()).unwrap();
    rows.len() != usize::from(ROWS)
        || rows.iter().any(|(_, value)| **value != expected)
        || changes.iter().map(|key| &**key).ne([&*Key::BySeq(seq).encode()])
        || one.as_deref() != Some(&expected[..])
}

pub(super) fn no_snapshot_is_torn(open: &dyn Fn() -> Arc<dyn Store>) {
    let wanted = count_from_env("BLAZEDB_STORE_READS", 20_000);
    let store = open();
    let stop = AtomicBool::new(false);
    let read = AtomicUsize::new(0);
    store.apply(batch(1)).unwrap();
    store.set_durable(at(1));
    store.publish(at(1)).unwrap();
    let (mut flushes, mut torn) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut seq = 1;
            while !stop.load(Ordering::Relaxed) {
                // Two batches under way, as when one is being synced while the next is folded.
                store.apply(batch(seq + 1)).unwrap();
                store.set_durable(at(seq));
                store.publish(at(seq)).unwrap();
                seq += 1;
                while store.pressure() == Pressure::Stalled && !stop.load(Ordering::Relaxed) {
                    store.set_durable(at(seq));
                    thread::yield_now();
                }
            }
        });
        let flusher = scope.spawn(|| {
            let mut worked = 0;
            for turn in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                worked += usize::from(store.maintain().unwrap() == Maintained::Worked);
                if turn.is_multiple_of(TURNS_TO_A_CHECKPOINT) {
                    store.checkpoint().unwrap();
                }
                thread::yield_now();
            }
            worked
        });
        let readers = [0, 1].map(|_| {
            scope.spawn(|| {
                let mut torn = 0;
                loop {
                    let number = read.fetch_add(1, Ordering::Relaxed);
                    if number >= wanted {
                        stop.store(true, Ordering::Relaxed);
                        return torn;
                    }
                    torn += usize::from(is_torn(&*store.snapshot(), number));
                }
            })
        });
        torn = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        flushes = flusher.join().unwrap();
    });
    let batches = store.applied().seq;
    println!(
        "{wanted} snapshots read under {batches} batches, {flushes} flushes and compactions, {torn} torn"
    );
    assert_eq!(torn, 0);
    drop(store);
    assert!(is_torn(&*unpublished_mixture(open), 0), "the detector can fail");
}

/// A snapshot of half a batch, which no store should give: the other half is left out by hand.
fn unpublished_mixture(open: &dyn Fn() -> Arc<dyn Store>) -> Arc<dyn Snapshot> {
    let store = open();
    let seq = store.applied().seq + 1;
    let mut half = Batch::new(at(seq));
    half.put(record(0).encode(), seq.to_be_bytes().to_vec());
    store.apply(half).unwrap();
    store.set_durable(at(seq));
    store.publish(at(seq)).unwrap();
    store.snapshot()
}
