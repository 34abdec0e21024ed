//! What the tests of the server share: the real binary as a process, and a client that drives the protocol's client
//! role over a blocking socket.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use blazedb::blazebinary::{Layout, Record, RecordView, Value, encode_record};
use blazedb::proto::{Client, ClientConfig, ClientEvent, Connection, Outbox, Outcome, Refusal, Time};
use blazedb::wire::message::{
    AckLevel, Action, Ids, OperationBody, OperationBuilder, QueryKind, RecordOperation,
};
use blazedb::wire::{CollectionName, CreditLimit, FramedRecord, Message, Position};
use uuid::Uuid;

/// Longer than anything honest takes, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server process; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The lines of the banner.
    pub(crate) banner: Vec<String>,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blazedb"));
    command.arg("serve").args(arguments);
    command
}

impl Process {
    /// Starts a server on a free port over `directory` and waits for its banner.
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(&["--data-dir", directory.to_str().unwrap()])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", arguments)
    }

    pub(crate) fn start_at(address: &str, arguments: &[&str]) -> Self {
        Self::spawn(command(&["--listen", address]).args(arguments))
            .expect("the server ended before its banner")
    }

    /// Starts it on a free port with these variables in its environment.
    pub(crate) fn start_in(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(&["--listen", "127.0.0.1:0"]);
        let command = command.args(arguments).envs(environment.iter().copied());
        Self::spawn(command).expect("the server ended before its banner")
    }

    /// Starts it on a free port through a shell, whose `script` runs it by `exec "$@"`.
    pub(crate) fn start_by(script: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_blazedb"), "serve", "--listen", "127.0.0.1:0"]);
        Self::spawn(command.args(arguments)).expect("the server ended before its banner")
    }

    /// Starts it over `directory`; none if it does not come up.
    pub(crate) fn try_start(directory: &Path) -> Option<Self> {
        let mut command = command(&["--listen", "127.0.0.1:0", "--data-dir", directory.to_str().unwrap()]);
        Self::spawn(&mut command)
    }

    /// Starts the server and waits for its banner.
    fn spawn(command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut banner = Vec::new();
        while banner.last().is_none_or(|line: &String| !line.contains("Ctrl-C")) {
            let Some(line) = lines.next() else {
                child.wait().unwrap();
                return None;
            };
            banner.push(line.unwrap());
        }
        let address = banner[0].rsplit(' ').next().unwrap().parse().unwrap();
        Some(Self { child, address, banner })
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(self) -> ExitStatus {
        self.wait_within(PATIENCE)
    }

    /// The same, for what takes work first.
    pub(crate) fn wait_within(mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(self) {
        self.signal("TERM");
        assert_eq!(self.wait().code(), Some(0));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One row of an answer.
pub(crate) type Row = (u64, Record);

/// A connection lost, or a server that ended it.
#[derive(Debug)]
pub(crate) struct Lost(pub(crate) String);

/// A client over one connection.
pub(crate) struct Caller {
    stream: TcpStream,
    pub(crate) connection: Connection<Client>,
    start: Instant,
    events: VecDeque<ClientEvent>,
}

impl Caller {
    /// Connects as a new node.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::connect(address, "main", Outbox::new(None)).unwrap()
    }

    /// Connects and waits for the welcome.
    pub(crate) fn connect(address: SocketAddr, database: &str, outbox: Outbox) -> Result<Self, Lost> {
        let stream = TcpStream::connect(address).map_err(|error| Lost(error.to_string()))?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let connection = Connection::client(Time::ZERO, ClientConfig::new(database), outbox).unwrap();
        let mut caller = Self { stream, connection, start: Instant::now(), events: VecDeque::new() };
        match caller.next_event()? {
            ClientEvent::Welcome(_) => Ok(caller),
            other => Err(Lost(format!("{other:?}"))),
        }
    }

    fn now(&self) -> Time {
        Time::ZERO.after(self.start.elapsed())
    }

    pub(crate) fn flush(&mut self) -> Result<(), Lost> {
        let mut out = Vec::new();
        loop {
            let now = self.now();
            if self.connection.poll_transmit(now, &mut out) == 0 {
                return Ok(());
            }
            self.stream.write_all(&out).map_err(|error| Lost(error.to_string()))?;
            self.connection.handle_written(now);
            out.clear();
        }
    }

    /// The next event, whatever it is.
    pub(crate) fn next_event(&mut self) -> Result<ClientEvent, Lost> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 64 << 10];
        loop {
            while let Some(event) = self.connection.poll_event() {
                self.events.push_back(event);
            }
            // What the connection has told of is told on, also when the server is gone meanwhile.
            let flushed = self.flush();
            if let Some(event) = self.events.pop_front() {
                return match event {
                    ClientEvent::Closed(reason) => Err(Lost(reason.to_string())),
                    event => Ok(event),
                };
            }
            flushed?;
            let now = self.now();
            match self.stream.read(&mut buffer) {
                Ok(0) => self.connection.handle_eof(),
                Ok(count) => self.connection.handle_bytes(now, &buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.connection.poll_timeout().is_some_and(|due| due <= now) {
                        self.connection.handle_timeout(now);
                    }
                    assert!(Instant::now() < deadline, "the server says nothing");
                }
                Err(error) => return Err(Lost(error.to_string())),
            }
        }
    }

    /// Why the connection ended, once it did.
    pub(crate) fn end(&mut self) -> Lost {
        loop {
            if let Err(lost) = self.next_event() {
                return lost;
            }
        }
    }

    pub(crate) fn submit(&mut self, body: &OperationBody) -> u64 {
        self.connection.submit(AckLevel::Durable, body.groups()).unwrap()
    }

    /// The next outcome.
    pub(crate) fn outcome(&mut self) -> Result<Outcome, Lost> {
        loop {
            if let ClientEvent::Outcome(outcome) = self.next_event()? {
                return Ok(outcome);
            }
        }
    }

    /// Submits an operation and waits until it is durable.
    pub(crate) fn run(&mut self, body: &OperationBody) -> Result<(), Refusal> {
        let number = self.submit(body);
        let outcome = self.outcome().unwrap();
        assert_eq!(outcome.number, number);
        outcome.result
    }

    /// The rows that answer a question, and where it was answered.
    pub(crate) fn ask(&mut self, kind: QueryKind<'_>) -> Result<(Position, Vec<Row>), Refusal> {
        let credit = CreditLimit { frames: 4, bytes: 128 << 10 };
        let id = self.connection.query(kind, None, credit).unwrap();
        let mut rows = Vec::new();
        loop {
            match self.next_event().unwrap() {
                ClientEvent::Answer { id: found, payload, last, cost, .. } if found == id => {
                    let Message::QueryResponse(response) = Message::decode(4, &payload).unwrap() else {
                        panic!("no response")
                    };
                    let row = |bytes| RecordView::canonical(bytes).unwrap().to_record();
                    rows.extend(response.rows.iter().map(|found| (found.seq, row(found.record.bytes()))));
                    let position = response.position;
                    self.connection.consume(id, cost);
                    if last {
                        return Ok((position, rows));
                    }
                }
                ClientEvent::Refused { id: found, refusal } if found == id => return Err(refusal),
                _ => {}
            }
        }
    }

    /// All records of a collection, from the least id up.
    pub(crate) fn scan(&mut self, collection: &str) -> Vec<Row> {
        let collection = CollectionName::new(collection).unwrap();
        let (lower, upper) = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
        self.ask(QueryKind::Scan { collection, reverse: false, limit: 0, lower, upper }).unwrap().1
    }

    /// The records of these ids that exist.
    pub(crate) fn get(&mut self, collection: &str, ids: &[Uuid]) -> Result<Vec<Row>, Refusal> {
        let ids: Vec<[u8; 16]> = ids.iter().map(|id| id.into_bytes()).collect();
        let collection = CollectionName::new(collection).unwrap();
        let kind = QueryKind::Get { collection, ids: Ids::new(&ids).unwrap() };
        self.ask(kind).map(|(_, rows)| rows)
    }

    /// Whether the server still answers.
    pub(crate) fn is_well(&mut self) -> bool {
        let id = Uuid::from_u128(0x600D);
        let put = body("wellbeing", &[Act::Upsert(record(id, &[("n", Value::Int(1))]))]);
        self.run(&put).is_ok() && self.get("wellbeing", &[id]).unwrap().len() == 1
    }
}

