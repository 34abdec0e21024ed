//! The default store: one tree of the `lsm-tree` crate a database, with the log as its only journal.
//!
//! ```text
//!  apply ─► active memtable ─seal─► sealed memtable ──flush──► level 0 ──compact──► levels 1 to 6
//!           (any position)          (position P, with the     (only once
//!                                    row `applied` = P)         durable ≥ P)
//! ```
//!
//! - A memtable is sealed between two batches only, and the row [`Key::Applied`] is its last entry. A flush writes all
//!   of it or nothing: what is on disk is always exactly the log up to one position.
//! - Late rows wait in a map of their own and are added when a memtable is sealed, before `applied`.
//! - Every change takes the next number of one counter, which the crate also uses for its own versions. A snapshot
//!   reads below the number that the counter showed after a batch, so it sees whole batches, and files as they
//!   were installed before that. The crate's own idea of what is visible is not used: it moves when a flush is
//!   installed, in the middle of a batch.
//! - The watermark handed to the crate is the oldest open snapshot, and the published one is always open.
//! - One lock serialises flushes and compactions, so that a failed one can be cleaned up after.

pub(in crate::store) mod disk;
mod late;
mod settings;
mod snapshot;

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lsm_tree::{AbstractTree, AnyTree, SeqNo, SequenceNumberCounter, Slice};

use super::visibility::{Boundary, OpenSnapshots, Progress, lock};
use super::{
    Batch, Bytes, Change, Direction, Key, KeyRange, Maintained, Position, Pressure, Row, Snapshot,
    Statistics, Store, StoreError, value,
};
use late::{Late, LateRow};
pub use settings::LsmSettings;
use snapshot::LsmSnapshot;

/// The first number that changes may take: a snapshot of the empty store reads below it, and the crate reserves 0.
const FIRST_VERSION: SeqNo = 1;

/// A store on disk; see the module's documentation.
pub struct Lsm {
    tree: AnyTree,
    path: PathBuf,
    settings: LsmSettings,
    counter: SequenceNumberCounter,
    state: Mutex<State>,
    published: RwLock<Arc<LsmSnapshot>>,
    snapshots: Arc<OpenSnapshots>,
    maintenance: Mutex<()>,
    /// Set by a flush, cleared when the strategy finds nothing to compact.
    may_compact: AtomicBool,
}

struct State {
    progress: Progress,
    /// The position of the sealed memtable, as long as there is one.
    sealed: Option<Position>,
    checkpointed: Position,
    /// The size of the active memtable.
    active_bytes: u64,
    /// What is added to the active memtable when it is sealed.
    late: Late,
    /// Set when memory and disk may disagree; nothing is done any more.
    failed: Option<&'static str>,
}

impl State {
    /// What the next memtable to be sealed holds.
    fn unsealed_bytes(&self) -> u64 {
        self.active_bytes.saturating_add(self.late.bytes())
    }
}

impl Lsm {
    /// Opens the store in the directory `path`, or creates it. The caller holds the directory's lock.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when files are damaged or missing, [`StoreError::Io`].
    pub fn open(path: &Path, settings: LsmSettings) -> Result<Self, StoreError> {
        disk::check_before_open(path)?;
        let counter = SequenceNumberCounter::default();
        let ignored = SequenceNumberCounter::default();
        let tree = settings
            .config(path, counter.clone(), ignored)
            .open()
            .map_err(|error| failure("opening", error))?;
        let next = tree.get_highest_seqno().map_or(FIRST_VERSION, |highest| highest.saturating_add(1));
        counter.set(next);
        let position = read_applied(&tree)?;
        let start = Boundary { position, version: next };
        let snapshots = Arc::new(OpenSnapshots::default());
        let published = LsmSnapshot::new(tree.clone(), start, &snapshots);
        Ok(Self {
            tree,
            path: path.to_owned(),
            settings,
            counter,
            state: Mutex::new(State {
                progress: Progress::starting_at(start),
                sealed: None,
                checkpointed: position,
                active_bytes: 0,
                late: Late::default(),
                failed: None,
            }),
            published: RwLock::new(Arc::new(published)),
            snapshots,
            maintenance: Mutex::new(()),
            may_compact: AtomicBool::new(true),
        })
    }

