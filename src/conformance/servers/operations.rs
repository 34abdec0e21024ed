//! What operations do, and what they are refused for.

use crate::blazebinary::{Layout, Record, Value};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::Fields;
use crate::conformance::items::{ACCEPTED, Item, encoded, id, number_value, of_length, plain, record};
use crate::conformance::peer::Peer;
use crate::conformance::said::{Row, Said};
use crate::conformance::target::Target;
use crate::conformance::work::{get, scan};
use crate::wire::message::AckLevel;
use crate::wire::{ErrorCode, Subject};

cases! { Target:
    "operation.insert" "An insert creates a record, byte for byte" "E-1.3 P-1.6 P-4.2" Nothing insert;
    "operation.insert.exists" "An insert of an id that exists is already_exists" "E-1.3" Nothing insert_exists;
    "operation.upsert" "An upsert creates a record or replaces all of it, and its version rises" "E-1.4 E-3.3" Nothing upsert;
    "operation.upsert.unchanged" "An upsert that skips what is unchanged changes nothing, and is counted" "P-4.2.3 E-1.4" Nothing unchanged;
    "operation.patch" "A patch removes and sets fields, and encodes the record anew" "E-1.5 P-4.2" Nothing patch;
    "operation.patch.missing" "A patch of a record that is not there is not_found" "E-1.5" Nothing patch_missing;
    "operation.patch.id" "A patch that sets or removes id is id_is_fixed" "E-1.5" Nothing patch_id;
    "operation.delete" "A delete removes a record; of none it is counted as unchanged" "E-1.6 P-4.6" Nothing delete;
    "operation.base" "A base that is the record's version lets an item through, any other is precondition_failed" "P-4.2.2 E-1.8" Nothing base;
    "operation.base.none" "The base 0 says that there is no record" "P-4.2.2 E-1.8" Nothing base_none;
    "operation.check" "A check does nothing but refuse" "P-4.2.2 E-1.7" Nothing check;
    "operation.atomic" "Where one item is refused, nothing of the operation takes effect" "E-1.1 P-4.2" Nothing atomic;
    "operation.order" "Each item sees what those before it did" "E-1.1 P-4.2.2" Nothing order;
    "operation.groups" "An operation on several collections takes effect in all" "P-4.2" Nothing groups;
    "operation.drop" "A drop removes a collection; of none it is counted as unchanged" "P-4.2.5 E-1.13" Nothing dropped;
    "operation.drop.anew" "Items behind a drop begin a new collection, those before it go with the old one" "P-4.2.5 E-1.13" Nothing drop_anew;
    "operation.unchanged.count" "Unchanged items are counted from the beginning of the connection" "P-4.6" Nothing unchanged_count;
    "operation.position" "An operation that changes nothing has the position of the change before it" "E-3.4 P-4.6" Nothing position;
    "operation.level.accepted" "An operation of level accepted is told as accepted or durable, and then as durable" "C-5.5 P-4.2" Nothing accepted;
    "operation.level.replicated" "Where there are no replicas the level replicated is not_supported" "S-2.4 P-3.5" Nothing replicated;
    "operation.record.types" "A record of every type of value comes back byte for byte" "P-1.6 B-6.1" Nothing every_type;
    "operation.record.layout" "A record of layout 2 comes back in layout 2" "P-1.6 B-1.2" Nothing layout;
    "operation.record.largest" "A record of 1,048,576 bytes is taken and comes back" "P-1.6 B-5.4" Nothing largest;
    "operation.record.patched-too-large" "A patch whose result passes 1 MiB is record_too_large" "E-1.5" Nothing patched_too_large;
    "operation.visible" "What is acknowledged as durable is seen by every query after it" "E-5.1 E-5.2" Nothing visible;
    "operation.ids" "Records of a collection are told apart by all bytes of their ids" "P-1.3" Nothing ids;
}

fn text(value: &str) -> Value {
    Value::from(value)
}

async fn row(peer: &mut Peer, collection: &str, number: u64) -> Result<Row, Failure> {
    let mut rows = peer.query(get(collection, &[id(number)])).await?.rows;
    rows.pop().ok_or_else(|| Failure::new(format_args!("record {number} is not there")))
}

async fn insert(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let bytes = record(id(1), &[("title", text("Hi")), ("n", number_value(300))]);
    let ack = peer.done(&collection, vec![Item::Insert(bytes.clone())]).await?;
    let row = row(&mut peer, &collection, 1).await?;
    same("the record", &row.record, &bytes)?;
    same("its version", &row.seq, &ack.position.seq)
}

async fn insert_exists(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let other = record(id(1), &[("n", number_value(2))]);
    peer.refused(&collection, vec![Item::Insert(other)], ErrorCode::AlreadyExists).await?;
    same("the record", &row(&mut peer, &collection, 1).await?.record, &plain(1))
}

