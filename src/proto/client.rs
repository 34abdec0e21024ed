//! The client's role.
//!
//! ```text
//!   greeting ──Hello written──▶ waiting ──Welcome──▶ running
//!                                  │ Error, Goodbye
//!                                  ▼
//!                                ended
//! ```

mod verbs;

use std::collections::VecDeque;
use std::time::Duration;

use super::asks::{Asks, Received};
use super::close::Parting;
use super::config::ClientConfig;
use super::connection::{Connection, Role};
use super::control::Echo;
use super::core::{Core, Inbound, Phase, frame_cost};
use super::credit::{Cost, SendCredit};
use super::error::{CloseReason, Misuse, Violation};
use super::handshake::{LZ4, Offer, WelcomeInfo, check_welcome, millis};
use super::outbox::{Outbox, Outcome, Refusal};
use super::peek;
use super::requests::RequestKind;
use super::time::Time;
use crate::wire::message::{Ack, Credit, CreditScope, Error, Hello, Welcome};
use crate::wire::{
    Clock, DatabaseName, EncodedStrings, Lane, Message, MessageErrorKind, MessageType, Subject,
};

/// What a client's application is told.
#[derive(Debug)]
pub enum ClientEvent {
    /// The server welcomes it.
    Welcome(WelcomeInfo),
    /// What became of an operation, at the level that it asked for; in order for operations of one level.
    Outcome(Outcome),
    /// How far operations are acknowledged: the latest Ack. Outcomes come before it.
    Acknowledged(Ack),
    /// A part of an answer, or an event: decode its payload. Credit returns when `cost` is given to
    /// [`consume`](Connection::consume).
    Answer {
        /// The request.
        id: u64,
        /// Query or subscription: a QueryResponse or an Event.
        kind: RequestKind,
        /// The whole payload.
        payload: Vec<u8>,
        /// Whether the request is over.
        last: bool,
        /// To be given back.
        cost: Cost,
    },
    /// A request was refused, and is over.
    Refused {
        /// The request.
        id: u64,
        /// Why.
        refusal: Refusal,
    },
    /// A request that was cancelled is over.
    Cancelled {
        /// The request.
        id: u64,
    },
    /// The server passed over a message that it does not know; the connection goes on.
    Notice(Refusal),
    /// A Ping was answered.
    Echo {
        /// How long it took.
        round_trip: Duration,
        /// The server's clock.
        clock: Clock,
    },
    /// The server said Goodbye: nothing new is begun, and requests are over.
    Goodbye(Parting),
    /// The end. Take the [`Outbox`] for the next connection.
    Closed(CloseReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Waiting(Offer),
    Running,
}

/// The client's role: see [`Connection`].
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    state: State,
    outbox: Outbox,
    window: u16,
    work: SendCredit,
    telemetry: SendCredit,
    asks: Asks,
    /// Whether an operation goes before the next request.
    operation_first: bool,
    inbox: VecDeque<ClientEvent>,
    /// Requests that are over and not told.
    untold_ends: usize,
    acknowledged: Option<Ack>,
    notice: Option<Refusal>,
    echo: Option<(Duration, Clock)>,
}

impl Connection<Client> {
    /// A client's end of a connection that begins now. What `outbox` holds is sent again.
    ///
    /// # Errors
    /// [`Misuse::InvalidDatabase`] if the configuration names no possible database.
    pub fn client(now: Time, config: ClientConfig, mut outbox: Outbox) -> Result<Self, Misuse> {
        DatabaseName::new(&config.database).map_err(Misuse::InvalidDatabase)?;
        outbox.restart();
        let core = Core::new(now, config.first_sequence);
        Ok(Self::from_parts(core, Client::new(config, outbox)))
    }

    /// Bytes held: operations, answers that were not consumed, and an unfinished frame.
    pub fn memory(&self) -> usize {
        let answers = usize::try_from(self.role.asks.outstanding_bytes()).unwrap_or(usize::MAX);
        self.unfinished_bytes().saturating_add(self.role.outbox.bytes()).saturating_add(answers)
    }
}

impl Client {
    fn new(config: ClientConfig, outbox: Outbox) -> Self {
        Self {
            config,
            state: State::Greeting,
            outbox,
            window: 0,
            work: SendCredit::default(),
            telemetry: SendCredit::default(),
            asks: Asks::new(),
            operation_first: false,
            inbox: VecDeque::new(),
            untold_ends: 0,
            acknowledged: None,
            notice: None,
            echo: None,
        }
    }

