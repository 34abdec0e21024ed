//! Clauses of the specification that no other test meets, each by its number.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blazedb::blazebinary::{Dict, Value, ValueView};
use blazedb::log::simfs::SimFs;
use blazedb::proto::{Client, ClientEvent, Connection, Outbox, Time};
use blazedb::wire::message::{
    AckLevel, Action, Credit, CreditScope, Error, EventKind, Ids, Mode, Operation, OperationBuilder, Query,
    QueryKind, RecordOperation, Start,
};
use blazedb::wire::{
    CollectionName, CreditLimit, EncodedDict, ErrorCode, Flags, FrameBuffer, FramedRecord, Message,
    MessageType, Position, Subject, encode_frame,
};
use uuid::Uuid;

use crate::server_kit::{Act, Caller, Process, body, record};
use crate::sessions::{Serving, World, hello, welcome};

const CREDIT: CreditLimit = CreditLimit { frames: 16, bytes: 1 << 20 };

fn put(number: u128) -> Act {
    Act::Insert(record(Uuid::from_u128(number), &[("n", Value::Int(1))]))
}

fn scan_of(name: &str) -> QueryKind<'_> {
    let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
    QueryKind::Scan { collection: CollectionName::new(name).unwrap(), reverse: false, limit: 0, lower, upper }
}

/// P-1.7.
#[test]
fn the_checksum_is_the_one_of_zlib() {
    let mut frame = Vec::new();
    encode_frame(0x12, Flags::NONE, 0, b"123456789", &mut frame).unwrap();
    assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
    assert_eq!(frame[24..], crc32fast::hash(&frame[..24]).to_be_bytes());
    assert_eq!(FramedRecord::new(b"123456789").unwrap().checksum(), 0xCBF4_3926);
}

/// P-4.3.1: the order of ids, both ways, within bounds that do not depend on it.
#[test]
fn a_scan_rises_or_falls_within_its_bounds() {
    let server = Process::start_with(&["--memory"]);
    let mut caller = Caller::new(server.address);
    caller.run(&body("a", &[3, 1, 9, 5, 7].map(put))).unwrap();
    let mut scan = |reverse, limit, lower, upper| {
        let collection = CollectionName::new("a").unwrap();
        let kind = QueryKind::Scan { collection, reverse, limit, lower, upper };
        let rows = caller.ask(kind).unwrap().1;
        let id = |record: &blazedb::blazebinary::Record| match record.get("id") {
            Some(Value::Uuid(id)) => id.as_u128(),
            other => panic!("{other:?}"),
        };
        rows.iter().map(|(_, record)| id(record)).collect::<Vec<_>>()
    };
    let (all, id) = (Bound::Unbounded, Uuid::from_u128);
    assert_eq!(scan(false, 0, all, all), [1, 3, 5, 7, 9]);
    assert_eq!(scan(true, 0, all, all), [9, 7, 5, 3, 1]);
    let (lower, upper) = (Bound::Included(id(3)), Bound::Excluded(id(9)));
    assert_eq!(scan(false, 0, lower, upper), [3, 5, 7]);
    assert_eq!(scan(true, 0, lower, upper), [7, 5, 3]);
    assert_eq!(scan(false, 2, lower, upper), [3, 5]);
    assert_eq!(scan(true, 2, lower, upper), [7, 5]);
    assert_eq!(scan(false, 0, Bound::Excluded(id(3)), Bound::Included(id(9))), [5, 7, 9]);
    assert_eq!(scan(true, 1, Bound::Excluded(id(9)), all), []);
}

/// What a query is answered that asks for a position: where it was taken, or the code.
fn ask_at(caller: &mut Caller, at_least: Position) -> Result<Position, ErrorCode> {
    let id = caller.connection.query(scan_of("a"), Some(at_least), CREDIT).unwrap();
    loop {
        match caller.next_event().unwrap() {
            ClientEvent::Answer { id: found, payload, .. } if found == id => {
                let Ok(Message::QueryResponse(response)) = Message::decode(4, &payload) else { panic!() };
                return Ok(response.position);
            }
            ClientEvent::Refused { id: found, refusal } if found == id => {
                return Err(refusal.known().unwrap());
            }
            _ => {}
        }
    }
}

