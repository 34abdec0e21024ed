//! The session in `spec/protocol.md` is read from there and must be what the crate reads and writes.

use blazedb::blazebinary::{Layout, Record, Value, encode_record};
use blazedb::wire::message::{
    Ack, AckLevel, Action, Credit, CreditScope, Error, Event, EventKind, Goodbye, Hello, Ids, Message, Mode,
    Operation, OperationBuilder, Query, QueryKind, QueryResponse, RecordOperation, RowsBuilder, Start,
    Subscribe, Welcome,
};
use blazedb::wire::{
    Clock, CollectionName, CreditLimit, DatabaseName, EncodedDict, EncodedStrings, Flags, FrameBuffer,
    FramedRecord, Lane, Position, Subject, check_flags, encode_frame_with, flags_to_send,
};
use uuid::Uuid;

const DOCUMENT: &str = include_str!("../../spec/protocol.md");

/// The bytes of each frame of the session.
pub(super) fn session() -> Vec<Vec<u8>> {
    let session = super::sessions::sessions(DOCUMENT).remove(0);
    session.into_iter().map(|dump| dump.bytes).collect()
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
        assert_eq!(check_flags(Some(message_type), frame.header.flags, false), Ok(()));
        assert_eq!(Message::decode(frame.header.message_type, frame.payload).as_ref(), Ok(&message));
        let mut written = Vec::new();
        let flags: Flags = flags_to_send(message_type);
        encode_frame_with(message_type as u8, flags, sequence, &mut written, |out| message.encode(out))
            .unwrap();
        assert_eq!(&written, bytes);
        assert_eq!(buffer.pending_bytes(), 0);
    }
}

/// The example of a compressed payload is read from the document, and P-4.10's sizes are those that are written.
#[test]
fn the_compressed_example_and_the_sizes_of_payloads_hold() {
    let (_, behind) = DOCUMENT.split_once("```block\n").expect("the block is there");
    let lines = behind.split("```").next().unwrap().lines();
    let digits: String = lines.map(|line| line.split(';').next().unwrap().trim()).collect();
    let payload = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
    let mut plain = Vec::new();
    assert_eq!(blazedb::wire::decompress(&payload, &mut plain), Ok(()));
    assert_eq!(plain, b"abcabcabcabcabcabcab");

    let bytes = |message: Message<'_>| {
        let mut payload = Vec::new();
        message.encode(&mut payload);
        payload.len()
    };
    let (limit, position) = (CreditLimit::NONE, Position::default());
    let collection = CollectionName::new("c").unwrap();
    let query = |kind, at_least| Message::Query(Query { id: 1, credit: limit, at_least, kind });
    let scan = |lower| {
        let upper = std::ops::Bound::Unbounded;
        query(QueryKind::Scan { collection, reverse: false, limit: 0, lower, upper }, None)
    };
    let subscribe =
        |start| Message::Subscribe(Subscribe { id: 1, credit: limit, mode: Mode::All, start, collection });
    let event = |kind| Message::Event(Event { id: 1, position, kind });
    let ack = Ack { lane: Lane::Work, level: AckLevel::Durable, number: 1, unchanged: 0, position };
    let (code, message, retry_after_ms) = (1, "", 0);
    let error = Error { subject: Subject::Connection, code, message, detail: EncodedDict::NONE };
    let id = [7; 16];
    let get = QueryKind::Get { collection, ids: Ids::new(std::slice::from_ref(&id)).unwrap() };
    let rows = RowsBuilder::new();
    let answer = QueryResponse { id: 1, last: true, position, rows: rows.rows() };
    // By hand from the table: the name of the collection takes 2.
    for (message, expected) in [
        (query(get, None), 26 + 2 + 2 + 16),
        (query(QueryKind::Stats { collection: None }, Some(position)), 26 + 16 + 1),
        (scan(std::ops::Bound::Unbounded), 26 + 2 + 9 + 1 + 1),
        (scan(std::ops::Bound::Included(uuid("018f3c7a-5b2f-7abc-8def-0123456789ab"))), 26 + 2 + 9 + 17 + 1),
        (Message::QueryResponse(answer), 27),
        (subscribe(Start::Now), 26 + 2),
        (subscribe(Start::After(position)), 26 + 16 + 2),
        (Message::Ack(ack), 34),
        (Message::Error(error), 11 + 1 + 1),
        (event(EventKind::CaughtUp), 25),
        (event(EventKind::Reset { code: 300, oldest: position }), 25 + 18),
        (Message::Goodbye(Goodbye { code, retry_after_ms, message }), 6 + 1),
        (Message::Credit(Credit { scope: CreditScope::Request(1), limit }), 25),
    ] {
        let name = format!("{message:?}");
        assert_eq!(bytes(message), expected, "{name}");
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
