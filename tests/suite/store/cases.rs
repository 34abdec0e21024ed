//! What every backend does with batches, ranges and snapshots.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use blazedb::store::keyspace::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use blazedb::store::{Batch, Direction, KeyRange, Misuse, Position, Snapshot, Store, StoreError};

use super::history::{apply_to, at, history};
use super::{Rows, maintain_fully, rows_of};
use crate::random::Random;

fn batch(seq: u64, puts: &[(&[u8], &[u8])]) -> Batch {
    let mut batch = Batch::new(at(seq));
    for (key, value) in puts {
        batch.put(*key, *value);
    }
    batch
}

fn get(snapshot: &dyn Snapshot, key: &[u8]) -> Option<Vec<u8>> {
    snapshot.get(key).unwrap().map(|value| value.to_vec())
}

pub(super) fn a_batch_is_visible_once_published(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    assert_eq!((store.applied(), store.checkpointed(), store.snapshot().position()), (at(0), at(0), at(0)));
    for seq in 1..=3 {
        store.apply(batch(seq, &[(b"\x10key", &[u8::try_from(seq).unwrap()])])).unwrap();
    }
    assert_eq!(get(&*store.snapshot(), b"\x10key"), None);
    assert_eq!(
        store.get(b"\x10key").unwrap().as_deref(),
        Some(&[3][..]),
        "the committer sees what it applied"
    );
    let refused = store.publish(at(1));
    assert!(matches!(refused, Err(StoreError::Misuse(Misuse::NotDurable { .. }))), "{refused:?}");
    store.set_durable(at(2));
    store.publish(at(1)).unwrap();
    let first = store.snapshot();
    store.publish(at(2)).unwrap();
    store.set_durable(at(9));
    store.publish(at(9)).unwrap();
    let last = store.snapshot();
    assert_eq!((first.position(), get(&*first, b"\x10key")), (at(1), Some(vec![1])));
    assert_eq!((last.position(), get(&*last, b"\x10key")), (at(3), Some(vec![3])));
}

pub(super) fn a_batch_in_the_wrong_place_or_of_wrong_lengths_leaves_nothing(
    open: &dyn Fn() -> Arc<dyn Store>,
) {
    let store = open();
    store.apply(batch(5, &[(b"\x10a", b"1")])).unwrap();
    for seq in [4, 5] {
        let refused = store.apply(batch(seq, &[(b"\x10b", b"1")]));
        assert!(matches!(refused, Err(StoreError::Misuse(Misuse::NotAbove { .. }))), "{refused:?}");
    }
    let (long_key, long_value) = (vec![1; MAX_KEY_BYTES + 1], vec![1; MAX_VALUE_BYTES + 1]);
    for (key, value) in [(&[][..], &[][..]), (&long_key, &[]), (b"\x10c", &long_value)] {
        let refused = store.apply(batch(6, &[(b"\x10b", b"1"), (key, value)]));
        assert!(matches!(refused, Err(StoreError::Misuse(_))), "{refused:?}");
    }
    store.apply(batch(6, &[(&long_key[1..], &long_value[1..])])).unwrap();
    store.apply(Batch::new(Position { epoch: 1, seq: 2 })).unwrap();
    let end = Position { epoch: 1, seq: 2 };
    store.set_durable(end);
    store.publish(end).unwrap();
    assert_eq!(get(&*store.snapshot(), b"\x10b"), None);
    assert_eq!(rows_of(&*store.snapshot(), Direction::Ascending).unwrap().len(), 2);
}

