//! The sessions of `spec/sessions.md` are read from there: a real server must answer the client's frames by the server's,
//! and a real client that takes the server's must write the client's, byte for byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use blazedb::blazebinary::{Layout, Record, Value, encode_record};
use blazedb::engine::{Database, Environment, Settings};
use blazedb::live::Hub;
use blazedb::log::simfs::SimFs;
use blazedb::proto::{
    Client, ClientConfig, ClientEvent, CloseReason, Connection, Outbox, Parting, Server, ServerConfig, Time,
};
use blazedb::service::{Databases, Fence, Publication, Served, Session};
use blazedb::store::Memory;
use blazedb::wire::message::{
    AckLevel, Action, Mode, OperationBody, OperationBuilder, QueryKind, RecordOperation, Start,
};
use blazedb::wire::{
    CollectionName, CreditLimit, EncodedStrings, Frame, FrameBuffer, FramedRecord, Message, MessageType,
    Position, check_flags,
};
use uuid::Uuid;

const DOCUMENT: &str = include_str!("../../spec/sessions.md");

/// A frame as a document shows it.
#[derive(Debug)]
pub(super) struct Dump {
    pub(super) is_from_client: bool,
    title: String,
    notes: Vec<String>,
    pub(super) bytes: Vec<u8>,
}

