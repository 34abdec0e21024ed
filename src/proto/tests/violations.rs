//! Every rule that a peer can break, by itself: the Error that answers, the reason that is told.

use super::peer::{Peer, error_code, greeted, hello, welcome, welcomed, written};
use crate::blazebinary::ValueView;
use crate::proto::harness::{body, collection};
use crate::proto::{ClientConfig, CloseReason, Connection, Outbox, ServerConfig, Time};
use crate::wire::message::{
    Ack, AckLevel, Cancel, Credit, CreditScope, Error, Event, EventKind, Goodbye, Mode, Operation, Ping,
    Query, QueryKind, QueryResponse, Rows, Start, Subscribe, Welcome,
};
use crate::wire::{CreditLimit, EncodedDict, Fault, Flags, Lane, Message, MessageType, Position, Subject};

fn operation(peer: &mut Peer, number: u64) -> Vec<u8> {
    let body = body(number, 0);
    let ack_level = AckLevel::Durable;
    peer.frame(&Message::Operation(Operation { number, ack_level, groups: body.groups() }))
}

fn query(id: u64) -> Message<'static> {
    let credit = CreditLimit { frames: 2, bytes: 1_000 };
    Message::Query(Query { id, credit, at_least: None, kind: QueryKind::Stats { collection: None } })
}

fn ack(number: u64) -> Message<'static> {
    let (lane, level, position) = (Lane::Work, AckLevel::Durable, Position::default());
    Message::Ack(Ack { lane, level, number, unchanged: 0, position })
}

fn accepted(number: u64) -> Message<'static> {
    let Message::Ack(ack) = ack(number) else { panic!() };
    Message::Ack(Ack { level: AckLevel::Accepted, ..ack })
}

fn operation_error(number: u64) -> Message<'static> {
    let subject = Subject::Operation(number);
    Message::Error(Error { subject, code: 107, message: "", detail: EncodedDict::NONE })
}

fn request_error(id: u64) -> Message<'static> {
    let subject = Subject::Request(id);
    Message::Error(Error { subject, code: 205, message: "", detail: EncodedDict::NONE })
}

fn rows(id: u64, last: bool) -> Message<'static> {
    let (position, rows) = (Position::default(), Rows::default());
    Message::QueryResponse(QueryResponse { id, last, position, rows })
}

fn credit(scope: CreditScope, frames: u64, bytes: u64) -> Message<'static> {
    Message::Credit(Credit { scope, limit: CreditLimit { frames, bytes } })
}

type Bytes = fn(&mut Peer) -> Vec<u8>;

