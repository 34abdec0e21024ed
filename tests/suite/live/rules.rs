//! The rules of `spec/live.md`, each by name, on a database in process.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use blazedb::live::{Step, Tidings};
use blazedb::store::{Lsm, LsmSettings};
use blazedb::wire::message::{Mode, Start};
use blazedb::wire::{ErrorCode, Position};
use uuid::Uuid;

use super::base::{AMPLE, Base, DROPPED, Known, Memories, apply};
use crate::random::Random;

/// Little memory, so that almost everything comes from the log.
const FORGETFUL: Memories = Memories { feed_bytes: 4096, ..AMPLE };

fn scripted(memories: Memories, transactions: u64) -> (Base, Random) {
    let (mut base, mut random) = (Base::new(memories), Random(transactions));
    for _ in 0..transactions {
        let collection = if random.chance(50) { "a" } else { "b" };
        base.run_random(&mut random, collection, 6);
    }
    (base, random)
}

/// L-1.2, L-1.3: from each position on, what follows is told, each change once and in order.
#[test]
fn from_every_position_all_is_the_slice_of_the_history() {
    for memories in [AMPLE, FORGETFUL] {
        let (base, _) = scripted(memories, 60);
        let mut whole = base.subscribe("a", Mode::All, Start::After(Position::default()));
        assert_eq!(whole.read(&base), [Tidings::CaughtUp]);
        assert_eq!(whole.told, base.history["a"]);
        for (at, position) in whole.positions.iter().enumerate() {
            let mut reader = base.subscribe("a", Mode::All, Start::After(*position));
            reader.read(&base);
            assert_eq!(reader.told, base.history["a"][at + 1..], "after {position}");
            assert_eq!(reader.positions, whole.positions[at + 1..]);
        }
        let last = whole.positions.last().unwrap().seq + 1;
        for seq in 0..last {
            let mut reader =
                base.subscribe("a", Mode::All, Start::After(Position { seq, ..base.database.position() }));
            reader.read(&base);
            let behind = whole.positions.iter().filter(|position| position.seq > seq).count();
            assert_eq!(reader.told.len(), behind, "after number {seq}");
        }
    }
}

/// L-2, L-2.4: from a snapshot, the records as they are and then every change, in both modes; and what falls in between.
#[test]
fn a_snapshot_and_what_follows_lead_to_the_state() {
    for (memories, mode) in
        [(AMPLE, Mode::All), (AMPLE, Mode::Latest), (FORGETFUL, Mode::All), (FORGETFUL, Mode::Latest)]
    {
        let (mut base, mut random) = scripted(memories, 40);
        let mut reader = base.subscribe("a", mode, Start::Snapshot);
        assert_eq!(reader.read(&base), [Tidings::CaughtUp]);
        assert_eq!(reader.held(), base.held("a"));
        assert_eq!(reader.told.len(), base.held("a").len(), "each record once, no deletions");
        assert!(reader.told.iter().all(|change| !change.is_last));
        let (told, known) = (reader.told.len(), base.history["a"].len());
        for _ in 0..20 {
            base.run_random(&mut random, "a", 4);
            base.run_random(&mut random, "b", 4);
            assert_eq!(reader.read(&base), []);
        }
        assert_eq!(reader.told[told..], base.history["a"][known..]);
        assert_eq!(reader.held(), base.held("a"));
    }
}

/// L-2: latest of an old position tells each record that changed once, at its newest image.
#[test]
fn latest_converges_from_every_position() {
    let (base, _) = scripted(FORGETFUL, 60);
    let mut whole = base.subscribe("a", Mode::All, Start::After(Position::default()));
    whole.read(&base);
    for (at, position) in whole.positions.iter().enumerate() {
        let mut reader = base.subscribe("a", Mode::Latest, Start::After(*position));
        assert_eq!(reader.read(&base), [Tidings::CaughtUp]);
        let mut held = std::collections::BTreeMap::new();
        base.history["a"][..=at].iter().for_each(|change| apply(&mut held, change));
        reader.told.iter().for_each(|change| apply(&mut held, change));
        assert_eq!(held, base.held("a"), "after {position}");
    }
    let (first, _) = (whole.positions[0], ());
    let mut reader = base.subscribe("a", Mode::Latest, Start::After(first));
    reader.read(&base);
    let mut ids: Vec<Uuid> = reader.told.iter().map(|change| change.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), reader.told.len(), "no record twice");
}

