//! Frames: magic, version, length, flags, checksum, sequence, types.

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, REQUIRES_ACK, SEQUENCES, frame, header, kind, sealed};
use crate::conformance::hello::Hello;
use crate::conformance::items::{DURABLE, Item, id, of_length, operation, plain, record};
use crate::conformance::limits::APART;
use crate::conformance::peer::Peer;
use crate::conformance::said::Said;
use crate::conformance::target::Target;
use crate::wire::{ErrorCode, Subject};

cases! { Target:
    "frame.magic.first" "A first frame with another magic is bad_magic, or answered as another protocol, and the end" "P-2.2 D-2.1" Nothing first_magic;
    "frame.magic.later" "A later frame with another magic ends the connection, whichever byte is wrong" "P-2.2" Nothing later_magic;
    "frame.version" "A frame of any version but 1 is unsupported_version" "P-2.2" Nothing version;
    "frame.length.most" "A payload of 2,097,152 bytes is taken" "P-2.3 P-9.5" Nothing longest;
    "frame.length.over" "A length over the limit is payload_too_large as soon as the header is there" "P-2.2 P-2.3" Nothing too_long;
    "frame.length.hello-most" "Before the handshake is done 4,096 bytes of payload are taken" "P-2.3" Nothing longest_hello;
    "frame.length.hello-over" "Before the handshake is done 4,097 bytes are payload_too_large" "P-2.3" Nothing long_hello;
    "frame.flags.ping" "Each of the 256 flags on a Ping: none but zero is right" "P-2.4 P-2.6" Nothing ping_flags;
    "frame.flags.operation" "Each of the 256 flags on an Operation: requires ack and nothing else is right" "P-2.4 P-2.6" Nothing operation_flags;
    "frame.flags.hello" "Each of the 256 flags on a Hello: none but zero is right" "P-2.4 P-2.6" Nothing hello_flags;
    "frame.checks.order" "Magic, version, length and flags are checked in this order" "P-2.2" Nothing order_of_checks;
    "frame.checks.behind-crc" "Behind the CRC come sequence, flags, type and payload, in this order" "P-2.10 P-2.11 P-2.12 P-2.14 Y-3.2" Nothing order_behind_the_checksum;
    "frame.checks.ledgers" "A number or id out of its order is told before a payload that is at fault behind it" "P-2.15" Nothing ledgers_first;
    "frame.crc" "A frame whose CRC or a byte of it is damaged is frame_checksum_mismatch" "P-2.5 P-1.7" Nothing checksum;
    "frame.crc.before-payload" "The CRC is checked before the payload is looked at" "P-2.5" Nothing checksum_first;
    "frame.cut" "Two frames that arrive in two pieces, cut at each byte, are the same frames" "P-2.1 C-1.1" Nothing cut;
    "frame.bytes" "A Hello that arrives byte by byte is a Hello" "P-2.1 C-1.1" Nothing byte_by_byte;
    "frame.many" "A thousand frames in one write are a thousand frames" "P-2.1" Nothing many;
    "frame.unfinished" "An Operation that ends inside its frame has no effect" "P-2.1 P-2.5" Nothing unfinished;
    "frame.types.unknown" "A type that the table does not have is told of and passed over" "P-2.7 P-8.2" Nothing unknown_types;
    "frame.types.files" "Types of frames in files are told of and passed over" "P-2.7" Nothing file_types;
    "frame.types.auth" "Auth is told not_supported, whatever it holds, and passed over" "P-2.8" Nothing auth;
    "frame.types.server" "A message that only servers send ends the connection" "P-2.9 C-1.5" Nothing server_types;
    "frame.sequence.gap" "A sequence that skips one is sequence_gap" "P-6.1 C-4.1" Nothing sequence_gap;
    "frame.sequence.repeated" "A sequence that comes twice is sequence_gap" "P-6.1" Nothing sequence_repeated;
    "frame.sequence.back" "A sequence that goes back is sequence_gap" "P-6.1" Nothing sequence_back;
    "frame.sequence.first" "The first frame may carry any sequence" "P-6.1 C-4.1" Nothing first_sequence;
    "frame.sequence.wrap" "Behind 16,777,215 comes 0" "P-6.1 C-4.1" Nothing wrap;
    "frame.sequence.wrap-gap" "A sequence that skips one across the wrap is sequence_gap" "P-6.1" Nothing wrap_gap;
    "frame.sequence.passed-over" "A frame that is passed over takes its sequence" "P-6.1 P-2.7" Nothing passed_over_sequence;
}

