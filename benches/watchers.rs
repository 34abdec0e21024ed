//! Watchers over TCP: a server of this build, pinned to core 0, writers and watchers here, to be pinned to core 1.
//!
//! ```text
//! taskset -c 1 cargo bench --bench watchers -- RECORDS RUNS SECONDS
//! ```
//!
//! Stores RECORDS beforehand, then makes RUNS runs of two measurements: 1,000 connections that watch a collection, and
//! how long after one write the last of them has it (the worst of 20 writes); and one watcher under an open loop of
//! 1,000 commits a second for SECONDS. Where the moment of publication lies is in `README.md`.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a measurement that meets the unexpected has failed"
)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use blazedb::blazebinary::{Layout, Record, RecordView, Value, encode_record};
use blazedb::proto::{Client, ClientConfig, ClientEvent, Connection, Outbox, RequestKind, Time};
use blazedb::wire::message::{
    AckLevel, Action, ChangeKind, EventKind, Mode, OperationBuilder, RecordOperation, Start,
};
use blazedb::wire::{CollectionName, CreditLimit, FramedRecord, Message};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use uuid::Uuid;

const WATCHERS: usize = 1_000;
const WRITES: i64 = 20;
const PERIOD: Duration = Duration::from_millis(1);
const COLLECTION: &str = "watched1";
const CREDIT: CreditLimit = CreditLimit { frames: 1 << 32, bytes: 1 << 40 };

struct Server {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(memory: bool) -> (Server, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("taskset");
    command.args(["-c", "0", env!("CARGO_BIN_EXE_blazedb"), "serve", "--listen", "127.0.0.1:0"]);
    if memory {
        command.arg("--memory");
    } else {
        command.arg("--data-dir").arg(folder.path());
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    (Server { child, _folder: folder }, address)
}

/// One connection.
struct Link {
    stream: TcpStream,
    connection: Connection<Client>,
    start: Instant,
    buffer: Vec<u8>,
}

impl Link {
    async fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let connection =
            Connection::client(Time::ZERO, ClientConfig::new("main"), Outbox::new(None)).unwrap();
        let mut link = Self { stream, connection, start: Instant::now(), buffer: vec![0; 16 << 10] };
        while !matches!(link.event().await, ClientEvent::Welcome(_)) {}
        link
    }

    fn now(&self) -> Time {
        Time::ZERO.after(self.start.elapsed())
    }

    async fn flush(&mut self) {
        let mut out = Vec::new();
        let now = self.now();
        while self.connection.poll_transmit(now, &mut out) > 0 {}
        let mut rest = &out[..];
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    self.connection.handle_written(now);
                }
                Err(_) => self.stream.writable().await.unwrap(),
            }
        }
    }

    async fn event(&mut self) -> ClientEvent {
        loop {
            if let Some(event) = self.connection.poll_event() {
                assert!(!matches!(event, ClientEvent::Closed(_)), "{event:?}");
                return event;
            }
            self.flush().await;
            self.stream.readable().await.unwrap();
            let now = self.now();
            match self.stream.try_read(&mut self.buffer) {
                Ok(0) => panic!("the server hung up"),
                Ok(count) => self.connection.handle_bytes(now, &self.buffer[..count]),
                Err(_) => {}
            }
        }
    }

    fn submit(&mut self, collection: &str, records: &[(u128, i64)]) {
        let mut builder = OperationBuilder::new();
        for (id, n) in records {
            let text = "x".repeat(100);
            let mut record = Record::from_iter([("n", Value::Int(*n)), ("text", Value::from(text.as_str()))]);
            record.insert("id", Value::Uuid(Uuid::from_u128(*id)));
            let mut bytes = Vec::new();
            encode_record(&record, Layout::V1, &mut bytes).unwrap();
            let record = FramedRecord::new(&bytes).unwrap();
            let action = Action::Upsert { record, skip_unchanged: false };
            let collection = CollectionName::new(collection).unwrap();
            builder.push(collection, &RecordOperation { base: None, action }).unwrap();
        }
        self.connection.submit(AckLevel::Durable, builder.finish().unwrap().groups()).unwrap();
    }

    async fn outcome(&mut self) {
        loop {
            if let ClientEvent::Outcome(outcome) = self.event().await {
                return outcome.result.unwrap();
            }
        }
    }

    async fn subscribe(&mut self) {
        let collection = CollectionName::new(COLLECTION).unwrap();
        self.connection.subscribe(collection, Mode::All, Start::Now, CREDIT).unwrap();
        // What it is told first is that it has caught up.
        assert!(self.changes().await.is_empty());
    }

    /// The numbers of the next event's changes.
    async fn changes(&mut self) -> Vec<i64> {
        loop {
            let ClientEvent::Answer { id, kind: RequestKind::Subscription, payload, cost, .. } =
                self.event().await
            else {
                continue;
            };
            self.connection.consume(id, cost);
            let Ok(Message::Event(event)) = Message::decode(0x10, &payload) else { panic!("no event") };
            let EventKind::Changes(changes) = event.kind else { return Vec::new() };
            let number = |bytes| match RecordView::canonical(bytes).unwrap().to_record().get("n") {
                Some(Value::Int(n)) => *n,
                _ => panic!("no n"),
            };
            let put = |kind| if let ChangeKind::Put(record) = kind { number(record.bytes()) } else { 0 };
            return changes.iter().map(|change| put(change.kind)).collect();
        }
    }
}

