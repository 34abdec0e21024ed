//! Requests: their ids, how many there may be, how they are cancelled, and faults of their payloads.

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, kind};
use crate::conformance::items::{Item, bulky, id, plain};
use crate::conformance::limits::{PLENTY, QUIET};
use crate::conformance::peer::Peer;
use crate::conformance::said::Said;
use crate::conformance::target::Target;
use crate::conformance::work::{ALL, EVERY, NONE, NOW, get, scan, watch};
use crate::wire::{ErrorCode, Subject};

cases! { Target:
    "request.id.rising" "Ids of requests rise, with gaps as the client likes" "P-7.6 C-6.1" Nothing rising_ids;
    "request.id.same" "An id that comes twice is request_id_not_increasing" "P-7.6 C-6.1" Nothing same_id;
    "request.id.falling" "An id that falls is request_id_not_increasing, over queries and subscriptions together" "P-7.6 C-6.1" Nothing falling_id;
    "request.id.refused" "The id of a request that was refused is used up" "C-6.1 P-7.6" Nothing refused_id;
    "request.id.zero" "A request of id 0, or without a whole id, ends the connection" "P-3.5 P-4.3 P-4.5" Nothing zero_id;
    "request.limit" "A request beyond request_limit is too_many, and one that has ended makes room" "P-7.7 C-6.2 C-6.3" Nothing limit;
    "request.many" "Many requests at once are each answered to their end" "C-6.2 P-4.4.2" Nothing many;
    "request.cancel" "A query that is cancelled ends with the Error cancelled" "P-4.9.1 C-6.5" Nothing cancel;
    "request.cancel.twice" "A query that is cancelled twice is answered once" "C-6.5 P-4.9.1" Nothing cancel_twice;
    "request.cancel.ended" "A Cancel of what has ended, or never was, is ignored" "P-4.9.1 C-6.5" Nothing cancel_ended;
    "request.cancel.flowing" "A query that is cancelled in its midst ends with its last frame or cancelled, and nothing follows" "C-6.5 P-4.4.2" Nothing cancel_flowing;
    "request.unsubscribe" "A subscription that is unsubscribed ends with the Event ended" "P-4.9.1 C-6.5" Nothing unsubscribe;
    "request.unsubscribe.ended" "An Unsubscribe of what has ended, or never was, is ignored" "P-4.9.1 C-6.5" Nothing unsubscribe_ended;
    "request.unsubscribe.quiet" "Nothing follows the Event ended" "C-6.7 P-4.8.1" Nothing quiet_behind_ended;
    "request.churn" "A client that cancels faster than 20 a second is told too_many with retry_after_ms at most" "C-6.3" Nothing churn;
    "fault.query.truncated" "A Query that ends inside a field behind its id is refused alone" "P-3.4 P-3.5" Nothing query_truncated;
    "fault.query.kind" "A kind of query that is none is invalid_field, one for later is not_supported" "P-4.3.2 P-3.4" Nothing query_kind;
    "fault.query.fields" "Fields of a query that name nothing are invalid_field" "P-3.4 P-4.3" Nothing query_fields;
    "fault.query.names" "A query of a collection whose name breaks the rules is invalid_name" "P-1.8 P-3.5" Nothing query_names;
    "fault.query.trailing" "Bytes behind a Query that are no extension are trailing_bytes; an extension is ignored" "P-3.2 P-3.3 P-3.5" Nothing query_trailing;
    "fault.subscribe.truncated" "A Subscribe that ends inside a field behind its id is refused alone" "P-3.4 P-3.5" Nothing subscribe_truncated;
    "fault.subscribe.fields" "A mode or start that is none is invalid_field" "P-4.5 P-3.4" Nothing subscribe_fields;
    "fault.subscribe.names" "A subscription to a collection whose name breaks the rules is invalid_name" "P-1.8 P-3.5" Nothing subscribe_names;
    "fault.control.truncated" "A message without a number of its own that ends inside a field ends the connection" "P-3.4 P-3.5" Nothing control_truncated;
    "fault.control.trailing" "Bytes behind such a message that are no extension end the connection" "P-3.2 P-3.5" Nothing control_trailing;
    "fault.control.zero" "Cancel and Unsubscribe of id 0 are invalid_field" "P-4.9 P-3.4" Nothing control_zero;
    "fault.control.extension" "Their extensions are ignored" "P-3.3" Nothing control_extension;
}