fn ping(nonce: u64) -> Vec<u8> {
    Fields::new().u64(nonce).done()
}

/// Replaces a byte of a frame and closes it anew, so that only that byte is wrong.
fn with_byte(frame: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = frame.get(..frame.len().saturating_sub(4)).unwrap_or_default().to_vec();
    if let Some(place) = bytes.get_mut(at) {
        *place = byte;
    }
    sealed(bytes)
}

async fn first_magic(target: Target) -> Verdict {
    let hello = frame(kind::HANDSHAKE, 0, 0, &Hello::new(target.url.database()).payload());
    for at in 1..5 {
        let mut peer = Peer::dial(&target).await?;
        peer.write(&with_byte(&hello, at, b'_')).await?;
        let ended = match peer.ends_by(ErrorCode::BadMagic).await {
            // A door that tells protocols apart takes it for one of the others.
            Err(_) if peer.hears_another_protocol() => peer.hangs_up().await,
            ended => ended,
        };
        ended.map_err(|failure| failure.within(format_args!("byte {at}")))?;
    }
    Ok(())
}

async fn later_magic(target: Target) -> Verdict {
    for at in 0..5 {
        let mut peer = Peer::welcome(&target).await?;
        let frame = frame(kind::PING, 0, peer.sequence, &ping(1));
        peer.write(&with_byte(&frame, at, b'_')).await?;
        peer.ends_by(ErrorCode::BadMagic)
            .await
            .map_err(|failure| failure.within(format_args!("byte {at}")))?;
    }
    Ok(())
}

async fn version(target: Target) -> Verdict {
    for version in [0, 2, 3, 127, 128, 255] {
        let mut peer = Peer::welcome(&target).await?;
        let frame = frame(kind::PING, 0, peer.sequence, &ping(1));
        peer.write(&with_byte(&frame, 5, version)).await?;
        let ended = peer.ends_by(ErrorCode::UnsupportedVersion).await;
        ended.map_err(|failure| failure.within(format_args!("version {version}")))?;
    }
    Ok(())
}

async fn longest(target: Target) -> Verdict {
    const MOST: usize = 2_097_152;
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let build = |length: usize| {
        let items = vec![Item::Insert(of_length(1, 1_048_576)), Item::Insert(of_length(2, length))];
        operation(1, DURABLE, &[(&collection, items)])
    };
    let payload = build(1_048_576_usize.saturating_sub(build(1_048_576).len().saturating_sub(MOST)));
    same("the length of the payload", &payload.len(), &MOST)?;
    let number = peer.submit_bytes(&payload).await?;
    let outcome = peer.outcome(number).await?;
    ensure(outcome.refusal.is_none(), || format!("it was refused: {:?}", outcome.refusal))?;
    same("the count of records", &peer.records(&collection).await?.len(), &2)
}

async fn too_long(target: Target) -> Verdict {
    for length in [2_097_153, 0x0100_0000, u32::MAX] {
        let mut peer = Peer::welcome(&target).await?;
        let head = header(kind::OPERATION, length, REQUIRES_ACK, peer.sequence);
        peer.write(&head).await?;
        peer.ends_by(ErrorCode::PayloadTooLarge).await?;
    }
    Ok(())
}

