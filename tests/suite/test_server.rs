//! A small server in memory over the protocol's server role, for tests of the client: it decides operations, keeps
//! their outcomes, answers questions, and can be cut off or fall silent.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blazedb::blazebinary::{Layout, Record, RecordView, Value, encode_record};
use blazedb::proto::{
    Acceptance, Connection, Delivery, RefusalText, Server, ServerConfig, ServerEvent, Time, Verdict,
};
use blazedb::wire::message::{
    Action, Operation, QueryKind, QueryResponse, RecordOperation, Row, RowsBuilder,
};
use blazedb::wire::{Clock, EncodedDict, ErrorCode, FramedRecord, Message, Position};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use uuid::Uuid;

/// The database that exists.
pub(super) const DATABASE: &str = "main";

/// Small, so that outcomes are told between the parts of a batch.
const READ_BYTES: usize = 1 << 10;

/// A record with this field is refused when it is upserted.
pub(super) const REFUSED: &str = "refused";

type Records = BTreeMap<(String, Uuid), (u64, Vec<u8>)>;

/// What outlives connections.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Per node and number: the body and what was decided.
    ledger: BTreeMap<(Uuid, u64), (Vec<u8>, Verdict)>,
    pub(super) records: Records,
    /// The numbers of the operations that took effect, in order, with their node.
    pub(super) effects: Vec<(Uuid, u64)>,
    pub(super) seq: u64,
    pub(super) welcomes: u64,
    pub(super) goodbyes: u64,
}

/// How one connection is treated.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Treatment {
    /// The stream ends when this many bytes have passed, both directions together.
    pub(super) cut_after: Option<usize>,
    /// After the Welcome nothing is said any more.
    pub(super) silent: bool,
}

impl World {
    pub(super) fn shared() -> Arc<Mutex<Self>> {
        Arc::default()
    }

    /// Forgets its clients, as after a restart from nothing.
    pub(super) fn forget_nodes(&mut self) {
        self.ledger.clear();
    }

    fn position(&self) -> Position {
        Position { epoch: 1, partition: 0, seq: self.seq }
    }

    fn decide(&mut self, node: Uuid, payload: &[u8]) -> (u64, Verdict) {
        let Ok(Message::Operation(operation)) = Message::decode(2, payload) else { panic!("no operation") };
        let (number, body) = (operation.number, operation.groups.as_bytes().to_vec());
        if let Some((first, verdict)) = self.ledger.get(&(node, number)) {
            assert_eq!(*first, body, "operation {number} came back with another body");
            return (number, verdict.clone());
        }
        let verdict = self.apply(node, &operation);
        self.ledger.insert((node, number), (body, verdict.clone()));
        (number, verdict)
    }

    fn apply(&mut self, node: Uuid, operation: &Operation<'_>) -> Verdict {
        let (mut records, mut seq, mut unchanged) = (self.records.clone(), self.seq, 0);
        for (item, (collection, single)) in operation.groups.operations().enumerate() {
            match apply_one(&mut records, seq + 1, collection.as_str(), &single) {
                Ok(true) => seq += 1,
                Ok(false) => unchanged += 1,
                Err(code) => {
                    let mut refusal = RefusalText::new(code);
                    let item = i64::try_from(item).unwrap();
                    refusal.detail = EncodedDict::new([("item", item)].into_iter().collect()).unwrap();
                    return Verdict { position: self.position(), unchanged: 0, refusal: Some(refusal) };
                }
            }
        }
        if seq > self.seq {
            self.effects.push((node, operation.number));
        }
        (self.records, self.seq) = (records, seq);
        Verdict { position: self.position(), unchanged, refusal: None }
    }

