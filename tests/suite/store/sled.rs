//! What only `sled` must survive: its directory counts if it was closed cleanly, else it is rebuilt.

use std::fs;
use std::path::{Path, PathBuf};

use blazedb::store::{Batch, Direction, Position, Store, StoreError, verify};

use super::flips::{Place, copy, files};
use super::history::{at, history, replay, rows_at};
use super::{Rows, count_from_env, open_sled, rows_of};
use crate::random::Random;

const NOT_CLOSED: Option<&str> = Some("it was not closed");

fn rows(store: &dyn Store) -> Rows {
    rows_of(&*store.snapshot(), Direction::Ascending).unwrap()
}

/// A store of a history of so many batches, closed; and its rows.
fn closed(path: &Path, seed: u64, batches: usize) -> (Vec<Batch>, Rows) {
    let history = history(seed, batches);
    let store = open_sled(path);
    replay(&store, &history);
    assert_eq!(store.checkpoint().unwrap(), Position::START, "the log is needed as before");
    let rows = rows_at(&history, history.last().unwrap().position());
    (history, rows)
}

#[test]
fn what_was_closed_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (history, expected) = closed(folder.path(), 11, 300);
    let end = history.last().unwrap().position();
    for _ in 0..2 {
        let store = open_sled(folder.path());
        assert_eq!((store.discarded(), store.applied(), store.checkpointed()), (None, end, Position::START));
        assert_eq!(rows(&store), expected);
        store.check().unwrap();
        assert_eq!(verify(&*store.snapshot()).unwrap().findings, [""; 0]);
        store.checkpoint().unwrap();
        store.checkpoint().unwrap();
    }
}

/// What a kill, a power cut or a drop leaves is thrown away: not even opening it and reading it again vouches for it.
#[test]
fn what_was_not_closed_is_thrown_away_and_a_replay_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let (history, expected) = closed(folder.path(), 12, 200);
    let end = history.last().unwrap().position();
    drop(open_sled(folder.path()));
    let store = open_sled(folder.path());
    assert_eq!((store.discarded(), store.applied()), (NOT_CLOSED, Position::START));
    assert_eq!(rows(&store), Rows::new());
    replay(&store, &history);
    assert_eq!(rows(&store), expected);
    store.checkpoint().unwrap();
    let next = at(end.seq + 1);
    store.apply(Batch::new(next)).unwrap();
    drop(store);
    assert_eq!(open_sled(folder.path()).discarded(), NOT_CLOSED, "a batch after the checkpoint");
}

/// What is applied and not durable must not be vouched for.
#[test]
fn nothing_above_the_durable_position_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let history = history(13, 50);
    let store = open_sled(folder.path());
    replay(&store, &history[..40]);
    store.apply(history[40].clone()).unwrap();
    store.checkpoint().unwrap();
    drop(store);
    let store = open_sled(folder.path());
    assert_eq!(store.discarded(), NOT_CLOSED);
    replay(&store, &history[..40]);
    store.apply(history[40].clone()).unwrap();
    store.set_durable(history[40].position());
    store.checkpoint().unwrap();
    drop(store);
    let store = open_sled(folder.path());
    assert_eq!((store.discarded(), store.applied()), (None, history[40].position()));
    assert_eq!(rows(&store), rows_at(&history, history[40].position()));
}

/// A range meets thousands of keys that were all overwritten or removed since.
#[test]
fn an_old_snapshot_reads_on_while_everything_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_sled(folder.path());
    let key = |number: u16| [&[0x10][..], &number.to_be_bytes()].concat();
    let put = |seq: u64, keys: &mut dyn Iterator<Item = u16>, value: Option<&[u8]>| {
        let mut batch = Batch::new(at(seq));
        for number in keys {
            match value {
                Some(value) => batch.put(key(number), value),
                None => batch.delete(key(number)),
            }
        }
        store.apply(batch).unwrap();
        store.set_durable(at(seq));
        store.publish(at(seq)).unwrap();
        store.snapshot()
    };
    let expected = |numbers: &mut dyn Iterator<Item = u16>, value: &[u8]| {
        numbers.map(|n| (key(n), value.to_vec())).collect()
    };
    let even = put(1, &mut (0..3_000).step_by(2), Some(b"even"));
    let first: Rows = expected(&mut (0..3_000).step_by(2), b"even");
    let removed = put(2, &mut (0..2_000), None);
    let second: Rows = expected(&mut (2_000..3_000).step_by(2), b"even");
    let all = put(3, &mut (0..3_000), Some(b"new"));
    let third: Rows = expected(&mut (0..3_000), b"new");
    for (snapshot, expected) in [(even, first), (removed, second), (all, third)] {
        for direction in [Direction::Ascending, Direction::Descending] {
            assert_eq!(rows_of(&*snapshot, direction).unwrap(), expected);
        }
        let range = snapshot.range(
            (std::ops::Bound::Excluded(&key(500)), std::ops::Bound::Included(&key(2_500))),
            Direction::Descending,
        );
        let found: Vec<_> = range.map(|row| row.unwrap().0.to_vec()).collect();
        let within = expected.range(key(501)..=key(2_500)).rev();
        assert_eq!(found, within.map(|(key, _)| key.clone()).collect::<Vec<_>>());
    }
    let held = store.statistics().memory_bytes;
    put(4, &mut std::iter::empty(), None);
    assert!(held > 0 && store.statistics().memory_bytes == 0, "nobody reads what was before");
}

