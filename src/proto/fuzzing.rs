//! Bodies of the fuzz targets: whatever a peer sends, neither role panics, and what it holds stays bounded.
//!
//! The first byte chooses: bit 0, whether the handshake was done before; bit 1, whether the rest is raw bytes or
//! a program. A program is a sequence of frames whose envelope is right, so that it reaches the ledgers:
//! type u8, what to do between frames u8, payload length u8, payload.

use std::time::Duration;

use super::{
    Acceptance, Client, ClientConfig, ClientEvent, Connection, Cost, Delivery, Outbox, RefusalText,
    RequestKind, Server, ServerConfig, ServerEvent, Time, Verdict,
};
use crate::blazebinary::Reader;
use crate::wire::message::{
    AckLevel, Action, Event, EventKind, Hello, Mode, OperationBody, OperationBuilder, QueryKind,
    QueryResponse, RecordOperation, Rows, Start, Welcome,
};
use crate::wire::{
    Clock, CollectionName, CreditLimit, DatabaseName, EncodedStrings, ErrorCode, Flags, Message, MessageType,
    Position, encode_frame, flags_to_send,
};

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[("connection_server", server), ("connection_client", client)];

const HANDSHAKE_DONE: u8 = 1;
const PROGRAM: u8 = 2;
/// The windows are small, so that few bytes reach their edges.
const WINDOW: CreditLimit = CreditLimit { frames: 8, bytes: 512 };

/// Frames with a right envelope around anything.
#[derive(Default)]
struct Sender {
    sequence: u32,
}

impl Sender {
    fn frame(&mut self, message_type: u8, payload: &[u8]) -> Vec<u8> {
        let known = MessageType::from_byte(message_type);
        let flags = known.map_or(Flags::NONE, flags_to_send);
        let mut out = Vec::new();
        // A payload of a program is at most 255 bytes, one of a message is small.
        let _ = encode_frame(message_type, flags, self.sequence, payload, &mut out);
        self.sequence = self.sequence.wrapping_add(1);
        out
    }

    fn message(&mut self, message: &Message<'_>) -> Vec<u8> {
        let mut payload = Vec::new();
        message.encode(&mut payload);
        self.frame(message.message_type() as u8, &payload)
    }
}

/// One frame of a program: its type, what to do behind it, its payload.
fn next_frame<'a>(program: &mut Reader<'a>) -> Option<(u8, u8, &'a [u8])> {
    let (message_type, behind, length) = (program.u8()?, program.u8()?, program.u8()?);
    let length = usize::from(length).min(program.rest().len());
    Some((message_type, behind, program.bytes(length)?))
}

/// Hands `data` to `act` as the first byte says: in frames of its own making, or raw in pieces.
fn play(mode: u8, data: &[u8], sender: &mut Sender, mut act: impl FnMut(Time, u8, &[u8])) {
    let mut now = Time::ZERO;
    let mut reader = Reader::new(data);
    loop {
        let (behind, bytes) = if mode & PROGRAM != 0 {
            let Some((message_type, behind, payload)) = next_frame(&mut reader) else { return };
            (behind, sender.frame(message_type, payload))
        } else {
            let Some(behind) = reader.u8() else { return };
            let length = usize::from(behind).min(reader.rest().len());
            (behind, reader.bytes(length).unwrap_or_default().to_vec())
        };
        // Mostly milliseconds, now and then seconds.
        let pause = if behind >= 0xF0 { Duration::from_secs(6) } else { Duration::from_millis(1) };
        now = now.after(pause);
        act(now, behind, &bytes);
    }
}

