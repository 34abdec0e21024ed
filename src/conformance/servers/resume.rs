//! Numbers, outcomes and their order; what a node that comes back is told, exactly once.

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{REQUIRES_ACK, kind};
use crate::conformance::hello::Hello;
use crate::conformance::items::{ACCEPTED, DURABLE, Item, bulky, id, operation, plain};
use crate::conformance::peer::Peer;
use crate::conformance::said::Said;
use crate::conformance::target::Target;
use crate::wire::ErrorCode;
use crate::wire::message::AckLevel;

cases! { Target:
    "order.outcomes" "Two hundred operations in one go are told in order, each refusal before the Ack that covers it" "P-7.3 P-7.4 C-5.3 C-5.4" Nothing outcomes;
    "order.levels" "Levels in any mixture are told in the order of the numbers" "C-5.5 P-7.4" Nothing levels;
    "order.window" "A whole window of operations may be unacknowledged" "P-7.2 C-5.2" Nothing whole_window;
    "order.number.gap" "A number that skips one is operation_number_gap" "P-7.1 C-5.1" Nothing gap;
    "order.number.repeated" "A number that comes twice on a connection is operation_number_gap" "P-7.1 C-5.1" Nothing number_twice;
    "order.number.first" "The first number of a connection is the Hello's oldest_unacked" "C-5.1 P-7.1" Nothing first_number;
    "resume.repeated" "An operation that is sent again has one effect, and its first outcome" "P-7.5 C-5.8 E-4.2" Nothing repeated;
    "resume.refused" "A refused operation that is sent again is refused alike, though it would not be now" "C-5.8 E-4.1" Nothing refused;
    "resume.level" "The level is not part of the body: with another one it is the same operation" "P-7.5" Nothing other_level;
    "resume.extension" "The extension is not part of the body" "P-7.5" Nothing other_extension;
    "resume.other-body" "A number with another body is identity_reused" "P-7.5 C-5.8 E-4.3" Nothing other_body;
    "resume.other-body.refused" "So is a refused number with another body" "P-7.5 C-5.8" Nothing other_body_of_refused;
    "resume.old" "A number 1,024 or more below the highest is identity_reused" "E-4.3 C-5.8" Nothing too_old;
    "resume.window" "Of the last 1,024 numbers each gets its outcome again" "C-5.8" Nothing last_thousand;
    "resume.cut" "Operations whose Acks were lost with the connection have one effect each" "C-10.1 C-5.7 C-5.8" Nothing cut;
    "resume.cut.often" "The same over twenty connections that are cut at random bytes" "C-10.1 C-5.8 C-5.3" Nothing cut_often;
    "resume.new" "New operations follow those that are sent again" "C-10.1 P-7.1" Nothing then_new;
    "resume.nodes" "Numbers of two nodes have nothing to do with each other" "P-7.1 E-4.1" Nothing two_nodes;
    "resume.unsent" "What was decided and not sent again stays decided" "C-10.1" Nothing unsent;
}

fn hello(target: &Target) -> Hello {
    Hello::new(target.url.database())
}

async fn outcomes(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let mut bytes = Vec::new();
    for number in 1..=200_u64 {
        // Every third repeats an insert and is refused.
        let which = if number % 3 == 0 { number.saturating_sub(1) } else { number };
        let payload = operation(number, DURABLE, &[(&collection, vec![Item::Insert(plain(which))])]);
        bytes.extend(peer.make(kind::OPERATION, REQUIRES_ACK, &payload));
    }
    peer.next_operation = 201;
    peer.flood(&bytes).await?;
    peer.outcome(200).await?;
    for number in 1..=200_u64 {
        let refusal = peer.refusals.get(&number).map(|complaint| complaint.name());
        let expected = (number % 3 == 0).then(|| "already_exists".to_owned());
        same(format!("the refusal of {number}"), &refusal, &expected)?;
    }
    same("the count of records", &peer.records(&collection).await?.len(), &134)
}

async fn levels(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    for number in 1..=60_u64 {
        let level = if number % 2 == 0 { ACCEPTED } else { DURABLE };
        peer.submit_at(level, &[(&collection, vec![Item::Insert(plain(number))])]).await?;
    }
    peer.outcome(60).await?;
    same("the count of records", &peer.records(&collection).await?.len(), &60)
}

async fn whole_window(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let greeting = peer.greeting()?.clone();
    let most = u64::from(greeting.operation_window).min(greeting.work.frames);
    let mut bytes = Vec::new();
    for number in 1..=most {
        let payload = operation(number, DURABLE, &[(&collection, vec![Item::Delete(id(number))])]);
        bytes.extend(peer.make(kind::OPERATION, REQUIRES_ACK, &payload));
    }
    peer.next_operation = most.saturating_add(1);
    peer.flood(&bytes).await?;
    let ack = peer.outcome(most).await?.ack;
    same("unchanged", &ack.unchanged, &most)
}

