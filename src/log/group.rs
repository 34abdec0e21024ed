//! Group commit led by the first waiter: one write and one sync for all who wait.
//!
//! Whoever waits first takes the batch that has gathered, writes it, syncs it and lets the store fold it meanwhile;
//! those who come in between gather the next batch, and one of them leads that. No thread is changed for a lone
//! client (`spec/adr/0004-group-commit.md`).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::{Batch, Sequences};
use super::effect::Effect;
use super::error::LogError;
use super::limits::{MAX_WAITING_BYTES, SYNC_ASIDE_TRANSACTIONS};
use super::options::Moment;
use super::position::Position;
use super::reader::LogView;
use super::room::Need;
use super::transaction::TransactionHead;
use super::writer::{Log, Synced, Unsynced};

/// What happens to a batch beside its way into the log: the store's part.
pub trait Fold: Send + Sync {
    /// Brings the effects of these transactions into the store's memory, where nobody sees them yet. Runs before or
    /// while the batch is synced; batches come in order, one at a time.
    fn fold(&self, batch: Sequences);

    /// Everything up to `position` is durable and folded: show it. Called in order.
    fn publish(&self, position: Position);

    /// Runs `sync`, of a batch that is not worth another thread: for whoever measures the disk.
    fn sync_alone(&self, sync: Unsynced) -> Result<Synced, LogError> {
        sync.sync()
    }

    /// Runs `sync` on another thread while `fold` runs here, and returns once both are done. The default does one
    /// after the other.
    fn sync_beside(&self, sync: Unsynced, fold: &mut dyn FnMut()) -> Result<Synced, LogError> {
        let synced = sync.sync();
        fold();
        synced
    }
}

/// A log with a queue in front of it.
#[derive(Debug)]
pub struct GroupCommit<F> {
    fold: F,
    queue: Mutex<Queue>,
    /// Woken when a leader is done.
    done: Condvar,
}

#[derive(Debug)]
struct Queue {
    waiting: Batch,
    /// Taken while someone leads.
    log: Option<Box<Log>>,
    /// How large the next batch may become, while someone leads.
    room: usize,
    published: Position,
    failed: bool,
}

impl<F: Fold> GroupCommit<F> {
    /// Puts a queue in front of `log`, all of which has been published.
    pub fn new(log: Box<Log>, fold: F) -> Self {
        let next = log.next_sequence();
        let published = log.position(next.saturating_sub(1));
        let waiting = Batch::new(next);
        let queue = Queue { waiting, log: Some(log), room: 0, published, failed: false };
        Self { fold, queue: Mutex::new(queue), done: Condvar::new() }
    }

