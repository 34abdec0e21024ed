//! The store over the crate `sled`: `--store sled`. A view like the others, in a directory that is disposable.
//!
//! ```text
//!            ┌── undo: what each key held before a batch, for those who read before it
//!   apply ───┤
//!            └── sled: one tree, which holds what is applied and nothing older
//! ```
//!
//! - sled has no snapshots. Before a key is overwritten, what it held is published in the undo layer with the version of
//!   the batch. A reader asks sled first and the undo layer after it: whatever a batch changed meanwhile is there.
//!   What no open snapshot can see is let go with the next batch.
//! - sled's `flush` does not reach stable storage on Linux, and after damage it opens with rows missing. So its files
//!   count only if they were closed cleanly: [`Store::checkpoint`] flushes, syncs every file itself and then writes
//!   the file `CLOSED`, with the position and a digest of all rows; opening takes `CLOSED` away before sled touches
//!   anything and compares the digest. Files without it, or that differ, are thrown away, and the log is replayed
//!   from its start. Therefore [`Store::checkpointed`] stays at the start and the log is not trimmed.
//! - sled panics at some damage. Every call is guarded: a panic is an error, and nothing is asked of sled after it.

mod disk;
mod guarded;
mod settings;
mod snapshot;
mod totals;
mod undo;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::visibility::{Boundary, OpenSnapshots, Progress, lock};
use super::{Batch, Bytes, Change, Maintained, Position, Pressure, Snapshot, Statistics, Store, StoreError};
use disk::Closed;
use guarded::Guarded;
pub use settings::SledSettings;
use snapshot::SledSnapshot;
use totals::Totals;
use undo::Undo;

/// Nothing is below version 1, so that a snapshot of the empty store can read below it.
const FIRST_VERSION: u64 = 1;

/// A store over `sled`; see the module's documentation.
pub struct Sled {
    view: Arc<View>,
    path: PathBuf,
    /// The directory of sled's own files, within `path`.
    directory: String,
    state: Mutex<State>,
    published: RwLock<Arc<SledSnapshot>>,
    snapshots: Arc<OpenSnapshots>,
    /// Held by whoever makes a checkpoint.
    closing: Mutex<()>,
    discarded: Option<String>,
}

/// What readers share.
struct View {
    rows: Guarded,
    undo: RwLock<Undo>,
}

struct State {
    progress: Progress,
    /// The version of the next batch.
    next: u64,
    /// Of what is applied.
    totals: Totals,
    /// Of what is applied and not published, by the version to read at.
    unpublished: VecDeque<(u64, Totals)>,
    /// Whether the file `CLOSED` is there.
    is_closed: bool,
    /// Set when memory and disk may disagree; nothing is done any more.
    failed: Option<&'static str>,
}

impl Sled {
    /// Opens the store in the directory `path`, which exists and whose lock the caller holds. Unless it was closed
    /// cleanly and is whole, it is emptied: the log has everything.
    ///
    /// A whole one is read from end to end once, to compare its digest.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Corrupt`] when sled cannot even make files of its own.
    pub fn open(path: &Path, settings: SledSettings) -> Result<Self, StoreError> {
        let mut discarded = None;
        let mut found = None;
        match disk::take_marker(path)? {
            Some(closed) => match reopen(path, &closed, settings) {
                Ok(rows) => found = Some((rows, closed)),
                Err(damage) => discarded = Some(damage.to_string()),
            },
            None if disk::has_rows(path)? => discarded = Some("it was not closed".to_owned()),
            None => {}
        }
        let (rows, closed) = match found {
            Some(found) => found,
            None => empty(path, settings)?,
        };
        let start = Boundary { position: closed.position, version: FIRST_VERSION };
        let view = Arc::new(View { rows, undo: RwLock::default() });
        let snapshots = Arc::new(OpenSnapshots::default());
        let published = SledSnapshot::at(start, closed.totals, &view, &snapshots);
        Ok(Self {
            view,
            path: path.to_owned(),
            directory: closed.directory,
            state: Mutex::new(State {
                progress: Progress::starting_at(start),
                next: FIRST_VERSION,
                totals: closed.totals,
                unpublished: VecDeque::new(),
                is_closed: false,
                failed: None,
            }),
            published: RwLock::new(Arc::new(published)),
            snapshots,
            closing: Mutex::new(()),
            discarded,
        })
    }

    /// Why what lay in the directory was thrown away when it was opened, if it was.
    pub fn discarded(&self) -> Option<&str> {
        self.discarded.as_deref()
    }