    /// Seals the active memtable at the applied position, unless it is empty or one is sealed already. A sweep may have
    /// filled it while the position stood still.
    fn seal(&self, state: &mut State) {
        let position = state.progress.applied();
        if state.sealed.is_some() || position == state.checkpointed && state.active_bytes == 0 {
            return;
        }
        for (key, row) in state.late.take() {
            let key = key.into_slice();
            if matches!(row, LateRow::Gone | LateRow::GoneThenPut(_)) {
                self.tree.remove_weak(key.clone(), self.counter.next());
            }
            if let LateRow::Put(value) | LateRow::GoneThenPut(value) = row {
                self.tree.insert(key, value.into_slice(), self.counter.next());
            }
        }
        let key = Key::Applied.encode();
        let payload = [&position.epoch.to_be_bytes()[..], &position.seq.to_be_bytes()].concat();
        self.tree.insert(Slice::from(&*key), value::seal(&key, &payload), self.counter.next());
        self.tree.rotate_memtable();
        state.sealed = Some(position);
        state.active_bytes = 0;
    }

    /// Flushes the sealed memtable if the log is durable up to it. The caller holds the maintenance lock.
    fn flush(&self) -> Result<Maintained, StoreError> {
        let position = {
            let state = self.state()?;
            match state.sealed {
                Some(position) if position <= state.progress.durable() => position,
                _ => return Ok(Maintained::Idle),
            }
        };
        let flush = || {
            let turn = self.tree.get_flush_lock();
            self.tree.flush(&turn, self.snapshots.oldest())
        };
        self.attempt("flushing the store", flush)?;
        let mut state = self.state()?;
        state.sealed = None;
        state.checkpointed = position;
        self.may_compact.store(true, Ordering::Release);
        self.refresh(&mut state)?;
        Ok(Maintained::Worked)
    }

    /// Runs one compaction if the strategy finds one. The caller holds the maintenance lock.
    fn compact(&self) -> Result<Maintained, StoreError> {
        if !self.may_compact.load(Ordering::Acquire) {
            return Ok(Maintained::Idle);
        }
        let before = self.tree.current_version().id();
        let strategy = self.settings.strategy();
        self.attempt("compacting the store", || self.tree.compact(strategy, self.snapshots.oldest()))?;
        if self.tree.current_version().id() == before {
            self.may_compact.store(false, Ordering::Release);
            return Ok(Maintained::Idle);
        }
        self.refresh(&mut *self.state()?)?;
        Ok(Maintained::Worked)
    }

    /// Does one piece of work that writes files. If it fails for want of space, what it left is removed and it may be
    /// tried again; after any other failure nobody knows what is on disk, and nothing is done any more.
    fn attempt<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> lsm_tree::Result<T>,
    ) -> Result<T, StoreError> {
        let first_table = self.tree.next_table_id();
        let error = match work() {
            Ok(done) => return Ok(done),
            Err(error) => failure(doing, error),
        };
        match &error {
            // A full disk may show only in the sync after the manifest was switched: then the new tables are in use.
            StoreError::Io { source, .. } if is_full(source) && self.is_manifest_unchanged() => {
                disk::remove_tables(&self.path, first_table..self.tree.next_table_id());
            }
            _ => self.state()?.failed = Some(doing),
        }
        Err(error)
    }

    fn is_manifest_unchanged(&self) -> bool {
        disk::current_manifest(&self.path).is_ok_and(|number| number == self.tree.current_version().id())
    }

    /// Moves the published snapshot past what maintenance just did, so that the memtables and files it replaced are
    /// let go. Changes nothing that anyone sees.
    fn refresh(&self, state: &mut State) -> Result<(), StoreError> {
        if let Some(boundary) = state.progress.refresh(self.counter.get()) {
            self.show(boundary);
        }
        let mut history = self.tree.get_version_history_lock();
        history
            .maintenance(&self.path, self.snapshots.oldest())
            .map_err(|error| failure("removing old files", error))
    }

    fn late_bytes(&self) -> u64 {
        lock(&self.state).map(|state| state.late.bytes()).unwrap_or_default()
    }

    fn show(&self, boundary: Boundary) {
        let snapshot = Arc::new(LsmSnapshot::new(self.tree.clone(), boundary, &self.snapshots));
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// The state, unless something failed before.
    fn state(&self) -> Result<std::sync::MutexGuard<'_, State>, StoreError> {
        let state = lock(&self.state)?;
        match state.failed {
            None => Ok(state),
            Some(doing) => Err(StoreError::Failed(doing)),
        }
    }
}

