//! The server's role.
//!
//! ```text
//!   awaiting ──Hello──▶ deciding ──accept──▶ welcoming ──Welcome written──▶ running
//!                          │ refuse
//!                          ▼
//!                        ended
//! ```

mod verbs;

use std::collections::VecDeque;

pub use verbs::{RefusalText, Verdict};

use super::budget::TokenBucket;
use super::close::Parting;
use super::config::ServerConfig;
use super::connection::{Connection, Role};
use super::core::{Core, Inbound, Phase, error_payload, frame_cost};
use super::credit::{Cost, ReceiveCredit};
use super::error::{CloseReason, Violation};
use super::handshake::{Acceptance, HelloInfo, LZ4, choose_version};
use super::limits::{CANCEL_BURST, CANCELS_PER_SECOND, MAX_OPERATION_WINDOW};
use super::outcomes::{NumberError, Outcomes, Outgoing};
use super::peek;
use super::requests::{CancelEffect, News, RequestKind, Requests};
use super::time::Time;
use crate::blazebinary::Dict;
use crate::wire::message::{Ack, AckLevel, Credit, CreditScope, Welcome};
use crate::wire::{
    CreditLimit, EncodedDict, EncodedStrings, ErrorCode, Lane, Message, MessageErrorKind, MessageType,
    Subject,
};

/// What a server's application is told.
#[derive(Debug)]
pub enum ServerEvent {
    /// A client said who it is: answer with [`accept`](Connection::accept) or [`refuse`](Connection::refuse).
    Hello(HelloInfo),
    /// An operation, the next in order. Decode the payload
    /// ([`Message::decode`]); if that fails, the operation is decided as refused.
    Operation {
        /// Its number.
        number: u64,
        /// What the client wants to be told.
        ack_level: AckLevel,
        /// Its whole payload.
        payload: Vec<u8>,
        /// To be given back to [`admit`](Connection::admit).
        cost: Cost,
    },
    /// A query or subscription, which counts as running from now on. Its payload was decoded once and is right.
    Request {
        /// Its id.
        id: u64,
        /// Which of the two.
        kind: RequestKind,
        /// Its whole payload.
        payload: Vec<u8>,
        /// To be given back to [`admit`](Connection::admit).
        cost: Cost,
    },
    /// The client no longer wants the answer: stop, then call [`finish`](Connection::finish).
    Cancelled {
        /// The request.
        id: u64,
    },
    /// A request that was refused a frame takes one again.
    Writable {
        /// The request.
        id: u64,
    },
    /// The client said Goodbye: nothing new comes from it.
    Goodbye(Parting),
    /// The end.
    Closed(CloseReason),
}

/// A request that never ran: its Error, and the credit that returns when it is written.
#[derive(Debug)]
struct Reject {
    payload: Vec<u8>,
    cost: Cost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Awaiting,
    /// The Hello came; its oldest and next operation, its heartbeat, and whether it offers LZ4.
    Deciding {
        oldest: u64,
        next: u64,
        heartbeat_ms: u32,
        lz4: bool,
    },
    /// The payload of the Welcome.
    Welcoming(Vec<u8>),
    Running,
}

/// The server's role: see [`Connection`].
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    state: State,
    now: Time,
    work: ReceiveCredit,
    telemetry: ReceiveCredit,
    outcomes: Outcomes,
    requests: Requests,
    cancels: TokenBucket,
    rejects: VecDeque<Reject>,
    inbox: VecDeque<ServerEvent>,
    inbox_bytes: usize,
    goodbye: Option<Parting>,
}

impl Connection<Server> {
    /// A server's end of a connection that begins now.
    pub fn server(now: Time, config: ServerConfig) -> Self {
        let core = Core::new(now, config.first_sequence);
        Self::from_parts(core, Server::new(now, config))
    }

    pub(super) const fn server_role(&mut self) -> (&mut Core, &mut Server) {
        (&mut self.core, &mut self.role)
    }

