//! The third ledger, client side: queries and subscriptions that were asked, and the credit of their answers.
//!
//! ```text
//!   query, subscribe ──▶ unsent ──written──▶ open ──frames──▶ last frame, Error, reset, ended ──▶ gone
//!                          │                  │                          ▲
//!                        cancel             cancel                       │
//!                          ▼                  ▼                          │
//!                         gone            cancelling ── frames dropped ──┘
//! ```
//!
//! The answer to a cancelled request is one terminal frame, free of credit; what comes before it is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::credit::{Cost, ReceiveCredit};
use super::error::{Misuse, Violation};
use super::peek::Part;
use super::requests::RequestKind;
use crate::wire::message::{Cancel, Credit, CreditScope, Unsubscribe};
use crate::wire::{CreditLimit, Message, MessageType, Position};

#[derive(Debug)]
struct Ask {
    kind: RequestKind,
    credit: ReceiveCredit,
    /// The payload, until it is written.
    unsent: Option<Vec<u8>>,
    cancelling: bool,
    cancel_unsent: bool,
    /// Of a query: where its answer was taken, as its first frame said.
    taken_at: Option<Position>,
}

/// What to do with a frame of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Hand it to the application.
    Deliver(Cost),
    /// Nobody wants it.
    Drop,
    /// Nobody wants it, and the cancelled request is over.
    End,
}

/// What a cancel met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelEffect {
    /// The server is told.
    Told,
    /// The request had not been written, and is over.
    Unwritten,
}

#[derive(Debug)]
pub(crate) struct Asks {
    limit: u16,
    last_id: u64,
    asked: BTreeMap<u64, Ask>,
    unsent: VecDeque<u64>,
    /// Ids with a Cancel or Credit to write.
    control: BTreeSet<u64>,
}

impl Asks {
    pub(crate) const fn new() -> Self {
        Self {
            limit: u16::MAX,
            last_id: 0,
            asked: BTreeMap::new(),
            unsent: VecDeque::new(),
            control: BTreeSet::new(),
        }
    }

    /// The server's limit, from its Welcome.
    pub(crate) const fn set_limit(&mut self, limit: u16) {
        self.limit = limit;
    }

    /// Begins a request, written by `write`; its answer may take `window`. Its id, unless it and those that are
    /// over but `untold` reach the limit.
    pub(crate) fn begin(
        &mut self,
        kind: RequestKind,
        untold: usize,
        window: CreditLimit,
        write: impl FnOnce(u64, &mut Vec<u8>),
    ) -> Result<u64, u16> {
        if self.asked.len().saturating_add(untold) >= usize::from(self.limit) {
            return Err(self.limit);
        }
        let id = self.last_id.saturating_add(1);
        self.last_id = id;
        let mut payload = Vec::new();
        write(id, &mut payload);
        let ask = Ask {
            kind,
            credit: ReceiveCredit::new(window),
            unsent: Some(payload),
            cancelling: false,
            cancel_unsent: false,
            taken_at: None,
        };
        self.asked.insert(id, ask);
        self.unsent.push_back(id);
        Ok(id)
    }

    /// The type and payload of the next request, which is written now.
    pub(crate) fn take_unsent(&mut self) -> Option<(MessageType, Vec<u8>)> {
        let id = self.unsent.pop_front()?;
        let ask = self.asked.get_mut(&id)?;
        let message_type = match ask.kind {
            RequestKind::Query => MessageType::Query,
            RequestKind::Subscription => MessageType::Subscribe,
        };
        let payload = ask.unsent.take()?;
        self.note_due(id);
        Some((message_type, payload))
    }

    /// The application no longer wants the answer.
    pub(crate) fn cancel(&mut self, id: u64) -> Result<CancelEffect, Misuse> {
        let ask = self.asked.get_mut(&id).ok_or(Misuse::UnknownRequest(id))?;
        if ask.unsent.is_some() {
            self.asked.remove(&id);
            self.unsent.retain(|unsent| *unsent != id);
            return Ok(CancelEffect::Unwritten);
        }
        if !ask.cancelling {
            ask.cancelling = true;
            ask.cancel_unsent = true;
            self.control.insert(id);
        }
        Ok(CancelEffect::Told)
    }

