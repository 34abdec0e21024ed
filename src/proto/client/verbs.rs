//! What a client's application does: operations, queries, subscriptions, credit.

use super::{Client, ClientEvent};
use crate::proto::asks::CancelEffect;
use crate::proto::connection::Connection;
use crate::proto::core::Phase;
use crate::proto::credit::Cost;
use crate::proto::error::{Misuse, RequestError, SubmitError, Violation};
use crate::proto::outbox::Outbox;
use crate::proto::requests::RequestKind;
use crate::wire::message::{AckLevel, Groups, Mode, Operation, Query, QueryKind, Start, Subscribe};
use crate::wire::{CollectionName, CreditLimit, Message, MessageError, Position};

impl Connection<Client> {
    /// Takes an operation: it is sent when credit and window allow, and again after a reconnect, until its
    /// outcome is durable. It may be called before the handshake is done. Answers its number.
    ///
    /// # Errors
    /// [`SubmitError::Full`] while too many are unacknowledged; [`Misuse::Closed`] after a Goodbye.
    pub fn submit(&mut self, ack_level: AckLevel, groups: Groups<'_>) -> Result<u64, SubmitError> {
        self.check_open()?;
        self.role.outbox.submit(ack_level, |number, payload| {
            Message::Operation(Operation { number, ack_level, groups }).encode(payload);
        })
    }

    /// Asks a question, whose answer may take `credit` before it is consumed. Answers the request's id.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn query(
        &mut self,
        kind: QueryKind<'_>,
        at_least: Option<Position>,
        credit: CreditLimit,
    ) -> Result<u64, RequestError> {
        self.begin(RequestKind::Query, credit, |id, payload| {
            Message::Query(Query { id, credit, at_least, kind }).encode(payload);
        })
    }

    /// Subscribes to a collection. Answers the request's id.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn subscribe(
        &mut self,
        collection: CollectionName<'_>,
        mode: Mode,
        start: Start,
        credit: CreditLimit,
    ) -> Result<u64, RequestError> {
        self.begin(RequestKind::Subscription, credit, |id, payload| {
            Message::Subscribe(Subscribe { id, credit, mode, start, collection }).encode(payload);
        })
    }

    fn begin(
        &mut self,
        kind: RequestKind,
        credit: CreditLimit,
        write: impl FnOnce(u64, &mut Vec<u8>),
    ) -> Result<u64, RequestError> {
        self.check_open()?;
        if self.core.phase == Phase::Handshake {
            return Err(Misuse::NotEstablished.into());
        }
        let role = &mut self.role;
        role.asks.begin(kind, role.untold_ends, credit, write).map_err(RequestError::TooMany)
    }

    fn check_open(&self) -> Result<(), Misuse> {
        let closing = self.core.phase == Phase::Ended || self.core.farewell.has_begun();
        if closing { Err(Misuse::Closed) } else { Ok(()) }
    }

    /// Ends a query or subscription. [`ClientEvent::Cancelled`] follows, unless it ends by itself before.
    ///
    /// # Errors
    /// [`Misuse::UnknownRequest`] if it is over.
    pub fn cancel(&mut self, id: u64) -> Result<(), Misuse> {
        if self.role.asks.cancel(id)? == CancelEffect::Unwritten {
            self.role.tell(ClientEvent::Cancelled { id }, true);
        }
        Ok(())
    }

    /// The application took a part of an answer: its credit returns.
    pub fn consume(&mut self, id: u64, cost: Cost) {
        self.role.asks.consume(id, cost);
    }

    /// Grows or shrinks what an answer may take before it is consumed; a window of nothing pauses it.
    ///
    /// # Errors
    /// [`Misuse::UnknownRequest`] if it is over.
    pub fn grant(&mut self, id: u64, window: CreditLimit) -> Result<(), Misuse> {
        self.role.asks.set_window(id, window)
    }

    /// Asks for an [`Echo`](ClientEvent::Echo), unless one is awaited.
    pub const fn ping(&mut self) {
        if !self.core.control.is_probing() {
            self.core.control.want_ping();
        }
    }

    /// A payload that was handed out is no message: the server broke the protocol.
    pub fn handle_malformed(&mut self, error: MessageError) {
        self.handle_violation(Violation::Malformed(error));
    }

    /// Requests that are not over.
    pub fn open_requests(&self) -> usize {
        self.role.asks.len()
    }

    /// What is not durable yet.
    pub const fn outbox(&self) -> &Outbox {
        &self.role.outbox
    }

    /// Gives up the connection and keeps what is to be sent again on the next.
    pub fn into_outbox(self) -> Outbox {
        self.role.outbox
    }
}
