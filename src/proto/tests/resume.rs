//! Reconnecting: every operation takes effect once, and its first outcome is told once.

use std::time::Duration;

use super::peer::{Peer, acceptance, greeted, hello, welcome, welcomed, written};
use super::sessions::{at, check, submits};
use crate::proto::harness::{Line, Setup, World, body};
use crate::proto::{
    AcceptError, ClientConfig, ClientEvent, CloseReason, Connection, Outbox, ServerConfig, Time, Violation,
};
use crate::wire::message::{AckLevel, Operation};
use crate::wire::{ErrorCode, Message, MessageType};

/// A short session: twelve operations, one of them refused, one byte arriving at a time.
fn short() -> World {
    let mut setup = Setup::new(20, submits(12, 1, 30));
    setup.line = Line { piece: 1, jitter: Duration::ZERO, ..Line::USUAL };
    World::new(setup)
}

#[test]
fn a_cut_at_every_byte_loses_and_repeats_nothing() {
    let whole = check(short(), 5_000).arrived;
    assert!((1_500..4_000).contains(&whole), "{whole}");
    for cut_at in 0..whole {
        let mut world = short();
        world.run_until(at(5_000), |world| world.arrived >= cut_at);
        assert!((cut_at..cut_at + 2).contains(&world.arrived), "{} for {cut_at}", world.arrived);
        world.cut(cut_at % 3 == 0);
        let world = check(world, 10_000);
        assert_eq!(world.app.outcomes.len(), 12, "cut at byte {cut_at}");
    }
}

#[test]
fn an_accepted_operation_that_a_crash_took_is_sent_again() {
    let (mut client, mut peer) = greeted(Outbox::default());
    let number = client.submit(AckLevel::Accepted, body(1, 0).groups()).unwrap();
    let sent = written(&mut client, &mut peer, Time::ZERO);
    let accepted = crate::wire::message::Ack {
        lane: crate::wire::Lane::Work,
        level: AckLevel::Accepted,
        number,
        unchanged: 0,
        position: crate::wire::Position::default(),
    };
    client.handle_bytes(Time::ZERO, &peer.frame(&Message::Ack(accepted)));
    assert!(matches!(client.poll_event(), Some(ClientEvent::Outcome(outcome)) if outcome.result.is_ok()));
    let outbox = client.into_outbox();
    assert_eq!((outbox.oldest_unacknowledged(), outbox.next_number()), (1, 2));
    let mut welcome = welcome();
    welcome.node = outbox.node().unwrap();
    let mut client = Connection::client(Time::ZERO, ClientConfig::new("main"), outbox).unwrap();
    let mut peer = Peer::default();
    written(&mut client, &mut peer, Time::ZERO);
    client.handle_bytes(Time::ZERO, &peer.frame(&Message::Welcome(welcome)));
    assert_eq!(written(&mut client, &mut peer, Time::ZERO), sent, "byte for byte");
    let durable = crate::wire::message::Ack { level: AckLevel::Durable, ..accepted };
    client.handle_bytes(Time::ZERO, &peer.frame(&Message::Ack(durable)));
    let again = std::iter::from_fn(|| client.poll_event());
    assert_eq!(again.filter(|event| matches!(event, ClientEvent::Outcome(_))).count(), 0, "told once");
    assert_eq!(client.outbox().bytes(), 0);
}

#[test]
fn numbers_that_do_not_fit_are_refused_by_both_ends() {
    for (next, oldest, decided, code) in
        [(3, 3, 7, ErrorCode::IdentityReused), (9, 9, 7, ErrorCode::IdentityExpired)]
    {
        let mut server = Connection::server(Time::ZERO, ServerConfig::default());
        let mut peer = Peer::default();
        let Message::Hello(mut hello) = hello() else { panic!() };
        (hello.next_operation, hello.oldest_unacked) = (next, oldest);
        server.handle_bytes(Time::ZERO, &peer.frame(&Message::Hello(hello)));
        let mut answer = acceptance();
        answer.node_decided = decided;
        assert_eq!(server.accept(Time::ZERO, answer), Err(AcceptError::Identity(code)));
        assert_eq!(server.close_reason(), Some(&CloseReason::Refused(code)));

        let outbox = Outbox::resuming(None, next);
        let mut client = Connection::client(Time::ZERO, ClientConfig::new("main"), outbox).unwrap();
        let mut peer = Peer::default();
        written(&mut client, &mut peer, Time::ZERO);
        let mut welcome = welcome();
        welcome.node_decided = decided;
        client.handle_bytes(Time::ZERO, &peer.frame(&Message::Welcome(welcome)));
        let reason = CloseReason::PeerMisbehaved(Violation::Identity(code));
        assert_eq!(client.close_reason(), Some(&reason));
    }
}

#[test]
fn the_engine_refuses_an_identity_at_any_time() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    server.refuse(ErrorCode::IdentityReused, "operation 4 has another body").unwrap();
    let read = written(&mut server, &mut peer, Time::ZERO);
    assert_eq!(super::peer::error_code(&read[0].1).as_deref(), Some("identity_reused"));
    assert!(server.is_finished());
    let (mut client, mut peer) = greeted(Outbox::default());
    client.submit(AckLevel::Durable, body(1, 0).groups()).unwrap();
    let error = crate::proto::core::error_payload(
        crate::wire::Subject::Connection,
        ErrorCode::Fenced,
        "another took over",
        crate::wire::EncodedDict::NONE,
    );
    client.handle_bytes(Time::ZERO, &peer.raw(8, crate::wire::Flags::NONE, &error));
    let Some(CloseReason::RefusedByPeer(refusal)) = client.close_reason() else { panic!() };
    assert_eq!(refusal.known(), Some(ErrorCode::Fenced));
    assert_eq!(client.into_outbox().oldest_unacknowledged(), 1, "nothing is lost");
}

#[test]
fn a_new_identity_numbers_what_is_kept_from_one() {
    let (mut client, _) = greeted(Outbox::resuming(None, 1));
    for tag in 1..=3 {
        client.submit(AckLevel::Durable, body(tag, 0).groups()).unwrap();
    }
    let mut outbox = client.into_outbox();
    outbox.adopt_identity(None);
    let numbers: Vec<_> = outbox
        .operations()
        .map(|(number, payload)| match Message::decode(MessageType::Operation as u8, payload) {
            Ok(Message::Operation(Operation { number: inside, .. })) => (number, inside),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(outbox.next_number(), 4);
}