/// Sends a request of this id that asks for nothing of note.
async fn send_scan(peer: &mut Peer, id: u64, collection: &str) -> Verdict {
    let payload = Fields::new().u64(id).u64(PLENTY).u64(PLENTY).bytes(&scan(collection).done()).done();
    peer.send(kind::QUERY, &payload).await
}

async fn with_record(target: &Target) -> Result<(Peer, String), Failure> {
    let collection = target.collection();
    let mut peer = Peer::welcome(target).await?;
    peer.done(&collection, vec![Item::Upsert(plain(1))]).await?;
    Ok((peer, collection))
}

async fn rising_ids(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    for id in [1, 2, 7, 1 << 32, (1 << 63) + 5, u64::MAX] {
        send_scan(&mut peer, id, &collection).await?;
        same("the count of rows", &peer.answer(id).await?.rows.len(), &1)?;
    }
    Ok(())
}

async fn same_id(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    send_scan(&mut peer, 5, &collection).await?;
    peer.answer(5).await?;
    send_scan(&mut peer, 5, &collection).await?;
    peer.ends_by(ErrorCode::RequestIdNotIncreasing).await
}

async fn falling_id(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    let subscribe = Fields::new().u64(9).u64(1).u64(1).bytes(&watch(EVERY, NOW, &collection).done()).done();
    peer.send(kind::SUBSCRIBE, &subscribe).await?;
    send_scan(&mut peer, 8, &collection).await?;
    peer.ends_by(ErrorCode::RequestIdNotIncreasing).await
}

async fn refused_id(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    peer.next_request = 4;
    let asked = peer.ask(ALL, Fields::new().u8(77).u8(0)).await?;
    peer.request_refused(asked, ErrorCode::InvalidField).await?;
    send_scan(&mut peer, 4, &collection).await?;
    peer.ends_by(ErrorCode::RequestIdNotIncreasing).await
}

async fn zero_id(target: Target) -> Verdict {
    let collection = target.collection();
    for (message_type, body) in
        [(kind::QUERY, scan(&collection)), (kind::SUBSCRIBE, watch(EVERY, NOW, &collection))]
    {
        let mut peer = Peer::welcome(&target).await?;
        let payload = Fields::new().u64(0).u64(1).u64(1).bytes(&body.done()).done();
        peer.send(message_type, &payload).await?;
        peer.ends_by(ErrorCode::InvalidField).await?;
        for length in [0, 1, 7] {
            let mut peer = Peer::welcome(&target).await?;
            peer.send(message_type, &vec![1; length]).await?;
            peer.ends_by(ErrorCode::Truncated).await?;
        }
    }
    Ok(())
}

async fn limit(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    let limit = u64::from(peer.greeting()?.request_limit);
    let mut first = 0;
    for number in 0..limit.min(5_000) {
        let id = peer.subscribe(NONE, watch(EVERY, NOW, &collection)).await?;
        if number == 0 {
            first = id;
        }
    }
    for _ in 0..2 {
        let over = peer.ask(ALL, scan(&collection)).await?;
        peer.request_refused(over, ErrorCode::TooMany).await?;
    }
    if first > 0 {
        peer.unsubscribe(first).await?;
        peer.query(scan(&collection)).await?;
    }
    peer.is_alive().await
}

async fn many(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, (1..=30).map(|number| Item::Insert(bulky(number, 4_000))).collect()).await?;
    let count = peer.greeting()?.request_limit.min(40);
    let mut asked = Vec::new();
    for _ in 0..count {
        asked.push(peer.ask(ALL, scan(&collection)).await?);
    }
    for id in asked.into_iter().rev() {
        same(format!("the rows of {id}"), &peer.answer(id).await?.rows.len(), &30)?;
    }
    Ok(())
}

