//! Clients that do what they must not, while an honest one works beside them.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use blazedb::blazebinary::Value;
use blazedb::wire::message::{AckLevel, Goodbye, Hello, Operation, QueryKind};
use blazedb::wire::{
    CollectionName, CreditLimit, DatabaseName, EncodedStrings, Flags, FrameBuffer, Message, MessageType,
    encode_frame,
};
use uuid::Uuid;

use super::server_kit::{Act, Caller, Process, body, record};

pub(crate) fn stream(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    stream
}

/// What the server says until it hangs up, and how long that takes.
pub(crate) fn last_words(mut stream: TcpStream) -> (Vec<u8>, Duration) {
    let (start, mut words) = (Instant::now(), Vec::new());
    match stream.read_to_end(&mut words) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    (words, start.elapsed())
}

/// The types of the frames in `words`.
pub(crate) fn types(words: &[u8]) -> Vec<u8> {
    let mut decoder = FrameBuffer::new();
    decoder.extend(words);
    let mut types = Vec::new();
    while let Ok(Some(frame)) = decoder.next_frame() {
        types.push(frame.header.message_type);
    }
    types
}

fn frame(message_type: MessageType, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(message_type as u8, Flags::NONE, sequence, payload, &mut bytes).unwrap();
    bytes
}

/// Bytes of a Hello for `main`, as `spec/protocol.md` P-11 shows it.
pub(crate) fn hello() -> Vec<u8> {
    let hex = "424c415a45010100 00002a00000000 01 0101 0000000000000001 0000000000000001 00003a98 246d61696e \
               25646f632f31 0b 080001236c7a34 9209b970";
    let digits: String = hex.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
}

#[test]
fn garbage_is_answered_by_an_error_and_the_end() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    let mut wrong_crc = hello();
    *wrong_crc.last_mut().unwrap() ^= 1;
    let twice = [hello(), hello()].concat();
    let too_soon = frame(MessageType::Query, 0, &[0; 30]);
    let gap = [hello(), frame(MessageType::Ping, 7, &[0; 8])].concat();
    let huge = b"BLAZE\x01\x01\xff\xff\xff\xff\0\0\0\0".to_vec();
    for (what, bytes) in [
        ("another protocol", b"\x05\x01\x00 a proxy is asked for".to_vec()),
        ("a length of 4 GiB", huge),
        ("a wrong checksum", wrong_crc),
        ("two hellos", twice),
        ("a query before the hello", too_soon),
        ("a gap of sequences", gap),
    ] {
        let mut attacker = stream(server.address);
        attacker.write_all(&bytes).unwrap();
        let (words, took) = last_words(attacker);
        assert!(types(&words).contains(&(MessageType::Error as u8)), "{what}: {words:?}");
        assert!(took < Duration::from_secs(4), "{what}: {took:?}");
        assert!(honest.is_well(), "{what}");
    }
}

#[test]
fn slow_and_silent_clients_are_hung_up_on() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    let silent: Vec<_> = (0..20).map(|_| stream(server.address)).collect();
    let mut slow = stream(server.address);
    let start = Instant::now();
    for byte in hello() {
        if start.elapsed() > Duration::from_secs(5) || slow.write_all(&[byte]).is_err() {
            break;
        }
        assert!(honest.is_well());
        std::thread::sleep(Duration::from_millis(250));
    }
    for stream in silent.into_iter().chain([slow]) {
        last_words(stream);
        assert!(start.elapsed() < Duration::from_secs(8), "the handshake's deadline is 5 s");
    }
    assert!(honest.is_well());
}

/// Peers that were welcome and then vanished behind an open socket: 2½ heartbeats of 5 s.
#[test]
fn half_open_clients_are_hung_up_on() {
    let server = Process::start_with(&["--memory"]);
    let hello = Hello {
        min_version: 1,
        max_version: 1,
        next_operation: 1,
        oldest_unacked: 1,
        heartbeat_ms: 5_000,
        database: DatabaseName::new("main").unwrap(),
        agent: "half-open",
        node: None,
        capabilities: EncodedStrings::EMPTY,
    };
    let mut payload = Vec::new();
    Message::Hello(hello).encode(&mut payload);
    let bytes = frame(MessageType::Handshake, 0, &payload);
    let start = Instant::now();
    let vanished: Vec<_> = (0..10).map(|_| stream(server.address)).collect();
    for mut stream in &vanished {
        stream.write_all(&bytes).unwrap();
    }
    let mut honest = Caller::new(server.address);
    for stream in vanished {
        let (words, _) = last_words(stream);
        assert_eq!(types(&words).first(), Some(&(MessageType::Handshake as u8)));
        assert!(types(&words).contains(&(MessageType::Error as u8)));
        let took = start.elapsed();
        assert!((Duration::from_secs(12)..Duration::from_secs(18)).contains(&took), "{took:?}");
        assert!(honest.is_well());
    }
}