/// A server against arbitrary input.
///
/// # Panics
/// If it holds more than its bound: that is what the target looks for.
pub fn server(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    let config = ServerConfig {
        work: WINDOW,
        operation_window: 4,
        request_limit: 3,
        staged_bytes: 64,
        ..ServerConfig::default()
    };
    let bound = config.memory_bound();
    let mut server = Connection::server(Time::ZERO, config);
    let mut sender = Sender::default();
    let mut engine = Engine::default();
    if mode & HANDSHAKE_DONE != 0
        && let Some(hello) = hello()
    {
        server.handle_bytes(Time::ZERO, &sender.message(&Message::Hello(hello)));
        engine.run(Time::ZERO, &mut server, 0);
    }
    play(mode, data, &mut sender, |now, behind, bytes| {
        server.handle_bytes(now, bytes);
        server.handle_timeout(now);
        assert!(server.memory() <= bound, "{} bytes held of at most {bound}", server.memory());
        engine.run(now, &mut server, behind);
        if behind & 1 == 0 {
            server.poll_transmit(now, &mut Vec::new());
        }
    });
    finish(&mut server);
}

/// A client against arbitrary input.
///
/// # Panics
/// If it holds more than it asked for: that is what the target looks for.
pub fn client(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    let Ok(mut client) = Connection::client(Time::ZERO, ClientConfig::new("main"), Outbox::default()) else {
        return;
    };
    let mut sender = Sender::default();
    client.poll_transmit(Time::ZERO, &mut Vec::new());
    if mode & HANDSHAKE_DONE != 0 {
        client.handle_bytes(Time::ZERO, &sender.message(&Message::Welcome(welcome())));
    }
    let Some(body) = body() else { return };
    let mut costs = Vec::new();
    play(mode, data, &mut sender, |now, behind, bytes| {
        act_as_application(&mut client, behind, &body, &mut costs);
        client.poll_transmit(now, &mut Vec::new());
        client.handle_bytes(now, bytes);
        client.handle_timeout(now);
        // Operations of 40 bytes, four answers' windows and the frame that overdraws each, an unfinished frame.
        assert!(client.memory() <= 1024 * 40 + 4 * 1_024 + (4 << 20), "{} bytes held", client.memory());
    });
    finish(&mut client);
    let _ = client.into_outbox();
}

/// Whatever happened, a connection can be brought to its end.
fn finish<R: super::connection::Role>(connection: &mut Connection<R>) {
    let late = Time::ZERO.after(Duration::from_secs(1 << 20));
    connection.handle_eof();
    while connection.poll_event().is_some() {}
    while connection.poll_transmit(late, &mut Vec::new()) > 0 {}
    assert!(connection.is_finished() && connection.close_reason().is_some());
}

/// An engine that decides everything at once, as `behind` says.
#[derive(Default)]
struct Engine {
    /// Deliveries are tried for ids up to this.
    last_request: u64,
    kept: Vec<Cost>,
}

impl Engine {
    fn run(&mut self, now: Time, server: &mut Connection<Server>, behind: u8) {
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Hello(hello) => drop(server.accept(now, acceptance(hello.oldest_unacked))),
                ServerEvent::Operation { number, cost, .. } => {
                    self.kept.push(cost);
                    let refusal = (behind & 2 != 0).then(|| RefusalText::new(ErrorCode::NotFound));
                    let verdict = Verdict { position: Position::default(), unchanged: 0, refusal };
                    let decided = server.decided(number, &verdict);
                    assert_eq!(decided, Ok(()), "operations come in order");
                    if behind & 4 != 0 {
                        assert_eq!(server.durable(number), Ok(()));
                    }
                }
                ServerEvent::Request { id, cost, .. } => {
                    self.last_request = id;
                    self.kept.push(cost);
                }
                ServerEvent::Cancelled { id } => drop(server.finish(id, Position::default())),
                ServerEvent::Writable { id } => deliver(server, id, behind),
                ServerEvent::Goodbye(_) | ServerEvent::Closed(_) => {}
            }
        }
        if behind & 8 != 0 {
            for cost in self.kept.drain(..) {
                server.admit(cost);
            }
        }
        for id in self.last_request.saturating_sub(4)..=self.last_request {
            deliver(server, id, behind);
        }
    }
}

