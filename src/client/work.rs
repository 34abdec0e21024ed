//! What a client has under way: which caller waits for which operation or question.
//!
//! ```text
//!   submit ──▶ [held: no room] ──▶ operations ──Outcome──▶ settled ──Acknowledged──▶ told
//!   ask ─────▶ waiting ──query──▶ asked ──pages──▶ told
//!                 ▲                 │ lost before its first page
//!                 └─────────────────┘
//! ```
//!
//! What is subscribed to is `watches`'.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{Error, InputError};
use super::outcome::Receipt;
use super::pages::Page;
use super::questions::ANSWER_WINDOW;
use super::shared::{Ask, Reply, Signal, Submit};
use super::watches::Watches;
use crate::proto::{
    self, ClientEvent, Connection, Cost, Outcome, Refusal, RequestError, RequestKind, SubmitError,
};
use crate::wire::Position;
use crate::wire::message::{Ack, AckLevel};

/// The client's end of a connection.
pub(super) type Link = Connection<proto::Client>;

#[derive(Debug)]
struct Asked {
    ask: Ask,
    /// A part of the answer was handed out, so that asking again would repeat it.
    begun: bool,
}

#[derive(Debug)]
pub(super) struct Work {
    /// The operation that found no room.
    held: Option<Submit>,
    /// Submitted operations without outcome, by rising number.
    operations: VecDeque<(u64, Reply)>,
    /// Operations with an outcome whose position comes with the Ack.
    settled: Vec<(Reply, Result<(), Refusal>)>,
    /// Questions that are not asked on this connection.
    waiting: VecDeque<Ask>,
    /// By the request's id.
    asked: BTreeMap<u64, Asked>,
    /// From tickets to ids.
    ids: HashMap<u64, u64>,
    watches: Watches,
    /// The latest Ack's count of unchanged operations.
    counted: u64,
    unchanged: Arc<AtomicU64>,
}

impl Work {
    pub(super) fn new(unchanged: Arc<AtomicU64>) -> Self {
        Self {
            held: None,
            operations: VecDeque::new(),
            settled: Vec::new(),
            waiting: VecDeque::new(),
            asked: BTreeMap::new(),
            ids: HashMap::new(),
            watches: Watches::default(),
            counted: 0,
            unchanged,
        }
    }

    /// Whether another operation can be taken.
    pub(super) const fn wants_operation(&self) -> bool {
        self.held.is_none()
    }