/// Every outcome of a flip is the right rows, or an error at opening that makes the log rebuild them.
#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let trials = count_from_env("BLAZEDB_STORE_FLIPS", 200);
    let folder = tempfile::tempdir().unwrap();
    let (original, damaged) = (folder.path().join("original"), folder.path().join("damaged"));
    fs::create_dir(&original).unwrap();
    let (history, expected) = closed(&original, 21, 150);
    let mut random = Random(count_from_env("BLAZEDB_STORE_SEED", 1) as u64);
    let (mut rebuilt, mut harmless) = (0, 0);
    for trial in 0..trials {
        copy(&original, &damaged);
        // FORMAT says whose directory it is: another word there is refused by name.
        let files: Vec<_> =
            files(&damaged).into_iter().filter(|file| file.file_name().unwrap() != "FORMAT").collect();
        let place = Place::random(&files, trial, &mut random);
        place.flip();
        let store = open_sled(&damaged);
        if store.discarded().is_some() {
            assert_eq!((store.applied(), rows(&store)), (Position::START, Rows::new()));
            replay(&store, &history);
            rebuilt += 1;
        } else {
            harmless += 1;
        }
        assert_eq!(rows(&store), expected, "trial {trial}: {place:?}");
        for (key, value) in &expected {
            assert_eq!(store.snapshot().get(key).unwrap().as_deref(), Some(&value[..]), "{place:?}");
        }
    }
    println!("{trials} flipped bits: {rebuilt} noticed and rebuilt, {harmless} harmless, 0 silent");
    assert!(rebuilt > trials / 4, "the flips hit something");
}

#[test]
fn a_missing_or_cut_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (original, damaged) = (folder.path().join("original"), folder.path().join("damaged"));
    fs::create_dir(&original).unwrap();
    let (history, expected) = closed(&original, 14, 100);
    let names = |path: &Path| -> Vec<PathBuf> {
        let files = files(path).into_iter().filter(|file| file.file_name().unwrap() != "FORMAT");
        files.map(|file| file.strip_prefix(path).unwrap().to_owned()).collect()
    };
    assert!(names(&original).len() >= 3, "{:?}", names(&original));
    for name in names(&original) {
        for keep in [Some(2), None] {
            copy(&original, &damaged);
            let file = damaged.join(&name);
            let length = fs::metadata(&file).unwrap().len();
            match keep {
                Some(part) => {
                    fs::File::options().write(true).open(&file).unwrap().set_len(length / part).unwrap()
                }
                None => fs::remove_file(&file).unwrap(),
            }
            let store = open_sled(&damaged);
            replay(&store, &history);
            assert_eq!(rows(&store), expected, "{}", name.display());
        }
    }
}

/// The control: a row that goes missing behind the store's back is found, by count and digest.
#[test]
fn a_digest_that_differs_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    closed(folder.path(), 15, 50);
    let marker = folder.path().join("CLOSED");
    let text = fs::read_to_string(&marker).unwrap();
    let line = text.lines().find(|line| line.starts_with("rows ")).unwrap();
    let count: u64 = line[5..].parse().unwrap();
    let text = text.replace(line, &format!("rows {}", count + 1));
    let checked = &text[..text.rfind("crc32").unwrap()];
    fs::write(&marker, format!("{checked}crc32 {:08x}\n", crc32fast::hash(checked.as_bytes()))).unwrap();
    let store = open_sled(folder.path());
    let why = store.discarded().unwrap();
    assert!(
        why.contains(&format!("its {} rows", count + 1)) && why.contains(&format!("are {count} with")),
        "{why}"
    );
    assert!(matches!(store.publish(at(9)), Err(StoreError::Misuse(_))), "it goes on, empty");
}
