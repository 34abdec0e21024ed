//! Our server, whose application decides what the script's server decided.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use blazedb::proto::{
    Acceptance, CloseReason, Connection, Cost, Delivery, Parting, RefusalText, Server, ServerConfig,
    ServerEvent, Time, Verdict,
};
use blazedb::wire::message::{Ack, AckLevel, Error, EventKind, Welcome};
use blazedb::wire::{ErrorCode, Message, MessageType, Position, Subject};

use super::{Side, Step};

pub(super) struct Served {
    connection: Connection<Server>,
    now: Time,
    heartbeat: Duration,
    /// Operations that are not decided: their numbers, and the code of a payload that cannot be read.
    undecided: VecDeque<(u64, Option<ErrorCode>)>,
    unchanged: u64,
    /// What was not admitted yet.
    costs: Vec<Cost>,
    cancelled: BTreeSet<u64>,
}

impl Served {
    /// A server as the Welcome in `steps` shows it.
    pub(super) fn new(steps: &[Step], first_sequence: u32) -> Self {
        let mut config = ServerConfig { first_sequence, ..ServerConfig::default() };
        let mut heartbeat = Duration::ZERO;
        let welcomes = steps.iter().filter(|step| !step.from_client);
        if let Some(Message::Welcome(welcome)) = welcomes.filter_map(Step::message).next() {
            config.agent = welcome.agent.to_owned();
            (config.work, config.telemetry) = (welcome.work, welcome.telemetry);
            config.operation_window = welcome.operation_window;
            config.request_limit = welcome.request_limit;
            config.compression = welcome.capabilities.contains("lz4");
            heartbeat = Duration::from_millis(welcome.heartbeat_ms.into());
        }
        Self {
            connection: Connection::server(Time::ZERO, config),
            now: Time::ZERO,
            heartbeat,
            undecided: VecDeque::new(),
            unchanged: 0,
            costs: Vec::new(),
            cancelled: BTreeSet::new(),
        }
    }

    fn welcome(&mut self, welcome: &Welcome<'_>) {
        let acceptance = Acceptance {
            node: welcome.node,
            node_decided: welcome.node_decided,
            connection: welcome.connection,
            position: welcome.position,
            clock: welcome.clock,
        };
        self.connection.accept(self.now, acceptance).unwrap();
    }

    /// Decides what was received up to `number`, each to no refusal, at the positions that the Acks tell.
    fn decide_up_to(&mut self, number: u64, acks: &Positions, mut unchanged: u64) {
        while let Some((next, malformed)) =
            self.undecided.front().copied().filter(|(next, _)| *next <= number)
        {
            assert_eq!(malformed, None, "operation {next} cannot be read and is not refused");
            self.undecided.pop_front();
            let verdict = Verdict { position: position_of(next, acks), unchanged, refusal: None };
            self.connection.decided(next, &verdict).unwrap();
            unchanged = 0;
        }
    }

    fn acknowledge(&mut self, ack: &Ack, rest: &[Step]) {
        let mut acks = positions(rest);
        acks.insert(ack.number, ack.position);
        self.decide_up_to(ack.number, &acks, ack.unchanged - self.unchanged);
        self.unchanged = ack.unchanged;
        if ack.level == AckLevel::Durable {
            self.connection.durable(ack.number).unwrap();
        }
    }

    fn refuse(&mut self, error: &Error<'_>, rest: &[Step]) {
        let Some(code) = ErrorCode::from_number(error.code) else { return };
        let refusal = RefusalText { message: error.message.to_owned(), ..RefusalText::new(code) };
        match error.subject {
            Subject::Connection => self.connection.refuse(code, error.message).unwrap(),
            Subject::Request(id) if self.cancelled.remove(&id) => {
                self.connection.finish(id, Position::default()).unwrap();
            }
            Subject::Request(id) => self.connection.fail(id, &refusal).unwrap(),
            Subject::Operation(number) => {
                let acks = positions(rest);
                self.decide_up_to(number - 1, &acks, 0);
                let (next, malformed) = self.undecided.pop_front().expect("the operation came");
                assert_eq!((next, malformed.unwrap_or(code)), (number, code));
                let position = position_of(number, &acks);
                let verdict = Verdict { position, unchanged: 0, refusal: Some(refusal) };
                self.connection.decided(number, &verdict).unwrap();
            }
        }
    }
}

/// The positions that Acks tell, by their numbers.
type Positions = BTreeMap<u64, Position>;

fn positions(steps: &[Step]) -> Positions {
    let acks = steps.iter().filter_map(Step::message).filter_map(|message| match message {
        Message::Ack(ack) => Some((ack.number, ack.position)),
        _ => None,
    });
    acks.collect()
}

/// The position of an operation: that of the Ack with the least number that covers it.
fn position_of(number: u64, acks: &Positions) -> Position {
    acks.range(number..).next().map(|(_, position)| *position).unwrap_or_default()
}

impl Side for Served {
    fn act(&mut self, message: &Message<'_>, rest: &[Step]) {
        match message {
            Message::Welcome(welcome) => self.welcome(welcome),
            Message::Ack(ack) => self.acknowledge(ack, rest),
            Message::Error(error) => self.refuse(error, rest),
            Message::QueryResponse(response) => {
                assert_eq!(self.connection.respond(response), Ok(Delivery::Taken));
            }
            Message::Event(event) if event.kind == EventKind::Ended && self.cancelled.remove(&event.id) => {
                self.connection.finish(event.id, event.position).unwrap();
            }
            Message::Event(event) => assert_eq!(self.connection.deliver(event), Ok(Delivery::Taken)),
            Message::Goodbye(goodbye) => self.connection.close(self.now, Parting::from(goodbye)).unwrap(),
            Message::Credit(_) => {
                for cost in self.costs.drain(..) {
                    self.connection.admit(cost);
                }
            }
            Message::Ping(_) => {
                self.now = self.now.after(self.heartbeat);
                self.connection.handle_timeout(self.now);
            }
            _ => {}
        }
    }

    fn hear(&mut self, raw: &[u8]) {
        self.connection.handle_bytes(self.now, raw);
        while let Some(event) = self.connection.poll_event() {
            match event {
                ServerEvent::Operation { number, payload, cost, .. } => {
                    let malformed = Message::decode(MessageType::Operation as u8, &payload).err();
                    self.undecided.push_back((number, malformed.map(|error| error.code())));
                    self.costs.push(cost);
                }
                ServerEvent::Request { cost, .. } => self.costs.push(cost),
                ServerEvent::Cancelled { id } => _ = self.cancelled.insert(id),
                _ => {}
            }
        }
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        while self.connection.poll_transmit(self.now, out) > 0 {}
    }

    fn close_reason(&self) -> Option<&CloseReason> {
        self.connection.close_reason()
    }
}