    /// Whether another question can be taken.
    pub(super) fn wants_question(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether every operation is told.
    pub(super) fn is_settled(&self) -> bool {
        self.held.is_none() && self.operations.is_empty()
    }

    pub(super) fn submit(&mut self, link: &mut Link, submit: Submit) {
        match link.submit(AckLevel::Durable, submit.body.groups()) {
            Ok(number) => self.operations.push_back((number, submit.reply)),
            // After a Goodbye the next connection takes it.
            Err(SubmitError::Full | SubmitError::Misuse(_)) => self.held = Some(submit),
        }
    }

    pub(super) fn ask(&mut self, ask: Ask) {
        self.waiting.push_back(ask);
    }

    /// Hands the connection what it has room for.
    pub(super) fn feed(&mut self, link: &mut Link) {
        if let Some(held) = self.held.take() {
            self.submit(link, held);
        }
        while link.is_open()
            && let Some(ask) = self.waiting.pop_front()
            && self.begin(link, ask)
        {}
        self.watches.feed(link);
    }

    /// Asks a question; false if it has to wait.
    fn begin(&mut self, link: &mut Link, ask: Ask) -> bool {
        let kind = ask.question.kind().map_err(InputError::from);
        let kind = kind.and_then(|kind| kind.ok_or(InputError::Ids { found: 0 }));
        let begun = match kind {
            Ok(kind) => link.query(kind, ask.question.at_least, ANSWER_WINDOW),
            Err(error) => {
                answer(&ask, Err(error.into()));
                return true;
            }
        };
        match begun {
            Ok(id) => {
                self.ids.insert(ask.ticket, id);
                self.asked.insert(id, Asked { ask, begun: false });
                true
            }
            Err(RequestError::TooMany(_) | RequestError::Misuse(_)) => {
                self.waiting.push_front(ask);
                false
            }
        }
    }

    /// What the connection tells, but for its beginning and end.
    pub(super) fn handle(&mut self, link: &mut Link, event: ClientEvent) {
        match event {
            ClientEvent::Outcome(outcome) => self.settle(outcome),
            ClientEvent::Acknowledged(ack) => {
                if ack.level == AckLevel::Durable {
                    self.watches.note_published(ack.position);
                }
                self.acknowledge(&ack);
            }
            ClientEvent::Answer { id, kind: RequestKind::Subscription, payload, cost, .. } => {
                self.watches.handle(link, id, payload, cost);
            }
            ClientEvent::Answer { id, payload, last, cost, .. } => {
                self.hand_out(link, id, payload, last, cost);
            }
            ClientEvent::Refused { id, refusal } => {
                if self.watches.has(id) {
                    self.watches.refuse(id, Error::Refused(refusal.into()));
                } else if let Some(asked) = self.forget(id) {
                    answer(&asked.ask, Err(Error::Refused(refusal.into())));
                }
            }
            ClientEvent::Cancelled { id } => drop(self.forget(id)),
            _ => {}
        }
    }

    fn settle(&mut self, outcome: Outcome) {
        while let Some((number, reply)) = self.operations.pop_front() {
            if number == outcome.number {
                self.settled.push((reply, outcome.result));
                return;
            }
        }
    }

    fn acknowledge(&mut self, ack: &Ack) {
        let found = ack.unchanged.saturating_sub(self.counted);
        self.counted = ack.unchanged;
        self.unchanged.fetch_add(found, Ordering::Relaxed);
        // A sum over several says something of each only if it is zero.
        let unchanged = (self.settled.len() <= 1 || found == 0).then_some(found);
        let receipt = Receipt { position: ack.position, unchanged };
        for (reply, result) in self.settled.drain(..) {
            // A caller that went away is no fault.
            let _ = reply.send(match result {
                Ok(()) => Ok(receipt),
                Err(refusal) => Err(Error::Refused(refusal.into())),
            });
        }
    }

    fn hand_out(&mut self, link: &mut Link, id: u64, payload: Vec<u8>, last: bool, cost: Cost) {
        let page = match Page::read(payload) {
            Ok(page) => page,
            Err(error) => return link.handle_malformed(error),
        };
        let Some(asked) = self.asked.get_mut(&id) else { return };
        asked.begun = true;
        let gone = asked.ask.parts.send(Ok((page, cost))).is_err();
        if last {
            self.forget(id);
        } else if gone {
            // That it ended meanwhile is no fault.
            let _ = link.cancel(id);
        }
    }

    fn forget(&mut self, id: u64) -> Option<Asked> {
        let asked = self.asked.remove(&id)?;
        self.ids.remove(&asked.ask.ticket);
        Some(asked)
    }

    /// What a reader says.
    pub(super) fn handle_signal(&mut self, link: Option<&mut Link>, signal: Signal) {
        match signal {
            Signal::Consumed { ticket, cost } => {
                if let (Some(link), Some(id)) = (link, self.ids.get(&ticket)) {
                    link.consume(*id, cost);
                }
            }
            Signal::Subscribed(watched) => self.watches.subscribe(*watched),
            Signal::Taken { ticket, link: number, cost } => self.watches.take(link, ticket, number, cost),
            Signal::Abandoned { ticket } if self.watches.is_ticket(ticket) => {
                self.watches.abandon(link, ticket);
            }
            Signal::Abandoned { ticket } => {
                self.waiting.retain(|ask| ask.ticket != ticket);
                if let (Some(link), Some(id)) = (link, self.ids.get(&ticket)) {
                    // That it ended meanwhile is no fault.
                    let _ = link.cancel(*id);
                }
            }
            Signal::Close(_) => {}
        }
    }

    /// A connection begins: its counts begin with it.
    pub(super) const fn handle_begin(&mut self) {
        self.counted = 0;
    }

    /// The server welcomed us, where this was published.
    pub(super) const fn handle_welcome(&mut self, published: Position) {
        self.watches.note_published(published);
    }

    /// The connection is gone. Operations are kept by the outbox; questions are asked again if nothing of their
    /// answer was handed out.
    pub(super) fn handle_loss(&mut self) {
        self.ids.clear();
        self.watches.handle_loss();
        while let Some((_, Asked { ask, begun })) = self.asked.pop_last() {
            if begun {
                answer(&ask, Err(Error::Interrupted));
            } else if !ask.parts.is_closed() {
                self.waiting.push_front(ask);
            }
        }
    }

    /// Ends every operation that the server may have seen.
    pub(super) fn fail_operations(&mut self, error: &Error) {
        let settled = self.settled.drain(..).map(|(reply, _)| reply);
        for reply in self.operations.drain(..).map(|(_, reply)| reply).chain(settled) {
            let _ = reply.send(Err(error.clone()));
        }
    }

    /// Ends everything.
    pub(super) fn fail(&mut self, error: &Error) {
        self.fail_operations(error);
        self.watches.fail(error);
        if let Some(held) = self.held.take() {
            let _ = held.reply.send(Err(error.clone()));
        }
        let asked = std::mem::take(&mut self.asked).into_values().map(|asked| asked.ask);
        for ask in asked.chain(self.waiting.drain(..)) {
            answer(&ask, Err(error.clone()));
        }
    }
}

/// Tells a reader; one that went away is no fault.
fn answer(ask: &Ask, part: Result<(Page, Cost), Error>) {
    let _ = ask.parts.send(part);
}