    /// The state, unless something failed before.
    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let state = lock(&self.state)?;
        match state.failed {
            None => Ok(state),
            Some(doing) => Err(StoreError::Failed(doing)),
        }
    }

    /// Publishes what the keys held, then changes them; keeps count.
    fn replace(&self, state: &mut State, changes: BTreeMap<Bytes, Option<Bytes>>) -> Result<(), StoreError> {
        let mut replaced = Vec::with_capacity(changes.len());
        for (key, new) in changes {
            let old = self.view.rows.get(&key)?;
            if old != new {
                replaced.push((key, old, new));
            }
        }
        {
            let mut undo = self.view.undo.write().map_err(|_| poisoned())?;
            undo.collect(self.snapshots.oldest());
            for (key, old, _) in &replaced {
                undo.push(state.next, key.clone(), old.clone());
            }
        }
        for (key, old, new) in &replaced {
            self.view.rows.set(key, new.as_deref())?;
            state.totals.replace(key, old.as_deref(), new.as_deref());
        }
        Ok(())
    }

    /// Has sled write everything, and syncs its files, which sled does not.
    fn sync(&self) -> Result<(), StoreError> {
        self.view.rows.flush()?;
        disk::sync_all(&self.path.join(&self.directory))
    }
}

/// Opens what was closed cleanly and compares every row with the digest.
fn reopen(path: &Path, closed: &Closed, settings: SledSettings) -> Result<Guarded, StoreError> {
    let rows = Guarded::open(&path.join(&closed.directory), settings)?;
    let found = rows.totals()?;
    if found == closed.totals { Ok(rows) } else { Err(closed.totals.differ_from(&found)) }
}

/// Throws away whatever lies there and begins with nothing, in a directory of a name never used before: threads of an
/// earlier sled in this process may still write to theirs.
fn empty(path: &Path, settings: SledSettings) -> Result<(Guarded, Closed), StoreError> {
    let directory = disk::discard(path)?;
    let rows = Guarded::open(&path.join(&directory), settings)?;
    Ok((rows, Closed { directory, position: Position::START, totals: Totals::default() }))
}

fn poisoned() -> StoreError {
    StoreError::Failed("a thread panicked while it changed the store")
}

impl Store for Sled {
    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.state()?;
        let position = batch.position();
        state.progress.admits(&batch)?;
        batch.check_lengths()?;
        if state.is_closed {
            disk::remove_marker(&self.path)?;
            state.is_closed = false;
        }
        let mut changes = BTreeMap::new();
        for change in batch.into_changes() {
            match change {
                Change::Put(key, value) | Change::PutLate(key, value) => changes.insert(key, Some(value)),
                Change::Delete(key) | Change::DeleteOnce(key) | Change::DeleteOnceLate(key) => {
                    changes.insert(key, None)
                }
            };
        }
        if let Err(error) = self.replace(&mut state, changes) {
            state.failed = Some("applying a batch");
            return Err(error);
        }
        state.next = state.next.saturating_add(1);
        let boundary = Boundary { position, version: state.next };
        state.progress.advance(boundary);
        let totals = state.totals;
        state.unpublished.push_back((boundary.version, totals));
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.view.rows.get(key)
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
        let Some(boundary) = state.progress.publish(position)? else { return Ok(()) };
        let mut totals = None;
        while let Some((_, of)) = state.unpublished.pop_front_if(|(version, _)| *version <= boundary.version)
        {
            totals = Some(of);
        }
        let totals = totals.unwrap_or(state.totals);
        let snapshot = Arc::new(SledSnapshot::at(boundary, totals, &self.view, &self.snapshots));
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        Arc::<SledSnapshot>::clone(&published)
    }

    fn pressure(&self) -> Pressure {
        Pressure::None
    }

    fn maintain(&self) -> Result<Maintained, StoreError> {
        Ok(Maintained::Idle)
    }

    /// Closes the directory until the next batch: what is in it then survives a restart. The log is kept all the
    /// same, and so the position returned is the start.
    fn checkpoint(&self) -> Result<Position, StoreError> {
        let _turn = lock(&self.closing)?;
        if self.state()?.is_closed {
            return Ok(Position::START);
        }
        // Most of it while commits go on; what they add meanwhile is little.
        let mut synced = self.sync();
        let mut state = self.state()?;
        let is_durable = state.progress.applied() <= state.progress.durable();
        if is_durable {
            synced = synced.and_then(|()| self.sync());
        }
        if let Err(error) = synced {
            // After a failed sync nobody knows what is on disk.
            state.failed = Some("syncing the store");
            return Err(error);
        }
        if !is_durable {
            return Ok(Position::START);
        }
        let directory = self.directory.clone();
        let closed = Closed { directory, position: state.progress.applied(), totals: state.totals };
        disk::write_marker(&self.path, &closed)?;
        state.is_closed = true;
        Ok(Position::START)
    }

    fn checkpointed(&self) -> Position {
        Position::START
    }

    /// Reads every row of the published snapshot and compares their digest. sled's own checksums are compared where
    /// it reads its files; it cannot be told to read what it has in memory.
    fn check(&self) -> Result<(), StoreError> {
        let published = Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner));
        published.check()
    }

    fn statistics(&self) -> Statistics {
        let undo = self.view.undo.read();
        let rows = lock(&self.state).map(|state| state.totals.rows).unwrap_or_default();
        Statistics {
            disk_bytes: self.view.rows.disk_bytes(),
            memory_bytes: undo.map(|undo| undo.bytes()).unwrap_or_default(),
            rows,
            tables: 1,
            snapshots: self.snapshots.count(),
        }
    }
}
