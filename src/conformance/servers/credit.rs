//! Credit: what may be sent, what comes back, and that one account says nothing of another.

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, count_of, kind};
use crate::conformance::items::{DURABLE, Item, bulky, id, of_length, operation, plain};
use crate::conformance::limits::{PATIENCE, PLENTY, QUIET, deadline};
use crate::conformance::peer::Peer;
use crate::conformance::said::{Did, Said, What};
use crate::conformance::target::Target;
use crate::conformance::work::{ALL, EVERY, NONE, NOW, get, scan, watch};
use crate::wire::message::CreditScope;
use crate::wire::{ErrorCode, Lane, Subject};

cases! { Target:
    "credit.work.returns" "Thrice the first limit of frames goes through the work lane" "P-9.6 C-3.1 C-3.2" Nothing frames_return;
    "credit.work.bytes" "Thrice the first limit of bytes goes through the work lane" "P-9.6 C-3.1" Nothing bytes_return;
    "credit.work.requests" "Queries spend the work lane, and their credit returns" "P-9.1 P-9.6" Nothing requests_return;
    "credit.work.malformed" "What is refused for its payload returns its credit" "C-3.4 P-9.6" Nothing malformed_returns;
    "credit.work.exceeded" "A frame without credit is credit_exceeded" "P-9.4 C-3.1" Nothing exceeded;
    "credit.telemetry" "Telemetry spends its own lane, is told not_supported, and its credit returns" "P-2.8 P-9.1 C-7.1" Nothing telemetry;
    "credit.answer.none" "Without credit nothing of an answer is sent, not even its end" "P-9.1 P-9.4 P-4.4.2" Nothing no_answer;
    "credit.answer.frames" "An answer comes frame by frame as its credit does, and is whole" "P-9.4 C-6.6" Nothing frame_by_frame;
    "credit.answer.bytes" "One byte of credit lets one frame of any size through" "P-9.4" Nothing one_byte;
    "credit.answer.either" "Frames without bytes, or bytes without frames, let nothing through" "P-9.4" Nothing either;
    "credit.answer.most" "Limits of 2^64 - 1 are limits" "P-9.3" Nothing most;
    "credit.answer.apart" "An answer without credit holds up neither other answers nor operations" "P-9.7 C-3.5" Nothing apart;
    "credit.error.free" "The Error of a request needs no credit" "P-9.1" Nothing free_error;
    "credit.ended.free" "The Event ended needs no credit" "P-9.1 C-3.5" Nothing free_ended;
    "credit.events.parked" "A subscription without credit is told nothing, and then everything, in order" "L-1.4 C-6.6 P-9.6" Nothing parked;
    "credit.events.one" "A subscription with a frame at a time is told everything" "P-9.4 C-6.6" Nothing events_one_by_one;
    "credit.falling.frames" "A limit of frames that falls is invalid_credit" "P-9.3 C-3.1" Nothing falling_frames;
    "credit.falling.bytes" "A limit of bytes that falls is invalid_credit" "P-9.3 C-3.1" Nothing falling_bytes;
    "credit.same" "A limit that stays is no fault" "P-9.3" Nothing standing;
    "credit.lane" "A client that raises a lane's limits is told invalid_credit" "P-9.3" Nothing foreign_lane;
    "credit.ended" "Credit for a request that has ended, or never was, is ignored" "P-9.3 C-6.7" Nothing ended;
    "credit.scope" "A Credit with a scope or id that is none is invalid_field" "P-4.9 P-3.4" Nothing scope;
}

async fn frames_return(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let count = peer.greeting()?.work.frames.saturating_mul(3).min(20_000);
    for number in 1..=count {
        peer.submit(&[(&collection, vec![Item::Delete(id(number))])]).await?;
    }
    peer.outcome(count).await.map(drop)
}

