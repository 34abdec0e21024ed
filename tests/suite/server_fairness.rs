//! One client that keeps every rule asks for as much work as it may; the others are served all the same, and it holds no
//! more than its share.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::ops::Bound;
use std::time::{Duration, Instant};

use blazedb::wire::message::{Mode, QueryKind, Start};
use blazedb::wire::{CollectionName, CreditLimit, Position};
use uuid::Uuid;

use super::server_crowds::resident_kib;
use super::server_kit::{Act, Caller, PATIENCE, Process, body, record};

/// More than anybody waits whose server gives turns, by a hundred times; a server that does not keeps everybody waiting
/// for many times as long.
const LONG: Duration = Duration::from_secs(2);
/// Requests of one connection at once, by default.
const REQUESTS: usize = 256;

fn collection(name: &str) -> CollectionName<'_> {
    CollectionName::new(name).unwrap()
}

/// Everything in a collection, for whom rows are.
fn scan(name: &str) -> QueryKind<'_> {
    let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
    QueryKind::Scan { collection: collection(name), reverse: false, limit: 0, lower, upper }
}

/// Puts so many records into a collection by operations of `each`, and removes them again if they are to be `gone`.
fn fill(caller: &mut Caller, name: &str, count: u128, each: u128, gone: bool) {
    let passes: &[fn(Uuid) -> Act] = if gone { &[put, Act::Delete] } else { &[put] };
    for act in passes {
        for first in (0..count).step_by(each as usize) {
            let acts: Vec<Act> = (first..first + each).map(|n| act(Uuid::from_u128(n))).collect();
            caller.run(&body(name, &acts)).unwrap();
        }
    }
}

fn put(id: Uuid) -> Act {
    Act::Upsert(record(id, &[]))
}

/// Writes, and reads again and again for a while, as one who was there and as one who comes. A log in memory grows by each
/// write, so that there is but one.
fn is_served(honest: &mut Caller, server: &Process) {
    let start = Instant::now();
    assert!(honest.is_well());
    let mut asked = start;
    while start.elapsed() < Duration::from_secs(3) {
        assert!(asked.elapsed() < LONG, "{:?} after {:?}", asked.elapsed(), start.elapsed());
        asked = Instant::now();
        assert_eq!(honest.scan("wellbeing").len(), 1);
        assert_eq!(Caller::new(server.address).scan("wellbeing").len(), 1);
    }
}

/// Each of the scans looks at 160,000 deletions and finds nothing; all of them take a minute of work, on more threads than
/// there are cores.
#[test]
fn scans_over_what_is_deleted_hold_nobody_up() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    fill(&mut honest, "gone", 160_000, 20_000, true);
    let mut greedy: Vec<Caller> = (0..8).map(|_| Caller::new(server.address)).collect();
    for caller in &mut greedy {
        for _ in 0..REQUESTS / 2 {
            caller.connection.query(scan("gone"), None, CreditLimit { frames: 4, bytes: 1 << 20 }).unwrap();
        }
        caller.flush().unwrap();
    }
    is_served(&mut honest, &server);
    assert_eq!(honest.scan("gone").len(), 0);
    // A server that is asked to stop while there is work for minutes does.
    server.signal("TERM");
    drop(greedy);
    assert!(server.wait_within(PATIENCE).success());
}

/// Each of the subscriptions reads transactions of 40,000 effects of another collection from the log.
#[test]
fn subscriptions_over_large_transactions_hold_nobody_up() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    honest.run(&body("quiet", &[put(Uuid::from_u128(1))])).unwrap();
    fill(&mut honest, "busy", 320_000, 40_000, false);
    let before = resident_kib(&server);
    let mut greedy = Caller::new(server.address);
    for _ in 0..REQUESTS {
        let start = Start::After(Position { epoch: 1, partition: 0, seq: 1 });
        let credit = CreditLimit { frames: 4, bytes: 1 << 20 };
        greedy.connection.subscribe(collection("quiet"), Mode::All, start, credit).unwrap();
    }
    greedy.flush().unwrap();
    is_served(&mut honest, &server);
    // L-1.4: 32 MiB over all subscriptions; twice that for what is read at the moment and for the allocator.
    let grown = resident_kib(&server).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB");
}

/// Statistics of 5,000 collections for each of 256 queries that give no credit: nobody takes them, so nobody makes them.
#[test]
fn answers_that_nobody_takes_hold_nothing() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    for number in 0..5_000_u128 {
        honest.submit(&body(&format!("c{number}"), &[put(Uuid::from_u128(number))]));
        honest.flush().unwrap();
        if number % 100 == 99 {
            (0..100).for_each(|_| assert!(honest.outcome().unwrap().result.is_ok()));
        }
    }
    let before = resident_kib(&server);
    let mut greedy = Caller::new(server.address);
    for _ in 0..REQUESTS - 1 {
        let credit = CreditLimit { frames: 0, bytes: 0 };
        greedy.connection.query(QueryKind::Stats { collection: None }, None, credit).unwrap();
    }
    greedy.flush().unwrap();
    // It is answered behind the others.
    let (_, rows) = greedy.ask(QueryKind::Stats { collection: None }).unwrap();
    assert_eq!(rows.len(), 5_000);
    is_served(&mut honest, &server);
    let grown = resident_kib(&server).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB");
}
