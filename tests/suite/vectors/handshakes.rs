//! Handshakes: what our server answers to a Hello, and what our client makes of a Welcome.

use blazedb::proto::{
    Acceptance, Client, ClientConfig, ClientEvent, CloseReason, Connection, Outbox, Server, ServerConfig,
    ServerEvent, Time,
};
use blazedb::wire::message::{AckLevel, Action, Hello, OperationBuilder, RecordOperation};
use blazedb::wire::{
    Clock, CollectionName, EncodedDict, ErrorCode, Flags, FrameBuffer, Message, MessageType, Position,
    encode_frame,
};
use uuid::Uuid;

use super::describe::describe;
use super::{Case, for_each};

const HANDSHAKE: u8 = MessageType::Handshake as u8;

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(HANDSHAKE, Flags::NONE, 0, payload, &mut out).unwrap();
    out
}

/// The payloads that a side wrote, with their types.
pub(super) fn payloads(written: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut buffer = FrameBuffer::new();
    buffer.extend(written);
    let mut found = Vec::new();
    while let Some(frame) = buffer.next_frame().unwrap() {
        found.push((frame.header.message_type, frame.payload.to_vec()));
    }
    found
}

/// The code of the Error about the connection that stands first in what a side wrote.
pub(super) fn told_code(written: &[u8]) -> Option<String> {
    let (message_type, payload) = payloads(written).into_iter().next()?;
    match Message::decode(message_type, &payload) {
        Ok(Message::Error(error)) => Some(ErrorCode::from_number(error.code)?.name().to_owned()),
        _ => None,
    }
}

fn hello_of(payload: &[u8]) -> Hello<'_> {
    match Message::decode(HANDSHAKE, payload) {
        Ok(Message::Hello(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

#[test]
fn handshakes() {
    for_each("handshakes.json", 50, |case| {
        let (payload, hello) = (case.bytes("hello_hex"), case.take("hello"));
        assert_eq!(describe(&Message::Hello(hello_of(&payload)), &EncodedDict::NONE), hello, "{}", case.name);
        match case.text("role").as_str() {
            "server" => server(case, &payload),
            "client" => client(case, &payload),
            other => panic!("role {other}"),
        }
    });
}

fn server(case: &mut Case, hello: &[u8]) {
    let known = case.take("server");
    assert_eq!(known.as_object().unwrap().len(), 2, "{known}");
    let compression = known["capabilities"].as_array().unwrap().iter().any(|name| name == "lz4");
    let config = ServerConfig { compression, ..ServerConfig::default() };
    let mut server: Connection<Server> = Connection::server(Time::ZERO, config);
    server.handle_bytes(Time::ZERO, &framed(hello));
    if let Some(ServerEvent::Hello(info)) = server.poll_event() {
        let acceptance = Acceptance {
            node: info.node.unwrap_or(Uuid::from_u128(7)),
            node_decided: known["node_decided"].as_str().unwrap().parse().unwrap(),
            connection: Uuid::from_u128(8),
            position: Position::default(),
            clock: Clock::NONE,
        };
        // A refusal for the numbers is written like any other.
        let _ = server.accept(Time::ZERO, acceptance);
    }
    let mut written = Vec::new();
    server.poll_transmit(Time::ZERO, &mut written);
    if case.is_refused() {
        assert_eq!(told_code(&written), Some(case.text("code")), "{}", case.name);
        assert!(server.is_closed(), "{}", case.name);
        return;
    }
    let [(HANDSHAKE, welcome)] = &payloads(&written)[..] else { panic!("{}: no Welcome", case.name) };
    let welcome = describe(&Message::decode(HANDSHAKE, welcome).unwrap(), &EncodedDict::NONE);
    for (member, expected) in case.take("welcome").as_object().unwrap() {
        assert_eq!(&welcome[member], expected, "{}: {member}", case.name);
    }
}

/// A client that says this Hello.
pub(super) fn client_of(hello: &Hello<'_>, outbox: Outbox, first_sequence: u32) -> Connection<Client> {
    let config = ClientConfig {
        database: hello.database.as_str().to_owned(),
        agent: hello.agent.to_owned(),
        heartbeat: std::time::Duration::from_millis(hello.heartbeat_ms.into()),
        compression: hello.capabilities.contains("lz4"),
        first_sequence,
    };
    Connection::client(Time::ZERO, config, outbox).unwrap()
}

/// Operations of no meaning, so that the client's next number is that of its Hello.
fn fill(client: &mut Connection<Client>, count: u64) {
    for _ in 0..count {
        let mut builder = OperationBuilder::new();
        let dropped = RecordOperation { base: None, action: Action::Drop };
        builder.push(CollectionName::new("notes").unwrap(), &dropped).unwrap();
        client.submit(AckLevel::Durable, builder.finish().unwrap().groups()).unwrap();
    }
}

fn client(case: &mut Case, payload: &[u8]) {
    let hello = hello_of(payload);
    let mut client = client_of(&hello, Outbox::resuming(hello.node, hello.oldest_unacked), 0);
    fill(&mut client, hello.next_operation - hello.oldest_unacked);
    let mut written = Vec::new();
    client.poll_transmit(Time::ZERO, &mut written);
    assert_eq!(payloads(&written), [(HANDSHAKE, payload.to_vec())], "{}: the Hello", case.name);

    let welcome = case.bytes("welcome_hex");
    let expected = case.take("welcome");
    match Message::decode(HANDSHAKE, &welcome) {
        Ok(message) => assert_eq!(describe(&message, &EncodedDict::NONE), expected, "{}", case.name),
        // A version of 0 is refused as soon as it is read.
        Err(error) => assert!(case.is_refused(), "{}: {error}", case.name),
    }
    client.handle_bytes(Time::ZERO, &framed(&welcome));
    if !case.is_refused() {
        let event = client.poll_event();
        assert!(matches!(event, Some(ClientEvent::Welcome(_))), "{}: {event:?}", case.name);
        return;
    }
    assert!(client.is_closed(), "{}: accepted", case.name);
    let code = case.text("code");
    let reason = client.close_reason().unwrap();
    assert_eq!(close_code(reason).as_deref(), Some(&*code), "{}: {reason:?}", case.name);
    let mut last_words = Vec::new();
    client.poll_transmit(Time::ZERO, &mut last_words);
    assert_eq!(told_code(&last_words), Some(code), "{}", case.name);
}

/// The code by which a side ended the connection itself.
pub(super) fn close_code(reason: &CloseReason) -> Option<String> {
    match reason {
        CloseReason::PeerMisbehaved(violation) => Some(violation.code().name().to_owned()),
        CloseReason::Refused(code) => Some(code.name().to_owned()),
        _ => None,
    }
}