/// One operation on one record, in the tests' words.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Insert(Record),
    Upsert(Record),
    Patch(Uuid, Record),
    Delete(Uuid),
}

pub(crate) fn record(id: Uuid, fields: &[(&str, Value)]) -> Record {
    let mut record = Record::from_iter(fields.iter().cloned());
    record.insert("id", Value::Uuid(id));
    record
}

fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(record, Layout::V1, &mut bytes).unwrap();
    bytes
}

/// One transaction on one collection.
pub(crate) fn body(collection: &str, acts: &[Act]) -> OperationBody {
    let mut builder = OperationBuilder::new();
    let collection = CollectionName::new(collection).unwrap();
    for act in acts {
        let bytes = match act {
            Act::Insert(record) | Act::Upsert(record) | Act::Patch(_, record) => encode(record),
            Act::Delete(_) => Vec::new(),
        };
        let framed = || FramedRecord::new(&bytes).unwrap();
        let action = match act {
            Act::Insert(_) => Action::Insert(framed()),
            Act::Upsert(_) => Action::Upsert { record: framed(), skip_unchanged: false },
            Act::Patch(id, _) => {
                let removed = blazedb::wire::EncodedStrings::EMPTY;
                Action::Patch { id: *id, removed, set: framed() }
            }
            Act::Delete(id) => Action::Delete { id: *id },
        };
        builder.push(collection, &RecordOperation { base: None, action }).unwrap();
    }
    builder.finish().unwrap()
}
