//! Histories of batches from a seed: what a log would hold, to be applied, replayed and compared.

use blazedb::store::{Batch, Change, CollectionId, Fold, Image, Key, Memory, Position, Store};

use super::{Rows, maintain_fully};
use crate::random::Random;

pub(super) fn at(seq: u64) -> Position {
    Position { epoch: 0, seq }
}

pub(super) fn collection(number: usize) -> CollectionId {
    CollectionId::new(u32::try_from(number).unwrap()).unwrap()
}

/// Puts, overwrites and deletions of a hundred records in three collections, one to eight a batch, with rows of the
/// ledger and the catalogue among them; half of the records do not compress.
pub(super) fn history(seed: u64, batches: usize) -> Vec<Batch> {
    let mut random = Random(seed);
    let store = Memory::new();
    let mut seq = 0;
    (0..batches)
        .map(|number| {
            let effects = 1 + random.index(8);
            let mut fold = Fold::new(&store, at(seq + effects as u64));
            for _ in 0..effects {
                seq += 1;
                change_a_record(&mut fold, seq, &mut random);
            }
            let operation = |number| Key::Operation { node: 1, number }.encode();
            fold.batch().put(operation(number as u64), seq.to_be_bytes().to_vec());
            if number >= 20 {
                fold.batch().delete_once(operation(number as u64 - 20));
            }
            if random.index(10) == 0 {
                let key =
                    Key::Catalogue { kind: 1, number: u32::try_from(random.index(5)).unwrap() }.encode();
                if random.index(3) == 0 {
                    fold.batch().delete(key)
                } else {
                    fold.batch().put(key, random.bytes(30))
                }
            }
            let batch = fold.finish();
            store.apply(batch.clone()).unwrap();
            batch
        })
        .collect()
}

fn change_a_record(fold: &mut Fold<'_>, seq: u64, random: &mut Random) {
    let mut id = [0; 16];
    id[15] = u8::try_from(random.index(100)).unwrap();
    let length = random.index(300);
    let record = if random.index(2) == 0 { vec![b'x'; length] } else { random.bytes(length) };
    let record = (random.index(5) > 0).then(|| (&record[..], crc32fast::hash(&record)));
    let envelope = random.bytes(12);
    fold.record(seq, collection(random.index(3)), id, Image { envelope: &envelope, record }).unwrap();
}

/// Applies a batch to a plain map, which is the model of a store.
pub(super) fn apply_to(rows: &mut Rows, batch: &Batch) {
    for change in batch.changes() {
        match change {
            Change::Put(key, value) | Change::PutLate(key, value) => {
                rows.insert(key.to_vec(), value.to_vec());
            }
            Change::Delete(key) | Change::DeleteOnce(key) | Change::DeleteOnceLate(key) => {
                rows.remove(&**key);
            }
        }
    }
}

/// The rows after every batch at or below `position`.
pub(super) fn rows_at(history: &[Batch], position: Position) -> Rows {
    let mut rows = Rows::new();
    for batch in history.iter().take_while(|batch| batch.position() <= position) {
        apply_to(&mut rows, batch);
    }
    rows
}

/// Applies what `store` does not have yet, as a replay of the log does, and publishes all.
pub(super) fn replay(store: &dyn Store, history: &[Batch]) {
    let applied = store.applied();
    for batch in history.iter().filter(|batch| batch.position() > applied) {
        store.apply(batch.clone()).unwrap();
    }
    let end = history.last().map(Batch::position).unwrap_or_default();
    store.set_durable(end);
    store.publish(end).unwrap();
}

/// Replays with a checkpoint after every sixty batches, and merges all but the last few tables.
pub(super) fn replay_in_parts(store: &dyn Store, history: &[Batch]) {
    for end in (60..history.len()).step_by(60) {
        replay(store, &history[..end]);
        store.checkpoint().unwrap();
        if end + 120 < history.len() {
            maintain_fully(store);
        }
    }
    replay(store, history);
    store.checkpoint().unwrap();
}
