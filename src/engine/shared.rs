//! What the threads of a database share: the store, what is decided, what is published.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use super::catalogue::{Catalogue, Collections};
use super::decision::Decision;
use super::drops::Drops;
use super::environment::Environment;
use super::error::EngineError;
use super::feed::Feed;
use super::record::Id;
use super::retention::Marks;
use super::rows::{self, Before, Progress};
use super::sweep::Leavings;
use crate::log::{Log, Moment};
use crate::store::{self, Batch, Fold, Maintained, Pressure, Snapshot, Store};
use crate::wire::Position;

/// Is told of what happens, on the thread that leads a commit: it must not wait for the database.
pub trait Listener: Send + Sync {
    /// These transactions are durable and visible, up to `position`.
    fn published(&self, position: Position, transactions: &[Arc<Decision>]);

    /// The database stopped: nothing more will be durable.
    fn stopped(&self, reason: &str);
}

/// What readers see.
pub(super) struct PublishedState {
    /// The number of the last effect.
    pub(super) sequence: u64,
    /// The number of the last effect that changed a record.
    pub(super) last_change: u64,
    pub(super) collections: Arc<Collections>,
    pub(super) drops: Arc<Drops>,
    pub(super) snapshot: Arc<dyn Snapshot>,
}

pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) environment: Arc<dyn Environment>,
    pub(super) database: Id,
    pub(super) epoch: u32,
    /// Decided and ordered, not yet folded.
    decided: Mutex<VecDeque<Arc<Decision>>>,
    folding: Mutex<Folding>,
    published: RwLock<Arc<PublishedState>>,
    pub(super) feed: Mutex<Feed>,
    failure: OnceLock<Arc<str>>,
    /// Whether the last operation that wanted room was refused for want of it.
    pub(super) lacks_room: AtomicBool,
    /// The last clock given out.
    clock: AtomicU64,
    /// A moving mean of how long a leader waits for the disk, in nanoseconds.
    disk_wait: AtomicU64,
    listener: Option<Arc<dyn Listener>>,
}

/// The leader's: what is folded.
#[derive(Debug)]
pub(super) struct Folding {
    pub(super) catalogue: Catalogue,
    pub(super) drops: Arc<Drops>,
    pub(super) progress: Progress,
    pub(super) marks: Marks,
    /// Folded, not yet published.
    pub(super) folded: Vec<Arc<Decision>>,
}

/// A batch begins on a block of the log of its own.
const LOG_BLOCK_BYTES: usize = 4096;

/// Where a database stands when it begins.
pub(super) struct Start {
    pub(super) database: Id,
    pub(super) epoch: u32,
    pub(super) clock: u64,
    pub(super) sequence: u64,
    pub(super) folding: Folding,
    pub(super) feed: Feed,
    pub(super) lacks_room: bool,
}

/// A lock that another thread's panic does not take away: what it guards is whole after every statement.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The partition that positions of a database name (E-3.6): its id, folded into one word. Every database begins with epoch 1
/// and number 1, so that nothing else tells a position of one that was wiped from one of the database made in its place.
const fn partition_of(database: Id) -> u32 {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = database;
    u32::from_be_bytes([a ^ e ^ i ^ m, b ^ f ^ j ^ n, c ^ g ^ k ^ o, d ^ h ^ l ^ p])
}

impl Shared {
    pub(super) fn new(
        store: Arc<dyn Store>,
        environment: Arc<dyn Environment>,
        listener: Option<Arc<dyn Listener>>,
        start: Start,
    ) -> Self {
        let Start { database, epoch, clock, sequence, folding, feed, lacks_room } = start;
        let published = folding.published(sequence, &*store);
        Self {
            store,
            environment,
            database,
            epoch,
            decided: Mutex::default(),
            folding: Mutex::new(folding),
            published: RwLock::new(Arc::new(published)),
            feed: Mutex::new(feed),
            failure: OnceLock::new(),
            lacks_room: AtomicBool::new(lacks_room),
            clock: AtomicU64::new(clock),
            disk_wait: AtomicU64::new(0),
            listener,
        }
    }

    pub(super) fn published(&self) -> Arc<PublishedState> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The position of the effect with this number.
    pub(super) const fn position(&self, sequence: u64) -> Position {
        Position { epoch: self.epoch, partition: partition_of(self.database), seq: sequence }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { hlc: self.clock.load(Ordering::Acquire), elapsed: self.environment.elapsed() }
    }

    pub(super) fn note_clock(&self, clock: u64) {
        self.clock.fetch_max(clock, Ordering::AcqRel);
    }

