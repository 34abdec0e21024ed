//! A scripted peer: says exactly what a test tells it, and reads what comes back.

use std::borrow::Cow;

use uuid::Uuid;

use crate::proto::{
    Acceptance, Client, ClientConfig, Connection, Outbox, Server, ServerConfig, ServerEvent, Time,
};
use crate::wire::message::{Hello, Welcome};
use crate::wire::{
    Clock, CreditLimit, DatabaseName, EncodedStrings, Flags, FrameBuffer, Message, MessageType, Position,
    encode_frame, flags_to_send,
};

/// One direction: numbers frames like an honest sender, unless told otherwise.
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) sequence: u32,
    read: FrameBuffer,
}

impl Peer {
    /// A frame of any type and payload.
    pub(super) fn raw(&mut self, message_type: u8, flags: Flags, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_frame(message_type, flags, self.sequence, payload, &mut out).unwrap();
        self.sequence = (self.sequence + 1) % (1 << 24);
        out
    }

    pub(super) fn frame(&mut self, message: &Message<'_>) -> Vec<u8> {
        let mut payload = Vec::new();
        message.encode(&mut payload);
        self.raw(message.message_type() as u8, flags_to_send(message.message_type()), &payload)
    }

    /// The frames in what the other side wrote: type and payload.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<(MessageType, Vec<u8>)> {
        self.read.extend(bytes);
        let mut found = Vec::new();
        while let Some(frame) = self.read.next_frame().unwrap() {
            found.push((MessageType::from_byte(frame.header.message_type).unwrap(), frame.payload.to_vec()));
        }
        found
    }
}

pub(super) fn hello() -> Message<'static> {
    Message::Hello(Hello {
        min_version: 1,
        max_version: 1,
        next_operation: 1,
        oldest_unacked: 1,
        heartbeat_ms: 15_000,
        database: DatabaseName::new("main").unwrap(),
        agent: "peer",
        node: None,
        capabilities: EncodedStrings::EMPTY,
    })
}

pub(super) fn welcome() -> Welcome<'static> {
    Welcome {
        version: 1,
        node_decided: 0,
        operation_window: 1024,
        heartbeat_ms: 15_000,
        work: CreditLimit { frames: 1024, bytes: 1 << 20 },
        telemetry: CreditLimit { frames: 16, bytes: 1 << 16 },
        request_limit: 256,
        clock: Clock::NONE,
        position: Position::default(),
        connection: Uuid::from_u128(1),
        node: Uuid::from_u128(2),
        agent: "peer",
        capabilities: EncodedStrings::EMPTY,
    }
}

pub(super) fn acceptance() -> Acceptance {
    Acceptance {
        node: Uuid::from_u128(2),
        node_decided: 0,
        connection: Uuid::from_u128(1),
        position: Position::default(),
        clock: Clock::NONE,
    }
}

/// A server that welcomed a scripted client.
pub(super) fn welcomed(config: ServerConfig) -> (Connection<Server>, Peer) {
    let (mut server, mut peer) = (Connection::server(Time::ZERO, config), Peer::default());
    server.handle_bytes(Time::ZERO, &peer.frame(&hello()));
    assert!(matches!(server.poll_event(), Some(ServerEvent::Hello(_))));
    server.accept(Time::ZERO, acceptance()).unwrap();
    let read = written(&mut server, &mut peer, Time::ZERO);
    assert_eq!(read.len(), 1);
    (server, peer)
}

/// A client that a scripted server welcomed.
pub(super) fn greeted(outbox: Outbox) -> (Connection<Client>, Peer) {
    let mut client = Connection::client(Time::ZERO, ClientConfig::new("main"), outbox).unwrap();
    let mut peer = Peer::default();
    assert_eq!(written(&mut client, &mut peer, Time::ZERO).len(), 1);
    client.handle_bytes(Time::ZERO, &peer.frame(&Message::Welcome(welcome())));
    assert!(matches!(client.poll_event(), Some(crate::proto::ClientEvent::Welcome(_))));
    (client, peer)
}

/// Everything that a connection writes now.
pub(super) fn written<R: crate::proto::connection::Role>(
    connection: &mut Connection<R>,
    peer: &mut Peer,
    now: Time,
) -> Vec<(MessageType, Vec<u8>)> {
    let mut out = Vec::new();
    while connection.poll_transmit(now, &mut out) > 0 {}
    peer.read(&out)
}

/// The code of the Error in a payload, and what it is about.
pub(super) fn error_code(payload: &[u8]) -> Option<Cow<'static, str>> {
    let Ok(Message::Error(error)) = Message::decode(MessageType::Error as u8, payload) else { return None };
    Some(crate::wire::ErrorCode::from_number(error.code)?.name().into())
}