impl Store for Lsm {
    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.state()?;
        let position = batch.position();
        state.progress.admits(&batch)?;
        batch.check_lengths()?;
        for change in batch.into_changes() {
            let number = || self.counter.next();
            let (_, active) = match change {
                Change::Put(key, value) => self.tree.insert(key.into_slice(), value.into_slice(), number()),
                Change::Delete(key) => self.tree.remove(key.into_slice(), number()),
                Change::DeleteOnce(key) => self.tree.remove_weak(key.into_slice(), number()),
                Change::PutLate(key, value) => {
                    state.late.put(key, value);
                    continue;
                }
                Change::DeleteOnceLate(key) => {
                    state.late.delete_once(key);
                    continue;
                }
            };
            state.active_bytes = active;
        }
        state.progress.advance(Boundary { position, version: self.counter.get() });
        if state.unsealed_bytes() >= self.settings.memtable_bytes {
            self.seal(&mut state);
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.tree.get(key, SeqNo::MAX).map_err(|error| failure("reading the store", error))?;
        Ok(value.map(Bytes::from))
    }

    fn late(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let state = self.state()?;
        match state.late.get(key) {
            Some(row) => Ok(row.value().cloned()),
            None => self.get(key),
        }
    }

    fn last_late(&self, range: KeyRange<'_>) -> Result<Option<Row>, StoreError> {
        let state = self.state()?;
        let aside = state.late.last(range).map(|(key, value)| (key.clone(), value.clone()));
        // In the tree only what lies above that can be later, and only what is not removed counts.
        let lower = aside.as_ref().map_or(range.0, |(key, _)| Bound::Excluded(&**key));
        let rows = LsmSnapshot::rows(&self.tree, (lower, range.1), Direction::Descending, SeqNo::MAX);
        for row in rows {
            let row = row?;
            if state.late.get(&row.0).is_none() {
                return Ok(Some(row));
            }
        }
        Ok(aside)
    }

    fn applied(&self) -> Position {
        lock(&self.state).map(|state| state.progress.applied()).unwrap_or_default()
    }

    fn set_durable(&self, position: Position) {
        if let Ok(mut state) = lock(&self.state) {
            state.progress.set_durable(position);
        }
    }

