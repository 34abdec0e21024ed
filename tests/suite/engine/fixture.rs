//! Databases as releases wrote them, one directory a format, which every later release must read: `tests/fixtures/format-*`.
//!
//! What they hold is told by `expected.txt` beside them, written by hand from the script below and the numbering of
//! `spec/engine.md` (E-3). `BLAZEDB_WRITE_FIXTURE=1` writes those that are missing; none is ever changed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use blazedb::blazebinary::json::{read_record, write_record};
use blazedb::blazebinary::{Record, RecordView};
use blazedb::engine::{Database, Environment, Id, Outcome, Range, Settings, Verdict};
use blazedb::log::disk::Disk;
use blazedb::store::directory::{Format, SLED_FORMAT, STORE_FORMAT};
use blazedb::store::{Lsm, LsmSettings, Memory, Sled, SledSettings, Store};
use blazedb::wire::{Clock, Position};
use uuid::Uuid;

use super::kit::{Kind, Op, run};
use crate::server_kit::{Caller, Process, command};
use crate::store::copy;

const NODES: [(&str, Id); 2] = [("A", [0xA1; 16]), ("B", [0xB2; 16])];
/// 2026-01-01, in milliseconds. The operation n is made n seconds later.
const EPOCH_MS: u64 = 1_767_225_600_000;
/// So small that the script fills several.
const SEGMENT_BYTES: u32 = 32 << 10;
/// After so many operations there was a checkpoint.
const CHECKPOINT_AFTER: usize = 8;

const GRACE: &str = r#"{"id":{"$uuid":"00000000-0000-0000-0000-000000000002"},"name":"Grace","active":true,
    "blob":{"$data":"AAEC/w=="},"joined":{"$date":"2013-01-01T10:00:00Z"},"logins":-7,"score":0.5,
    "tags":["navy",null],"team":{"lead":true},"v":{"$vector":[1.0,2.5]}}"#;

/// A clock that is set, and random bits that are no secret: 11…, 22…, 33… and so on.
#[derive(Default)]
struct Fixed {
    second: AtomicU64,
    random: AtomicU64,
}

impl Environment for Fixed {
    fn unix_ms(&self) -> u64 {
        EPOCH_MS + 1_000 * self.second.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.second.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        (1 + self.random.fetch_add(1, Ordering::Relaxed)).wrapping_mul(0x1111_1111_1111_1111)
    }
}

fn id(number: u128) -> Id {
    Uuid::from_u128(number).into_bytes()
}

fn record(number: u128, json: &str) -> Record {
    let mut record = read_record(json).unwrap();
    record.insert("id", blazedb::blazebinary::Value::Uuid(Uuid::from_u128(number)));
    record
}