    /// Bytes held for this client, at most [`ServerConfig::memory_bound`].
    pub fn memory(&self) -> usize {
        let role = &self.role;
        let rejects = role.rejects.iter().map(|reject| reject.payload.len()).fold(0, usize::saturating_add);
        [role.inbox_bytes, role.outcomes.memory(), role.requests.memory(), rejects]
            .into_iter()
            .fold(self.unfinished_bytes(), usize::saturating_add)
    }
}

impl Server {
    fn new(now: Time, mut config: ServerConfig) -> Self {
        config.operation_window = config.operation_window.clamp(1, MAX_OPERATION_WINDOW);
        let requests = Requests::new(config.request_limit, config.staged_bytes);
        Self {
            state: State::Awaiting,
            now,
            work: ReceiveCredit::new(at_least_one(config.work)),
            telemetry: ReceiveCredit::new(config.telemetry),
            outcomes: Outcomes::new(1, config.operation_window, crate::wire::Position::default()),
            requests,
            cancels: TokenBucket::new(now, CANCELS_PER_SECOND, CANCEL_BURST),
            rejects: VecDeque::new(),
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            goodbye: None,
            config,
        }
    }

    fn handle_hello(&mut self, core: &Core, inbound: &Inbound<'_>) -> Result<(), Violation> {
        if self.state != State::Awaiting {
            return Err(inbound.unexpected("there is one Handshake, the first message"));
        }
        if core.farewell.has_begun() {
            // It crossed this side's Goodbye.
            return Ok(());
        }
        let Message::Hello(hello) = inbound.decode().map_err(Violation::Malformed)? else {
            return Err(inbound.unexpected("a client does not send a Welcome"));
        };
        choose_version(&hello)?;
        self.state = State::Deciding {
            oldest: hello.oldest_unacked,
            next: hello.next_operation,
            heartbeat_ms: hello.heartbeat_ms,
            lz4: hello.capabilities.contains(LZ4),
        };
        self.inbox.push_back(ServerEvent::Hello(HelloInfo::from(&hello)));
        Ok(())
    }

    fn handle_operation(&mut self, core: &Core, inbound: Inbound<'_>) -> Result<(), Violation> {
        let cost = self.spend_work(&inbound)?;
        let (number, ack_level) = peek::operation(&inbound.payload)?;
        if core.farewell.has_begun() {
            return Ok(());
        }
        self.outcomes.receive(number, ack_level).map_err(|error| match error {
            NumberError::Gap { expected } => Violation::OperationNumberGap { expected, found: number },
            NumberError::Window => {
                Violation::OperationWindowExceeded { number, window: self.config.operation_window }
            }
        })?;
        let payload = inbound.payload.into_owned();
        self.keep(payload.len(), ServerEvent::Operation { number, ack_level, payload, cost });
        Ok(())
    }

    fn handle_request(&mut self, core: &Core, inbound: Inbound<'_>) -> Result<(), Violation> {
        let cost = self.spend_work(&inbound)?;
        let (id, kind, limit) = match inbound.decode() {
            Ok(Message::Query(query)) => (query.id, RequestKind::Query, query.credit),
            Ok(Message::Subscribe(subscribe)) => (subscribe.id, RequestKind::Subscription, subscribe.credit),
            Ok(_) => return Err(inbound.unexpected("it is no request")),
            Err(error) => {
                let Subject::Request(id) = error.subject else { return Err(Violation::Malformed(error)) };
                self.take_id(id)?;
                let text = error.to_string();
                self.reject(error_payload(error.subject, error.code(), &text, error.detail()), cost);
                return Ok(());
            }
        };
        self.take_id(id)?;
        if core.farewell.has_begun() {
            return Ok(());
        }
        if let Some(payload) = self.too_many(id) {
            self.reject(payload, cost);
            return Ok(());
        }
        self.requests.open(id, kind, limit);
        let payload = inbound.payload.into_owned();
        self.keep(payload.len(), ServerEvent::Request { id, kind, payload, cost });
        Ok(())
    }

    fn take_id(&mut self, id: u64) -> Result<(), Violation> {
        self.requests.take_id(id).map_err(|last| Violation::RequestIdNotIncreasing { last, found: id })
    }

