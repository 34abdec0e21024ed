//! The connection of a client: its Hello, what it passes over, which Welcome it takes, and how it ends and returns.

use std::time::Duration;

use tokio::time::Instant;

use super::host::{Heard, Host, Welcome, answer, at, error, goodbye};
use super::play::{Play, Stage};
use crate::conformance::case::cases;
use crate::conformance::failure::{Verdict, ensure, same};
use crate::conformance::fields::{COMPRESSED, Fields, SEQUENCES, header, kind};
use crate::conformance::items::plain;
use crate::wire::{ErrorCode, compress};

cases! { Stage:
    "client.hello" "A Hello names the database, a node or none, and numbers that begin at 1" "P-4.1 C-2.1 C-2.2" Nothing hello;
    "client.close" "A client that is closed says Goodbye when all is told, and sends nothing after it" "C-11.1 C-11.4 P-8.4" Nothing close;
    "client.ping" "A Ping is answered by a Pong with its nonce" "C-9.7 P-4.9" Nothing ping;
    "client.extension" "Extensions with unknown keys are ignored on every message" "P-3.3" Nothing extension;
    "client.extension.must" "A key that must be understood is unsupported_extension" "P-3.3" Nothing must_understand;
    "client.unknown" "A message of an unknown type is passed over, and told of" "P-2.7" Nothing unknown;
    "client.notice" "An Error unknown_message_type or not_supported of the connection is passed over" "P-8.2 C-1.4" Nothing notice;
    "client.sequence.wrap" "Behind 16,777,215 comes 0" "P-6.1" Nothing wrap;
    "client.cut.bytes" "Frames that arrive byte by byte are the same frames" "P-2.1 C-1.1" Nothing byte_by_byte;
    "client.lz4" "Compressed frames become what they should" "P-5.1 P-5.2" Nothing lz4;
    "client.lz4.not-shared" "A server without lz4 is sent nothing compressed" "P-4.1.1 P-2.6" Nothing not_shared;
    "client.goodbye" "A server's Goodbye is answered, and the client comes back when it advised" "C-11.2 C-10 P-4.9" Nothing server_goodbye;
    "client.goodbye.outcomes" "Outcomes behind the server's Goodbye are taken" "C-11.1 P-8.4" Nothing outcomes_after_goodbye;
    "client.refused.retry" "A Hello that is refused for now is said again, not before the time advised" "C-2.7 P-4.7.1 C-10" Nothing too_busy;
    "client.refused" "A Hello that is refused for good is told as ended with its code, and not said again" "C-2.7 C-10" Nothing refused;
    "client.fenced" "A client that is fenced is over, and does not come back" "C-2.7" Nothing fenced;
    "client.lost" "A connection that is lost in any phase is made again" "C-10" Nothing lost;
    "client.lost.unknown" "A code that the client does not know may mend: it comes back" "C-10 P-4.7" Nothing unknown_code;
    "client.welcome.version" "A Welcome of another version than offered is refused" "C-2.5" Nothing other_version;
    "client.welcome.node" "A Welcome of another node than named is refused" "C-2.5" Nothing other_node;
    "client.welcome.heartbeat" "A Welcome with a heartbeat out of range is refused" "C-2.5 C-2.4" Nothing other_heartbeat;
    "client.welcome.capability" "A Welcome with a capability that was not offered is refused" "C-2.5 P-4.1.1" Nothing other_capability;
    "client.welcome.early" "What comes before the Welcome is unexpected_message" "C-2.1" Nothing early;
    "client.welcome.twice" "So is a second Welcome" "C-2.1" Nothing twice;
    "client.welcome.length" "Before the Welcome a payload over 4,096 bytes is payload_too_large" "P-2.3" Nothing long_welcome;
    "client.welcome.reused" "A Welcome that decided what the client has not sent is identity_reused: it takes a new node" "C-2.6 C-10.2" Nothing reused;
    "client.welcome.expired" "A Welcome that does not know what the client was told is identity_expired: it takes a new node" "C-2.6 C-10.2" Nothing forgotten;
}

pub(super) const PUT: &str = r#""do":"put","collection":"notes","record":{"id":{"$uuid":"c0f00000-0000-4000-8000-000000000001"},"n":1}"#;
pub(super) const SCAN: &str = r#""do":"scan","collection":"notes""#;
pub(super) const WATCH: &str = r#""do":"watch","collection":"notes","mode":"all","start":"now""#;

