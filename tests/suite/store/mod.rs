//! The store's suite: the same cases over every backend, then what only a store on disk must survive.

mod cases;
mod concurrent;
mod directories;
mod flips;
mod history;
mod kills;
mod reopening;
mod sled;
mod verification;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

pub(crate) use flips::copy;

use blazedb::store::directory::SLED_FORMAT;
use blazedb::store::{
    Direction, Lsm, LsmSettings, Maintained, Memory, Sled, SledSettings, Snapshot, Store, StoreError,
};

/// Settings under which a few kilobytes already cause flushes, merges and several levels.
const SMALL: LsmSettings = LsmSettings {
    memtable_bytes: 24 << 10,
    cache_bytes: 1 << 20,
    table_bytes: 16 << 10,
    block_bytes: 512,
    is_compressed: true,
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A backend under test: how to open it in an empty directory.
type Open = fn(&Path) -> Arc<dyn Store>;

fn memory(_: &Path) -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

fn lsm(path: &Path) -> Arc<dyn Store> {
    Arc::new(Lsm::open(path, SMALL).unwrap())
}

/// A cache and segments so small that a few kilobytes already fill several.
const SMALL_SLED: SledSettings = SledSettings { cache_bytes: 1 << 20, segment_bytes: 16 << 10 };

fn sled(path: &Path) -> Arc<dyn Store> {
    Arc::new(open_sled(path))
}

fn open_sled(path: &Path) -> Sled {
    SLED_FORMAT.open(path).unwrap();
    Sled::open(path, SMALL_SLED).unwrap()
}

/// Runs each case over each backend, as tests of their own.
macro_rules! over_every_backend {
    ($($file:ident::$case:ident),* $(,)?) => {
        mod over_memory { $(#[test] fn $case() { super::run(super::$file::$case, super::memory); })* }
        mod over_lsm { $(#[test] fn $case() { super::run(super::$file::$case, super::lsm); })* }
        mod over_sled { $(#[test] fn $case() { super::run(super::$file::$case, super::sled); })* }
    };
}

over_every_backend!(
    cases::a_batch_is_visible_once_published,
    cases::a_batch_in_the_wrong_place_or_of_wrong_lengths_leaves_nothing,
    cases::ranges_have_the_bounds_asked_for,
    cases::later_changes_of_a_batch_win,
    cases::what_nobody_sees_is_let_go,
    cases::late_rows_come_and_go,
    cases::random_batches_agree_with_a_map,
    concurrent::no_snapshot_is_torn,
    verification::a_folded_history_verifies,
    verification::whatever_is_wrong_is_found,
    verification::a_lying_backend_is_found_out,
);

fn run(case: fn(&dyn Fn() -> Arc<dyn Store>), open: Open) {
    let folder = tempfile::tempdir().unwrap();
    case(&|| open(&folder.path().join("store")));
}

/// A number from the environment, so that a long run can raise what a normal run does.
fn count_from_env(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Everything but the row that the backend writes for itself.
fn rows_of(snapshot: &dyn Snapshot, direction: Direction) -> Result<Rows, StoreError> {
    let everything = (Bound::Excluded(&[0][..]), Bound::Unbounded);
    snapshot
        .range(everything, direction)
        .map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect()
}

fn maintain_fully(store: &dyn Store) {
    while store.maintain().unwrap() == Maintained::Worked {}
}