    fn answer(&self, kind: &QueryKind<'_>) -> Result<VecDeque<(u64, Vec<u8>)>, ErrorCode> {
        let of = |name: &str| {
            let name = name.to_owned();
            let rows = (name.clone(), Uuid::nil())..=(name, Uuid::max());
            let rows: Vec<_> = self.records.range(rows).collect();
            if rows.is_empty() { Err(ErrorCode::UnknownCollection) } else { Ok(rows) }
        };
        match kind {
            QueryKind::Get { collection, ids } => {
                let rows = of(collection.as_str())?;
                let find =
                    |id| rows.iter().find(|((_, found), _)| *found == id).map(|(_, row)| (*row).clone());
                Ok(ids.iter().filter_map(find).collect())
            }
            QueryKind::Scan { collection, reverse, limit, lower, upper } => {
                let rows = of(collection.as_str())?;
                let above = |id: &Uuid| match lower {
                    Bound::Included(least) => id >= least,
                    Bound::Excluded(least) => id > least,
                    Bound::Unbounded => true,
                };
                let below = |id: &Uuid| match upper {
                    Bound::Included(most) => id <= most,
                    Bound::Excluded(most) => id < most,
                    Bound::Unbounded => true,
                };
                let inside = rows.into_iter().filter(|((_, id), _)| above(id) && below(id));
                let mut inside: Vec<_> = inside.map(|(_, row)| row.clone()).collect();
                if *reverse {
                    inside.reverse();
                }
                let limit = if *limit == 0 { usize::MAX } else { *limit as usize };
                Ok(inside.into_iter().take(limit).collect())
            }
            QueryKind::Stats { collection } => {
                let mut counts = BTreeMap::new();
                for (name, _) in self.records.keys() {
                    *counts.entry(name.as_str()).or_insert(0i64) += 1;
                }
                counts.retain(|name, _| collection.is_none_or(|wanted| wanted.as_str() == *name));
                let row = |(name, count): (&str, i64)| {
                    let fields = [("collection", Value::from(name)), ("records", Value::from(count))];
                    (0, encode(&fields.into_iter().collect()))
                };
                Ok(counts.into_iter().map(row).collect())
            }
        }
    }
}

fn encode(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_record(record, Layout::V1, &mut bytes).unwrap();
    bytes
}

/// Whether it changed anything.
fn apply_one(
    records: &mut Records,
    seq: u64,
    collection: &str,
    operation: &RecordOperation<'_>,
) -> Result<bool, ErrorCode> {
    let key = |id: Uuid| (collection.to_owned(), id);
    let id_of = |record: &FramedRecord<'_>| record.view().unwrap().id().ok_or(ErrorCode::InvalidId);
    let bytes = |record: &FramedRecord<'_>| (seq, record.bytes().to_vec());
    match &operation.action {
        Action::Insert(record) if records.contains_key(&key(id_of(record)?)) => Err(ErrorCode::AlreadyExists),
        Action::Insert(record) => Ok(records.insert(key(id_of(record)?), bytes(record)).is_none()),
        Action::Upsert { record, .. } if record.view().unwrap().get(REFUSED).is_some() => {
            Err(ErrorCode::RecordTooLarge)
        }
        Action::Upsert { record, skip_unchanged } => {
            let key = key(id_of(record)?);
            if *skip_unchanged && records.get(&key).is_some_and(|(_, held)| held == record.bytes()) {
                return Ok(false);
            }
            records.insert(key, bytes(record));
            Ok(true)
        }
        Action::Patch { id, removed, set } => {
            let (version, held) = records.get_mut(&key(*id)).ok_or(ErrorCode::NotFound)?;
            let mut record = RecordView::canonical(held).unwrap().to_record();
            for (name, value) in set.view().unwrap().to_record().iter() {
                record.insert(name.clone(), value.clone());
            }
            removed.iter().for_each(|field| drop(record.remove(field)));
            (*version, *held) = (seq, encode(&record));
            Ok(true)
        }
        Action::Delete { id } => Ok(records.remove(&key(*id)).is_some()),
        Action::Check { .. } => Err(ErrorCode::NotSupported),
        Action::Drop => {
            let before = records.len();
            records.retain(|(name, _), _| name != collection);
            Ok(records.len() < before)
        }
    }
}

/// Where an answer was taken, and the rows that are left of it.
type Answer = (Position, VecDeque<(u64, Vec<u8>)>);

/// One connection under way.
struct Session {
    world: Arc<Mutex<World>>,
    treatment: Treatment,
    node: Uuid,
    answers: BTreeMap<u64, Answer>,
}

