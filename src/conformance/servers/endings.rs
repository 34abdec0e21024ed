//! Errors, floods, Goodbyes and time: how a connection goes on, and how it ends.

use std::time::Duration;

use tokio::time::Instant;

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, REQUIRES_ACK, kind};
use crate::conformance::hello::Hello;
use crate::conformance::items::{DURABLE, Item, bulky, id, operation, plain};
use crate::conformance::limits::{PLENTY, QUIET};
use crate::conformance::peer::{Peer, goodbye, unexpected};
use crate::conformance::said::{Said, What};
use crate::conformance::target::Target;
use crate::conformance::work::{ALL, EVERY, NONE, NOW, get, scan, watch};
use crate::wire::ErrorCode;

cases! { Target:
    "error.last" "Behind the Error that ends a connection nothing comes, and nothing is acted on" "P-8.2 C-1.3" Nothing nothing_follows;
    "error.apart" "A connection that ends by its own fault disturbs no other" "C-1.1 P-8.1" Nothing others_go_on;
    "error.from-client" "An Error of scope connection from a client ends the connection, with any code" "C-1.4 P-4.7" Nothing error_from_client;
    "error.from-client.notice" "After an Error unknown_message_type from a client the connection goes on" "P-8.2 C-1.4" Nothing notice_from_client;
    "error.from-client.scope" "A client's Error of another scope is unexpected_message" "P-8.2 P-2.9" Nothing scoped_error;
    "error.from-client.fields" "An Error with a scope, id or code that is none is invalid_field" "P-4.7 P-3.4" Nothing error_fields;
    "error.refusals" "A thousand refusals in a row leave the connection as it was" "P-8.1 C-3.4" Nothing thousand_refusals;
    "ping.nonce" "A Pong has its Ping's nonce, whatever that is, and the server's clock" "C-9.7 P-4.9" Nothing nonces;
    "ping.pong" "A Pong that fits no Ping is ignored" "C-9.7" Nothing pong;
    "flood.pings" "Eight thousand Pings at once are taken" "C-8.4 P-9.1" Nothing honest_pings;
    "flood.control" "Pings without end are control_flood" "C-8.4 P-9.1" Nothing ping_flood;
    "flood.unknown" "Unknown messages without end are control_flood" "C-7.1 C-8.4" Nothing unknown_flood;
    "flood.cancels" "Cancels of nothing without end are control_flood" "C-8.4" Nothing cancel_flood;
    "flood.apart" "Who floods disturbs no other" "C-1.1 C-8.4" Nothing flood_apart;
    "flood.unread" "Answers that nobody reads hold up no other connection" "C-12 C-6.6" Nothing unread;
    "goodbye.client" "A client's Goodbye is answered by one, and the server ends the stream" "C-11.2 C-11.4 P-8.4" Nothing client_goodbye;
    "goodbye.outcomes" "Before the server's Goodbye every operation that arrived is told" "C-11.2 P-8.4" Nothing outcomes_first;
    "goodbye.requests" "Requests end with the Goodbye" "C-11.5" Nothing requests_end;
    "goodbye.code" "A Goodbye with any code and advice is one" "P-4.9" Nothing any_code;
    "goodbye.text" "A Goodbye's message has at most 1,024 bytes" "P-3.6" Nothing goodbye_text;
    "goodbye.none" "A client that hangs up without one leaves what it did" "C-1.1 C-5.3" Nothing without_goodbye;
    "time.ping" "A server that hears nothing for a heartbeat sends a Ping" "C-9.2" Time server_pings;
    "time.silence" "Silence of two and a half heartbeats is heartbeat_timeout" "C-9.3 P-10.3" Time silent;
    "time.trickle" "Single bytes are silence" "C-9.6 C-9.3" Time trickle;
    "time.alive" "A client that answers Pings stays" "C-9.2 C-9.7" Time answering;
    "time.heartbeat" "A subscription that stands still is told its position when others write" "L-5.1" Time heartbeat;
}