/// A Hello whose payload has so many bytes, by an extension that says nothing.
fn padded(target: &Target, bytes: usize) -> Hello {
    let mut hello = Hello::new(target.url.database());
    // A dict of one key and a string of more than 15 bytes: 3 + 2 + 1 + 5 bytes beside the string.
    let room = bytes.saturating_sub(hello.payload().len()).saturating_sub(11);
    let text = "p".repeat(room);
    hello.extension = Fields::new().u8(0x09).u16(1).u16(1).bytes(b"p").str(&text).done();
    hello
}

async fn longest_hello(target: Target) -> Verdict {
    let hello = padded(&target, 4_096);
    same("the length of the payload", &hello.payload().len(), &4_096)?;
    Peer::greet(&target, &hello).await?.is_alive().await
}

async fn long_hello(target: Target) -> Verdict {
    let mut peer = Peer::dial(&target).await?;
    let payload = padded(&target, 4_097).payload();
    let head = header(kind::HANDSHAKE, u32::try_from(payload.len()).unwrap_or_default(), 0, 0);
    peer.write(&head).await?;
    peer.ends_by(ErrorCode::PayloadTooLarge).await
}

/// What the flags of a frame deserve, where `right` is the only right byte.
const fn flags_code(flags: u8, right: u8) -> Option<ErrorCode> {
    match flags {
        _ if flags == right => None,
        0..=7 => Some(ErrorCode::UnexpectedFlag),
        _ => Some(ErrorCode::ReservedFlags),
    }
}

async fn ping_flags(target: Target) -> Verdict {
    for flags in 0..=u8::MAX {
        let mut peer = Peer::welcome(&target).await?;
        peer.send_flagged(kind::PING, flags, &ping(7)).await?;
        let done = match flags_code(flags, 0) {
            None => peer.is_alive().await,
            Some(code) => peer.ends_by(code).await,
        };
        done.map_err(|failure| failure.within(format_args!("flags {flags:#04x}")))?;
    }
    Ok(())
}

async fn operation_flags(target: Target) -> Verdict {
    let collection = target.collection();
    let payload = operation(1, DURABLE, &[(&collection, vec![Item::Delete(id(1))])]);
    for flags in 0..=u8::MAX {
        let mut peer = Peer::welcome(&target).await?;
        peer.send_flagged(kind::OPERATION, flags, &payload).await?;
        let done = match flags_code(flags, REQUIRES_ACK) {
            None => peer.outcome(1).await.map(drop),
            Some(code) => peer.ends_by(code).await,
        };
        done.map_err(|failure| failure.within(format_args!("flags {flags:#04x}")))?;
    }
    Ok(())
}

async fn hello_flags(target: Target) -> Verdict {
    let payload = Hello::new(target.url.database()).with(&["lz4"]).payload();
    for flags in 0..=u8::MAX {
        let mut peer = Peer::dial(&target).await?;
        peer.send_flagged(kind::HANDSHAKE, flags, &payload).await?;
        let done = match flags_code(flags, 0) {
            None => peer.expect_welcome().await.map(drop),
            Some(code) => peer.ends_by(code).await,
        };
        done.map_err(|failure| failure.within(format_args!("flags {flags:#04x}")))?;
    }
    Ok(())
}

async fn order_of_checks(target: Target) -> Verdict {
    let wrong = |magic: &[u8], version: u8, length: u32, flags: u8| {
        let rest = header(kind::PING, length, flags, 1);
        Fields::new().bytes(magic).u8(version).bytes(rest.get(6..).unwrap_or_default()).bytes(&[0; 12]).done()
    };
    for (bytes, code) in [
        (wrong(b"BLAZ_", 9, u32::MAX, 0xFF), ErrorCode::BadMagic),
        (wrong(b"BLAZE", 9, u32::MAX, 0xFF), ErrorCode::UnsupportedVersion),
        (wrong(b"BLAZE", 1, u32::MAX, 0xFF), ErrorCode::PayloadTooLarge),
        (wrong(b"BLAZE", 1, 8, 0xFF), ErrorCode::ReservedFlags),
    ] {
        let mut peer = Peer::welcome(&target).await?;
        peer.write(&bytes).await?;
        peer.ends_by(code).await?;
    }
    Ok(())
}