async fn upsert(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Upsert(plain(1))]).await?;
    let before = row(&mut peer, &collection, 1).await?;
    let other = record(id(1), &[("title", text("all of it"))]);
    peer.done(&collection, vec![Item::Upsert(other.clone())]).await?;
    let after = row(&mut peer, &collection, 1).await?;
    same("the record", &after.record, &other)?;
    ensure(after.seq > before.seq, || format!("the version went from {} to {}", before.seq, after.seq))
}

async fn unchanged(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let first = peer.done(&collection, vec![Item::Refresh(plain(1))]).await?;
    same("unchanged after the first", &first.unchanged, &0)?;
    let second = peer.done(&collection, vec![Item::Refresh(plain(1))]).await?;
    same("unchanged after the second", &second.unchanged, &1)?;
    same("the version", &row(&mut peer, &collection, 1).await?.seq, &first.position.seq)?;
    let third = peer.done(&collection, vec![Item::Upsert(plain(1))]).await?;
    same("unchanged after an upsert without the flag", &third.unchanged, &1)?;
    ensure(third.position > first.position, || "an upsert without the flag is a change".to_owned())
}

async fn patch(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let all = [("a", text("one")), ("b", text("two")), ("zz", number_value(5))];
    peer.done(&collection, vec![Item::Insert(record(id(1), &all))]).await?;
    let set = encoded(&Record::from_iter([("aa", text("new")), ("zz", number_value(6))]), Layout::V1);
    peer.done(&collection, vec![Item::Patch(id(1), vec!["b", "never"], set)]).await?;
    let expected = record(id(1), &[("a", text("one")), ("aa", text("new")), ("zz", number_value(6))]);
    same("the record", &row(&mut peer, &collection, 1).await?.record, &expected)
}

fn set(value: u64) -> Vec<u8> {
    encoded(&Record::from_iter([("n", number_value(value))]), Layout::V1)
}

async fn patch_missing(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    peer.refused(&collection, vec![Item::Patch(id(2), vec![], set(1))], ErrorCode::NotFound).await.map(drop)
}

async fn patch_id(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let with_id = Item::Patch(id(1), vec![], plain(1));
    peer.refused(&collection, vec![with_id], ErrorCode::IdIsFixed).await?;
    let without = Item::Patch(id(1), vec!["id"], set(1));
    peer.refused(&collection, vec![without], ErrorCode::IdIsFixed).await.map(drop)
}

async fn delete(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1)), Item::Insert(plain(2))]).await?;
    let ack = peer.done(&collection, vec![Item::Delete(id(1))]).await?;
    same("unchanged", &ack.unchanged, &0)?;
    same("the records", &peer.records(&collection).await?, &vec![plain(2)])?;
    let ack = peer.done(&collection, vec![Item::Delete(id(1)), Item::Delete(id(3))]).await?;
    same("unchanged", &ack.unchanged, &2)
}

async fn base(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let version = peer.done(&collection, vec![Item::Insert(plain(1))]).await?.position.seq;
    for wrong in [0, version.saturating_add(1), version.saturating_sub(1), u64::MAX] {
        let items = [Item::Upsert(plain(1)), Item::Patch(id(1), vec![], set(2)), Item::Delete(id(1))];
        for item in items {
            peer.refused(&collection, vec![item.based(wrong)], ErrorCode::PreconditionFailed).await?;
        }
    }
    let ack = peer.done(&collection, vec![Item::Upsert(plain(1)).based(version)]).await?;
    let ack =
        peer.done(&collection, vec![Item::Patch(id(1), vec![], set(2)).based(ack.position.seq)]).await?;
    peer.done(&collection, vec![Item::Delete(id(1)).based(ack.position.seq)]).await.map(drop)
}

async fn base_none(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.refused(&collection, vec![Item::Upsert(plain(1)).based(7)], ErrorCode::PreconditionFailed).await?;
    peer.done(&collection, vec![Item::Upsert(plain(1)).based(0)]).await?;
    peer.done(&collection, vec![Item::Delete(id(2)).based(0)]).await.map(drop)
}

async fn check(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let ack = peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let version = ack.position.seq;
    let checked = peer.done(&collection, vec![Item::Check(id(1), version), Item::Check(id(2), 0)]).await?;
    // Others write meanwhile, and a check has no position of its own.
    ensure(checked.position >= ack.position, || {
        format!("the position behind a check is {:?}", checked.position)
    })?;
    let items = vec![Item::Check(id(2), version), Item::Insert(plain(3))];
    peer.refused(&collection, items, ErrorCode::PreconditionFailed).await?;
    same("the records", &peer.records(&collection).await?, &vec![plain(1)])
}

