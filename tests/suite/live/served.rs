//! Watchers of real servers: over kills and restarts, with the least credit, by the thousand, and ones that never read.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use blazedb::blazebinary::{Record, Value};
use blazedb::client::{Client, Options, Subscription, Tidings};
use blazedb::proto::ClientEvent;
use blazedb::wire::message::{ChangeKind, EventKind, Mode, Start};
use blazedb::wire::{CollectionName, CreditLimit, ErrorCode, Message, Position};
use uuid::Uuid;

use crate::random::Random;
use crate::server_kit::{Act, Caller, PATIENCE, Process, body, record};

const COLLECTION: &str = "things";
const WRITERS: u64 = 4;

/// The smallest window: a frame at a time.
const LEAST: CreditLimit = CreditLimit { frames: 1, bytes: 1 };
/// More than a test takes.
const AMPLE: CreditLimit = CreditLimit { frames: 1 << 20, bytes: 1 << 30 };

/// A change: its number, its record, and the value of `n`, none of a deletion.
type Told = (u64, Uuid, Option<i64>);

fn change((id, n): (u64, Option<i64>)) -> Act {
    let id = Uuid::from_u128(u128::from(id));
    n.map_or(Act::Delete(id), |n| Act::Upsert(record(id, &[("n", Value::Int(n))])))
}

fn told(changes: &blazedb::wire::message::Changes<'_>) -> Vec<Told> {
    let one = |change: blazedb::wire::message::Change<'_>| match change.kind {
        ChangeKind::Delete(id) => (change.seq, id, None),
        ChangeKind::Dropped => panic!("nobody drops it"),
        ChangeKind::Put(record) => {
            let record = record.view().unwrap();
            (change.seq, record.id().unwrap(), Some(n_of(&record.to_record())))
        }
    };
    changes.iter().map(one).collect()
}

fn n_of(record: &Record) -> i64 {
    let Some(Value::Int(n)) = record.get("n") else { panic!("no n in {record:?}") };
    *n
}

fn subscribe(caller: &mut Caller, collection: &str, mode: Mode, start: Start, credit: CreditLimit) -> u64 {
    let collection = CollectionName::new(collection).unwrap();
    caller.connection.subscribe(collection, mode, start, credit).unwrap()
}

/// The next event of a subscription: its position, and its changes or what else it is.
fn next_event(caller: &mut Caller, id: u64) -> (Position, Result<Vec<Told>, String>) {
    loop {
        match caller.next_event().unwrap() {
            ClientEvent::Answer { id: found, payload, cost, .. } if found == id => {
                let Message::Event(event) = Message::decode(0x10, &payload).unwrap() else {
                    panic!("no event")
                };
                caller.connection.consume(id, cost);
                let told = match event.kind {
                    EventKind::Changes(changes) => Ok(told(&changes)),
                    other => Err(format!("{other:?}")),
                };
                return (event.position, told);
            }
            ClientEvent::Refused { id: found, refusal } if found == id => {
                return (Position::default(), Err(format!("refused {}", refusal.code)));
            }
            ClientEvent::Cancelled { id: found } if found == id => {
                return (Position::default(), Err("cancelled".to_owned()));
            }
            _ => {}
        }
    }
}

/// What is told until the subscription has caught up, heartbeats aside.
fn until_caught_up(caller: &mut Caller, id: u64) -> Vec<Told> {
    let mut all = Vec::new();
    loop {
        match next_event(caller, id).1 {
            Ok(changes) => all.extend(changes),
            Err(other) if other == "CaughtUp" => return all,
            Err(other) => assert!(other == "Heartbeat" || other == "Waiting", "{other}"),
        }
    }
}

/// A server with some history, whose changes are returned as a subscription from the beginning tells them.
fn with_history(transactions: u64) -> (Process, Vec<Told>) {
    let server = Process::start_with(&["--memory"]);
    let (mut writer, mut random) = (Caller::new(server.address), Random(transactions));
    let (mut known, mut held) = (Vec::new(), BTreeMap::new());
    for _ in 0..transactions {
        let acts: Vec<(u64, Option<i64>)> = (0..=random.below(4))
            .map(|_| (random.below(12) + 1, random.chance(75).then(|| random.below(100).cast_signed())))
            .collect();
        for (id, n) in &acts {
            // Deleting what is not there is no change.
            if n.is_some() || held.contains_key(id) {
                known.push((0, Uuid::from_u128(u128::from(*id)), *n));
            }
            match n {
                Some(n) => drop(held.insert(*id, *n)),
                None => drop(held.remove(id)),
            }
        }
        let acts: Vec<Act> = acts.into_iter().map(change).collect();
        writer.run(&body(COLLECTION, &acts)).unwrap();
        writer.run(&body("others", &[change((1, Some(1)))])).unwrap();
    }
    let mut reader = Caller::new(server.address);
    let id = subscribe(&mut reader, COLLECTION, Mode::All, Start::After(Position::default()), AMPLE);
    let all = until_caught_up(&mut reader, id);
    let without_numbers = |(_, id, n): &Told| (0, *id, *n);
    assert_eq!(all.iter().map(without_numbers).collect::<Vec<_>>(), known);
    assert!(all.is_sorted_by(|a, b| a.0 < b.0));
    (server, all)
}

