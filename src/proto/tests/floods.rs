//! Floods of tiny frames: what defeated byte windows elsewhere stays within the stated memory here, and ends in
//! a typed error or in waiting.

use super::peer::{Peer, error_code, greeted, welcomed, written};
use super::sessions::at;
use crate::proto::limits::{CANCEL_BURST, CONTROL_BURST};
use crate::proto::{CloseReason, Connection, Outbox, Server, ServerConfig, ServerEvent, Time, Violation};
use crate::wire::message::{
    Ack, AckLevel, Cancel, Credit, CreditScope, Mode, Ping, Start, Subscribe, Unsubscribe,
};
use crate::wire::{CreditLimit, Flags, Lane, Message, MessageType, Position};

const MANY: u64 = 100_000;

/// Sends frames of `make` until the connection ends or `MANY` are sent, reading nothing; the server's memory
/// stays within its bound at every step. How many were sent.
fn flood(
    server: &mut Connection<Server>,
    peer: &mut Peer,
    mut make: impl FnMut(&mut Peer, u64) -> Vec<u8>,
) -> u64 {
    let bound = ServerConfig::default().memory_bound();
    for n in 1..=MANY {
        server.handle_bytes(Time::ZERO, &make(peer, n));
        assert!(server.memory() <= bound, "{} at frame {n}", server.memory());
        if server.is_closed() {
            return n;
        }
    }
    MANY
}

fn violation(server: &Connection<Server>) -> Violation {
    match server.close_reason() {
        Some(CloseReason::PeerMisbehaved(violation)) => violation.clone(),
        other => panic!("{other:?}"),
    }
}

fn subscribe(id: u64) -> Message<'static> {
    let credit = CreditLimit { frames: 4, bytes: 4_096 };
    let collection = crate::proto::harness::collection();
    Message::Subscribe(Subscribe { id, credit, mode: Mode::All, start: Start::Now, collection })
}

#[test]
fn tiny_operations_end_at_the_frames_of_the_window() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let sent = flood(&mut server, &mut peer, |peer, n| {
        peer.raw(2, Flags::REQUIRES_ACK, &[&n.to_be_bytes()[..], &[1]].concat())
    });
    assert_eq!(sent, 1_025, "one more than the window");
    assert_eq!(violation(&server).code().name(), "credit_exceeded");
    let mut small = ServerConfig::default();
    small.work.frames = 4_096;
    let (mut server, mut peer) = welcomed(small);
    let sent = flood(&mut server, &mut peer, |peer, n| {
        peer.raw(2, Flags::REQUIRES_ACK, &[&n.to_be_bytes()[..], &[1]].concat())
    });
    assert_eq!((sent, violation(&server).code().name()), (1_025, "operation_window_exceeded"));
}

#[test]
fn empty_frames_end_at_once() {
    for message_type in 0..=0x20 {
        let (mut server, mut peer) = welcomed(ServerConfig::default());
        let flags = if message_type == 2 { Flags::REQUIRES_ACK } else { Flags::NONE };
        let sent = flood(&mut server, &mut peer, |peer, _| peer.raw(message_type, flags, &[]));
        let passed_over = !(1..=0x17).contains(&message_type) || (9..=0x0F).contains(&message_type);
        match message_type {
            // Within the lane's credit, which returns at once: each costs a frame and holds nothing.
            0x06 => assert_eq!(sent, 17, "the lane's credit was not read"),
            0x14 => assert_eq!(sent, CONTROL_BURST + 1),
            _ if passed_over => assert_eq!(sent, CONTROL_BURST + 1, "{message_type:#x}"),
            _ => assert_eq!(sent, 1, "{message_type:#x}"),
        }
    }
}

#[test]
fn pings_and_credits_end_at_the_control_budget_and_hold_one_answer() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let sent = flood(&mut server, &mut peer, |peer, nonce| peer.frame(&Message::Ping(Ping { nonce })));
    assert_eq!((sent, violation(&server)), (CONTROL_BURST + 1, Violation::ControlFlood));
    assert_eq!(written(&mut server, &mut peer, Time::ZERO).len(), 1, "the Error alone");

    let (mut server, mut peer) = welcomed(ServerConfig::default());
    server.handle_bytes(Time::ZERO, &peer.frame(&subscribe(1)));
    let sent = flood(&mut server, &mut peer, |peer, n| {
        let limit = CreditLimit { frames: 4 + n, bytes: 4_096 };
        peer.frame(&Message::Credit(Credit { scope: CreditScope::Request(1), limit }))
    });
    assert_eq!((sent, violation(&server)), (CONTROL_BURST + 1, Violation::ControlFlood));
}

