//! Goodbye, from either side, with work under way.

use super::peer::{Peer, greeted, welcomed, written};
use super::sessions::{WINDOW, at, sorted, submits};
use crate::proto::harness::{Fate, Setup, Step, World, collection};
use crate::proto::{
    CloseReason, Deadline, Misuse, Outbox, Parting, ServerConfig, ServerEvent, SubmitError, Time, Verdict,
};
use crate::wire::message::{
    AckLevel, Error, Event, EventKind, Goodbye, Mode, Operation, QueryKind, QueryResponse, Rows, Start,
};
use crate::wire::{CreditLimit, EncodedDict, ErrorCode, Message, MessageType, Position, Subject};

fn parting(code: ErrorCode) -> Parting {
    Parting { code: code.number(), retry_after_ms: 250, message: "maintenance".to_owned() }
}

/// A server that says Goodbye while operations and a large answer are under way.
fn server_leaves(seed: u64, when_ms: u64) -> World {
    let mut plan = submits(200, 1, 300);
    plan.push((at(20), Step::Query { frames: 300, large: true, window: WINDOW }));
    let mut world = World::new(Setup::new(seed, sorted(plan)));
    world.run_until(at(when_ms), |_| false);
    world.now = world.now.max(at(when_ms));
    let now = world.now;
    world.server.close(now, parting(ErrorCode::ShuttingDown)).unwrap();
    world.run_until(at(when_ms + 11_000), |world| world.server.is_finished());
    world
}

#[test]
fn a_server_that_leaves_tells_every_outcome_of_what_it_admitted() {
    for when in [50, 60, 77, 100] {
        let mut world = server_leaves(when, when);
        let gone = CloseReason::Goodbye { by_peer: false, code: 503, retry_after_ms: 250 };
        assert_eq!(world.server.close_reason(), Some(&gone));
        world.run_until(at(when + 12_000), |world| world.down.is_empty());
        let settled = world.client.outbox().oldest_unacknowledged() - 1;
        assert_eq!(world.app.outcomes.len() as u64, settled);
        assert_eq!(world.engine.refused_number(settled + 1), None, "nothing else was decided");
        assert_eq!(
            world.client.submit(AckLevel::Durable, crate::proto::harness::body(1, 0).groups()),
            Err(SubmitError::Misuse(Misuse::Closed))
        );
        world.client.handle_eof();
        let told = CloseReason::Goodbye { by_peer: true, code: 503, retry_after_ms: 250 };
        assert_eq!(world.client.close_reason(), Some(&told));
        // What was not admitted is sent again on the next connection.
        world.app.closed.clear();
        world.server_closed.clear();
        world.cut(false);
        world.app.closed.clear();
        world.server_closed.clear();
        assert!(world.run_to_the_end(at(60_000)));
        assert_eq!(world.verdict(), Vec::<String>::new());
        assert!(world.app.past.iter().any(|asked| asked.fate == Fate::Lost));
    }
}

#[test]
fn a_client_that_leaves_hears_its_outcomes_before_the_answer() {
    let mut plan = submits(100, 1, 300);
    plan.push((at(30), Step::Subscribe { window: WINDOW, reads: true }));
    plan.push((at(90), Step::Close));
    plan.retain(|(time, _)| *time <= at(90));
    let mut world = World::new(Setup::new(6, sorted(plan)));
    let ended = world.run_until(at(5_000), |world| world.client.is_finished() && world.server.is_finished());
    assert!(ended, "{:?} {:?}", world.client.close_reason(), world.server.close_reason());
    let sent = world.client.outbox().oldest_unacknowledged() - 1;
    assert_eq!(world.app.outcomes.len() as u64, sent);
    assert!(sent > 50);
    assert_eq!(world.verdict(), Vec::<String>::new());
}

#[test]
fn both_may_leave_at_once() {
    let mut world = World::new(Setup::new(7, submits(100, 1, 0)));
    world.run_until(at(50), |_| false);
    let now = world.now;
    world.client.close(now, Parting::default()).unwrap();
    world.server.close(now, Parting::default()).unwrap();
    assert_eq!(world.client.close(now, Parting::default()), Err(Misuse::Closed));
    assert!(world.run_until(at(5_000), |world| world.server.is_finished()));
    world.run_until(at(5_100), |world| world.down.is_empty());
    world.client.handle_eof();
    assert!(matches!(world.client.close_reason(), Some(CloseReason::Goodbye { by_peer: false, .. })));
    assert_eq!(world.verdict(), Vec::<String>::new());
}

