//! The connection of a client: its Hello, what it passes over, what it does not put up with, and how it ends and returns.

use std::time::Duration;

use tokio::time::Instant;

use super::host::{Heard, Host, Welcome, answer, at, error, goodbye};
use super::play::{Play, Stage};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{COMPRESSED, Fields, SEQUENCES, header, kind, sealed};
use crate::conformance::items::plain;
use crate::wire::{CreditLimit, ErrorCode, compress};

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
    "client.fault.magic" "What is no frame ends the connection by bad_magic" "P-2.2" Nothing magic;
    "client.fault.crc" "A damaged frame ends it by frame_checksum_mismatch, and the client comes back" "P-2.5 C-10" Nothing crc;
    "client.fault.length" "A length over the limit ends it by payload_too_large" "P-2.3" Nothing length;
    "client.fault.flags" "Flags against the rules end it by unexpected_flag or reserved_flags" "P-2.4 P-2.6" Nothing flags;
    "client.fault.sequence" "A sequence that skips one ends it by sequence_gap, and the client comes back" "P-6.1 C-10" Nothing sequence;
    "client.fault.payload" "A payload that is none ends it by the code of its fault" "P-3.5" Nothing payload;
    "client.fault.record" "A record whose CRC is wrong ends it by record_checksum_mismatch, and is not told" "P-1.6" Nothing record;
    "client.fault.order" "Of several faults of a frame the first by sequence, flags, type and payload is told" "P-2.10 P-2.11 P-2.12" Nothing order_of_faults;
    "client.fault.record.canonical" "A record that is not canonical ends it by invalid_value, and is not told" "P-3.8 P-1.6" Nothing record_in_disguise;
    "client.fault.change.canonical" "The same of a record in an Event" "P-3.8" Nothing change_in_disguise;
    "client.fault.answer" "An answer whose position changes within it ends it by invalid_field" "P-3.9 P-4.4" Nothing moved_answer;
    "client.fault.ended" "An end of a subscription that was not asked for ends it by unexpected_message" "P-3.9 P-4.9.1" Nothing unasked_end;
    "client.fault.role" "A message that only clients send ends it by unexpected_message" "P-2.9" Nothing role;
    "client.fault.request" "An answer to what was not asked ends it by unexpected_message" "C-6.7" Nothing unknown_request;
    "client.fault.request.kind" "So is an answer of another kind than was asked for" "C-6.7" Nothing other_kind;
    "client.fault.request.event" "So is an Event that nobody watches for" "C-6.7" Nothing unknown_event;
    "client.fault.request.error" "So is an Error of a request that does not run" "C-6.7" Nothing unknown_error;
    "client.fault.goodbye" "What a server sends after its Goodbye but outcomes ends the connection" "C-11.1" Nothing after_goodbye;
    "client.fault.credit" "A frame beyond the credit ends it by credit_exceeded" "P-9.4" Nothing exceeded;
    "client.fault.falling" "A lane's limit that falls ends it by invalid_credit" "P-9.3" Nothing falling;
    "client.fault.compressed" "A block that lies ends it by bad_compression" "P-5.2" Nothing bad_compression;
}

pub(super) const PUT: &str = r#""do":"put","collection":"notes","record":{"id":{"$uuid":"c0f00000-0000-4000-8000-000000000001"},"n":1}"#;
pub(super) const SCAN: &str = r#""do":"scan","collection":"notes""#;
const WATCH: &str = r#""do":"watch","collection":"notes","mode":"all","start":"now""#;

/// The client still works: one put over this connection, whose number is due.
pub(super) async fn works(play: &mut Play, host: &mut Host) -> Verdict {
    let command = play.driver.tell(PUT)?;
    let (number, _) = host.operation(&mut play.memory).await?;
    host.ack(&mut play.memory, number, at(number.saturating_add(1))).await?;
    play.driver.done(command).await.map(drop)
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

/// Bytes of the server's that the client must not put up with; answers the play.
async fn ends(
    stage: Stage,
    bytes: impl FnOnce(&mut Host) -> Vec<u8>,
    codes: &[ErrorCode],
) -> Result<Play, Failure> {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let bytes = bytes(&mut host);
    host.write(&bytes).await?;
    host.ends_by(&mut play.memory, codes).await?;
    Ok(play)
}

/// It comes back by itself, since the code is retryable.
async fn and_returns(mut play: Play) -> Verdict {
    let mut host = play.meet(&Welcome::new()).await?;
    works(&mut play, &mut host).await?;
    play.finish(host).await
}

fn ping_payload() -> Vec<u8> {
    Fields::new().u64(1).done()
}

async fn magic(stage: Stage) -> Verdict {
    ends(stage, |_| b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), &[ErrorCode::BadMagic]).await.map(drop)
}

