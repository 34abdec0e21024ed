//! What subscriptions are told: every change or the latest images, from where they begin, without gap or repetition.

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::items::{Item, bulky, id, plain, record};
use crate::conformance::limits::{PLENTY, QUIET};
use crate::conformance::peer::Peer;
use crate::conformance::said::{Change, Did, What};
use crate::conformance::target::Target;
use crate::conformance::work::{ALL, EVERY, LATEST, NOW, SNAPSHOT, watch, watch_after};
use crate::wire::{ErrorCode, Position};

cases! { Target:
    "subscribe.now" "From now on each change is told, in order, in both modes" "L-2 P-4.5" Nothing now;
    "subscribe.kinds" "Puts, patches and deletions are told as what they made" "P-4.8 L-2" Nothing kinds;
    "subscribe.snapshot" "With a snapshot each record is told by the number of its last change, then caught_up, then changes" "L-2 L-2.4 L-2.5" Nothing with_snapshot;
    "subscribe.snapshot.slow" "A slow reader of a snapshot ends with what is there" "L-2.1 L-2.5" Nothing slow_snapshot;
    "subscribe.after.all" "After a position each change behind it is told, and nothing before it" "L-2 L-1.2" Nothing after_every;
    "subscribe.after.latest" "In mode latest the newest image of each record that changed is told, deletions included" "L-2" Nothing after_latest;
    "subscribe.after.zero" "The position of zeros stands before everything" "E-3.5 L-2" Nothing after_zero;
    "subscribe.transaction" "Only the last change of a transaction in the collection has bit 7" "L-2.5 P-4.8" Nothing transactions;
    "subscribe.transaction.groups" "Changes of other collections are not told, and do not carry the bit" "L-2.5 L-1.1" Nothing other_groups;
    "subscribe.caught-up" "caught_up is told once at the beginning, in both modes and from each start" "L-2.4" Nothing caught_up_once;
    "subscribe.waiting" "A collection that is not there is waited for, and its changes follow" "L-3.1" Nothing waiting;
    "subscribe.waiting.snapshot" "So it is with a snapshot, and in mode latest" "L-3.1" Nothing waiting_snapshot;
    "subscribe.unchanged" "What changes nothing is not told" "E-1.4 E-1.6 L-1.1" Nothing nothing_unchanged;
    "subscribe.refused" "What is refused is not told" "E-1.1 L-1.1" Nothing nothing_refused;
    "subscribe.own" "A client is told its own changes" "L-1.1 L-2" Nothing own_changes;
    "subscribe.two" "Two subscriptions to one collection are each told everything" "L-1.1" Nothing two;
    "subscribe.many" "A hundred subscriptions on a connection are each told their own" "L-7.1 L-7.2" Nothing a_hundred;
    "subscribe.large" "Changes of a large transaction come in several events, in order" "L-2.6 P-4.8.1" Nothing large;
    "subscribe.resume" "Whoever subscribes again after any position told is told the rest, without gap or repetition" "L-1.2 L-6.1 C-6.8" Nothing resume_anywhere;
    "subscribe.resume.behind" "The position behind a change is as good as one that was told" "L-1.3 P-1.4" Nothing resume_behind_change;
    "subscribe.resume.latest" "So it is in mode latest: what is held then is what is there" "L-1.2 L-2" Nothing resume_latest;
    "subscribe.resume.snapshot" "A snapshot told in part is gone on with in mode latest" "L-2.7 L-6.1" Nothing resume_snapshot;
    "subscribe.reset.epoch" "A position of another epoch or partition is reset with position_unknown" "L-4.1 P-4.8.1" Nothing other_epoch;
    "subscribe.reset.ahead" "A position that is not published is reset with position_unknown" "L-4.1" Nothing ahead;
    "subscribe.drop" "In mode all a drop is told in its place, and the new collection after it" "L-8.1 P-4.8.2" Nothing drop_told;
    "subscribe.drop.latest" "In mode latest a drop is a reset with position_expired, whose oldest position can be gone on from" "L-8.2 P-4.8.2 L-4.2" Nothing drop_latest;
    "subscribe.drop.after" "After a position before a drop mode latest is reset, mode all tells it" "L-8.2 L-8.1 E-6.5" Nothing drop_after;
}

