//! What a client does not put up with: each fault of a server ends the connection, by its code.

use std::time::Duration;

use super::connections::{PUT, SCAN, WATCH, ping_payload, works};
use super::driver::Answer;
use super::host::{Heard, Host, Welcome, answer, at, error, goodbye};
use super::play::{Play, Stage};
use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure};
use crate::conformance::fields::{COMPRESSED, Fields, header, kind, sealed};
use crate::conformance::items::plain;
use crate::wire::{CreditLimit, ErrorCode};

cases! { Stage:
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
    ends_untold(play, host, command, ErrorCode::RecordChecksumMismatch).await
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
    let is_told = matches!(answer, Ok(Ok(Answer::Done(_))));
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