async fn order_behind_the_checksum(target: Target) -> Verdict {
    const ENCRYPTED: u8 = 2;
    // Each frame is wrong in two ways: in its sequence or not, its type, its flags, its payload.
    for (gap, message_type, flags, payload, code) in [
        (1, kind::PING, ENCRYPTED, &[0; 8][..], ErrorCode::SequenceGap),
        (1, kind::ACK, 0, &[9; 3], ErrorCode::SequenceGap),
        (1, 0x30, 0, b"later", ErrorCode::SequenceGap),
        (0, 0x30, ENCRYPTED, b"later", ErrorCode::UnexpectedFlag),
        (0, 0x30, REQUIRES_ACK, b"later", ErrorCode::UnexpectedFlag),
        (0, kind::ACK, REQUIRES_ACK, &[9; 3], ErrorCode::UnexpectedFlag),
        (0, kind::PING, REQUIRES_ACK, &[9; 3], ErrorCode::UnexpectedFlag),
        (0, kind::ACK, 0, &[9; 3], ErrorCode::UnexpectedMessage),
        (0, kind::HANDSHAKE, 0, &[9; 3], ErrorCode::UnexpectedMessage),
    ] {
        let mut peer = Peer::welcome(&target).await?;
        peer.sequence = peer.sequence.wrapping_add(gap) % SEQUENCES;
        peer.send_flagged(message_type, flags, payload).await?;
        let ended = peer.ends_by(code).await;
        ended.map_err(|failure| {
            failure.within(format_args!("type {message_type:#04x}, flags {flags}, a gap of {gap}"))
        })?;
    }
    Ok(())
}

async fn ledgers_first(target: Target) -> Verdict {
    // A kind of query and a level of an operation that are not defined.
    let query = |id: u64| Fields::new().u64(id).u64(1).u64(1_000).u8(99).done();
    let operation = |number: u64| Fields::new().u64(number).u8(99).done();
    let mut peer = Peer::welcome(&target).await?;
    peer.send(kind::QUERY, &query(5)).await?;
    peer.send(kind::QUERY, &query(5)).await?;
    peer.ends_by(ErrorCode::RequestIdNotIncreasing).await?;
    let mut peer = Peer::welcome(&target).await?;
    peer.send_flagged(kind::OPERATION, REQUIRES_ACK, &operation(2)).await?;
    peer.ends_by(ErrorCode::OperationNumberGap).await
}

async fn checksum(target: Target) -> Verdict {
    // A byte of the sequence, of the payload, and each of the CRC.
    for at in [14, 15, 22, 23, 24, 25, 26] {
        let mut peer = Peer::welcome(&target).await?;
        let mut bytes = peer.make(kind::PING, 0, &ping(7));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x40;
        }
        peer.write(&bytes).await?;
        let ended = peer.ends_by(ErrorCode::FrameChecksumMismatch).await;
        ended.map_err(|failure| failure.within(format_args!("byte {at}")))?;
    }
    Ok(())
}

async fn checksum_first(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let mut bytes = peer.make(kind::CREDIT, 0, &[9, 9, 9]);
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    peer.write(&bytes).await?;
    peer.ends_by(ErrorCode::FrameChecksumMismatch).await
}

