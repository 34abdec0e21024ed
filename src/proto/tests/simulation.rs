//! Seeded random schedules of everything at once, with cuts and crashes; then faults heal, and everything must
//! finish. And controls: what breaks a rule must be caught.

use std::time::Duration;

use super::sessions::{at, submits};
use crate::proto::harness::{Line, Rng, Rules, Setup, Step, World};
use crate::proto::{CloseReason, Parting, Time, Violation};
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
        capacity: rng.within(500, 70_000) as usize,
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

/// What goes wrong, or is done from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The transport breaks; the server's process too, if it crashes.
    Cut { crash: bool },
    /// Nobody reads at one end for a while, too short for a deadline: the pipe fills.
    Pause { up: bool, ms: u64 },
    /// The server says Goodbye; a new connection follows.
    Leave,
}

fn fault(rng: &mut Rng) -> Fault {
    match rng.below(6) {
        0..=1 => Fault::Cut { crash: false },
        2 => Fault::Cut { crash: true },
        3..=4 => Fault::Pause { up: rng.one_in(2), ms: rng.below(1_000) },
        _ => Fault::Leave,
    }
}

fn strike(world: &mut World, fault: Fault) {
    match fault {
        Fault::Cut { crash } => world.cut(crash),
        Fault::Pause { up, ms } => {
            let until = world.now.after(Duration::from_millis(ms));
            let pipe = |world: &mut World, paused| {
                let pipe = if up { &mut world.up } else { &mut world.down };
                pipe.paused = paused;
            };
            pipe(world, true);
            world.run_until(until, |_| false);
            world.now = world.now.max(until);
            pipe(world, false);
        }
        Fault::Leave => {
            let now = world.now;
            let _ = world.server.close(now, Parting::default());
            world.run_until(now.after(Duration::from_secs(30)), |world| world.server.is_finished());
            world.cut(false);
        }
    }
}

fn schedule(seed: u64) -> (World, Vec<(Time, Fault)>) {
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
        resize_one_in: rng.below(20),
        swap_at: None,
    };
    setup.client.compression = rng.one_in(2);
    (setup.client.first_sequence, setup.server.first_sequence) = ((1 << 24) - 9, (1 << 24) - 40);
    setup.server.work = CreditLimit { frames: rng.within(1, 40), bytes: rng.within(1, 100_000) };
    setup.server.operation_window = rng.within(1, 50) as u16;
    setup.server.request_limit = rng.within(1, 6) as u16;
    setup.server.staged_bytes = rng.within(1, 100_000) as usize;
    let faults = (0..rng.below(5)).map(|_| (at(rng.below(time + 300)), fault(&mut rng)));
    let mut faults: Vec<_> = faults.collect();
    faults.sort_by_key(|(time, _)| *time);
    let mut world = World::new(setup);
    world.app.consume_after = Duration::from_micros(rng.below(60_000));
    (world, faults)
}

/// Runs a schedule to its end; what the oracle has to say, and the trace.
fn run(seed: u64) -> (Vec<String>, u64) {
    let (mut world, faults) = schedule(seed);
    for (time, fault) in faults {
        world.run_until(time, |_| false);
        world.now = world.now.max(time);
        strike(&mut world, fault);
    }
    let limit = world.now.after(Duration::from_secs(600));
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