async fn nothing_follows(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let node = peer.greeting()?.node;
    // A fault, and behind it what would take effect.
    let mut bytes = peer.make(kind::CREDIT, 0, &[7]);
    bytes.extend(peer.make(
        kind::OPERATION,
        REQUIRES_ACK,
        &operation(2, DURABLE, &[(&collection, vec![Item::Insert(plain(2))])]),
    ));
    bytes.extend(peer.make(kind::PING, 0, &Fields::new().u64(1).done()));
    peer.write(&bytes).await?;
    peer.ends_by(ErrorCode::InvalidField).await?;
    let mut peer = Peer::greet(&target, &Hello::new(target.url.database()).of(node, 2, 3)).await?;
    same("node_decided", &peer.greeting()?.node_decided, &1)?;
    same("the records", &peer.records(&collection).await?, &vec![plain(1)])
}

async fn others_go_on(target: Target) -> Verdict {
    let collection = target.collection();
    let mut honest = Peer::welcome(&target).await?;
    for number in 1..=10 {
        let mut peer = Peer::welcome(&target).await?;
        peer.write(b"this is no frame at all").await?;
        peer.ends_by(ErrorCode::BadMagic).await?;
        honest.done(&collection, vec![Item::Insert(plain(number))]).await?;
    }
    Ok(())
}

fn error(scope: u8, id: u64, code: u16) -> Vec<u8> {
    Fields::new().u8(scope).u64(id).u16(code).str("a reason").null().done()
}

async fn error_from_client(target: Target) -> Verdict {
    for code in [1, 16, 500, 12_345, u16::MAX] {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(kind::ERROR, &error(0, 0, code)).await?;
        peer.ends().await.map_err(|failure| failure.within(format_args!("code {code}")))?;
    }
    Ok(())
}

async fn notice_from_client(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    for code in [ErrorCode::UnknownMessageType, ErrorCode::NotSupported] {
        peer.send(kind::ERROR, &error(0, 0, code.number())).await?;
    }
    peer.is_alive().await
}

async fn scoped_error(target: Target) -> Verdict {
    for scope in [1, 2] {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(kind::ERROR, &error(scope, 1, 500)).await?;
        peer.ends_by(ErrorCode::UnexpectedMessage).await?;
    }
    Ok(())
}

async fn error_fields(target: Target) -> Verdict {
    for (scope, id, code) in [(3, 1, 500), (0, 1, 500), (1, 0, 500), (2, 0, 500), (0, 0, 0)] {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(kind::ERROR, &error(scope, id, code)).await?;
        let ended = peer.ends_by(ErrorCode::InvalidField).await;
        ended.map_err(|failure| failure.within(format_args!("scope {scope}, id {id}, code {code}")))?;
    }
    Ok(())
}

async fn thousand_refusals(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let mut last = 0;
    for _ in 0..1_000 {
        last = peer.submit(&[(&collection, vec![Item::Insert(plain(1))])]).await?;
    }
    peer.outcome(last).await?;
    same("the count of refusals", &peer.refusals.len(), &1_000)?;
    peer.done(&collection, vec![Item::Insert(plain(2))]).await.map(drop)
}

async fn nonces(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let started = peer.greeting()?.clock_ms;
    for nonce in [0, 1, 0x0123_4567_89AB_CDEF, u64::MAX] {
        peer.send(kind::PING, &Fields::new().u64(nonce).done()).await?;
        let pong = |said: &Said| match said {
            Said::Pong { nonce, clock } => Some((*nonce, *clock)),
            _ => None,
        };
        let (found, clock) = peer.wait("the Pong", pong).await?;
        same("the nonce", &found, &nonce)?;
        let ms = clock >> 16;
        ensure(ms >= started && ms < started.saturating_add(60_000), || {
            format!("the clock went from {started} to {ms}")
        })?;
    }
    Ok(())
}

async fn pong(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    for nonce in [0, 7, u64::MAX] {
        peer.send(kind::PONG, &Fields::new().u64(nonce).u64(0).done()).await?;
    }
    peer.is_quiet(QUIET).await?;
    peer.is_alive().await
}

fn frames(peer: &mut Peer, message_type: u8, count: u64) -> Vec<u8> {
    (1..=count).flat_map(|number| peer.make(message_type, 0, &Fields::new().u64(number).done())).collect()
}

async fn honest_pings(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let bytes = frames(&mut peer, kind::PING, 8_000);
    peer.flood(&bytes).await?;
    let last = |said: &Said| matches!(said, Said::Pong { nonce: 8_000, .. }).then_some(());
    peer.wait("the Pong of the last Ping", last).await
}