    fn spend_work(&mut self, inbound: &Inbound<'_>) -> Result<Cost, Violation> {
        let bytes = inbound.cost();
        self.work.receive(bytes).map_err(|_| Violation::CreditExceeded { bytes })
    }

    /// The refusal of a request beyond the limits.
    fn too_many(&mut self, id: u64) -> Option<Vec<u8>> {
        let mut detail = EncodedDict::NONE;
        if !self.requests.is_full() {
            if self.cancels.has_token(self.now) {
                return None;
            }
            let wait = self.cancels.wait(self.now);
            let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1);
            detail = EncodedDict::new(Dict::from_iter([("retry_after_ms", wait)])).unwrap_or_default();
        }
        let code = ErrorCode::TooMany;
        Some(error_payload(Subject::Request(id), code, code.text(), detail))
    }

    fn reject(&mut self, payload: Vec<u8>, cost: Cost) {
        self.rejects.push_back(Reject { payload, cost });
    }

    fn keep(&mut self, bytes: usize, event: ServerEvent) {
        self.inbox_bytes = self.inbox_bytes.saturating_add(bytes);
        self.inbox.push_back(event);
    }

    fn handle_cancel(&mut self, now: Time, id: u64) {
        if self.requests.cancel(id) == CancelEffect::Stopping {
            // An empty bucket is felt by the next request.
            let _ = self.cancels.take(now);
        }
    }

    fn handle_control(&mut self, core: &mut Core, now: Time, inbound: &Inbound<'_>) -> Result<(), Violation> {
        match inbound.decode().map_err(Violation::Malformed)? {
            Message::Ping(ping) => core.control.handle_ping(ping),
            Message::Pong(pong) => drop(core.control.handle_pong(pong)),
            Message::Unsubscribe(unsubscribe) => self.handle_cancel(now, unsubscribe.id),
            Message::Cancel(cancel) => self.handle_cancel(now, cancel.id),
            Message::Credit(Credit { scope: CreditScope::Request(id), limit }) => {
                self.requests.raise(id, limit).map_err(|_| Violation::CreditFell)?;
            }
            Message::Credit(_) => return Err(Violation::ForeignCredit),
            Message::Goodbye(goodbye) => self.handle_goodbye(core, now, Parting::from(&goodbye)),
            Message::Error(error) if error.subject == Subject::Connection => {
                core.handle_connection_error(&error, &inbound.payload)?;
            }
            _ => return Err(inbound.unexpected("a client does not send it")),
        }
        Ok(())
    }

    fn handle_goodbye(&mut self, core: &mut Core, now: Time, parting: Parting) {
        self.requests.cancel_all();
        self.goodbye = Some(parting.clone());
        core.farewell.handle_goodbye(now, parting);
    }

    /// The Welcome that answers the Hello.
    fn welcome(&self, acceptance: Acceptance, heartbeat_ms: u32, lz4: bool) -> Vec<u8> {
        let names: &[&str] = if lz4 { &[LZ4] } else { &[] };
        let welcome = Welcome {
            version: crate::wire::header::VERSION,
            node_decided: acceptance.node_decided,
            operation_window: self.config.operation_window,
            heartbeat_ms,
            work: at_least_one(self.config.work),
            telemetry: self.config.telemetry,
            request_limit: self.config.request_limit,
            clock: acceptance.clock,
            position: acceptance.position,
            connection: acceptance.connection,
            node: acceptance.node,
            agent: &self.config.agent,
            capabilities: EncodedStrings::new(names).unwrap_or_default(),
        };
        let mut payload = Vec::new();
        Message::Welcome(welcome).encode(&mut payload);
        payload
    }
}

/// Windows of nothing would stop a lane for ever.
const fn at_least_one(window: CreditLimit) -> CreditLimit {
    CreditLimit {
        frames: if window.frames == 0 { 1 } else { window.frames },
        bytes: if window.bytes == 0 { 1 } else { window.bytes },
    }
}

#[expect(private_interfaces, reason = "the trait is sealed")]
impl Role for Server {
    type Event = ServerEvent;
    const ANSWERS_WHEN_SETTLED: bool = true;