#[test]
fn with_the_least_credit_every_position_is_resumed() {
    let (server, all) = with_history(40);
    let mut reader = Caller::new(server.address);
    let id = subscribe(&mut reader, COLLECTION, Mode::All, Start::Now, LEAST);
    let (here, _) = next_event(&mut reader, id);
    reader.connection.cancel(id).unwrap();
    for (at, (seq, ..)) in all.iter().enumerate() {
        let start = Start::After(Position { seq: *seq, ..here });
        let id = subscribe(&mut reader, COLLECTION, Mode::All, start, LEAST);
        assert_eq!(until_caught_up(&mut reader, id), all[at + 1..], "after {seq}");
        reader.connection.cancel(id).unwrap();
        assert_eq!(next_event(&mut reader, id).1, Err("cancelled".to_owned()));
        // Twenty ended subscriptions a second go unpunished, and 256 at once.
        assert!(all.len() < 200);
    }
    drop(reader);
    server.stop();
}

/// E-3.6: a server that lost its data, as one in memory does by each start, is not gone on with from where the old one was.
#[test]
fn a_position_of_a_database_that_was_wiped_is_unknown_to_the_next() {
    let begin = || {
        let server = Process::start_with(&["--memory"]);
        let mut caller = Caller::new(server.address);
        caller.run(&body(COLLECTION, &[change((1, Some(5)))])).unwrap();
        let id = subscribe(&mut caller, COLLECTION, Mode::All, Start::Now, LEAST);
        let (here, _) = next_event(&mut caller, id);
        (server, caller, here)
    };
    let (old, caller, here) = begin();
    drop(caller);
    old.stop();
    let (new, mut caller, there) = begin();
    assert_eq!((here.epoch, here.seq), (there.epoch, there.seq), "these do not tell them apart");
    for mode in [Mode::All, Mode::Latest] {
        let id = subscribe(&mut caller, COLLECTION, mode, Start::After(here), LEAST);
        let reset = next_event(&mut caller, id).1.unwrap_err();
        assert!(reset.contains(&format!("Reset {{ code: {}", ErrorCode::PositionUnknown as u16)), "{reset}");
    }
    drop(caller);
    new.stop();
}

#[test]
fn waiting_ending_and_too_many() {
    let server = Process::start_with(&["--memory"]);
    let mut caller = Caller::new(server.address);
    let id = subscribe(&mut caller, "later", Mode::All, Start::Now, LEAST);
    assert_eq!(next_event(&mut caller, id).1, Err("Waiting".to_owned()));
    assert_eq!(next_event(&mut caller, id).1, Err("CaughtUp".to_owned()));
    let mut writer = Caller::new(server.address);
    writer.run(&body("later", &[change((1, Some(5)))])).unwrap();
    let (position, changes) = next_event(&mut caller, id);
    assert_eq!(changes.unwrap(), [(position.seq, Uuid::from_u128(1), Some(5))]);
    caller.connection.cancel(id).unwrap();
    assert_eq!(next_event(&mut caller, id).1, Err("cancelled".to_owned()));
    writer.run(&body("later", &[change((1, Some(6)))])).unwrap();
    // The own limit of the client's end is that of the server, which therefore counts to 256.
    let ids: Vec<u64> =
        (0..256).map(|_| subscribe(&mut caller, "later", Mode::Latest, Start::Snapshot, AMPLE)).collect();
    let name = CollectionName::new("later").unwrap();
    assert!(caller.connection.subscribe(name, Mode::All, Start::Now, AMPLE).is_err());
    // Answers of others are thrown away by `next_event`: only the last is looked at.
    let last = *ids.last().unwrap();
    assert_eq!(next_event(&mut caller, last).1.unwrap().len(), 1);
    let unknown = Start::After(Position { epoch: 9, ..position });
    let mut other = Caller::new(server.address);
    let id = subscribe(&mut other, "later", Mode::All, unknown, LEAST);
    let reset = next_event(&mut other, id).1.unwrap_err();
    assert!(reset.contains(&format!("Reset {{ code: {}", ErrorCode::PositionUnknown as u16)), "{reset}");
    assert!(writer.is_well() && other.is_well());
    // A server that stops waits for its clients to say Goodbye.
    drop((caller, writer, other));
    server.stop();
}

