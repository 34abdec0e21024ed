//! `verify`, and the checksums that travel from writer to reader whatever the backend does.

use std::sync::Arc;

use blazedb::store::{
    Batch, Bytes, ChangeKind, ChangeRow, Direction, Key, KeyRange, Position, RecordRow, Rows, Snapshot,
    Store, StoreError, Summary, verify,
};

use super::history::{at, collection, history, replay};
use crate::random::Random;

pub(super) fn a_folded_history_verifies(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    let history = history(3, 300);
    replay(&*store, &history);
    let report = verify(&*store.snapshot()).unwrap();
    assert_eq!(report.findings, [""; 0]);
    let rows: u64 = report.collections.values().map(|summary| summary.live + summary.tombstones).sum();
    assert_eq!(report.changes, rows, "a change for every record and tombstone, and no other");
    assert!(report.collections.values().all(|summary| summary.live > 0 && summary.tombstones > 0));
}

/// Each way in which rows can contradict one another, made by a batch that the fold would not write.
pub(super) fn whatever_is_wrong_is_found(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    replay(&*store, &history(3, 300));
    let key = |number| Key::Record(collection(1), [number; 16]).encode();
    let row =
        |number, seq| RecordRow::encode(&key(number), seq, b"", Some((b"r", crc32fast::hash(b"r")))).unwrap();
    let change = ChangeRow { kind: ChangeKind::Put, collection: collection(1), id: [201; 16] };
    type Tamper<'a> = &'a dyn Fn(&mut Batch);
    let tampers: [(&str, Tamper<'_>); 6] = [
        ("a record without its change, not counted", &|batch| batch.put(key(200), row(200, 1 << 40))),
        ("a change without its record", &|batch| {
            batch.put(Key::BySeq(1 << 41).encode(), change.encode(1 << 41))
        }),
        ("a record under another id", &|batch| batch.put(key(202), row(200, 1 << 42))),
        ("a key of no known space", &|batch| batch.put(&b"\x10short"[..], &b""[..])),
        ("a wrong count", &|batch| {
            let summary = Summary { live: 1, ..Default::default() };
            batch.put(Key::Summary(collection(9)).encode(), summary.encode(collection(9)));
        }),
        ("no summary at all", &|batch| batch.delete(Key::Summary(collection(2)).encode())),
    ];
    let mut wrong = verify(&*store.snapshot()).unwrap().wrong;
    assert_eq!(wrong, 0);
    for (what, tamper) in tampers {
        let mut batch = Batch::new(at(store.applied().seq + 1));
        tamper(&mut batch);
        let position = batch.position();
        store.apply(batch).unwrap();
        store.set_durable(position);
        store.publish(position).unwrap();
        let report = verify(&*store.snapshot()).unwrap();
        assert!(report.wrong > wrong, "{what} is not found: {:?}", report.findings);
        wrong = report.wrong;
    }
}

/// Gives the rows of another snapshot with one bit of one value flipped.
struct Lying {
    truth: Arc<dyn Snapshot>,
    key: Bytes,
    bit: usize,
}

impl Lying {
    fn lie(key: &[u8], value: Bytes, about: &Bytes, bit: usize) -> Bytes {
        if key != &**about {
            return value;
        }
        let mut value = value.to_vec();
        value[bit / 8] ^= 1 << (bit % 8);
        value.into()
    }
}

impl Snapshot for Lying {
    fn position(&self) -> Position {
        self.truth.position()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.truth.get(key)?.map(|value| Self::lie(key, value, &self.key, self.bit)))
    }

    fn range(&self, range: KeyRange<'_>, direction: Direction) -> Rows {
        let (about, bit) = (self.key.clone(), self.bit);
        let rows = self.truth.range(range, direction);
        Box::new(rows.map(move |row| {
            row.map(|(key, value)| {
                let value = Self::lie(&key, value, &about, bit);
                (key, value)
            })
        }))
    }
}

pub(super) fn a_lying_backend_is_found_out(open: &dyn Fn() -> Arc<dyn Store>) {
    let store = open();
    replay(&*store, &history(3, 40));
    let truth = store.snapshot();
    let everything = (std::ops::Bound::Included(&[2][..]), std::ops::Bound::Unbounded);
    let rows: Vec<_> = truth.range(everything, Direction::Ascending).map(Result::unwrap).collect();
    let mut random = Random(5);
    for _ in 0..200 {
        let (key, value) = &rows[random.index(rows.len())];
        if matches!(Key::decode(key).unwrap(), Key::Operation { .. }) {
            continue; // What stands in the ledger is the engine's.
        }
        let bit = random.index(value.len() * 8);
        let lying = Lying { truth: Arc::clone(&truth), key: key.clone(), bit };
        assert!(verify(&lying).unwrap().wrong > 0, "bit {bit} of {key:?}");
    }
}
