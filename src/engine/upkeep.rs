//! What keeps a database in order beside its commits: idle commits, the next segment, flushes, checkpoints, trimming,
//! verification, closing.

use super::database::{Database, Mode};
use super::error::EngineError;
use super::rows;
use super::shared::lock;
use crate::store::{self, Maintained, VerifyReport};

/// What a checkpoint did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpointed {
    /// The number up to which the store on disk stands.
    pub sequence: u64,
    /// How many segments of the log went.
    pub trimmed_segments: usize,
}

impl Database {
    /// To be called some 20 times a second: when the log has become idle, an empty commit vouches for its last
    /// batch. Returns whether it wrote.
    ///
    /// # Errors
    /// [`EngineError::Stopped`].
    pub fn tick(&self) -> Result<bool, EngineError> {
        let group = self.writable()?;
        group.tick(self.shared.moment()).map_err(|error| self.refused(error))
    }

    /// Makes the log's next segment beforehand, does one piece of the store's maintenance, and sweeps some rows of dropped
    /// collections. To be called now and
    /// then, from a thread that serves no client. Returns whether there was anything to do.
    ///
    /// # Errors
    /// [`EngineError::DiskFull`] and [`EngineError::Read`]: nothing is lost, call again later.
    /// [`EngineError::Stopped`].
    pub fn maintain(&self) -> Result<bool, EngineError> {
        let mut worked = false;
        if let Mode::Writable(group) = &self.mode {
            worked = group.prepare().map_err(|error| self.refused(error))?;
            worked |= self.shared.store.maintain()? == Maintained::Worked;
            worked |= self.sweep()?;
        }
        Ok(worked)
    }

    /// Brings the store to stable storage as far as the log is durable, then trims what neither the store nor the
    /// retention needs of the log.
    ///
    /// # Errors
    /// As [`Database::maintain`].
    pub fn checkpoint(&self) -> Result<Checkpointed, EngineError> {
        let group = self.writable()?;
        self.shared.check()?;
        self.shared.store.checkpoint()?;
        let sequence = self.shared.store.checkpointed().seq;
        let floor = self.shared.retention_floor();
        let trimmed_segments = group.trim(sequence.min(floor)).map_err(|error| self.refused(error))?;
        Ok(Checkpointed { sequence, trimmed_segments })
    }

    /// Re-reads every row, recomputes counts and digests, holds records and changes by position against each other
    /// both ways, and lets the store check its own files.
    ///
    /// # Errors
    /// [`EngineError::Read`]. Damage is part of the report.
    pub fn verify(&self) -> Result<VerifyReport, EngineError> {
        let published = self.shared.published();
        let half_gone = rows::read_half_gone(&*published.snapshot)?;
        let mut report = store::verify_except(&*published.snapshot, &half_gone)?;
        let mut wrong = |what: String| {
            report.wrong = report.wrong.saturating_add(1);
            report.findings.push(what);
        };
        if let Err(damage) = self.shared.store.check() {
            wrong(damage.to_string());
        }
        if let Some(reason) = self.read_only() {
            wrong(reason.to_owned());
        }
        let named: Vec<u32> = published.collections.values().copied().collect();
        let nameless: Vec<u32> = report
            .collections
            .keys()
            .map(|id| id.number())
            .filter(|number| !named.contains(number))
            .collect();
        for number in nameless {
            report.wrong = report.wrong.saturating_add(1);
            report.findings.push(format!("collection {number} holds records and has no name"));
        }
        Ok(report)
    }

    /// Commits what waits, vouches for it, and makes a checkpoint, so that the next opening replays nothing. No
    /// thread may use the database any more.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; any other: everything acknowledged is in the log all the same.
    pub fn close(&self) -> Result<(), EngineError> {
        let Mode::Writable(group) = &self.mode else { return Ok(()) };
        group.close(self.shared.moment()).map_err(|error| self.refused(error))?;
        self.checkpoint().map(drop)
    }

    /// The log as it can be read now.
    pub(super) fn log_view(&self) -> Result<crate::log::LogView, EngineError> {
        match &self.mode {
            Mode::Writable(group) => group.view().map_err(|error| self.refused(error)),
            Mode::ReadOnly { view, .. } => Ok(view.clone()),
        }
    }
}

/// What the feed says comes after a number.
impl Database {
    pub(super) fn next_in_feed(&self, after: u64) -> super::feed::Next {
        lock(&self.shared.feed).next(after)
    }
}