fn deliver(server: &mut Connection<Server>, id: u64, behind: u8) {
    let position = Position::default();
    let last = behind & 16 != 0;
    let response = QueryResponse { id, last, position, rows: Rows::default() };
    let kind = if last { EventKind::Ended } else { EventKind::Heartbeat };
    // What a request does not take is part of the play.
    let taken = server.respond(&response).or_else(|_| server.deliver(&Event { id, position, kind }));
    if behind & 32 != 0 && taken == Ok(Delivery::Busy) {
        let _ = server.fail(id, &RefusalText::new(ErrorCode::ResourcesExceeded));
    }
}

fn act_as_application(
    client: &mut Connection<Client>,
    behind: u8,
    body: &OperationBody,
    costs: &mut Vec<(u64, Cost)>,
) {
    while let Some(event) = client.poll_event() {
        if let ClientEvent::Answer { id, kind, payload, cost, .. } = event {
            costs.push((id, cost));
            let message_type = match kind {
                RequestKind::Query => MessageType::QueryResponse,
                RequestKind::Subscription => MessageType::Event,
            };
            if let Err(error) = Message::decode(message_type as u8, &payload) {
                client.handle_malformed(error);
            }
        }
    }
    if behind & 2 != 0 {
        let level = if behind & 4 != 0 { AckLevel::Accepted } else { AckLevel::Durable };
        let _ = client.submit(level, body.groups());
    }
    if behind & 8 != 0 && client.open_requests() < 4 {
        let _ = client.query(QueryKind::Stats { collection: None }, None, WINDOW);
    }
    if behind & 16 != 0
        && client.open_requests() < 4
        && let Ok(collection) = CollectionName::new("things")
    {
        let _ = client.subscribe(collection, Mode::Latest, Start::Snapshot, WINDOW);
    }
    if behind & 32 != 0 {
        for (id, cost) in costs.drain(..) {
            client.consume(id, cost);
        }
    }
    if behind & 64 != 0 {
        let _ = client.cancel(u64::from(behind & 7));
    }
}

fn body() -> Option<OperationBody> {
    let mut builder = OperationBuilder::new();
    let action = Action::Delete { id: uuid::Uuid::nil() };
    let collection = CollectionName::new("things").ok()?;
    builder.push(collection, &RecordOperation { base: None, action }).ok()?;
    builder.finish().ok()
}

fn acceptance(oldest: u64) -> Acceptance {
    Acceptance {
        node: uuid::Uuid::nil(),
        node_decided: oldest.saturating_sub(1),
        connection: uuid::Uuid::nil(),
        position: Position::default(),
        clock: Clock::NONE,
    }
}

fn hello() -> Option<Hello<'static>> {
    Some(Hello {
        min_version: 1,
        max_version: 1,
        next_operation: 1,
        oldest_unacked: 1,
        heartbeat_ms: 15_000,
        database: DatabaseName::new("main").ok()?,
        agent: "fuzz",
        node: None,
        capabilities: EncodedStrings::EMPTY,
    })
}