#[test]
fn a_thousand_watchers_are_told() {
    const WATCHERS: usize = 1_000;
    /// Each connection has as many subscriptions as it may, less what the test needs to see that it is well.
    const PER_CONNECTION: usize = 100;
    let server = Process::start_with(&["--memory"]);
    let mut writer = Caller::new(server.address);
    writer.run(&body(COLLECTION, &[change((1, Some(0)))])).unwrap();
    let mut callers: Vec<Caller> =
        (0..WATCHERS / PER_CONNECTION).map(|_| Caller::new(server.address)).collect();
    for caller in &mut callers {
        for _ in 0..PER_CONNECTION {
            subscribe(caller, COLLECTION, Mode::All, Start::Now, AMPLE);
        }
        caller.flush().unwrap();
    }
    // Each is told caught_up first, and then the change.
    for round in 0..2 {
        for caller in &mut callers {
            let mut left: Vec<u64> = (1..=PER_CONNECTION as u64).collect();
            while !left.is_empty() {
                let ClientEvent::Answer { id, payload, cost, .. } = caller.next_event().unwrap() else {
                    continue;
                };
                caller.connection.consume(id, cost);
                let Message::Event(event) = Message::decode(0x10, &payload).unwrap() else {
                    panic!("no event")
                };
                match event.kind {
                    EventKind::Changes(changes) if round == 1 => {
                        assert_eq!(told(&changes)[0].2, Some(7));
                    }
                    EventKind::CaughtUp if round == 0 => {}
                    other => panic!("{other:?}"),
                }
                left.retain(|waiting| *waiting != id);
            }
        }
        if round == 0 {
            writer.run(&body(COLLECTION, &[change((1, Some(7)))])).unwrap();
        }
    }
    drop((callers, writer));
    server.stop();
}

/// Bytes of memory that a process holds.
fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// L-1.4, L-1.5: who does not read costs the server a position.
#[test]
fn readers_that_do_not_read_are_parked() {
    const READERS: usize = 60;
    const WRITES: i64 = 400;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    let mut writer = Caller::new(server.address);
    let text = "x".repeat(50_000);
    let mut write = |n: i64| {
        let fields = [("n", Value::Int(n)), ("text", Value::from(text.as_str()))];
        let id = Uuid::from_u128(u128::from(n.cast_unsigned()) % 50 + 1);
        writer.run(&body(COLLECTION, &[Act::Upsert(record(id, &fields))])).unwrap();
    };
    write(0);
    let mut readers: Vec<(Caller, u64)> = (0..READERS)
        .map(|n| {
            // Half of them have credit and do not read what comes, half have hardly any.
            let mut caller = Caller::new(server.address);
            let credit = if n % 2 == 0 { LEAST } else { AMPLE };
            let id = subscribe(&mut caller, COLLECTION, Mode::All, Start::Now, credit);
            caller.flush().unwrap();
            (caller, id)
        })
        .collect();
    for (caller, id) in readers.iter_mut().filter(|(_, id)| *id > 0).step_by(2) {
        assert_eq!(next_event(caller, *id).1, Err("CaughtUp".to_owned()));
    }
    let before = resident_bytes(server.id());
    (1..=WRITES).for_each(&mut write);
    let grown = resident_bytes(server.id()).saturating_sub(before);
    // 20 MB were written; the memory of recent changes holds 32 MiB with what was before each; sixty copies are 1.2 GB.
    assert!(grown < 250 << 20, "{} MiB more", grown >> 20);
    let (mut caller, id) = readers.swap_remove(0);
    let mut all = Vec::new();
    while all.len() < WRITES as usize {
        all.extend(next_event(&mut caller, id).1.unwrap_or_default());
    }
    let numbers: Vec<i64> = all.iter().filter_map(|(_, _, n)| *n).collect();
    assert_eq!(numbers, (1..=WRITES).collect::<Vec<_>>());
    drop((caller, readers, writer));
    server.stop();
}

/// What a writer did, each record its own: the changes in order.
type History = BTreeMap<Uuid, Vec<Option<i64>>>;

/// Writes as long as the server is killed, and then a little.
async fn write(client: Client, number: u64, is_killed: Arc<AtomicBool>) -> History {
    let (mut random, mut history) = (Random(number), History::new());
    let mut rest = 20;
    for turn in 0_u64.. {
        if !is_killed.load(Ordering::Relaxed) {
            rest -= 1;
        }
        if rest == 0 {
            break;
        }
        let id = Uuid::from_u128(u128::from(number << 32 | random.below(10)));
        let changes = history.entry(id).or_default();
        let exists = changes.last().is_some_and(Option::is_some);
        if exists && random.chance(30) {
            client.delete(COLLECTION, id).await.unwrap();
            changes.push(None);
        } else {
            client.put(COLLECTION, record(id, &[("n", Value::Int(turn.cast_signed()))])).await.unwrap();
            changes.push(Some(turn.cast_signed()));
        }
    }
    history
}

