//! Exchanges that were counted by hand, through the relay. What each is made of stands beside its number; the clauses are those of
//! `spec/protocol.md`.

use std::net::{Ipv4Addr, SocketAddr};

use blazedb::blazebinary::{Date, Record, Value};
use blazedb::server::Place;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::blaze::{self, Blaze};
use crate::grpc::{self, BothStreams};
use crate::link::{Fault, Shape};
use crate::measure::measure;
use crate::msgpack::{self, Form, MessagePack};
use crate::relay::{Bytes, Relay};
use crate::rest::{self, Rest};
use crate::schema::Bug;

/// The record of the session in P-11, of 30 bytes: 8 of head, 1 + 17 of the id under field 01, 1 + 3 of "Hi" under field 06.
fn note(number: u64) -> Record {
    Record::from_iter([("id", Value::from(id(number))), ("title", "Hi".into())])
}

fn id(number: u64) -> Uuid {
    Uuid::from_u64_pair(0x0190_0000_0000_7000, 0b10 << 62 | number)
}

const fn bytes(up: u64, down: u64) -> Bytes {
    Bytes { up, down }
}

#[tokio::test]
async fn the_relay_counts_both_directions_of_all_connections() -> Result<(), Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let relay = Relay::start(listener.local_addr()?).await?;
    assert_eq!(relay.settled().await?, bytes(0, 0));
    let serving = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await?;
            let mut asked = vec![0; 700_000];
            stream.read_exact(&mut asked).await?;
            // What came is what was sent, in its order.
            assert!(asked.iter().zip((0..=250).cycle()).all(|(found, sent): (&u8, u8)| *found == sent));
            stream.write_all(&[7; 3]).await?;
        }
        Ok::<(), std::io::Error>(())
    });
    for turn in 1..=2 {
        let mut stream = TcpStream::connect(relay.address()).await?;
        let sent: Vec<u8> = (0..=250).cycle().take(700_000).collect();
        stream.write_all(&sent).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        assert_eq!(answer, [7; 3]);
        assert_eq!(relay.settled().await?, bytes(turn * 700_000, turn * 3));
    }
    serving.await??;
    Ok(())
}

/// Starts a server in memory, which lives on outside of any runtime, and runs `test` in one.
fn with_blazedb<F: Future<Output = Result<(), Fault>>>(
    test: impl FnOnce(SocketAddr) -> F,
) -> Result<(), Fault> {
    let (_server, address) = blaze::serve(Place::Memory)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(test(address))
}

/// A frame is its payload and 19 (P-2.1). Hello: 23, "main" 1 + 4, the agent 1 + 13, no node 1, capabilities: none 1, `lz4` 3 + 4.
/// Welcome: 108, the agent 14, capabilities. Goodbye: 6 and an empty text 1. (P-1.10, P-4.10.)
/// The operation: number 8, level 1, groups 2, "notes" 6, operations 2, kind 1, record 8 + 30 (P-4.2) make 58; its Ack 34.
/// A Credit of 25 is told when half of the window's 1,024 frames were spent (P-9.6, `spec/registry.md`): of 1 + 1,000 once.
#[test]
fn blazedb_puts_on_the_wire_what_its_specification_says() -> Result<(), Fault> {
    with_blazedb(|server| async move {
        let notes: Vec<Record> = (1..=1_000).map(note).collect();
        for (compression, capabilities) in [(false, 1), (true, 7)] {
            let open = |at| Blaze::open("blaze", at, "notes", Shape::ONE, compression);
            let figures = measure(server, &notes, Shape::ONE, open).await?;
            let hello = 19 + 23 + 5 + 14 + 1 + capabilities;
            let welcome = 19 + 108 + 14 + capabilities;
            assert_eq!(figures.setup, bytes(hello, welcome));
            assert_eq!(figures.first, bytes(19 + 58, 19 + 34));
            assert_eq!(figures.rest, bytes(1_000 * 77, 1_000 * 53 + (19 + 25)));
            assert_eq!(figures.end.up, 19 + 7);
        }
        Ok(())
    })
}

/// Each further record of a group takes 9 beside itself: its kind and length and CRC (P-4.2.4).
#[test]
fn a_batch_of_blazedb_shares_one_frame() -> Result<(), Fault> {
    with_blazedb(|server| async move {
        let notes: Vec<Record> = (1..=200).map(note).collect();
        let open = |at| Blaze::open("blaze", at, "notes", Shape::BATCHES, false);
        let figures = measure(server, &notes, Shape::BATCHES, open).await?;
        assert_eq!(figures.rest, bytes(2 * (77 + 99 * (9 + 30)), 2 * 53));
        Ok(())
    })
}