async fn with(
    target: &Target,
    numbers: std::ops::RangeInclusive<u64>,
) -> Result<(Peer, Peer, String), Failure> {
    let collection = target.collection();
    let mut writer = Peer::welcome(target).await?;
    writer.done(&collection, numbers.map(|number| Item::Insert(plain(number))).collect()).await?;
    Ok((writer, Peer::welcome(target).await?, collection))
}

fn dids(changes: &[Change]) -> Vec<Did> {
    changes.iter().map(|change| change.did.clone()).collect()
}

fn puts(numbers: impl Iterator<Item = u64>) -> Vec<Did> {
    numbers.map(|number| Did::Put(plain(number))).collect()
}

async fn now(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=3).await?;
    let mut watched = Vec::new();
    for mode in [EVERY, LATEST] {
        let id = reader.subscribe(ALL, watch(mode, NOW, &collection)).await?;
        let (changes, _) = reader.changes_to_caught_up(id).await?;
        same("what is told before anything changed", &changes, &vec![])?;
        watched.push(id);
    }
    for number in 4..=20 {
        writer.done(&collection, vec![Item::Insert(plain(number))]).await?;
    }
    for id in watched {
        let changes = reader.changes(id, 17).await?;
        same(format!("what {id} is told"), &dids(&changes), &puts(4..=20))?;
        ensure(changes.iter().all(|change| change.last), || "each was a transaction (L-2.5)".to_owned())?;
    }
    Ok(())
}

async fn kinds(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=2).await?;
    let watched = reader.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    reader.changes_to_caught_up(watched).await?;
    let set = b"BLAZE\x01\x00\x01\xFF\x00\x01n\x12\x09".to_vec();
    writer.done(&collection, vec![Item::Upsert(plain(7))]).await?;
    writer.done(&collection, vec![Item::Patch(id(1), vec![], set)]).await?;
    let ack = writer.done(&collection, vec![Item::Delete(id(2))]).await?;
    let changes = reader.changes(watched, 3).await?;
    let patched = record(id(1), &[("n", crate::conformance::items::number_value(9))]);
    let expected = vec![Did::Put(plain(7)), Did::Put(patched), Did::Delete(id(2))];
    same("what is told", &dids(&changes), &expected)?;
    same("the number of the last change", &changes.last().map(|change| change.seq), &Some(ack.position.seq))
}

async fn with_snapshot(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=5).await?;
    writer.done(&collection, vec![Item::Upsert(plain(2)), Item::Delete(id(4))]).await?;
    for mode in [EVERY, LATEST] {
        let watched = reader.subscribe(ALL, watch(mode, SNAPSHOT, &collection)).await?;
        let (changes, _) = reader.changes_to_caught_up(watched).await?;
        let told: Vec<Did> =
            dids(&changes).into_iter().filter(|did| !matches!(did, Did::Delete(_))).collect();
        same("the records of the snapshot", &told, &puts([1, 3, 5, 2].into_iter()))?;
        ensure(changes.iter().all(|change| !change.last), || {
            "bit 7 on a record of a snapshot (L-2.5)".to_owned()
        })?;
        writer.done(&collection, vec![Item::Upsert(plain(9))]).await?;
        let changes = reader.changes(watched, 1).await?;
        same("what changes then", &dids(&changes), &puts([9].into_iter()))?;
        writer.done(&collection, vec![Item::Delete(id(9))]).await?;
    }
    Ok(())
}

/// What a reader holds that was told these changes, by id.
#[derive(Default)]
struct Held(std::collections::BTreeMap<uuid::Uuid, Vec<u8>>);

impl Held {
    fn take(&mut self, changes: &[Change]) -> Verdict {
        for change in changes {
            match &change.did {
                Did::Put(record) => {
                    let view = crate::blazebinary::RecordView::canonical(record).map_err(Failure::new)?;
                    let id = view.id().ok_or_else(|| Failure::new("a record without an id"))?;
                    self.0.insert(id, record.clone());
                }
                Did::Delete(id) => drop(self.0.remove(id)),
                Did::Dropped => self.0.clear(),
            }
        }
        Ok(())
    }

