//! Damage that an operator accepts: what it would lose, and going on without that; `spec/engine.md`, E-9.

use std::sync::Arc;

use super::codec::{self, Assembler};
use super::database::Database;
use super::decision::DecidedEffect;
use super::environment::Environment;
use super::error::EngineError;
use super::marker::Marker;
use super::opening::{identity_of, read_folding};
use super::retention::Retention;
use super::shared::Replay;
use crate::log::{Filesystem, Log, Mending, Options, Survey};
use crate::store::Store;

/// A database that nobody has open, and whose log may be damaged.
pub struct Damaged<'a> {
    /// The log's directory.
    pub log: &'a Arc<dyn Filesystem>,
    /// The store over it. One that does not outlive the process stands at nothing.
    pub store: &'a Arc<dyn Store>,
    /// The clocks and the randomness.
    pub environment: &'a Arc<dyn Environment>,
}

impl std::fmt::Debug for Damaged<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Damaged")
    }
}

impl Damaged<'_> {
    /// What is wrong with the log and what accepting it would do; `None` if nothing is. Writes nothing.
    ///
    /// # Errors
    /// [`EngineError::Unusable`], [`EngineError::Corrupted`], [`EngineError::Read`].
    pub fn survey(&self) -> Result<Option<Survey>, EngineError> {
        match self.marker()? {
            // A crash in its making left it: opening makes it.
            marker if !marker.is_ready => Ok(None),
            marker => Ok(Survey::of(self.log, &self.options(&marker))?),
        }
    }

    /// What of the effects numbered above `after` can still be read, in the order in which it lies: what an acceptance
    /// that keeps all up to `after` loses. A number that comes twice is what it was the last time.
    ///
    /// # Errors
    /// [`EngineError::Read`].
    pub fn lost(&self, after: u64, mut take: impl FnMut(u64, &DecidedEffect)) -> Result<(), EngineError> {
        let mut highest = after;
        Log::salvage(self.log)?.for_each(|found| {
            for (sequence, effect) in (found.piece.first_sequence..).zip(found.piece.effects()) {
                let is_new = sequence > highest;
                if let Some(effect) =
                    effect.filter(|_| is_new).and_then(|effect| codec::decode(sequence, &effect))
                {
                    highest = sequence;
                    take(sequence, &effect);
                }
            }
            Ok(())
        })
    }

    /// Accepts the damage: what is kept goes on in a new epoch, what is not is set aside. `None` if nothing is wrong. After
    /// a crash in here the log is damaged as before, or accepted.
    ///
    /// # Errors
    /// As [`Damaged::survey`], and [`EngineError::DiskFull`].
    pub fn accept(&self) -> Result<Option<Mending>, EngineError> {
        let Some(survey) = self.survey()? else { return Ok(None) };
        let marker = self.marker()?;
        if survey.is_below_applied() && self.store.checkpointed().seq > 0 {
            self.rescue(&marker)?;
        }
        let mut options = self.options(&marker);
        let Some(survey) = Survey::of(self.log, &options)? else { return Ok(None) };
        let mending = survey.carry_out(self.log, &mut options)?;
        if let Mending::Loss(loss) = &mending {
            Marker { epoch: loss.epoch, ..marker }.write(&**self.log)?;
        }
        Ok(Some(mending))
    }

    /// Brings the store to the end of what follows it in the log without a gap, whatever is damaged before that: the new
    /// log begins there.
    fn rescue(&self, marker: &Marker) -> Result<(), EngineError> {
        let folding = read_folding(&**self.store, marker, Retention::default())?;
        let epoch = self.store.applied().epoch.max(marker.epoch);
        let mut replay = Replay::new(&**self.store, epoch, folding);
        let mut next = self.store.applied().seq.saturating_add(1);
        let mut assembler = Assembler::default();
        let rescued: Result<(), EngineError> = Log::salvage(self.log)?.for_each(|found| {
            if found.is_linked && found.piece.first_sequence == next {
                next = found.piece.last_sequence().saturating_add(1);
                if let Some(decision) = assembler.take(&found.piece)? {
                    replay.push(decision)?;
                }
            }
            Ok(())
        });
        // An effect that cannot be read ends what is rescued, not the acceptance.
        match rescued {
            Ok(()) | Err(EngineError::Corrupted(_)) => {}
            Err(error) => return Err(error),
        }
        replay.finish()?;
        self.store.checkpoint()?;
        Ok(())
    }

    fn marker(&self) -> Result<Marker, EngineError> {
        let missing = || {
            EngineError::Corrupted("the log's FORMAT file is missing: restore it from a backup".to_owned())
        };
        Marker::read(&**self.log)?.ok_or_else(missing)
    }

    fn options(&self, marker: &Marker) -> Options {
        let environment = self.environment.clone();
        let applied = self.store.checkpointed().seq;
        Options::new(identity_of(marker), applied, Box::new(move || environment.random()))
    }
}

/// What reading a whole log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheck {
    /// The number from which on every change is held; `None` if none can be read.
    pub first: Option<u64>,
    /// Whole transactions.
    pub transactions: u64,
    /// What is wrong, if anything is.
    pub problem: Option<String>,
}

impl Database {
    /// Reads every transaction that the log holds, and compares every record with its checksum.
    ///
    /// # Errors
    /// [`EngineError::Read`]; what is wrong is part of the answer.
    pub fn check_log(&self) -> Result<LogCheck, EngineError> {
        let view = self.log_view()?;
        let first = view.first_sequence();
        let mut check = LogCheck { first, transactions: 0, problem: None };
        let mut reader = view.read_from(first.unwrap_or(1))?;
        let mut assembler = Assembler::default();
        loop {
            let taken = match reader.next_piece() {
                Ok(Some(piece)) => assembler.take(&piece),
                Ok(None) => return Ok(check),
                Err(error) => Err(error.into()),
            };
            match taken {
                Ok(whole) => {
                    check.transactions = check.transactions.saturating_add(u64::from(whole.is_some()))
                }
                Err(EngineError::Corrupted(what)) => {
                    check.problem = Some(what);
                    return Ok(check);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
