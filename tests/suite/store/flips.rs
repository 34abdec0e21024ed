//! Single flipped bits in the files of `lsm`: an error or the identical answer, never a wrong or missing row.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use blazedb::store::{Direction, Lsm, Store, StoreError};

use super::history::{history, replay_in_parts, rows_at};
use super::{Rows, SMALL, count_from_env, rows_of};
use crate::random::Random;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Error,
    Identical,
    Wrong,
    Panic,
}

/// Opens the store and reads everything in every way.
fn outcome(path: &Path, expected: &Rows) -> Outcome {
    let read = || -> Result<bool, StoreError> {
        let store = Lsm::open(path, SMALL)?;
        let snapshot = store.snapshot();
        let mut is_identical = rows_of(&*snapshot, Direction::Ascending)? == *expected;
        is_identical &= rows_of(&*snapshot, Direction::Descending)? == *expected;
        for (key, value) in expected {
            is_identical &= snapshot.get(key)?.as_deref() == Some(value);
            is_identical &= snapshot.get(&[key, &b"\x01"[..]].concat())?.is_none();
        }
        Ok(is_identical)
    };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(true)) => Outcome::Identical,
        Ok(Ok(false)) => Outcome::Wrong,
        Ok(Err(_)) => Outcome::Error,
        Err(_) => Outcome::Panic,
    }
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// A store with several levels, and its rows.
fn build(path: &Path) -> Rows {
    let history = history(21, 700);
    replay_in_parts(&Lsm::open(path, SMALL).unwrap(), &history);
    rows_at(&history, history.last().unwrap().position())
}

pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

/// A bit of a file.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    byte: usize,
    bit: usize,
}

impl Place {
    /// Half of the bits anywhere by size, half in any file, so that the small files get their share.
    pub(super) fn random(files: &[PathBuf], trial: usize, random: &mut Random) -> Self {
        let size = |file: &PathBuf| usize::try_from(fs::metadata(file).unwrap().len()).unwrap();
        let files: Vec<_> = files.iter().filter(|file| size(file) > 0).collect();
        let sizes: Vec<_> = files.iter().map(|file| size(file)).collect();
        let (file, byte) = if trial.is_multiple_of(2) {
            let (mut file, mut byte) = (0, random.index(sizes.iter().sum()));
            while byte >= sizes[file] {
                byte -= sizes[file];
                file += 1;
            }
            (file, byte)
        } else {
            let file = random.index(files.len());
            (file, random.index(sizes[file]))
        };
        Self { file: files[file].clone(), byte, bit: random.index(8) }
    }

    pub(super) fn flip(&self) {
        let mut bytes = fs::read(&self.file).unwrap();
        bytes[self.byte] ^= 1 << self.bit;
        fs::write(&self.file, bytes).unwrap();
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_harmless() {
    let trials = count_from_env("BLAZEDB_STORE_FLIPS", 200);
    let folder = tempfile::tempdir().unwrap();
    let (original, damaged) = (folder.path().join("original"), folder.path().join("damaged"));
    let expected = build(&original);
    copy(&original, &damaged);
    assert_eq!(outcome(&damaged, &expected), Outcome::Identical, "a copy as it is");
    let mut random = Random(count_from_env("BLAZEDB_STORE_SEED", 1) as u64);
    let (mut errors, mut harmless) = (0, 0);
    for trial in 0..trials {
        copy(&original, &damaged);
        let place = Place::random(&files(&damaged), trial, &mut random);
        place.flip();
        match outcome(&damaged, &expected) {
            Outcome::Error => errors += 1,
            Outcome::Identical => harmless += 1,
            bad => panic!("trial {trial}: {bad:?} after {place:?}"),
        }
    }
    println!(
        "{trials} flipped bits in {} files: {errors} errors, {harmless} harmless, 0 silent",
        files(&original).len()
    );
    assert!(errors > trials / 2, "the flips hit something");
}

/// The control: a bit that flips before any checksum is computed is a wrong row, and the test above would say so.
#[test]
fn a_bit_that_flips_before_the_checksum_is_seen_as_a_wrong_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = build(folder.path());
    assert_eq!(outcome(folder.path(), &expected), Outcome::Identical);
    let (_, value) = expected.iter_mut().next_back().unwrap();
    value[0] ^= 1;
    assert_eq!(outcome(folder.path(), &expected), Outcome::Wrong);
    let last = expected.keys().next_back().unwrap().clone();
    expected.remove(&last);
    assert_eq!(outcome(folder.path(), &expected), Outcome::Wrong);
}

/// `check` reads what is cached and open, too.
#[test]
fn check_sees_what_flips_under_an_open_store() {
    let folder = tempfile::tempdir().unwrap();
    build(folder.path());
    let store = Lsm::open(folder.path(), SMALL).unwrap();
    store.check().unwrap();
    let table = files(&folder.path().join("tables")).remove(0);
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&table, bytes).unwrap();
    assert!(matches!(store.check(), Err(StoreError::Corrupt(_))));
}