    async fn is_what_is_there(&self, peer: &mut Peer, collection: &str) -> Verdict {
        let there = peer.records(collection).await?;
        let held: Vec<Vec<u8>> = self.0.values().cloned().collect();
        ensure(held == there, || {
            format!("{} records are held, {} are there, or others", held.len(), there.len())
        })
    }
}

async fn slow_snapshot(target: Target) -> Verdict {
    for mode in [EVERY, LATEST] {
        let collection = target.collection_of(if mode == EVERY { "a" } else { "l" });
        let mut writer = Peer::welcome(&target).await?;
        let items = (1..=60).map(|number| Item::Insert(bulky(number, 4_000)));
        writer.done(&collection, items.collect()).await?;
        let mut reader = Peer::welcome(&target).await?;
        let watched = reader.subscribe((1, PLENTY), watch(mode, SNAPSHOT, &collection)).await?;
        let mut held = Held::default();
        let (mut granted, mut round) = (1_u64, 0_u64);
        loop {
            let tiding = reader.event(watched).await?;
            match &tiding.what {
                What::Changes(changes) => held.take(changes)?,
                What::CaughtUp => break,
                What::Heartbeat => {}
                other => return Err(Failure::new(format_args!("caught_up was due, there came {other:?}"))),
            }
            round = round.saturating_add(1);
            if round <= 5 {
                let of = |n: u64| round.saturating_mul(10).saturating_add(n);
                let items =
                    vec![Item::Upsert(plain(of(1))), Item::Delete(id(of(2))), Item::Upsert(plain(of(900)))];
                writer.done(&collection, items).await?;
            }
            granted = granted.saturating_add(1);
            reader.grant(watched, (granted, PLENTY)).await?;
        }
        held.is_what_is_there(&mut writer, &collection)
            .await
            .map_err(|failure| failure.within(format_args!("mode {mode}")))?;
    }
    Ok(())
}

async fn after_every(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=3).await?;
    let mut positions = vec![writer.query(crate::conformance::work::scan(&collection)).await?.position];
    for number in 4..=12 {
        positions.push(writer.done(&collection, vec![Item::Upsert(plain(number))]).await?.position);
    }
    for (position, first) in positions.into_iter().zip(4_u64..) {
        let watched = reader.subscribe(ALL, watch_after(EVERY, position, &collection)).await?;
        let (changes, at) = reader.changes_to_caught_up(watched).await?;
        same(format!("what is told after {position:?}"), &dids(&changes), &puts(first..=12))?;
        ensure(at >= position, || format!("caught up at {at:?}"))?;
    }
    Ok(())
}

async fn after_latest(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=6).await?;
    let start = writer.query(crate::conformance::work::scan(&collection)).await?.position;
    for value in 100..105 {
        let again = record(id(2), &[("n", crate::conformance::items::number_value(value))]);
        writer.done(&collection, vec![Item::Upsert(again)]).await?;
    }
    writer.done(&collection, vec![Item::Delete(id(3)), Item::Insert(plain(8))]).await?;
    let watched = reader.subscribe(ALL, watch_after(LATEST, start, &collection)).await?;
    let (changes, _) = reader.changes_to_caught_up(watched).await?;
    let last = record(id(2), &[("n", crate::conformance::items::number_value(104))]);
    // It may be told each change (L-2.2), or the newest images alone; it ends alike.
    let of_2 = changes.iter().rfind(|change| matches!(&change.did, Did::Put(bytes) if *bytes != plain(8)));
    same("the last image of a record", &of_2.map(|change| change.did.clone()), &Some(Did::Put(last)))?;
    let ends: Vec<Did> = dids(&changes).into_iter().rev().take(2).rev().collect();
    same("the last of all", &ends, &vec![Did::Delete(id(3)), Did::Put(plain(8))])
}

