//! The third ledger, server side: queries and subscriptions, charged until they are *finished*.
//!
//! ```text
//!   Query, Subscribe ──▶ running ──deliver*──▶ last frame or refusal staged ──written──▶ gone
//!          │                │                          ▲
//!          │             Cancel, Unsubscribe           │
//!          ▼                ▼                          │
//!      too_many         stopping ──── finish ──────────┘
//! ```
//!
//! A request that was cancelled keeps its place until the engine says that it stopped: a client that opens and
//! cancels in a loop runs into its own limit. Per request at most one frame waits for the writer; what does not
//! fit its credit is not taken, and the engine reads on from a position later.

use std::collections::{BTreeMap, VecDeque};

use super::credit::{LimitFell, SendCredit};
use super::error::Misuse;
use super::limits::{BULK_AFTER_BYTES, FAIR_TURN};
use crate::wire::{CreditLimit, MessageType};

/// Which kind of request: it decides the type of its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// Answered by QueryResponses.
    Query,
    /// Answered by Events.
    Subscription,
}

impl RequestKind {
    /// The type of the frames that answer it.
    pub(crate) const fn message_type(self) -> MessageType {
        match self {
            Self::Query => MessageType::QueryResponse,
            Self::Subscription => MessageType::Event,
        }
    }
}

/// What became of a frame that the engine handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use = "a frame that was not taken must be made again later"]
pub enum Delivery {
    /// It waits for the writer. No other frame of the request is taken until it is written.
    Taken,
    /// Not taken: the request has no credit. Remember the position; `Writable` follows when credit came.
    Parked,
    /// Not taken: a frame before it, or too many of other requests, wait for the writer. `Writable` follows.
    Busy,
    /// Not taken: the request was cancelled. Stop it, then say that it finished.
    Cancelled,
}

/// Whose turn it is at the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Events,
    Results,
    Bulk,
}

const CLASSES: usize = 3;

/// A frame that waits for the writer.
#[derive(Debug)]
struct Staged {
    payload: Vec<u8>,
    last: bool,
}

#[derive(Debug)]
struct Request {
    kind: RequestKind,
    credit: SendCredit,
    staged: Option<Staged>,
    /// The payload of the Error that ends it.
    refusal: Option<Vec<u8>>,
    stopping: bool,
    /// The engine was refused and is owed a `Writable`.
    starved: bool,
    /// It is in the list of news.
    has_news: bool,
    cancel_untold: bool,
    written_bytes: u64,
}

/// What a running request takes beside the bytes that it points to.
pub(crate) const REQUEST_BYTES: usize = size_of::<Request>();

impl Request {
    fn can_take(&self) -> bool {
        !self.stopping && self.staged.is_none() && self.refusal.is_none() && self.credit.is_open()
    }

    fn class(&self) -> Class {
        match self.kind {
            _ if self.written_bytes >= BULK_AFTER_BYTES => Class::Bulk,
            RequestKind::Subscription => Class::Events,
            RequestKind::Query => Class::Results,
        }
    }

    const fn is_ending(&self) -> bool {
        self.refusal.is_some() || matches!(self.staged, Some(Staged { last: true, .. }))
    }
}

/// A frame for the writer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DataFrame {
    pub(crate) message_type: MessageType,
    pub(crate) payload: Vec<u8>,
}

/// What the engine is to be told about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Cancelled(u64),
    Writable(u64),
}

/// What a Cancel or Unsubscribe met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelEffect {
    /// A running request: the engine is told.
    Stopping,
    /// Nothing that runs, or something that was cancelled before.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Requests {
    limit: u16,
    last_id: u64,
    running: BTreeMap<u64, Request>,
    /// Ids with staged frames, by class, in order of their turns.
    turns: [VecDeque<u64>; CLASSES],
    /// Ids whose refusal waits.
    refusals: VecDeque<u64>,
    news: VecDeque<u64>,
    staged_bytes: usize,
    max_staged_bytes: usize,
    /// Someone was told `Busy` because of the bytes of others.
    crowded: bool,
    frames_in_turn: u32,
}

impl Requests {
    pub(crate) fn new(limit: u16, max_staged_bytes: usize) -> Self {
        Self {
            limit,
            last_id: 0,
            running: BTreeMap::new(),
            turns: [VecDeque::new(), VecDeque::new(), VecDeque::new()],
            refusals: VecDeque::new(),
            news: VecDeque::new(),
            staged_bytes: 0,
            max_staged_bytes,
            crowded: false,
            frames_in_turn: 0,
        }
    }

