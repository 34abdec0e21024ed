//! A database that is open: operations in, outcomes out.
//!
//! ```text
//!   submit ──▶ decided and ordered (level `accepted`) ──▶ wait ──▶ durable and published (level `durable`)
//!     │                                                     │
//!     └── Err: no outcome, the number stays free            └── Err: the database stopped; end the process
//! ```
//!
//! Any number of threads may submit and wait; the first that waits leads the commit of all. A caller that must not
//! block uses [`Database::commit`] on a thread of its own and a [`Listener`](super::Listener).

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::codec::{self, Buffers};
use super::committer::Committer;
use super::decider::{Answer, Decider, Published, Request};
use super::decision::Decision;
use super::error::EngineError;
use super::outcome::{Outcome, Refusal};
use super::prepare::{Prepared, prepare};
use super::record::Id;
use super::rows::PublishedView;
use super::shared::{Shared, lock};
use super::sweep::Sweeper;
use crate::log::{GroupCommit, LogError, LogView, Need, Sequences};
use crate::wire::message::Groups;
use crate::wire::{Clock, Position};

/// An operation as a session hands it over.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// The node that it comes from.
    pub node: Id,
    /// Its number among those of the node.
    pub number: u64,
    /// Its body.
    pub groups: Groups<'a>,
    /// On whose behalf, at most 255 bytes.
    pub principal: &'a str,
    /// The trace that it is part of.
    pub trace: Option<[u8; 16]>,
}

/// What was decided of an operation, and when that may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// What was decided. At level `accepted` it may be told at once.
    pub outcome: Outcome,
    /// The number up to which the log must be durable before it may be told at level `durable`; 0 if it is.
    pub through: u64,
}

/// A database that is open. It ends with [`Database::close`]; dropping it is what a kill would be.
pub struct Database {
    pub(super) shared: Arc<Shared>,
    pub(super) decider: Mutex<Decider>,
    pub(super) mode: Mode,
    pub(super) sweeper: Mutex<Sweeper>,
    /// When it was opened, by the environment's time that never goes back.
    pub(super) opened: Duration,
    /// The node that was looked at last.
    pub(super) tended: Mutex<Option<Id>>,
}

/// Whether a database takes operations.
pub(super) enum Mode {
    Writable(Box<GroupCommit<Committer>>),
    ReadOnly { reason: Arc<str>, view: LogView },
}

impl std::fmt::Debug for Database {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Database({})", self.position())
    }
}

impl Database {
    /// Decides an operation and orders it. It is neither durable nor visible yet, unless it was decided before.
    ///
    /// # Errors
    /// None is an outcome, and the number stays free: [`EngineError::OperationGap`],
    /// [`EngineError::IdentityReused`], [`EngineError::IdentityExpired`], [`EngineError::ReadOnly`],
    /// [`EngineError::DiskFull`], [`EngineError::TooManyNodes`], [`EngineError::Read`]. After
    /// [`EngineError::Stopped`] the process must end.
    pub fn submit(&self, submission: &Submission<'_>) -> Result<Ticket, EngineError> {
        let prepared = prepare(submission.groups);
        let request = Request { node: submission.node, number: submission.number, prepared: &prepared };
        self.decide(&request, submission.principal, submission.trace)
    }

    /// Uses a number up for an operation that is refused whatever the state, as one whose payload cannot be read: the
    /// refusal is its outcome, decided, ordered and kept like any other. `body` is what stands in the payload behind
    /// number and level, or the groups alone where they can be read.
    ///
    /// # Errors
    /// As [`Database::submit`].
    pub fn refuse(
        &self,
        node: Id,
        number: u64,
        body: &[u8],
        refusal: Refusal,
    ) -> Result<Ticket, EngineError> {
        let prepared = Prepared::refused(body, refusal);
        self.decide(&Request { node, number, prepared: &prepared }, "", None)
    }

    fn decide(
        &self,
        request: &Request<'_>,
        principal: &str,
        trace: Option<[u8; 16]>,
    ) -> Result<Ticket, EngineError> {
        let group = self.writable()?;
        let mut decider = lock(&self.decider);
        self.shared.check()?;
        let published = self.shared.published();
        let view = PublishedView::new(&*published.snapshot, &*self.shared.store);
        let view = Published { sequence: published.sequence, state: &view };
        let decision = match decider.decide(view, request, self.shared.environment.unix_ms())? {
            Answer::Again { outcome, through } => return Ok(Ticket { outcome, through }),
            Answer::Decided(decision) => Arc::new(decision),
        };
        self.order(group, &decision, principal, trace)?;
        decider.accept(&decision);
        let outcome = decision.ledger.map(|entry| entry.outcome);
        let outcome = outcome.ok_or_else(|| self.shared.stop("a decision without an outcome"))?;
        Ok(Ticket { outcome, through: decision.last_sequence() })
    }

