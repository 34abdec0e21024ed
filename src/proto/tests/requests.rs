//! Requests: cancel races, order at the writer, misuse by the engine.

use super::peer::{Peer, error_code, greeted, welcomed, written};
use crate::proto::{
    ClientEvent, Connection, Delivery, Misuse, Outbox, RefusalText, RequestError, RequestKind, Server,
    ServerConfig, ServerEvent, Time,
};
use crate::wire::message::{
    Cancel, Credit, CreditScope, Event, EventKind, Mode, Query, QueryKind, QueryResponse, Rows, Start,
    Subscribe, Unsubscribe,
};
use crate::wire::{CreditLimit, ErrorCode, Message, MessageType, Position};

const CREDIT: CreditLimit = CreditLimit { frames: 2, bytes: 10_000 };

fn query(id: u64, credit: CreditLimit) -> Message<'static> {
    Message::Query(Query { id, credit, at_least: None, kind: QueryKind::Stats { collection: None } })
}

fn subscribe(id: u64, credit: CreditLimit) -> Message<'static> {
    let collection = crate::proto::harness::collection();
    Message::Subscribe(Subscribe { id, credit, mode: Mode::All, start: Start::Now, collection })
}

fn rows(id: u64, last: bool) -> QueryResponse<'static> {
    QueryResponse { id, last, position: Position::default(), rows: Rows::default() }
}

fn event(id: u64, kind: EventKind<'static>) -> Event<'static> {
    Event { id, position: Position::default(), kind }
}

/// A server that runs query 1 and subscription 2.
fn running(credit: CreditLimit) -> (Connection<Server>, Peer) {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    for message in [query(1, credit), subscribe(2, credit)] {
        server.handle_bytes(Time::ZERO, &peer.frame(&message));
        let Some(ServerEvent::Request { cost, .. }) = server.poll_event() else { panic!() };
        server.admit(cost);
    }
    (server, peer)
}

fn types(server: &mut Connection<Server>, peer: &mut Peer) -> Vec<MessageType> {
    written(server, peer, Time::ZERO).into_iter().map(|(found, _)| found).collect()
}

#[test]
fn a_cancel_drops_what_waits_and_is_answered_when_the_engine_stopped() {
    let (mut server, mut peer) = running(CREDIT);
    assert_eq!(server.respond(&rows(1, false)), Ok(Delivery::Taken));
    assert_eq!(server.deliver(&event(2, EventKind::CaughtUp)), Ok(Delivery::Taken));
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Cancel(Cancel { id: 1 })));
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Unsubscribe(Unsubscribe { id: 2 })));
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Cancel(Cancel { id: 1 })));
    for id in [1, 2] {
        assert!(matches!(server.poll_event(), Some(ServerEvent::Cancelled { id: told }) if told == id));
    }
    assert!(server.poll_event().is_none());
    assert_eq!(server.respond(&rows(1, true)), Ok(Delivery::Cancelled));
    assert_eq!(types(&mut server, &mut peer), [], "nothing before the engine stopped");
    assert_eq!(server.running_requests(), 2);
    server.finish(1, Position::default()).unwrap();
    server.finish(2, Position::default()).unwrap();
    assert_eq!(server.finish(1, Position::default()), Err(Misuse::UnknownRequest(1)));
    let read = written(&mut server, &mut peer, Time::ZERO);
    assert_eq!(error_code(&read[0].1).as_deref(), Some("cancelled"));
    assert_eq!(read[1].0, MessageType::Event);
    assert_eq!(server.running_requests(), 0);
}

#[test]
fn a_cancel_that_meets_the_last_frame_is_too_late() {
    let (mut server, mut peer) = running(CREDIT);
    assert_eq!(server.respond(&rows(1, true)), Ok(Delivery::Taken));
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Cancel(Cancel { id: 1 })));
    assert!(server.poll_event().is_none());
    assert_eq!(types(&mut server, &mut peer), [MessageType::QueryResponse]);
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Cancel(Cancel { id: 1 })));
    assert!(server.is_open(), "a Cancel of what is over is a race");
}

#[test]
fn a_subscription_without_credit_can_end() {
    let (mut server, mut peer) = running(CreditLimit::NONE);
    assert_eq!(server.deliver(&event(2, EventKind::Heartbeat)), Ok(Delivery::Parked));
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Unsubscribe(Unsubscribe { id: 2 })));
    assert!(matches!(server.poll_event(), Some(ServerEvent::Cancelled { id: 2 })));
    server.finish(2, Position::default()).unwrap();
    assert_eq!(types(&mut server, &mut peer), [MessageType::Event]);
}

