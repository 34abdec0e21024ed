//! The session in `spec/protocol.md` is read from there and must be what the crate reads and writes.

use blazedb::blazebinary::{Layout, Record, Value, encode_record};
use blazedb::wire::message::{
    Ack, AckLevel, Action, Hello, Message, Operation, OperationBuilder, RecordOperation, Welcome,
};
use blazedb::wire::{
    Clock, CollectionName, CreditLimit, DatabaseName, EncodedStrings, Flags, FrameBuffer, FramedRecord, Lane,
    Position, check_flags, encode_frame_with, flags_to_send,
};
use uuid::Uuid;

const DOCUMENT: &str = include_str!("../../spec/protocol.md");

/// The bytes of each frame of the session.
pub(super) fn session() -> Vec<Vec<u8>> {
    let (_, behind) = DOCUMENT.split_once("```session\n").expect("the session is there");
    let (session, _) = behind.split_once("```").expect("the session ends");
    let frames = session.split('#').skip(1).map(|frame| {
        let (_title, lines) = frame.split_once('\n').unwrap();
        let digits: String = lines
            .lines()
            .flat_map(|line| line.split(';').next().unwrap_or_default().split_whitespace())
            .collect();
        data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
    });
    frames.collect()
}

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

#[test]
fn the_session_of_the_specification_is_read_and_written() {
    let lz4 = EncodedStrings::new(&["lz4"]).unwrap();
    let hello = Hello {
        min_version: 1,
        max_version: 1,
        next_operation: 1,
        oldest_unacked: 1,
        heartbeat_ms: 15_000,
        database: DatabaseName::new("main").unwrap(),
        agent: "doc/1",
        node: None,
        capabilities: lz4.clone(),
    };
    let position = |seq| Position { epoch: 1, partition: 0, seq };
    let welcome = Welcome {
        version: 1,
        node_decided: 0,
        operation_window: 1024,
        heartbeat_ms: 15_000,
        work: CreditLimit { frames: 256, bytes: 4 << 20 },
        telemetry: CreditLimit::NONE,
        request_limit: 64,
        clock: Clock::new(1_714_500_000_000, 3).unwrap(),
        position: position(41),
        connection: uuid("018f3c7a-5b2e-7001-8002-000000000001"),
        node: uuid("018f3c7a-5b2d-7c4e-9a1b-2c3d4e5f6071"),
        agent: "blazedb/0.1.0",
        capabilities: lz4,
    };
    let id = uuid("018f3c7a-5b2f-7abc-8def-0123456789ab");
    let mut record = Vec::new();
    let fields = Record::from_iter([("id", Value::Uuid(id)), ("title", "Hi".into())]);
    encode_record(&fields, Layout::V1, &mut record).unwrap();
    let insert = Action::Insert(FramedRecord::new(&record).unwrap());
    let mut builder = OperationBuilder::new();
    let notes = CollectionName::new("notes").unwrap();
    builder.push(notes, &RecordOperation { base: None, action: insert }).unwrap();
    let body = builder.finish().unwrap();
    let operation = Operation { number: 1, ack_level: AckLevel::Durable, groups: body.groups() };
    let ack =
        Ack { lane: Lane::Work, level: AckLevel::Durable, number: 1, unchanged: 0, position: position(42) };
    let messages = [
        (0, Message::Hello(hello)),
        (0, Message::Welcome(welcome)),
        (1, Message::Operation(operation)),
        (1, Message::Ack(ack)),
    ];

    let frames = session();
    assert_eq!(frames.len(), messages.len());
    for (bytes, (sequence, message)) in frames.iter().zip(messages) {
        let mut buffer = FrameBuffer::new();
        buffer.extend(bytes);
        let frame = buffer.next_frame().unwrap().expect("a whole frame");
        let message_type = message.message_type();
        assert_eq!((frame.header.message_type, frame.header.sequence), (message_type as u8, sequence));
        assert_eq!(check_flags(message_type, frame.header.flags, false), Ok(()));
        assert_eq!(Message::decode(frame.header.message_type, frame.payload).as_ref(), Ok(&message));
        let mut written = Vec::new();
        let flags: Flags = flags_to_send(message_type);
        encode_frame_with(message_type as u8, flags, sequence, &mut written, |out| message.encode(out))
            .unwrap();
        assert_eq!(&written, bytes);
        assert_eq!(buffer.pending_bytes(), 0);
    }
}

#[test]
fn clauses_are_numbered_each_once_and_in_order() {
    let numbers: Vec<Vec<u32>> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("- **P-")?.split_once("**"))
        .map(|(number, _)| number.split('.').map(|part| part.parse().unwrap()).collect())
        .collect();
    assert!(numbers.len() > 40, "{}", numbers.len());
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn every_error_that_the_document_names_exists() {
    use blazedb::wire::ErrorCode;
    let known: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    let named = DOCUMENT.split("(`").skip(1).filter_map(|text| text.split('`').next());
    let mut checked = 0;
    for name in named.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')) {
        assert!(known.contains(&name), "{name}");
        checked += 1;
    }
    assert!(checked > 15, "{checked}");
}
