//! Deadlines: slow handshakes, silence, stalled writers.

use std::time::Duration;

use super::peer::{Peer, error_code, hello, welcomed, written};
use super::sessions::{at, submits};
use crate::proto::harness::{Setup, World};
use crate::proto::{CloseReason, Connection, Deadline, ServerConfig, Time};
use crate::wire::Message;
use crate::wire::message::Ping;

#[test]
fn a_handshake_of_one_byte_a_second_ends_after_five() {
    let mut server = Connection::server(Time::ZERO, ServerConfig::default());
    let bytes = Peer::default().frame(&hello());
    for (second, byte) in bytes.iter().enumerate() {
        let now = at(second as u64 * 1_000);
        if server.poll_timeout().is_some_and(|time| time <= now) {
            server.handle_timeout(now);
            break;
        }
        server.handle_bytes(now, &[*byte]);
        assert_eq!(server.poll_timeout(), Some(at(5_000)));
    }
    assert_eq!(server.close_reason(), Some(&CloseReason::TimedOut(Deadline::Handshake)));
    let read = written(&mut server, &mut Peer::default(), at(5_000));
    assert_eq!(error_code(&read[0].1).as_deref(), Some("handshake_timeout"));
}

#[test]
fn a_hello_that_nobody_answers_ends_after_five_seconds_too() {
    let mut server = Connection::server(Time::ZERO, ServerConfig::default());
    server.handle_bytes(at(1), &Peer::default().frame(&hello()));
    server.handle_timeout(at(4_999));
    assert!(!server.is_closed());
    server.handle_timeout(at(5_000));
    assert!(server.is_closed());
}

#[test]
fn a_half_open_connection_is_found_by_both_ends_in_two_and_a_half_heartbeats() {
    let mut world = World::new(Setup::new(1, submits(3, 1, 0)));
    assert!(world.run_to_the_end(at(1_000)));
    let quiet_since = world.now;
    (world.up.paused, world.down.paused) = (true, true);
    world.run_until(at(200_000), |world| world.client.is_closed() && world.server.is_closed());
    let silence = Some(&CloseReason::TimedOut(Deadline::Silence));
    assert_eq!((world.client.close_reason(), world.server.close_reason()), (silence, silence));
    let passed = world.now.since(quiet_since);
    assert!(passed <= Duration::from_millis(37_600), "{passed:?}");
    assert!(passed >= Duration::from_millis(37_000), "{passed:?}");
}

#[test]
fn an_idle_connection_lives_by_its_heartbeats() {
    let mut world = World::new(Setup::new(2, submits(3, 1, 0)));
    world.run_until(at(3_600_000), |_| false);
    assert!(world.client.is_open() && world.server.is_open());
    assert!(world.now >= at(3_580_000));
}

#[test]
fn dribbled_bytes_are_no_life() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let bytes = peer.frame(&Message::Ping(Ping { nonce: 1 }));
    for (second, byte) in bytes.iter().cycle().take(60).enumerate() {
        let now = at(second as u64 * 1_000);
        server.handle_timeout(now);
        if second < 20 {
            server.handle_bytes(now, &[*byte]);
        }
    }
    assert_eq!(server.close_reason(), Some(&CloseReason::TimedOut(Deadline::Silence)));
}

#[test]
fn a_peer_that_does_not_read_is_given_up_after_ten_seconds_without_progress() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    let ping = |server: &mut Connection<_>, peer: &mut Peer, now| {
        server.handle_bytes(now, &peer.frame(&Message::Ping(Ping { nonce: 1 })));
    };
    ping(&mut server, &mut peer, at(0));
    let mut out = Vec::new();
    assert!(server.poll_transmit(at(0), &mut out) > 0);
    // The transport takes a byte now and then: slow is not stalled.
    for second in 1..=4 {
        ping(&mut server, &mut peer, at(second * 9_000));
        server.handle_written(at(second * 9_000));
        server.handle_timeout(at(second * 9_000));
        assert!(!server.is_closed());
    }
    ping(&mut server, &mut peer, at(45_000));
    server.handle_timeout(at(45_999));
    assert!(!server.is_closed());
    server.handle_timeout(at(46_000));
    assert_eq!(server.close_reason(), Some(&CloseReason::TimedOut(Deadline::Stall)));
    assert!(server.is_finished(), "there is no use in writing an Error");
    assert_eq!(server.poll_transmit(Time::ZERO, &mut out), 0);
}

#[test]
fn last_words_to_a_peer_that_does_not_read_are_given_up() {
    let (mut server, mut peer) = welcomed(ServerConfig::default());
    server.handle_bytes(at(0), &peer.frame(&Message::Ping(Ping { nonce: 1 })));
    assert!(server.poll_transmit(at(0), &mut Vec::new()) > 0);
    server.handle_bytes(at(1), b"not a frame");
    assert!(server.is_closed() && !server.is_finished(), "the Error waits behind the Pong");
    assert_eq!(server.poll_timeout(), Some(at(10_000)));
    server.handle_timeout(at(10_000));
    assert!(server.is_finished() && server.poll_timeout().is_none());
}