    pub(super) fn note_disk_wait(&self, wait: Duration) {
        let mean = self.disk_wait.load(Ordering::Relaxed);
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        // An eighth of the new, seven of the old.
        self.disk_wait.store(mean.saturating_sub(mean / 8).saturating_add(wait / 8), Ordering::Relaxed);
    }

    pub(super) fn disk_wait(&self) -> Duration {
        Duration::from_nanos(self.disk_wait.load(Ordering::Relaxed))
    }

    /// An error once the database has stopped.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        match self.failure.get() {
            Some(reason) => Err(EngineError::Stopped(reason.clone())),
            None => Ok(()),
        }
    }

    /// Stops the database, by the first reason that is given.
    pub(super) fn stop(&self, reason: &str) -> EngineError {
        let mut is_first = false;
        let reason = self.failure.get_or_init(|| {
            is_first = true;
            reason.into()
        });
        if let Some(listener) = self.listener.as_ref().filter(|_| is_first) {
            listener.stopped(reason);
        }
        EngineError::Stopped(reason.clone())
    }

    /// Queues a decision for its fold, before the log may commit it.
    pub(super) fn queue(&self, decision: Arc<Decision>) {
        lock(&self.decided).push_back(decision);
    }

    /// The number up to which no subscriber needs the log.
    pub(super) fn retention_floor(&self) -> u64 {
        let clock = self.clock.load(Ordering::Acquire);
        lock(&self.folding).marks.floor(clock)
    }

    /// Takes back the decision queued last: the log did not take it.
    pub(super) fn unqueue(&self) {
        lock(&self.decided).pop_back();
    }

    /// Folds what is decided up to `last`; nobody sees it yet.
    pub(super) fn fold(&self, last: u64) {
        if let Err(error) = self.try_fold(last) {
            self.stop(&format!("folding a batch into the store failed: {error}"));
        }
    }

    fn try_fold(&self, last: u64) -> Result<(), EngineError> {
        let decisions = {
            let mut decided = lock(&self.decided);
            let count = decided.iter().take_while(|decision| decision.last_sequence() <= last).count();
            decided.drain(..count).collect::<Vec<_>>()
        };
        let mut folding = lock(&self.folding);
        folding.apply(&*self.store, self.epoch, &decisions, Before::InDecision)?;
        folding.folded.extend(decisions);
        Ok(())
    }

    /// Shows what is folded: it is durable up to `sequence`.
    pub(super) fn publish(&self, sequence: u64) {
        if self.check().is_err() {
            return;
        }
        let (transactions, state) = {
            let mut folding = lock(&self.folding);
            let position = store::Position { epoch: self.epoch, seq: sequence };
            self.store.set_durable(position);
            if let Err(error) = self.store.publish(position) {
                self.stop(&format!("publishing a batch failed: {error}"));
                return;
            }
            let state = folding.published(sequence, &*self.store);
            (std::mem::take(&mut folding.folded), state)
        };
        {
            let mut feed = lock(&self.feed);
            transactions.iter().for_each(|transaction| feed.push(transaction.clone()));
        }
        let position = self.position(state.last_change);
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        if let Some(listener) = &self.listener {
            listener.published(position, &transactions);
        }
        self.relieve();
    }

    /// Removes rows that are nobody's any more. The store stands where it stood, and readers see what they saw.
    pub(super) fn sweep(&self, leavings: &Leavings) -> Result<(), EngineError> {
        let mut folding = lock(&self.folding);
        let position = self.store.applied();
        let mut batch = Batch::sweep(position);
        leavings.records.iter().for_each(|key| batch.delete(*key));
        leavings.changes.iter().for_each(|key| batch.delete_once(*key));
        if let Some(sequence) = leavings.finished {
            rows::finish_drop(&mut batch, Arc::make_mut(&mut folding.drops), sequence);
        }
        self.store.apply(batch)?;
        // A publication under way takes it along; without one nothing would, and the rows would stay in memory.
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        if published.sequence == position.seq {
            self.store.publish(position)?;
            *published = Arc::new(folding.published(position.seq, &*self.store));
        }
        Ok(())
    }

    /// Lets a store that is behind with its maintenance catch up before the next batch. A disk that is full is met
    /// again when the log asks for room.
    fn relieve(&self) {
        while self.store.pressure() == Pressure::Stalled {
            if !matches!(self.store.maintain(), Ok(Maintained::Worked)) {
                break;
            }
        }
    }
}