    fn publish(&self, position: Position) -> Result<(), StoreError> {
        let mut state = self.state()?;
        if let Some(boundary) = state.progress.publish(position)? {
            self.show(boundary);
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        Arc::<LsmSnapshot>::clone(&published)
    }

    fn pressure(&self) -> Pressure {
        let Ok(state) = lock(&self.state) else { return Pressure::Stalled };
        let flushable = state.sealed.is_some_and(|position| position <= state.progress.durable());
        if state.sealed.is_some() && state.unsealed_bytes() >= self.settings.memtable_bytes {
            return Pressure::Stalled;
        }
        let may_compact = self.may_compact.load(Ordering::Acquire);
        if may_compact && self.tree.l0_run_count() >= self.settings.stall_runs() {
            return Pressure::Stalled;
        }
        if flushable || may_compact { Pressure::Wanted } else { Pressure::None }
    }

    fn maintain(&self) -> Result<Maintained, StoreError> {
        let _turn = lock(&self.maintenance)?;
        match self.flush()? {
            Maintained::Worked => Ok(Maintained::Worked),
            Maintained::Idle => self.compact(),
        }
    }

    fn checkpoint(&self) -> Result<Position, StoreError> {
        let _turn = lock(&self.maintenance)?;
        let wanted = self.state()?.progress.applied();
        // What is sealed already goes first; the second round takes what was active then.
        for _ in 0..2 {
            let mut state = self.state()?;
            if state.checkpointed < wanted {
                self.seal(&mut state);
            }
            drop(state);
            self.flush()?;
        }
        Ok(self.checkpointed())
    }

    fn checkpointed(&self) -> Position {
        lock(&self.state).map(|state| state.checkpointed).unwrap_or_default()
    }

    fn check(&self) -> Result<(), StoreError> {
        let _turn = lock(&self.maintenance)?;
        let version = self.tree.current_version();
        let tables = version.iter_tables().map(|table| (table.id(), table.checksum().into_u128()));
        disk::check_files(&self.path, tables)
    }

    fn statistics(&self) -> Statistics {
        Statistics {
            disk_bytes: self.tree.disk_space(),
            memory_bytes: self.tree.version_memtable_size_sum().saturating_add(self.late_bytes()),
            rows: u64::try_from(self.tree.approximate_len()).unwrap_or(u64::MAX),
            tables: u64::try_from(self.tree.table_count()).unwrap_or(u64::MAX),
            snapshots: self.snapshots.count(),
        }
    }
}

/// The position that what is on disk stands at.
fn read_applied(tree: &AnyTree) -> Result<Position, StoreError> {
    let key = Key::Applied.encode();
    let Some(stored) = tree.get(&*key, SeqNo::MAX).map_err(|error| failure("opening", error))? else {
        let is_empty = tree.table_count() == 0;
        let missing = || StoreError::corrupt("there are rows on disk but no applied position");
        return if is_empty { Ok(Position::START) } else { Err(missing()) };
    };
    let parse = |payload: &[u8]| {
        let (epoch, seq) = payload.split_first_chunk()?;
        Some(Position { epoch: u32::from_be_bytes(*epoch), seq: u64::from_be_bytes(seq.try_into().ok()?) })
    };
    parse(value::open(&key, &stored)?).ok_or_else(|| value::malformed(&key))
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

/// What an error of the crate means here: bytes that are not as written, or the operating system.
fn failure(doing: &'static str, error: lsm_tree::Error) -> StoreError {
    use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match error {
        lsm_tree::Error::Io(source) if !matches!(source.kind(), InvalidData | NotFound | UnexpectedEof) => {
            StoreError::Io { doing, source }
        }
        other => StoreError::corrupt(format!("{doing}: {other}")),
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows has failed")]
mod tests {
    use std::io;

    use super::*;

    fn put(store: &Lsm, seq: u64) -> Result<(), StoreError> {
        let mut batch = Batch::new(Position { epoch: 0, seq });
        batch.put(&b"\x10key"[..], &b"value"[..]);
        store.apply(batch)
    }

    fn fail(store: &Lsm, kind: io::ErrorKind) -> StoreError {
        let work = || {
            let table = store.tree.get_next_table_id();
            std::fs::write(store.path.join("tables").join(table.to_string()), b"half a table")?;
            Err::<(), _>(io::Error::from(kind).into())
        };
        store.attempt("flushing the store", work).unwrap_err()
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind_and_may_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Lsm::open(folder.path(), LsmSettings::default()).unwrap();
        put(&store, 1).unwrap();
        store.checkpoint().unwrap();
        store.set_durable(Position { epoch: 0, seq: 1 });
        store.checkpoint().unwrap();
        let tables = || std::fs::read_dir(folder.path().join("tables")).unwrap().count();
        assert_eq!(tables(), 1);
        let error = fail(&store, io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("Free space"), "{error}");
        assert_eq!(tables(), 1, "the half table is gone, the whole one is not");
        put(&store, 2).unwrap();
        store.set_durable(Position { epoch: 0, seq: 2 });
        assert_eq!(store.checkpoint().unwrap().seq, 2);
    }

    /// The manifest on disk is a later one than that in memory: its tables must stay.
    #[test]
    fn a_disk_that_is_full_too_late_removes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Lsm::open(folder.path(), LsmSettings::default()).unwrap();
        put(&store, 1).unwrap();
        let current = folder.path().join("current");
        let mut bytes = std::fs::read(&current).unwrap();
        bytes[0] += 1;
        std::fs::write(&current, bytes).unwrap();
        fail(&store, io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_dir(folder.path().join("tables")).unwrap().count(), 1);
        assert!(matches!(put(&store, 2), Err(StoreError::Failed(_))));
    }

    #[test]
    fn after_another_failure_nothing_is_done_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = Lsm::open(folder.path(), LsmSettings::default()).unwrap();
        put(&store, 1).unwrap();
        assert!(matches!(fail(&store, io::ErrorKind::Other), StoreError::Io { .. }));
        for refused in [put(&store, 2), store.checkpoint().map(drop), store.publish(Position::START)] {
            assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
        }
    }
}
