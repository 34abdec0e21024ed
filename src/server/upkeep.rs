//! What a server does beside serving: the log's ticks, the store's maintenance, checkpoints.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::environment::Machine;
use super::error::ServerError;
use super::limits::{CHECKPOINT_AFTER, FULL_DISK_PAUSE, MAINTENANCE, TICK, UPKEEP_NICENESS};
use super::report;
use crate::engine::{EngineError, Environment};
use crate::service::{Databases, Served};

/// The thread of these duties. It stops when this is dropped.
#[derive(Debug)]
pub(super) struct Upkeep {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// One database's duties.
#[derive(Debug)]
struct Duty {
    served: Arc<Served>,
    maintained: Duration,
    /// Until then maintenance and checkpoints rest, since the disk was full.
    resting_until: Duration,
    /// Whether it was told that writes are refused for want of room.
    told_of_no_room: bool,
    checkpointed: Duration,
    /// After how many bytes of changes a checkpoint is made.
    checkpoint_bytes: u64,
    /// What was told of last, so that a full disk is told of once.
    told: Option<String>,
}

impl Upkeep {
    pub(super) fn start(
        databases: &Databases,
        machine: Arc<Machine>,
        checkpoint_bytes: u64,
    ) -> Result<Self, ServerError> {
        let (stop, stopped) = channel();
        let now = machine.elapsed();
        let duties = databases.iter().map(|served| Duty {
            served: served.clone(),
            maintained: now,
            resting_until: now,
            told_of_no_room: false,
            checkpointed: now,
            checkpoint_bytes,
            told: None,
        });
        let duties: Vec<Duty> = duties.collect();
        let thread = std::thread::Builder::new().name("blazedb-upkeep".to_owned());
        let thread = thread.spawn(move || run(duties, &machine, &stopped)).map_err(ServerError::System)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was printed, and told through the publication.
            let _ = thread.join();
        }
    }
}

/// Lets the threads that serve clients go first. Where the system does not allow it, nothing but latency is lost.
fn step_back() {
    // Elsewhere a priority is that of the whole process.
    if !cfg!(target_os = "linux") {
        return;
    }
    let nice = rustix::process::getpriority_process(None).unwrap_or(0).saturating_add(UPKEEP_NICENESS);
    let _ = rustix::process::setpriority_process(None, nice);
}

fn run(mut duties: Vec<Duty>, machine: &Machine, stopped: &Receiver<()>) {
    step_back();
    while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        for duty in &mut duties {
            duty.turn(machine.elapsed());
        }
    }
}

impl Duty {
    fn turn(&mut self, now: Duration) {
        if self.served.database.read_only().is_some() || self.served.publication.failure().is_some() {
            return;
        }
        let done = self.try_turn(now);
        self.tell_of_room();
        // The log was held: whoever found it taken may lead now.
        self.served.publication.wake();
        match done {
            // While it rests nothing was tried.
            Ok(()) if now < self.resting_until => {}
            Ok(()) => self.told = None,
            Err(EngineError::Stopped(reason)) => drop(self.served.publication.fail(&*reason)),
            Err(error) => {
                self.resting_until = now.saturating_add(FULL_DISK_PAUSE);
                let text = format!("database {}: {error}", self.served.name);
                if self.told.as_ref() != Some(&text) {
                    report(&text);
                    self.told = Some(text);
                }
            }
        }
    }

    fn tell_of_room(&mut self) {
        let lacks_room = self.served.database.lacks_room();
        if lacks_room == self.told_of_no_room {
            return;
        }
        self.told_of_no_room = lacks_room;
        let what = if lacks_room {
            "the disk is full: what needs room is refused, reading and deleting go on; free some space"
        } else {
            "there is room again"
        };
        report(format_args!("database {}: {what}", self.served.name));
    }

    fn try_turn(&mut self, now: Duration) -> Result<(), EngineError> {
        let Served { database, publication, nodes, .. } = &*self.served;
        database.tick()?;
        if now < self.resting_until {
            return Ok(());
        }
        if now.saturating_sub(self.maintained) >= MAINTENANCE {
            // One piece a turn: the log's ticks must not wait for all of a large compaction.
            if !database.maintain()? && !database.tend_nodes(&|node| nodes.is_connected(node))? {
                self.maintained = now;
            }
        }
        let unsaved = publication.unsaved_bytes();
        // A checkpoint lets the log be trimmed, which is room.
        let is_due = database.lacks_room() || now.saturating_sub(self.checkpointed) >= CHECKPOINT_AFTER;
        if unsaved >= self.checkpoint_bytes || unsaved > 0 && is_due {
            let unsaved = publication.take_unsaved_bytes();
            self.checkpointed = now;
            database.checkpoint().inspect_err(|_| publication.give_back_unsaved_bytes(unsaved))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of `spec/server.md`, S-8.1.
    #[test]
    fn the_log_is_asked_25_times_a_second_and_the_store_5_times() {
        assert_eq!(TICK * 25, Duration::from_secs(1));
        assert_eq!(MAINTENANCE, Duration::from_millis(200));
    }
}