/// L-2.1, L-2.3: a reader that rests until its snapshot is too old and memory has forgotten goes on all the same.
#[test]
fn a_slow_reader_converges() {
    for (mode, start) in [
        (Mode::All, Start::Snapshot),
        (Mode::Latest, Start::Snapshot),
        (Mode::Latest, Start::Now),
        (Mode::All, Start::Now),
    ] {
        let (mut base, mut random) = (Base::new(FORGETFUL), Random(7));
        // Several pages and chunks.
        for batch in 0..8_u32 {
            let many: Vec<_> = (0..400_u32).map(|n| (u128::from(1000 + batch * 400 + n), Some(1))).collect();
            base.run("a", &many);
        }
        let mut reader = base.subscribe("a", mode, start);
        let known = base.history["a"].len();
        for round in 0..400 {
            if round % 7 == 0 {
                base.world.milliseconds.fetch_add(61_000, Ordering::Relaxed);
            }
            if round % 3 == 0 {
                reader.subscription.rest();
            }
            if round < 100 {
                base.run_random(&mut random, "a", 3);
                let gone = 1000 + u128::from(random.below(3200));
                base.run("a", &[(gone, None), (99, Some(round))]);
            }
            reader.step(&base);
        }
        reader.read(&base);
        let mut held = if start == Start::Now {
            let mut held = std::collections::BTreeMap::new();
            base.history["a"][..known].iter().for_each(|change| apply(&mut held, change));
            held
        } else {
            std::collections::BTreeMap::new()
        };
        reader.told.iter().for_each(|change| apply(&mut held, change));
        assert_eq!(held, base.held("a"), "{mode:?} from {start:?}");
        if (mode, start) == (Mode::All, Start::Now) {
            assert_eq!(reader.told, base.history["a"][known..]);
        }
    }
}

/// L-3.
#[test]
fn a_collection_that_is_not_there_is_waited_for() {
    for mode in [Mode::All, Mode::Latest] {
        for start in [Start::Now, Start::Snapshot, Start::After(Position::default())] {
            let mut base = Base::new(FORGETFUL);
            base.run("b", &[(1, Some(1))]);
            let mut reader = base.subscribe("a", mode, start);
            assert_eq!(reader.read(&base), [Tidings::Waiting, Tidings::CaughtUp]);
            base.run("b", &[(2, Some(2))]);
            assert_eq!(reader.woken.load(Ordering::Relaxed), 0, "another's change wakes nobody");
            base.run("c", &[(2, Some(2))]);
            assert_eq!(reader.read(&base), []);
            base.run("a", &[(3, Some(3)), (4, Some(4))]);
            base.run("a", &[(3, None)]);
            assert!(reader.subscription.has_news());
            assert_eq!(reader.read(&base), []);
            assert_eq!(reader.told, base.history["a"], "{mode:?} {start:?}");
        }
    }
}

/// L-4: what is no longer held, and what never was.
#[test]
fn positions_that_are_not_held_are_reset() {
    // Of the stores only the one on disk lets the log be trimmed.
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Lsm::open(folder.path(), LsmSettings::default()).unwrap());
    let mut base = Base::over(store, Memories { feed_bytes: 4096, retained_bytes: 8192 });
    for n in 0..400 {
        base.run("a", &[(u128::from(n % 7 + 1_u32), Some(i64::from(n)))]);
    }
    let early = Position { seq: 9, ..base.database.position() };
    let mut asleep = base.subscribe("a", Mode::All, Start::After(early));
    asleep.step(&base);
    let here = asleep.subscription.position(&base.database);
    asleep.subscription.rest();
    for n in 0..400 {
        base.run("a", &[(u128::from(n % 7 + 1_u32), Some(i64::from(n)))]);
    }
    base.database.checkpoint().unwrap();
    let oldest = base.database.oldest_position().unwrap();
    assert!(oldest.seq > 300, "{oldest}");
    let expired = [Tidings::Reset { code: ErrorCode::PositionExpired, oldest }];
    assert_eq!(base.subscribe("a", Mode::All, Start::After(early)).read(&base), expired);
    assert!(here < oldest);
    let mut from_oldest = base.subscribe("a", Mode::All, Start::After(oldest));
    assert_eq!(from_oldest.read(&base), [Tidings::CaughtUp]);
    let held = from_oldest.told.len();
    assert_eq!(from_oldest.told, base.history["a"][800 - held..]);
    // Latest reaches back for ever.
    let mut latest = base.subscribe("a", Mode::Latest, Start::After(early));
    assert_eq!(latest.read(&base), [Tidings::CaughtUp]);
    assert_eq!(latest.held(), base.held("a"));
    let end = base.database.position();
    for unknown in [
        Position { epoch: 2, ..early },
        Position { partition: !early.partition, ..early },
        Position { seq: end.seq + 9, ..end },
    ] {
        for mode in [Mode::All, Mode::Latest] {
            let told = base.subscribe("a", mode, Start::After(unknown)).read(&base);
            assert_eq!(told, [Tidings::Reset { code: ErrorCode::PositionUnknown, oldest }]);
        }
    }
}

