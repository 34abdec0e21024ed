//! What queries answer: which records, in which order, from which moment.

use crate::blazebinary::{RecordView, Value};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::Fields;
use crate::conformance::items::{Item, bulky, id, number_value, of_length, plain, record};
use crate::conformance::limits::PLENTY;
use crate::conformance::peer::Peer;
use crate::conformance::target::Target;
use crate::conformance::work::{ALL, get, scan};
use crate::wire::{ErrorCode, Position};

cases! { Target:
    "query.get" "A get answers the records that exist, in the order of the ids" "P-4.3.1" Nothing get_order;
    "query.get.none" "A get of ids that are not there has no rows" "P-4.3.1 P-4.4" Nothing get_none;
    "query.get.many" "A get of 5,000 ids answers all of them" "P-4.3 P-4.3.1" Nothing get_many;
    "query.unknown" "A query of a collection that is not there is unknown_collection" "C-6.3 P-4.4.2" Nothing unknown;
    "query.scan" "A scan answers all records in rising order of ids by their bytes" "P-4.3.1" Nothing scan_order;
    "query.scan.reverse" "In reverse the order falls" "P-4.3.1" Nothing scan_reverse;
    "query.scan.limit" "A scan answers as many as its limit says, 0 for all" "P-4.3" Nothing scan_limit;
    "query.scan.bounds" "Bounds hold their record or not, as they say, in either direction" "P-4.3 P-4.3.1" Nothing scan_bounds;
    "query.scan.nothing" "A scan of bounds with nothing between has no rows" "P-4.3" Nothing scan_nothing;
    "query.frames" "An answer is closed at 32,768 bytes a frame; a larger row travels alone" "P-4.4.1" Nothing frames;
    "query.snapshot" "An answer shows one moment, whatever is written while it is read" "S-3.1 E-5.3 P-4.4" Nothing snapshot;
    "query.snapshot.atomic" "An answer shows an operation whole or not at all" "E-1.1 E-5.3" Nothing whole_operations;
    "query.position" "An answer says where it was taken, at the Ack before it or later" "P-4.4 E-5.1" Nothing position;
    "query.at-least" "A query that asks for a position that is reached is answered there or later" "P-4.3 S-3.3" Nothing at_least;
    "query.at-least.waits" "A query that asks for a position to come waits for it" "P-4.3 S-3.3" Nothing at_least_waits;
    "query.at-least.late" "A position that does not come is position_not_reached" "S-3.3" Nothing at_least_late;
    "query.at-least.unknown" "A position of another epoch is position_unknown" "S-3.3 E-3.5" Nothing at_least_unknown;
    "query.versions" "The version of a row is the base that lets an operation through" "P-4.4 E-3.3 P-4.2.2" Nothing versions;
    "query.stats" "Stats of a collection are one made-up record of its counts" "S-4.1 P-4.4" Nothing stats;
    "query.stats.all" "Stats of all databases come in the order of names" "S-4.2" Nothing stats_all;
}

async fn with(target: &Target, numbers: impl Iterator<Item = u64>) -> Result<(Peer, String), Failure> {
    let collection = target.collection();
    let mut peer = Peer::welcome(target).await?;
    peer.done(&collection, numbers.map(|number| Item::Insert(plain(number))).collect()).await?;
    Ok((peer, collection))
}

async fn found(peer: &mut Peer, body: Fields) -> Result<Vec<u64>, Failure> {
    let rows = peer.query(body).await?.rows;
    rows.iter().map(|row| number_of(&row.record)).collect()
}

fn number_of(bytes: &[u8]) -> Result<u64, Failure> {
    let view = RecordView::canonical(bytes).map_err(Failure::new)?;
    match view.get("n").map(crate::blazebinary::ValueView::to_value) {
        Some(Value::Int(number)) => Ok(u64::try_from(number).unwrap_or_default()),
        other => Err(Failure::new(format_args!("a record has {other:?} in the field n"))),
    }
}

async fn get_order(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=9).await?;
    let ids = [7, 3, 50, 9, 1, 51].map(id);
    same("the order", &found(&mut peer, get(&collection, &ids)).await?, &vec![7, 3, 9, 1])
}