async fn cut(target: Target) -> Verdict {
    let hello = frame(kind::HANDSHAKE, 0, 0, &Hello::new(target.url.database()).payload());
    for at in 1..hello.len() {
        let (head, tail) = hello.split_at_checked(at).unwrap_or_default();
        let mut peer = Peer::dial(&target).await?;
        peer.write(head).await?;
        peer.pause(APART).await;
        peer.write(tail).await?;
        let heard = peer.expect_welcome().await;
        heard.map_err(|failure| failure.within(format_args!("a Hello cut at byte {at}")))?;
    }
    let mut peer = Peer::welcome(&target).await?;
    for at in 1..27 {
        let bytes = peer.make(kind::PING, 0, &ping(at));
        let (head, tail) =
            bytes.split_at_checked(usize::try_from(at).unwrap_or_default()).unwrap_or_default();
        peer.write(head).await?;
        peer.pause(APART).await;
        peer.write(tail).await?;
        let pong = |said: &Said| matches!(said, Said::Pong { nonce, .. } if *nonce == at).then_some(());
        peer.wait("the Pong of a Ping that was cut", pong).await?;
    }
    Ok(())
}

async fn byte_by_byte(target: Target) -> Verdict {
    let hello = frame(kind::HANDSHAKE, 0, 0, &Hello::new(target.url.database()).payload());
    let mut peer = Peer::dial(&target).await?;
    for byte in hello {
        peer.write(&[byte]).await?;
        peer.pause(APART).await;
    }
    peer.expect_welcome().await.map(drop)
}

async fn many(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let mut bytes = Vec::new();
    for nonce in 1..=1_000 {
        bytes.extend(peer.make(kind::PING, 0, &ping(nonce)));
    }
    peer.flood(&bytes).await?;
    let last = |said: &Said| matches!(said, Said::Pong { nonce: 1_000, .. }).then_some(());
    peer.wait("the Pong of the last Ping", last).await?;
    peer.is_alive().await
}

async fn unfinished(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    let bytes = peer.make(
        kind::OPERATION,
        REQUIRES_ACK,
        &operation(1, DURABLE, &[(&collection, vec![Item::Insert(plain(1))])]),
    );
    peer.write(bytes.get(..bytes.len().saturating_sub(1)).unwrap_or_default()).await?;
    peer.shut().await;
    peer.ends().await?;
    let mut peer = Peer::greet(&target, &Hello::new(target.url.database()).of(node, 1, 2)).await?;
    same("node_decided", &peer.greeting()?.node_decided, &0)?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await.map(drop)
}

/// Sends a message that is passed over; it is told of by this code, and the connection goes on.
async fn is_passed_over(peer: &mut Peer, message_type: u8, payload: &[u8], code: ErrorCode) -> Verdict {
    peer.send(message_type, payload).await?;
    let told = |said: &Said| match said {
        Said::Error(complaint) if complaint.subject == Subject::Connection => Some(complaint.name()),
        _ => None,
    };
    let what = format!("the Error about type {message_type:#04x}");
    same(&what, &peer.wait(&what, told).await?, &code.name().to_owned())
}

async fn unknown_types(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let others =
        [0x00, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F].into_iter().chain(0x18..=0x1F).chain(0x30..=0xFF);
    for message_type in others {
        is_passed_over(&mut peer, message_type, b"anything", ErrorCode::UnknownMessageType).await?;
    }
    peer.is_alive().await
}

async fn file_types(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    for message_type in 0x20..=0x2F {
        is_passed_over(&mut peer, message_type, &[], ErrorCode::UnknownMessageType).await?;
    }
    peer.is_alive().await
}

async fn auth(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    for payload in [&b""[..], b"\x00", b"user:secret", &[0xFF; 300]] {
        is_passed_over(&mut peer, kind::AUTH, payload, ErrorCode::NotSupported).await?;
    }
    peer.is_alive().await
}

async fn server_types(target: Target) -> Verdict {
    let at = [0; 16];
    let answer = Fields::new().u64(1).u8(1).bytes(&at).u16(0).done();
    let ack = Fields::new().u8(0).u8(1).u64(1).u64(0).bytes(&at).done();
    let event = Fields::new().u64(1).u8(2).bytes(&at).done();
    for (message_type, payload) in [(kind::QUERY_RESPONSE, answer), (kind::ACK, ack), (kind::EVENT, event)] {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(message_type, &payload).await?;
        let ended = peer.ends_by(ErrorCode::UnexpectedMessage).await;
        ended.map_err(|failure| failure.within(format_args!("type {message_type:#04x}")))?;
    }
    Ok(())
}

