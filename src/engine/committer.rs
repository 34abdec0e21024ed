//! The store's part of group commit: fold beside the sync, publish after it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::shared::{Shared, lock};
use crate::log::group::Fold;
use crate::log::{LogError, Position, Sequences, Synced, Unsynced};

/// Folds and publishes for the log.
pub(super) struct Committer {
    shared: Arc<Shared>,
    syncer: Option<Mutex<Syncer>>,
}

/// A thread that syncs while the leader folds.
struct Syncer {
    jobs: Sender<Unsynced>,
    done: Receiver<Result<Synced, LogError>>,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, syncer: Syncer::start().map(Mutex::new) }
    }
}

impl Syncer {
    /// `None` where no thread can be had: then the leader syncs by itself.
    fn start() -> Option<Self> {
        let (jobs, to_sync) = channel::<Unsynced>();
        let (synced, done) = channel();
        let run = move || {
            for job in to_sync {
                if synced.send(job.sync()).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("blazedb-sync".to_owned()).spawn(run).ok()?;
        Some(Self { jobs, done })
    }
}

impl Committer {
    /// Notes how long `wait` takes: that is what the leader's thread is lost to others for.
    fn timed<T>(&self, wait: impl FnOnce() -> T) -> T {
        let before = self.shared.environment.elapsed();
        let result = wait();
        self.shared.note_disk_wait(self.shared.environment.elapsed().saturating_sub(before));
        result
    }
}

impl Fold for Committer {
    fn fold(&self, batch: Sequences) {
        self.shared.fold(batch.last);
    }

    fn publish(&self, position: Position) {
        self.shared.publish(position.sequence);
    }

    fn sync_alone(&self, sync: Unsynced) -> Result<Synced, LogError> {
        self.timed(|| sync.sync())
    }

    fn sync_beside(&self, sync: Unsynced, fold: &mut dyn FnMut()) -> Result<Synced, LogError> {
        let alone = |sync: Unsynced, fold: &mut dyn FnMut()| {
            let synced = sync.sync();
            fold();
            synced
        };
        let Some(syncer) = &self.syncer else { return alone(sync, fold) };
        let syncer = lock(syncer);
        if let Err(unsent) = syncer.jobs.send(sync) {
            return alone(unsent.0, fold);
        }
        fold();
        // The thread ends only with its channel: it always answers.
        self.timed(|| syncer.done.recv().unwrap_or(Err(LogError::Poisoned)))
    }
}