async fn get_none(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=2).await?;
    same("the rows", &found(&mut peer, get(&collection, &[id(5), id(6)])).await?, &vec![])
}

async fn get_many(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=5_000).await?;
    let ids: Vec<uuid::Uuid> = (1..=5_000).rev().map(id).collect();
    let found = found(&mut peer, get(&collection, &ids)).await?;
    ensure(found == (1..=5_000).rev().collect::<Vec<_>>(), || {
        format!("{} rows, or another order", found.len())
    })
}

async fn unknown(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let stats = Fields::new().u8(3).u8(0).str(&collection);
    for body in [get(&collection, &[id(1)]), scan(&collection), stats] {
        let asked = peer.ask(ALL, body).await?;
        peer.request_refused(asked, ErrorCode::UnknownCollection).await?;
    }
    Ok(())
}

/// A scan with flags, a limit and bounds: the kind of each, and its number.
fn range(collection: &str, reverse: bool, limit: u64, lower: (u8, u64), upper: (u8, u64)) -> Fields {
    let bound = |fields: Fields, (kind, number): (u8, u64)| match kind {
        0 => fields.u8(0),
        _ => fields.u8(kind).id(id(number)),
    };
    let head = Fields::new().u8(2).u8(0).str(collection).u8(u8::from(reverse)).u64(limit);
    bound(bound(head, lower), upper)
}

const OPEN: (u8, u64) = (0, 0);

async fn scan_order(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, [300, 2, 70_000, 1, 255, 256].into_iter()).await?;
    same("the order", &found(&mut peer, scan(&collection)).await?, &vec![1, 2, 255, 256, 300, 70_000])
}

async fn scan_reverse(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=5).await?;
    let body = range(&collection, true, 0, OPEN, OPEN);
    same("the order", &found(&mut peer, body).await?, &vec![5, 4, 3, 2, 1])
}

async fn scan_limit(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=5).await?;
    for (limit, reverse, expected) in [
        (1, false, vec![1]),
        (3, false, vec![1, 2, 3]),
        (5, false, vec![1, 2, 3, 4, 5]),
        (u64::MAX, false, vec![1, 2, 3, 4, 5]),
        (0, false, vec![1, 2, 3, 4, 5]),
        (2, true, vec![5, 4]),
    ] {
        let body = range(&collection, reverse, limit, OPEN, OPEN);
        same(format!("a limit of {limit}"), &found(&mut peer, body).await?, &expected)?;
    }
    Ok(())
}

async fn scan_bounds(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, [2, 4, 6, 8].into_iter()).await?;
    for lower in [OPEN, (1, 4), (2, 4), (1, 3), (2, 3)] {
        for upper in [OPEN, (1, 6), (2, 6), (1, 7), (2, 7)] {
            let holds = |n: &u64| {
                (match lower.0 {
                    0 => true,
                    1 => *n >= lower.1,
                    _ => *n > lower.1,
                }) && (match upper.0 {
                    0 => true,
                    1 => *n <= upper.1,
                    _ => *n < upper.1,
                })
            };
            let mut expected: Vec<u64> = [2, 4, 6, 8].into_iter().filter(holds).collect();
            for reverse in [false, true] {
                let body = range(&collection, reverse, 0, lower, upper);
                same(format!("{lower:?} to {upper:?}"), &found(&mut peer, body).await?, &expected)?;
                expected.reverse();
            }
        }
    }
    Ok(())
}

async fn scan_nothing(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=9).await?;
    for (lower, upper) in
        [((2, 3), (2, 4)), ((1, 7), (1, 5)), ((2, 5), (1, 5)), ((1, 20), OPEN), ((2, 9), (2, 2))]
    {
        for reverse in [false, true] {
            let body = range(&collection, reverse, 0, lower, upper);
            same(format!("{lower:?} to {upper:?}"), &found(&mut peer, body).await?, &vec![])?;
        }
    }
    Ok(())
}