/// P-4.3.3, S-3.3.
#[test]
fn a_query_waits_for_its_position_and_no_longer_than_it_may() {
    let server = Process::start_with(&["--memory"]);
    let (mut caller, mut writer) = (Caller::new(server.address), Caller::new(server.address));
    writer.run(&body("a", &[put(1)])).unwrap();
    let (here, _) = caller.ask(scan_of("a")).unwrap();
    let behind = |numbers| Position { seq: here.seq + numbers, ..here };
    assert_eq!(ask_at(&mut caller, here), Ok(here));
    assert_eq!(ask_at(&mut caller, Position::default()), Ok(here), "zeros stand before everything");
    for unknown in
        [Position { epoch: here.epoch + 1, ..here }, Position { partition: !here.partition, ..here }]
    {
        assert_eq!(ask_at(&mut caller, unknown), Err(ErrorCode::PositionUnknown));
    }
    let asked = Instant::now();
    assert_eq!(ask_at(&mut caller, behind(9)), Err(ErrorCode::PositionNotReached));
    assert!((2_000..4_000).contains(&asked.elapsed().as_millis()), "{:?}", asked.elapsed());
    // It is answered as soon as the position is reached.
    let id = caller.connection.query(scan_of("a"), Some(behind(1)), CREDIT).unwrap();
    caller.flush().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    writer.run(&body("a", &[put(2)])).unwrap();
    let payload = loop {
        match caller.next_event().unwrap() {
            ClientEvent::Answer { id: found, payload, .. } if found == id => break payload,
            ClientEvent::Refused { refusal, .. } => panic!("{refusal:?}"),
            _ => {}
        }
    };
    let Ok(Message::QueryResponse(response)) = Message::decode(4, &payload) else { panic!() };
    assert_eq!((response.position, response.rows.len()), (behind(1), 2));
}

/// P-4.3.3: a refusal is an outcome with a number and no change. A subscription that was told the number as its position
/// may ask for it. (Such a query waited two seconds and was refused.)
#[test]
fn a_position_that_a_subscription_was_told_is_reached() {
    let server = Process::start_with(&["--memory"]);
    let mut caller = Caller::new(server.address);
    caller.run(&body("a", &[put(1)])).unwrap();
    caller.run(&body("a", &[put(1)])).unwrap_err();
    let collection = CollectionName::new("a").unwrap();
    let id = caller.connection.subscribe(collection, Mode::All, Start::Snapshot, CREDIT).unwrap();
    let told = loop {
        let ClientEvent::Answer { id: found, payload, .. } = caller.next_event().unwrap() else { continue };
        let Ok(Message::Event(event)) = Message::decode(0x10, &payload) else { panic!() };
        assert_eq!(found, id);
        if event.kind == EventKind::CaughtUp {
            break event.position;
        }
    };
    let (here, _) = caller.ask(scan_of("a")).unwrap();
    assert_eq!(told.seq, here.seq + 1, "the refusal's number");
    assert_eq!(ask_at(&mut caller, told), Ok(here));
}

fn error_frame(sequence: u32, subject: Subject, code: u16, detail: EncodedDict<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    Message::Error(Error { subject, code, message: "later", detail }).encode(&mut payload);
    let mut frame = Vec::new();
    encode_frame(MessageType::Error as u8, Flags::NONE, sequence, &payload, &mut frame).unwrap();
    frame
}

/// A client of the sessions that is welcome, and has operation 1 and request 1 under way.
fn busy_client() -> Connection<Client> {
    let mut client = crate::sessions::client(Outbox::new(Some(crate::sessions::node())));
    let mut out = Vec::new();
    client.poll_transmit(Time::ZERO, &mut out);
    client.handle_bytes(Time::ZERO, &welcome());
    assert!(matches!(client.poll_event(), Some(ClientEvent::Welcome(_))));
    client.submit(AckLevel::Durable, body("a", &[put(1)]).groups()).unwrap();
    client.query(scan_of("a"), None, CREDIT).unwrap();
    client.poll_transmit(Time::ZERO, &mut out);
    client
}