/// Sends a Ping with another sequence than is due.
async fn ping_at(target: &Target, hello: &Hello, offset: u32) -> Verdict {
    let mut peer = Peer::greet(target, hello).await?;
    peer.is_alive().await?;
    peer.sequence = peer.sequence.wrapping_add(offset) % SEQUENCES;
    peer.send(kind::PING, &ping(1)).await?;
    peer.ends_by(ErrorCode::SequenceGap).await
}

async fn sequence_gap(target: Target) -> Verdict {
    ping_at(&target, &Hello::new(target.url.database()), 1).await
}

async fn sequence_repeated(target: Target) -> Verdict {
    ping_at(&target, &Hello::new(target.url.database()), SEQUENCES.wrapping_sub(1)).await
}

async fn sequence_back(target: Target) -> Verdict {
    ping_at(
        &target,
        &Hello { sequence: 1_000, ..Hello::new(target.url.database()) },
        SEQUENCES.wrapping_sub(500),
    )
    .await
}

async fn first_sequence(target: Target) -> Verdict {
    for sequence in [1, 255, 65_536, 0x80_0000, SEQUENCES.wrapping_sub(1)] {
        let hello = Hello { sequence, ..Hello::new(target.url.database()) };
        let alive = Peer::greet(&target, &hello).await?.is_alive().await;
        alive.map_err(|failure| failure.within(format_args!("first sequence {sequence}")))?;
    }
    Ok(())
}

async fn wrap(target: Target) -> Verdict {
    let collection = target.collection();
    let hello = Hello { sequence: SEQUENCES.wrapping_sub(3), ..Hello::new(target.url.database()) };
    let mut peer = Peer::greet(&target, &hello).await?;
    for number in 1..=6 {
        peer.is_alive().await?;
        peer.done(&collection, vec![Item::Insert(record(id(number), &[]))]).await?;
    }
    ensure(peer.sequence < 20, || "the tester did not wrap".to_owned())?;
    same("the count of records", &peer.records(&collection).await?.len(), &6)
}

async fn wrap_gap(target: Target) -> Verdict {
    // The Hello takes the last but two, the Ping the last but one; the last is left out.
    let hello = Hello { sequence: SEQUENCES.wrapping_sub(3), ..Hello::new(target.url.database()) };
    ping_at(&target, &hello, 1).await
}

async fn passed_over_sequence(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    peer.send(0x7F, &[]).await?;
    peer.sequence = peer.sequence.wrapping_sub(1);
    peer.send(kind::PING, &ping(1)).await?;
    loop {
        match peer.next("the Error sequence_gap").await? {
            Said::Error(complaint) if complaint.name() == "unknown_message_type" => {}
            Said::Error(complaint) => {
                same("the code", &complaint.name(), &"sequence_gap".to_owned())?;
                return peer.ends().await;
            }
            Said::End => return Err(Failure::new("the connection ended without an Error (C-1.3)")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::fields::COMPRESSED;

    /// By the rules of P-2.4 and P-2.6, counted by hand: of 256 bytes one is right, seven have known flags.
    #[test]
    fn flags_are_judged_as_the_table_says() {
        let codes = |right| (0..=u8::MAX).map(move |flags| flags_code(flags, right));
        for right in [0, REQUIRES_ACK] {
            assert_eq!(codes(right).filter(Option::is_none).count(), 1);
            assert_eq!(codes(right).filter(|code| *code == Some(ErrorCode::UnexpectedFlag)).count(), 7);
        }
        assert_eq!(flags_code(COMPRESSED, 0), Some(ErrorCode::UnexpectedFlag));
        assert_eq!(flags_code(0x0C, REQUIRES_ACK), Some(ErrorCode::ReservedFlags));
    }
}