    /// Orders a transaction: it gets its sequence numbers and joins the batch that gathers. It is not durable before
    /// [`GroupCommit::wait`] says so. When too much waits already, this waits for a leader or leads itself.
    ///
    /// # Errors
    /// The caller's, as of [`Batch::push`]. [`LogError::DiskFull`]: refused, nothing has changed. Any other: end the
    /// process.
    pub fn order(
        &self,
        head: &TransactionHead<'_>,
        effects: &[Effect<'_>],
        moment: Moment,
    ) -> Result<Sequences, LogError> {
        let mut queue = self.lock();
        loop {
            if queue.failed {
                return Err(LogError::Poisoned);
            }
            let is_full = queue.waiting.segment_bytes() > MAX_WAITING_BYTES;
            let bytes = queue.waiting.segment_bytes_with(head, effects)?;
            let room = queue.room;
            match queue.log.as_mut() {
                Some(_) if is_full => queue = self.lead(queue, moment)?,
                Some(log) => {
                    log.reserve(bytes, Need::of(effects))?;
                    return queue.waiting.push(head, effects);
                }
                None if !is_full && bytes <= room => return queue.waiting.push(head, effects),
                None => queue = self.done.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Returns once the transaction is durable and published; leads if nobody does.
    ///
    /// # Errors
    /// [`LogError::Io`] or [`LogError::Poisoned`]: end the process; whether the transaction is in the log will be
    /// seen when it is opened again.
    pub fn wait(&self, transaction: Sequences, moment: Moment) -> Result<Position, LogError> {
        let mut queue = self.lock();
        loop {
            if queue.published.sequence >= transaction.last {
                return Ok(Position { sequence: transaction.last, ..queue.published });
            }
            if queue.failed {
                return Err(LogError::Poisoned);
            }
            queue = if queue.log.is_some() {
                self.lead(queue, moment)?
            } else {
                self.done.wait(queue).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Leads once if something waits and nobody leads: for callers that are told of publications and never wait.
    /// Returns whether it did.
    ///
    /// # Errors
    /// As of [`GroupCommit::wait`].
    pub fn lead_if_free(&self, moment: Moment) -> Result<bool, LogError> {
        let queue = self.lock();
        if queue.failed {
            return Err(LogError::Poisoned);
        }
        if queue.waiting.is_empty() || queue.log.is_none() {
            return Ok(false);
        }
        self.lead(queue, moment).map(|_| true)
    }

    /// Whether [`GroupCommit::lead_if_free`] would lead now.
    pub fn is_free(&self) -> bool {
        let queue = self.lock();
        !queue.waiting.is_empty() && queue.log.is_some()
    }

    /// Everything up to here is durable and published.
    pub fn published(&self) -> Position {
        self.lock().published
    }

    /// What can be read now. Waits for a leader.
    ///
    /// # Errors
    /// [`LogError::Poisoned`].
    pub fn view(&self) -> Result<LogView, LogError> {
        self.with_log(|log| Ok(log.view()))
    }

    /// To be called some 20 times a second, or when [`Log::next_tick`] says; see [`Log::tick`].
    ///
    /// # Errors
    /// As of [`Log::tick`].
    pub fn tick(&self, moment: Moment) -> Result<bool, LogError> {
        self.with_log(|log| log.tick(moment))
    }

    /// See [`Log::trim`].
    ///
    /// # Errors
    /// As of [`Log::trim`].
    pub fn trim(&self, checkpoint: u64) -> Result<usize, LogError> {
        self.with_log(|log| log.trim(checkpoint))
    }

    /// Makes the next segment if it will soon be wanted, while commits go on. To be called now and then from a thread
    /// that serves no client. Returns whether it made one.
    ///
    /// # Errors
    /// [`LogError::DiskFull`]: commits go on until the segment is full. [`LogError::Io`]: end the process.
    pub fn prepare(&self) -> Result<bool, LogError> {
        let Some(request) = self.with_log(|log| Ok(log.request_spare()))? else { return Ok(false) };
        let made = request.make();
        self.with_log(|log| log.take_spare(made)).map(|()| true)
    }

    /// Commits what waits and vouches for it; see [`Log::close`].
    ///
    /// # Errors
    /// As of [`GroupCommit::wait`].
    pub fn close(&self, moment: Moment) -> Result<(), LogError> {
        while self.lead_if_free(moment)? {}
        self.with_log(|log| log.close(moment))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits what waits. The lock is free meanwhile.
    fn lead<'q>(
        &'q self,
        mut queue: MutexGuard<'q, Queue>,
        moment: Moment,
    ) -> Result<MutexGuard<'q, Queue>, LogError> {
        let Some(mut log) = queue.log.take() else { return Ok(queue) };
        let next = Batch::new(queue.waiting.next_sequence());
        let batch = std::mem::replace(&mut queue.waiting, next);
        queue.room = log.room_after(batch.segment_bytes());
        drop(queue);
        let unwinding = StopIfUnwinding(self);
        let committed = self.commit(&mut log, batch, moment);
        drop(unwinding);
        let mut queue = self.lock();
        match &committed {
            Ok(position) => {
                queue.published = *position;
                queue.log = Some(log);
            }
            Err(_) => queue.failed = true,
        }
        self.done.notify_all();
        committed.map(|_| queue)
    }

    fn commit(&self, log: &mut Log, batch: Batch, moment: Moment) -> Result<Position, LogError> {
        let sequences = batch.sequences();
        let is_large = batch.transactions() >= SYNC_ASIDE_TRANSACTIONS;
        let unsynced = log.write(batch, moment)?;
        let mut fold = || self.fold.fold(sequences);
        let synced = if is_large {
            self.fold.sync_beside(unsynced, &mut fold)
        } else {
            let synced = self.fold.sync_alone(unsynced);
            if synced.is_ok() {
                fold();
            }
            synced
        };
        let position = log.finish(synced)?;
        self.fold.publish(position);
        Ok(position)
    }

    /// Runs `run` on the log while nobody leads and the lock is free.
    fn with_log<T>(&self, run: impl FnOnce(&mut Log) -> Result<T, LogError>) -> Result<T, LogError> {
        let mut queue = self.lock();
        let mut log = loop {
            if queue.failed {
                return Err(LogError::Poisoned);
            }
            match queue.log.take() {
                Some(log) => break log,
                None => queue = self.done.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        queue.room = log.room_after(0);
        drop(queue);
        let unwinding = StopIfUnwinding(self);
        let result = run(&mut log);
        drop(unwinding);
        let mut queue = self.lock();
        if result.as_ref().is_err_and(LogError::is_fatal) {
            queue.failed = true;
        } else {
            queue.log = Some(log);
        }
        self.done.notify_all();
        result
    }
}

/// A panic of the store in the middle of a commit stops the log for everyone, rather than leave them waiting.
struct StopIfUnwinding<'a, F: Fold>(&'a GroupCommit<F>);

impl<F: Fold> Drop for StopIfUnwinding<'_, F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed = true;
            self.0.done.notify_all();
        }
    }
}