/// P-4.7.2, C-1.4, R-6.2, R-6.3: the scope says what has ended.
#[test]
fn codes_and_details_that_are_not_known_end_what_they_are_about_and_no_more() {
    const UNKNOWN: u16 = 64_999;
    assert_eq!(ErrorCode::from_number(UNKNOWN), None);
    let detail = || EncodedDict::new(Dict::from_iter([("never heard of", 5_i64)])).unwrap();
    let mut client = busy_client();
    client.handle_bytes(Time::ZERO, &error_frame(1, Subject::Request(1), UNKNOWN, detail()));
    let Some(ClientEvent::Refused { id: 1, refusal }) = client.poll_event() else { panic!() };
    assert_eq!((refusal.code, refusal.known()), (UNKNOWN, None));
    client.handle_bytes(Time::ZERO, &error_frame(2, Subject::Operation(1), UNKNOWN, detail()));
    assert!(client.is_open() && client.open_requests() == 0);
    let ack = blazedb::wire::message::Ack {
        lane: blazedb::wire::Lane::Work,
        level: AckLevel::Durable,
        number: 1,
        unchanged: 0,
        position: Position::default(),
    };
    let (mut payload, mut frame) = (Vec::new(), Vec::new());
    Message::Ack(ack).encode(&mut payload);
    encode_frame(MessageType::Ack as u8, Flags::NONE, 3, &payload, &mut frame).unwrap();
    client.handle_bytes(Time::ZERO, &frame);
    let Some(ClientEvent::Outcome(outcome)) = client.poll_event() else { panic!() };
    assert_eq!(outcome.result.unwrap_err().code, UNKNOWN);
    assert!(client.is_open());
    // Of scope connection it is the end, but for the two that are notices.
    for (code, ends) in [
        (UNKNOWN, true),
        (ErrorCode::Internal.number(), true),
        (ErrorCode::UnknownMessageType.number(), false),
        (ErrorCode::NotSupported.number(), false),
    ] {
        let mut client = busy_client();
        client.handle_bytes(Time::ZERO, &error_frame(1, Subject::Connection, code, EncodedDict::NONE));
        assert_eq!(client.is_closed(), ends, "{code}");
    }
}

/// The Errors among what a server wrote.
fn errors(bytes: &[u8]) -> Vec<(Subject, ErrorCode)> {
    let (mut buffer, mut found) = (FrameBuffer::new(), Vec::new());
    buffer.extend(bytes);
    while let Some(frame) = buffer.next_frame().unwrap() {
        if let Ok(Message::Error(error)) = Message::decode(frame.header.message_type, frame.payload) {
            found.push((error.subject, ErrorCode::from_number(error.code).unwrap()));
        }
    }
    found
}