impl Folding {
    /// What readers see once everything folded is published: it is durable up to `sequence`.
    fn published(&self, sequence: u64, store: &dyn Store) -> PublishedState {
        PublishedState {
            sequence,
            last_change: self.progress.last_change,
            collections: self.catalogue.collections().clone(),
            drops: self.drops.clone(),
            snapshot: store.snapshot(),
        }
    }

    fn apply(
        &mut self,
        store: &dyn Store,
        epoch: u32,
        decisions: &[Arc<Decision>],
        before: Before,
    ) -> Result<(), EngineError> {
        let Some(last) = decisions.last() else { return Ok(()) };
        let position = store::Position { epoch, seq: last.last_sequence() };
        let mut fold = Fold::new(store, position);
        for decision in decisions {
            rows::fold_decision(&mut fold, &mut self.catalogue, &mut self.drops, decision, before)?;
            self.progress.take(decision);
        }
        self.progress.note_given(&self.catalogue, &self.drops);
        rows::fold_progress(&mut fold, &self.progress);
        let mark = self.marks.note(last.last_sequence(), log_bytes(decisions), self.progress.clock);
        rows::fold_marks(&mut fold, mark, self.marks.take_gone());
        Ok(store.apply(fold.finish())?)
    }
}

/// What a batch takes in the log, roughly: its blocks.
fn log_bytes(decisions: &[Arc<Decision>]) -> usize {
    let bytes = decisions.iter().fold(0, |sum: usize, decision| sum.saturating_add(decision.encoded_bytes()));
    bytes.saturating_add(1).checked_next_multiple_of(LOG_BLOCK_BYTES).unwrap_or(usize::MAX)
}

/// Folds transactions that are read back from the log, while nobody else uses the store.
pub(super) struct Replay<'a> {
    store: &'a dyn Store,
    epoch: u32,
    folding: Folding,
    waiting: Vec<Arc<Decision>>,
    waiting_bytes: usize,
}

/// How many bytes of records are folded at once while replaying.
const REPLAY_BYTES: usize = 4 << 20;

impl<'a> Replay<'a> {
    pub(super) fn new(store: &'a dyn Store, epoch: u32, folding: Folding) -> Self {
        Self { store, epoch, folding, waiting: Vec::new(), waiting_bytes: 0 }
    }

    pub(super) fn push(&mut self, decision: Decision) -> Result<(), EngineError> {
        let bytes = decision.encoded_bytes();
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes);
        self.waiting.push(Arc::new(decision));
        if self.waiting_bytes >= REPLAY_BYTES { self.fold() } else { Ok(()) }
    }

    fn fold(&mut self) -> Result<(), EngineError> {
        let Some(last) = self.waiting.last() else { return Ok(()) };
        let position = store::Position { epoch: self.epoch, seq: last.last_sequence() };
        self.folding.apply(self.store, self.epoch, &self.waiting, Before::InStore)?;
        self.store.set_durable(position);
        self.store.publish(position)?;
        while self.store.pressure() == Pressure::Stalled {
            match self.store.maintain().map_err(EngineError::from) {
                Ok(Maintained::Worked) => {}
                // What cannot be written stays in memory.
                Ok(Maintained::Idle) | Err(EngineError::DiskFull) => break,
                Err(error) => return Err(error),
            }
        }
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Brings the store to where the log's epoch begins, if the log holds nothing of it yet: the numbers before are not
    /// used.
    pub(super) fn enter_epoch(&mut self, log: &Log) -> Result<(), EngineError> {
        self.fold()?;
        let before = log.next_sequence().saturating_sub(1);
        let is_empty = log.epoch_begins() == log.next_sequence();
        if !is_empty || self.store.applied().seq >= before {
            return Ok(());
        }
        let position = store::Position { epoch: self.epoch, seq: before };
        let mut fold = Fold::new(self.store, position);
        rows::fold_progress(&mut fold, &self.folding.progress);
        self.store.apply(fold.finish())?;
        self.store.set_durable(position);
        Ok(self.store.publish(position)?)
    }

    /// Folds the rest; returns what a database goes on with.
    pub(super) fn finish(mut self) -> Result<Folding, EngineError> {
        self.fold()?;
        Ok(self.folding)
    }
}

impl Progress {
    fn take(&mut self, decision: &Decision) {
        self.clock = self.clock.max(decision.clock);
        let changes = decision.numbered().filter(|(_, effect)| effect.is_change());
        if let Some((sequence, _)) = changes.last() {
            self.last_change = sequence;
        }
    }

    fn note_given(&mut self, catalogue: &Catalogue, drops: &Drops) {
        self.last_collection = catalogue.last_collection();
        self.last_node = catalogue.last_node();
        self.forgotten_drop = drops.forgotten();
    }
}
