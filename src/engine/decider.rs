//! The decider: the one place where preconditions are checked and changes are made up.
//!
//! ```text
//!   decide ──▶ Answer::Again(first answer)                 the number is known
//!      │
//!      └─────▶ Answer::Decided(decision) ── accept ──▶ counted in, not yet durable ── publish ──▶ forgotten here
//! ```
//!
//! `decide` changes nothing that a later call sees; only `accept` does. It knows nothing of the log, of clocks or of
//! threads: time is an argument.

use super::catalogue::Catalogue;
use super::decision::{CatalogueEntry, DecidedEffect, Decision};
use super::draft::{Draft, Stop};
use super::error::EngineError;
use super::hybrid_clock::HybridClock;
use super::limits::{MAX_NODES, OUTCOMES_KEPT};
use super::outcome::{LedgerEntry, Outcome, Refusal, Verdict};
use super::prepare::{Item, Prepared};
use super::record::Id;
use super::view::{Overlay, StateView};
use crate::wire::Clock;

/// An operation as it comes from its node.
#[derive(Debug)]
pub struct Request<'a> {
    /// The node.
    pub node: Id,
    /// The operation's number among those of its node.
    pub number: u64,
    /// What it asks for.
    pub prepared: &'a Prepared<'a>,
}

/// The published state and up to where it reaches.
#[derive(Clone, Copy)]
pub struct Published<'a> {
    /// The number of the last effect that it holds.
    pub sequence: u64,
    /// The state.
    pub state: &'a dyn StateView,
}

/// What the decider says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The operation was decided before.
    Again {
        /// Its first answer.
        outcome: Outcome,
        /// The number up to which the log must be durable before the answer is given; 0 if it is.
        through: u64,
    },
    /// A new decision.
    Decided(Decision),
}

/// The decider of one partition.
#[derive(Debug)]
pub struct Decider {
    clock: HybridClock,
    pub(super) catalogue: Catalogue,
    pub(super) overlay: Overlay,
    next_sequence: u64,
    last_change: u64,
}

impl Decider {
    /// A decider that goes on after `last_sequence`, the number of the last effect, and `last_change`, that of the
    /// last effect that changed a record.
    pub fn new(catalogue: Catalogue, clock: Clock, last_sequence: u64, last_change: u64) -> Self {
        Self {
            clock: HybridClock::after(clock),
            catalogue,
            overlay: Overlay::default(),
            next_sequence: last_sequence.saturating_add(1),
            last_change,
        }
    }

    /// The last clock that was given out.
    pub const fn clock(&self) -> Clock {
        self.clock.last()
    }

    /// Decides an operation.
    ///
    /// # Errors
    /// [`EngineError::OperationGap`] and [`EngineError::IdentityReused`], which are no outcomes: the number stays as
    /// it is. [`EngineError::Read`].
    pub fn decide(
        &mut self,
        published: Published<'_>,
        request: &Request<'_>,
        unix_ms: u64,
    ) -> Result<Answer, EngineError> {
        self.overlay.prune(published.sequence);
        if let Some((outcome, through)) = self.known(published, request)? {
            return Ok(Answer::Again { outcome, through });
        }
        let clock = self.clock.tick(unix_ms).to_bits();
        let (node_index, mut effects) = self.registration(request.node)?;
        let drafted = match &request.prepared.items {
            Ok(items) => self.draft(published, node_index, clock, effects.len(), items)?,
            Err(refusal) => Err(*refusal),
        };
        let (is_quiet, verdict) = match drafted {
            Ok((changes, unchanged)) => {
                let is_quiet = changes.is_empty();
                effects.extend(changes);
                (is_quiet, Verdict::Applied { unchanged })
            }
            Err(refusal) => (true, Verdict::Refused(refusal)),
        };
        let outcome = Outcome { verdict, sequence: self.last_change_with(&effects) };
        if is_quiet || verdict != (Verdict::Applied { unchanged: 0 }) {
            effects.push(DecidedEffect::Outcome(outcome));
        }
        let body_hash = request.prepared.body_hash;
        Ok(Answer::Decided(Decision {
            node: request.node,
            node_index,
            ledger: Some(LedgerEntry { number: request.number, body_hash, outcome }),
            first_sequence: self.next_sequence,
            clock,
            effects,
        }))
    }