async fn cancel(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    let asked = peer.ask(NONE, scan(&collection)).await?;
    peer.send(kind::CANCEL, &Fields::new().u64(asked).done()).await?;
    peer.request_refused(asked, ErrorCode::Cancelled).await?;
    peer.is_alive().await
}

async fn cancel_twice(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    let asked = peer.ask(NONE, scan(&collection)).await?;
    for _ in 0..3 {
        peer.send(kind::CANCEL, &Fields::new().u64(asked).done()).await?;
    }
    peer.request_refused(asked, ErrorCode::Cancelled).await?;
    peer.is_quiet(QUIET).await?;
    peer.is_alive().await
}

async fn cancel_ended(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    let asked = peer.ask(ALL, scan(&collection)).await?;
    peer.answer(asked).await?;
    for id in [asked, 1_000, u64::MAX] {
        peer.send(kind::CANCEL, &Fields::new().u64(id).done()).await?;
    }
    peer.is_quiet(QUIET).await?;
    peer.is_alive().await
}

async fn cancel_flowing(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, (1..=60).map(|number| Item::Insert(bulky(number, 4_000))).collect()).await?;
    for _ in 0..10 {
        let asked = peer.ask(ALL, scan(&collection)).await?;
        peer.part_of(asked).await?;
        peer.send(kind::CANCEL, &Fields::new().u64(asked).done()).await?;
        let end = |said: &Said| match said {
            Said::Answer(part) if part.id == asked => part.last.then(|| "last".to_owned()),
            Said::Error(complaint) if complaint.subject == Subject::Request(asked) => Some(complaint.name()),
            _ => None,
        };
        let ended = peer.wait("the end of the answer", end).await?;
        ensure(ended == "last" || ended == "cancelled", || format!("it ended with {ended}"))?;
        peer.forget();
    }
    peer.is_alive().await
}

async fn unsubscribe(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    let watched = peer.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    peer.unsubscribe(watched).await?;
    peer.is_alive().await
}

async fn unsubscribe_ended(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    let watched = peer.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    peer.unsubscribe(watched).await?;
    for id in [watched, 1_000, u64::MAX] {
        peer.send(kind::UNSUBSCRIBE, &Fields::new().u64(id).done()).await?;
    }
    peer.is_quiet(QUIET).await?;
    peer.is_alive().await
}

async fn quiet_behind_ended(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    let watched = peer.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    peer.unsubscribe(watched).await?;
    let mut writer = Peer::welcome(&target).await?;
    writer.done(&collection, vec![Item::Upsert(plain(2))]).await?;
    peer.is_quiet(QUIET).await
}

async fn churn(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    for _ in 0..600 {
        let watched = peer.subscribe(NONE, watch(EVERY, NOW, &collection)).await?;
        peer.send(kind::UNSUBSCRIBE, &Fields::new().u64(watched).done()).await?;
        let end = |said: &Said| match said {
            Said::Event(tiding) if tiding.id == watched => Some(None),
            Said::Error(complaint) if complaint.subject == Subject::Request(watched) => {
                Some(Some(complaint.clone()))
            }
            _ => None,
        };
        if let Some(complaint) = peer.wait("the end of the subscription", end).await? {
            same("the code", &complaint.name(), &"too_many".to_owned())?;
            let pause = complaint.number("retry_after_ms");
            ensure(pause.is_some_and(|pause| pause > 0), || format!("retry_after_ms is {pause:?} (C-6.3)"))?;
            break;
        }
    }
    peer.is_alive().await
}

/// A Query with everything that one may have, behind its id and credit.
fn rich_query(target: &Target) -> Fields {
    let head = Fields::new().u8(2).u8(1).bytes(&[0; 16]).str(&target.collection()).u8(1).u64(5);
    head.u8(1).id(id(1)).u8(2).id(id(9))
}

