//! Timers of a client: each case takes half a minute.

use std::time::Duration;

use tokio::time::Instant;

use super::connections::{SCAN, works};
use super::host::{Heard, Welcome, answer};
use super::play::Stage;
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure};
use crate::conformance::fields::{header, kind};
use crate::conformance::items::bulky;
use crate::wire::ErrorCode;

cases! { Stage:
    "client.time.ping" "A client that hears nothing for a heartbeat sends a Ping" "C-9.2" Time pings;
    "client.time.silence" "A server that is silent for two and a half heartbeats is given up, and connected to anew" "C-9.3 C-10" Time silence;
    "client.time.trickle" "Single bytes of a frame are silence" "C-9.6 C-9.3" Time trickle;
    "client.time.slow" "A frame that comes slowly, 1,024 bytes and more at a time, is none" "C-9.6" Time slow;
}

/// The least that a Welcome may name, in milliseconds (C-2.4).
const HEARTBEAT_MS: u32 = 5_000;
/// Two and a half heartbeats, less what a timer may be early.
const SILENCE_LEAST: Duration = Duration::from_secs(10);
/// The same with time for a busy machine.
const SILENCE_MOST: Duration = Duration::from_secs(25);

async fn pings(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome { heartbeat_ms: HEARTBEAT_MS, ..Welcome::new() }).await?;
    let start = Instant::now();
    // Pings are answered by the host, so the connection stays.
    host.is_quiet(&mut play.memory, Duration::from_secs(20)).await?;
    ensure(host.pings > 0, || format!("no Ping came within {} s", start.elapsed().as_secs()))?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn silence(stage: Stage) -> Verdict {
    let (play, host) = stage.begin(&Welcome { heartbeat_ms: HEARTBEAT_MS, ..Welcome::new() }).await?;
    let start = Instant::now();
    // Nobody reads this connection, and nobody writes.
    let again = tokio::time::timeout(SILENCE_MOST, play.accept()).await;
    ensure(matches!(again, Ok(Ok(_))), || {
        format!("it does not connect anew within {} s", SILENCE_MOST.as_secs())
    })?;
    let took = start.elapsed();
    drop(host);
    ensure(took >= SILENCE_LEAST, || format!("it gave up after {} ms", took.as_millis()))
}

async fn trickle(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome { heartbeat_ms: HEARTBEAT_MS, ..Welcome::new() }).await?;
    let start = Instant::now();
    // The frame is never whole: its payload would be longer than all that comes.
    for byte in header(kind::EVENT, 1_000, 0, host.sequence).into_iter().chain(std::iter::repeat(0)) {
        host.write(&[byte]).await?;
        let heard = host.hear(&mut play.memory, Duration::from_secs(1)).await?;
        ensure(start.elapsed() < SILENCE_MOST, || "it takes single bytes for signs of life".to_owned())?;
        match heard {
            None | Some(Heard::Pong(_)) => {}
            Some(Heard::Error(code)) if code == ErrorCode::HeartbeatTimeout.number() => {}
            Some(Heard::End) => break,
            Some(other) => return Err(Failure::new(format_args!("there came {other:?}"))),
        }
    }
    let took = start.elapsed();
    ensure(took >= SILENCE_LEAST, || format!("it gave up after {} ms", took.as_millis()))?;
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn slow(stage: Stage) -> Verdict {
    const PIECE_BYTES: usize = 1_200;
    let (mut play, mut host) = stage.begin(&Welcome { heartbeat_ms: HEARTBEAT_MS, ..Welcome::new() }).await?;
    let command = play.driver.tell(SCAN)?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.rules.end(request);
    let bytes = host.make(kind::QUERY_RESPONSE, 0, &answer(request, &[(1, bulky(1, 6_000))], true));
    for piece in bytes.chunks(PIECE_BYTES) {
        host.write(piece).await?;
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    play.driver.done(command).await?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}