    /// Takes the id of a new request, whether or not it will run.
    pub(crate) const fn take_id(&mut self, id: u64) -> Result<(), u64> {
        if id <= self.last_id {
            return Err(self.last_id);
        }
        self.last_id = id;
        Ok(())
    }

    /// Whether no more requests may run.
    pub(crate) fn is_full(&self) -> bool {
        self.running.len() >= usize::from(self.limit)
    }

    /// Begins a request. The caller asked [`Self::is_full`] before.
    pub(crate) fn open(&mut self, id: u64, kind: RequestKind, limit: CreditLimit) {
        let request = Request {
            kind,
            credit: SendCredit::new(limit),
            staged: None,
            refusal: None,
            stopping: false,
            starved: false,
            has_news: false,
            cancel_untold: false,
            written_bytes: 0,
        };
        self.running.insert(id, request);
    }

    /// Takes the client's new limit for a request. One that is not running is a race.
    pub(crate) fn raise(&mut self, id: u64, limit: CreditLimit) -> Result<(), LimitFell> {
        if let Some(request) = self.running.get_mut(&id) {
            request.credit.raise(limit)?;
            self.wake(id);
        }
        Ok(())
    }

    /// The client no longer wants the answer. What is staged is dropped, unless it is the end.
    pub(crate) fn cancel(&mut self, id: u64) -> CancelEffect {
        let Some(request) = self.running.get_mut(&id) else { return CancelEffect::Nothing };
        if request.stopping || request.is_ending() {
            return CancelEffect::Nothing;
        }
        request.stopping = true;
        request.cancel_untold = true;
        self.unstage(id);
        self.tell(id);
        CancelEffect::Stopping
    }

    /// The kind of a running request, and whether it was cancelled.
    pub(crate) fn state(&self, id: u64) -> Option<(RequestKind, bool)> {
        self.running.get(&id).map(|request| (request.kind, request.stopping))
    }

    /// What would become of a frame that were handed in now. Where it would not be taken, word follows when it would.
    pub(crate) fn room(&mut self, id: u64, kind: RequestKind) -> Result<Delivery, Misuse> {
        let crowded = self.staged_bytes >= self.max_staged_bytes;
        let request = self.running.get_mut(&id).ok_or(Misuse::UnknownRequest(id))?;
        if request.kind != kind {
            return Err(Misuse::WrongKind(id));
        }
        if request.is_ending() {
            return Err(Misuse::UnknownRequest(id));
        }
        if request.stopping {
            return Ok(Delivery::Cancelled);
        }
        if !request.credit.is_open() {
            request.starved = true;
            return Ok(Delivery::Parked);
        }
        if request.staged.is_some() || crowded {
            request.starved = true;
            self.crowded |= crowded;
            return Ok(Delivery::Busy);
        }
        Ok(Delivery::Taken)
    }

    /// Stages a frame for the writer, if it may go.
    pub(crate) fn deliver(
        &mut self,
        id: u64,
        kind: RequestKind,
        last: bool,
        payload: impl FnOnce() -> Result<Vec<u8>, Misuse>,
    ) -> Result<Delivery, Misuse> {
        let delivery = self.room(id, kind)?;
        if delivery != Delivery::Taken {
            return Ok(delivery);
        }
        self.stage(id, Staged { payload: payload()?, last });
        Ok(Delivery::Taken)
    }

    /// Ends a request by an Error. It waits for nothing.
    pub(crate) fn refuse(&mut self, id: u64, payload: Vec<u8>) -> Result<(), Misuse> {
        match self.running.get(&id) {
            Some(request) if !request.is_ending() => {}
            _ => return Err(Misuse::UnknownRequest(id)),
        }
        self.unstage(id);
        if let Some(request) = self.running.get_mut(&id) {
            request.refusal = Some(payload);
            self.refusals.push_back(id);
        }
        Ok(())
    }

    /// Ends a cancelled request by a frame that is free of credit.
    pub(crate) fn end_cancelled(&mut self, id: u64, payload: Vec<u8>) -> Result<(), Misuse> {
        if self.running.get(&id).is_none_or(Request::is_ending) {
            return Err(Misuse::UnknownRequest(id));
        }
        self.stage(id, Staged { payload, last: true });
        Ok(())
    }

    fn stage(&mut self, id: u64, staged: Staged) {
        let Some(request) = self.running.get_mut(&id) else { return };
        self.staged_bytes = self.staged_bytes.saturating_add(staged.payload.len());
        request.staged = Some(staged);
        let class = request.class();
        self.turn(class).push_back(id);
    }