async fn after_zero(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=4).await?;
    writer.done(&collection, vec![Item::Delete(id(1)), Item::Upsert(plain(2))]).await?;
    let watched = reader.subscribe(ALL, watch_after(LATEST, Position::default(), &collection)).await?;
    let (changes, _) = reader.changes_to_caught_up(watched).await?;
    let mut held = Held::default();
    held.take(&changes)?;
    held.is_what_is_there(&mut writer, &collection).await
}

async fn transactions(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let watched = reader.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    reader.changes_to_caught_up(watched).await?;
    writer.done(&collection, (2..=5).map(|number| Item::Insert(plain(number))).collect()).await?;
    writer.done(&collection, vec![Item::Delete(id(2)), Item::Delete(id(99))]).await?;
    let changes = reader.changes(watched, 5).await?;
    let bits: Vec<bool> = changes.iter().map(|change| change.last).collect();
    same("bit 7", &bits, &vec![false, false, false, true, true])
}

async fn other_groups(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let other = target.collection_of("b");
    let watched = reader.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    reader.changes_to_caught_up(watched).await?;
    writer
        .done_in(&[
            (&other, vec![Item::Insert(plain(1))]),
            (&collection, vec![Item::Insert(plain(2)), Item::Insert(plain(3))]),
            (&other, vec![Item::Insert(plain(4))]),
        ])
        .await?;
    writer.done(&other, vec![Item::Insert(plain(5))]).await?;
    writer.done(&collection, vec![Item::Insert(plain(6))]).await?;
    let changes = reader.changes(watched, 3).await?;
    same("what is told", &dids(&changes), &puts([2, 3, 6].into_iter()))?;
    let bits: Vec<bool> = changes.iter().map(|change| change.last).collect();
    same("bit 7", &bits, &vec![false, true, true])
}

async fn caught_up_once(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=3).await?;
    let here = writer.query(crate::conformance::work::scan(&collection)).await?.position;
    for mode in [EVERY, LATEST] {
        for body in [
            watch(mode, NOW, &collection),
            watch(mode, SNAPSHOT, &collection),
            watch_after(mode, here, &collection),
        ] {
            let watched = reader.subscribe(ALL, body).await?;
            reader.changes_to_caught_up(watched).await?;
        }
    }
    reader.is_quiet(QUIET).await
}

async fn waits(target: &Target, mode: u8, start: u8, mark: &str) -> Verdict {
    let collection = target.collection_of(mark);
    let mut reader = Peer::welcome(target).await?;
    let watched = reader.subscribe(ALL, watch(mode, start, &collection)).await?;
    reader.hears(watched, &What::Waiting).await?;
    reader.hears(watched, &What::CaughtUp).await?;
    let mut writer = Peer::welcome(target).await?;
    writer.done(&collection, vec![Item::Delete(id(1))]).await?;
    writer.done(&collection, vec![Item::Insert(plain(1)), Item::Insert(plain(2))]).await?;
    let changes = reader.changes(watched, 2).await?;
    same("what is told", &dids(&changes), &puts(1..=2))
}

async fn waiting(target: Target) -> Verdict {
    waits(&target, EVERY, NOW, "").await
}

async fn waiting_snapshot(target: Target) -> Verdict {
    waits(&target, EVERY, SNAPSHOT, "a").await?;
    waits(&target, LATEST, SNAPSHOT, "b").await?;
    waits(&target, LATEST, NOW, "c").await
}

async fn nothing_unchanged(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let watched = reader.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    reader.changes_to_caught_up(watched).await?;
    writer.done(&collection, vec![Item::Refresh(plain(1))]).await?;
    writer.done(&collection, vec![Item::Delete(id(7))]).await?;
    writer.done(&collection, vec![Item::Check(id(7), 0)]).await?;
    writer.done(&collection, vec![Item::Refresh(plain(1)), Item::Refresh(plain(2))]).await?;
    let changes = reader.changes(watched, 1).await?;
    same("what is told", &dids(&changes), &puts([2].into_iter()))
}

