//! Whole sessions in virtual time.

use std::time::Duration;

use crate::proto::harness::{Fate, Setup, Step, World};
use crate::proto::{CloseReason, Time};
use crate::wire::CreditLimit;
use crate::wire::message::AckLevel;

pub(super) const WINDOW: CreditLimit = CreditLimit { frames: 8, bytes: 64 << 10 };

pub(super) fn at(ms: u64) -> Time {
    Time::ZERO.after(Duration::from_millis(ms))
}

pub(super) fn submits(count: u64, every_ms: u64, bytes: usize) -> Vec<(Time, Step)> {
    (0..count).map(|n| (at(n * every_ms), Step::Submit { level: AckLevel::Durable, bytes })).collect()
}

pub(super) fn sorted(mut plan: Vec<(Time, Step)>) -> Vec<(Time, Step)> {
    plan.sort_by_key(|(time, _)| *time);
    plan
}

#[track_caller]
pub(super) fn check(mut world: World, limit_ms: u64) -> World {
    let ended = world.run_to_the_end(at(limit_ms));
    let failures = world.verdict();
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(ended, "not done by {:?}: {:?}", world.now, world.app);
    world
}

#[test]
fn operations_queries_and_a_subscription_share_a_connection() {
    let mut plan = submits(200, 1, 100);
    for n in 0..10 {
        plan.push((at(30 + n * 10), Step::Query { frames: 1 + n * 3, large: n % 3 == 0, window: WINDOW }));
    }
    plan.push((at(50), Step::Subscribe { window: WINDOW, reads: true }));
    plan.push((at(60), Step::Ping));
    plan.push((at(1_000), Step::Close));
    let mut world = check(World::new(Setup::new(1, sorted(plan))), 3_000);
    assert!(world.run_until(at(5_000), |world| world.client.is_finished() && world.server.is_finished()));
    assert_eq!(world.app.outcomes.len(), 200);
    assert_eq!(world.app.echoes, 1);
    let ended = CloseReason::Goodbye { by_peer: false, code: 0, retry_after_ms: 0 };
    assert_eq!(world.app.closed, [ended]);
    let fates: Vec<_> = world.app.all_asked().map(|asked| asked.fate.clone()).collect();
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::Complete).count(), 10);
}

#[test]
fn both_ack_levels_are_told_in_order() {
    let level = |n: u64| if n.is_multiple_of(3) { AckLevel::Accepted } else { AckLevel::Durable };
    let plan = (0..300).map(|n| (at(n / 4), Step::Submit { level: level(n), bytes: 0 })).collect();
    let mut setup = Setup::new(2, plan);
    setup.rules.sync = Duration::from_millis(40);
    let world = check(World::new(setup), 5_000);
    let first_accepted = world.app.outcomes.iter().position(|(number, _)| *number == 1);
    let first_durable = world.app.outcomes.iter().position(|(number, _)| *number == 2);
    assert!(first_accepted < first_durable, "an accepted Ack does not wait for the sync");
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_another() {
    let run = |seed| {
        let mut plan = submits(100, 2, 500);
        plan.push((at(20), Step::Query { frames: 9, large: true, window: WINDOW }));
        check(World::new(Setup::new(seed, sorted(plan))), 5_000).trace
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn frames_cross_the_wrap_of_sequences_in_both_directions() {
    let mut setup = Setup::new(3, submits(20, 1, 0));
    (setup.client.first_sequence, setup.server.first_sequence) = ((1 << 24) - 3, (1 << 24) - 1);
    let world = check(World::new(setup), 5_000);
    assert_eq!(world.app.outcomes.len(), 20);
}

#[test]
fn compression_is_negotiated_and_changes_nothing_but_the_bytes() {
    let run = |client: bool, server: bool| {
        let mut setup = Setup::new(4, submits(20, 5, 20_000));
        (setup.client.compression, setup.server.compression) = (client, server);
        check(World::new(setup), 5_000).bytes_up
    };
    let plain = run(false, true);
    assert_eq!(
        plain,
        run(true, false) - 6,
        "the offer is six bytes: a tag, a length and its name less an empty array"
    );
    assert!(run(true, true) < plain / 4, "the ballast repeats every 256 bytes");
}

#[test]
fn a_subscription_sees_every_durable_effect_once_and_in_order() {
    let mut plan = submits(150, 3, 10);
    plan.push((at(40), Step::Subscribe { window: CreditLimit { frames: 2, bytes: 1 }, reads: true }));
    let mut world = World::new(Setup::new(5, sorted(plan)));
    assert!(world.run_to_the_end(at(10_000)));
    let effects = world.engine.effects.len();
    let caught_up =
        world.run_until(at(20_000), |world| world.app.asked[&1].tags.len() == world.engine.effects.len());
    assert!(caught_up, "{} of {effects}", world.app.asked[&1].tags.len());
    assert!(world.engine.parked > 10, "the window is small: it must have been parked");
    assert_eq!(world.verdict(), Vec::<String>::new());
}