async fn each_length(target: &Target, message_type: u8, body: Fields) -> Verdict {
    let mut peer = Peer::welcome(target).await?;
    let whole = body.done();
    let credit = 16_usize;
    for length in 0..whole.len().saturating_add(credit) {
        let id = peer.next_request;
        peer.next_request = id.saturating_add(1);
        let payload = Fields::new().u64(id).u64(1).u64(1).bytes(&whole).done();
        peer.wait_for_room().await?;
        peer.send(message_type, payload.get(..length.saturating_add(8)).unwrap_or_default()).await?;
        let refused = peer.request_refused(id, ErrorCode::Truncated).await;
        refused.map_err(|failure| {
            failure.within(format_args!("{} of {} bytes", length.saturating_add(8), payload.len()))
        })?;
    }
    peer.is_alive().await
}

async fn query_truncated(target: Target) -> Verdict {
    each_length(&target, kind::QUERY, rich_query(&target)).await?;
    let ids = get(&target.collection(), &[id(1), id(2)]);
    each_length(&target, kind::QUERY, ids).await
}

async fn subscribe_truncated(target: Target) -> Verdict {
    let body =
        crate::conformance::work::watch_after(EVERY, crate::wire::Position::default(), &target.collection());
    each_length(&target, kind::SUBSCRIBE, body).await
}

/// Asks what must be refused, over one connection.
async fn all_refused(target: &Target, message_type: u8, bodies: Vec<(Fields, ErrorCode)>) -> Verdict {
    let mut peer = Peer::welcome(target).await?;
    for (body, code) in bodies {
        let what = format!("{:02x?}", body.clone().done());
        let asked = peer.request(message_type, ALL, body).await?;
        peer.request_refused(asked, code).await.map_err(|failure| failure.within(what))?;
    }
    peer.is_alive().await
}

async fn query_kind(target: Target) -> Verdict {
    let of = |kind: u8, code| (Fields::new().u8(kind).bytes(b"\xFFwhatever follows"), code);
    let later = [of(4, ErrorCode::NotSupported), of(5, ErrorCode::NotSupported)];
    let none = [0, 6, 7, 128, 255].map(|kind| of(kind, ErrorCode::InvalidField));
    all_refused(&target, kind::QUERY, later.into_iter().chain(none).collect()).await
}

async fn query_fields(target: Target) -> Verdict {
    let name = target.collection();
    let scan = |flags: u8, lower: u8| {
        Fields::new().u8(2).u8(0).str(&name).u8(flags).u64(0).u8(lower).bytes(&[0; 17])
    };
    let wrong = vec![
        Fields::new().u8(1).u8(2).str(&name).u16(1).id(id(1)),
        Fields::new().u8(1).u8(255).str(&name).u16(1).id(id(1)),
        Fields::new().u8(1).u8(0).str(&name).u16(0),
        scan(2, 0),
        scan(0x80, 0),
        scan(0, 3),
        scan(0, 255),
        Fields::new().u8(2).u8(0).str(&name).u8(0).u64(0).u8(0).u8(3).bytes(&[0; 16]),
    ];
    all_refused(&target, kind::QUERY, wrong.into_iter().map(|body| (body, ErrorCode::InvalidField)).collect())
        .await
}

/// Names that break the rules, and what is no name.
fn names() -> Vec<(Vec<u8>, ErrorCode)> {
    let name = |text: &str| (Fields::new().str(text).done(), ErrorCode::InvalidName);
    let value = |bytes: &[u8]| (bytes.to_vec(), ErrorCode::InvalidValue);
    let long = "a".repeat(65);
    vec![
        name(""),
        name("1"),
        name("a-b"),
        name("é"),
        name(&long),
        value(b"\x12\x01"),
        value(b"\x20"),
        value(b"\x0C"),
    ]
}