fn add(history: &mut History, changes: &blazedb::client::ChangeSet, last: &mut u64, in_order: bool) {
    for change in changes.iter() {
        assert!(!in_order || change.seq > *last, "{} came after {last}", change.seq);
        *last = change.seq;
        let (id, n) = match change.kind {
            ChangeKind::Delete(id) => (id, None),
            ChangeKind::Dropped => panic!("nobody drops it"),
            ChangeKind::Put(record) => {
                let record = record.view().unwrap().to_record();
                let Some(Value::Uuid(id)) = record.get("id") else { panic!("no id") };
                (*id, Some(n_of(&record)))
            }
        };
        history.entry(id).or_default().push(n);
    }
}

/// Reads until the marker, which is written last.
async fn read_to_the_marker(mut subscription: Subscription) -> History {
    let (mut history, mut last) = (History::new(), 0);
    while let Some(tidings) = subscription.next().await.unwrap() {
        match tidings {
            Tidings::Changes(changes) => {
                add(&mut history, &changes, &mut last, true);
                if history.remove(&Uuid::max()).is_some() {
                    return history;
                }
            }
            Tidings::Reset { code, .. } => panic!("reset {code}"),
            _ => {}
        }
    }
    panic!("the subscription ended")
}

/// Kills and restarts a server so many times while `job` runs, which is told when no more kills come.
fn while_killed<T: Send>(kills: u64, job: impl FnOnce(SocketAddr, Arc<AtomicBool>) -> T + Send) -> T {
    let is_killed = Arc::new(AtomicBool::new(true));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let mut server = Process::start(&path);
    let address = server.address;
    thread::scope(|scope| {
        let job = scope.spawn({
            let is_killed = is_killed.clone();
            move || job(address, is_killed)
        });
        let mut random = Random(kills);
        for _ in 0..kills {
            thread::sleep(Duration::from_millis(100 + random.below(300)));
            assert!(!job.is_finished());
            server.kill();
            let data = path.to_str().unwrap();
            server = Process::start_at(&address.to_string(), &["--data-dir", data]);
        }
        is_killed.store(false, Ordering::Relaxed);
        let done = job.join().unwrap();
        server.stop();
        done
    })
}

/// Watchers of every kind, while writers write and the server is killed: each change once, in order; the latest
/// leads to the same state. `BLAZEDB_LIVE_KILLS` says how many kills, 6 unless set.
#[test]
fn watchers_go_on_over_kills() {
    let kills = std::env::var("BLAZEDB_LIVE_KILLS").ok().map_or(6, |text| text.parse().unwrap());
    while_killed(kills, |address, is_killed| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(over_kills(address, is_killed));
    });
}

async fn over_kills(address: SocketAddr, is_killed: Arc<AtomicBool>) {
    let url = format!("blaze://{address}/main").parse().unwrap();
    let connect = async || {
        Client::connect(&url, Options { patience: Some(PATIENCE), ..Options::default() }).await.unwrap()
    };
    let watcher = connect().await;
    let watch =
        |mode, start| tokio::spawn(read_to_the_marker(watcher.subscribe(COLLECTION, mode, start).unwrap()));
    let all = watch(Mode::All, Start::After(Position::default()));
    let latest = watch(Mode::Latest, Start::After(Position::default()));
    let mut writers = Vec::new();
    for number in 1..=WRITERS {
        writers.push(tokio::spawn(write(connect().await, number, is_killed.clone())));
    }
    let from_snapshot = watch(Mode::All, Start::Snapshot);
    let mut history = History::new();
    for writer in writers {
        history.extend(writer.await.unwrap());
    }
    let client = connect().await;
    client.put(COLLECTION, record(Uuid::max(), &[("n", Value::Int(0))])).await.unwrap();
    let newest = |history: &History| -> BTreeMap<Uuid, i64> {
        history.iter().filter_map(|(id, changes)| Some((*id, (*changes.last()?)?))).collect()
    };
    assert_eq!(all.await.unwrap(), history);
    assert_eq!(newest(&latest.await.unwrap()), newest(&history));
    assert_eq!(newest(&from_snapshot.await.unwrap()), newest(&history));
    // A snapshot of many records in several frames, read over connections, leads there too.
    let late = read_to_the_marker(client.subscribe(COLLECTION, Mode::Latest, Start::Snapshot).unwrap());
    assert_eq!(newest(&late.await), newest(&history));
}