/// RFC 6455, 5.2: a message of up to 125 bytes has a head of 2, and a client's a mask of 4.
#[test]
fn a_websocket_adds_its_heads() -> Result<(), Fault> {
    with_blazedb(|server| async move {
        let notes: Vec<Record> = (1..=100).map(note).collect();
        let figures =
            measure(server, &notes, Shape::ONE, |at| Blaze::open("ws", at, "notes", Shape::ONE, false))
                .await?;
        assert_eq!(figures.rest, bytes(100 * (2 + 4 + 77), 100 * (2 + 53)));
        Ok(())
    })
}

/// MessagePack's document: a head of a short map, array, text or number 1; bin 8 has a head of 2.
/// Named: the map 1, "number" 7 and its number 1, "collection" 11 and "notes" 6, "records" 8 and the array 1; the record: the map 1,
/// "id" 3 and 2 + 16, "title" 6 and "Hi" 3. The answer: the map 1, "number" 7, the number 1. As arrays all of it without names.
#[tokio::test]
async fn messagepack_is_as_long_as_its_document_says() -> Result<(), Fault> {
    let notes: Vec<Record> = (1..=100).map(note).collect();
    let named = 1 + 7 + 1 + 11 + 6 + 8 + 1 + (1 + 3 + 18 + 6 + 3);
    let arrays = 1 + 1 + 6 + 1 + (1 + 18 + 3);
    for (form, up, down) in [(Form::Named, named, 1 + 7 + 1), (Form::Arrays, arrays, 1 + 1)] {
        let server = msgpack::serve(form).await?;
        let open = |at| MessagePack::open(at, "notes", Shape::ONE, form);
        let figures = measure(server, &notes, Shape::ONE, open).await?;
        assert_eq!(figures.rest, bytes(100 * (2 + 4 + up), 100 * (2 + down)), "{form:?}");
    }
    Ok(())
}

/// The text of RFC 9112 with the client's headers, and the shortest answer that has a date.
#[tokio::test]
async fn rest_sends_the_text_that_is_expected() -> Result<(), Fault> {
    let notes: Vec<Record> = (1..=100).map(note).collect();
    let server = rest::serve().await?;
    let mut host = String::new();
    let open = |at: SocketAddr| {
        host = at.to_string();
        Rest::open(at, "notes", Shape::ONE, false)
    };
    let figures = measure(server, &notes, Shape::ONE, open).await?;
    let request = format!(
        "PUT /v1/notes/01900000-0000-7000-8000-000000000001 HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\n\
        content-type: application/json\r\ncontent-length: 14\r\n\r\n{{\"title\":\"Hi\"}}"
    );
    let response = "HTTP/1.1 204 No Content\r\ndate: Sun, 29 Nov 2026 01:00:00 GMT\r\n\r\n";
    assert_eq!(figures.setup, bytes(0, 0));
    assert_eq!(figures.rest, bytes(100 * request.len() as u64, 100 * response.len() as u64));
    Ok(())
}

/// gRPC: a message has a head of 5, HTTP/2's DATA one of 9 (RFC 9113, 4.1). Protobuf: each field a tag of 1; texts and bytes a
/// length of 1; the milliseconds of 2025 (2^40 to 2^41) a varint of 6, of 7 bits each; `false` and 0 are left out; the record in
/// its request again 2. The answer is a tag and a number below 128.
#[tokio::test]
async fn a_stream_of_grpc_is_as_long_as_its_documents_say() -> Result<(), Fault> {
    let bug = |number| {
        Record::from_iter([
            ("id", Value::from(id(number))),
            ("title", "Hi".into()),
            ("description", "Hello".into()),
            ("status", "open".into()),
            ("priority", Value::Int(0)),
            ("assignedTo", "bob".into()),
            ("tags", Value::Array(vec!["ui".into(), "web".into()])),
            ("createdAt", Date::from_unix_millis(1_735_689_600_000).into()),
            ("isArchived", Value::Bool(false)),
        ])
    };
    let record = (2 + 16) + (2 + 2) + (2 + 5) + (2 + 4) + (2 + 3) + (2 + 2) + (2 + 3) + (1 + 6);
    let bugs: Vec<Record> = (1..=100).map(bug).collect();
    let server = grpc::serve::<Bug>().await?;
    let open = |at| BothStreams::<Bug>::open(at, Shape::ONE);
    let figures = measure(server, &bugs, Shape::ONE, open).await?;
    assert_eq!(figures.rest, bytes(100 * (9 + 5 + 2 + record), 100 * (9 + 5 + 2)));
    Ok(())
}
