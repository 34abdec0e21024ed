//! What the stores cost: folding, reopening, bytes on disk, memory. Each scenario runs in a process of its own, so
//! that peak memory is its own. `cargo bench --bench store` runs all; `-- BACKEND IDS COUNT [setting=value]...` one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a measurement that fails stops"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use blazedb::store::keyspace::Span;
use blazedb::store::{
    CollectionId, Direction, Fold, Image, Key, Lsm, LsmSettings, Maintained, Memory, Position, Pressure,
    RecordId, Sled, SledSettings, Store, verify,
};

/// Commits in a group, one record each.
const GROUP: u64 = 64;
/// Bytes of a record.
const RECORD: usize = 330;
const ENVELOPE: [u8; 12] = [1; 12];

/// The flights, in the order of their ids and in none, and what does not compress.
const SCENARIOS: &[&[&str]] = &[
    &["lsm", "ordered", "336776"],
    &["lsm", "ordered", "336776", "compressible=0"],
    &["lsm", "ordered", "336776", "compressible=0", "lz4=0"],
    &["lsm", "ordered", "336776", "lz4=0"],
    &["lsm", "ordered", "1000000"],
    &["lsm", "random", "1000000"],
    &["lsm", "hot", "500000"],
    &["memory", "ordered", "336776"],
    &["memory", "random", "1000000"],
    &["sled", "ordered", "336776"],
    &["sled", "random", "336776"],
    &["lsm", "random", "336776"],
];

/// Time-ordered as in an import, in no order, or the same hundred over and over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ids {
    Ordered,
    Random,
    Hot,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backend {
    Lsm,
    Memory,
    Sled,
}

struct Scenario {
    backend: Backend,
    ids: Ids,
    count: u64,
    is_compressible: bool,
    settings: LsmSettings,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [backend, ids, count, settings @ ..] = &arguments[..] {
        return run(&scenario(backend, ids, count, settings));
    }
    for arguments in SCENARIOS {
        println!("{}", arguments.join(" "));
        let status = Command::new(std::env::current_exe().unwrap()).args(*arguments).status().unwrap();
        assert!(status.success());
    }
}

fn scenario(backend: &str, ids: &str, count: &str, settings: &[String]) -> Scenario {
    let mut scenario = Scenario {
        backend: match backend {
            "lsm" => Backend::Lsm,
            "memory" => Backend::Memory,
            "sled" => Backend::Sled,
            other => panic!("no backend {other}"),
        },
        ids: match ids {
            "ordered" => Ids::Ordered,
            "random" => Ids::Random,
            "hot" => Ids::Hot,
            other => panic!("no ids {other}"),
        },
        count: count.parse().unwrap(),
        is_compressible: true,
        settings: LsmSettings::default(),
    };
    for setting in settings {
        let (name, value) = setting.split_once('=').unwrap();
        let value: u64 = value.parse().unwrap();
        match name {
            "compressible" => scenario.is_compressible = value != 0,
            "lz4" => scenario.settings.is_compressed = value != 0,
            "memtable" => scenario.settings.memtable_bytes = value << 20,
            "table" => scenario.settings.table_bytes = value << 20,
            "cache" => scenario.settings.cache_bytes = value << 20,
            "block" => scenario.settings.block_bytes = u32::try_from(value << 10).unwrap(),
            other => panic!("no setting {other}"),
        }
    }
    scenario
}

fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A record of the size of a flight: about half of it repeats from record to record, or none of it.
fn fill(record: &mut [u8; RECORD], is_compressible: bool, random: &mut u64) {
    let from = if is_compressible { RECORD / 2 } else { 0 };
    for place in record[from..].chunks_mut(8) {
        let bytes = next(random).to_le_bytes();
        place.copy_from_slice(&bytes[..place.len()]);
    }
}

fn id_of(scenario: &Scenario, number: u64, random: &mut u64) -> RecordId {
    let id = match scenario.ids {
        Ids::Random => (u128::from(next(random)) << 64) | u128::from(next(random)),
        Ids::Ordered => (0x1234_5678_9abc << 80) | u128::from(number),
        Ids::Hot => u128::from(number % 100),
    };
    id.to_be_bytes()
}