fn welcome() -> Welcome<'static> {
    Welcome {
        version: 1,
        node_decided: 0,
        operation_window: 4,
        heartbeat_ms: 15_000,
        work: WINDOW,
        telemetry: WINDOW,
        request_limit: 4,
        clock: Clock::NONE,
        position: Position::default(),
        connection: uuid::Uuid::nil(),
        node: uuid::Uuid::nil(),
        agent: "fuzz",
        capabilities: EncodedStrings::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::harness::Rng;
    use crate::wire::message::{
        Ack, Cancel, Credit, CreditScope, Error, Goodbye, Operation, Ping, Pong, Query, Subscribe,
        Unsubscribe,
    };
    use crate::wire::{EncodedDict, Lane, Subject};

    /// Every message, with numbers that fit a connection which just began.
    fn messages(body: &OperationBody, id: u64) -> Vec<(u8, Vec<u8>)> {
        let (position, collection) = (Position::default(), CollectionName::new("things").unwrap());
        let (lane, level, detail) = (Lane::Work, AckLevel::Durable, EncodedDict::NONE);
        let error = |subject| Message::Error(Error { subject, code: 8, message: "", detail: detail.clone() });
        let credit = |scope| Message::Credit(Credit { scope, limit: WINDOW });
        let kind = QueryKind::Stats { collection: None };
        let messages = [
            Message::Hello(hello().unwrap()),
            Message::Welcome(welcome()),
            Message::Operation(Operation { number: id, ack_level: level, groups: body.groups() }),
            Message::Query(Query { id, credit: WINDOW, at_least: None, kind }),
            Message::QueryResponse(QueryResponse { id, last: false, position, rows: Rows::default() }),
            Message::QueryResponse(QueryResponse { id, last: true, position, rows: Rows::default() }),
            Message::Subscribe(Subscribe {
                id,
                credit: WINDOW,
                mode: Mode::All,
                start: Start::Now,
                collection,
            }),
            Message::Ack(Ack { lane, level, number: id, unchanged: 0, position }),
            error(Subject::Connection),
            error(Subject::Operation(id)),
            error(Subject::Request(id)),
            Message::Event(Event { id, position, kind: EventKind::CaughtUp }),
            Message::Event(Event { id, position, kind: EventKind::Ended }),
            Message::Unsubscribe(Unsubscribe { id }),
            Message::Ping(Ping { nonce: id }),
            Message::Pong(Pong { nonce: id, clock: Clock::NONE }),
            Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" }),
            credit(CreditScope::Lane(lane)),
            credit(CreditScope::Request(id)),
            Message::Cancel(Cancel { id }),
        ];
        let encoded = messages.map(|message| {
            let mut payload = Vec::new();
            message.encode(&mut payload);
            (message.message_type() as u8, payload)
        });
        encoded.into()
    }

    /// A program of messages that fit, of which some are mutated.
    fn program(rng: &mut Rng, body: &OperationBody) -> Vec<u8> {
        let mut data = vec![rng.below(4) as u8 | if rng.one_in(4) { 0 } else { PROGRAM | HANDSHAKE_DONE }];
        for step in 0..rng.within(1, 40) {
            let id = if rng.one_in(3) { rng.within(1, 5) } else { step + 1 };
            let known = messages(body, id);
            let (mut message_type, mut payload) = known[rng.below(known.len() as u64) as usize].clone();
            if rng.one_in(8) {
                let at = rng.below(payload.len() as u64) as usize;
                payload[at] = rng.next() as u8;
            }
            if rng.one_in(30) {
                message_type = rng.next() as u8;
            }
            payload.truncate(255);
            data.extend([message_type, rng.next() as u8, payload.len() as u8]);
            data.extend(payload);
        }
        data
    }

    #[test]
    fn programs_and_noise_panic_nowhere() {
        let mut rng = Rng::new(1);
        let body = body().unwrap();
        for _ in 0..15_000 {
            let data = program(&mut rng, &body);
            server(&data);
            client(&data);
        }
        for length in 0..2_000 {
            let data: Vec<u8> = (0..length % 300).map(|_| rng.next() as u8).collect();
            server(&data);
            client(&data);
        }
    }

    #[test]
    fn programs_reach_beyond_the_handshake() {
        // One operation, then its number again: the ledger of outcomes must have been asked.
        let body = body().unwrap();
        let operation = &messages(&body, 1)[2];
        let mut data = vec![PROGRAM | HANDSHAKE_DONE];
        for _ in 0..2 {
            data.extend([operation.0, 0xFF, operation.1.len() as u8]);
            data.extend(&operation.1);
        }
        server(&data);
        let mut server = Connection::server(Time::ZERO, ServerConfig::default());
        let mut sender = Sender::default();
        let mut engine = Engine::default();
        server.handle_bytes(Time::ZERO, &sender.message(&Message::Hello(hello().unwrap())));
        engine.run(Time::ZERO, &mut server, 0);
        play(PROGRAM, &data[1..], &mut sender, |now, behind, bytes| {
            server.handle_bytes(now, bytes);
            engine.run(now, &mut server, behind);
        });
        let reason = server.close_reason().unwrap().to_string();
        assert!(reason.contains("operation 1 came where 2 was due"), "{reason}");
    }
}