async fn floods(target: &Target, message_type: u8) -> Verdict {
    let mut peer = Peer::welcome(target).await?;
    // At 200 a second and 8,192 at once, so many take longer than any case.
    let bytes = frames(&mut peer, message_type, 40_000);
    peer.flood(&bytes).await?;
    peer.ends_by(ErrorCode::ControlFlood).await
}

async fn ping_flood(target: Target) -> Verdict {
    floods(&target, kind::PING).await
}

async fn unknown_flood(target: Target) -> Verdict {
    floods(&target, 0x7E).await
}

async fn cancel_flood(target: Target) -> Verdict {
    floods(&target, kind::CANCEL).await
}

async fn flood_apart(target: Target) -> Verdict {
    let collection = target.collection();
    let mut honest = Peer::welcome(&target).await?;
    let mut peer = Peer::welcome(&target).await?;
    let bytes = frames(&mut peer, kind::UNSUBSCRIBE, 40_000);
    let honest = async {
        for number in 1..=50 {
            honest.done(&collection, vec![Item::Insert(plain(number))]).await?;
        }
        Ok::<(), Failure>(())
    };
    let flood = async {
        peer.flood(&bytes).await?;
        peer.ends_by(ErrorCode::ControlFlood).await
    };
    let (honest, flood) = tokio::join!(honest, flood);
    honest.and(flood)
}

async fn unread(target: Target) -> Verdict {
    let collection = target.collection();
    let mut honest = Peer::welcome(&target).await?;
    honest.done(&collection, (1..=100).map(|number| Item::Insert(bulky(number, 8_000))).collect()).await?;
    let mut deaf = Vec::new();
    for _ in 0..4 {
        let mut peer = Peer::welcome(&target).await?;
        for _ in 0..20 {
            peer.ask(ALL, scan(&collection)).await?;
        }
        deaf.push(peer);
    }
    for number in 101..=120 {
        honest.done(&collection, vec![Item::Insert(plain(number))]).await?;
        same("the rows", &honest.query(get(&collection, &[id(number)])).await?.rows.len(), &1)?;
    }
    // Whoever reads late is answered all the same.
    let mut peer = deaf.pop().ok_or_else(|| Failure::new("nobody is deaf"))?;
    for asked in 1..=20 {
        ensure(peer.answer(asked).await?.rows.len() >= 100, || "rows are missing".to_owned())?;
    }
    Ok(())
}

async fn client_goodbye(target: Target) -> Verdict {
    Peer::welcome(&target).await?.part().await
}

async fn outcomes_first(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let mut bytes = Vec::new();
    for number in 1..=100_u64 {
        let which = if number % 5 == 0 { 1 } else { number };
        let payload = operation(number, DURABLE, &[(&collection, vec![Item::Insert(plain(which))])]);
        bytes.extend(peer.make(kind::OPERATION, REQUIRES_ACK, &payload));
    }
    bytes.extend(peer.make(kind::GOODBYE, 0, &goodbye(0)));
    peer.write(&bytes).await?;
    loop {
        match peer.next("the outcomes and the Goodbye").await? {
            Said::Goodbye { .. } => break,
            said @ Said::End => return Err(unexpected("the Goodbye", &said)),
            _ => {}
        }
    }
    let acked = peer.durable.last().map_or(0, |ack| ack.number);
    same("the last number acknowledged before the Goodbye", &acked, &100)?;
    same("the count of refusals", &peer.refusals.len(), &20)?;
    peer.ends().await
}

async fn requests_end(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    peer.ask(NONE, scan(&collection)).await?;
    peer.subscribe(NONE, watch(EVERY, NOW, &collection)).await?;
    peer.subscribe(ALL, watch(EVERY, NOW, &collection)).await?;
    peer.part().await
}

async fn any_code(target: Target) -> Verdict {
    for (code, advice) in [(0, 0), (503, 1_000), (u16::MAX, u32::MAX)] {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(kind::GOODBYE, &Fields::new().u16(code).u32(advice).str("for a reason").done()).await?;
        let said = |said: &Said| matches!(said, Said::Goodbye { .. }).then_some(());
        peer.wait("the Goodbye", said).await?;
        peer.ends().await?;
    }
    Ok(())
}

