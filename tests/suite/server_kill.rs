//! `kill -9` under load: sixteen clients write transactions of one to a thousand operations; whenever the server is
//! killed, what they were told is durable must be there, and of what they were not told, a whole number of
//! transactions in order. Then they go on where they were, exactly once.
//!
//! `BLAZEDB_KILLS` says how many kills, each third of them also inside the recovery that follows.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use blazedb::blazebinary::{Record, Value};
use blazedb::proto::Outbox;
use uuid::Uuid;

use super::random::Random;
use super::server_kit::{Act, Caller, PATIENCE, Process, body, command, record};

const CLIENTS: usize = 16;
/// Transactions that a client has in flight at most.
const IN_FLIGHT: u64 = 4;
const COLLECTION: &str = "load";

type Records = BTreeMap<Uuid, Record>;

/// A client's own history.
struct Writer {
    number: u64,
    random: Random,
    outbox: Option<Outbox>,
    /// What it was told is durable.
    durable: Records,
    /// What was submitted after that, in order; the outbox has the same.
    pending: VecDeque<Vec<Act>>,
    next_id: u64,
    acknowledged: u64,
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
    fn new(number: u64) -> Self {
        let outbox = Some(Outbox::new(Some(Uuid::from_u128(0xC11E_0000 + u128::from(number)))));
        let random = Random(number);
        let (durable, pending) = (Records::new(), VecDeque::new());
        Self { number, random, outbox, durable, pending, next_id: 0, acknowledged: 0 }
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
        let existing = newest.range(random..).next().map(|(id, _)| *id);
        match (self.random.below(10), existing) {
            (0..=1, Some(id)) => Act::Upsert(record(id, &fields)),
            (2..=3, Some(id)) => Act::Patch(id, Record::from_iter([fields[0].clone()])),
            (4..=5, Some(id)) => Act::Delete(id),
            _ => {
                self.next_id += 1;
                let id = Uuid::from_u128(u128::from(self.number) << 64 | u128::from(self.next_id));
                Act::Insert(record(id, &fields))
            }
        }
    }

    /// Writes until the server is gone. `limit` ends it earlier.
    fn write(&mut self, address: SocketAddr, limit: Option<u64>, connected: &AtomicUsize) {
        let outbox = self.outbox.take().unwrap();
        // The kit's client is lost with its outbox when it cannot connect, which is not part of this test.
        let mut caller = Caller::connect(address, "main", outbox).unwrap();
        connected.fetch_add(1, Ordering::Relaxed);
        let mut newest = self.newest();
        let end = limit.map(|limit| self.acknowledged + self.pending.len() as u64 + limit);
        loop {
            let sent = self.acknowledged + self.pending.len() as u64;
            if (self.pending.len() as u64) < IN_FLIGHT && end.is_none_or(|end| sent < end) {
                let acts = self.transaction(&mut newest);
                caller.submit(&body(COLLECTION, &acts));
                self.pending.push_back(acts);
            } else if self.pending.is_empty() {
                break;
            } else {
                let Ok(outcome) = caller.outcome() else { break };
                assert_eq!(outcome.result, Ok(()), "every transaction is right");
                self.acknowledged += 1;
                assert_eq!(outcome.number, self.acknowledged);
                apply(&mut self.durable, &self.pending.pop_front().unwrap());
            }
        }
        self.outbox = Some(caller.connection.into_outbox());
    }

    /// How many of the pending transactions `found` has; none if it is not a state this client may see.
    fn pending_in(&self, found: &Records) -> Option<usize> {
        let mut records = self.durable.clone();
        for count in 0..=self.pending.len() {
            if records == *found {
                return Some(count);
            }
            apply(&mut records, self.pending.get(count)?);
        }
        None
    }
}

/// Compares every record with what the clients know; the numbers of clients that find something missing or half.
fn wronged(address: SocketAddr, writers: &[Writer]) -> Vec<u64> {
    let mut found: Vec<Records> = vec![Records::new(); CLIENTS];
    let mut caller = Caller::new(address);
    let exists = writers.iter().any(|writer| !writer.durable.is_empty());
    let rows = if exists || caller.get(COLLECTION, &[Uuid::nil()]).is_ok() {
        caller.scan(COLLECTION)
    } else {
        vec![]
    };
    for (_, record) in rows {
        let Some(Value::Uuid(id)) = record.get("id") else { panic!("no id") };
        let id = *id;
        found[(id.as_u128() >> 64) as usize].insert(id, record);
    }
    let wronged = writers.iter().zip(&found).filter(|(writer, found)| writer.pending_in(found).is_none());
    wronged.map(|(writer, _)| writer.number).collect()
}

/// Lets all clients write until `kill` has taken the server away.
fn load(server: Process, writers: &mut [Writer], kill: impl FnOnce(Process)) {
    let (address, connected) = (server.address, &AtomicUsize::new(0));
    thread::scope(|scope| {
        for writer in writers.iter_mut() {
            scope.spawn(move || writer.write(address, None, connected));
        }
        let deadline = Instant::now() + PATIENCE;
        while connected.load(Ordering::Relaxed) < CLIENTS && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        kill(server);
    });
}

fn writers() -> Vec<Writer> {
    (0..CLIENTS as u64).map(Writer::new).collect()
}

/// Starts a server and kills it before it has recovered, or shortly after.
fn kill_in_recovery(directory: &Path, after: Duration) {
    let mut command = command(&["--listen", "127.0.0.1:0", "--data-dir", directory.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn kills_lose_nothing_and_halve_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(0x4B11);
    let mut writers = writers();
    let kills = std::env::var("BLAZEDB_KILLS").map_or(5, |count| count.parse().unwrap());
    for kill in 0..kills {
        let server = Process::start(folder.path());
        let wrong = wronged(server.address, &writers);
        assert!(wrong.is_empty(), "before kill {kill}: clients {wrong:?} were lied to");
        load(server, &mut writers, |server| {
            thread::sleep(Duration::from_millis(50 + random.below(400)));
            server.kill();
        });
        if kill % 3 == 0 {
            kill_in_recovery(folder.path(), Duration::from_millis(random.below(30)));
        }
    }
    let server = Process::start(folder.path());
    let wrong = wronged(server.address, &writers);
    assert!(wrong.is_empty(), "at the end: clients {wrong:?} were lied to");
    // All go on with the numbers they had: what took effect before is not done twice.
    for writer in &mut writers {
        writer.write(server.address, Some(2), &AtomicUsize::new(0));
        assert!(writer.pending.is_empty());
    }
    assert!(wronged(server.address, &writers).is_empty());
    let acknowledged: u64 = writers.iter().map(|writer| writer.acknowledged).sum();
    assert!(acknowledged > 100, "only {acknowledged} transactions were acknowledged");
}

/// The check can fail: a data directory of a moment before, which is what a server that acknowledges too early leaves.
#[test]
fn the_check_sees_what_an_older_copy_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let mut writers = writers();
    load(Process::start(&data), &mut writers, |server| {
        thread::sleep(Duration::from_millis(300));
        server.signal("STOP");
        let copied = Command::new("cp").arg("-r").arg(&data).arg(&copy).status().unwrap();
        assert!(copied.success());
        server.signal("CONT");
        thread::sleep(Duration::from_millis(300));
        server.kill();
    });
    assert!(!wronged(Process::start(&copy).address, &writers).is_empty());
    assert!(wronged(Process::start(&data).address, &writers).is_empty());
}