    pub(super) fn order(
        &self,
        group: &GroupCommit<Committer>,
        decision: &Arc<Decision>,
        principal: &str,
        trace: Option<[u8; 16]>,
    ) -> Result<(), EngineError> {
        self.shared.note_clock(decision.clock);
        let buffers = Buffers::of(decision);
        let head = codec::head(decision, principal, trace);
        let effects = codec::effects(decision, &buffers);
        // Whoever leads may fold the transaction before `order` returns.
        self.shared.queue(decision.clone());
        let ordered = group.order(&head, &effects, self.shared.moment());
        let expected = Sequences { first: decision.first_sequence, last: decision.last_sequence() };
        let was_full = matches!(ordered, Err(LogError::DiskFull));
        // What was taken of the reserve says nothing of room.
        if was_full != self.lacks_room() && (was_full || Need::of(&effects) == Need::Growth) {
            self.shared.lacks_room.store(was_full, Ordering::Relaxed);
        }
        match ordered {
            Ok(found) if found == expected => Ok(()),
            Ok(found) => Err(self.shared.stop(&format!("the log numbered {found:?} what is {expected:?}"))),
            Err(error) => {
                self.shared.unqueue();
                Err(self.refused(error))
            }
        }
    }

    /// Returns once what was decided is durable and published; leads the commit if nobody does.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]: whether the operation is durable will be seen when the database is opened again.
    pub fn wait(&self, ticket: &Ticket) -> Result<Outcome, EngineError> {
        if ticket.through > 0 {
            let group = self.writable()?;
            let transaction = Sequences { first: ticket.through, last: ticket.through };
            group.wait(transaction, self.shared.moment()).map_err(|error| self.refused(error))?;
        }
        self.shared.check()?;
        Ok(ticket.outcome)
    }

    /// [`Database::submit`] and [`Database::wait`].
    ///
    /// # Errors
    /// Those of both.
    pub fn run(&self, submission: &Submission<'_>) -> Result<Outcome, EngineError> {
        let ticket = self.submit(submission)?;
        self.wait(&ticket)
    }

    /// Leads one commit if something waits for one and nobody leads. Returns whether it did.
    ///
    /// # Errors
    /// [`EngineError::Stopped`].
    pub fn commit(&self) -> Result<bool, EngineError> {
        let group = self.writable()?;
        let led = group.lead_if_free(self.shared.moment()).map_err(|error| self.refused(error))?;
        self.shared.check()?;
        Ok(led)
    }

    /// How long leading a commit is expected to wait for the disk; `None` if nothing waits for one, or someone leads.
    pub fn commit_wait(&self) -> Option<Duration> {
        let group = self.writable().ok()?;
        group.is_free().then(|| self.shared.disk_wait())
    }

    /// The highest operation number of a node that was decided, durable or not: what a welcome says.
    ///
    /// # Errors
    /// [`EngineError::Read`], [`EngineError::Stopped`].
    pub fn highest_operation(&self, node: &Id) -> Result<u64, EngineError> {
        self.shared.check()?;
        let mut decider = lock(&self.decider);
        let published = self.shared.published();
        let view = PublishedView::new(&*published.snapshot, &*self.shared.store);
        decider.highest_operation(Published { sequence: published.sequence, state: &view }, node)
    }

    /// The position of the last change that is published.
    pub fn position(&self) -> Position {
        self.shared.position(self.shared.published().last_change)
    }

    /// The position of the change with this number.
    pub fn position_of(&self, sequence: u64) -> Position {
        self.shared.position(sequence)
    }

    /// The database's own id.
    pub fn id(&self) -> Id {
        self.shared.database
    }

    /// The last reading of the hybrid clock.
    pub fn clock(&self) -> Clock {
        Clock::from_bits(self.shared.moment().hlc)
    }

    /// Why the database takes no operations, if it does not.
    pub fn read_only(&self) -> Option<&str> {
        match &self.mode {
            Mode::Writable(_) => None,
            Mode::ReadOnly { reason, .. } => Some(reason),
        }
    }

    /// Whether the disk had no room when something was to be written last.
    pub fn lacks_room(&self) -> bool {
        self.shared.lacks_room.load(Ordering::Relaxed)
    }

    pub(super) fn writable(&self) -> Result<&GroupCommit<Committer>, EngineError> {
        match &self.mode {
            Mode::Writable(group) => Ok(group),
            Mode::ReadOnly { reason, .. } => Err(EngineError::ReadOnly(reason.clone())),
        }
    }

    /// What an error of the log means to a caller; one that leaves the disk unknown stops the database.
    pub(super) fn refused(&self, error: LogError) -> EngineError {
        if let Err(stopped) = self.shared.check() {
            return stopped;
        }
        if error.is_fatal() { self.shared.stop(&error.to_string()) } else { error.into() }
    }
}
