//! What a store on disk stands at when it is opened again.

use blazedb::store::{Batch, Direction, Lsm, Maintained, Store, StoreError};

use super::history::{at, history, replay, replay_in_parts, rows_at};
use super::{SMALL, maintain_fully, rows_of};

#[test]
fn after_a_checkpoint_everything_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(11, 500);
    let end = history.last().unwrap().position();
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    replay_in_parts(&store, &history);
    assert_eq!(store.checkpointed(), end);
    store.check().unwrap();
    drop(store);
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    assert_eq!((store.applied(), store.checkpointed(), store.snapshot().position()), (end, end, end));
    assert_eq!(rows_of(&*store.snapshot(), Direction::Ascending).unwrap(), rows_at(&history, end));
    maintain_fully(&store);
    store.check().unwrap();
    assert_eq!(rows_of(&*store.snapshot(), Direction::Descending).unwrap(), rows_at(&history, end));
}

#[test]
fn without_a_checkpoint_it_stands_at_the_last_one_and_a_replay_brings_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(12, 500);
    let (first, rest) = history.split_at(200);
    let middle = first.last().unwrap().position();
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    replay(&store, first);
    store.checkpoint().unwrap();
    replay(&store, &history);
    assert!(store.applied() > middle && !rest.is_empty());
    drop(store);
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    assert_eq!(store.applied(), middle);
    assert_eq!(rows_of(&*store.snapshot(), Direction::Ascending).unwrap(), rows_at(&history, middle));
    replay(&store, &history);
    let end = history.last().unwrap().position();
    assert_eq!(rows_of(&*store.snapshot(), Direction::Ascending).unwrap(), rows_at(&history, end));
}

#[test]
fn nothing_above_the_durable_position_reaches_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(13, 500);
    let durable = history[300].position();
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    for batch in &history {
        store.apply(batch.clone()).unwrap();
        store.set_durable(batch.position().min(durable));
        maintain_fully(&store);
    }
    assert!(store.checkpointed() <= durable && store.checkpointed() > at(0));
    assert!(store.checkpoint().unwrap() <= durable);
    drop(store);
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    assert!(store.applied() <= durable && store.applied() > at(0));
    assert_eq!(
        rows_of(&*store.snapshot(), Direction::Ascending).unwrap(),
        rows_at(&history, store.applied())
    );
}

#[test]
fn once_the_log_catches_up_a_waiting_checkpoint_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    let mut batch = Batch::new(at(3));
    batch.put(&b"\x10a"[..], &b"1"[..]);
    store.apply(batch).unwrap();
    store.set_durable(at(2));
    assert_eq!(store.checkpoint().unwrap(), at(0));
    assert_eq!(store.maintain().unwrap(), Maintained::Idle);
    store.set_durable(at(3));
    assert_eq!(store.maintain().unwrap(), Maintained::Worked);
    assert_eq!(store.checkpointed(), at(3));
}

#[test]
fn a_missing_or_cut_file_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    replay_in_parts(&store, &history(14, 300));
    drop(store);
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path().join("tables")).unwrap().map(|e| e.unwrap().path()).collect();
    files.extend(
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).filter(|path| path.is_file()),
    );
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert!(
            matches!(Lsm::open(folder.path(), SMALL), Err(StoreError::Corrupt(_))),
            "cut {}",
            file.display()
        );
        std::fs::remove_file(&file).unwrap();
        assert!(
            matches!(Lsm::open(folder.path(), SMALL), Err(StoreError::Corrupt(_))),
            "no {}",
            file.display()
        );
        std::fs::write(&file, &bytes).unwrap();
    }
    Lsm::open(folder.path(), SMALL).unwrap().check().unwrap();
}