pub(super) fn ranges_have_the_bounds_asked_for(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    let keys = [b"\x10a", b"\x10b", b"\x10c", b"\x20a"];
    store.apply(batch(1, &keys.map(|key| (&key[..], &key[..])))).unwrap();
    store.set_durable(at(1));
    store.publish(at(1)).unwrap();
    let check = |range: KeyRange<'_>, expected: &[&[u8]]| {
        let found = |direction| {
            let rows = store.snapshot().range(range, direction);
            rows.map(|row| row.unwrap().0.to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(found(Direction::Ascending), expected, "{range:?}");
        assert_eq!(
            found(Direction::Descending),
            expected.iter().rev().copied().collect::<Vec<_>>(),
            "{range:?}"
        );
    };
    for _ in 0..2 {
        check((Included(b"\x10a"), Included(b"\x10b")), &[b"\x10a", b"\x10b"]);
        check((Excluded(b"\x10a"), Excluded(b"\x10c")), &[b"\x10b"]);
        check((Excluded(b"\x10a"), Unbounded), &[b"\x10b", b"\x10c", b"\x20a"]);
        check((Excluded(b"\x00"), Excluded(b"\x10b")), &[b"\x10a"]);
        check((Included(b"\x10b"), Included(b"\x10b")), &[b"\x10b"]);
        check((Included(b"\x10b"), Excluded(b"\x10b")), &[]);
        check((Excluded(b"\x10b"), Excluded(b"\x10b")), &[]);
        check((Included(b"\x20"), Included(b"\x10")), &[]);
        check((Included(b"\x21"), Unbounded), &[]);
        store.checkpoint().unwrap();
    }
}

pub(super) fn later_changes_of_a_batch_win(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    let mut batch = batch(1, &[(b"\x10a", b"1"), (b"\x10a", b"2"), (b"\x10b", b"1"), (b"\x20c", b"1")]);
    batch.delete(&b"\x10b"[..]);
    batch.delete_once(&b"\x20c"[..]);
    batch.put(&b"\x10d"[..], &b"1"[..]);
    batch.delete(&b"\x10d"[..]);
    batch.put(&b"\x10d"[..], &b"2"[..]);
    batch.delete(&b"\x10e"[..]);
    store.apply(batch).unwrap();
    store.set_durable(at(1));
    store.publish(at(1)).unwrap();
    let expected = Rows::from([(b"\x10a".to_vec(), b"2".to_vec()), (b"\x10d".to_vec(), b"2".to_vec())]);
    assert_eq!(rows_of(&*store.snapshot(), Direction::Ascending).unwrap(), expected);
    store.checkpoint().unwrap();
    assert_eq!(rows_of(&*store.snapshot(), Direction::Descending).unwrap(), expected);
}

/// Overwriting and deleting for long must not pile up versions once nobody can see them.
pub(super) fn what_nobody_sees_is_let_go(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    let value = [7; 1_000];
    for seq in 1..=500 {
        let mut batch = batch(seq, &[(b"\x10a", &value)]);
        batch.put(seq.to_be_bytes().map(|byte| byte | 0x10).to_vec(), &value[..]);
        batch.delete(seq.to_be_bytes().map(|byte| byte | 0x10).to_vec());
        store.apply(batch).unwrap();
        store.set_durable(at(seq));
        store.publish(at(seq)).unwrap();
        maintain_fully(&*store);
    }
    store.checkpoint().unwrap();
    maintain_fully(&*store);
    store.apply(batch(501, &[])).unwrap();
    let statistics = store.statistics();
    assert!(statistics.memory_bytes < 4_000, "{statistics:?}");
    assert!(statistics.disk_bytes < 10_000, "{statistics:?}");
    assert_eq!(statistics.snapshots, 1, "the published one");
    let held = store.snapshot();
    store.set_durable(at(501));
    store.publish(at(501)).unwrap();
    assert_eq!(store.statistics().snapshots, 2);
    drop(held);
    assert_eq!(store.statistics().snapshots, 1);
}

/// Random batches, published late, with maintenance in between; snapshots are kept and must not change.
pub(super) fn random_batches_agree_with_a_map(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    let mut random = Random(42);
    let mut rows = Rows::new();
    let mut unpublished = Vec::new();
    let mut held: Vec<(Arc<dyn Snapshot>, Rows)> = Vec::new();
    for batch in history(7, 800) {
        apply_to(&mut rows, &batch);
        unpublished.push((batch.position(), rows.clone()));
        store.apply(batch).unwrap();
        if random.index(3) == 0 {
            let (position, rows) = unpublished.swap_remove(random.index(unpublished.len()));
            unpublished.retain(|(other, _)| *other > position);
            store.set_durable(position);
            store.publish(position).unwrap();
            assert_eq!(store.snapshot().position(), position);
            compare(&*store.snapshot(), &rows, &mut random);
            held.push((store.snapshot(), rows));
        }
        match random.index(12) {
            0 => drop(store.checkpoint().unwrap()),
            1 => maintain_fully(&*store),
            2 if !held.is_empty() => {
                let (snapshot, rows) = held.swap_remove(random.index(held.len()));
                compare(&*snapshot, &rows, &mut random);
            }
            _ => {}
        }
        assert!(
            store.checkpointed() <= store.snapshot().position(),
            "nothing above the durable position is flushed"
        );
    }
    assert!(held.len() > 50, "snapshots were held");
    for (snapshot, rows) in &held {
        compare(&**snapshot, rows, &mut random);
    }
}

fn compare(snapshot: &dyn Snapshot, rows: &Rows, random: &mut Random) {
    for direction in [Direction::Ascending, Direction::Descending] {
        assert_eq!(rows_of(snapshot, direction).unwrap(), *rows);
    }
    let Some((from, value)) = rows.iter().nth(random.index(rows.len().max(1))) else { return };
    assert_eq!(get(snapshot, from).as_ref(), Some(value));
    let absent = [from.as_slice(), b"\x01"].concat();
    assert_eq!(get(snapshot, &absent), None);
    let to = rows.keys().nth(random.index(rows.len())).unwrap();
    let range = (Excluded(&from[..]), Included(&to[..]));
    let found = snapshot.range(range, Direction::Descending).map(|row| row.unwrap().0.to_vec());
    let expected = rows.keys().rev().filter(|key| *key > from && *key <= to).cloned();
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

/// Late rows are read apart from the others, with what is applied, and are there after whatever the store wrote out.
pub(super) fn late_rows_come_and_go(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    let key = |number: u8| [&b"\x03node"[..], &[number]].concat();
    let all = (Included(&b"\x03"[..]), Excluded(&b"\x04"[..]));
    let late = |number| store.late(&key(number)).unwrap().map(|value| value.to_vec());
    let last = || store.last_late(all).unwrap().map(|(key, _)| key.to_vec());
    let publish = |seq| {
        store.set_durable(at(seq));
        store.publish(at(seq)).unwrap();
    };
    assert_eq!((late(1), last()), (None, None));
    for number in 1..=40_u8 {
        let mut batch = batch(u64::from(number), &[(b"\x10row", &[number])]);
        batch.put_late(key(number), &[number][..]);
        // Put anew each time, never removed.
        batch.put_late(&b"\x01progress"[..], &[number][..]);
        if number > 3 {
            batch.delete_once_late(key(number - 3));
        }
        store.apply(batch).unwrap();
        assert_eq!(late(number), Some(vec![number]), "applied, not published");
        publish(u64::from(number));
        assert_eq!(store.late(b"\x01progress").unwrap().as_deref(), Some(&[number][..]));
        assert_eq!(last(), Some(key(number)));
        assert_eq!(late(number.saturating_sub(3)), None, "after {number}");
        assert_eq!(late(number.saturating_sub(2).max(1)), Some(vec![number.saturating_sub(2).max(1)]));
        if number % 7 == 0 {
            store.checkpoint().unwrap();
        }
        if number % 20 == 0 {
            maintain_fully(&*store);
        }
    }
    let mut batch = batch(41, &[]);
    for number in 38..=40 {
        batch.delete_once_late(key(number));
    }
    store.apply(batch).unwrap();
    publish(41);
    assert_eq!((last(), late(40)), (None, None));
    store.checkpoint().unwrap();
    assert_eq!((last(), late(40)), (None, None));
    let expected = Rows::from([(b"\x01progress".to_vec(), vec![40]), (b"\x10row".to_vec(), vec![40])]);
    let mut rows = rows_of(&*store.snapshot(), Direction::Ascending).unwrap();
    rows.retain(|key, _| key != b"\x00");
    assert_eq!(rows, expected, "nothing comes back");
}