    fn handle_handshake(
        &mut self,
        core: &mut Core,
        now: Time,
        inbound: &Inbound<'_>,
    ) -> Result<(), Violation> {
        let State::Waiting(offer) = self.state else {
            return Err(inbound.unexpected("there is one Welcome, after the Hello"));
        };
        let Message::Welcome(welcome) = inbound.decode().map_err(Violation::Malformed)? else {
            return Err(inbound.unexpected("a server does not send a Hello"));
        };
        let info = check_welcome(offer, &welcome)?;
        self.begin(&welcome, &info);
        core.establish(now, info.heartbeat, info.compression);
        self.inbox.push_back(ClientEvent::Welcome(info));
        Ok(())
    }

    fn begin(&mut self, welcome: &Welcome<'_>, info: &WelcomeInfo) {
        self.state = State::Running;
        self.outbox.set_node(info.node);
        self.window = info.operation_window;
        self.work = SendCredit::new(welcome.work);
        self.telemetry = SendCredit::new(welcome.telemetry);
        self.asks.set_limit(info.request_limit);
    }

    fn handle_answer(&mut self, inbound: Inbound<'_>) -> Result<(), Violation> {
        let (kind, part) = match inbound.message_type {
            MessageType::QueryResponse => (RequestKind::Query, peek::query_response(&inbound.payload)?),
            _ => (RequestKind::Subscription, peek::event(&inbound.payload)?),
        };
        let (id, last) = (part.id, part.is_last);
        match self.asks.receive(kind, inbound.cost(), part)? {
            Received::Deliver(cost) => {
                let payload = inbound.payload.into_owned();
                self.tell(ClientEvent::Answer { id, kind, payload, last, cost }, last);
            }
            Received::Drop => {}
            Received::End => self.tell(ClientEvent::Cancelled { id }, true),
        }
        Ok(())
    }

    fn tell(&mut self, event: ClientEvent, ends: bool) {
        self.untold_ends = self.untold_ends.saturating_add(usize::from(ends));
        self.inbox.push_back(event);
    }

    fn handle_control(&mut self, core: &mut Core, now: Time, inbound: &Inbound<'_>) -> Result<(), Violation> {
        match inbound.decode().map_err(Violation::Malformed)? {
            Message::Ack(ack) => self.handle_ack(ack)?,
            Message::Error(error) => self.handle_error(core, &error, &inbound.payload)?,
            Message::Ping(ping) => core.control.handle_ping(ping),
            Message::Pong(pong) => {
                if let Some(Echo { written, clock }) = core.control.handle_pong(pong) {
                    self.echo = Some((now.since(written), clock));
                }
            }
            Message::Goodbye(goodbye) => {
                let parting = Parting::from(&goodbye);
                self.tell(ClientEvent::Goodbye(parting.clone()), false);
                core.farewell.handle_goodbye(now, parting);
            }
            Message::Credit(Credit { scope: CreditScope::Lane(lane), limit }) => {
                let credit = match lane {
                    Lane::Work => &mut self.work,
                    Lane::Telemetry => &mut self.telemetry,
                };
                credit.raise(limit).map_err(|_| Violation::CreditFell)?;
            }
            Message::Credit(_) => return Err(Violation::ForeignCredit),
            _ => return Err(inbound.unexpected("a server does not send it")),
        }
        Ok(())
    }

    fn handle_ack(&mut self, ack: Ack) -> Result<(), Violation> {
        let impossible = Violation::ImpossibleAck { number: ack.number };
        if ack.lane != Lane::Work {
            return Err(impossible);
        }
        self.outbox.handle_ack(ack.level, ack.number).map_err(|_| impossible)?;
        self.acknowledged = Some(ack);
        Ok(())
    }

    fn handle_error(&mut self, core: &mut Core, error: &Error<'_>, payload: &[u8]) -> Result<(), Violation> {
        let refusal =
            || Refusal { code: error.code, message: error.message.to_owned(), payload: payload.to_vec() };
        match error.subject {
            Subject::Connection => {
                let notice = core.handle_connection_error(error, payload)?;
                self.notice = notice.or(self.notice.take());
            }
            Subject::Operation(number) => {
                let refused = self.outbox.handle_refusal(number, refusal());
                refused.map_err(|_| Violation::ImpossibleAck { number })?;
            }
            Subject::Request(_) if core.farewell.is_received() => {
                let (message_type, why) = (MessageType::Error as u8, "a server's Goodbye ended all requests");
                return Err(Violation::UnexpectedMessage { message_type, why });
            }
            // It crossed this side's Goodbye (C-11.6).
            Subject::Request(_) if core.farewell.has_begun() => {}
            Subject::Request(id) => {
                let event = if self.asks.end(id)? {
                    ClientEvent::Cancelled { id }
                } else {
                    ClientEvent::Refused { id, refusal: refusal() }
                };
                self.tell(event, true);
            }
        }
        Ok(())
    }

    fn write_request(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        let Some((message_type, payload)) = self.asks.take_unsent() else { return false };
        self.work.spend(frame_cost(&payload));
        core.write(message_type, &payload, out);
        true
    }

