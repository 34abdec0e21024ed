//! A relay between a client and the real server that makes the server look broken, by one fault at a time.
//!
//! What the client sends passes as it is, but for faults that concern it; what the server sends is taken apart, changed
//! and numbered anew. A fault is what a careless implementation does: the test shows that the tester finds each.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blazedb::wire::message::{
    Ack, AckLevel, ChangeKind, ChangesBuilder, Event, EventKind, Hello, Pong, Query, QueryResponse,
    RowsBuilder, Start, Subscribe, Welcome,
};
use blazedb::wire::{
    CreditLimit, EncodedStrings, ErrorCode, Flags, FrameBuffer, Lane, Message, Position, Subject,
    encode_frame,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: the relay itself disturbs nothing.
    None,
    AcknowledgesBeforeTheSync,
    RepeatsAnOperation,
    ForgetsWhatIsDecided,
    DropsAChangeOnResume,
    RepeatsAChangeOnResume,
    SendsAFrameBeyondTheCredit,
    KeepsTheCreditOfWork,
    LetsALimitFall,
    SwapsTwoOutcomes,
    AcknowledgesBeforeTheError,
    LosesARefusal,
    AcknowledgesTooFar,
    AcknowledgesTwice,
    CountsNothingUnchanged,
    StandsStillWithItsPosition,
    SkipsASequence,
    DamagesAChecksum,
    SetsAFlag,
    AnswersWithAnotherNonce,
    LosesTheEndOfASubscription,
    IgnoresCancels,
    ReversesRows,
    LosesARow,
    AnswersFromTwoMoments,
    ChangesARecord,
    LosesCaughtUp,
    RepeatsCaughtUp,
    MarksEveryChangeAsLast,
    LosesADrop,
    ResetsByAnotherCode,
    BeginsASnapshotNow,
    NamesAnotherCode,
    EndsWithoutAnError,
    StaysAfterAnError,
    GreetsAnotherNode,
    DoesNotClampTheHeartbeat,
    NamesACapabilityUnasked,
    SaysNoGoodbye,
    ReachesPositionsThatItHasNot,
}

/// What the connections of a relay have in common.
#[derive(Default)]
struct Shared {
    /// Where the server is, as far as it said.
    position: Position,
}

/// Listens on a free port, and relays each connection to `server`.
pub(crate) async fn relay(server: SocketAddr, fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(Mutex::new(Shared::default()));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(server).await else { return };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let tap = Arc::new(Mutex::new(Tap::new(fault, shared.clone())));
            let (client_in, client_out) = client.into_split();
            let (server_in, server_out) = server.into_split();
            let client_out = Arc::new(tokio::sync::Mutex::new(client_out));
            tokio::spawn(up(client_in, server_out, client_out.clone(), tap.clone()));
            tokio::spawn(down(server_in, client_out, tap));
        }
    });
    address
}

/// What the relay knows of a connection.
struct Tap {
    fault: Fault,
    shared: Arc<Mutex<Shared>>,
    /// The sequence of the next frame to the client; of the first that of the server's.
    sequence: Option<u32>,
    frames: u64,
    named: Option<Uuid>,
    /// Held back, to be told later.
    held: VecDeque<(u8, Vec<u8>)>,
    /// Subscriptions after a position, whose first change is still to come.
    resumed: BTreeSet<u64>,
    answers: BTreeSet<u64>,
    work: CreditLimit,
}

/// A frame to be: type, flags, payload.
type Framing = (u8, u8, Vec<u8>);
/// Frames to the client.
type Out = Vec<Framing>;