    /// Drops what is staged for a request. Those whom it crowded out may go on.
    fn unstage(&mut self, id: u64) {
        let Some(request) = self.running.get_mut(&id) else { return };
        if let Some(staged) = request.staged.take() {
            for turns in &mut self.turns {
                turns.retain(|waiting| *waiting != id);
            }
            self.release(staged.payload.len());
        }
    }

    /// A frame of `bytes` no longer waits. When others are no longer crowded out, those who were told so are
    /// woken.
    fn release(&mut self, bytes: usize) {
        self.staged_bytes = self.staged_bytes.saturating_sub(bytes);
        if self.crowded && self.staged_bytes < self.max_staged_bytes {
            self.crowded = false;
            let ids: Vec<u64> = self.running.keys().copied().collect();
            for id in ids {
                self.wake(id);
            }
        }
    }

    fn turn(&mut self, class: Class) -> &mut VecDeque<u64> {
        let [events, results, bulk] = &mut self.turns;
        match class {
            Class::Events => events,
            Class::Results => results,
            Class::Bulk => bulk,
        }
    }

    /// The Error of a request that is over, to be written now.
    pub(crate) fn next_refusal(&mut self) -> Option<Vec<u8>> {
        let id = self.refusals.pop_front()?;
        self.running.remove(&id)?.refusal
    }

    /// The next result or event frame to write: events, then results, then bulk; of every [`FAIR_TURN`] frames
    /// one from the lowest class that waits. `cost` gives the bytes that a payload takes of its credit.
    pub(crate) fn next_frame(&mut self, cost: impl FnOnce(&[u8]) -> u64) -> Option<DataFrame> {
        let id = self.next_turn()?;
        let request = self.running.get_mut(&id)?;
        let staged = request.staged.take()?;
        let message_type = request.kind.message_type();
        if staged.last {
            self.running.remove(&id);
        } else {
            let bytes = cost(&staged.payload);
            request.credit.spend(bytes);
            request.written_bytes = request.written_bytes.saturating_add(bytes);
            self.wake(id);
        }
        self.release(staged.payload.len());
        Some(DataFrame { message_type, payload: staged.payload })
    }

    fn next_turn(&mut self) -> Option<u64> {
        let waiting = |turns: &&mut VecDeque<u64>| !turns.is_empty();
        let is_fair_turn = self.frames_in_turn.saturating_add(1) >= FAIR_TURN;
        let turns = if is_fair_turn {
            self.turns.iter_mut().rev().find(waiting)?
        } else {
            self.turns.iter_mut().find(waiting)?
        };
        self.frames_in_turn = if is_fair_turn { 0 } else { self.frames_in_turn.saturating_add(1) };
        turns.pop_front()
    }

    /// Owes the engine a `Writable` where it was refused and would no longer be.
    fn wake(&mut self, id: u64) {
        let crowded = self.staged_bytes >= self.max_staged_bytes;
        let Some(request) = self.running.get_mut(&id) else { return };
        if request.starved && request.can_take() {
            if crowded {
                self.crowded = true;
            } else {
                self.tell(id);
            }
        }
    }

    fn tell(&mut self, id: u64) {
        if let Some(request) = self.running.get_mut(&id)
            && !request.has_news
        {
            request.has_news = true;
            self.news.push_back(id);
        }
    }

    /// What the engine is to be told next.
    pub(crate) fn poll_news(&mut self) -> Option<News> {
        while let Some(id) = self.news.pop_front() {
            let Some(request) = self.running.get_mut(&id) else { continue };
            request.has_news = false;
            if std::mem::take(&mut request.cancel_untold) {
                request.starved = false;
                return Some(News::Cancelled(id));
            }
            if request.starved && request.can_take() {
                request.starved = false;
                return Some(News::Writable(id));
            }
        }
        None
    }

    /// Cancels everything that runs: the client said Goodbye.
    pub(crate) fn cancel_all(&mut self) {
        let ids: Vec<u64> = self.running.keys().copied().collect();
        for id in ids {
            let _ = self.cancel(id);
        }
    }

    /// How many requests run.
    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// Bytes held: the staged frames and refusals, and an entry per request.
    pub(crate) fn memory(&self) -> usize {
        let refusals = self.running.values().filter_map(|request| request.refusal.as_ref());
        let entries = self.running.len().saturating_mul(REQUEST_BYTES);
        refusals.map(Vec::len).fold(entries, usize::saturating_add).saturating_add(self.staged_bytes)
    }
}