async fn crc(stage: Stage) -> Verdict {
    let damaged = |host: &mut Host| {
        let mut bytes = host.make(kind::PING, 0, &ping_payload());
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        bytes
    };
    and_returns(ends(stage, damaged, &[ErrorCode::FrameChecksumMismatch]).await?).await
}

async fn length(stage: Stage) -> Verdict {
    let long = |host: &mut Host| header(kind::EVENT, 2_097_153, 0, host.sequence);
    ends(stage, long, &[ErrorCode::PayloadTooLarge]).await.map(drop)
}

async fn flags(stage: Stage) -> Verdict {
    let flagged = |host: &mut Host| host.make(kind::PING, 4, &ping_payload());
    ends(stage, flagged, &[ErrorCode::UnexpectedFlag]).await.map(drop)
}

async fn sequence(stage: Stage) -> Verdict {
    let skipped = |host: &mut Host| {
        host.sequence = host.sequence.wrapping_add(1);
        host.make(kind::PING, 0, &ping_payload())
    };
    and_returns(ends(stage, skipped, &[ErrorCode::SequenceGap]).await?).await
}

async fn payload(stage: Stage) -> Verdict {
    let short = |host: &mut Host| host.make(kind::PING, 0, &[1, 2, 3]);
    ends(stage, short, &[ErrorCode::Truncated]).await.map(drop)
}

async fn record(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(SCAN)?;
    let (request, ..) = host.query(&mut play.memory).await?;
    let mut payload = answer(request, &[(1, plain(1))], true);
    if let Some(last) = payload.last_mut() {
        *last ^= 1;
    }
    host.send(kind::QUERY_RESPONSE, &payload).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::RecordChecksumMismatch]).await?;
    let answer = tokio::time::timeout(Duration::from_millis(500), play.driver.answer(command)).await;
    let is_told = matches!(answer, Ok(Ok(super::driver::Answer::Done(_))));
    ensure(!is_told, || "the damaged record is told".to_owned())
}

async fn order_of_faults(stage: Stage) -> Verdict {
    const ENCRYPTED: u8 = 2;
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    host.sequence = host.sequence.wrapping_add(1);
    let late = host.make(kind::CANCEL, ENCRYPTED, b"");
    host.write(&late).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::SequenceGap]).await?;
    let mut host = play.meet(&Welcome::new()).await?;
    let passed_over = host.make(0x30, 0, b"later");
    let marked = host.make(0x30, ENCRYPTED, b"later");
    host.write(&[passed_over, marked].concat()).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::UnexpectedFlag]).await
}

/// A record with a byte behind its last field, which no canonical one has. Its CRC is right.
fn in_disguise() -> Vec<u8> {
    let mut record = plain(1);
    record.push(0);
    record
}

/// The connection ends by this code, and what was asked is not told as done.
async fn ends_untold(mut play: Play, mut host: Host, command: u64, code: ErrorCode) -> Verdict {
    host.ends_by(&mut play.memory, &[code]).await?;
    let answer = tokio::time::timeout(Duration::from_millis(500), play.driver.answer(command)).await;
    let is_told = matches!(answer, Ok(Ok(super::driver::Answer::Done(_))));
    ensure(!is_told, || "what the server must not send is told".to_owned())
}

async fn record_in_disguise(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(SCAN)?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.answer(request, &[(1, plain(1)), (2, in_disguise())], true).await?;
    ends_untold(play, host, command, ErrorCode::InvalidValue).await
}

async fn change_in_disguise(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let watched = play.driver.tell(WATCH)?;
    let (request, ..) = host.subscription(&mut play.memory).await?;
    host.changes(request, &[(2, in_disguise())]).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::InvalidValue]).await?;
    let told = play.driver.has_event(watched, Duration::from_millis(300)).await?;
    ensure(!told, || "the record is told".to_owned())
}

async fn moved_answer(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    let command = play.driver.tell(SCAN)?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.answer(request, &[(1, plain(1))], false).await?;
    let elsewhere = Fields::new().u64(request).u8(1).position(at(10)).u16(0).done();
    host.send(kind::QUERY_RESPONSE, &elsewhere).await?;
    ends_untold(play, host, command, ErrorCode::InvalidField).await
}