#[test]
fn a_steady_control_rate_is_no_flood() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let mut answers = 0;
    for n in 0..30_000u64 {
        let now = at(n * 5);
        server.handle_bytes(now, &peer.frame(&Message::Ping(Ping { nonce: n })));
        answers += written(&mut server, &mut peer, now).len();
    }
    assert!(server.is_open());
    assert_eq!(answers, 30_000, "one Pong each");
}

#[test]
fn an_honest_session_earns_the_control_that_it_needs() {
    let plan = super::sessions::submits(12_000, 0, 0);
    let mut setup = crate::proto::harness::Setup::new(1, plan);
    // Every operation alone: a Credit and an Ack for each, 24,000 in about a second.
    setup.server.work.frames = 1;
    setup.line.latency = std::time::Duration::from_micros(5);
    setup.line.jitter = std::time::Duration::ZERO;
    setup.rules.decide = std::time::Duration::from_micros(1);
    setup.rules.sync = std::time::Duration::ZERO;
    let mut world = crate::proto::harness::World::new(setup);
    assert!(world.run_to_the_end(at(20_000)), "{:?}", world.client.close_reason());
    assert_eq!(world.verdict(), Vec::<String>::new());
    assert!(
        world.monitor.control_down > CONTROL_BURST + 200 * 20,
        "{} control frames",
        world.monitor.control_down
    );
}

#[test]
fn acks_end_at_the_control_budget() {
    let (mut client, mut peer) = greeted(Outbox::default());
    client.submit(AckLevel::Durable, crate::proto::harness::body(1, 0).groups()).unwrap();
    written(&mut client, &mut peer, Time::ZERO);
    let (lane, level, position) = (Lane::Work, AckLevel::Durable, Position::default());
    let ack = Message::Ack(Ack { lane, level, number: 1, unchanged: 0, position });
    let mut sent = 0;
    while !client.is_closed() {
        client.handle_bytes(Time::ZERO, &peer.frame(&ack));
        sent += 1;
        assert!(sent <= 1_000_000);
    }
    assert_eq!(sent, CONTROL_BURST + 1);
    assert!(client.memory() < 1_000);
}

/// Subscribes and cancels in a loop; the engine stops what was cancelled at once if `stops`.
fn churn(stops: bool) -> (u64, u64, Connection<Server>) {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let (mut begun, mut refused) = (0, 0);
    for id in 1..=2_000 {
        let mut bytes = peer.frame(&subscribe(id));
        bytes.extend(peer.frame(&Message::Unsubscribe(Unsubscribe { id })));
        server.handle_bytes(Time::ZERO, &bytes);
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Request { cost, .. } => {
                    begun += 1;
                    server.admit(cost);
                }
                ServerEvent::Cancelled { id } if stops => server.finish(id, Position::default()).unwrap(),
                ServerEvent::Cancelled { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        let read = written(&mut server, &mut peer, Time::ZERO);
        refused += read.iter().filter(|(_, payload)| error_code(payload).is_some()).count() as u64;
        assert!(server.running_requests() <= 256);
    }
    (begun, refused, server)
}

#[test]
fn subscribe_and_cancel_in_a_loop_meets_the_limits() {
    let (begun, refused, server) = churn(false);
    assert_eq!((begun, refused), (256, 2_000 - 256), "charged until finished");
    assert!(server.is_open());
    let (begun, refused, server) = churn(true);
    assert_eq!((begun, refused), (CANCEL_BURST, 2_000 - CANCEL_BURST), "cancelled too often");
    assert!(server.is_open() && server.running_requests() == 0);
}

#[test]
fn refusals_that_nobody_reads_hold_the_credit_of_their_requests() {
    let mut config = ServerConfig::default();
    (config.request_limit, config.work.frames) = (1, 64);
    let (mut server, mut peer) = welcomed(config);
    let sent = flood(&mut server, &mut peer, |peer, id| peer.frame(&subscribe(id)));
    assert_eq!(sent, 65, "no credit returns while the replies wait");
    assert_eq!(violation(&server).code().name(), "credit_exceeded");
}

#[test]
fn cancels_of_nothing_are_control() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let sent = flood(&mut server, &mut peer, |peer, id| peer.frame(&Message::Cancel(Cancel { id })));
    assert_eq!((sent, violation(&server)), (CONTROL_BURST + 1, Violation::ControlFlood));
}

#[test]
fn what_is_passed_over_leaves_one_notice() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    for _ in 0..1_000 {
        server.handle_bytes(Time::ZERO, &peer.raw(0x1F, Flags::NONE, &[0; 100]));
    }
    let read = written(&mut server, &mut peer, Time::ZERO);
    assert_eq!(read.iter().map(|(found, _)| *found).collect::<Vec<_>>(), [MessageType::Error]);
}
