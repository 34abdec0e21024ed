//! What all connections of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::environment::Machine;
use super::limits::SLOW_COMMIT;
use crate::proto::ServerConfig;
use crate::service::{Databases, Session, StorageFailure};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) machine: Arc<Machine>,
    pub(super) databases: Arc<Databases>,
    pub(super) protocol: ServerConfig,
    /// Changes whenever something was published, or a log became free.
    pub(super) changes: watch::Sender<u64>,
    /// Set when the server stops.
    pub(super) stopping: watch::Sender<bool>,
    /// A moving mean of how long commits take, in nanoseconds.
    commit_nanos: AtomicU64,
}

impl Hub {
    pub(super) fn new(machine: Arc<Machine>, databases: Arc<Databases>, changes: watch::Sender<u64>) -> Self {
        Self {
            machine,
            databases,
            protocol: ServerConfig::default(),
            changes,
            stopping: watch::Sender::new(false),
            commit_nanos: AtomicU64::new(0),
        }
    }

    /// Leads a commit, on this thread. Where disks are slow, another thread takes over this one's connections first.
    pub(super) fn commit(&self, session: &Session) -> Result<(), StorageFailure> {
        let before = self.machine.now();
        let mean = self.commit_nanos.load(Ordering::Relaxed);
        let led = if Duration::from_nanos(mean) >= SLOW_COMMIT {
            tokio::task::block_in_place(|| session.commit())
        } else {
            session.commit()
        }?;
        if led {
            let took = u64::try_from(self.machine.now().since(before).as_nanos()).unwrap_or(u64::MAX);
            // An eighth of the new, seven of the old.
            let mean = mean.saturating_sub(mean / 8).saturating_add(took / 8);
            self.commit_nanos.store(mean, Ordering::Relaxed);
            // Publication came before the log was free again: whoever came in between may lead now.
            self.wake();
        }
        Ok(())
    }

    /// Lets whoever waits for a commit look again.
    pub(super) fn wake(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}
