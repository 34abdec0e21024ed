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
