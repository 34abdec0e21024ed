//! The deadlocks that the design must not have.

use std::time::Duration;

use super::sessions::{WINDOW, at, check, sorted, submits};
use crate::proto::harness::{Fate, Line, Setup, Step, World};
use crate::wire::CreditLimit;
use crate::wire::limits::MAX_PAYLOAD_BYTES;
use crate::wire::message::AckLevel;

const NARROW: Line = Line {
    latency: Duration::from_micros(100),
    jitter: Duration::ZERO,
    per_byte: Duration::from_nanos(10),
    capacity: 64,
    piece: 64,
};

#[test]
fn an_unread_event_stream_blocks_neither_queries_nor_operations() {
    let mut plan = submits(300, 1, 100);
    plan.push((at(40), Step::Subscribe { window: WINDOW, reads: false }));
    for n in 0..20 {
        plan.push((at(100 + n * 10), Step::Query { frames: 10, large: true, window: WINDOW }));
    }
    let world = check(World::new(Setup::new(10, sorted(plan))), 10_000);
    let unread = &world.app.asked[&1];
    assert_eq!((unread.fate.clone(), unread.frames), (Fate::Open, 0));
    assert_eq!(unread.tags.len() as u64, WINDOW.frames, "it stands at its credit, parked as a position");
    assert!(world.engine.parked > 0);
}

#[test]
fn both_pipes_full_while_both_want_to_write() {
    let mut plan = submits(40, 1, 100_000);
    for n in 0..8 {
        let window = CreditLimit { frames: 64, bytes: 8 << 20 };
        plan.push((at(10 + n), Step::Query { frames: 30, large: true, window }));
    }
    let mut setup = Setup::new(11, sorted(plan));
    setup.line = NARROW;
    let mut world = World::new(setup);
    world.run_until(at(20), |_| false);
    (world.up.paused, world.down.paused) = (true, true);
    world.run_until(at(3_000), |_| false);
    assert!(!world.up.is_empty() && !world.down.is_empty(), "both are full");
    world.now = at(3_000);
    (world.up.paused, world.down.paused) = (false, false);
    check(world, 60_000);
}

#[test]
fn a_request_without_credit_waits_and_harms_nobody() {
    let mut plan = submits(20, 5, 100);
    plan.push((at(40), Step::Query { frames: 3, large: false, window: CreditLimit::NONE }));
    plan.push((at(50), Step::Query { frames: 3, large: false, window: WINDOW }));
    let mut world = check(World::new(Setup::new(12, sorted(plan))), 5_000);
    let fate = |world: &World, id: u64| world.app.asked[&id].fate.clone();
    assert_eq!((fate(&world, 1), fate(&world, 2)), (Fate::Open, Fate::Complete));
    world.client.grant(1, WINDOW).unwrap();
    assert!(world.run_until(at(9_000), |world| fate(world, 1) == Fate::Complete));
}

#[test]
fn the_smallest_windows_move_the_largest_frames() {
    let one = CreditLimit { frames: 1, bytes: 1 };
    let mut plan = Vec::new();
    for n in 0..6 {
        let level = AckLevel::Durable;
        plan.push((at(n), Step::Submit { level, bytes: MAX_PAYLOAD_BYTES - 200 }));
        plan.push((at(40 + n), Step::Query { frames: 5, large: true, window: one }));
    }
    let mut setup = Setup::new(13, sorted(plan));
    (setup.client.compression, setup.server.work, setup.server.staged_bytes) = (false, one, 1);
    (setup.server.operation_window, setup.server.request_limit) = (1, 1);
    let world = check(World::new(setup), 300_000);
    assert_eq!(world.app.outcomes.len(), 6);
    assert!(world.bytes_up > 6 * 2_000_000, "{} bytes", world.bytes_up);
}

#[test]
fn bulk_does_not_starve_and_does_not_delay_short_answers() {
    let large = CreditLimit { frames: 1_000, bytes: 1 << 30 };
    let mut plan = vec![(at(40), Step::Query { frames: 200, large: true, window: large })];
    plan.push((at(400), Step::Query { frames: 2, large: false, window: WINDOW }));
    let mut setup = Setup::new(14, plan);
    setup.client.compression = false;
    let mut world = World::new(setup);
    let fate = |world: &World, id: u64| world.app.asked.get(&id).map(|asked| asked.fate.clone());
    assert!(
        world.run_until(at(600), |world| fate(world, 2) == Some(Fate::Complete)),
        "short: 200 ms at most"
    );
    assert_eq!(fate(&world, 1), Some(Fate::Open), "8 MB take 800 ms");
    check(world, 5_000);
}