fn payload(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

fn one(message: &Message<'_>) -> Out {
    vec![(message.message_type() as u8, 0, payload(message))]
}

/// From the client to the server.
async fn up(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    client: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    tap: Arc<Mutex<Tap>>,
) {
    let fault = tap.lock().unwrap().fault;
    let mut buffer = FrameBuffer::new();
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        if read == 0 {
            let _ = to.shutdown().await;
            return;
        }
        // Frames are looked at beside the bytes, which pass as they are where they are none.
        if !changes_the_client(fault) {
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
            continue;
        }
        buffer.extend(&bytes[..read]);
        loop {
            let (head, sent) = match buffer.next_frame() {
                Ok(Some(frame)) => (frame.header, frame.payload.to_vec()),
                Ok(None) => break,
                Err(_) => return,
            };
            let (sent, told) = tap.lock().unwrap().passed_up(head.message_type, sent);
            if let Some(ack) = told {
                let bytes = tap.lock().unwrap().framed(vec![ack]);
                let _ = client.lock().await.write_all(&bytes).await;
                // The operation lies in memory for a while before it is written.
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
            let mut frame = Vec::new();
            encode_frame(head.message_type, head.flags, head.sequence, &sent, &mut frame).unwrap();
            if to.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}

const fn changes_the_client(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::AcknowledgesBeforeTheSync
            | Fault::RepeatsAnOperation
            | Fault::DropsAChangeOnResume
            | Fault::RepeatsAChangeOnResume
            | Fault::SendsAFrameBeyondTheCredit
            | Fault::BeginsASnapshotNow
            | Fault::ReachesPositionsThatItHasNot
    )
}

/// From the server to the client.
async fn down(mut from: OwnedReadHalf, to: Arc<tokio::sync::Mutex<OwnedWriteHalf>>, tap: Arc<Mutex<Tap>>) {
    let mut buffer = FrameBuffer::new();
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await.unwrap_or(0);
        if read == 0 {
            let stays = tap.lock().unwrap().fault == Fault::StaysAfterAnError;
            if stays {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            let _ = to.lock().await.shutdown().await;
            return;
        }
        buffer.extend(&bytes[..read]);
        let mut out = Vec::new();
        while let Ok(Some(frame)) = buffer.next_frame() {
            let mut tap = tap.lock().unwrap();
            tap.sequence.get_or_insert(frame.header.sequence);
            tap.frames += 1;
            let is_plain = !frame.header.flags.contains(Flags::COMPRESSED);
            let frames = match Message::decode(frame.header.message_type, frame.payload) {
                Ok(message) if is_plain => tap.passed_down(&message),
                _ => vec![(frame.header.message_type, frame.header.flags.byte(), frame.payload.to_vec())],
            };
            out.extend(tap.framed(frames));
        }
        if to.lock().await.write_all(&out).await.is_err() {
            return;
        }
    }
}

impl Tap {
    fn new(fault: Fault, shared: Arc<Mutex<Shared>>) -> Self {
        Self {
            fault,
            shared,
            sequence: None,
            frames: 0,
            named: None,
            held: VecDeque::new(),
            resumed: BTreeSet::new(),
            answers: BTreeSet::new(),
            work: CreditLimit::NONE,
        }
    }

    /// Numbers frames and closes them.
    fn framed(&mut self, frames: Out) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (message_type, flags, payload) in frames {
            let skips = self.fault == Fault::SkipsASequence && self.frames == 3;
            let sequence = self.sequence.unwrap_or(0).wrapping_add(u32::from(skips)) % (1 << 24);
            self.sequence = Some(sequence.wrapping_add(1) % (1 << 24));
            let flags = Flags::from_byte(flags).unwrap();
            encode_frame(message_type, flags, sequence, &payload, &mut bytes).unwrap();
            if self.fault == Fault::DamagesAChecksum && self.frames == 3 {
                *bytes.last_mut().unwrap() ^= 1;
            }
        }
        bytes
    }

    /// What the server gets in the place of a client's message, and what the client is told at once.
    fn passed_up(&mut self, message_type: u8, sent: Vec<u8>) -> (Vec<u8>, Option<Framing>) {
        let Ok(message) = Message::decode(message_type, &sent) else { return (sent, None) };
        match (self.fault, message) {
            (Fault::AcknowledgesBeforeTheSync, Message::Operation(operation)) => {
                let position = self.shared.lock().unwrap().position;
                let (lane, number) = (Lane::Work, operation.number);
                let ack = Ack { lane, level: AckLevel::Durable, number, unchanged: 0, position };
                (sent.clone(), one(&Message::Ack(ack)).pop())
            }
            // A server that remembers no node takes each for a new one.
            (Fault::RepeatsAnOperation, Message::Hello(hello)) if hello.oldest_unacked == 1 => {
                self.named = hello.node;
                (payload(&Message::Hello(Hello { node: None, ..hello })), None)
            }
            (Fault::DropsAChangeOnResume, Message::Subscribe(subscribe)) => {
                if let Start::After(_) = subscribe.start {
                    self.resumed.insert(subscribe.id);
                }
                (sent, None)
            }
            (
                Fault::RepeatsAChangeOnResume,
                Message::Subscribe(Subscribe { start: Start::After(at), id, .. }),
            ) if at.seq > 0 => {
                let Ok(Message::Subscribe(subscribe)) = Message::decode(message_type, &sent) else {
                    unreachable!()
                };
                let start = Start::After(Position { seq: at.seq - 1, ..at });
                (payload(&Message::Subscribe(Subscribe { start, id, ..subscribe })), None)
            }
            (Fault::BeginsASnapshotNow, Message::Subscribe(subscribe))
                if subscribe.start == Start::Snapshot =>
            {
                (payload(&Message::Subscribe(Subscribe { start: Start::Now, ..subscribe })), None)
            }
            (Fault::SendsAFrameBeyondTheCredit, Message::Query(query)) => {
                let CreditLimit { frames, bytes } = query.credit;
                let credit = CreditLimit { frames: frames.saturating_add(1), bytes: bytes.saturating_add(1) };
                (payload(&Message::Query(Query { credit, ..query })), None)
            }
            (Fault::ReachesPositionsThatItHasNot, Message::Query(query)) => {
                (payload(&Message::Query(Query { at_least: None, ..query })), None)
            }
            _ => (sent, None),
        }
    }

    /// What the client gets in the place of a server's message.
    fn passed_down(&mut self, message: &Message<'_>) -> Out {
        if let Message::Ack(Ack { position, .. }) | Message::Welcome(Welcome { position, .. }) = message {
            self.shared.lock().unwrap().position = *position;
        }
        match message {
            Message::Welcome(welcome) => self.welcome(welcome),
            Message::Ack(ack) => self.ack(*ack),
            Message::Error(error) => self.error(message, error),
            Message::QueryResponse(response) => self.answer(response),
            Message::Event(event) => self.event(message, *event),
            Message::Credit(_) if self.fault == Fault::KeepsTheCreditOfWork => Out::new(),
            Message::Credit(credit) if self.fault == Fault::LetsALimitFall => {
                self.work = CreditLimit { frames: 1, bytes: 1 };
                one(&Message::Credit(blazedb::wire::message::Credit { limit: self.work, ..*credit }))
            }
            Message::Pong(pong) if self.fault == Fault::AnswersWithAnotherNonce => {
                one(&Message::Pong(Pong { nonce: pong.nonce.wrapping_add(1), ..*pong }))
            }
            Message::Pong(_) if self.fault == Fault::SetsAFlag => {
                one(message).into_iter().map(|(kind, _, payload)| (kind, 4, payload)).collect()
            }
            Message::Goodbye(_) if self.fault == Fault::SaysNoGoodbye => Out::new(),
            _ => one(message),
        }
    }

    fn welcome(&self, welcome: &Welcome<'_>) -> Out {
        let mut welcome = welcome.clone();
        match self.fault {
            Fault::RepeatsAnOperation => welcome.node = self.named.unwrap_or(welcome.node),
            Fault::ForgetsWhatIsDecided => welcome.node_decided = 0,
            Fault::GreetsAnotherNode => welcome.node = Uuid::from_u128(5),
            Fault::DoesNotClampTheHeartbeat => welcome.heartbeat_ms = 15_000,
            Fault::NamesACapabilityUnasked => welcome.capabilities = EncodedStrings::new(&["lz4"]).unwrap(),
            _ => {}
        }
        one(&Message::Welcome(welcome))
    }

    fn ack(&mut self, ack: Ack) -> Out {
        let told = |ack| one(&Message::Ack(ack));
        match self.fault {
            // It was said before.
            Fault::AcknowledgesBeforeTheSync => Out::new(),
            Fault::AcknowledgesTooFar => told(Ack { number: ack.number + 1, ..ack }),
            Fault::AcknowledgesTwice => [told(ack), told(ack)].concat(),
            Fault::CountsNothingUnchanged => told(Ack { unchanged: 0, ..ack }),
            Fault::StandsStillWithItsPosition => {
                told(Ack { position: Position { seq: 1, ..ack.position }, ..ack })
            }
            Fault::AcknowledgesBeforeTheError | Fault::SwapsTwoOutcomes => {
                let held = self.held.drain(..).map(|(kind, payload)| (kind, 0, payload));
                [told(ack), held.collect()].concat()
            }
            _ => told(ack),
        }
    }

    fn error(&mut self, message: &Message<'_>, error: &blazedb::wire::message::Error<'_>) -> Out {
        let bytes = payload(message);
        match (self.fault, error.subject) {
            (Fault::LosesARefusal, Subject::Operation(_)) => Out::new(),
            (Fault::AcknowledgesBeforeTheError, Subject::Operation(_)) => {
                self.held.push_back((8, bytes));
                Out::new()
            }
            (Fault::SwapsTwoOutcomes, Subject::Operation(_)) => match self.held.pop_front() {
                Some((kind, first)) => vec![(8, 0, bytes), (kind, 0, first)],
                None => {
                    self.held.push_back((8, bytes));
                    Out::new()
                }
            },
            (Fault::NamesAnotherCode, _) if error.code == ErrorCode::InvalidField as u16 => {
                let other =
                    blazedb::wire::message::Error { code: ErrorCode::InvalidValue as u16, ..error.clone() };
                one(&Message::Error(other))
            }
            (Fault::EndsWithoutAnError, Subject::Connection) => Out::new(),
            (Fault::IgnoresCancels, Subject::Request(_)) if error.code == ErrorCode::Cancelled as u16 => {
                Out::new()
            }
            _ => vec![(8, 0, bytes)],
        }
    }

    fn answer(&mut self, response: &QueryResponse<'_>) -> Out {
        let is_later = !self.answers.insert(response.id);
        let mut rows: Vec<_> = response.rows.iter().collect();
        let mut position = response.position;
        match self.fault {
            Fault::ReversesRows => rows.reverse(),
            Fault::LosesARow if rows.len() > 1 => drop(rows.pop()),
            Fault::AnswersFromTwoMoments if is_later => position.seq += 1,
            _ => {}
        }
        let changed: Vec<Vec<u8>> = rows.iter().map(|row| self.record(row.record.bytes())).collect();
        let mut builder = RowsBuilder::new();
        for (row, bytes) in rows.iter().zip(&changed) {
            let record = blazedb::wire::FramedRecord::new(bytes).unwrap();
            let _ = builder.push(blazedb::wire::message::Row { record, ..*row });
        }
        one(&Message::QueryResponse(QueryResponse { position, rows: builder.rows(), ..*response }))
    }

    /// A record that ends in a small int ends in another.
    fn record(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let is_int = bytes.len() > 2 && bytes[bytes.len() - 2] == 0x12;
        if self.fault == Fault::ChangesARecord && is_int {
            *bytes.last_mut().unwrap() ^= 1;
        }
        bytes
    }

    fn event(&mut self, message: &Message<'_>, event: Event<'_>) -> Out {
        match (self.fault, event.kind) {
            (Fault::LosesTheEndOfASubscription, EventKind::Ended)
            | (Fault::LosesCaughtUp, EventKind::CaughtUp) => Out::new(),
            (Fault::RepeatsCaughtUp, EventKind::CaughtUp) => [one(message), one(message)].concat(),
            (Fault::ResetsByAnotherCode, EventKind::Reset { oldest, .. }) => {
                let kind = EventKind::Reset { code: ErrorCode::EpochChanged as u16, oldest };
                one(&Message::Event(Event { kind, ..event }))
            }
            (_, EventKind::Changes(changes)) => {
                let drops_first = self.fault == Fault::DropsAChangeOnResume && self.resumed.remove(&event.id);
                let mut builder = ChangesBuilder::new();
                for mut change in changes.iter().skip(usize::from(drops_first)) {
                    change.last |= self.fault == Fault::MarksEveryChangeAsLast;
                    if self.fault != Fault::LosesADrop || change.kind != ChangeKind::Dropped {
                        builder.push(change).unwrap();
                    }
                }
                let told = builder.changes().map(EventKind::Changes);
                told.map_or_else(Out::new, |kind| one(&Message::Event(Event { kind, ..event })))
            }
            _ => one(message),
        }
    }
}
