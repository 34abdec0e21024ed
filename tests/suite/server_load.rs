//! Sixteen clients that write transactions of one to a thousand operations (put, patch, delete), and know afterwards
//! what must be there: all that they were told is durable, and of what they were not told a whole number of
//! transactions in order. They go on where they were, exactly once.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use blazedb::blazebinary::{Record, Value};
use blazedb::proto::Outbox;
use uuid::Uuid;

use super::random::Random;
use super::server_kit::{Act, Caller, PATIENCE, Process, body, record};

pub(crate) const CLIENTS: usize = 16;
/// Transactions that a client has in flight at most.
const IN_FLIGHT: u64 = 4;
const COLLECTION: &str = "load";
/// From so many records on a client deletes more than it inserts, so that every comparison can be of all records.
const MANY_RECORDS: usize = 1_500;

type Records = BTreeMap<Uuid, Record>;

/// A client's own history.
pub(crate) struct Writer {
    number: u64,
    random: Random,
    outbox: Option<Outbox>,
    /// What it was told is durable.
    durable: Records,
    /// What was submitted after that, in order; the outbox has the same.
    pending: VecDeque<Vec<Act>>,
    /// How many of the pending ones were seen: those are never to vanish.
    seen: usize,
    next_id: u64,
    pub(crate) acknowledged: u64,
    /// Operations in what was acknowledged.
    pub(crate) acts: u64,
    /// When it was told last.
    pub(crate) told: Option<Instant>,
    /// How its last connection ended.
    pub(crate) ended: String,
}

fn apply(records: &mut Records, acts: &[Act]) {
    for act in acts {
        match act {
            Act::Insert(record) | Act::Upsert(record) => {
                let Some(Value::Uuid(id)) = record.get("id") else { panic!("no id") };
                records.insert(*id, record.clone());
            }
            Act::Patch(id, fields) => {
                let record = records.get_mut(id).unwrap();
                for (name, value) in fields.iter() {
                    record.insert(name.clone(), value.clone());
                }
            }
            Act::Delete(id) => drop(records.remove(id)),
        }
    }
}

impl Writer {
    fn new(seed: u64, number: u64) -> Self {
        let node = Uuid::from_u128(u128::from(seed) << 64 | 0xC11E_0000 | u128::from(number));
        Self {
            number,
            random: Random(seed << 8 | number),
            outbox: Some(Outbox::new(Some(node))),
            durable: Records::new(),
            pending: VecDeque::new(),
            seen: 0,
            next_id: 0,
            acknowledged: 0,
            acts: 0,
            told: None,
            ended: String::new(),
        }
    }

    /// The state once everything submitted took effect.
    fn newest(&self) -> Records {
        let mut records = self.durable.clone();
        self.pending.iter().for_each(|acts| apply(&mut records, acts));
        records
    }

    /// A transaction that will be applied, since this client's records are touched by nobody else.
    fn transaction(&mut self, newest: &mut Records) -> Vec<Act> {
        let most = [1, 3, 30, 1000][self.random.below(4) as usize];
        let acts = (0..=self.random.below(most)).map(|_| {
            let act = self.act(newest);
            apply(newest, std::slice::from_ref(&act));
            act
        });
        acts.collect()
    }

    fn act(&mut self, newest: &Records) -> Act {
        let text = "x".repeat(self.random.below(120) as usize);
        let fields =
            [("n", Value::Int(self.random.next().cast_signed())), ("text", Value::from(text.as_str()))];
        let random =
            Uuid::from_u128(u128::from(self.number) << 64 | u128::from(self.random.below(self.next_id + 1)));
        let existing = newest.range(random..).next().or_else(|| newest.iter().next()).map(|(id, _)| *id);
        let deletions = if newest.len() > MANY_RECORDS { 4..=8 } else { 4..=5 };
        match (self.random.below(10), existing) {
            (0..=1, Some(id)) => Act::Upsert(record(id, &fields)),
            (2..=3, Some(id)) => Act::Patch(id, Record::from_iter([fields[0].clone()])),
            (choice, Some(id)) if deletions.contains(&choice) => Act::Delete(id),
            _ => {
                self.next_id += 1;
                let id = Uuid::from_u128(u128::from(self.number) << 64 | u128::from(self.next_id));
                Act::Insert(record(id, &fields))
            }
        }
    }