async fn wrong_number(target: &Target, hello: &Hello, numbers: &[u64]) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::greet(target, hello).await?;
    for number in numbers {
        let payload = operation(*number, DURABLE, &[(&collection, vec![Item::Delete(id(1))])]);
        peer.send(kind::OPERATION, &payload).await?;
    }
    peer.ends_by(ErrorCode::OperationNumberGap).await
}

async fn gap(target: Target) -> Verdict {
    wrong_number(&target, &hello(&target), &[1, 3]).await
}

async fn number_twice(target: Target) -> Verdict {
    wrong_number(&target, &hello(&target), &[1, 1]).await?;
    wrong_number(&target, &hello(&target), &[1, 2, 1]).await
}

async fn first_number(target: Target) -> Verdict {
    wrong_number(&target, &hello(&target), &[2]).await?;
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    let collection = target.collection();
    for number in 1..=3 {
        peer.done(&collection, vec![Item::Upsert(plain(number))]).await?;
    }
    // It said that 2 is the oldest, and 4 the next new one.
    wrong_number(&target, &hello(&target).of(node, 2, 4), &[4]).await?;
    wrong_number(&target, &hello(&target).of(node, 2, 4), &[1]).await
}

/// The payload of an insert.
fn insert(number: u64, collection: &str, which: u64) -> Vec<u8> {
    operation(number, DURABLE, &[(collection, vec![Item::Insert(plain(which))])])
}

async fn repeated(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    peer.submit_bytes(&insert(1, &collection, 1)).await?;
    let first = peer.outcome(1).await?.ack;
    peer.part().await?;
    for _ in 0..3 {
        let mut peer = Peer::greet(&target, &hello(&target).of(node, 1, 2)).await?;
        peer.submit_bytes(&insert(1, &collection, 1)).await?;
        let again = peer.outcome(1).await?;
        ensure(again.refusal.is_none(), || format!("it is refused now: {:?}", again.refusal))?;
        same("the position of the Ack", &again.ack.position, &first.position)?;
        let rows = peer.query(crate::conformance::work::scan(&collection)).await?.rows;
        let versions: Vec<u64> = rows.iter().map(|row| row.seq).collect();
        same("the versions", &versions, &vec![first.position.seq])?;
    }
    Ok(())
}

async fn refused(target: Target) -> Verdict {
    let collection = target.collection();
    let mut other = Peer::welcome(&target).await?;
    other.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    let first = peer.refused_bytes(&insert(1, &collection, 1), ErrorCode::AlreadyExists).await?;
    other.done(&collection, vec![Item::Delete(id(1))]).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 1, 2)).await?;
    let again = peer.refused_bytes(&insert(1, &collection, 1), ErrorCode::AlreadyExists).await?;
    same("the item", &again.number("item"), &first.number("item"))?;
    same("the records", &peer.records(&collection).await?, &vec![])
}

async fn other_level(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    peer.submit_bytes(&insert(1, &collection, 1)).await?;
    peer.outcome(1).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 1, 2)).await?;
    peer.submit_at(ACCEPTED, &[(&collection, vec![Item::Insert(plain(1))])]).await?;
    let refusal = peer.outcome(1).await?.refusal;
    ensure(refusal.is_none(), || format!("it is refused: {refusal:?}"))
}

async fn other_extension(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    peer.submit_bytes(&insert(1, &collection, 1)).await?;
    peer.outcome(1).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 1, 2)).await?;
    let mut payload = insert(1, &collection, 1);
    payload.extend(crate::conformance::fields::Fields::new().dict("later", 1).done());
    peer.submit_bytes(&payload).await?;
    let refusal = peer.outcome(1).await?.refusal;
    ensure(refusal.is_none(), || format!("it is refused: {refusal:?}"))
}

async fn other_body(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    peer.submit_bytes(&insert(1, &collection, 1)).await?;
    peer.outcome(1).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 1, 2)).await?;
    peer.submit_bytes(&insert(1, &collection, 2)).await?;
    peer.ends_by(ErrorCode::IdentityReused).await?;
    let mut peer = Peer::welcome(&target).await?;
    same("the records", &peer.records(&collection).await?, &vec![plain(1)])
}

async fn other_body_of_refused(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    peer.refused_bytes(&insert(2, &collection, 1), ErrorCode::AlreadyExists).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 2, 3)).await?;
    peer.submit_bytes(&insert(2, &collection, 2)).await?;
    peer.ends_by(ErrorCode::IdentityReused).await
}

/// Decides so many deletions of nothing, the `n`-th of the id `n`.
async fn deletions(peer: &mut Peer, collection: &str, count: u64) -> Verdict {
    for number in 1..=count {
        peer.submit(&[(collection, vec![Item::Delete(id(number))])]).await?;
    }
    peer.outcome(count).await.map(drop)
}