async fn nothing_refused(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let watched = reader.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    reader.changes_to_caught_up(watched).await?;
    let items = vec![Item::Insert(plain(2)), Item::Insert(plain(1))];
    writer.refused(&collection, items, ErrorCode::AlreadyExists).await?;
    writer.done(&collection, vec![Item::Insert(plain(3))]).await?;
    let changes = reader.changes(watched, 1).await?;
    same("what is told", &dids(&changes), &puts([3].into_iter()))
}

async fn own_changes(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let watched = peer.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    peer.changes_to_caught_up(watched).await?;
    for number in 2..=30 {
        peer.submit(&[(&collection, vec![Item::Insert(plain(number))])]).await?;
    }
    let changes = peer.changes(watched, 29).await?;
    same("what is told", &dids(&changes), &puts(2..=30))
}

async fn two(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let mut watched = Vec::new();
    for mode in [EVERY, LATEST, EVERY] {
        watched.push(reader.subscribe(ALL, watch(mode, SNAPSHOT, &collection)).await?);
    }
    for id in &watched {
        same("the snapshot", &dids(&reader.changes_to_caught_up(*id).await?.0), &puts(1..=1))?;
    }
    for number in 2..=10 {
        writer.done(&collection, vec![Item::Insert(plain(number))]).await?;
    }
    for id in watched {
        same("what is told", &dids(&reader.changes(id, 9).await?), &puts(2..=10))?;
    }
    Ok(())
}

async fn a_hundred(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let other = target.collection_of("b");
    writer.done(&other, vec![Item::Insert(plain(1))]).await?;
    let count = reader.greeting()?.request_limit.min(100);
    let mut watched = Vec::new();
    for number in 0..count {
        let name = if number % 2 == 0 { &collection } else { &other };
        let id = reader.subscribe(ALL, watch(EVERY, NOW, name)).await?;
        reader.changes_to_caught_up(id).await?;
        watched.push(id);
    }
    for number in 2..=5 {
        let groups = [
            (collection.as_str(), vec![Item::Insert(plain(number))]),
            (other.as_str(), vec![Item::Insert(plain(number.saturating_add(100)))]),
        ];
        writer.done_in(&groups).await?;
    }
    for (number, id) in watched.into_iter().enumerate() {
        let expected = if number % 2 == 0 { puts(2..=5) } else { puts(102..=105) };
        same(format!("what {id} is told"), &dids(&reader.changes(id, 4).await?), &expected)?;
    }
    Ok(())
}

async fn large(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let watched = reader.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    reader.changes_to_caught_up(watched).await?;
    let items = (100..=250).map(|number| Item::Insert(bulky(number, 2_000)));
    writer.done(&collection, items.collect()).await?;
    let changes = reader.changes(watched, 151).await?;
    let expected: Vec<Did> = (100..=250).map(|number| Did::Put(bulky(number, 2_000))).collect();
    ensure(dids(&changes) == expected, || "they are others, or in another order".to_owned())?;
    let bits = changes.iter().filter(|change| change.last).count();
    same("how many have bit 7", &bits, &1)
}

/// Thirty changes of all kinds; answers the position before the first.
async fn history(writer: &mut Peer, collection: &str) -> Result<Position, Failure> {
    let start = writer.done(collection, vec![Item::Insert(plain(1))]).await?.position;
    for number in 2..=11_u64 {
        let items = vec![
            Item::Insert(plain(number)),
            Item::Upsert(plain(1)),
            Item::Insert(plain(number.saturating_add(100))),
        ];
        writer.done(collection, items).await?;
        if number % 3 == 0 {
            writer.done(collection, vec![Item::Delete(id(number))]).await?;
        }
    }
    Ok(start)
}