/// The dumps of each session of a document.
pub(super) fn sessions(document: &str) -> Vec<Vec<Dump>> {
    let blocks = document.split("```session\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().split('#').skip(1).map(dump).collect()).collect()
}

fn dump(text: &str) -> Dump {
    let (title, lines) = text.split_once('\n').unwrap();
    let halves = lines.lines().map(|line| line.split_once(';').unwrap_or((line, "")));
    let digits: String = halves.clone().flat_map(|(bytes, _)| bytes.split_whitespace()).collect();
    Dump {
        is_from_client: title.trim().starts_with("client → server"),
        title: title.trim().to_owned(),
        notes: halves.map(|(_, note)| note.trim().to_owned()).filter(|note| !note.is_empty()).collect(),
        bytes: data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap(),
    }
}

/// All frames of the document; where a Hello stands, a connection begins.
fn dumps() -> Vec<Dump> {
    let all: Vec<Dump> = sessions(DOCUMENT).into_iter().flatten().collect();
    assert_eq!(all.len(), 30);
    all
}

/// The hello that begins the sessions.
pub(super) fn hello() -> Vec<u8> {
    dumps().swap_remove(0).bytes
}

/// The answer to it.
pub(super) fn welcome() -> Vec<u8> {
    dumps().swap_remove(1).bytes
}

/// The client's node.
pub(super) fn node() -> Uuid {
    uuid(NODE)
}

fn is_hello(dump: &Dump) -> bool {
    dump.is_from_client && dump.bytes.get(6) == Some(&(MessageType::Handshake as u8))
}

fn with_frame<T>(bytes: &[u8], look: impl FnOnce(Frame<'_>) -> T) -> T {
    let mut buffer = FrameBuffer::new();
    buffer.extend(bytes);
    let found = look(buffer.next_frame().unwrap().expect("a whole frame"));
    assert_eq!(buffer.pending_bytes(), 0);
    found
}

#[test]
fn every_frame_is_whole_in_sequence_and_as_its_notes_say() {
    let mut next = [0, 0];
    for dump in dumps() {
        if is_hello(&dump) {
            next = [0, 0];
        }
        let expected = &mut next[usize::from(dump.is_from_client)];
        with_frame(&dump.bytes, |frame| {
            let header = frame.header;
            assert_eq!(header.sequence, *expected, "{}", dump.title);
            let message_type = MessageType::from_byte(header.message_type).unwrap();
            assert_eq!(check_flags(Some(message_type), header.flags, false), Ok(()));
            let named = dump.title.split([':', ',']).nth(1).unwrap().trim();
            assert_eq!(format!("{message_type:?}"), named);
            let note = format!(
                "header: type {:02x}, {} bytes of payload, sequence {}",
                header.message_type, header.payload_bytes, header.sequence
            );
            assert_eq!(dump.notes.first(), Some(&note));
            let note = format!("CRC-32 of the {} bytes above", dump.bytes.len() - 4);
            assert_eq!(dump.notes.last(), Some(&note));
            Message::decode(header.message_type, frame.payload).expect(&dump.title);
        });
        *expected += 1;
    }
}

/// The clock and the randomness that the document fixes.
pub(super) struct World {
    unix_ms: AtomicU64,
    random: AtomicU64,
    /// From one random number to the next.
    step: u64,
}

impl World {
    pub(super) fn new(step: u64) -> Self {
        Self { unix_ms: AtomicU64::new(1_714_500_000_000), random: AtomicU64::new(1), step }
    }
}

impl Environment for World {
    fn unix_ms(&self) -> u64 {
        self.unix_ms.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        self.random.fetch_add(self.step, Ordering::Relaxed)
    }
}

/// A server without sockets: a database in memory, one connection at a time.
pub(super) struct Serving {
    databases: Arc<Databases>,
    pub(super) now: Time,
    pub(super) connection: Connection<Server>,
    session: Session,
}

impl Serving {
    pub(super) fn databases(world: &Arc<World>, fs: SimFs) -> Arc<Databases> {
        let publication = Publication::new(Hub::new().source(), || {}, |failure| panic!("{failure}"));
        let settings = Settings {
            create: true,
            segment_bytes: 128 << 10,
            listener: Some(publication.clone()),
            ..Settings::default()
        };
        let store = Arc::new(Memory::new());
        let (database, _) = Database::open(Arc::new(fs), store, world.clone(), settings).unwrap();
        Arc::new(Databases::new([Served::new("main".to_owned(), database, publication)], world.clone()))
    }

    pub(super) fn connect(databases: Arc<Databases>) -> Self {
        let config =
            ServerConfig { agent: "blazedb/1".to_owned(), compression: false, ..ServerConfig::default() };
        Self {
            connection: Connection::server(Time::ZERO, config),
            session: Session::new(databases.clone(), Fence::new(|| {}), Arc::new(|| {})),
            databases,
            now: Time::ZERO,
        }
    }

    /// Hands in what the client wrote, and returns what the server writes.
    pub(super) fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.connection.handle_bytes(self.now, bytes);
        let mut out = Vec::new();
        loop {
            while let Some(event) = self.connection.poll_event() {
                self.session.handle(self.now, &mut self.connection, event).unwrap();
            }
            if self.session.waits_for_commit() {
                self.session.commit().unwrap();
            }
            self.session.advance(self.now, &mut self.connection);
            let written = self.connection.poll_transmit(self.now, &mut out);
            if written == 0 && !self.session.has_work() {
                return out;
            }
        }
    }
}

#[test]
fn a_real_server_answers_the_clients_frames_by_the_servers() {
    let world = Arc::new(World::new(0));
    // The document's database has an id whose words cancel each other out: its positions are of partition 0 (E-3.6).
    world.random.store(0x8000_0000_0000_4001, Ordering::Relaxed);
    let mut databases = Serving::databases(&world, SimFs::new(4096));
    let mut connections = [0x1111_2222_3333_4444, 0x5555_6666_7777_8888, 0].into_iter();
    let mut serving: Option<Serving> = None;
    let (mut asked, mut expected, mut compared) = (Vec::new(), Vec::new(), 0);
    let all = dumps();
    for (at, dump) in all.iter().enumerate() {
        if is_hello(dump) {
            if let Some(cut) = serving.take() {
                databases = cut.databases.clone();
                drop(cut);
                world.unix_ms.fetch_add(5_000, Ordering::Relaxed);
            }
            world.random.store(connections.next().unwrap(), Ordering::Relaxed);
            serving = Some(Serving::connect(databases.clone()));
        }
        let bytes = if dump.is_from_client { &mut asked } else { &mut expected };
        bytes.extend_from_slice(&dump.bytes);
        // The server speaks when the client's next frames are no longer its first.
        let next = all.get(at + 1);
        let is_turn_over = next.is_none_or(|next| next.is_from_client && !dump.is_from_client);
        // A client that comes back before it was answered was cut off.
        let is_cut = dump.is_from_client && next.is_some_and(is_hello);
        if is_turn_over || is_cut {
            let answer = serving.as_mut().unwrap().answer(&std::mem::take(&mut asked));
            if !is_cut {
                assert_eq!(hex(&answer), hex(&expected), "before {:?}", next.map(|next| &next.title));
                compared += 1;
            }
            expected.clear();
        }
    }
    assert_eq!(compared, 11);
    assert!(serving.unwrap().connection.is_finished());
}

/// Frame by frame, so that a difference is found by eye.
fn hex(bytes: &[u8]) -> Vec<String> {
    let mut buffer = FrameBuffer::new();
    buffer.extend(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = buffer.next_frame().unwrap() {
        let header = (frame.header.message_type, frame.header.sequence);
        frames.push(format!("{header:02x?} {}", data_encoding::HEXLOWER.encode(frame.payload)));
    }
    assert_eq!(buffer.pending_bytes(), 0);
    frames
}

const ID: &str = "018f3029-d8f8-7abc-8def-0123456789ab";
const NODE: &str = "018f3029-d510-7b21-9c43-5d6e7f8091a2";

fn uuid(text: &str) -> Uuid {
    Uuid::parse_str(text).unwrap()
}

pub(super) fn encoded(fields: &[(&str, Value)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(&Record::from_iter(fields.iter().cloned()), Layout::V1, &mut bytes).unwrap();
    bytes
}

fn notes() -> CollectionName<'static> {
    CollectionName::new("notes").unwrap()
}

fn operation(base: Option<u64>, action: Action<'_>) -> OperationBody {
    let mut builder = OperationBuilder::new();
    builder.push(notes(), &RecordOperation { base, action }).unwrap();
    builder.finish().unwrap()
}

fn submit(client: &mut Connection<Client>, base: Option<u64>, action: Action<'_>) {
    client.submit(AckLevel::Durable, operation(base, action).groups()).unwrap();
}

/// What the application of the client does, in the order of the client's frames. Hellos, the Credit and the repeated
/// operation come by themselves.
fn steps() -> Vec<fn(&mut Connection<Client>)> {
    const CREDIT: CreditLimit = CreditLimit { frames: 4, bytes: 65_536 };
    let by_itself: fn(&mut Connection<Client>) = |_| {};
    vec![
        by_itself,
        |client| {
            let record = encoded(&[("id", Value::Uuid(uuid(ID))), ("title", "Hi".into())]);
            let record = FramedRecord::new(&record).unwrap();
            submit(client, None, Action::Upsert { record, skip_unchanged: false });
        },
        |client| {
            let record = encoded(&[("id", Value::Uuid(uuid(ID))), ("title", "Hi".into())]);
            submit(client, None, Action::Insert(FramedRecord::new(&record).unwrap()));
        },
        |client| {
            let (lower, upper) = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
            let kind = QueryKind::Scan { collection: notes(), reverse: false, limit: 0, lower, upper };
            client.query(kind, None, CREDIT).unwrap();
        },
        |client| assert_eq!(client.subscribe(notes(), Mode::All, Start::Snapshot, CREDIT).unwrap(), 2),
        by_itself,
        |client| {
            let set = encoded(&[("title", "Hello".into())]);
            let set = FramedRecord::new(&set).unwrap();
            let removed = EncodedStrings::EMPTY;
            submit(client, Some(3), Action::Patch { id: uuid(ID), removed, set });
        },
        |client| submit(client, None, Action::Delete { id: uuid(ID) }),
        by_itself,
        by_itself,
        |client| {
            let start = Start::After(Position { epoch: 1, partition: 0, seq: 5 });
            let credit = CreditLimit { frames: 8, ..CREDIT };
            assert_eq!(client.subscribe(notes(), Mode::All, start, credit).unwrap(), 1);
        },
        |client| client.cancel(1).unwrap(),
        |client| client.close(Time::ZERO, Parting::default()).unwrap(),
        by_itself,
    ]
}

pub(super) fn client(outbox: Outbox) -> Connection<Client> {
    client_of("main", outbox)
}

/// Somebody who looks for a database that is not there.
fn customer() -> Connection<Client> {
    client_of("shop", Outbox::new(None))
}

fn client_of(database: &str, outbox: Outbox) -> Connection<Client> {
    let config =
        ClientConfig { agent: "doc/1".to_owned(), compression: false, ..ClientConfig::new(database) };
    Connection::client(Time::ZERO, config, outbox).unwrap()
}

/// Takes what the server wrote, consuming answers at once.
fn take(client: &mut Connection<Client>, bytes: &[u8], told: &mut Vec<String>) {
    client.handle_bytes(Time::ZERO, bytes);
    while let Some(event) = client.poll_event() {
        match event {
            ClientEvent::Answer { id, cost, .. } => client.consume(id, cost),
            ClientEvent::Outcome(outcome) => {
                told.push(format!("{} {:?}", outcome.number, outcome.result.map_err(|refusal| refusal.code)));
            }
            ClientEvent::Refused { refusal, .. } => panic!("{refusal:?}"),
            ClientEvent::Notice(refusal) => panic!("{refusal:?}"),
            ClientEvent::Closed(CloseReason::RefusedByPeer(refusal)) => {
                told.push(format!("end by {}", refusal.code))
            }
            ClientEvent::Closed(reason) => told.push(format!("{reason:?}")),
            ClientEvent::Cancelled { id } => told.push(format!("{id} is over")),
            _ => {}
        }
    }
}

#[test]
fn a_real_client_writes_the_clients_frames_and_takes_the_servers() {
    let mut steps = steps().into_iter();
    let (mut told, mut written) = (Vec::new(), 0);
    let mut connection = client(Outbox::new(Some(node())));
    for dump in dumps() {
        if !dump.is_from_client {
            take(&mut connection, &dump.bytes, &mut told);
            continue;
        }
        if is_hello(&dump) && written > 0 {
            connection.handle_eof();
            take(&mut connection, &[], &mut told);
            // After the Goodbye comes somebody else.
            connection = match connection.close_reason() {
                Some(CloseReason::Goodbye { .. }) => customer(),
                _ => client(connection.into_outbox()),
            };
        }
        steps.next().unwrap()(&mut connection);
        let mut out = Vec::new();
        connection.poll_transmit(Time::ZERO, &mut out);
        assert_eq!(hex(&out), hex(&dump.bytes), "{}", dump.title);
        assert_eq!(out, dump.bytes);
        written += 1;
    }
    assert!(steps.next().is_none());
    let refused = "2 Err(106)";
    let goodbye = "Goodbye { by_peer: false, code: 0, retry_after_ms: 0 }";
    let expected = ["1 Ok(())", refused, "3 Ok(())", "Lost", "4 Ok(())", "1 is over", goodbye, "end by 400"];
    assert_eq!(told, expected);
}
