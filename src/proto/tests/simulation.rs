//! Seeded random schedules of everything at once, with cuts and crashes; then faults heal, and everything must
//! finish. And controls: what breaks a rule must be caught.

use std::time::Duration;

use super::sessions::{at, submits};
use crate::proto::harness::{Line, Rng, Rules, Setup, Step, World};
use crate::proto::{CloseReason, Time, Violation};
use crate::wire::CreditLimit;
use crate::wire::message::AckLevel;

/// How many schedules run; built with `BLAZEDB_SCHEDULES` set, as many as it says.
fn schedules() -> u64 {
    option_env!("BLAZEDB_SCHEDULES").and_then(|count| count.parse().ok()).unwrap_or(400)
}

fn window(rng: &mut Rng) -> CreditLimit {
    CreditLimit { frames: rng.within(1, 12), bytes: rng.within(1, 60_000) }
}

fn line(rng: &mut Rng) -> Line {
    Line {
        latency: Duration::from_micros(rng.below(30_000)),
        jitter: Duration::from_micros(rng.below(20_000)),
        per_byte: Duration::from_nanos(rng.below(300)),
        capacity: rng.within(20, 70_000) as usize,
        piece: rng.within(1, 3_000) as usize,
    }
}

fn step(rng: &mut Rng) -> Step {
    let level = if rng.one_in(3) { AckLevel::Accepted } else { AckLevel::Durable };
    match rng.below(20) {
        0..=11 => Step::Submit { level, bytes: rng.below(600) as usize },
        12 => Step::Submit { level, bytes: rng.below(50_000) as usize },
        13..=15 => Step::Query { frames: rng.within(1, 15), large: rng.one_in(4), window: window(rng) },
        16 => Step::Subscribe { window: window(rng), reads: !rng.one_in(3) },
        17..=18 => Step::Cancel,
        _ => Step::Ping,
    }
}

fn schedule(seed: u64) -> (World, Vec<(Time, bool)>) {
    let mut rng = Rng::new(seed ^ 0x5EED);
    let mut time = 0;
    let steps = rng.within(10, 120);
    let plan = (0..steps).map(|_| {
        time += rng.below(25);
        (at(time), step(&mut rng))
    });
    let mut setup = Setup::new(seed, plan.collect());
    setup.line = line(&mut rng);
    setup.rules = Rules {
        decide: Duration::from_micros(rng.below(5_000)),
        sync: Duration::from_micros(rng.below(20_000)),
        refuse_every: rng.below(6),
        swap_at: None,
    };
    setup.client.compression = rng.one_in(2);
    (setup.client.first_sequence, setup.server.first_sequence) = ((1 << 24) - 9, (1 << 24) - 40);
    setup.server.work = CreditLimit { frames: rng.within(1, 40), bytes: rng.within(1, 100_000) };
    setup.server.operation_window = rng.within(1, 50) as u16;
    setup.server.request_limit = rng.within(1, 6) as u16;
    setup.server.staged_bytes = rng.within(1, 100_000) as usize;
    let faults = (0..rng.below(5)).map(|_| (at(rng.below(time + 300)), rng.one_in(3)));
    let mut faults: Vec<_> = faults.collect();
    faults.sort_unstable();
    let mut world = World::new(setup);
    world.app.consume_after = Duration::from_micros(rng.below(60_000));
    (world, faults)
}

/// Runs a schedule to its end; what the oracle has to say, and the trace.
fn run(seed: u64) -> (Vec<String>, u64) {
    let (mut world, faults) = schedule(seed);
    for (time, crash) in faults {
        world.run_until(time, |_| false);
        world.now = world.now.max(time);
        world.cut(crash);
    }
    let limit = world.now.after(Duration::from_secs(120));
    let ended = world.run_to_the_end(limit);
    let mut failures = world.verdict();
    if !ended {
        failures.push(format!("not done at {:?}: {:?}", world.now, world.app));
    }
    (failures, world.trace)
}

#[test]
fn schedules_keep_every_promise() {
    for seed in 0..schedules() {
        let (failures, _) = run(seed);
        assert!(failures.is_empty(), "seed {seed}: {failures:#?}");
    }
}

#[test]
fn a_schedule_is_a_function_of_its_seed() {
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
}

#[test]
fn control_two_swapped_verdicts_are_caught_by_the_oracle() {
    let mut setup = Setup::new(1, submits(20, 1, 0));
    setup.rules.swap_at = Some(6);
    let mut world = World::new(setup);
    assert!(world.run_to_the_end(at(5_000)));
    let failures = world.verdict();
    assert!(failures.iter().any(|failure| failure.contains("another's outcome")), "{failures:?}");
}

#[test]
fn control_a_dropped_piece_is_caught_by_the_connection() {
    let mut setup = Setup::new(2, submits(60, 1, 0));
    // Each operation is one piece of its own: what is dropped is whole frames.
    setup.line = Line { piece: 1 << 20, ..Line::USUAL };
    let mut world = World::new(setup);
    world.drop_piece = Some(10);
    world.run_until(at(2_000), |world| world.server.is_closed());
    let reason = world.server.close_reason();
    let gap = |reason| matches!(reason, CloseReason::PeerMisbehaved(Violation::SequenceGap { .. }));
    assert!(reason.cloned().is_some_and(gap), "{reason:?}");
    assert!(!world.verdict().is_empty());
}

#[test]
fn control_a_lost_outcome_is_caught_by_the_oracle() {
    let mut world = World::new(Setup::new(3, submits(20, 1, 0)));
    assert!(world.run_to_the_end(at(5_000)));
    let told = world.app.outcomes[4];
    world.app.outcomes.push(told);
    assert!(world.verdict().iter().any(|failure| failure.contains("told twice")));
}