async fn frames(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let items = (1..=40).map(|number| Item::Insert(bulky(number, 3_000)));
    peer.done(&collection, items.chain([Item::Insert(of_length(41, 200_000))]).collect()).await?;
    let asked = peer.ask(ALL, scan(&collection)).await?;
    let mut rows = 0_usize;
    loop {
        let part = peer.part_of(asked).await?;
        // Id, flags, position, count; version, length and CRC of each row.
        let bytes = part
            .rows
            .iter()
            .fold(27_usize, |sum, row| sum.saturating_add(row.record.len()).saturating_add(16));
        let is_closed = bytes <= 32_768 || part.rows.len() == 1;
        ensure(is_closed, || format!("a frame of {bytes} bytes holds {} rows", part.rows.len()))?;
        rows = rows.saturating_add(part.rows.len());
        if part.last {
            return same("the count of rows", &rows, &41);
        }
    }
}

async fn snapshot(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, (1..=60).map(|number| Item::Insert(bulky(number, 4_000))).collect()).await?;
    let asked = peer.ask((1, PLENTY), scan(&collection)).await?;
    let mut rows = peer.part_of(asked).await?.rows;
    let mut writer = Peer::welcome(&target).await?;
    let changed = (1..=60)
        .map(|number| if number % 2 == 0 { Item::Delete(id(number)) } else { Item::Upsert(plain(number)) });
    writer.done(&collection, changed.collect()).await?;
    writer.done(&collection, vec![Item::Insert(plain(61))]).await?;
    peer.grant(asked, ALL).await?;
    rows.extend(peer.answer(asked).await?.rows);
    let expected: Vec<Vec<u8>> = (1..=60).map(|number| bulky(number, 4_000)).collect();
    let records: Vec<Vec<u8>> = rows.into_iter().map(|row| row.record).collect();
    ensure(records == expected, || format!("{} rows, not the 60 of the beginning", records.len()))
}

async fn whole_operations(target: Target) -> Verdict {
    let collection = target.collection();
    let mut reader = Peer::welcome(&target).await?;
    let mut writer = Peer::welcome(&target).await?;
    let both = |value: u64| {
        let of = |number| record(id(number), &[("n", number_value(value))]);
        vec![Item::Upsert(of(1)), Item::Upsert(of(2)), Item::Upsert(of(3))]
    };
    writer.done(&collection, both(0)).await?;
    for value in 1..=100 {
        writer.submit(&[(&collection, both(value))]).await?;
        let seen = found(&mut reader, scan(&collection)).await?;
        ensure(seen.len() == 3 && seen.iter().all(|n| Some(n) == seen.first()), || {
            format!("three records of one operation are seen as {seen:?}")
        })?;
    }
    writer.outcome(101).await.map(drop)
}

async fn position(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=3).await?;
    for number in 4..=8 {
        let ack = peer.done(&collection, vec![Item::Insert(plain(number))]).await?;
        let answered = peer.query(scan(&collection)).await?;
        ensure(answered.position >= ack.position, || {
            format!("{:?} after {:?}", answered.position, ack.position)
        })?;
        let newest = answered.rows.iter().map(|row| row.seq).max().unwrap_or_default();
        ensure(newest <= answered.position.seq, || "a row is newer than its answer".to_owned())?;
    }
    Ok(())
}

fn scan_at(position: Position, collection: &str) -> Fields {
    Fields::new().u8(2).u8(1).position(position).str(collection).u8(0).u64(0).u8(0).u8(0)
}

async fn at_least(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=3).await?;
    let mut reader = Peer::welcome(&target).await?;
    for number in 4..=20 {
        let ack = peer.done(&collection, vec![Item::Insert(plain(number))]).await?;
        let seen = found(&mut reader, scan_at(ack.position, &collection)).await?;
        ensure(seen.contains(&number), || format!("record {number} is not seen at its own position"))?;
    }
    Ok(())
}

async fn at_least_waits(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=1).await?;
    let mut reader = Peer::welcome(&target).await?;
    let here = peer.query(scan(&collection)).await?.position;
    // Others write meanwhile, too: it comes at once, or with what is written here.
    let ahead = Position { seq: here.seq.saturating_add(40), ..here };
    let asked = reader.ask(ALL, scan_at(ahead, &collection)).await?;
    for number in 2..=60 {
        peer.submit(&[(&collection, vec![Item::Insert(plain(number))])]).await?;
    }
    let answered = reader.answer(asked).await?;
    ensure(answered.position >= ahead, || format!("answered at {:?}, before {ahead:?}", answered.position))
}