fn run(scenario: &Scenario) {
    let folder = tempfile::tempdir_in("target").unwrap();
    let path = folder.path().join("store");
    fs::create_dir(&path).unwrap();
    let store = open(scenario, &path);
    fold(scenario, &*store);
    if scenario.backend != Backend::Memory {
        reopen(scenario, store, &path);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_owned();
    println!("  peak memory {peak}");
}

fn open(scenario: &Scenario, path: &Path) -> Arc<dyn Store> {
    match scenario.backend {
        Backend::Lsm => Arc::new(Lsm::open(path, scenario.settings).unwrap()),
        Backend::Memory => Arc::new(Memory::new()),
        Backend::Sled => Arc::new(Sled::open(path, SledSettings::default()).unwrap()),
    }
}

/// Folds all records, with maintenance on the same thread and core, whenever it is wanted.
fn fold(scenario: &Scenario, store: &dyn Store) {
    let collection = CollectionId::new(1).unwrap();
    let (mut random, mut ids) = (88_172_645_463_325_252, 1_234_567);
    let mut record = [b'a'; RECORD];
    let (mut folding, mut maintaining) = (0.0, 0.0);
    let mut seq = 0;
    while seq < scenario.count {
        let group = GROUP.min(scenario.count - seq);
        let position = Position { epoch: 0, seq: seq + group };
        let mut fold = Fold::new(store, position);
        for _ in 0..group {
            seq += 1;
            fill(&mut record, scenario.is_compressible, &mut random);
            let crc = crc32fast::hash(&record);
            let id = id_of(scenario, seq, &mut ids);
            let start = Instant::now();
            fold.record(seq, collection, id, Image { envelope: &ENVELOPE, record: Some((&record, crc)) })
                .unwrap();
            folding += start.elapsed().as_secs_f64();
        }
        let start = Instant::now();
        store.apply(fold.finish()).unwrap();
        store.set_durable(position);
        store.publish(position).unwrap();
        folding += start.elapsed().as_secs_f64();
        let start = Instant::now();
        while store.pressure() > Pressure::None && store.maintain().unwrap() == Maintained::Worked {}
        maintaining += start.elapsed().as_secs_f64();
    }
    let count = scenario.count as f64;
    println!(
        "  fold {:.0} k records/s; with flushes and compactions on the same core {:.0} k/s",
        count / folding / 1e3,
        count / (folding + maintaining) / 1e3
    );
}

/// Reads all changes by position, as a reader that begins at the start does.
fn catch_up(store: &dyn Store) {
    let start = Instant::now();
    let changes = store.snapshot().range(Span::changes_after(0).bounds(), Direction::Ascending).count();
    println!("  {changes} changes read in {:.2?}", start.elapsed());
}

fn reopen(scenario: &Scenario, store: Arc<dyn Store>, path: &Path) {
    catch_up(&*store);
    let start = Instant::now();
    store.checkpoint().unwrap();
    let checkpoint = start.elapsed();
    let encoded = scenario.count * RECORD as u64;
    let ratio = |store: &dyn Store| store.statistics().disk_bytes as f64 / encoded as f64;
    let at_checkpoint = ratio(&*store);
    while store.maintain().unwrap() == Maintained::Worked {}
    println!(
        "  checkpoint {checkpoint:.0?}; bytes on disk / encoded {at_checkpoint:.3}, after maintenance {:.3}; {} tables",
        ratio(&*store),
        store.statistics().tables
    );
    catch_up(&*store);
    drop(store);
    let start = Instant::now();
    let store = open(scenario, path);
    let opened = start.elapsed();
    println!("  reopened in {opened:.1?}, applied {}", store.applied().seq);
    let mut random = 99;
    let (mut ids, reads) = (1_234_567, 100_000);
    let start = Instant::now();
    for _ in 0..reads {
        let number = next(&mut random) % scenario.count + 1;
        let id = id_of(scenario, number, &mut ids);
        let key = Key::Record(CollectionId::new(1).unwrap(), id).encode();
        assert!(store.snapshot().get(&key).unwrap().is_some());
    }
    println!(
        "  {:.0} k gets/s of random records, cold cache",
        f64::from(reads) / start.elapsed().as_secs_f64() / 1e3
    );
    if scenario.count < 400_000 {
        let start = Instant::now();
        let report = verify(&*store.snapshot()).unwrap();
        assert_eq!(report.wrong, 0);
        println!("  verify {:.0?}", start.elapsed());
    }
}