async fn resume_anywhere(target: Target) -> Verdict {
    let collection = target.collection();
    let mut writer = Peer::welcome(&target).await?;
    let start = history(&mut writer, &collection).await?;
    let whole = {
        let mut reader = Peer::welcome(&target).await?;
        let watched = reader.subscribe(ALL, watch_after(EVERY, start, &collection)).await?;
        reader.changes_to_caught_up(watched).await?.0
    };
    same("the count of changes", &whole.len(), &33)?;
    // A connection of its own for each event: it is cut behind each that it is told.
    let (mut told, mut position) = (Vec::new(), start);
    loop {
        let mut reader = Peer::welcome(&target).await?;
        let watched = reader.subscribe((1, 1), watch_after(EVERY, position, &collection)).await?;
        let tiding = reader.event(watched).await?;
        position = tiding.position;
        match tiding.what {
            What::Changes(changes) => told.extend(changes),
            What::CaughtUp => break,
            What::Heartbeat => {}
            other => return Err(Failure::new(format_args!("there came {other:?}"))),
        }
    }
    ensure(told == whole, || {
        format!("{} changes were told over several connections, {} over one", told.len(), whole.len())
    })
}

async fn resume_behind_change(target: Target) -> Verdict {
    let collection = target.collection();
    let mut writer = Peer::welcome(&target).await?;
    let start = history(&mut writer, &collection).await?;
    let mut reader = Peer::welcome(&target).await?;
    let watched = reader.subscribe(ALL, watch_after(EVERY, start, &collection)).await?;
    let (whole, _) = reader.changes_to_caught_up(watched).await?;
    for (at, change) in whole.iter().enumerate() {
        let behind = Position { seq: change.seq, ..start };
        let watched = reader.subscribe(ALL, watch_after(EVERY, behind, &collection)).await?;
        let (rest, _) = reader.changes_to_caught_up(watched).await?;
        let expected = whole.get(at.saturating_add(1)..).unwrap_or_default();
        ensure(rest == expected, || {
            format!("behind change {} are {}, not {}", change.seq, rest.len(), expected.len())
        })?;
        reader.unsubscribe(watched).await?;
    }
    Ok(())
}

async fn resume_latest(target: Target) -> Verdict {
    let collection = target.collection();
    let mut writer = Peer::welcome(&target).await?;
    let start = writer.done(&collection, vec![Item::Insert(plain(1))]).await?.position;
    let mut held = Held::default();
    let mut reader = Peer::welcome(&target).await?;
    let watched = reader.subscribe(ALL, watch(LATEST, SNAPSHOT, &collection)).await?;
    let (changes, mut position) = reader.changes_to_caught_up(watched).await?;
    held.take(&changes)?;
    ensure(position >= start, || format!("the snapshot is of {position:?}, before {start:?}"))?;
    drop(reader);
    for round in 2..=8_u64 {
        writer.done(&collection, vec![Item::Upsert(plain(round)), Item::Upsert(plain(1))]).await?;
        writer
            .done(&collection, vec![Item::Delete(id(round.saturating_sub(1))), Item::Upsert(plain(round))])
            .await?;
        let mut reader = Peer::welcome(&target).await?;
        let watched = reader.subscribe(ALL, watch_after(LATEST, position, &collection)).await?;
        let (changes, at) = reader.changes_to_caught_up(watched).await?;
        held.take(&changes)?;
        position = at;
        held.is_what_is_there(&mut writer, &collection).await?;
    }
    Ok(())
}

async fn resume_snapshot(target: Target) -> Verdict {
    let collection = target.collection();
    let mut writer = Peer::welcome(&target).await?;
    writer.done(&collection, (1..=60).map(|number| Item::Insert(bulky(number, 4_000))).collect()).await?;
    let mut held = Held::default();
    let mut reader = Peer::welcome(&target).await?;
    let watched = reader.subscribe((2, PLENTY), watch(EVERY, SNAPSHOT, &collection)).await?;
    let mut position = Position::default();
    for _ in 0..2 {
        let tiding = reader.event(watched).await?;
        position = tiding.position;
        if let What::Changes(changes) = &tiding.what {
            held.take(changes)?;
        }
    }
    drop(reader);
    writer
        .done(&collection, vec![Item::Delete(id(1)), Item::Upsert(plain(2)), Item::Insert(plain(99))])
        .await?;
    let mut reader = Peer::welcome(&target).await?;
    let watched = reader.subscribe(ALL, watch_after(LATEST, position, &collection)).await?;
    let (changes, _) = reader.changes_to_caught_up(watched).await?;
    held.take(&changes)?;
    held.is_what_is_there(&mut writer, &collection).await
}