async fn unasked_end(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    play.driver.tell(WATCH)?;
    let (request, ..) = host.subscription(&mut play.memory).await?;
    let ended = Fields::new().u64(request).u8(6).position(at(1)).done();
    host.send(kind::EVENT, &ended).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::UnexpectedMessage]).await
}

async fn role(stage: Stage) -> Verdict {
    let from_client = |host: &mut Host| host.make(kind::CANCEL, 0, &ping_payload());
    ends(stage, from_client, &[ErrorCode::UnexpectedMessage]).await.map(drop)
}

async fn unknown_request(stage: Stage) -> Verdict {
    let unasked = |host: &mut Host| host.make(kind::QUERY_RESPONSE, 0, &answer(77, &[], true));
    ends(stage, unasked, &[ErrorCode::UnexpectedMessage]).await.map(drop)
}

async fn other_kind(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    play.driver.tell(SCAN)?;
    let (request, ..) = host.query(&mut play.memory).await?;
    host.changes(request, &[(2, plain(1))]).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::UnexpectedMessage]).await
}

async fn unknown_event(stage: Stage) -> Verdict {
    let unasked =
        |host: &mut Host| host.make(kind::EVENT, 0, &Fields::new().u64(77).u8(2).position(at(1)).done());
    ends(stage, unasked, &[ErrorCode::UnexpectedMessage]).await.map(drop)
}

async fn unknown_error(stage: Stage) -> Verdict {
    let unasked = |host: &mut Host| host.make(kind::ERROR, 0, &error(2, 77, ErrorCode::Cancelled.number()));
    ends(stage, unasked, &[ErrorCode::UnexpectedMessage]).await.map(drop)
}

async fn after_goodbye(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    // Else both Goodbyes are the end already.
    play.driver.tell(PUT)?;
    host.operation(&mut play.memory).await?;
    host.send(kind::GOODBYE, &goodbye(0, 0)).await?;
    host.wait(&mut play.memory, "the client's Goodbye", |heard| (*heard == Heard::Goodbye).then_some(()))
        .await?;
    host.send(kind::PING, &ping_payload()).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::UnexpectedMessage]).await
}

async fn exceeded(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome::new()).await?;
    play.driver.tell(WATCH)?;
    let (request, ..) = host.subscription(&mut play.memory).await?;
    // One frame more than the first limit allows, all at once: no Credit can cover the last before it is sent.
    let (mut bytes, sent) = host.all_that_is_granted(request, CreditLimit::default())?;
    let (beyond, cost) = host.bulky_change(request, sent.frames.saturating_add(2));
    bytes.extend(beyond);
    host.write(&bytes).await?;
    // A client that handed on what came first may have granted more by then.
    let outcome = host.ends_by(&mut play.memory, &[ErrorCode::CreditExceeded]).await;
    let raised = host.rules.running.get(&request).copied().unwrap_or_default();
    let is_covered = sent.frames < raised.frames && sent.bytes.saturating_add(cost) <= raised.bytes;
    if outcome.is_err() && is_covered { Ok(()) } else { outcome }
}

async fn falling(stage: Stage) -> Verdict {
    let fallen =
        |host: &mut Host| host.make(kind::CREDIT, 0, &Fields::new().u8(0).u64(0).u64(1).u64(1).done());
    ends(stage, fallen, &[ErrorCode::InvalidCredit]).await.map(drop)
}

async fn bad_compression(stage: Stage) -> Verdict {
    let (mut play, mut host) = stage.begin(&Welcome { capabilities: vec!["lz4"], ..Welcome::new() }).await?;
    let bytes = host.make(kind::PING, COMPRESSED, &Fields::new().u32(1 << 20).bytes(&[0x10, 0xAA]).done());
    host.write(&bytes).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::BadCompression]).await?;
    // Flags that are reserved, on a frame that is right but for them.
    let mut host = match tokio::time::timeout(Duration::from_secs(2), play.meet(&Welcome::new())).await {
        Ok(host) => host?,
        // It is over, as it may be.
        Err(_) => return Ok(()),
    };
    let head = header(kind::PING, 8, 0x10, host.sequence);
    host.write(&sealed([head, ping_payload()].concat())).await?;
    host.ends_by(&mut play.memory, &[ErrorCode::ReservedFlags]).await
}