/// L-5: what others changed moves the position, and what was passed over is not read again.
#[test]
fn heartbeats_carry_the_position_over_what_others_changed() {
    let mut base = Base::new(FORGETFUL);
    base.run("a", &[(1, Some(1))]);
    let mut reader = base.subscribe("a", Mode::All, Start::Now);
    assert_eq!(reader.read(&base), [Tidings::CaughtUp]);
    assert_eq!(reader.subscription.heartbeat(&base.database), None, "nothing moved");
    for n in 0..300 {
        base.run("b", &[(1, Some(n))]);
    }
    let end = base.database.position();
    assert_eq!(reader.subscription.heartbeat(&base.database), Some(end));
    assert_eq!(reader.subscription.heartbeat(&base.database), None);
    base.run("a", &[(2, Some(2))]);
    assert_eq!(reader.subscription.heartbeat(&base.database), None, "there is something to tell");
    assert_eq!(reader.read(&base), []);
    assert_eq!(reader.told.len(), 1);
    // A reader that comes back behind many changes of others is told how far it is.
    for _ in 0..20 {
        let many: Vec<_> = (0..1000).map(|n| (n + 10, Some(7))).collect();
        base.run("b", &many);
    }
    let mut late = base.subscribe("a", Mode::All, Start::After(Position::default()));
    let mut steps = Vec::new();
    loop {
        match late.step(&base) {
            Step::Idle => break,
            step => steps.push(step),
        }
    }
    let heartbeat = |step: &&Step| matches!(step, Step::Tell(Tidings::Heartbeat, _));
    assert_eq!(steps.iter().filter(heartbeat).count(), 1, "20,000 numbers were passed over");
    assert_eq!(late.told, base.history["a"]);
    assert!(steps.len() > 10, "two transactions of a thousand are a turn's work: {}", steps.len());
}

/// L-2.5, L-2.6: bit 7 is on the last change of the collection, also where a transaction fills several frames.
#[test]
fn a_large_transaction_comes_in_several_events() {
    let mut base = Base::new(FORGETFUL);
    base.run("a", &[(1, Some(1))]);
    let mut reader = base.subscribe("a", Mode::All, Start::Now);
    reader.read(&base);
    let many: Vec<_> = (0..3000_i64).map(|n| (u128::from(n.cast_unsigned()) + 10, Some(n))).collect();
    base.run("a", &many);
    let mut pages = 0;
    while reader.told.len() < 3000 {
        pages += usize::from(matches!(reader.step(&base), Step::Tell(Tidings::Changes, _)));
        if pages % 2 == 0 {
            reader.subscription.rest();
        }
    }
    assert!(pages > 3, "{pages}");
    assert_eq!(reader.told, base.history["a"][1..]);
    assert_eq!(reader.told.iter().filter(|Known { is_last, .. }| *is_last).count(), 1);
}

/// L-8: a subscription follows the name; from each position on it is told the drops in their places.
#[test]
fn drops_are_told_in_their_places() {
    for memories in [AMPLE, FORGETFUL] {
        let (mut base, mut random) = (Base::new(memories), Random(11));
        base.run("b", &[(1, Some(1))]);
        let mut live = base.subscribe("a", Mode::All, Start::Now);
        assert_eq!(live.read(&base), [Tidings::Waiting, Tidings::CaughtUp]);
        for round in 0..6_u32 {
            for _ in 0..5 {
                base.run_random(&mut random, "a", 3);
                base.run_random(&mut random, "b", 3);
            }
            if round % 2 == 0 {
                live.read(&base);
            }
            match round % 3 {
                0 => base.drop("a", &[]),
                1 => base.drop("a", &[(5, 55), (6, 66)]),
                _ => base.drop("b", &[]),
            }
        }
        base.run("a", &[(7, Some(7))]);
        live.read(&base);
        assert_eq!(live.told, base.history["a"]);
        let mut whole = base.subscribe("a", Mode::All, Start::After(Position::default()));
        assert_eq!(whole.read(&base), [Tidings::CaughtUp]);
        assert_eq!(whole.told, base.history["a"]);
        let last_drop = base.history["a"].iter().rposition(|change| change.id == DROPPED).unwrap();
        for (at, position) in whole.positions.iter().enumerate() {
            let mut reader = base.subscribe("a", Mode::All, Start::After(*position));
            assert_eq!(reader.read(&base), [Tidings::CaughtUp]);
            assert_eq!(reader.told, base.history["a"][at + 1..], "after {position}");
            let mut latest = base.subscribe("a", Mode::Latest, Start::After(*position));
            let oldest = whole.positions[last_drop];
            let lost = [Tidings::Reset { code: ErrorCode::PositionExpired, oldest }];
            let expected: &[Tidings] = if at < last_drop { &lost } else { &[Tidings::CaughtUp] };
            assert_eq!(latest.read(&base), expected, "latest after {position}");
        }
        let mut snapshot = base.subscribe("a", Mode::Latest, Start::Snapshot);
        snapshot.read(&base);
        assert_eq!(snapshot.held(), base.held("a"));
        base.drop("a", &[]);
        let oldest = base.database.position();
        assert_eq!(
            snapshot.read(&base),
            [Tidings::Reset { code: ErrorCode::PositionExpired, oldest }],
            "latest is reset by a drop"
        );
        assert_eq!(live.read(&base), []);
        assert_eq!(live.told.last().unwrap().id, DROPPED);
        base.run("a", &[(9, Some(9))]);
        assert_eq!(live.read(&base), []);
        assert_eq!(live.told, base.history["a"], "it waits for the next collection of the name");
    }
}