async fn too_old(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    deletions(&mut peer, &collection, 1_030).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 6, 1_031)).await?;
    peer.submit(&[(&collection, vec![Item::Delete(id(6))])]).await?;
    peer.ends_by(ErrorCode::IdentityReused).await
}

async fn last_thousand(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    deletions(&mut peer, &collection, 1_030).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 7, 1_031)).await?;
    for number in 7..=1_030_u64 {
        peer.submit(&[(&collection, vec![Item::Delete(id(number))])]).await?;
    }
    let refusal = peer.outcome(1_030).await?.refusal;
    ensure(refusal.is_none() && peer.refusals.is_empty(), || format!("refused: {:?}", peer.refusals))
}

/// Sends what is kept again from `oldest` on, and waits for all of it.
async fn send_again(target: &Target, node: uuid::Uuid, collection: &str, last: u64) -> Verdict {
    let next = last.saturating_add(1);
    let mut peer = Peer::greet(target, &hello(target).of(node, 1, next)).await?;
    let decided = peer.greeting()?.node_decided;
    ensure(decided <= last, || format!("{decided} are decided, {last} were sent"))?;
    for number in 1..=last {
        peer.submit_bytes(&insert(number, collection, number)).await?;
    }
    peer.outcome(last).await?;
    let refused: Vec<u64> = peer.refusals.keys().copied().collect();
    ensure(refused.is_empty(), || format!("{refused:?} took effect twice"))?;
    let count = u64::try_from(peer.records(collection).await?.len()).unwrap_or_default();
    same("the count of records", &count, &last)
}

async fn cut(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    let mut bytes = Vec::new();
    for number in 1..=50 {
        bytes.extend(peer.make(kind::OPERATION, REQUIRES_ACK, &insert(number, &collection, number)));
    }
    peer.write(&bytes).await?;
    drop(peer);
    send_again(&target, node, &collection, 50).await
}

async fn cut_often(target: Target) -> Verdict {
    let collection = target.collection();
    let first = Peer::welcome(&target).await?;
    let node = first.greeting()?.node;
    drop(first);
    for round in 1..=20_u64 {
        let last = round.saturating_mul(5);
        let hello = hello(&target).of(node, 1, last.saturating_add(1));
        let mut peer = Peer::greet(&target, &hello).await?;
        let mut bytes = Vec::new();
        for number in 1..=last {
            bytes.extend(peer.make(kind::OPERATION, REQUIRES_ACK, &insert(number, &collection, number)));
        }
        // Cut at bytes that differ from round to round, in frames and between them.
        let end = usize::try_from(round.wrapping_mul(7_919))
            .unwrap_or_default()
            .checked_rem(bytes.len())
            .unwrap_or(0);
        peer.write(bytes.get(..end).unwrap_or_default()).await?;
        drop(peer);
    }
    send_again(&target, node, &collection, 100).await
}

async fn then_new(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    for number in 1..=3 {
        peer.submit_bytes(&insert(number, &collection, number)).await?;
    }
    peer.outcome(3).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 2, 4)).await?;
    for number in 2..=5 {
        peer.submit_bytes(&insert(number, &collection, number)).await?;
    }
    peer.outcome(5).await?;
    ensure(peer.refusals.is_empty(), || format!("refused: {:?}", peer.refusals))?;
    same("the count of records", &peer.records(&collection).await?.len(), &5)
}

async fn two_nodes(target: Target) -> Verdict {
    let collection = target.collection();
    let (mut one, mut other) = (Peer::welcome(&target).await?, Peer::welcome(&target).await?);
    for number in 1..=5_u64 {
        one.submit_bytes(&insert(number, &collection, number)).await?;
        other.submit_bytes(&insert(number, &collection, number.saturating_add(100))).await?;
    }
    one.outcome(5).await?;
    other.outcome(5).await?;
    ensure(one.refusals.is_empty() && other.refusals.is_empty(), || {
        "one took the other's numbers".to_owned()
    })?;
    same("the count of records", &one.records(&collection).await?.len(), &10)
}

async fn unsent(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    peer.done(&collection, vec![Item::Insert(bulky(1, 500))]).await?;
    let mut peer = Peer::greet(&target, &hello(&target).of(node, 1, 2)).await?;
    same("node_decided", &peer.greeting()?.node_decided, &1)?;
    // Nothing is sent, so nothing is told.
    peer.is_quiet(crate::conformance::limits::QUIET).await?;
    same("the records", &peer.records(&collection).await?, &vec![bulky(1, 500)])?;
    let acked = |said: &Said| matches!(said, Said::Ack(ack) if ack.level == AckLevel::Durable).then_some(());
    peer.submit_bytes(&operation(1, DURABLE, &[(&collection, vec![Item::Insert(bulky(1, 500))])])).await?;
    peer.wait("the Ack", acked).await.map_err(|failure: Failure| failure.within("sent again"))
}