async fn query_names(target: Target) -> Verdict {
    let mut bodies = Vec::new();
    for (name, code) in names() {
        bodies.push((Fields::new().u8(2).u8(0).bytes(&name).u8(0).u64(0).u8(0).u8(0), code));
        bodies.push((Fields::new().u8(1).u8(0).bytes(&name).u16(1).id(id(1)), code));
        bodies.push((Fields::new().u8(3).u8(0).bytes(&name), code));
    }
    all_refused(&target, kind::QUERY, bodies).await
}

async fn query_trailing(target: Target) -> Verdict {
    let (mut peer, collection) = with_record(&target).await?;
    for behind in [&b"\x00"[..], b"\x0B", b"\x19"] {
        let asked = peer.ask(ALL, scan(&collection).bytes(behind)).await?;
        peer.request_refused(asked, ErrorCode::TrailingBytes).await?;
    }
    let asked = peer.ask(ALL, scan(&collection).dict("!x", 1)).await?;
    peer.request_refused(asked, ErrorCode::UnsupportedExtension).await?;
    same("the rows", &peer.query(scan(&collection).dict("x", 1)).await?.rows.len(), &1)
}

async fn subscribe_fields(target: Target) -> Verdict {
    let name = target.collection();
    let bodies = [(0, 0), (3, 0), (255, 0), (1, 3), (2, 255)];
    let bodies =
        bodies.map(|(mode, start)| (watch(mode, start, &name).bytes(&[0; 16]), ErrorCode::InvalidField));
    all_refused(&target, kind::SUBSCRIBE, bodies.into_iter().collect()).await
}

async fn subscribe_names(target: Target) -> Verdict {
    let body = |(name, code): (Vec<u8>, ErrorCode)| (Fields::new().u8(EVERY).u8(NOW).bytes(&name), code);
    all_refused(&target, kind::SUBSCRIBE, names().into_iter().map(body).collect()).await
}

/// Messages whose faults are the connection's, whole and right.
fn controls() -> Vec<(u8, Vec<u8>)> {
    let fields = Fields::new;
    vec![
        (kind::PING, fields().u64(1).done()),
        (kind::PONG, fields().u64(1).u64(0).done()),
        (kind::UNSUBSCRIBE, fields().u64(1).done()),
        (kind::CANCEL, fields().u64(1).done()),
        (kind::CREDIT, fields().u8(2).u64(1).u64(1).u64(1).done()),
        (kind::GOODBYE, fields().u16(0).u32(0).str("bye").done()),
        (kind::ERROR, fields().u8(0).u64(0).u16(7).str("x").null().done()),
    ]
}

async fn control_truncated(target: Target) -> Verdict {
    for (message_type, payload) in controls() {
        for length in 0..payload.len() {
            let mut peer = Peer::welcome(&target).await?;
            peer.send(message_type, payload.get(..length).unwrap_or_default()).await?;
            let ended = peer.ends_by(ErrorCode::Truncated).await;
            ended.map_err(|failure| {
                failure.within(format_args!("type {message_type:#04x}, {length} bytes"))
            })?;
        }
    }
    Ok(())
}

async fn control_trailing(target: Target) -> Verdict {
    for (message_type, payload) in controls() {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(message_type, &Fields::new().bytes(&payload).u8(0).done()).await?;
        let ended = peer.ends_by(ErrorCode::TrailingBytes).await;
        ended.map_err(|failure| failure.within(format_args!("type {message_type:#04x}")))?;
    }
    Ok(())
}

async fn control_zero(target: Target) -> Verdict {
    for message_type in [kind::CANCEL, kind::UNSUBSCRIBE] {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(message_type, &Fields::new().u64(0).done()).await?;
        peer.ends_by(ErrorCode::InvalidField).await?;
    }
    Ok(())
}

async fn control_extension(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    for (message_type, payload) in controls().into_iter().take(5) {
        peer.send(message_type, &Fields::new().bytes(&payload).dict("later", 1).done()).await?;
    }
    peer.forget();
    peer.send(kind::PING, &Fields::new().u64(555).done()).await?;
    let pong = |said: &Said| matches!(said, Said::Pong { nonce: 555, .. }).then_some(());
    peer.wait("the Pong", pong).await
}