fn several(peer: &mut Peer, messages: &[Message<'_>]) -> Vec<u8> {
    messages.iter().flat_map(|message| peer.frame(message)).collect()
}

/// After the handshake, to a server with a work window of 4 frames and 1,000 bytes and an operation window of 2.
const TO_SERVER: &[(&str, Bytes, &str)] = &[
    ("another protocol", |_| b"GET / HTTP/1.1".to_vec(), "bad_magic"),
    ("version 2", |_| b"BLAZE\x02".to_vec(), "unsupported_version"),
    (
        "a flipped bit",
        |peer| {
            let mut f = operation(peer, 1);
            f[20] ^= 1;
            f
        },
        "frame_checksum_mismatch",
    ),
    ("a long payload", |_| b"BLAZE\x01\x02\x7F\xFF\xFF\xFF\x04\0\0\x01".to_vec(), "payload_too_large"),
    (
        "a gap",
        |peer| {
            peer.sequence += 1;
            operation(peer, 1)
        },
        "sequence_gap",
    ),
    (
        "a repeat",
        |peer| {
            peer.sequence -= 1;
            operation(peer, 1)
        },
        "sequence_gap",
    ),
    ("a second Hello", |peer| peer.frame(&hello()), "unexpected_message"),
    ("a Welcome", |peer| peer.frame(&Message::Welcome(welcome())), "unexpected_message"),
    ("an Ack", |peer| peer.frame(&ack(1)), "unexpected_message"),
    ("an answer", |peer| peer.frame(&rows(1, true)), "unexpected_message"),
    ("an Error about an operation", |peer| peer.frame(&operation_error(1)), "unexpected_message"),
    ("a lane's credit", |peer| peer.frame(&credit(CreditScope::Lane(Lane::Work), 1, 1)), "invalid_credit"),
    ("no flag", |peer| peer.raw(2, Flags::NONE, &[0; 20]), "unexpected_flag"),
    ("compression not agreed", |peer| peer.raw(2, Flags::from_byte(5).unwrap(), &[9; 9]), "unexpected_flag"),
    ("encryption", |peer| peer.raw(0x12, Flags::ENCRYPTED, &[0; 8]), "unexpected_flag"),
    ("an unknown type, encrypted", |peer| peer.raw(0x30, Flags::ENCRYPTED, &[]), "unexpected_flag"),
    ("an unknown type that wants an Ack", |peer| peer.raw(0x30, Flags::REQUIRES_ACK, &[]), "unexpected_flag"),
    (
        "an unknown type behind a Goodbye",
        |p| {
            let goodbye = Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" });
            [p.frame(&goodbye), p.raw(0x30, Flags::NONE, &[])].concat()
        },
        "unexpected_message",
    ),
    ("operation 2 first", |peer| operation(peer, 2), "operation_number_gap"),
    ("operation 1 twice", |peer| [operation(peer, 1), operation(peer, 1)].concat(), "operation_number_gap"),
    ("operation 0", |peer| peer.raw(2, Flags::REQUIRES_ACK, &[0; 20]), "invalid_field"),
    (
        "three of two operations",
        |p| (1..=3).flat_map(|n| operation(p, n)).collect(),
        "operation_window_exceeded",
    ),
    ("request 0", |peer| peer.frame(&query(0)), "invalid_field"),
    ("request 2, then 1", |peer| several(peer, &[query(2), query(1)]), "request_id_not_increasing"),
    ("request 1 twice", |peer| several(peer, &[query(1), query(1)]), "request_id_not_increasing"),
    ("a fifth of four frames", |p| (1..=5).flat_map(|id| p.frame(&query(id))).collect(), "credit_exceeded"),
    (
        "too many bytes",
        |p| {
            [
                p.raw(2, Flags::REQUIRES_ACK, &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &[1; 2_000]].concat()),
                p.frame(&query(1)),
            ]
            .concat()
        },
        "credit_exceeded",
    ),
    (
        "falling credit",
        |p| several(p, &[query(1), credit(CreditScope::Request(1), 1, 5_000)]),
        "invalid_credit",
    ),
    ("a truncated Ping", |peer| peer.raw(0x12, Flags::NONE, &[0; 7]), "truncated"),
    ("bytes behind a Ping", |peer| peer.raw(0x12, Flags::NONE, &[0; 9]), "trailing_bytes"),
    (
        "more after a Goodbye",
        |p| several(p, &[Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" }), query(1)]),
        "unexpected_message",
    ),
];

#[test]
fn a_server_answers_each_broken_rule_and_ends() {
    for (name, bytes, code) in TO_SERVER {
        let mut config = ServerConfig { operation_window: 2, ..ServerConfig::default() };
        config.work = CreditLimit { frames: 4, bytes: 1_000 };
        let (mut server, mut peer) = welcomed(config);
        server.handle_bytes(Time::ZERO, &bytes(&mut peer));
        check_end(name, server, code);
    }
}

/// After the handshake, to a client that sent operations 1 and 2 and queries 1 (a query) and 2 (a subscription).
const TO_CLIENT: &[(&str, Bytes, &str)] = &[
    ("an operation", |peer| operation(peer, 1), "unexpected_message"),
    ("a query", |peer| peer.frame(&query(1)), "unexpected_message"),
    ("a Cancel", |peer| peer.frame(&Message::Cancel(Cancel { id: 1 })), "unexpected_message"),
    ("a second Welcome", |peer| peer.frame(&Message::Welcome(welcome())), "unexpected_message"),
    ("an Ack of what was not sent", |peer| peer.frame(&ack(3)), "impossible_ack"),
    ("an Ack that falls", |peer| several(peer, &[ack(2), ack(1)]), "impossible_ack"),
    ("an Error of what was not sent", |peer| peer.frame(&operation_error(3)), "impossible_ack"),
    ("an Error behind its Ack", |peer| several(peer, &[ack(2), operation_error(2)]), "impossible_ack"),
    ("an Error twice", |p| several(p, &[operation_error(1), operation_error(1)]), "impossible_ack"),
    (
        "an Ack of telemetry",
        |peer| {
            let Message::Ack(ack) = ack(1) else { panic!() };
            peer.frame(&Message::Ack(Ack { lane: Lane::Telemetry, ..ack }))
        },
        "impossible_ack",
    ),
    ("an unknown answer", |peer| peer.frame(&rows(3, true)), "unexpected_message"),
    ("rows for a subscription", |peer| peer.frame(&rows(2, true)), "unexpected_message"),
    ("more behind the last", |p| several(p, &[rows(1, true), rows(1, false)]), "unexpected_message"),
    (
        "a third of two frames",
        |p| several(p, &[rows(1, false), rows(1, false), rows(1, true)]),
        "credit_exceeded",
    ),
    (
        "an event for a query",
        |peer| {
            let (position, kind) = (Position::default(), EventKind::CaughtUp);
            peer.frame(&Message::Event(Event { id: 1, position, kind }))
        },
        "unexpected_message",
    ),
    (
        "an end that nobody asked for",
        |peer| {
            let (position, kind) = (Position::default(), EventKind::Ended);
            peer.frame(&Message::Event(Event { id: 2, position, kind }))
        },
        "unexpected_message",
    ),
    (
        "an answer taken in two places",
        |peer| {
            let (position, rows_) = (Position { seq: 1, ..Position::default() }, Rows::default());
            let moved = QueryResponse { id: 1, last: true, position, rows: rows_ };
            several(peer, &[rows(1, false), Message::QueryResponse(moved)])
        },
        "invalid_field",
    ),
    ("falling credit", |p| several(p, &[credit(CreditScope::Lane(Lane::Work), 1, 1)]), "invalid_credit"),
    ("a request's credit", |p| several(p, &[credit(CreditScope::Request(1), 9, 9_999)]), "invalid_credit"),
    (
        "an answer behind the Goodbye",
        |p| {
            several(
                p,
                &[Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" }), rows(1, true)],
            )
        },
        "unexpected_message",
    ),
    (
        "a refused request behind the Goodbye",
        |p| {
            let goodbye = Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" });
            several(p, &[goodbye, request_error(1)])
        },
        "unexpected_message",
    ),
];

#[test]
fn a_client_answers_each_broken_rule_and_ends() {
    for (name, bytes, code) in TO_CLIENT {
        let (mut client, mut peer) = greeted(Outbox::default());
        for tag in 1..=2 {
            client.submit(AckLevel::Durable, body(tag, 0).groups()).unwrap();
        }
        let credit = CreditLimit { frames: 2, bytes: 1_000 };
        client.query(QueryKind::Stats { collection: None }, None, credit).unwrap();
        client.subscribe(collection(), Mode::All, Start::Now, credit).unwrap();
        assert_eq!(written(&mut client, &mut peer, Time::ZERO).len(), 4);
        client.handle_bytes(Time::ZERO, &bytes(&mut peer));
        check_end(name, client, code);
    }
}

/// The connection ended by the peer's fault, and its last frame is an Error of `code`.
fn check_end<R: crate::proto::connection::Role>(name: &str, mut connection: Connection<R>, code: &str) {
    let Some(CloseReason::PeerMisbehaved(violation)) = connection.close_reason().cloned() else {
        panic!("{name}: {:?}", connection.close_reason());
    };
    assert_eq!(violation.code().name(), code, "{name}");
    assert_eq!(connection.close_reason().and_then(CloseReason::fault), Some(Fault::Peer), "{name}");
    let mut out = Vec::new();
    connection.poll_transmit(Time::ZERO, &mut out);
    let frames = Peer::default().read(&out);
    let (message_type, payload) = frames.last().unwrap();
    assert_eq!(*message_type, MessageType::Error, "{name}");
    assert_eq!(error_code(payload).as_deref(), Some(code), "{name}");
    assert!(connection.is_finished() && connection.poll_timeout().is_none(), "{name}");
    connection.handle_bytes(Time::ZERO, b"more");
    assert_eq!(connection.poll_transmit(Time::ZERO, &mut out), 0, "{name}: nothing follows");
}

#[test]
fn what_is_reserved_or_unknown_is_answered_and_passed_over() {
    for (message_type, code) in [
        (0x06, "not_supported"),
        (0x14, "not_supported"),
        (0x1F, "unknown_message_type"),
        (0x20, "unknown_message_type"),
        (0x00, "unknown_message_type"),
        (0xFF, "unknown_message_type"),
    ] {
        let (mut server, mut peer) = welcomed(ServerConfig::default());
        let mut bytes = peer.raw(message_type, Flags::NONE, b"whatever");
        bytes.extend(peer.frame(&Message::Ping(Ping { nonce: 5 })));
        server.handle_bytes(Time::ZERO, &bytes);
        let read = written(&mut server, &mut peer, Time::ZERO);
        let types: Vec<_> = read.iter().map(|(found, _)| *found).collect();
        assert_eq!(types, [MessageType::Error, MessageType::Pong], "{message_type:#x}");
        assert_eq!(error_code(&read[0].1).as_deref(), Some(code), "{message_type:#x}");
        assert!(server.is_open());
        // From a server it is the same.
        let (mut client, mut peer) = greeted(Outbox::default());
        client.handle_bytes(Time::ZERO, &peer.raw(message_type, Flags::NONE, b"whatever"));
        let read = written(&mut client, &mut peer, Time::ZERO);
        assert_eq!(read.len(), 1, "{message_type:#x}");
        assert_eq!(error_code(&read[0].1).as_deref(), Some(code), "{message_type:#x}");
        assert!(client.is_open());
    }
}

/// C-5.9: what was settled on an earlier connection was not sent on this one.
#[test]
fn an_ack_or_error_below_the_first_number_of_the_connection_is_impossible() {
    for (told, is_possible) in [
        (accepted(4), false),
        (ack(4), false),
        (operation_error(4), false),
        (accepted(5), true),
        (ack(5), true),
        (operation_error(5), true),
    ] {
        let mut outbox = Outbox::resuming(None, 5);
        outbox.submit(AckLevel::Durable, |_, payload| payload.extend(b"kept")).unwrap();
        let mut client = Connection::client(Time::ZERO, ClientConfig::new("main"), outbox).unwrap();
        let mut peer = Peer::default();
        assert_eq!(written(&mut client, &mut peer, Time::ZERO).len(), 1);
        let welcome = Welcome { node_decided: 4, ..welcome() };
        client.handle_bytes(Time::ZERO, &peer.frame(&Message::Welcome(welcome)));
        assert_eq!(written(&mut client, &mut peer, Time::ZERO).len(), 1, "operation 5");
        client.handle_bytes(Time::ZERO, &peer.frame(&told));
        if is_possible {
            assert!(client.is_open(), "{told:?}");
        } else {
            check_end("below the first", client, "impossible_ack");
        }
    }
}

#[test]
fn a_request_that_is_wrong_behind_its_id_is_refused_alone() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let Message::Query(Query { id, credit, .. }) = query(1) else { panic!() };
    let mut payload = id.to_be_bytes().to_vec();
    payload.extend([credit.frames.to_be_bytes(), credit.bytes.to_be_bytes()].concat());
    payload.push(5);
    let subscribe = Subscribe { id: 2, credit, mode: Mode::All, start: Start::Now, collection: collection() };
    let mut wrong = Vec::new();
    Message::Subscribe(subscribe).encode(&mut wrong);
    wrong.push(0);
    server.handle_bytes(Time::ZERO, &peer.raw(3, Flags::NONE, &payload));
    server.handle_bytes(Time::ZERO, &peer.raw(5, Flags::NONE, &wrong));
    let read = written(&mut server, &mut peer, Time::ZERO);
    let codes: Vec<_> = read.iter().map(|(_, payload)| error_code(payload).unwrap()).collect();
    assert_eq!(codes, ["not_supported", "trailing_bytes"]);
    assert!(server.is_open() && server.poll_event().is_none());
}

/// P-4.7.1: what an Error says for programs.
#[test]
fn details_say_where_and_which_versions() {
    type Bytes = fn(&mut Peer) -> Vec<u8>;
    let cases: [(&str, Bytes, &str, i64); 4] = [
        ("version 2 of a frame", |_| b"BLAZE\x02".to_vec(), "versions", 1),
        // An empty payload ends at its first byte.
        ("an empty Ping", |peer| peer.raw(0x12, Flags::NONE, &[]), "offset", 0),
        ("bytes behind a Ping", |peer| peer.raw(0x12, Flags::NONE, &[0; 9]), "offset", 8),
        // Id and credit take 24 bytes; kind 9 is none.
        (
            "a kind of query",
            |peer| peer.raw(3, Flags::NONE, &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 16], &[9]].concat()),
            "offset",
            24,
        ),
    ];
    for (name, bytes, key, expected) in cases {
        let (mut server, mut peer) = welcomed(ServerConfig::default());
        server.handle_bytes(Time::ZERO, &bytes(&mut peer));
        let read = written(&mut server, &mut peer, Time::ZERO);
        let Ok(Message::Error(error)) = Message::decode(8, &read[0].1) else { panic!("{name}") };
        match (key, error.detail.get(key)) {
            ("versions", Some(ValueView::Array(versions))) => {
                let versions: Vec<_> = versions.iter().collect();
                assert!(matches!(versions[..], [ValueView::Int(found)] if found == expected), "{name}");
            }
            (_, Some(ValueView::Int(found))) => assert_eq!(found, expected, "{name}"),
            (_, found) => panic!("{name}: {found:?}"),
        }
    }
}
