//! What a server's application does: answers to the handshake, outcomes, results and events.

use super::{Server, State};
use crate::proto::connection::Connection;
use crate::proto::core::{Phase, error_payload};
use crate::proto::credit::Cost;
use crate::proto::error::{AcceptError, CloseReason, Misuse};
use crate::proto::handshake::{Acceptance, check_identity, choose_heartbeat, millis};
use crate::proto::limits::MAX_REFUSAL_BYTES;
use crate::proto::outcomes::{Decision, Outcomes};
use crate::proto::requests::{Delivery, RequestKind};
use crate::proto::time::Time;
use crate::wire::limits::MAX_PAYLOAD_BYTES;
use crate::wire::message::{Event, EventKind, QueryResponse};
use crate::wire::{Clock, CreditLimit, EncodedDict, ErrorCode, Message, Position, Subject};

/// What the engine decided about an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The position of its effect; of what came before it, if it had none.
    pub position: Position,
    /// How many single operations inside it found nothing to change.
    pub unchanged: u64,
    /// Why it was refused, if it was.
    pub refusal: Option<RefusalText>,
}

/// The text of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalText {
    /// Why.
    pub code: ErrorCode,
    /// The same in words.
    pub message: String,
    /// Facts for programs. Details that do not fit [`MAX_REFUSAL_BYTES`] are left out.
    pub detail: EncodedDict<'static>,
}

impl RefusalText {
    /// A refusal in the words of its code.
    pub fn new(code: ErrorCode) -> Self {
        Self { code, message: code.text().to_owned(), detail: EncodedDict::NONE }
    }

    fn payload(&self, subject: Subject) -> Vec<u8> {
        let payload = error_payload(subject, self.code, &self.message, self.detail.clone());
        if payload.len() <= MAX_REFUSAL_BYTES {
            return payload;
        }
        error_payload(subject, self.code, &self.message, EncodedDict::NONE)
    }
}

impl Connection<Server> {
    /// Answers the Hello by a Welcome.
    ///
    /// # Errors
    /// [`AcceptError::Identity`] if the node's numbers do not fit `acceptance.node_decided`: the client has then
    /// been refused by that code.
    pub fn accept(&mut self, now: Time, acceptance: Acceptance) -> Result<(), AcceptError> {
        let (core, role) = self.server_role();
        let State::Deciding { oldest, next, heartbeat_ms, lz4 } = role.state else {
            return Err(Misuse::NoHello.into());
        };
        if core.phase != Phase::Handshake || core.farewell.has_begun() {
            return Err(Misuse::Closed.into());
        }
        if let Err(code) = check_identity(oldest, next, acceptance.node_decided) {
            core.end_with_words(code, code.text(), CloseReason::Refused(code));
            self.settle();
            return Err(AcceptError::Identity(code));
        }
        let heartbeat = choose_heartbeat(heartbeat_ms);
        let lz4 = lz4 && role.config.compression;
        role.outcomes = Outcomes::new(oldest, role.config.operation_window, acceptance.position);
        role.state = State::Welcoming(role.welcome(acceptance, millis(heartbeat), lz4));
        core.establish(now, heartbeat, lz4);
        core.set_clock(now, acceptance.clock);
        Ok(())
    }

    /// Ends the connection by an Error about it, at any time: an unknown database, a node that is fenced by a
    /// newer connection, `identity_reused` for a body that does not match its number.
    ///
    /// # Errors
    /// [`Misuse::Closed`] after the end.
    pub fn refuse(&mut self, code: ErrorCode, message: &str) -> Result<(), Misuse> {
        if self.is_closed() {
            return Err(Misuse::Closed);
        }
        self.core.end_with_words(code, message, CloseReason::Refused(code));
        self.settle();
        Ok(())
    }

    /// Sets the clock that Pongs tell.
    pub const fn set_clock(&mut self, now: Time, clock: Clock) {
        self.core.set_clock(now, clock);
    }

    /// The application took an operation or request into its own bounded queues: its credit returns.
    pub fn admit(&mut self, cost: Cost) {
        self.role.work.admit(cost);
    }

    /// Grows or shrinks the work window. A window of nothing counts as one.
    pub const fn set_work_window(&mut self, window: CreditLimit) {
        self.role.work.set_window(super::at_least_one(window));
    }

    /// Work received whose cost was not given back: what the application, or its queues, hold for this client.
    pub const fn work_in_flight(&self) -> CreditLimit {
        self.role.work.outstanding()
    }