async fn store(address: SocketAddr, records: u128) {
    let mut link = Link::new(address).await;
    for batch in 0..records / 1_000 {
        let records: Vec<_> = (0..1_000).map(|n| ((batch * 1_000 + n) << 64, 0)).collect();
        link.submit("stored", &records);
        if batch >= 8 {
            link.outcome().await;
        }
    }
    for _ in 0..8.min(records / 1_000) {
        link.outcome().await;
    }
    link.submit(COLLECTION, &[(1, -1)]);
    link.outcome().await;
}

/// How long after a write was submitted, and after its outcome was read, the last of all watchers has it; the worst of
/// some writes.
async fn fan_out(address: SocketAddr) -> [Duration; 2] {
    let (seen, told) = (Arc::new(Mutex::new(0_usize)), Arc::new(Notify::new()));
    let (mut watchers, mut ready) = (tokio::task::JoinSet::new(), Vec::new());
    for _ in 0..WATCHERS {
        let mut link = Link::new(address).await;
        link.subscribe().await;
        ready.push(link);
    }
    for mut link in ready {
        let (seen, told) = (seen.clone(), told.clone());
        watchers.spawn(async move {
            loop {
                let count = link.changes().await.len();
                let mut seen = seen.lock().unwrap();
                *seen += count;
                if seen.is_multiple_of(WATCHERS) {
                    told.notify_one();
                }
            }
        });
    }
    let mut writer = Link::new(address).await;
    let mut worst = [Duration::ZERO; 2];
    for n in 0..WRITES {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let submitted = Instant::now();
        writer.submit(COLLECTION, &[(1, n)]);
        writer.outcome().await;
        let answered = Instant::now();
        told.notified().await;
        worst = [worst[0].max(submitted.elapsed()), worst[1].max(answered.elapsed())];
    }
    watchers.shutdown().await;
    worst
}

/// Of each commit of an open loop: when it was submitted, its outcome read, its event read.
async fn open_loop(address: SocketAddr, seconds: u64) -> Vec<[Instant; 3]> {
    let commits = seconds * 1_000;
    let mut watcher = Link::new(address).await;
    watcher.subscribe().await;
    let watcher = tokio::spawn(async move {
        let mut seen = Vec::new();
        while (seen.len() as u64) < commits {
            for n in watcher.changes().await {
                assert_eq!(n, i64::try_from(seen.len()).unwrap());
                seen.push(Instant::now());
            }
        }
        seen
    });
    let mut writer = Link::new(address).await;
    let (mut submitted, mut answered) = (Vec::new(), Vec::new());
    let begin = tokio::time::Instant::now();
    while (answered.len() as u64) < commits {
        let due = begin + PERIOD * submitted.len() as u32;
        let waits = (submitted.len() as u64) < commits;
        tokio::select! {
            biased;
            event = writer.event() => if let ClientEvent::Outcome(outcome) = event {
                outcome.result.unwrap();
                answered.push(Instant::now());
            },
            () = tokio::time::sleep_until(due), if waits => {
                writer.submit(COLLECTION, &[(1, i64::try_from(submitted.len()).unwrap())]);
                submitted.push(Instant::now());
                writer.flush().await;
            }
        }
    }
    let seen = watcher.await.unwrap();
    submitted.into_iter().zip(answered).zip(seen).map(|((a, b), c)| [a, b, c]).collect()
}

/// The round trip of a question that costs the server nothing: a Ping.
async fn round_trip(address: SocketAddr) -> f64 {
    let mut link = Link::new(address).await;
    let mut times = Vec::new();
    for _ in 0..2_000 {
        link.connection.ping();
        let asked = Instant::now();
        while !matches!(link.event().await, ClientEvent::Echo { .. }) {}
        times.push(asked.elapsed().as_nanos() as f64 / 1e3);
        // Control messages have a budget of 200 a second and 8,192 at once.
    }
    at(&mut times, 0.5)
}

fn at(times: &mut [f64], part: f64) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * part) as usize]
}

/// Microseconds from one moment to a later one; negative if it was earlier.
fn micros(from: Instant, to: Instant) -> f64 {
    let after = to.saturating_duration_since(from).as_nanos() as f64;
    (after - from.saturating_duration_since(to).as_nanos() as f64) / 1e3
}

async fn measure(address: SocketAddr, what: &str, seconds: u64) {
    let [submitted, answered] = fan_out(address).await;
    println!(
        "{what}: {WATCHERS} watchers, last after submission {:.1} ms, after the outcome {:.1} ms",
        submitted.as_secs_f64() * 1e3,
        answered.as_secs_f64() * 1e3
    );
    let times = open_loop(address, seconds).await;
    let mut told: Vec<f64> = times.iter().map(|[from, _, to]| micros(*from, *to)).collect();
    let mut behind: Vec<f64> = times.iter().map(|[_, from, to]| micros(*from, *to)).collect();
    println!(
        "{what}: 1,000 commits/s, event after submission p50 {:.0} us p99 {:.0} us, after the outcome p50 {:.0} us \
         p99 {:.0} us; round trip {:.0} us",
        at(&mut told, 0.5),
        at(&mut told, 0.99),
        at(&mut behind, 0.5),
        at(&mut behind, 0.99),
        round_trip(address).await
    );
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let &[records, runs, seconds] = &numbers[..] else {
        println!("usage: cargo bench --bench watchers -- RECORDS RUNS SECONDS");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_durable, durable) = start(false);
    let (_volatile, volatile) = start(true);
    runtime.block_on(async {
        store(durable, u128::from(records)).await;
        store(volatile, 0).await;
        for _ in 0..runs {
            measure(durable, "durable", seconds).await;
            measure(volatile, "in memory", seconds.min(2)).await;
        }
    });
}