async fn at_least_late(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=1).await?;
    let here = peer.query(scan(&collection)).await?.position;
    let ahead = Position { seq: here.seq.saturating_add(1 << 40), ..here };
    let asked = peer.ask(ALL, scan_at(ahead, &collection)).await?;
    peer.request_refused(asked, ErrorCode::PositionNotReached).await.map(drop)
}

async fn at_least_unknown(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=1).await?;
    let here = peer.query(scan(&collection)).await?.position;
    for other in [
        Position { epoch: here.epoch.wrapping_add(1), ..here },
        Position { partition: here.partition.wrapping_add(1), ..here },
    ] {
        let asked = peer.ask(ALL, scan_at(other, &collection)).await?;
        peer.request_refused(asked, ErrorCode::PositionUnknown).await?;
    }
    Ok(())
}

async fn versions(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=20).await?;
    for row in peer.query(scan(&collection)).await?.rows {
        let number = number_of(&row.record)?;
        peer.done(&collection, vec![Item::Upsert(plain(number)).based(row.seq)]).await?;
    }
    Ok(())
}

/// A row of stats: database, collection, records and deletions.
type Counts = (String, Option<String>, i64, i64);

fn counts(bytes: &[u8]) -> Result<Counts, Failure> {
    let view = RecordView::canonical(bytes).map_err(Failure::new)?;
    let field = |name: &str| view.get(name).map(crate::blazebinary::ValueView::to_value);
    match (field("database"), field("collection"), field("records"), field("deletions")) {
        (
            Some(Value::String(database)),
            Some(Value::String(name)),
            Some(Value::Int(records)),
            Some(Value::Int(deletions)),
        ) => Ok((database.to_string(), Some(name.to_string()), records, deletions)),
        (Some(Value::String(database)), Some(Value::Null), Some(Value::Int(0)), Some(Value::Int(0))) => {
            Ok((database.to_string(), None, 0, 0))
        }
        other => Err(Failure::new(format_args!("a row of stats holds {other:?}"))),
    }
}

async fn stats(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=5).await?;
    peer.done(&collection, vec![Item::Delete(id(1)), Item::Delete(id(2))]).await?;
    let rows = peer.query(Fields::new().u8(3).u8(0).str(&collection)).await?.rows;
    same("the count of rows", &rows.len(), &1)?;
    let row = rows.first().ok_or_else(|| Failure::new("no row"))?;
    same("the version of what is made up", &row.seq, &0)?;
    let database = target.url.database().to_owned();
    same("the counts", &counts(&row.record)?, &(database, Some(collection), 3, 2))
}

async fn stats_all(target: Target) -> Verdict {
    let (mut peer, collection) = with(&target, 1..=2).await?;
    let other = target.collection_of("a");
    peer.done(&other, vec![Item::Insert(plain(1))]).await?;
    let rows = peer.query(Fields::new().u8(3).u8(0).null()).await?.rows;
    let found: Result<Vec<_>, Failure> = rows.iter().map(|row| counts(&row.record)).collect();
    let found = found?;
    let are_in_order = found.is_sorted_by(|a, b| (&a.0, &a.1) < (&b.0, &b.1));
    ensure(are_in_order, || "names are out of order".to_owned())?;
    let is_alone = |(database, name, ..): &Counts| {
        name.is_some() || found.iter().filter(|row| row.0 == *database).count() == 1
    };
    ensure(found.iter().all(is_alone), || "a database with and without collections".to_owned())?;
    for (name, count) in [(collection, 2), (other, 1)] {
        let is_it = |row: &&Counts| row.0 == target.url.database() && row.1.as_ref() == Some(&name);
        let records = found.iter().find(is_it).map(|row| row.2);
        same(format!("the records of {name}"), &records, &Some(count))?;
    }
    Ok(())
}
