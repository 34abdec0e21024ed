//! Goodbye: how a connection ends in order.
//!
//! ```text
//!   server says it first                         client says it first
//!   S ── Goodbye ──────────────▶ C               C ── Goodbye ──────────────▶ S   cancels the requests
//!   S ◀────────────── Goodbye ── C               C ◀─ Errors, Acks ────────── S   of what was admitted
//!   S ── Errors, Acks ─────────▶ C               C ◀────────────── Goodbye ── S
//!   both end when both were said and every admitted operation is told; after 10 s in any case
//! ```

use super::limits::DRAIN_DEADLINE;
use super::time::Time;
use crate::wire::message::Goodbye;

/// What a Goodbye says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parting {
    /// 0 for an end without an error, else the number of an [`ErrorCode`](crate::wire::ErrorCode).
    pub code: u16,
    /// How long to wait before connecting again, in milliseconds; 0 for no advice.
    pub retry_after_ms: u32,
    /// The reason in words.
    pub message: String,
}

impl From<&Goodbye<'_>> for Parting {
    fn from(goodbye: &Goodbye<'_>) -> Self {
        let Goodbye { code, retry_after_ms, message } = *goodbye;
        Self { code, retry_after_ms, message: message.to_owned() }
    }
}

/// The two Goodbyes of a connection.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    ours: Option<Parting>,
    written: bool,
    theirs: Option<Parting>,
    by_peer: bool,
    deadline: Option<Time>,
}

impl Farewell {
    /// This side begins to part. Only the first time counts.
    pub(crate) fn begin(&mut self, now: Time, parting: Parting) {
        if self.ours.is_none() {
            self.ours = Some(parting);
            self.start_draining(now);
        }
    }

    /// The peer said it. This side answers with the same code, unless it began itself.
    pub(crate) fn handle_goodbye(&mut self, now: Time, parting: Parting) {
        if self.ours.is_none() {
            self.by_peer = true;
            self.ours = Some(Parting { code: parting.code, ..Parting::default() });
        }
        self.theirs = Some(parting);
        self.start_draining(now);
    }

    fn start_draining(&mut self, now: Time) {
        self.deadline.get_or_insert(now.after(DRAIN_DEADLINE));
    }

    /// Whether either side began.
    pub(crate) const fn has_begun(&self) -> bool {
        self.ours.is_some()
    }

    /// The Goodbye to write, if it is not written.
    pub(crate) const fn unwritten(&self) -> Option<&Parting> {
        match &self.ours {
            Some(parting) if !self.written => Some(parting),
            _ => None,
        }
    }

    pub(crate) const fn mark_written(&mut self) {
        self.written = true;
    }

    /// Whether this side's Goodbye is written: nothing but outcomes may follow it.
    pub(crate) const fn is_written(&self) -> bool {
        self.written
    }

    /// Whether the peer said it.
    pub(crate) const fn is_received(&self) -> bool {
        self.theirs.is_some()
    }

    /// Whether this side answers, and did not begin.
    pub(crate) const fn is_answer(&self) -> bool {
        self.by_peer
    }

    pub(crate) const fn is_complete(&self) -> bool {
        self.written && self.theirs.is_some()
    }

    pub(crate) const fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// Who began, and what they said.
    pub(crate) fn first(&self) -> Option<(bool, &Parting)> {
        let first = if self.by_peer { &self.theirs } else { &self.ours };
        first.as_ref().map(|parting| (self.by_peer, parting))
    }
}