#[test]
fn an_outcome_that_never_comes_ends_after_ten_seconds() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let body = crate::proto::harness::body(1, 0);
    let operation = Operation { number: 1, ack_level: AckLevel::Durable, groups: body.groups() };
    let goodbye = Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" });
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Operation(operation)));
    server.handle_bytes(Time::ZERO, &peer.frame(&goodbye));
    assert_eq!(written(&mut server, &mut peer, Time::ZERO), [], "the answer waits for the outcome");
    assert_eq!(server.poll_timeout(), Some(at(10_000)));
    server.handle_timeout(at(9_999));
    assert!(!server.is_closed());
    server.handle_timeout(at(10_000));
    assert_eq!(server.close_reason(), Some(&CloseReason::TimedOut(Deadline::Drain)));
}

#[test]
fn a_goodbye_stops_what_runs_whoever_says_it() {
    for client_first in [true, false] {
        let (mut server, mut peer) = welcomed(ServerConfig::default());
        let credit = CreditLimit { frames: 9, bytes: 9_999 };
        let kind = QueryKind::Stats { collection: None };
        let query = crate::wire::message::Query { id: 1, credit, at_least: None, kind };
        server.handle_bytes(Time::ZERO, &peer.frame(&Message::Query(query)));
        assert!(matches!(server.poll_event(), Some(ServerEvent::Request { .. })));
        if client_first {
            let goodbye = Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" });
            server.handle_bytes(Time::ZERO, &peer.frame(&goodbye));
        } else {
            server.close(Time::ZERO, Parting::default()).unwrap();
        }
        assert!(matches!(server.poll_event(), Some(ServerEvent::Cancelled { id: 1 })));
        server.finish(1, Position::default()).unwrap();
        let read = written(&mut server, &mut peer, Time::ZERO);
        assert_eq!(read.iter().map(|(found, _)| *found).collect::<Vec<_>>(), [MessageType::Goodbye]);
    }
}

/// C-11.6: what a server had written before it heard of the Goodbye.
#[test]
fn answers_that_cross_a_clients_goodbye_are_passed_over() {
    let (mut client, mut peer) = greeted(Outbox::default());
    let credit = CreditLimit { frames: 1, bytes: 1_000 };
    let asked = client.query(QueryKind::Stats { collection: None }, None, credit).unwrap();
    let watched = client.subscribe(collection(), Mode::All, Start::Now, credit).unwrap();
    written(&mut client, &mut peer, Time::ZERO);
    client.close(Time::ZERO, Parting::default()).unwrap();
    written(&mut client, &mut peer, Time::ZERO);
    let (position, rows, detail) = (Position::default(), Rows::default(), EncodedDict::NONE);
    let code = ErrorCode::ShuttingDown.number();
    for crossed in [
        Message::Event(Event { id: watched, position, kind: EventKind::CaughtUp }),
        Message::Error(Error { subject: Subject::Request(watched), code, message: "", detail }),
        Message::QueryResponse(QueryResponse { id: asked, last: true, position, rows }),
    ] {
        client.handle_bytes(Time::ZERO, &peer.frame(&crossed));
        assert!(client.poll_event().is_none() && !client.is_closed(), "{crossed:?}");
    }
    let goodbye = Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" });
    client.handle_bytes(Time::ZERO, &peer.frame(&goodbye));
    let reason = CloseReason::Goodbye { by_peer: false, code: 0, retry_after_ms: 0 };
    assert_eq!(client.close_reason(), Some(&reason));
}

#[test]
fn outcomes_then_goodbye_then_nothing() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let body = crate::proto::harness::body(1, 0);
    let operation = Operation { number: 1, ack_level: AckLevel::Durable, groups: body.groups() };
    let goodbye = Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" });
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Operation(operation)));
    server.handle_bytes(Time::ZERO, &peer.frame(&goodbye));
    let verdict = Verdict { position: Position::default(), unchanged: 0, refusal: None };
    server.decided(1, &verdict).unwrap();
    server.durable(1).unwrap();
    let read = written(&mut server, &mut peer, Time::ZERO);
    let types: Vec<_> = read.iter().map(|(found, _)| *found).collect();
    assert_eq!(types, [MessageType::Ack, MessageType::Goodbye]);
    assert!(server.is_finished());
    assert_eq!(Peer::default().sequence, 0);
}
