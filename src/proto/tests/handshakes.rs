//! The handshake: who may say what, and what is agreed.

use super::peer::{Peer, acceptance, error_code, hello, welcome, written};
use crate::proto::{
    AcceptError, ClientConfig, CloseReason, Connection, Misuse, Outbox, ServerConfig, ServerEvent, Time,
};
use crate::wire::limits::MAX_HANDSHAKE_PAYLOAD_BYTES;
use crate::wire::message::{Hello, Ping, Welcome};
use crate::wire::{EncodedStrings, ErrorCode, Flags, Message, MessageType};

fn changed_hello(change: fn(&mut Hello<'static>)) -> Message<'static> {
    let Message::Hello(mut hello) = hello() else { panic!() };
    change(&mut hello);
    Message::Hello(hello)
}

/// What a client may not begin with.
#[test]
fn a_server_hears_one_hello_first() {
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("a Ping", Peer::default().frame(&Message::Ping(Ping { nonce: 1 })), "unexpected_message"),
        ("a Welcome", Peer::default().frame(&Message::Welcome(welcome())), "unexpected_message"),
        ("an unknown type", Peer::default().raw(0x1F, Flags::NONE, &[]), "unexpected_message"),
        ("Auth", Peer::default().raw(0x14, Flags::NONE, &[]), "unexpected_message"),
        (
            "versions to come",
            Peer::default().frame(&changed_hello(|hello| (hello.min_version, hello.max_version) = (2, 9))),
            "unsupported_version",
        ),
        (
            "a large payload",
            Peer::default().raw(1, Flags::NONE, &[0; MAX_HANDSHAKE_PAYLOAD_BYTES + 1]),
            "payload_too_large",
        ),
    ];
    for (name, bytes, code) in cases {
        let mut server = Connection::server(Time::ZERO, ServerConfig::default());
        server.handle_bytes(Time::ZERO, &bytes);
        let read = written(&mut server, &mut Peer::default(), Time::ZERO);
        assert_eq!(error_code(&read[0].1).as_deref(), Some(code), "{name}");
        assert!(server.is_finished());
    }
}

#[test]
fn nothing_comes_between_hello_and_welcome() {
    let mut server = Connection::server(Time::ZERO, ServerConfig::default());
    let mut peer = Peer::default();
    server.handle_bytes(Time::ZERO, &peer.frame(&hello()));
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Ping(Ping { nonce: 1 })));
    assert!(server.is_closed());
    assert_eq!(server.accept(Time::ZERO, acceptance()), Err(AcceptError::Misuse(Misuse::Closed)));
}

#[test]
fn a_hello_is_answered_once_and_agrees_on_the_least() {
    let mut server = Connection::server(Time::ZERO, ServerConfig::default());
    assert_eq!(server.accept(Time::ZERO, acceptance()), Err(AcceptError::Misuse(Misuse::NoHello)));
    let mut peer = Peer::default();
    let offer = changed_hello(|hello| {
        hello.max_version = 200;
        hello.heartbeat_ms = 1;
        hello.capabilities = EncodedStrings::new(&["lz4", "teleport"]).unwrap();
    });
    server.handle_bytes(Time::ZERO, &peer.frame(&offer));
    let Some(ServerEvent::Hello(info)) = server.poll_event() else { panic!() };
    assert_eq!((info.database.as_str(), info.capabilities.len()), ("main", 2));
    server.accept(Time::ZERO, acceptance()).unwrap();
    assert_eq!(server.accept(Time::ZERO, acceptance()), Err(AcceptError::Misuse(Misuse::NoHello)));
    let read = written(&mut server, &mut peer, Time::ZERO);
    let Ok(Message::Welcome(welcome)) = Message::decode(1, &read[0].1) else { panic!() };
    assert_eq!((welcome.version, welcome.heartbeat_ms), (1, 5_000));
    assert_eq!(welcome.capabilities.iter().collect::<Vec<_>>(), ["lz4"]);
    assert_eq!(read.len(), 1);
}

#[test]
fn a_refused_hello_gets_one_error() {
    let mut server = Connection::server(Time::ZERO, ServerConfig::default());
    let mut peer = Peer::default();
    server.handle_bytes(Time::ZERO, &peer.frame(&hello()));
    server.refuse(ErrorCode::UnknownDatabase, "there is no database main").unwrap();
    let read = written(&mut server, &mut peer, Time::ZERO);
    assert_eq!(read.len(), 1);
    assert_eq!(error_code(&read[0].1).as_deref(), Some("unknown_database"));
    assert_eq!(server.refuse(ErrorCode::Internal, ""), Err(Misuse::Closed));
    assert_eq!(server.close_reason(), Some(&CloseReason::Refused(ErrorCode::UnknownDatabase)));
}

#[test]
fn a_client_holds_the_welcome_against_its_hello() {
    type Change = fn(&mut Welcome<'static>);
    let cases: [(&str, Change); 5] = [
        ("version", |welcome| welcome.version = 2),
        ("heartbeat_ms", |welcome| welcome.heartbeat_ms = 4_999),
        ("heartbeat_ms", |welcome| welcome.heartbeat_ms = 60_001),
        ("node", |welcome| welcome.node = uuid::Uuid::from_u128(3)),
        ("capabilities", |welcome| welcome.capabilities = EncodedStrings::new(&["lz5"]).unwrap()),
    ];
    for (field, change) in cases {
        let outbox = Outbox::new(Some(welcome().node));
        let mut client = Connection::client(Time::ZERO, ClientConfig::new("main"), outbox).unwrap();
        let mut peer = Peer::default();
        assert_eq!(written(&mut client, &mut peer, Time::ZERO)[0].0, MessageType::Handshake);
        let mut wrong = welcome();
        change(&mut wrong);
        client.handle_bytes(Time::ZERO, &peer.frame(&Message::Welcome(wrong)));
        let reason = client.close_reason().unwrap().to_string();
        assert!(reason.contains(field), "{field}: {reason}");
    }
}

#[test]
fn a_name_that_no_database_has_is_the_callers_mistake() {
    let made = Connection::client(Time::ZERO, ClientConfig::new("No Such"), Outbox::default());
    assert!(matches!(made, Err(Misuse::InvalidDatabase(_))));
}