async fn bytes_return(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let bytes = peer.greeting()?.work.bytes.saturating_mul(3).min(64 << 20);
    let mut last = 0;
    while peer.worked.1 < bytes {
        last = peer.submit(&[(&collection, vec![Item::Upsert(of_length(1, 1_000_000))])]).await?;
    }
    peer.outcome(last).await.map(drop)
}

async fn requests_return(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let count = peer.greeting()?.work.frames.saturating_mul(2).min(5_000);
    for _ in 0..count {
        let rows = peer.query(get(&collection, &[id(1)])).await?.rows.len();
        same("the count of rows", &rows, &1)?;
    }
    Ok(())
}

async fn malformed_returns(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let count = peer.greeting()?.work.frames.saturating_mul(2).min(5_000);
    for _ in 0..count {
        // A kind of query that is none.
        let asked = peer.ask(ALL, Fields::new().u8(9).u8(0)).await?;
        peer.request_refused(asked, ErrorCode::InvalidField).await?;
    }
    peer.is_alive().await
}

/// Queries that wait for a position that does not come, each so long that a server has reason to hold its credit.
async fn exceeded(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let position = peer.done(&collection, vec![Item::Insert(plain(1))]).await?.position;
    let ids = vec![id(1); 60_000];
    let mut bytes = Vec::new();
    let mut spent = Vec::new();
    for number in 1..=12_u64 {
        let head = Fields::new().u64(number).u64(PLENTY).u64(PLENTY).u8(1).u8(1);
        let ahead = crate::wire::Position { seq: position.seq.saturating_add(1 << 40), ..position };
        let named = head.position(ahead).str(&collection).u16(count_of(&ids));
        let payload = ids.iter().fold(named, |fields, id| fields.id(*id)).done();
        spent.push(peer.worked);
        bytes.extend(peer.make(kind::QUERY, 0, &payload));
    }
    peer.flood(&bytes).await?;
    let alive = Fields::new().u64(77).done();
    peer.send(kind::PING, &alive).await?;
    loop {
        match peer.next("a Pong, or the Error credit_exceeded").await? {
            Said::Error(complaint) if complaint.subject == Subject::Connection => {
                same("the code", &complaint.name(), &"credit_exceeded".to_owned())?;
                return peer.ends().await;
            }
            Said::Pong { .. } => break,
            Said::End => return Err(Failure::new("the connection ended without an Error (C-1.3)")),
            _ => {}
        }
    }
    // It goes on, so its limits must have covered every frame when they were sent.
    let limit = peer.rules.work();
    let over = spent.iter().position(|(frames, bytes)| *frames >= limit.frames || *bytes >= limit.bytes);
    ensure(over.is_none(), || format!("frame {over:?} was taken beyond the limit {limit:?}"))
}

async fn telemetry(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let first = peer.greeting()?.telemetry;
    if first.frames == 0 || first.bytes == 0 {
        peer.send(kind::TELEMETRY, b"anything").await?;
        return peer.ends_by(ErrorCode::CreditExceeded).await;
    }
    let mut limit = first.frames;
    for sent in 0..first.frames.saturating_mul(3).min(1_000) {
        while sent >= limit {
            let raised = |said: &Said| match said {
                Said::Credit(credit) if credit.scope == CreditScope::Lane(Lane::Telemetry) => {
                    Some(credit.limit.frames)
                }
                _ => None,
            };
            limit = peer.wait("the Credit of the telemetry lane", raised).await?;
        }
        peer.send(kind::TELEMETRY, b"anything").await?;
        let told = |said: &Said| match said {
            Said::Error(complaint) => Some(complaint.name()),
            _ => None,
        };
        same("the code", &peer.wait("the Error", told).await?, &"not_supported".to_owned())?;
    }
    peer.is_alive().await
}

/// A collection whose answer takes several frames.
async fn large(target: &Target, peer: &mut Peer) -> Result<String, Failure> {
    let collection = target.collection();
    let items = (1..=60).map(|number| Item::Insert(bulky(number, 4_000)));
    peer.done(&collection, items.collect()).await?;
    Ok(collection)
}