/// The client still works: one put over this connection, whose number is due.
pub(super) async fn works(play: &mut Play, host: &mut Host) -> Verdict {
    let command = play.driver.tell(PUT)?;
    let (number, _) = host.operation(&mut play.memory).await?;
    host.ack(&mut play.memory, number, at(number.saturating_add(1))).await?;
    play.driver.done(command).await.map(drop)
}

pub(super) fn ping_payload() -> Vec<u8> {
    Fields::new().u64(1).done()
}

async fn hello(stage: Stage) -> Verdict {
    let mut play = stage.open().await?;
    let command = play.driver.tell(r#""do":"connect","lz4":false,"heartbeat_ms":20000"#)?;
    let (mut host, heard) = play.hear_hello().await?;
    // A client may make its own id (E-4.8).
    let node = host.rules.named;
    let expected =
        Heard::Hello { node, oldest: 1, next: 1, database: "main".to_owned(), heartbeat_ms: 20_000 };
    same("the Hello", &heard, &expected)?;
    host.is_quiet(&mut play.memory, Duration::from_millis(200)).await?;
    play.memory.node = Some(host.welcome(&Welcome::new()).await?);
    ensure(!host.rules.offers_lz4, || "it offers lz4 though it was told not to".to_owned())?;
    play.driver.done(command).await?;
    play.finish(host).await
}

async fn close(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let put = play.driver.tell(PUT)?;
    let closed = play.driver.tell(r#""do":"close""#)?;
    let (number, _) = host.operation(&mut play.memory).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    host.ack(&mut play.memory, number, at(2)).await?;
    play.driver.done(put).await?;
    host.part(&mut play.memory).await?;
    play.driver.done(closed).await?;
    play.driver.ends().await
}

async fn ping(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    for nonce in [0, 7, u64::MAX] {
        host.send(kind::PING, &Fields::new().u64(nonce).done()).await?;
        let pong = |heard: &Heard| (*heard == Heard::Pong(nonce)).then_some(());
        host.wait(&mut play.memory, "the Pong", pong).await?;
    }
    play.finish(host).await
}

async fn extension(stage: Stage) -> Verdict {
    let later = Fields::new().dict("later", 1).done();
    let (mut play, mut host) = stage.begin(&Welcome { extension: later.clone(), ..Welcome::new() }).await?;
    let command = play.driver.tell(PUT)?;
    let (number, _) = host.operation(&mut play.memory).await?;
    play.memory.acknowledged = number;
    let extended = |payload: Vec<u8>| [payload, later.clone()].concat();
    host.send(kind::CREDIT, &extended(Fields::new().u8(0).u64(0).u64(2_000).u64(8 << 20).done())).await?;
    host.send(kind::ACK, &extended(super::host::ack(1, number, at(2)))).await?;
    play.driver.done(command).await?;
    let command = play.driver.tell(SCAN)?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.rules.end(request);
    host.send(kind::QUERY_RESPONSE, &extended(answer(request, &[(1, plain(1))], true))).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

async fn must_understand(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let payload = Fields::new().u64(1).dict("!later", 1).done();
    host.send(kind::PING, &payload).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::UnsupportedExtension]).await
}

async fn unknown(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    for message_type in [0x0B, 0x1A, 0x22, 0x77, 0xFF] {
        host.send(message_type, b"whatever").await?;
        let code = ErrorCode::UnknownMessageType.number();
        let told = |heard: &Heard| (*heard == Heard::Error(code)).then_some(());
        host.wait(&mut play.memory, "the Error unknown_message_type", told).await?;
    }
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn notice(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    for code in [ErrorCode::UnknownMessageType, ErrorCode::NotSupported] {
        host.send(kind::ERROR, &error(0, 0, code.number())).await?;
    }
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn wrap(stage: Stage) -> Verdict {
    let (mut play, mut host) =
        stage.begin(&Welcome { sequence: SEQUENCES.wrapping_sub(2), ..Welcome::new() }).await?;
    for _ in 0..4 {
        works(&mut play, &mut host).await?;
    }
    ensure(host.sequence < 10, || "the tester did not wrap".to_owned())?;
    play.finish(host).await
}

async fn byte_by_byte(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(SCAN)?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.rules.end(request);
    let bytes = host.make(kind::QUERY_RESPONSE, 0, &answer(request, &[(1, plain(1)), (2, plain(2))], true));
    for byte in bytes {
        host.write(&[byte]).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    play.driver.done(command).await?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

/// A record that LZ4 makes small.
fn uniform() -> Vec<u8> {
    let text = crate::blazebinary::Value::from("x".repeat(5_000).as_str());
    crate::conformance::items::record(crate::conformance::items::id(1), &[("text", text)])
}

async fn lz4(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome { capabilities: vec!["lz4"], ..Welcome::new() }).await?;
    ensure(host.rules.offers_lz4, || "it does not offer lz4 though it was told to".to_owned())?;
    let command = play.driver.tell(SCAN)?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.rules.end(request);
    let mut packed = Vec::new();
    ensure(compress(&answer(request, &[(1, uniform())], true), &mut packed), || {
        "the tester does not compress".to_owned()
    })?;
    let bytes = host.make(kind::QUERY_RESPONSE, COMPRESSED, &packed);
    host.write(&bytes).await?;
    let done = play.driver.done(command).await?;
    let length = match done.get("records") {
        Some(crate::blazebinary::Value::Array(records)) => records.len(),
        _ => 0,
    };
    same("the count of records", &length, &1)?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn not_shared(stage: Stage) -> Verdict {
    let mut play = stage.open().await?;
    let command = play.driver.tell(r#""do":"connect","lz4":true"#)?;
    let mut host = play.meet(&Welcome::new()).await?;
    play.driver.done(command).await?;
    let text = "x".repeat(5_000);
    let put = play.driver.tell(&format!(
        r#""do":"put","collection":"notes","record":{{"id":{{"$uuid":"c0f00000-0000-4000-8000-000000000001"}},"text":"{text}"}}"#
    ))?;
    // The rules find it if it is compressed.
    let (number, _) = host.operation(&mut play.memory).await?;
    host.ack(&mut play.memory, number, at(2)).await?;
    play.driver.done(put).await?;
    play.finish(host).await
}

async fn server_goodbye(stage: Stage) -> Verdict {
    const ADVICE: u32 = 700;
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    host.send(kind::GOODBYE, &goodbye(ErrorCode::ShuttingDown.number(), ADVICE)).await?;
    host.wait(&mut play.memory, "the client's Goodbye", |heard| (*heard == Heard::Goodbye).then_some(()))
        .await?;
    let since = Instant::now();
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    // A timer may be a little early.
    let least = Duration::from_millis(u64::from(ADVICE) * 9 / 10);
    ensure(since.elapsed() >= least, || format!("it comes back after {} ms", since.elapsed().as_millis()))?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn outcomes_after_goodbye(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(PUT)?;
    let (number, _) = host.operation(&mut play.memory).await?;
    host.send(kind::GOODBYE, &goodbye(0, 0)).await?;
    host.wait(&mut play.memory, "the client's Goodbye", |heard| (*heard == Heard::Goodbye).then_some(()))
        .await?;
    host.refuse(number, ErrorCode::AlreadyExists.number()).await?;
    host.ack(&mut play.memory, number, at(2)).await?;
    play.driver.failed(command, "refused", ErrorCode::AlreadyExists.number()).await?;
    drop(host);
    let mut host = play.meet(&Welcome { node_decided: number, ..Welcome::new() }).await?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn too_busy(stage: Stage) -> Verdict {
    let (mut play, host) = stage.begin(&Welcome::new()).await?;
    drop(host);
    let (mut host, _) = play.hear_hello().await?;
    // The detail is a dict of one int, which is larger than a byte.
    let detail = Fields::new().u8(0x09).u16(1).u16(14).bytes(b"retry_after_ms").u8(0x02).u64(600);
    let code = ErrorCode::TooBusy.number();
    let payload = Fields::new().u8(0).u64(0).u16(code).str("later").bytes(&detail.done()).done();
    host.send(kind::ERROR, &payload).await?;
    let since = Instant::now();
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    ensure(since.elapsed() >= Duration::from_millis(540), || {
        format!("it comes back after {} ms", since.elapsed().as_millis())
    })?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn refused(stage: Stage) -> Verdict {
    let mut play = stage.open().await?;
    let command = play.driver.tell(r#""do":"connect","lz4":false"#)?;
    let (mut host, _) = play.hear_hello().await?;
    let code = ErrorCode::UnknownDatabase.number();
    host.send(kind::ERROR, &error(0, 0, code)).await?;
    drop(host);
    play.driver.failed(command, "ended", code).await?;
    ensure(!play.is_called(Duration::from_millis(1_500)).await, || "it comes back".to_owned())
}

async fn fenced(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(PUT)?;
    host.operation(&mut play.memory).await?;
    let code = ErrorCode::Fenced.number();
    host.send(kind::ERROR, &error(0, 0, code)).await?;
    drop(host);
    play.driver.failed(command, "ended", code).await?;
    ensure(!play.is_called(Duration::from_millis(1_500)).await, || "it comes back".to_owned())
}

async fn lost(stage: Stage) -> Verdict {
    let (mut play, host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(PUT)?;
    drop(host);
    // Before the Hello was read, behind it, and with a Welcome that is cut off.
    drop(play.accept().await?);
    drop(play.hear_hello().await?);
    let (mut host, _) = play.hear_hello().await?;
    host.write(b"BLAZE\x01\x01\x00\x00").await?;
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    let (number, _) = host.operation(&mut play.memory).await?;
    host.ack(&mut play.memory, number, at(2)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

async fn unknown_code(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(PUT)?;
    host.operation(&mut play.memory).await?;
    host.send(kind::ERROR, &error(0, 0, 9_999)).await?;
    drop(host);
    let mut host = play.meet(&Welcome::new()).await?;
    let (number, _) = host.operation(&mut play.memory).await?;
    host.ack(&mut play.memory, number, at(2)).await?;
    play.driver.done(command).await?;
    play.finish(host).await
}

/// A Welcome that a client that was welcome before must refuse.
async fn is_refused(stage: Stage, welcome: Welcome) -> Verdict {
    let (mut play, host) = stage.begin(&Welcome::new()).await?;
    drop(host);
    let (mut host, _) = play.hear_hello().await?;
    host.welcome(&welcome).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::InvalidField]).await
}

async fn other_version(stage: Stage) -> Verdict {
    is_refused(stage, Welcome { version: 2, ..Welcome::new() }).await
}

async fn other_node(stage: Stage) -> Verdict {
    // No client makes an id of version 0.
    is_refused(stage, Welcome { node: Some(uuid::Uuid::from_u128(1)), ..Welcome::new() }).await
}

async fn other_heartbeat(stage: Stage) -> Verdict {
    is_refused(stage, Welcome { heartbeat_ms: 4_999, ..Welcome::new() }).await
}

async fn other_capability(stage: Stage) -> Verdict {
    is_refused(stage, Welcome { capabilities: vec!["zstd"], ..Welcome::new() }).await
}

/// In place of a Welcome there come these bytes, which the client must not put up with.
async fn is_greeted_by(stage: Stage, bytes: impl FnOnce(&mut Host) -> Vec<u8>, code: ErrorCode) -> Verdict {
    let (mut play, host) = stage.begin(&Welcome::new()).await?;
    drop(host);
    let (mut host, _) = play.hear_hello().await?;
    let bytes = bytes(&mut host);
    host.write(&bytes).await?;
    host.ends_by(&mut play.memory, &[code]).await
}

async fn early(stage: Stage) -> Verdict {
    let early = |host: &mut Host| host.make(kind::PING, 0, &ping_payload());
    is_greeted_by(stage, early, ErrorCode::UnexpectedMessage).await
}

async fn long_welcome(stage: Stage) -> Verdict {
    let long = |host: &mut Host| header(kind::HANDSHAKE, 4_097, 0, host.sequence);
    is_greeted_by(stage, long, ErrorCode::PayloadTooLarge).await
}

async fn twice(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    host.welcome(&Welcome { sequence: host.sequence, ..Welcome::new() }).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::UnexpectedMessage]).await
}

async fn reused(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(PUT)?;
    host.operation(&mut play.memory).await?;
    drop(host);
    let (mut host, _) = play.hear_hello().await?;
    host.welcome(&Welcome { node_decided: 2, ..Welcome::new() }).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::IdentityReused]).await?;
    let mut host = play.meet_anew().await?;
    play.driver.failed(command, "unknown", 0).await?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

async fn forgotten(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    works(&mut play, &mut host).await?;
    drop(host);
    let (mut host, _) = play.hear_hello().await?;
    host.welcome(&Welcome::new()).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::IdentityExpired]).await?;
    let mut host = play.meet_anew().await?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}