    /// Writes until the server is gone. `limit` ends it earlier.
    pub(crate) fn write(&mut self, address: SocketAddr, limit: Option<u64>, connected: &AtomicUsize) {
        // The kit's client is lost with its outbox when it cannot connect, which is not part of these tests.
        let outbox = self.outbox.take().unwrap();
        let mut caller = Caller::connect(address, "main", outbox).unwrap();
        connected.fetch_add(1, Ordering::Relaxed);
        let mut newest = self.newest();
        let end = limit.map(|limit| self.acknowledged + self.pending.len() as u64 + limit);
        loop {
            let sent = self.acknowledged + self.pending.len() as u64;
            // The end may have come with an outcome; others may lie before it.
            let is_closed = caller.connection.is_closed();
            if !is_closed && (self.pending.len() as u64) < IN_FLIGHT && end.is_none_or(|end| sent < end) {
                let acts = self.transaction(&mut newest);
                caller.submit(&body(COLLECTION, &acts));
                self.pending.push_back(acts);
            } else if self.pending.is_empty() && !is_closed {
                break;
            } else {
                let outcome = match caller.outcome() {
                    Ok(outcome) => outcome,
                    Err(lost) => {
                        self.ended = lost.0;
                        break;
                    }
                };
                assert_eq!(outcome.result, Ok(()), "every transaction is right");
                self.acknowledged += 1;
                self.told = Some(Instant::now());
                assert_eq!(outcome.number, self.acknowledged);
                let acts = self.pending.pop_front().unwrap();
                self.acts += acts.len() as u64;
                apply(&mut self.durable, &acts);
                self.seen = self.seen.saturating_sub(1);
            }
        }
        self.outbox = Some(caller.connection.into_outbox());
    }

    /// How many of the pending transactions `found` has; none if it is not a state this client may see.
    fn pending_in(&self, found: &Records) -> Option<usize> {
        let mut records = self.durable.clone();
        for count in 0..=self.pending.len() {
            if count >= self.seen && records == *found {
                return Some(count);
            }
            apply(&mut records, self.pending.get(count)?);
        }
        None
    }
}

/// All clients, before they wrote anything.
pub(crate) fn writers(seed: u64) -> Vec<Writer> {
    (0..CLIENTS as u64).map(|number| Writer::new(seed, number)).collect()
}

/// Compares every record with what the clients know; the numbers of clients that find something missing or half.
pub(crate) fn wronged(address: SocketAddr, writers: &mut [Writer]) -> Vec<u64> {
    let mut found: Vec<Records> = vec![Records::new(); CLIENTS];
    let mut caller = Caller::new(address);
    let exists = caller.get(COLLECTION, &[Uuid::nil()]).is_ok();
    let rows = if exists { caller.scan(COLLECTION) } else { vec![] };
    for (_, record) in rows {
        let Some(Value::Uuid(id)) = record.get("id") else { panic!("no id") };
        let id = *id;
        found[(id.as_u128() >> 64) as usize].insert(id, record);
    }
    let mut wronged = Vec::new();
    for (writer, found) in writers.iter_mut().zip(&found) {
        match writer.pending_in(found) {
            Some(count) => writer.seen = count,
            None => wronged.push(writer.number),
        }
    }
    wronged
}

/// Lets all clients write until `end` has taken the server away.
pub(crate) fn load<T>(server: Process, writers: &mut [Writer], end: impl FnOnce(Process) -> T) -> T {
    let (address, connected) = (server.address, &AtomicUsize::new(0));
    thread::scope(|scope| {
        for writer in writers.iter_mut() {
            scope.spawn(move || writer.write(address, None, connected));
        }
        let deadline = Instant::now() + PATIENCE;
        while connected.load(Ordering::Relaxed) < CLIENTS && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        end(server)
    })
}

/// All go on with the numbers they had: what took effect before is not done twice. Returns how many transactions and
/// operations were acknowledged in all.
pub(crate) fn finish(server: &Process, writers: &mut [Writer]) -> (u64, u64) {
    for writer in writers.iter_mut() {
        writer.write(server.address, Some(2), &AtomicUsize::new(0));
        assert!(writer.pending.is_empty());
    }
    assert_eq!(wronged(server.address, writers), [0; 0], "after the clients' repetitions");
    let sum = |count: fn(&Writer) -> u64| writers.iter().map(count).sum();
    (sum(|writer| writer.acknowledged), sum(|writer| writer.acts))
}