/// A subscription after this position must be reset by this code; answers the oldest position.
async fn is_reset(
    peer: &mut Peer,
    mode: u8,
    position: Position,
    collection: &str,
    code: ErrorCode,
) -> Result<Position, Failure> {
    let watched = peer.subscribe(ALL, watch_after(mode, position, collection)).await?;
    let tiding = peer.event(watched).await?;
    match tiding.what {
        What::Reset { code: found, oldest } => {
            same("the code of the reset", &found, &code.number())?;
            Ok(oldest)
        }
        other => Err(Failure::new(format_args!("a reset was due after {position:?}, there came {other:?}"))),
    }
}

async fn other_epoch(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let here = writer.query(crate::conformance::work::scan(&collection)).await?.position;
    for mode in [EVERY, LATEST] {
        for other in [
            Position { epoch: here.epoch.wrapping_add(1), ..here },
            Position { partition: here.partition.wrapping_add(1), ..here },
        ] {
            is_reset(&mut reader, mode, other, &collection, ErrorCode::PositionUnknown).await?;
        }
    }
    reader.is_quiet(QUIET).await
}

async fn ahead(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=1).await?;
    let here = writer.query(crate::conformance::work::scan(&collection)).await?.position;
    for mode in [EVERY, LATEST] {
        let ahead = Position { seq: here.seq.saturating_add(1 << 40), ..here };
        is_reset(&mut reader, mode, ahead, &collection, ErrorCode::PositionUnknown).await?;
    }
    Ok(())
}

async fn drop_told(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=3).await?;
    let watched = reader.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    reader.changes_to_caught_up(watched).await?;
    writer.done(&collection, vec![Item::Upsert(plain(4))]).await?;
    writer.done(&collection, vec![Item::Drop]).await?;
    writer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    writer.done(&collection, vec![Item::Drop, Item::Insert(plain(2))]).await?;
    let changes = reader.changes(watched, 5).await?;
    let put = |number| Did::Put(plain(number));
    same("what is told", &dids(&changes), &vec![put(4), Did::Dropped, put(1), Did::Dropped, put(2)])
}

async fn drop_latest(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=3).await?;
    let watched = reader.subscribe(ALL, watch(LATEST, NOW, &collection)).await?;
    reader.changes_to_caught_up(watched).await?;
    writer.done(&collection, vec![Item::Drop]).await?;
    let oldest = loop {
        match reader.event(watched).await?.what {
            What::Reset { code, oldest } => {
                same("the code", &code, &ErrorCode::PositionExpired.number())?;
                break oldest;
            }
            What::Heartbeat => {}
            other => return Err(Failure::new(format_args!("a reset was due, there came {other:?}"))),
        }
    };
    writer.done(&collection, vec![Item::Insert(plain(7))]).await?;
    let watched = reader.subscribe(ALL, watch_after(LATEST, oldest, &collection)).await?;
    let (changes, _) = reader.changes_to_caught_up(watched).await?;
    same("what is told after the oldest position", &dids(&changes), &puts(7..=7))
}

async fn drop_after(target: Target) -> Verdict {
    let (mut writer, mut reader, collection) = with(&target, 1..=2).await?;
    let before = writer.query(crate::conformance::work::scan(&collection)).await?.position;
    let drop = writer.done(&collection, vec![Item::Drop]).await?.position;
    writer.done(&collection, vec![Item::Insert(plain(5))]).await?;
    let oldest = is_reset(&mut reader, LATEST, before, &collection, ErrorCode::PositionExpired).await?;
    same("the oldest position", &oldest, &drop)?;
    let watched = reader.subscribe(ALL, watch_after(EVERY, before, &collection)).await?;
    let (changes, _) = reader.changes_to_caught_up(watched).await?;
    same("what mode all tells", &dids(&changes), &vec![Did::Dropped, Did::Put(plain(5))])
}
