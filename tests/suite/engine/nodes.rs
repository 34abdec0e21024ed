//! Nodes that are forgotten, in virtual time, and numbers that are used up by what cannot be read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use blazedb::engine::{Database, EngineError, Environment, Id, Refusal, Verdict, new_node_id};
use blazedb::log::simfs::SimFs;
use blazedb::store::keyspace::Span;
use blazedb::store::{Direction, Memory, Store};
use blazedb::wire::ErrorCode;

use super::kit::{Checkpointed, Kind, Op, World, id, open, record, run};

const SEGMENT_BYTES: u32 = 4 << 20;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn put(number: u64) -> Vec<Op> {
    vec![Op { collection: "people", base: None, kind: Kind::Upsert(record(id(number), &[]), false) }]
}

/// Time passes, on the wall and off it.
fn pass(world: &World, milliseconds: u64) {
    let before = world.unix_ms();
    world.pass(Duration::from_millis(milliseconds));
    // The world's wall clock moves at a third of that by itself.
    let passed = world.unix_ms() - before;
    world.wall_offset.fetch_add(milliseconds - passed, Ordering::Relaxed);
}

/// A node whose client made its id now.
fn device(world: &World, tag: u8) -> Id {
    let mut id = new_node_id(world.unix_ms(), u128::from(tag)).into_bytes();
    id[6] = 0x70;
    id
}

/// A node that the server gives now.
fn guest(world: &World, tag: u8) -> Id {
    new_node_id(world.unix_ms(), u128::from(tag)).into_bytes()
}

/// Looks at all nodes; these are connected.
fn tend(database: &Database, connected: &[Id]) {
    while database.tend_nodes(&|node| connected.contains(node)).unwrap() {}
}

fn known(database: &Database, nodes: &[Id]) -> Vec<u64> {
    nodes.iter().map(|node| database.highest_operation(node).unwrap()).collect()
}

/// The index of the node that wrote a record.
fn author(database: &Database, number: u64) -> u32 {
    let reader = database.reader();
    reader.get(reader.collection("people").unwrap(), &id(number)).unwrap().unwrap().envelope.node
}

#[test]
fn guests_are_forgotten_after_an_hour_and_devices_after_thirty_days() {
    let (fs, world, store) = (SimFs::new(4096), World::new(1), Checkpointed::new());
    let open = |store: &Checkpointed| {
        open(Arc::new(fs.clone()), Arc::new(store.clone()), &world, SEGMENT_BYTES).unwrap().0
    };
    let database = open(&store);
    let nodes = [device(&world, 1), device(&world, 2), guest(&world, 3), guest(&world, 4)];
    for (number, node) in (1..).zip(nodes) {
        run(&database, node, 1, &put(number)).unwrap();
        run(&database, node, 2, &put(number)).unwrap();
    }
    let staying = [nodes[1], nodes[3]];
    tend(&database, &staying);
    pass(&world, 69 * MINUTE);
    tend(&database, &staying);
    assert_eq!(known(&database, &nodes), [2, 2, 2, 2]);
    let position = database.position();
    pass(&world, 2 * MINUTE);
    tend(&database, &staying);
    assert_eq!(known(&database, &nodes), [2, 2, 0, 2]);
    assert_eq!(database.position(), position, "nothing that a reader sees");
    // The one who stays is noted, and remembered for an hour after that.
    pass(&world, 59 * MINUTE);
    tend(&database, &[nodes[1]]);
    assert_eq!(known(&database, &nodes), [2, 2, 0, 2]);
    pass(&world, 12 * MINUTE);
    tend(&database, &[nodes[1]]);
    assert_eq!(known(&database, &nodes), [2, 2, 0, 0]);
    for _ in 0..30 {
        pass(&world, DAY);
        tend(&database, &[nodes[1]]);
    }
    assert_eq!(known(&database, &nodes), [2, 2, 0, 0], "noted or not, for thirty days");
    // The notes outlive a restart, and an absence of the server is not the nodes' own.
    assert_eq!(database.verify().unwrap().findings, Vec::<String>::new());
    drop(database);
    let store = store.crash();
    pass(&world, 6 * DAY);
    let database = open(&store);
    tend(&database, &[]);
    assert_eq!(known(&database, &nodes), [2, 2, 0, 0], "for an hour nobody is forgotten");
    pass(&world, 61 * MINUTE);
    tend(&database, &[]);
    assert_eq!(known(&database, &nodes), [0, 2, 0, 0]);
    pass(&world, 27 * DAY);
    tend(&database, &[]);
    assert_eq!(known(&database, &nodes), [0, 0, 0, 0]);
    // Their outcomes are gone, their records and their indexes are not.
    let snapshot = store.snapshot();
    for index in 1..=4 {
        assert_eq!(snapshot.range(Span::operations(index).bounds(), Direction::Ascending).count(), 0);
        assert_eq!(author(&database, u64::from(index)), index);
    }
    assert_eq!(database.verify().unwrap().findings, Vec::<String>::new());
    drop(database);
    let database = open(&store.crash());
    run(&database, guest(&world, 5), 1, &put(9)).unwrap();
    assert_eq!(author(&database, 9), 5);
}