    /// The index of a node, and the entry of the catalogue that gives it one if it has none.
    fn registration(&self, node: Id) -> Result<(u32, Vec<DecidedEffect>), EngineError> {
        if let Some(index) = self.catalogue.node(&node) {
            return Ok((index, Vec::new()));
        }
        if self.catalogue.nodes() >= MAX_NODES {
            return Err(EngineError::TooManyNodes);
        }
        let index = self.catalogue.last_node().saturating_add(1);
        Ok((index, vec![DecidedEffect::Catalogue(CatalogueEntry::Node { index, node })]))
    }

    /// Counts a decision in: later ones see it. It must be the last one decided.
    pub fn accept(&mut self, decision: &Decision) {
        self.overlay.add(decision);
        for (sequence, effect) in decision.numbered() {
            if let DecidedEffect::Catalogue(entry) = effect {
                self.catalogue.take(entry);
            }
            if effect.is_change() {
                self.last_change = sequence;
            }
        }
        self.next_sequence = decision.last_sequence().saturating_add(1);
    }

    /// The highest number of a node that was decided, durable or not.
    ///
    /// # Errors
    /// [`EngineError::Read`].
    pub fn highest_operation(&mut self, published: Published<'_>, node: &Id) -> Result<u64, EngineError> {
        match self.catalogue.node(node) {
            Some(index) => self.overlay.highest(index, published.state),
            None => Ok(0),
        }
    }

    /// The first answer to a number that was decided before.
    fn known(
        &mut self,
        published: Published<'_>,
        request: &Request<'_>,
    ) -> Result<Option<(Outcome, u64)>, EngineError> {
        let number = request.number;
        let Some(node) = self.catalogue.node(&request.node) else {
            return if number == 1 { Ok(None) } else { Err(EngineError::IdentityExpired) };
        };
        let highest = self.overlay.highest(node, published.state)?;
        let expected = highest.saturating_add(1);
        if number == expected {
            return Ok(None);
        }
        if number == 0 || number > expected {
            return Err(EngineError::OperationGap { expected, found: number });
        }
        let is_kept = highest.saturating_sub(number) < OUTCOMES_KEPT;
        let entry = if is_kept {
            self.overlay.outcome(node, number, (published.sequence, published.state))?
        } else {
            None
        };
        match entry {
            Some((entry, through)) if entry.body_hash == request.prepared.body_hash => {
                Ok(Some((entry.outcome, through)))
            }
            _ => Err(EngineError::IdentityReused { number }),
        }
    }

    /// The effects of the items, numbered behind `skip` others, and how many of them found nothing to change.
    fn draft(
        &self,
        published: Published<'_>,
        node: u32,
        clock: u64,
        skip: usize,
        items: &[Item<'_>],
    ) -> Result<Result<(Vec<DecidedEffect>, u32), Refusal>, EngineError> {
        let first = self.next_sequence.saturating_add(u64::try_from(skip).unwrap_or(u64::MAX));
        let mut draft = Draft::new(self, published.state, node, clock, first);
        for (number, item) in (0u32..).zip(items) {
            match draft.item(item) {
                Ok(()) => {}
                Err(Stop::Refused(refusal)) => {
                    return Ok(Err(Refusal { item: Some(number), ..refusal }));
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
        Ok(Ok(draft.finish()))
    }

    fn last_change_with(&self, effects: &[DecidedEffect]) -> u64 {
        let changes = (self.next_sequence..).zip(effects).filter(|(_, effect)| effect.is_change());
        changes.last().map_or(self.last_change, |(sequence, _)| sequence)
    }
}