/// Who does what, in order.
fn script() -> Vec<(usize, Vec<Op>)> {
    let op = |collection, kind| Op { collection, base: None, kind };
    let (a, b) = (0, 1);
    let put = |number, json: &str| Kind::Upsert(record(number, json), false);
    let insert = |number, json: &str| Kind::Insert(record(number, json));
    let renamed = read_record(r#"{"name":"Ada Lovelace"}"#).unwrap();
    vec![
        (a, vec![op("people", insert(1, r#"{"name":"Ada","born":1815}"#))]),
        (a, vec![op("people", insert(2, GRACE))]),
        (b, vec![op("orders", insert(1, r#"{"status":"new"}"#))]),
        (a, vec![op("people", Kind::Patch(id(1), vec!["born"], renamed))]),
        (a, vec![op("people", insert(1, "{}"))]),
        (b, vec![op("orders", put(2, r#"{"qty":1}"#)), op("orders", put(3, r#"{"qty":2}"#))]),
        (b, vec![op("orders", Kind::Delete(id(2)))]),
        (a, vec![op("people", Kind::Upsert(record(2, GRACE), true))]),
        (a, vec![op("people", Kind::Delete(id(9))), op("people", insert(3, r#"{"name":"Alan"}"#))]),
        (b, vec![Op { base: Some(7), ..op("orders", Kind::Check(id(1))) }]),
        (a, vec![op("people", Kind::Patch(id(9), vec![], read_record("{}").unwrap()))]),
        (b, vec![op("orders", put(1, r#"{"status":"paid"}"#))]),
        (b, vec![op("temp", insert(1, "{}"))]),
        (a, vec![op("temp", Kind::Drop)]),
    ]
}

fn open_sled(directory: &Path) -> Sled {
    let store = directory.join("main/store");
    SLED_FORMAT.open(&store).unwrap();
    Sled::open(&store, SledSettings::default()).unwrap()
}

fn open(directory: &Path, environment: &Arc<Fixed>) -> Database {
    let main = directory.join("main");
    let log = Arc::new(Disk::open(main.join("log")).unwrap());
    let store: Arc<dyn Store> = match directory.file_name().unwrap().to_str().unwrap() {
        "memory" => Arc::new(Memory::new()),
        "sled" => Arc::new(open_sled(directory)),
        _ => {
            STORE_FORMAT.open(&main.join("store")).unwrap();
            Arc::new(Lsm::open(&main.join("store"), LsmSettings::default()).unwrap())
        }
    };
    let settings = Settings { create: true, segment_bytes: SEGMENT_BYTES, ..Settings::default() };
    let (database, _) = Database::open(log, store, environment.clone(), settings).unwrap();
    assert_eq!(database.read_only(), None);
    database
}

/// Sends the operation `at` of the script, with the number that it has among those of its node.
fn send(database: &Database, at: usize) -> (&'static str, u64, Outcome) {
    let script = script();
    let (node, ops) = &script[at];
    let number = script[..=at].iter().filter(|(other, _)| other == node).count() as u64;
    let (name, node) = NODES[*node];
    (name, number, run(database, node, number, ops).unwrap())
}

/// Writes a directory: over `lsm` it is left as a kill leaves it, with operations that are in the log alone; without a
/// store it is closed, and over `sled` with a checkpoint, else its files would not count. (Directories without a file are not
/// copied, since git keeps none.)
fn generate(directory: &Path) {
    let environment = Arc::new(Fixed::default());
    Format { what: "data", number: 1 }.open(directory).unwrap();
    let database = open(directory, &environment);
    for at in 0..script().len() {
        environment.second.store(at as u64 + 1, Ordering::Relaxed);
        send(&database, at);
        if at + 1 == CHECKPOINT_AFTER {
            database.checkpoint().unwrap();
        }
    }
    if directory.ends_with("sled") {
        database.checkpoint().unwrap();
    }
    if !directory.ends_with("lsm") {
        database.close().unwrap();
    }
}

/// Everything that is read of a database, in the words of `expected.txt`.
fn describe(database: &Database) -> String {
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| writeln!(text, "{words}").unwrap();
    let seconds = |clock: u64| (Clock::from_bits(clock).unix_ms() - EPOCH_MS) / 1_000;
    line(format_args!("database {}", Uuid::from_bytes(database.id())));
    line(format_args!("position {}", database.position().seq));
    for (name, node) in NODES {
        line(format_args!("node {name} {}", database.highest_operation(&node).unwrap()));
    }
    for at in 0..script().len() {
        let (name, number, Outcome { verdict, sequence }) = send(database, at);
        let answer = match verdict {
            Verdict::Applied { unchanged } => format!("applied, {unchanged} unchanged"),
            Verdict::Refused(refusal) => refusal.code.name().to_owned(),
        };
        line(format_args!("answer {name} {number} at {sequence}: {answer}"));
    }
    let reader = database.reader();
    for collection in reader.statistics().unwrap() {
        let (name, summary) = (&collection.name, collection.summary);
        line(format_args!("collection {name}: {} records, {} deletions", summary.live, summary.tombstones));
        let mut scan = reader.scan(collection.number, Range::default());
        for (id, found) in scan.next_chunk(database).unwrap() {
            let patched =
                found.envelope.fields.iter().map(|field| {
                    format!(", {} {} s by node {}", field.name, seconds(field.clock), field.node)
                });
            let stamps = format!("{} s by node {}", seconds(found.envelope.clock), found.envelope.node);
            let number = Uuid::from_bytes(id).as_u128();
            let version = found.sequence;
            line(format_args!(
                "record {name} {number} version {version}: {stamps}{}",
                patched.collect::<String>()
            ));
            let record = RecordView::canonical(found.bytes().unwrap()).unwrap().to_record();
            let mut json = String::new();
            write_record(&record, &mut json);
            line(format_args!("    {json}"));
        }
    }
    let mut latest = database.latest_changes(Position::default(), None).unwrap();
    for change in latest.next_chunk(database).unwrap() {
        let number = Uuid::from_bytes(change.id).as_u128();
        let kind = if change.record.content.is_some() { "put" } else { "deleted" };
        line(format_args!("latest {}: {kind} {number}", change.record.sequence));
    }
    let mut all = database.all_changes(Position::default()).unwrap();
    let mut transactions = Vec::new();
    while let Some(decision) = all.next(database).unwrap() {
        transactions.push(format!("{}-{}", decision.first_sequence, decision.last_sequence()));
    }
    line(format_args!("transactions {}", transactions.join(" ")));
    text
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

/// What `expected.txt` says, without its comments.
fn expected() -> String {
    let text = std::fs::read_to_string(fixtures().join("expected.txt")).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

const FLAVOURS: [&str; 3] = ["lsm", "memory", "sled"];

#[test]
fn what_is_written_now_is_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    for flavour in FLAVOURS {
        let directory = folder.path().join(flavour);
        generate(&directory);
        let fixture = fixtures().join(flavour);
        if std::env::var_os("BLAZEDB_WRITE_FIXTURE").is_some() && !fixture.exists() {
            copy(&directory, &fixture);
        }
        assert_eq!(describe(&open(&directory, &Arc::default())), expected(), "{flavour}");
    }
}

#[test]
fn databases_of_format_1_are_read_and_written() {
    let folder = tempfile::tempdir().unwrap();
    for flavour in FLAVOURS {
        let directory = folder.path().join(flavour);
        copy(&fixtures().join(flavour), &directory);
        for _ in 0..2 {
            let database = open(&directory, &Arc::default());
            assert_eq!(describe(&database), expected(), "{flavour}");
            assert_eq!(database.verify().unwrap().findings, Vec::<String>::new());
            database.close().unwrap();
        }
        let served = Process::start_with(&["--data-dir", directory.to_str().unwrap(), "--store", flavour]);
        let mut caller = Caller::new(served.address);
        assert_eq!((caller.scan("people").len(), caller.scan("orders").len()), (3, 2));
        assert!(caller.is_well(), "it takes writes");
        drop(caller);
        served.stop();
    }
}

/// What a release wrote over `sled` is read, and not thrown away to be replayed from the log.
#[test]
fn the_files_of_sled_are_taken_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("sled");
    copy(&fixtures().join("sled"), &directory);
    assert!(directory.join("main/store/CLOSED").exists());
    let store = open_sled(&directory);
    assert_eq!(store.discarded(), None);
    let position = format!("position {}\n", store.applied().seq);
    assert!(expected().contains(&position), "{position}");
}

/// Each file that carries a format's number, with the next one.
#[test]
fn a_format_one_greater_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let with_checksum = |text: String| {
        let checked = text[..text.rfind("crc32").unwrap()].to_owned();
        format!("{checked}crc32 {:08x}\n", crc32fast::hash(checked.as_bytes()))
    };
    let as_it_is = |text: String| text;
    type Finish<'a> = &'a dyn Fn(String) -> String;
    let cases: [(&str, &str, &str, &str, Finish<'_>, &str); 4] = [
        ("lsm", "FORMAT", "data 1", "data 2", &as_it_is, "its data format is 2"),
        ("lsm", "main/store/FORMAT", "store 1", "store 2", &as_it_is, "its store format is 2"),
        ("sled", "main/store/FORMAT", "sled 1", "sled 2", &as_it_is, "its sled format is 2"),
        ("lsm", "main/log/FORMAT", "format 1", "format 2", &with_checksum, "has format 2"),
    ];
    for (flavour, file, now, next, finish, words) in cases {
        let directory = folder.path().join(flavour);
        copy(&fixtures().join(flavour), &directory);
        let path = directory.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(now), "{text}");
        std::fs::write(&path, finish(text.replace(now, next))).unwrap();
        let directory = directory.to_str().unwrap();
        let mut command = command(&["--listen", "127.0.0.1:0", "--store", flavour, "--data-dir", directory]);
        let output = command.stdout(Stdio::piped()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(12), "{error}");
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}