/// P-8.3, R-7.1: of a server that is asked wrong things in many ways.
#[test]
fn errors_keep_to_the_scopes_of_their_codes() {
    let world = Arc::new(World::new(0));
    let mut serving = Serving::connect(Serving::databases(&world, SimFs::new(4096)));
    serving.answer(&hello());
    let mut sequence = 0;
    let mut send = |message: &Message<'_>, spoil: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = Vec::new();
        message.encode(&mut payload);
        spoil(&mut payload);
        sequence += 1;
        let flags = blazedb::wire::flags_to_send(message.message_type());
        let mut frame = Vec::new();
        encode_frame(message.message_type() as u8, flags, sequence, &payload, &mut frame).unwrap();
        errors(&serving.answer(&frame))
    };
    let mut told = Vec::new();
    let same: &dyn Fn(&mut Vec<u8>) = &|_| {};
    let insert = body("a", &[put(1)]);
    let no_record = body("a", &[Act::Patch(Uuid::from_u128(7), blazedb::blazebinary::Record::new())]);
    let of = |number, ack_level, groups| Message::Operation(Operation { number, ack_level, groups });
    let durable = |number| of(number, AckLevel::Durable, insert.groups());
    told.extend(send(&durable(1), same));
    told.extend(send(&durable(2), same));
    told.extend(send(&of(3, AckLevel::Durable, no_record.groups()), same));
    told.extend(send(&of(4, AckLevel::Replicated, insert.groups()), same));
    told.extend(send(&durable(5), &|payload| payload.push(0)));
    told.extend(send(&durable(6), &|payload| payload.truncate(30)));
    told.extend(send(&durable(7), &|payload| *payload.last_mut().unwrap() ^= 1));
    let query = |id, kind| Message::Query(Query { id, credit: CREDIT, at_least: None, kind });
    told.extend(send(&query(1, scan_of("none")), same));
    told.extend(send(&query(2, scan_of("a")), &|payload| payload[24] = 5));
    told.extend(send(&query(3, scan_of("a")), &|payload| payload[25] = 9));
    told.extend(send(&query(4, scan_of("a")), &|payload| payload.truncate(28)));
    let of_operation = |number, code| (Subject::Operation(number), code);
    let of_request = |id, code| (Subject::Request(id), code);
    assert_eq!(
        told,
        [
            of_operation(2, ErrorCode::AlreadyExists),
            of_operation(3, ErrorCode::NotFound),
            of_operation(4, ErrorCode::NotSupported),
            of_operation(5, ErrorCode::TrailingBytes),
            of_operation(6, ErrorCode::Truncated),
            of_operation(7, ErrorCode::RecordChecksumMismatch),
            of_request(1, ErrorCode::UnknownCollection),
            of_request(2, ErrorCode::NotSupported),
            of_request(3, ErrorCode::InvalidField),
            of_request(4, ErrorCode::Truncated),
        ]
    );
    told.extend(send(&query(4, scan_of("a")), same));
    assert_eq!(told.last(), Some(&(Subject::Connection, ErrorCode::RequestIdNotIncreasing)));
    for (subject, code) in told {
        assert!(code.scopes().contains(&subject.scope()), "{code:?} about {subject:?}");
    }
}

/// P-4.7.1, E-1.8: a precondition that fails names the version found, that of a record that is not there as 0.
#[test]
fn a_failed_precondition_names_the_version_found() {
    let mut serving = Serving::connect(Serving::databases(&Arc::new(World::new(0)), SimFs::new(4096)));
    serving.answer(&hello());
    // Numbers 1 and 2 are those of the node and the collection.
    for (number, id, base, found) in [(1, 1, 0, None), (2, 1, 7, Some(3)), (3, 9, 7, Some(0))] {
        let mut builder = OperationBuilder::new();
        let bytes = crate::sessions::encoded(&[("id", Value::Uuid(Uuid::from_u128(id)))]);
        let record = FramedRecord::new(&bytes).unwrap();
        let action = Action::Upsert { record, skip_unchanged: false };
        let name = CollectionName::new("a").unwrap();
        builder.push(name, &RecordOperation { base: Some(base), action }).unwrap();
        let body = builder.finish().unwrap();
        let operation = Operation { number, ack_level: AckLevel::Durable, groups: body.groups() };
        let sequence = u32::try_from(number).unwrap();
        let answer = serving.answer(&client_frame(sequence, &Message::Operation(operation)));
        let mut buffer = FrameBuffer::new();
        buffer.extend(&answer);
        let frame = buffer.next_frame().unwrap().unwrap();
        let told = match Message::decode(frame.header.message_type, frame.payload).unwrap() {
            Message::Error(error) => {
                assert_eq!(error.code, ErrorCode::PreconditionFailed.number());
                match (error.detail.get("item"), error.detail.get("version")) {
                    (Some(ValueView::Int(0)), Some(ValueView::Int(version))) => Some(version),
                    other => panic!("{other:?}"),
                }
            }
            _ => None,
        };
        assert_eq!(told, found, "operation {number}");
    }
}

/// A frame of a client, whose first was the hello.
fn client_frame(sequence: u32, message: &Message<'_>) -> Vec<u8> {
    let (mut payload, mut frame) = (Vec::new(), Vec::new());
    message.encode(&mut payload);
    let flags = blazedb::wire::flags_to_send(message.message_type());
    encode_frame(message.message_type() as u8, flags, sequence, &payload, &mut frame).unwrap();
    frame
}

