//! What survives a kill: everything that was acknowledged as durable, and who had what number.

use std::time::Duration;

use uuid::Uuid;

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{REQUIRES_ACK, kind};
use crate::conformance::hello::Hello;
use crate::conformance::items::{DURABLE, Item, id, operation, plain};
use crate::conformance::peer::Peer;
use crate::conformance::said::What;
use crate::conformance::target::Target;
use crate::conformance::work::{ALL, EVERY, NOW, watch, watch_after};
use crate::wire::ErrorCode;

cases! { Target:
    "durable.acked" "What was acknowledged as durable is there after a kill" "E-5.1 P-7.3 S-5.1" Restart acked;
    "durable.outcomes" "Refusals are kept, too: an operation sent again after a kill gets its first outcome" "E-4.1 C-5.8" Restart outcomes;
    "durable.once" "Operations under way at a kill have one effect, sent again" "C-10.1 C-5.8 E-4.1" Restart once;
    "durable.decided" "A node is told at least what was acknowledged to it" "C-10.1 E-4.1" Restart decided;
    "durable.watch" "A subscription goes on after a kill, without gap or repetition" "L-1.2 C-6.8" Restart watches;
}

/// Kills the server and waits until it welcomes again.
async fn kill(target: &Target) -> Verdict {
    let Some(restart) = target.restart.clone() else { return Err(Failure::new("there is no --restart")) };
    let done = tokio::task::spawn_blocking(move || restart()).await;
    done.map_err(Failure::new)?.map_err(|error| Failure::new(format_args!("the restart failed: {error}")))?;
    for _ in 0..200 {
        if let Ok(peer) = Peer::welcome(target).await {
            return peer.part().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(Failure::new("the server does not come back within 10 s"))
}

fn as_node(target: &Target, node: Uuid, oldest: u64, next: u64) -> Hello {
    Hello::new(target.url.database()).of(node, oldest, next)
}

async fn acked(target: Target) -> Verdict {
    let collection = target.collection();
    for round in 0..3_u64 {
        let mut peer = Peer::welcome(&target).await?;
        for number in 1..=20_u64 {
            peer.done(
                &collection,
                vec![Item::Insert(plain(round.saturating_mul(20).saturating_add(number)))],
            )
            .await?;
        }
        kill(&target).await?;
        let mut peer = Peer::welcome(&target).await?;
        let there = u64::try_from(peer.records(&collection).await?.len()).unwrap_or_default();
        same("the count of records", &there, &round.saturating_add(1).saturating_mul(20))?;
    }
    Ok(())
}

async fn outcomes(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    peer.refused(&collection, vec![Item::Insert(plain(1))], ErrorCode::AlreadyExists).await?;
    peer.done(&collection, vec![Item::Delete(id(1))]).await?;
    kill(&target).await?;
    let mut peer = Peer::greet(&target, &as_node(&target, node, 2, 4)).await?;
    peer.refused(&collection, vec![Item::Insert(plain(1))], ErrorCode::AlreadyExists).await?;
    peer.done(&collection, vec![Item::Delete(id(1))]).await?;
    same("the records", &peer.records(&collection).await?, &vec![])
}

fn insert(number: u64, collection: &str) -> Vec<u8> {
    operation(number, DURABLE, &[(collection, vec![Item::Insert(plain(number))])])
}

async fn once(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    let mut bytes = Vec::new();
    for number in 1..=300 {
        bytes.extend(peer.make(kind::OPERATION, REQUIRES_ACK, &insert(number, &collection)));
    }
    peer.write(&bytes).await?;
    peer.outcome(50).await?;
    let told = peer.durable.last().map_or(0, |ack| ack.number);
    kill(&target).await?;
    let mut peer = Peer::greet(&target, &as_node(&target, node, 1, 301)).await?;
    let decided = peer.greeting()?.node_decided;
    ensure(decided >= told, || format!("{told} were acknowledged, {decided} are decided"))?;
    for number in 1..=300 {
        peer.submit_bytes(&insert(number, &collection)).await?;
    }
    peer.outcome(300).await?;
    ensure(peer.refusals.is_empty(), || format!("{:?} took effect twice", peer.refusals.keys()))?;
    same("the count of records", &peer.records(&collection).await?.len(), &300)
}

async fn decided(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    for number in 1..=10 {
        peer.done(&collection, vec![Item::Upsert(plain(number))]).await?;
    }
    kill(&target).await?;
    let peer = Peer::greet(&target, &as_node(&target, node, 11, 11)).await?;
    same("node_decided", &peer.greeting()?.node_decided, &10)
}

async fn watches(target: Target) -> Verdict {
    let collection = target.collection();
    let mut writer = Peer::welcome(&target).await?;
    writer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let mut reader = Peer::welcome(&target).await?;
    let watched = reader.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    let (_, mut position) = reader.changes_to_caught_up(watched).await?;
    let mut told = Vec::new();
    for number in 2..=6 {
        writer.done(&collection, vec![Item::Insert(plain(number))]).await?;
    }
    while told.len() < 3 {
        let tiding = reader.event(watched).await?;
        position = tiding.position;
        if let What::Changes(changes) = tiding.what {
            told.extend(changes);
        }
    }
    kill(&target).await?;
    let mut writer = Peer::welcome(&target).await?;
    writer.done(&collection, vec![Item::Insert(plain(7))]).await?;
    let mut reader = Peer::welcome(&target).await?;
    let watched = reader.subscribe(ALL, watch_after(EVERY, position, &collection)).await?;
    told.extend(reader.changes_to_caught_up(watched).await?.0);
    let dids: Vec<_> = told.into_iter().map(|change| change.did).collect();
    let expected: Vec<_> = (2..=7).map(|number| crate::conformance::said::Did::Put(plain(number))).collect();
    same("what is told", &dids, &expected)
}