async fn goodbye_text(target: Target) -> Verdict {
    let text = |length: usize| Fields::new().u16(0).u32(0).str(&"b".repeat(length)).done();
    let mut peer = Peer::welcome(&target).await?;
    peer.send(kind::GOODBYE, &text(1_024)).await?;
    let said = |said: &Said| matches!(said, Said::Goodbye { .. }).then_some(());
    peer.wait("the Goodbye", said).await?;
    let mut peer = Peer::welcome(&target).await?;
    peer.send(kind::GOODBYE, &text(1_025)).await?;
    peer.ends_by(ErrorCode::InvalidField).await
}

async fn without_goodbye(target: Target) -> Verdict {
    let collection = target.collection();
    for number in 1..=5 {
        let mut peer = Peer::welcome(&target).await?;
        peer.done(&collection, vec![Item::Insert(plain(number))]).await?;
    }
    let mut peer = Peer::welcome(&target).await?;
    same("the count of records", &peer.records(&collection).await?.len(), &5)
}

/// The shortest heartbeat.
const BEAT: Duration = Duration::from_secs(5);

async fn quick(target: &Target) -> Result<Peer, Failure> {
    Peer::greet(target, &Hello { heartbeat_ms: 5_000, ..Hello::new(target.url.database()) }).await
}

async fn server_pings(target: Target) -> Verdict {
    let mut peer = quick(&target).await?;
    let start = Instant::now();
    loop {
        match peer.poll(BEAT.saturating_mul(2)).await? {
            Some(Said::Ping(_)) => break,
            Some(Said::End) | None => return Err(Failure::new("no Ping came")),
            Some(_) => {}
        }
    }
    ensure(start.elapsed() >= BEAT.mul_f32(0.8), || {
        format!("it came after {} ms", start.elapsed().as_millis())
    })
}

/// The connection must end by silence, between two and a half and four heartbeats.
async fn ends_of_silence(peer: &mut Peer, start: Instant) -> Verdict {
    loop {
        match peer.poll(BEAT.saturating_mul(4).saturating_sub(start.elapsed())).await? {
            Some(Said::Error(complaint)) => {
                same("the code", &complaint.name(), &"heartbeat_timeout".to_owned())?
            }
            Some(Said::End) => break,
            Some(_) => {}
            None => return Err(Failure::new("it goes on")),
        }
    }
    let took = start.elapsed();
    ensure(took >= BEAT.saturating_mul(2), || format!("it ended after {} ms", took.as_millis()))
}

async fn silent(target: Target) -> Verdict {
    let mut peer = quick(&target).await?;
    ends_of_silence(&mut peer, Instant::now()).await
}

async fn trickle(target: Target) -> Verdict {
    let mut peer = quick(&target).await?;
    let start = Instant::now();
    let bytes = peer.make(kind::ERROR, 0, &error(0, 0, 500));
    for byte in bytes.into_iter().take(26) {
        peer.write(&[byte]).await?;
        peer.pause(Duration::from_millis(450)).await;
    }
    ends_of_silence(&mut peer, start).await
}

async fn answering(target: Target) -> Verdict {
    let mut peer = quick(&target).await?;
    let start = Instant::now();
    while start.elapsed() < BEAT.saturating_mul(4) {
        match peer.poll(BEAT).await? {
            Some(Said::Ping(nonce)) => peer.send(kind::PONG, &Fields::new().u64(nonce).u64(0).done()).await?,
            Some(said @ Said::End) => return Err(unexpected("a connection that stays", &said)),
            _ => {}
        }
    }
    peer.is_alive().await
}

async fn heartbeat(target: Target) -> Verdict {
    let (collection, other) = (target.collection(), target.collection_of("b"));
    let (mut writer, mut reader) = (Peer::welcome(&target).await?, Peer::welcome(&target).await?);
    writer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    let watched = reader.subscribe((PLENTY, PLENTY), watch(EVERY, NOW, &collection)).await?;
    let at = reader.hears(watched, &What::CaughtUp).await?;
    writer.done(&other, vec![Item::Insert(plain(1))]).await?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(35) {
        if let Some(Said::Event(tiding)) = reader.poll(Duration::from_secs(5)).await? {
            same("the event", &tiding.what, &What::Heartbeat)?;
            return ensure(tiding.position > at, || format!("the position stands at {at:?}"));
        }
    }
    Err(Failure::new("no heartbeat came within 35 s (SHOULD within 15 s)"))
}
