//! What a durable insert costs in process: decide, append, sync, fold, publish, over `log` on the disk and `lsm`.
//! `cargo bench --bench engine [-- SECONDS [DIRECTORY]]`; pin it with `taskset -c 0`. The disk's own fdatasync stands
//! beside the figures, measured in the same run.

#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    reason = "a measurement that fails stops"
)]

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use blazedb::blazebinary::{Layout, Record, Value, encode_record};
use blazedb::engine::{Database, Environment, Settings, Submission};
use blazedb::log::disk::Disk;
use blazedb::store::{Lsm, LsmSettings, Store};
use blazedb::wire::message::{Action, OperationBody, OperationBuilder, RecordOperation};
use blazedb::wire::{CollectionName, FramedRecord};
use uuid::Uuid;

/// Bytes of a record.
const RECORD_BYTES: usize = 165;
/// (threads, operations in flight in each).
const SCENARIOS: &[(u64, usize)] = &[(1, 1), (8, 1), (64, 1), (64, 16)];

struct Machine {
    start: Instant,
}

impl Environment for Machine {
    fn unix_ms(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn random(&self) -> u64 {
        RandomState::new().hash_one(0)
    }
}

fn body(id: u128) -> OperationBody {
    let mut bytes = Vec::new();
    let record = |text: usize| {
        Record::from_iter([
            ("id", Value::Uuid(Uuid::from_u128(id))),
            ("title", Value::String("x".repeat(text))),
            ("status", "open".into()),
            ("count", Value::Int(7)),
        ])
    };
    let empty = blazedb::blazebinary::encoded_length(&record(16), Layout::V1).unwrap();
    encode_record(&record(16 + RECORD_BYTES - empty), Layout::V1, &mut bytes).unwrap();
    assert_eq!(bytes.len(), RECORD_BYTES);
    let action = Action::Insert(FramedRecord::new(&bytes).unwrap());
    let mut builder = OperationBuilder::new();
    builder.push(CollectionName::new("people").unwrap(), &RecordOperation { base: None, action }).unwrap();
    builder.finish().unwrap()
}

/// One thread's inserts until `stop`; latencies in nanoseconds of each round of `window`.
fn insert(database: &Database, thread: u64, window: usize, stop: &AtomicBool) -> Vec<u64> {
    let node = Uuid::from_u128(u128::from(thread) + 1).into_bytes();
    let (mut latencies, mut number) = (Vec::new(), 0_u64);
    while !stop.load(Ordering::Relaxed) {
        let bodies: Vec<OperationBody> =
            (1..=window as u64).map(|at| body(u128::from(number + at) << 64 | u128::from(thread))).collect();
        let begin = Instant::now();
        let mut last = None;
        for body in &bodies {
            number += 1;
            let submission = Submission { node, number, groups: body.groups(), principal: "", trace: None };
            last = Some(database.submit(&submission).unwrap());
        }
        if let Some(ticket) = last {
            database.wait(&ticket).unwrap();
        }
        latencies.push(begin.elapsed().as_nanos() as u64);
    }
    latencies
}

fn percentile(latencies: &[u64], percent: usize) -> f64 {
    latencies[(latencies.len() - 1) * percent / 100] as f64 / 1_000.0
}

fn scenario(directory: &Path, (threads, window): (u64, usize), time: Duration) {
    let path = directory.join(format!("engine-{threads}-{window}"));
    let _ = std::fs::remove_dir_all(&path);
    let log = Arc::new(Disk::open(path.join("log")).unwrap());
    let store: Arc<dyn Store> = Arc::new(Lsm::open(&path.join("store"), LsmSettings::default()).unwrap());
    let machine = Arc::new(Machine { start: Instant::now() });
    let settings = Settings { create: true, ..Settings::default() };
    let (database, _) = Database::open(log, store, machine, settings).unwrap();
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let mut latencies: Vec<u64> = std::thread::scope(|scope| {
        let (database, stop) = (&database, &stop);
        let clients: Vec<_> =
            (0..threads).map(|thread| scope.spawn(move || insert(database, thread, window, stop))).collect();
        let upkeep = scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if !database.maintain().unwrap() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        });
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        upkeep.join().unwrap();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let rate = (latencies.len() * window) as f64 / begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let (p50, p99) = (percentile(&latencies, 50), percentile(&latencies, 99));
    println!(
        "{threads:>3} threads x {window:>2}: {rate:>9.0} inserts/s, p50 {p50:>7.0} us, p99 {p99:>7.0} us"
    );
    database.close().unwrap();
    drop(database);
    std::fs::remove_dir_all(&path).unwrap();
}

/// One block written and synced, over and over, into a file of zeros.
fn fdatasync(directory: &Path) {
    let path = directory.join("fdatasync");
    let file = File::create(&path).unwrap();
    file.write_all_at(&vec![0; 64 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let mut latencies: Vec<u64> = (0..4_000_u64)
        .map(|block| {
            file.write_all_at(&[1; 4096], block * 4096).unwrap();
            let begin = Instant::now();
            file.sync_data().unwrap();
            begin.elapsed().as_nanos() as u64
        })
        .collect();
    latencies.sort_unstable();
    println!(
        "fdatasync of one block: p50 {:.0} us, p99 {:.0} us",
        percentile(&latencies, 50),
        percentile(&latencies, 99)
    );
    std::fs::remove_file(path).unwrap();
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let seconds = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(5.0);
    let directory = arguments.get(1).map_or_else(|| PathBuf::from("target/bench-engine"), PathBuf::from);
    std::fs::create_dir_all(&directory).unwrap();
    fdatasync(&directory);
    for &shape in SCENARIOS {
        scenario(&directory, shape, Duration::from_secs_f64(seconds));
    }
    fdatasync(&directory);
}
