//! The second ledger, client side: operations whose outcome is not certain, kept to be sent again.
//!
//! ```text
//!   submit ──▶ kept ──written──▶ sent ──Ack durable──▶ gone
//!               ▲                 │
//!               └── reconnected ──┘     (same number, same bytes)
//! ```
//!
//! The outbox outlives connections: a client takes it from a closed one and gives it to the next. An operation
//! leaves it only when an Ack says that its outcome is durable, whatever level it asked for: a server that lost
//! what it merely accepted must be able to get it again. Its outcome is *reported* when an Ack of the level that
//! it asked for covers it, once.

use std::collections::VecDeque;

use uuid::Uuid;

use super::error::SubmitError;
use super::limits::{DEFAULT_OUTBOX_BYTES, MAX_OPERATION_WINDOW};
use crate::wire::ErrorCode;
use crate::wire::message::AckLevel;

/// An operation's result, as the client learns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The operation's number.
    pub number: u64,
    /// Applied, or refused without effect.
    pub result: Result<(), Refusal>,
}

/// Why something was refused, as the server said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code as it travelled.
    pub code: u16,
    /// The server's words.
    pub message: String,
    /// The payload of the Error, for its details.
    pub payload: Vec<u8>,
}

impl Refusal {
    /// The code, if this side knows it.
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::from_number(self.code)
    }
}

/// One operation that is kept.
#[derive(Debug, Clone)]
struct Kept {
    level: AckLevel,
    payload: Vec<u8>,
    /// What an Error said; final once an Ack of its level covers it.
    refusal: Option<Refusal>,
    reported: bool,
}

/// What the server told that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Impossible;

/// The operations of one node that are not known to be durable, and its numbering.
#[derive(Debug, Clone)]
pub struct Outbox {
    node: Option<Uuid>,
    kept: VecDeque<Kept>,
    /// The number of the first in `kept`, or of the next operation.
    oldest: u64,
    /// The number that the next new operation will carry.
    next: u64,
    /// The first number that this connection carries.
    first: u64,
    /// The first number not written on this connection.
    unsent: u64,
    /// The highest numbers acknowledged on this connection.
    accepted: u64,
    bytes: usize,
    max_bytes: usize,
    outcomes: VecDeque<Outcome>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Outbox {
    /// An empty outbox of `node`, whose first operation will be number 1. Without a node the server assigns one,
    /// which this outbox then keeps.
    pub fn new(node: Option<Uuid>) -> Self {
        Self::resuming(node, 1)
    }

    /// An empty outbox of a node whose next operation will carry `next`, at least 1: what a device stores when
    /// every outcome is known.
    pub fn resuming(node: Option<Uuid>, next: u64) -> Self {
        let next = next.max(1);
        Self {
            node,
            kept: VecDeque::new(),
            oldest: next,
            next,
            first: next,
            unsent: next,
            accepted: 0,
            bytes: 0,
            max_bytes: DEFAULT_OUTBOX_BYTES,
            outcomes: VecDeque::new(),
        }
    }

    /// Sets how many bytes of operations are kept; one operation may pass it.
    #[must_use]
    pub const fn with_max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The node, once known.
    pub const fn node(&self) -> Option<Uuid> {
        self.node
    }

    /// The number that the next new operation will carry.
    pub const fn next_number(&self) -> u64 {
        self.next
    }

    /// The oldest number without a durable outcome; the next number if there is none.
    pub const fn oldest_unacknowledged(&self) -> u64 {
        self.oldest
    }

    /// The payloads that are kept, oldest first, each with its number: what an offline device stores.
    pub fn operations(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (self.oldest..).zip(self.kept.iter().map(|kept| kept.payload.as_slice()))
    }

    /// Gives the kept operations to a new node: they are numbered from 1 again. For a client that was told
    /// `identity_reused` or `identity_expired`; which of them had an effect before is not known then, so the
    /// caller decides whether repeating them is right.
    pub fn adopt_identity(&mut self, node: Option<Uuid>) {
        self.node = node;
        self.oldest = 1;
        let mut next = 1u64;
        for kept in &mut self.kept {
            if let Some(number) = kept.payload.first_chunk_mut::<8>() {
                *number = next.to_be_bytes();
            }
            next = next.saturating_add(1);
        }
        self.next = next;
        self.restart();
    }

    /// Prepares for a new connection: everything kept is unsent, nothing is acknowledged on it.
    pub(crate) fn restart(&mut self) {
        self.first = self.oldest;
        self.unsent = self.oldest;
        self.accepted = 0;
        for kept in &mut self.kept {
            if !kept.reported {
                kept.refusal = None;
            }
        }
    }

    pub(crate) const fn set_node(&mut self, node: Uuid) {
        self.node = Some(node);
    }

    /// Keeps one more operation, written by `write` behind its number and level.
    pub(crate) fn submit(
        &mut self,
        level: AckLevel,
        write: impl FnOnce(u64, &mut Vec<u8>),
    ) -> Result<u64, SubmitError> {
        let held = self.kept.len().saturating_add(self.outcomes.len());
        if held >= usize::from(MAX_OPERATION_WINDOW) || self.bytes >= self.max_bytes {
            return Err(SubmitError::Full);
        }
        let number = self.next;
        let mut payload = Vec::new();
        write(number, &mut payload);
        self.bytes = self.bytes.saturating_add(payload.len());
        self.kept.push_back(Kept { level, payload, refusal: None, reported: false });
        self.next = number.saturating_add(1);
        Ok(number)
    }

    /// The payload of the next operation to write, if the window of unacknowledged ones has room.
    pub(crate) fn peek_unsent(&self, window: u16) -> Option<&[u8]> {
        let ahead = self.unsent.saturating_sub(self.oldest);
        if ahead >= u64::from(window) {
            return None;
        }
        let kept = self.kept.get(usize::try_from(ahead).ok()?)?;
        Some(&kept.payload)
    }

    /// The operation that [`Self::peek_unsent`] showed was written.
    pub(crate) const fn mark_sent(&mut self) {
        self.unsent = self.unsent.saturating_add(1);
    }

    /// How many operations were written on this connection and are not durable.
    pub(crate) const fn in_flight(&self) -> u64 {
        self.unsent.saturating_sub(self.oldest)
    }

    /// An Error about operation `number`.
    pub(crate) fn handle_refusal(&mut self, number: u64, refusal: Refusal) -> Result<(), Impossible> {
        let sent = number >= self.oldest && number < self.unsent && number > self.accepted;
        let index = number.checked_sub(self.oldest).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.kept.get_mut(index)) {
            Some(kept) if sent && (kept.refusal.is_none() || kept.reported) => {
                kept.refusal = Some(refusal);
                Ok(())
            }
            _ => Err(Impossible),
        }
    }