    /// A frame of an answer came.
    pub(crate) fn receive(
        &mut self,
        kind: RequestKind,
        bytes: u64,
        part: Part,
    ) -> Result<Received, Violation> {
        let Part { id, is_last: last, is_ended, taken_at } = part;
        let ask = self.written(id)?;
        let cancelling = ask.cancelling;
        let message_type = kind.message_type() as u8;
        if ask.kind != kind {
            let why = "the request it answers is of the other kind";
            return Err(Violation::UnexpectedMessage { message_type, why });
        }
        if is_ended && !cancelling {
            let why = "no Unsubscribe asked for the end";
            return Err(Violation::UnexpectedMessage { message_type, why });
        }
        if let (Some(first), Some(found)) = (ask.taken_at, taken_at)
            && first != found
        {
            return Err(Violation::AnswerMoved { id });
        }
        ask.taken_at = ask.taken_at.or(taken_at);
        let received = match ask.credit.receive(bytes) {
            _ if cancelling && last => Received::End,
            Err(_) => return Err(Violation::CreditExceeded { bytes }),
            Ok(_) if cancelling => Received::Drop,
            Ok(cost) => Received::Deliver(cost),
        };
        if last {
            self.forget(id);
        }
        Ok(received)
    }

    /// An Error ended a request. Whether the application had cancelled it.
    pub(crate) fn end(&mut self, id: u64) -> Result<bool, Violation> {
        let cancelling = self.written(id)?.cancelling;
        self.forget(id);
        Ok(cancelling)
    }

    fn written(&mut self, id: u64) -> Result<&mut Ask, Violation> {
        self.asked.get_mut(&id).filter(|ask| ask.unsent.is_none()).ok_or(Violation::UnknownRequest { id })
    }

    fn forget(&mut self, id: u64) {
        self.asked.remove(&id);
        self.control.remove(&id);
    }

    /// The application took a frame.
    pub(crate) fn consume(&mut self, id: u64, cost: Cost) {
        if let Some(ask) = self.asked.get_mut(&id) {
            ask.credit.admit(cost);
            self.note_due(id);
        }
    }

    /// Grows or shrinks what an answer may take; nothing pauses it.
    pub(crate) fn set_window(&mut self, id: u64, window: CreditLimit) -> Result<(), Misuse> {
        let ask = self.asked.get_mut(&id).ok_or(Misuse::UnknownRequest(id))?;
        ask.credit.set_window(window);
        self.note_due(id);
        Ok(())
    }

    fn note_due(&mut self, id: u64) {
        if self.asked.get(&id).is_some_and(|ask| !ask.cancelling && ask.credit.due().is_some()) {
            self.control.insert(id);
        }
    }

    /// The next Cancel, Unsubscribe or Credit to write.
    pub(crate) fn next_control(&mut self) -> Option<Message<'static>> {
        loop {
            let id = *self.control.first()?;
            let message = self.asked.get_mut(&id).and_then(|ask| control_of(id, ask));
            if message.is_none() {
                self.control.remove(&id);
                continue;
            }
            return message;
        }
    }

    /// How many requests are not over.
    pub(crate) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Bytes received and not consumed.
    pub(crate) fn outstanding_bytes(&self) -> u64 {
        self.asked.values().map(|ask| ask.credit.outstanding().bytes).fold(0, u64::saturating_add)
    }
}

fn control_of(id: u64, ask: &mut Ask) -> Option<Message<'static>> {
    if ask.unsent.is_some() {
        return None;
    }
    if std::mem::take(&mut ask.cancel_unsent) {
        return Some(match ask.kind {
            RequestKind::Query => Message::Cancel(Cancel { id }),
            RequestKind::Subscription => Message::Unsubscribe(Unsubscribe { id }),
        });
    }
    let limit = ask.credit.due().filter(|_| !ask.cancelling)?;
    ask.credit.advertise(limit);
    Some(Message::Credit(Credit { scope: CreditScope::Request(id), limit }))
}