/// What cannot be read is refused, uses its number up, and is refused alike when it is repeated; what stands
/// behind it is decided.
#[test]
fn operations_that_cannot_be_read_are_refused_alone() {
    let server = Process::start_with(&["--memory"]);
    let good = body("a", &[Act::Insert(record(Uuid::from_u128(1), &[]))]);
    let mut payloads = Vec::new();
    for number in 1..=2_u64 {
        let mut payload = Vec::new();
        let operation = Operation { number, ack_level: AckLevel::Durable, groups: good.groups() };
        Message::Operation(operation).encode(&mut payload);
        payloads.push(payload);
    }
    // Its collection's name begins with a digit: "a" is the byte behind number, level and count of groups, and a tag.
    let at = payloads[0].iter().position(|byte| *byte == b'a').unwrap();
    payloads[0][at] = b'1';
    let node = Uuid::from_u128(0xBAD);
    for _ in 0..2 {
        let mut stream = stream(server.address);
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            next_operation: 3,
            oldest_unacked: 1,
            heartbeat_ms: 5_000,
            database: DatabaseName::new("main").unwrap(),
            agent: "unreadable",
            node: Some(node),
            capabilities: EncodedStrings::EMPTY,
        };
        let mut hello_payload = Vec::new();
        Message::Hello(hello).encode(&mut hello_payload);
        stream.write_all(&frame(MessageType::Handshake, 0, &hello_payload)).unwrap();
        let mut welcome = [0; 4096];
        let read = stream.read(&mut welcome).unwrap();
        let mut bytes = Vec::new();
        let mut goodbye = Vec::new();
        Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" }).encode(&mut goodbye);
        for (sequence, payload) in (1..).zip(&payloads) {
            encode_frame(MessageType::Operation as u8, Flags::REQUIRES_ACK, sequence, payload, &mut bytes)
                .unwrap();
        }
        bytes.extend(frame(MessageType::Goodbye, 3, &goodbye));
        stream.write_all(&bytes).unwrap();
        let (words, _) = last_words(stream);
        let mut buffer = FrameBuffer::new();
        buffer.extend(&welcome[..read]);
        buffer.extend(&words);
        let mut told = Vec::new();
        while let Ok(Some(frame)) = buffer.next_frame() {
            match Message::decode(frame.header.message_type, frame.payload).unwrap() {
                Message::Error(error) => told.push(format!("{:?} {}", error.subject, error.code)),
                Message::Ack(ack) => told.push(format!("ack {}", ack.number)),
                _ => {}
            }
        }
        let invalid_name = blazedb::wire::ErrorCode::InvalidName as u16;
        assert_eq!(told.first(), Some(&format!("Operation(1) {invalid_name}")));
        assert_eq!(told.last().map(String::as_str), Some("ack 2"), "{told:?}");
    }
    assert_eq!(Caller::new(server.address).scan("a").len(), 1);
}

/// Nine clients ask for all there is and read none of it; the honest one is answered all the same.
#[test]
fn clients_that_do_not_read_are_parked() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    let text = Value::from("x".repeat(1000).as_str());
    for batch in 0..20_u128 {
        let acts = (0..500)
            .map(|n| Act::Insert(record(Uuid::from_u128(batch << 32 | n), &[("text", text.clone())])));
        honest.run(&body("big", &acts.collect::<Vec<_>>())).unwrap();
    }
    let mut deaf: Vec<Caller> = (0..9).map(|_| Caller::new(server.address)).collect();
    for caller in &mut deaf {
        for _ in 0..20 {
            let collection = CollectionName::new("big").unwrap();
            let (lower, upper) = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
            let kind = QueryKind::Scan { collection, reverse: false, limit: 0, lower, upper };
            let credit = CreditLimit { frames: u64::MAX, bytes: u64::MAX };
            caller.connection.query(kind, None, credit).unwrap();
        }
        caller.flush().unwrap();
    }
    for _ in 0..50 {
        let start = Instant::now();
        assert!(honest.is_well());
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    let memory = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    // 10 MB of records twice (log and store), and of 180 answers 10 MB each only what is staged.
    assert!(peak < 200 << 10, "{peak} KiB");
}

#[test]
fn floods_of_connections_do_not_starve_a_client() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    for _ in 0..20 {
        let crowd: Vec<_> = (0..50).map(|_| stream(server.address)).collect();
        assert!(honest.is_well());
        for (at, mut stream) in crowd.into_iter().enumerate() {
            if at % 2 == 0 {
                // Half of them speak and are gone before the answer.
                let _ = stream.write_all(&hello());
            }
        }
    }
    assert!(honest.is_well());
}