    fn write_operation(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        let Some(payload) = self.outbox.peek_unsent(self.window) else { return false };
        self.work.spend(frame_cost(payload));
        core.write(MessageType::Operation, payload, out);
        self.outbox.mark_sent();
        true
    }
}

#[expect(private_interfaces, reason = "the trait is sealed")]
impl Role for Client {
    type Event = ClientEvent;
    const ANSWERS_WHEN_SETTLED: bool = false;

    fn handle(&mut self, core: &mut Core, now: Time, inbound: Inbound<'_>) -> Result<(), Violation> {
        let outcome = matches!(inbound.message_type, MessageType::Ack | MessageType::Error);
        if core.farewell.is_received() && !outcome {
            return Err(inbound.unexpected("only outcomes follow a server's Goodbye"));
        }
        match inbound.message_type {
            MessageType::Handshake => self.handle_handshake(core, now, &inbound),
            MessageType::Goodbye => self.handle_control(core, now, &inbound),
            MessageType::Error if self.state != State::Greeting => self.handle_control(core, now, &inbound),
            _ if core.phase == Phase::Handshake => Err(inbound.unexpected("nothing precedes the Welcome")),
            // It crossed this side's Goodbye, with which requests are over (C-11.6).
            MessageType::QueryResponse | MessageType::Event if core.farewell.has_begun() => Ok(()),
            MessageType::QueryResponse | MessageType::Event => self.handle_answer(inbound),
            MessageType::Telemetry | MessageType::Auth => {
                if inbound.message_type == MessageType::Telemetry {
                    // Its lane is the server's to read: from a server it is control like any other.
                    core.control.spend(now)?;
                }
                core.pass_over(MessageErrorKind::ReservedType(inbound.message_type as u8));
                Ok(())
            }
            // Before they are read (P-2.14).
            MessageType::Operation
            | MessageType::Query
            | MessageType::Subscribe
            | MessageType::Unsubscribe
            | MessageType::Cancel => Err(inbound.unexpected("a server does not send it")),
            _ => self.handle_control(core, now, &inbound),
        }
    }

    fn write_handshake(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        if self.state != State::Greeting {
            return false;
        }
        let Ok(database) = DatabaseName::new(&self.config.database) else { return false };
        let names: &[&str] = if self.config.compression { &[LZ4] } else { &[] };
        let offer = Offer {
            node: self.outbox.node(),
            oldest_unacked: self.outbox.oldest_unacknowledged(),
            next_operation: self.outbox.next_number(),
            compression: self.config.compression,
        };
        let hello = Hello {
            min_version: crate::wire::header::VERSION,
            max_version: crate::wire::header::VERSION,
            next_operation: offer.next_operation,
            oldest_unacked: offer.oldest_unacked,
            heartbeat_ms: millis(self.config.heartbeat),
            database,
            agent: &self.config.agent,
            node: offer.node,
            capabilities: EncodedStrings::new(names).unwrap_or_default(),
        };
        core.write_message(&Message::Hello(hello), out);
        self.state = State::Waiting(offer);
        true
    }

    fn write_control(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        let Some(message) = self.asks.next_control() else { return false };
        core.write_message(&message, out);
        true
    }

    fn write_outcome(&mut self, _: &mut Core, _: &mut Vec<u8>) -> bool {
        false
    }

    fn write_data(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        if !self.work.is_open() {
            return false;
        }
        // Operations and requests take turns, so that a backlog of one does not hold up the other.
        self.operation_first = !self.operation_first;
        if self.operation_first && self.write_operation(core, out) {
            return true;
        }
        self.write_request(core, out) || self.write_operation(core, out)
    }

    fn is_settled(&self) -> bool {
        self.outbox.in_flight() == 0
    }

    fn poll_event(&mut self) -> Option<ClientEvent> {
        if let Some(event) = self.inbox.pop_front() {
            let ends = match &event {
                ClientEvent::Answer { last, .. } => *last,
                ClientEvent::Refused { .. } | ClientEvent::Cancelled { .. } => true,
                _ => false,
            };
            self.untold_ends = self.untold_ends.saturating_sub(usize::from(ends));
            return Some(event);
        }
        let outcome = self.outbox.poll_outcome().map(ClientEvent::Outcome);
        let acknowledged = || self.acknowledged.take().map(ClientEvent::Acknowledged);
        let told = outcome.or_else(acknowledged);
        let told = told.or_else(|| self.notice.take().map(ClientEvent::Notice));
        told.or_else(|| self.echo.take().map(|(round_trip, clock)| ClientEvent::Echo { round_trip, clock }))
    }

    fn handle_close(&mut self) {}

    fn closed(reason: CloseReason) -> ClientEvent {
        ClientEvent::Closed(reason)
    }

    fn handle_end(&mut self) {}
}