    /// An Ack of `level` that covers everything up to `number`. Answers how many left the outbox.
    pub(crate) fn handle_ack(&mut self, level: AckLevel, number: u64) -> Result<(), Impossible> {
        // `accepted` is the highest of both levels: what is durable is decided.
        let falls = match level {
            AckLevel::Accepted => number < self.accepted,
            AckLevel::Durable | AckLevel::Replicated => number.saturating_add(1) < self.oldest,
        };
        if number < self.first || number >= self.unsent || falls {
            return Err(Impossible);
        }
        self.accepted = self.accepted.max(number);
        if level == AckLevel::Accepted {
            self.report_accepted(number);
            return Ok(());
        }
        while self.oldest <= number
            && let Some(mut kept) = self.kept.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(kept.payload.len());
            report(&mut kept, self.oldest, &mut self.outcomes);
            self.oldest = self.oldest.saturating_add(1);
        }
        Ok(())
    }

    fn report_accepted(&mut self, number: u64) {
        let numbered = (self.oldest..=number).zip(self.kept.iter_mut());
        for (number, kept) in numbered.filter(|(_, kept)| kept.level == AckLevel::Accepted) {
            report(kept, number, &mut self.outcomes);
        }
    }

    /// The next outcome that nobody was told.
    pub(crate) fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    /// Bytes of the operations that are kept.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Reports an outcome, unless it was.
fn report(kept: &mut Kept, number: u64, outcomes: &mut VecDeque<Outcome>) {
    if !kept.reported {
        kept.reported = true;
        let result = kept.refusal.clone().map_or(Ok(()), Err);
        outcomes.push_back(Outcome { number, result });
    }
}