#[test]
fn a_parked_request_is_told_when_credit_came_and_one_frame_waits_at_most() {
    let (mut server, mut peer) = running(CREDIT);
    assert_eq!(server.respond(&rows(1, false)), Ok(Delivery::Taken));
    assert_eq!(server.respond(&rows(1, false)), Ok(Delivery::Busy));
    assert_eq!(types(&mut server, &mut peer), [MessageType::QueryResponse]);
    assert!(matches!(server.poll_event(), Some(ServerEvent::Writable { id: 1 })));
    assert_eq!(server.respond(&rows(1, false)), Ok(Delivery::Taken));
    types(&mut server, &mut peer);
    assert_eq!(server.respond(&rows(1, false)), Ok(Delivery::Parked));
    assert!(server.poll_event().is_none());
    let limit = CreditLimit { frames: 3, bytes: 10_000 };
    let credit = Message::Credit(Credit { scope: CreditScope::Request(1), limit });
    server.handle_bytes(Time::ZERO, &peer.frame(&credit));
    assert!(matches!(server.poll_event(), Some(ServerEvent::Writable { id: 1 })));
    assert_eq!(server.respond(&rows(1, true)), Ok(Delivery::Taken));
    assert_eq!(server.respond(&rows(1, true)), Err(Misuse::UnknownRequest(1)));
}

/// Found by the simulation: a frame that was dropped by a cancel left those behind it waiting for ever.
#[test]
fn whoever_is_crowded_out_goes_on_when_the_frame_in_the_way_is_written_or_dropped() {
    type Step = fn(&mut Connection<Server>, &mut Peer);
    let steps: [Step; 3] = [
        |server, peer| assert_eq!(types(server, peer).len(), 1),
        |server, peer| server.handle_bytes(Time::ZERO, &peer.frame(&Message::Cancel(Cancel { id: 1 }))),
        |server, _| server.fail(1, &RefusalText::new(ErrorCode::Internal)).unwrap(),
    ];
    for step in steps {
        let (mut server, mut peer) = welcomed(ServerConfig { staged_bytes: 1, ..ServerConfig::default() });
        for message in [query(1, CREDIT), subscribe(2, CREDIT)] {
            server.handle_bytes(Time::ZERO, &peer.frame(&message));
            assert!(matches!(server.poll_event(), Some(ServerEvent::Request { .. })));
        }
        assert_eq!(server.respond(&rows(1, false)), Ok(Delivery::Taken));
        assert_eq!(server.deliver(&event(2, EventKind::CaughtUp)), Ok(Delivery::Busy));
        assert!(server.poll_event().is_none());
        step(&mut server, &mut peer);
        let events: Vec<_> = std::iter::from_fn(|| server.poll_event()).collect();
        let woken = |event: &ServerEvent| matches!(event, ServerEvent::Writable { id: 2 });
        assert!(events.iter().any(woken), "{events:?}");
        assert_eq!(server.deliver(&event(2, EventKind::CaughtUp)), Ok(Delivery::Taken));
    }
}

#[test]
fn the_order_is_control_outcomes_events_results() {
    let (mut server, mut peer) = running(CREDIT);
    let body = crate::proto::harness::body(1, 0);
    let operation = crate::wire::message::Operation {
        number: 1,
        ack_level: crate::wire::message::AckLevel::Durable,
        groups: body.groups(),
    };
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Operation(operation)));
    assert_eq!(server.respond(&rows(1, true)), Ok(Delivery::Taken));
    assert_eq!(server.deliver(&event(2, EventKind::CaughtUp)), Ok(Delivery::Taken));
    let refusal = Some(RefusalText::new(ErrorCode::NotFound));
    let verdict = crate::proto::Verdict { position: Position::default(), unchanged: 0, refusal };
    server.decided(1, &verdict).unwrap();
    server.durable(1).unwrap();
    server.handle_bytes(Time::ZERO, &peer.frame(&Message::Ping(crate::wire::message::Ping { nonce: 1 })));
    let expected = [
        MessageType::Pong,
        MessageType::Error,
        MessageType::Ack,
        MessageType::Event,
        MessageType::QueryResponse,
    ];
    assert_eq!(types(&mut server, &mut peer), expected);
}

#[test]
fn no_class_starves_behind_one_that_always_waits() {
    let plenty = CreditLimit { frames: 1_000, bytes: 1 << 20 };
    let (mut server, mut peer) = running(plenty);
    assert_eq!(server.respond(&rows(1, true)), Ok(Delivery::Taken));
    let mut order = Vec::new();
    // One frame a batch: the next event is always there before the writer comes again.
    for _ in 0..10 {
        assert_eq!(server.deliver(&event(2, EventKind::Heartbeat)), Ok(Delivery::Taken));
        let (core, role) = server.server_role();
        let mut out = Vec::new();
        assert!(crate::proto::connection::Role::write_data(role, core, &mut out));
        order.extend(peer.read(&out).into_iter().map(|(found, _)| found));
        if order.contains(&MessageType::QueryResponse) {
            break;
        }
    }
    assert_eq!(order.len(), usize::try_from(crate::proto::limits::FAIR_TURN).unwrap(), "{order:?}");
}