/// A server whose collection `a` has two records that need a frame each, and the sequence of the client's next frame.
fn two_pages() -> (Serving, u32) {
    let mut serving = Serving::connect(Serving::databases(&Arc::new(World::new(0)), SimFs::new(4096)));
    serving.answer(&hello());
    let act = |number| {
        let text = Value::from("x".repeat(30_000).as_str());
        Act::Insert(record(Uuid::from_u128(number), &[("text", text)]))
    };
    let body = body("a", &[act(1), act(2)]);
    let operation = Operation { number: 1, ack_level: AckLevel::Durable, groups: body.groups() };
    assert_eq!(errors(&serving.answer(&client_frame(1, &Message::Operation(operation)))), []);
    (serving, 2)
}

/// S-3.2.
#[test]
fn an_answer_that_is_read_too_slowly_expires() {
    let (mut serving, sequence) = two_pages();
    let credit = CreditLimit { frames: 1, bytes: 1 };
    let query = Message::Query(Query { id: 1, credit, at_least: None, kind: scan_of("a") });
    let first = serving.answer(&client_frame(sequence, &query));
    assert_eq!((errors(&first), first.get(6)), (vec![], Some(&(MessageType::QueryResponse as u8))));
    serving.now = Time::ZERO.after(Duration::from_millis(59_999));
    assert_eq!(serving.answer(&[]), [0; 0]);
    serving.now = Time::ZERO.after(Duration::from_secs(60));
    assert_eq!(errors(&serving.answer(&[])), [(Subject::Request(1), ErrorCode::SnapshotExpired)]);
    assert!(serving.connection.is_open());
}

/// S-3.4: what a large question holds is charged until it is answered.
#[test]
fn the_credit_of_a_large_query_returns_when_it_is_finished() {
    let ids: Vec<[u8; 16]> = (1..=300_u128).map(u128::to_be_bytes).collect();
    // 26 bytes, the name's 2 and the count's 2 stand before the ids; 4,096 bytes are the limit.
    for (count, held) in [(254, 0), (255, 1)] {
        let (mut serving, sequence) = two_pages();
        let collection = CollectionName::new("a").unwrap();
        let kind = QueryKind::Get { collection, ids: Ids::new(&ids[..count]).unwrap() };
        let credit = CreditLimit { frames: 1, bytes: 1 };
        let query = Message::Query(Query { id: 1, credit, at_least: None, kind });
        serving.answer(&client_frame(sequence, &query));
        assert_eq!(serving.connection.work_in_flight().frames, held, "{count} ids");
        let limit = CreditLimit { frames: 9, bytes: 1 << 20 };
        let credit = Message::Credit(Credit { scope: CreditScope::Request(1), limit });
        serving.answer(&client_frame(sequence + 1, &credit));
        let left = (serving.connection.running_requests(), serving.connection.work_in_flight().frames);
        assert_eq!(left, (0, 0));
    }
}

/// Log 2.7: the salts of a log's segments, and what a client is told of them.
#[test]
fn each_segment_has_a_salt_of_its_own_that_no_client_sees() {
    let fs = SimFs::new(4096);
    let world = Arc::new(World::new(0x0123_4567_89AB_CDEF));
    let mut serving = Serving::connect(Serving::databases(&world, fs.clone()));
    let mut told = serving.answer(&hello());
    for number in 1..=60 {
        let text = Value::from("x".repeat(16_000).as_str());
        let act = Act::Upsert(record(Uuid::from_u128(u128::from(number)), &[("text", text)]));
        let body = body("a", &[act]);
        let operation = Operation { number, ack_level: AckLevel::Durable, groups: body.groups() };
        let sequence = u32::try_from(number).unwrap();
        told.extend(serving.answer(&client_frame(sequence, &Message::Operation(operation))));
    }
    assert_eq!(errors(&told), []);
    let segments: Vec<String> = fs.names().into_iter().filter(|name| name.ends_with(".log")).collect();
    assert!(segments.len() > 5, "{segments:?}");
    // Behind the frame's header of 15 bytes, at offset 44 (log.md, 2.2).
    let mut salts: Vec<[u8; 8]> =
        segments.iter().map(|name| fs.bytes(name)[59..67].try_into().unwrap()).collect();
    salts.sort_unstable();
    salts.dedup();
    assert_eq!(salts.len(), segments.len());
    assert!(told.windows(8).all(|eight| !salts.iter().any(|salt| salt == eight)));
}
