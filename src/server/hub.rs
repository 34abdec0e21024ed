//! What all connections of a server share.

use std::sync::Arc;

use tokio::sync::watch;

use super::door::Doors;
use super::environment::Machine;
use super::limits::SLOW_DISK;
use super::metrics::Metrics;
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
    pub(super) metrics: Arc<Metrics>,
}

impl Hub {
    /// What the connections through `doors` share once the databases are open.
    pub(super) fn new(doors: &Doors, databases: Arc<Databases>, changes: watch::Sender<u64>) -> Self {
        Self {
            machine: doors.machine.clone(),
            databases,
            protocol: doors.protocol.clone(),
            changes,
            stopping: doors.stopping.clone(),
            metrics: doors.metrics.clone(),
        }
    }

    /// Leads a commit, on this thread. Where disks are slow, another thread takes over this one's connections first.
    pub(super) fn commit(&self, session: &Session) -> Result<(), StorageFailure> {
        // Where someone else leads there is nothing to wait for: that is no reason to change threads.
        let Some(wait) = session.commit_wait() else { return Ok(()) };
        let led = if wait >= SLOW_DISK {
            tokio::task::block_in_place(|| session.commit())
        } else {
            session.commit()
        }?;
        if led {
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