    fn handle(&mut self, core: &mut Core, now: Time, inbound: Inbound<'_>) -> Result<(), Violation> {
        self.now = now;
        if core.farewell.is_received() && inbound.message_type != MessageType::Error {
            return Err(inbound.unexpected("nothing follows a client's Goodbye"));
        }
        match inbound.message_type {
            MessageType::Handshake => self.handle_hello(core, &inbound),
            MessageType::Goodbye | MessageType::Error => self.handle_control(core, now, &inbound),
            _ if core.phase == Phase::Handshake => {
                Err(inbound.unexpected("nothing precedes the handshake or its answer"))
            }
            MessageType::Operation => self.handle_operation(core, inbound),
            MessageType::Query | MessageType::Subscribe => self.handle_request(core, inbound),
            MessageType::Telemetry => {
                let bytes = inbound.cost();
                let cost = self.telemetry.receive(bytes).map_err(|_| Violation::CreditExceeded { bytes })?;
                self.telemetry.admit(cost);
                core.pass_over(MessageErrorKind::ReservedType(inbound.message_type as u8));
                Ok(())
            }
            MessageType::Auth => {
                core.pass_over(MessageErrorKind::ReservedType(inbound.message_type as u8));
                Ok(())
            }
            // Before they are read (P-2.14).
            MessageType::Ack | MessageType::QueryResponse | MessageType::Event => {
                Err(inbound.unexpected("a client does not send it"))
            }
            _ => self.handle_control(core, now, &inbound),
        }
    }

    fn write_handshake(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        match std::mem::replace(&mut self.state, State::Running) {
            State::Welcoming(payload) => {
                core.write(MessageType::Handshake, &payload, out);
                true
            }
            state => {
                self.state = state;
                false
            }
        }
    }

    fn write_control(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        for (lane, credit) in [(Lane::Work, &mut self.work), (Lane::Telemetry, &mut self.telemetry)] {
            if let Some(limit) = credit.due() {
                credit.advertise(limit);
                let scope = CreditScope::Lane(lane);
                core.write_message(&Message::Credit(Credit { scope, limit }), out);
                return true;
            }
        }
        false
    }

    fn write_outcome(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        match self.outcomes.next() {
            Some(Outgoing::Error(payload)) => core.write(MessageType::Error, &payload, out),
            Some(Outgoing::Ack(covered, level)) => {
                let (number, unchanged, position) = (covered.number, covered.unchanged, covered.position);
                let ack = Ack { lane: Lane::Work, level, number, unchanged, position };
                core.write_message(&Message::Ack(ack), out);
            }
            None => return false,
        }
        true
    }

    fn write_data(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool {
        if let Some(payload) = self.requests.next_refusal() {
            core.write(MessageType::Error, &payload, out);
        } else if let Some(Reject { payload, cost }) = self.rejects.pop_front() {
            core.write(MessageType::Error, &payload, out);
            self.work.admit(cost);
        } else if let Some(frame) = self.requests.next_frame(frame_cost) {
            core.write(frame.message_type, &frame.payload, out);
        } else {
            return false;
        }
        true
    }

    fn is_settled(&self) -> bool {
        self.outcomes.is_settled()
    }

    fn poll_event(&mut self) -> Option<ServerEvent> {
        if let Some(event) = self.inbox.pop_front() {
            if let ServerEvent::Operation { payload, .. } | ServerEvent::Request { payload, .. } = &event {
                self.inbox_bytes = self.inbox_bytes.saturating_sub(payload.len());
            }
            return Some(event);
        }
        if let Some(news) = self.requests.poll_news() {
            return Some(match news {
                News::Cancelled(id) => ServerEvent::Cancelled { id },
                News::Writable(id) => ServerEvent::Writable { id },
            });
        }
        self.goodbye.take().map(ServerEvent::Goodbye)
    }

    fn handle_close(&mut self) {
        self.requests.cancel_all();
    }

    fn closed(reason: CloseReason) -> ServerEvent {
        ServerEvent::Closed(reason)
    }

    fn handle_end(&mut self) {
        self.inbox.clear();
        self.inbox_bytes = 0;
        self.rejects.clear();
    }
}