#[test]
fn more_outcomes_than_are_kept_go_with_their_node() {
    let (fs, world, store) = (SimFs::new(4096), World::new(1), Checkpointed::new());
    let (database, _) = open(Arc::new(fs), Arc::new(store.clone()), &world, SEGMENT_BYTES).unwrap();
    let guests: Vec<Id> = (0..6).map(|tag| guest(&world, tag)).collect();
    for number in 1..=1_030 {
        run(&database, guests[0], number, &put(1)).unwrap();
    }
    for guest in &guests[1..] {
        run(&database, *guest, 1, &put(1)).unwrap();
    }
    pass(&world, 71 * MINUTE);
    tend(&database, &[]);
    assert_eq!(known(&database, &guests), [0; 6]);
    let rows = store.snapshot().range(Span::operations(1).bounds(), Direction::Ascending).count();
    assert_eq!(rows, 0);
    // Each of the rows was put once and removed once.
    store.check().unwrap();
}

#[test]
fn who_comes_back_forgotten_is_told_and_who_is_new_is_not() {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let (database, _) = open(Arc::new(fs), Arc::new(Memory::new()), &world, SEGMENT_BYTES).unwrap();
    let (old, gone, early) = (device(&world, 1), guest(&world, 2), device(&world, 3));
    // Decided, and the answer was lost: all that they ever sent is number 1.
    run(&database, old, 1, &put(1)).unwrap();
    run(&database, gone, 1, &put(2)).unwrap();
    assert_eq!(database.welcome(&old, 2), Ok(1));
    pass(&world, 32 * DAY);
    tend(&database, &[]);
    let future = {
        let world = world.image();
        pass(&world, 2 * HOUR);
        device(&world, 4)
    };
    let expired = Err(EngineError::IdentityExpired);
    for (what, node, next, expected) in [
        ("a device whose first outcome is unknown", old, 2, expired.clone()),
        ("a guest likewise", gone, 2, expired.clone()),
        ("one that never sent anything", old, 1, Ok(0)),
        ("a device that was never seen and is as old", early, 5, expired.clone()),
        ("one that kept five operations on its first day", device(&world, 5), 6, Ok(0)),
        ("a guest whose first operation was lost", guest(&world, 6), 2, Ok(0)),
        ("an id of the future proves nothing", future, 2, expired.clone()),
        ("an id that tells no time", [4; 16], 2, Ok(0)),
    ] {
        assert_eq!(database.welcome(&node, next), expected, "{what}");
    }
    assert_eq!(run(&database, old, 2, &put(1)), Err(EngineError::IdentityExpired));
}

#[test]
fn what_cannot_be_read_uses_its_number_up_by_its_own_refusal() {
    let (fs, world) = (SimFs::new(4096), World::new(1));
    let node = [1; 16];
    let open = || open(Arc::new(fs.clone()), Arc::new(Memory::new()), &world, SEGMENT_BYTES).unwrap().0;
    let database = open();
    let refusal = Refusal { offset: Some(37), ..Refusal::of_item(ErrorCode::TrailingBytes, 2) };
    let ticket = database.refuse(node, 1, b"junk", refusal).unwrap();
    let outcome = database.wait(&ticket).unwrap();
    assert_eq!((outcome.verdict, outcome.sequence), (Verdict::Refused(refusal), 0));
    run(&database, node, 2, &put(1)).unwrap();
    drop(database);
    let database = open();
    let again = database.refuse(node, 1, b"junk", Refusal::of_all(ErrorCode::Truncated)).unwrap();
    assert_eq!((again.outcome, again.through), (outcome, 0), "the first answer");
    let reused = Err(EngineError::IdentityReused { number: 1 });
    assert_eq!(database.refuse(node, 1, b"other junk", refusal), reused);
    assert_eq!(run(&database, node, 1, &put(1)).map(drop), reused.map(drop));
    let gap = EngineError::OperationGap { expected: 3, found: 5 };
    assert_eq!(database.refuse(node, 5, b"junk", refusal), Err(gap));
}