    /// Operation `number` is decided. Operations are decided in order; repeated ones get their first verdict.
    ///
    /// # Errors
    /// [`Misuse::OutOfOrder`].
    pub fn decided(&mut self, number: u64, verdict: &Verdict) -> Result<(), Misuse> {
        let refusal = verdict.refusal.as_ref();
        let decision = Decision {
            unchanged: verdict.unchanged,
            position: verdict.position,
            refusal: refusal.map(|refusal| refusal.payload(Subject::Operation(number))),
        };
        let decided = self.role.outcomes.decide(number, decision);
        decided.map_err(|error| Misuse::OutOfOrder { expected: error.expected, found: number })
    }

    /// Every operation up to `number` is on stable storage, its outcome included.
    ///
    /// # Errors
    /// [`Misuse::OutOfOrder`] if `number` is not decided yet.
    pub fn durable(&mut self, number: u64) -> Result<(), Misuse> {
        let durable = self.role.outcomes.make_durable(number);
        durable.map_err(|error| Misuse::OutOfOrder { expected: error.expected, found: number })
    }

    /// Operations received whose outcome is not told as durable.
    pub const fn pending_operations(&self) -> u64 {
        self.role.outcomes.pending()
    }

    /// Requests that are not finished.
    pub fn running_requests(&self) -> usize {
        self.role.requests.len()
    }

    /// Hands in a frame of rows. After one whose `last` is set the request is over.
    ///
    /// # Errors
    /// [`Misuse`], if the query does not run, or the frame is too large.
    pub fn respond(&mut self, response: &QueryResponse<'_>) -> Result<Delivery, Misuse> {
        let message = Message::QueryResponse(*response);
        self.deliver_message(response.id, RequestKind::Query, response.last, &message)
    }

    /// Hands in an event. After a reset or an end the subscription is over.
    ///
    /// # Errors
    /// [`Misuse`], if the subscription does not run, or the frame is too large.
    pub fn deliver(&mut self, event: &Event<'_>) -> Result<Delivery, Misuse> {
        let last = matches!(event.kind, EventKind::Reset { .. } | EventKind::Ended);
        self.deliver_message(event.id, RequestKind::Subscription, last, &Message::Event(*event))
    }

    /// What [`deliver`](Self::deliver) would answer now, before an event is made. Where it would not take it,
    /// `Writable` follows when it would.
    ///
    /// # Errors
    /// [`Misuse`], if the subscription does not run.
    pub fn room(&mut self, id: u64, kind: RequestKind) -> Result<Delivery, Misuse> {
        if !self.is_open() {
            return Err(Misuse::Closed);
        }
        self.role.requests.room(id, kind)
    }

    fn deliver_message(
        &mut self,
        id: u64,
        kind: RequestKind,
        last: bool,
        message: &Message<'_>,
    ) -> Result<Delivery, Misuse> {
        if !self.is_open() {
            return Err(Misuse::Closed);
        }
        self.role.requests.deliver(id, kind, last, || {
            let mut payload = Vec::new();
            message.encode(&mut payload);
            if payload.len() > MAX_PAYLOAD_BYTES { Err(Misuse::TooLarge(payload.len())) } else { Ok(payload) }
        })
    }

    /// Ends a running request by an Error. What waits for it is dropped.
    ///
    /// # Errors
    /// [`Misuse::UnknownRequest`].
    pub fn fail(&mut self, id: u64, refusal: &RefusalText) -> Result<(), Misuse> {
        self.role.requests.refuse(id, refusal.payload(Subject::Request(id)))
    }

    /// A cancelled request has stopped: its place is free. The client is told `cancelled`, or, of a
    /// subscription, that it ended at `position`.
    ///
    /// # Errors
    /// [`Misuse::UnknownRequest`] if it does not run or was not cancelled.
    pub fn finish(&mut self, id: u64, position: Position) -> Result<(), Misuse> {
        match self.role.requests.state(id) {
            Some((RequestKind::Query, true)) => self.fail(id, &RefusalText::new(ErrorCode::Cancelled)),
            Some((RequestKind::Subscription, true)) => {
                let mut payload = Vec::new();
                Message::Event(Event { id, position, kind: EventKind::Ended }).encode(&mut payload);
                self.role.requests.end_cancelled(id, payload)
            }
            _ => Err(Misuse::UnknownRequest(id)),
        }
    }
}