impl Session {
    fn handle(&mut self, now: Time, server: &mut Connection<Server>, event: ServerEvent) {
        match event {
            ServerEvent::Hello(hello) if hello.database != DATABASE => {
                let message = format!("There is no database '{}' here.", hello.database);
                server.refuse(ErrorCode::UnknownDatabase, &message).unwrap();
            }
            ServerEvent::Hello(hello) => {
                self.node = hello.node.unwrap_or_else(Uuid::new_v4);
                let mut world = self.world.lock().unwrap();
                let decided = world.ledger.keys().filter(|(node, _)| *node == self.node);
                let node_decided = decided.map(|(_, number)| *number).max().unwrap_or(0);
                let (connection, clock) = (Uuid::new_v4(), Clock::new(1_700_000_000_000, 0).unwrap());
                let position = world.position();
                // An identity that does not fit is refused by the connection itself.
                let acceptance = Acceptance { node: self.node, node_decided, connection, position, clock };
                world.welcomes += u64::from(server.accept(now, acceptance).is_ok());
            }
            ServerEvent::Operation { payload, cost, .. } => {
                server.admit(cost);
                let (number, verdict) = self.world.lock().unwrap().decide(self.node, &payload);
                server.decided(number, &verdict).unwrap();
                server.durable(number).unwrap();
            }
            ServerEvent::Request { id, payload, cost, .. } => {
                server.admit(cost);
                let Ok(Message::Query(query)) = Message::decode(3, &payload) else { panic!("no query") };
                let world = self.world.lock().unwrap();
                match world.answer(&query.kind) {
                    Ok(rows) => drop(self.answers.insert(id, (world.position(), rows))),
                    Err(code) => server.fail(id, &RefusalText::new(code)).unwrap(),
                }
                drop(world);
                self.feed(server, id);
            }
            ServerEvent::Writable { id } => self.feed(server, id),
            ServerEvent::Cancelled { id } => {
                self.answers.remove(&id);
                server.finish(id, Position::default()).unwrap();
            }
            ServerEvent::Goodbye(_) => self.world.lock().unwrap().goodbyes += 1,
            ServerEvent::Closed(_) => {}
        }
    }

    fn feed(&mut self, server: &mut Connection<Server>, id: u64) {
        while let Some((position, rows)) = self.answers.get_mut(&id) {
            let mut frame = RowsBuilder::new();
            let fits = |(seq, bytes): &&(u64, Vec<u8>)| {
                frame.push(Row { seq: *seq, record: FramedRecord::new(bytes).unwrap() }).is_ok()
            };
            let count = rows.iter().take_while(fits).count();
            let (last, position) = (count == rows.len(), *position);
            match server.respond(&QueryResponse { id, last, position, rows: frame.rows() }).unwrap() {
                Delivery::Taken if last => drop(self.answers.remove(&id)),
                Delivery::Taken => drop(rows.drain(..count)),
                _ => return,
            }
        }
    }
}

/// Serves one connection until it ends or is cut.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    world: Arc<Mutex<World>>,
    treatment: Treatment,
) {
    let start = Instant::now();
    let now = || Time::from_nanos(start.elapsed().as_nanos() as u64);
    let mut server = Connection::server(now(), ServerConfig::default());
    let mut session = Session { world, treatment, node: Uuid::nil(), answers: BTreeMap::new() };
    let (mut input, mut output) = (vec![0; READ_BYTES], Vec::new());
    let mut left = treatment.cut_after.unwrap_or(usize::MAX);
    loop {
        while let Some(event) = server.poll_event() {
            session.handle(now(), &mut server, event);
        }
        let greeted = server.is_open();
        if server.poll_transmit(now(), &mut output) > 0 {
            output.truncate(left);
            left -= output.len();
            if stream.write_all(&output).await.is_err() || left == 0 {
                return;
            }
            output.clear();
            if !(greeted && session.treatment.silent) {
                continue;
            }
        }
        if greeted && session.treatment.silent {
            return std::future::pending().await;
        }
        if server.is_finished() {
            return;
        }
        let due = server.poll_timeout().map(|time| start + Duration::from_nanos(time.as_nanos()));
        tokio::select! {
            read = stream.read(&mut input) => match read {
                Ok(bytes) if bytes > 0 => {
                    let bytes = bytes.min(left);
                    left -= bytes;
                    server.handle_bytes(now(), &input[..bytes]);
                    if left == 0 {
                        // What came whole is decided; its outcome is lost.
                        while let Some(event) = server.poll_event() {
                            session.handle(now(), &mut server, event);
                        }
                        return;
                    }
                }
                _ => server.handle_eof(),
            },
            () = tokio::time::sleep_until(due.unwrap_or(start)), if due.is_some() => server.handle_timeout(now()),
        }
    }
}