async fn atomic(target: Target) -> Verdict {
    let (one, two) = (target.collection(), target.collection_of("b"));
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&one, vec![Item::Insert(plain(1))]).await?;
    let groups = [
        (one.as_str(), vec![Item::Insert(plain(2)), Item::Delete(id(1))]),
        (two.as_str(), vec![Item::Insert(plain(5)), Item::Insert(plain(5))]),
    ];
    let number = peer.submit(&groups).await?;
    let complaint = peer.outcome(number).await?.refusal.ok_or_else(|| Failure::new("it was not refused"))?;
    same("the code", &complaint.name(), &"already_exists".to_owned())?;
    let item = complaint.number("item");
    ensure(item.is_none_or(|item| item == 3), || format!("the item is {item:?}, must be 3 over all groups"))?;
    same("the records", &peer.records(&one).await?, &vec![plain(1)])?;
    let asked = peer.ask(crate::conformance::work::ALL, scan(&two)).await?;
    peer.request_refused(asked, ErrorCode::UnknownCollection).await.map(drop)
}

async fn order(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let items = vec![
        Item::Insert(plain(1)),
        Item::Patch(id(1), vec![], set(9)),
        Item::Insert(plain(2)),
        Item::Delete(id(2)),
        Item::Insert(plain(2)),
        Item::Delete(id(2)),
    ];
    let ack = peer.done(&collection, items).await?;
    same("unchanged", &ack.unchanged, &0)?;
    let expected = record(id(1), &[("n", number_value(9))]);
    same("the records", &peer.records(&collection).await?, &vec![expected])
}

async fn groups(target: Target) -> Verdict {
    let (one, two) = (target.collection(), target.collection_of("b"));
    let mut peer = Peer::welcome(&target).await?;
    peer.done_in(&[
        (&one, vec![Item::Insert(plain(1))]),
        (&two, vec![Item::Insert(plain(2))]),
        // A collection may have several groups.
        (&one, vec![Item::Insert(plain(3))]),
    ])
    .await?;
    same("the first", &peer.records(&one).await?, &vec![plain(1), plain(3)])?;
    same("the second", &peer.records(&two).await?, &vec![plain(2)])
}

async fn dropped(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, (1..=50).map(|number| Item::Insert(plain(number))).collect()).await?;
    let ack = peer.done(&collection, vec![Item::Drop]).await?;
    same("unchanged", &ack.unchanged, &0)?;
    let asked = peer.ask(crate::conformance::work::ALL, scan(&collection)).await?;
    peer.request_refused(asked, ErrorCode::UnknownCollection).await?;
    let ack = peer.done(&collection, vec![Item::Drop]).await?;
    same("unchanged", &ack.unchanged, &1)
}

async fn drop_anew(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    peer.done_in(&[
        (&collection, vec![Item::Insert(plain(2))]),
        (&collection, vec![Item::Drop, Item::Insert(plain(1)), Item::Insert(plain(3))]),
    ])
    .await?;
    same("the records", &peer.records(&collection).await?, &vec![plain(1), plain(3)])
}

async fn unchanged_count(target: Target) -> Verdict {
    let collection = target.collection();
    for _ in 0..2 {
        let mut peer = Peer::welcome(&target).await?;
        let ack = peer.done(&collection, vec![Item::Upsert(plain(1))]).await?;
        same("unchanged at the beginning", &ack.unchanged, &0)?;
        for expected in [2, 4, 6] {
            let ack = peer.done(&collection, vec![Item::Refresh(plain(1)), Item::Delete(id(9))]).await?;
            same("unchanged", &ack.unchanged, &expected)?;
        }
    }
    Ok(())
}

async fn position(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let start = peer.greeting()?.position;
    let first = peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    ensure(first.position > start, || format!("a change moves from {start:?} to {:?}", first.position))?;
    let idle = peer.done(&collection, vec![Item::Delete(id(2))]).await?;
    ensure(idle.position >= first.position, || "the position went back".to_owned())?;
    let row = row(&mut peer, &collection, 1).await?;
    same("the version", &row.seq, &first.position.seq)?;
    let second = peer.done(&collection, vec![Item::Upsert(plain(1))]).await?;
    ensure(second.position > first.position, || "the position stands still".to_owned())
}

async fn accepted(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let number = peer.submit_at(ACCEPTED, &[(&collection, vec![Item::Insert(plain(1))])]).await?;
    let mut heard_accepted = false;
    loop {
        match peer.next("an Ack").await? {
            Said::Ack(ack) if ack.level == AckLevel::Durable && ack.number >= number => break,
            Said::Ack(ack) => heard_accepted |= ack.number >= number,
            Said::Error(complaint) => {
                return Err(Failure::new(format_args!("refused by {}", complaint.name())));
            }
            _ => {}
        }
    }
    // Acks are state: that of level durable may have taken the place of the other.
    let _ = heard_accepted;
    same("the records", &peer.records(&collection).await?, &vec![plain(1)])
}