#[test]
fn short_answers_overtake_what_has_become_bulk() {
    let plenty = CreditLimit { frames: 1_000, bytes: 1 << 30 };
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    for id in [1, 2] {
        server.handle_bytes(Time::ZERO, &peer.frame(&query(id, plenty)));
        assert!(server.poll_event().is_some());
    }
    let bytes = vec![0; 50_000];
    let mut large = crate::wire::message::RowsBuilder::new();
    let record = crate::wire::FramedRecord::new(&bytes).unwrap();
    large.push(crate::wire::message::Row { seq: 0, record }).unwrap();
    let large = QueryResponse { rows: large.rows(), ..rows(1, false) };
    let mut overtaken = Vec::new();
    for _ in 0..8 {
        assert_eq!(server.respond(&large), Ok(Delivery::Taken));
        assert_eq!(server.respond(&rows(2, false)), Ok(Delivery::Taken));
        let read = written(&mut server, &mut peer, Time::ZERO);
        let first = u64::from_be_bytes(*read[0].1.first_chunk().unwrap());
        overtaken.push(first == 2);
    }
    // 256 KiB are passed with the sixth frame of 50,000 bytes.
    assert_eq!(overtaken, [false, false, false, false, false, false, true, true]);
}

#[test]
fn misuse_is_told_to_the_caller_and_changes_nothing() {
    let (mut server, mut peer) = running(CREDIT);
    assert_eq!(server.respond(&rows(2, true)), Err(Misuse::WrongKind(2)));
    assert_eq!(server.deliver(&event(7, EventKind::Waiting)), Err(Misuse::UnknownRequest(7)));
    assert_eq!(server.finish(1, Position::default()), Err(Misuse::UnknownRequest(1)), "not cancelled");
    assert_eq!(server.durable(1), Err(Misuse::OutOfOrder { expected: 0, found: 1 }));
    server.fail(1, &RefusalText::new(ErrorCode::UnknownCollection)).unwrap();
    assert_eq!(server.fail(1, &RefusalText::new(ErrorCode::Internal)), Err(Misuse::UnknownRequest(1)));
    assert_eq!(types(&mut server, &mut peer), [MessageType::Error]);
    assert!(server.is_open());
}

#[test]
fn a_reset_ends_a_subscription() {
    let (mut server, mut peer) = running(CREDIT);
    let reset = EventKind::Reset { code: 300, oldest: Position::default() };
    assert_eq!(server.deliver(&event(2, reset)), Ok(Delivery::Taken));
    assert_eq!(types(&mut server, &mut peer), [MessageType::Event]);
    assert_eq!(server.deliver(&event(2, EventKind::Heartbeat)), Err(Misuse::UnknownRequest(2)));
}

#[test]
fn a_client_drops_what_comes_for_a_cancelled_request_until_its_end() {
    for (ends_by_rows, last) in [(true, true), (false, false)] {
        let (mut client, mut peer) = greeted(Outbox::default());
        let id = client.query(QueryKind::Stats { collection: None }, None, CREDIT).unwrap();
        written(&mut client, &mut peer, Time::ZERO);
        client.cancel(id).unwrap();
        client.cancel(id).unwrap();
        assert_eq!(written(&mut client, &mut peer, Time::ZERO).len(), 1, "one Cancel");
        client.handle_bytes(Time::ZERO, &peer.frame(&Message::QueryResponse(rows(id, last))));
        if !ends_by_rows {
            assert!(client.poll_event().is_none());
            let subject = crate::wire::Subject::Request(id);
            let detail = crate::wire::EncodedDict::NONE;
            let code = ErrorCode::Cancelled.number();
            let error = crate::wire::message::Error { subject, code, message: "", detail };
            client.handle_bytes(Time::ZERO, &peer.frame(&Message::Error(error)));
        }
        assert!(matches!(client.poll_event(), Some(ClientEvent::Cancelled { id: told }) if told == id));
        assert_eq!(client.cancel(id), Err(Misuse::UnknownRequest(id)));
        assert!(client.is_open() && client.open_requests() == 0);
    }
}

#[test]
fn a_request_that_was_not_written_is_cancelled_at_home() {
    let (mut client, mut peer) = greeted(Outbox::default());
    let id = client.query(QueryKind::Stats { collection: None }, None, CREDIT).unwrap();
    client.cancel(id).unwrap();
    assert_eq!(written(&mut client, &mut peer, Time::ZERO), []);
    assert!(matches!(client.poll_event(), Some(ClientEvent::Cancelled { .. })));
}

#[test]
fn a_client_keeps_within_the_servers_limit_of_requests() {
    let (mut client, mut peer) = greeted(Outbox::default());
    let ask = |client: &mut Connection<_>| client.query(QueryKind::Stats { collection: None }, None, CREDIT);
    for _ in 0..256 {
        ask(&mut client).unwrap();
    }
    assert_eq!(ask(&mut client), Err(RequestError::TooMany(256)));
    written(&mut client, &mut peer, Time::ZERO);
    client.handle_bytes(Time::ZERO, &peer.frame(&Message::QueryResponse(rows(1, true))));
    assert_eq!(ask(&mut client), Err(RequestError::TooMany(256)), "its end is not told yet");
    assert!(matches!(
        client.poll_event(),
        Some(ClientEvent::Answer { kind: RequestKind::Query, last: true, .. })
    ));
    assert_eq!(ask(&mut client), Ok(257));
}