async fn no_answer(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let asked = peer.ask(NONE, get(&collection, &[id(1)])).await?;
    let empty = peer.ask(NONE, get(&collection, &[id(2)])).await?;
    peer.is_quiet(QUIET).await?;
    peer.grant(empty, (1, 1)).await?;
    same("the rows of nothing", &peer.answer(empty).await?.rows.len(), &0)?;
    peer.is_quiet(QUIET).await?;
    peer.grant(asked, (1, 1)).await?;
    same("the rows", &peer.answer(asked).await?.rows.len(), &1)
}

async fn frame_by_frame(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let collection = large(&target, &mut peer).await?;
    let asked = peer.ask((1, PLENTY), scan(&collection)).await?;
    let (mut frames, mut rows) = (0_u64, 0_usize);
    loop {
        let part = peer.part_of(asked).await?;
        frames = frames.saturating_add(1);
        rows = rows.saturating_add(part.rows.len());
        if part.last {
            break;
        }
        // The rules hold it to its credit; a little while shows that nothing more comes.
        peer.is_quiet(std::time::Duration::from_millis(10)).await?;
        peer.grant(asked, (frames.saturating_add(1), PLENTY)).await?;
    }
    ensure(frames > 3, || format!("240 KB came in {frames} frames (P-4.4.1)"))?;
    same("the count of rows", &rows, &60)
}

async fn one_byte(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let collection = large(&target, &mut peer).await?;
    let asked = peer.ask((PLENTY, 1), scan(&collection)).await?;
    let mut granted = 1_u64;
    let mut rows = 0_usize;
    loop {
        let part = peer.part_of(asked).await?;
        rows = rows.saturating_add(part.rows.len());
        if part.last {
            return same("the count of rows", &rows, &60);
        }
        // More than any frame of 32 KiB, so that the next limit is above what was sent.
        granted = granted.saturating_add(40_000);
        peer.grant(asked, (PLENTY, granted)).await?;
    }
}

async fn either(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let frames = peer.ask((PLENTY, 0), get(&collection, &[id(1)])).await?;
    let bytes = peer.ask((0, PLENTY), get(&collection, &[id(1)])).await?;
    peer.is_quiet(QUIET).await?;
    peer.grant(frames, (PLENTY, 1)).await?;
    peer.answer(frames).await?;
    peer.grant(bytes, (1, PLENTY)).await?;
    peer.answer(bytes).await.map(drop)
}

async fn most(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let asked = peer.ask((u64::MAX, u64::MAX), scan(&collection)).await?;
    peer.answer(asked).await?;
    let asked = peer.ask(NONE, scan(&collection)).await?;
    peer.grant(asked, (u64::MAX, u64::MAX)).await?;
    same("the count of rows", &peer.answer(asked).await?.rows.len(), &1)
}

async fn apart(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let collection = large(&target, &mut peer).await?;
    let many = u64::from(peer.greeting()?.request_limit).saturating_sub(2).min(50);
    for _ in 0..many {
        peer.ask(NONE, scan(&collection)).await?;
    }
    peer.done(&collection, vec![Item::Insert(plain(100))]).await?;
    same("the count of rows", &peer.query(scan(&collection)).await?.rows.len(), &61)
}

async fn free_error(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let asked = peer.ask(NONE, scan(&collection)).await?;
    peer.request_refused(asked, ErrorCode::UnknownCollection).await.map(drop)
}

async fn free_ended(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let watched = peer.subscribe(NONE, watch(EVERY, NOW, &collection)).await?;
    peer.unsubscribe(watched).await
}

/// The numbers of the records that changes put.
fn numbers(changes: &[crate::conformance::said::Change]) -> Vec<Vec<u8>> {
    let put = |change: &crate::conformance::said::Change| match &change.did {
        Did::Put(record) => Some(record.clone()),
        _ => None,
    };
    changes.iter().filter_map(put).collect()
}