async fn replicated(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let number = peer.submit_at(2, &[(&collection, vec![Item::Insert(plain(1))])]).await?;
    let refusal = peer.outcome(number).await?.refusal;
    if let Some(complaint) = refusal {
        same("the code", &complaint.name(), &"not_supported".to_owned())?;
        same("the subject", &complaint.subject, &Subject::Operation(number))?;
    }
    peer.done(&collection, vec![Item::Upsert(plain(2))]).await.map(drop)
}

/// A record with every tag of B-3, written by hand.
fn all_types(number: u64) -> Vec<u8> {
    let named = |fields: Fields, name: &str| {
        fields.u8(0xFF).u16(u16::try_from(name.len()).unwrap_or(0)).bytes(name.as_bytes())
    };
    let head = Fields::new().bytes(b"BLAZE\x01").u16(17);
    let fields = named(head, "a").str("0123456789abcdef");
    let fields = named(fields, "b").u8(0x02).u64(u64::MAX);
    let fields = named(fields, "c").u8(0x03).u64(0x7FF8_0000_0000_0001);
    let fields = named(fields, "d").u8(0x04).u8(1);
    let fields = named(fields, "e").uuid(Some(id(7)));
    let fields = named(fields, "f").u8(0x06).u64(0x41B6_92EB_2019_999A);
    let fields = named(fields, "g").u8(0x07).u32(3).bytes(&[0, 1, 255]);
    let fields = named(fields, "h").u8(0x08).u16(2).null().u8(0x18);
    let fields = named(fields, "i").dict("k", 5);
    let fields = named(fields, "iab").u8(0x0A).u32(2).u32(0x3FF0_0000).u32(0x7FF0_0000);
    let fields = fields.u8(0x01).uuid(Some(id(number)));
    let fields = named(fields, "j").null();
    let fields = named(fields, "k").u8(0x11);
    let fields = named(fields, "l").u8(0x12).u8(255);
    let fields = named(fields, "m").u8(0x19);
    let fields = named(fields, "o").str("é€");
    named(fields, "é").u8(0x02).u64(256).done()
}

async fn comes_back(target: Target, bytes: Vec<u8>) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(bytes.clone())]).await?;
    let found = row(&mut peer, &collection, 1).await?.record;
    ensure(found == bytes, || format!("{} bytes came back as {} others", bytes.len(), found.len()))
}

async fn every_type(target: Target) -> Verdict {
    comes_back(target, all_types(1)).await
}

async fn layout(target: Target) -> Verdict {
    let mut record = Record::from_iter([("n", number_value(5))]);
    record.insert("id", Value::Uuid(id(1)));
    comes_back(target, encoded(&record, Layout::V2)).await
}

async fn largest(target: Target) -> Verdict {
    let bytes = of_length(1, 1_048_576);
    same("the length of the record", &bytes.len(), &1_048_576)?;
    comes_back(target, bytes).await
}

async fn patched_too_large(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(of_length(1, 1_048_576))]).await?;
    let more = encoded(&Record::from_iter([("more", text("x"))]), Layout::V1);
    peer.refused(&collection, vec![Item::Patch(id(1), vec![], more)], ErrorCode::RecordTooLarge)
        .await
        .map(drop)
}

async fn visible(target: Target) -> Verdict {
    let collection = target.collection();
    let (mut writer, mut reader) = (Peer::welcome(&target).await?, Peer::welcome(&target).await?);
    for number in 1..=100_u64 {
        writer.done(&collection, vec![Item::Insert(plain(number))]).await?;
        let found = reader.query(get(&collection, &[id(number)])).await?.rows.len();
        same(format!("how many records {number} another client sees behind its Ack"), &found, &1)?;
    }
    Ok(())
}

async fn ids(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let ids: Vec<uuid::Uuid> = (0..128).map(|bit| uuid::Uuid::from_u128(1 << bit)).collect();
    let items = ids.iter().map(|id| Item::Insert(record(*id, &[])));
    peer.done(&collection, items.collect()).await?;
    let rows = peer.query(get(&collection, &ids)).await?.rows;
    let found: Vec<Vec<u8>> = rows.into_iter().map(|row| row.record).collect();
    ensure(found == ids.iter().map(|id| record(*id, &[])).collect::<Vec<_>>(), || {
        format!("{} records came for 128 ids, or others", found.len())
    })
}