async fn parked(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let watched = peer.subscribe(NONE, watch(EVERY, NOW, &collection)).await?;
    // A subscription begins where the server takes it; a Pong behind it shows that it did.
    peer.is_alive().await?;
    for number in 2..=40 {
        peer.done(&collection, vec![Item::Insert(plain(number))]).await?;
    }
    peer.is_quiet(QUIET).await?;
    peer.grant(watched, ALL).await?;
    let (changes, _) = peer.changes_to_caught_up(watched).await?;
    same("the records told", &numbers(&changes), &(2..=40).map(plain).collect())
}

async fn events_one_by_one(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let watched = peer.subscribe((1, PLENTY), watch(EVERY, NOW, &collection)).await?;
    let mut writer = Peer::welcome(&target).await?;
    let (mut granted, mut told) = (1_u64, Vec::new());
    let mut writing = 2_u64;
    let until = deadline(PATIENCE);
    while told.len() < 39 {
        ensure(tokio::time::Instant::now() < until, || format!("{} of 39 changes were told", told.len()))?;
        if writing <= 40 {
            writer.done(&collection, vec![Item::Insert(plain(writing))]).await?;
            writing = writing.saturating_add(1);
        }
        let tiding = peer.event(watched).await?;
        if let What::Changes(changes) = tiding.what {
            told.extend(numbers(&changes));
        }
        granted = granted.saturating_add(1);
        peer.grant(watched, (granted, PLENTY)).await?;
    }
    same("the records told", &told, &(2..=40).map(plain).collect())
}

async fn falls(target: &Target, first: (u64, u64), then: (u64, u64)) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let watched = peer.subscribe(first, watch(EVERY, NOW, &collection)).await?;
    peer.grant(watched, then).await?;
    peer.ends_by(ErrorCode::InvalidCredit).await
}

async fn falling_frames(target: Target) -> Verdict {
    falls(&target, (10, 10_000), (9, 20_000)).await
}

async fn falling_bytes(target: Target) -> Verdict {
    falls(&target, (10, 10_000), (20, 9_999)).await
}

async fn standing(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let watched = peer.subscribe((10, 10_000), watch(EVERY, NOW, &collection)).await?;
    peer.grant(watched, (10, 10_000)).await?;
    peer.grant(watched, (10, 10_001)).await?;
    peer.is_alive().await?;
    peer.unsubscribe(watched).await
}

async fn foreign_lane(target: Target) -> Verdict {
    for lane in [0, 1] {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(kind::CREDIT, &Fields::new().u8(lane).u64(0).u64(PLENTY).u64(PLENTY).done()).await?;
        peer.ends_by(ErrorCode::InvalidCredit).await?;
    }
    Ok(())
}

async fn ended(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let asked = peer.ask(ALL, scan(&collection)).await?;
    peer.answer(asked).await?;
    peer.grant(asked, (0, 0)).await?;
    peer.grant(asked, ALL).await?;
    peer.grant(99_999, ALL).await?;
    peer.is_alive().await
}

async fn scope(target: Target) -> Verdict {
    let credit = |scope: u8, id: u64| Fields::new().u8(scope).u64(id).u64(1).u64(1).done();
    for (scope, id) in [(3, 1), (255, 1), (0, 1), (1, 7), (2, 0)] {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(kind::CREDIT, &credit(scope, id)).await?;
        let ended = peer.ends_by(ErrorCode::InvalidField).await;
        ended.map_err(|failure| failure.within(format_args!("scope {scope}, id {id}")))?;
    }
    let mut peer = Peer::welcome(&target).await?;
    let payload = operation(1, DURABLE, &[(&target.collection(), vec![Item::Delete(id(1))])]);
    peer.submit_bytes(&payload).await?;
    peer.outcome(1).await.map(drop)
}
