//! `kill -9` under load, inside checkpoints and inside the recovery that follows: what clients were told is durable
//! must be there, and nothing half.
//!
//! `BLAZEDB_KILLS` says how many kills under load; every third of them comes inside a checkpoint, and each is followed by
//! one that is meant for the recovery. How many came where they were meant is counted by what the server left on disk.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::random::Random;
use super::server_kit::{PATIENCE, Process, command};
use super::server_load::{finish, load, writers, wronged};

/// So many bytes of changes between two checkpoints let them come several times a second.
const OFTEN: &str = "2000000";

/// What the kills hit.
#[derive(Debug, Default)]
struct Hits {
    under_load: u64,
    /// While the store's tables were written, before its manifest named them.
    in_checkpoint: u64,
    /// After the directory was taken and before the server served, with a log to replay.
    in_recovery: u64,
}

/// The files of the store's tables.
fn tables(data: &Path) -> BTreeSet<OsString> {
    let Ok(entries) = fs::read_dir(data.join("main/store/tables")) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

/// The file by which the store names its manifest.
fn manifest(data: &Path) -> Vec<u8> {
    fs::read(data.join("main/store/current")).unwrap_or_default()
}

/// Waits until a table is being written, and kills the server `after` that. Returns whether the checkpoint was not done.
fn kill_in_checkpoint(server: Process, data: &Path, after: Duration) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (known, before) = (tables(data), manifest(data));
        let next = Instant::now() + Duration::from_millis(100);
        while Instant::now() < next {
            if tables(data).difference(&known).next().is_some() && manifest(data) == before {
                thread::sleep(after);
                server.kill();
                return manifest(data) == before;
            }
        }
        assert!(Instant::now() < deadline, "no checkpoint comes");
    }
}

/// Starts a server and kills it `after` it took the directory. Returns whether that was before it served.
fn kill_in_recovery(data: &Path, after: Duration) -> bool {
    let mut command = command(&["--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let owner = format!("{}\n", child.id());
    let deadline = Instant::now() + PATIENCE;
    while fs::read_to_string(data.join("LOCK")).is_ok_and(|text| text != owner) {
        assert!(Instant::now() < deadline, "it does not take the directory");
    }
    thread::sleep(after);
    child.kill().unwrap();
    child.wait_with_output().unwrap().stdout.is_empty()
}

fn has_replayed(server: &Process) -> bool {
    server.banner.iter().any(|line| line.contains("from the log"))
}

fn kills(count: u64, seed: u64) -> Hits {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let mut random = Random(seed);
    let mut writers = writers(seed);
    let mut hits = Hits::default();
    let mut was_in_recovery = false;
    for kill in 0..count {
        let mut arguments = vec!["--data-dir", data.to_str().unwrap()];
        if kill % 3 == 1 {
            arguments.extend(["--checkpoint-bytes", OFTEN]);
        }
        let server = Process::start_with(&arguments);
        hits.in_recovery += u64::from(was_in_recovery && has_replayed(&server));
        let wrong = wronged(server.address, &mut writers);
        assert!(wrong.is_empty(), "before kill {kill} of seed {seed}: clients {wrong:?} were lied to");
        let in_checkpoint = load(server, &mut writers, |server| {
            if kill % 3 == 1 {
                return kill_in_checkpoint(server, data, Duration::from_micros(random.below(3000)));
            }
            thread::sleep(Duration::from_millis(50 + random.below(400)));
            server.kill();
            false
        });
        hits.under_load += 1;
        hits.in_checkpoint += u64::from(in_checkpoint);
        was_in_recovery = kill_in_recovery(data, Duration::from_micros(random.below(20_000)));
    }
    let server = Process::start(data);
    hits.in_recovery += u64::from(was_in_recovery && has_replayed(&server));
    let wrong = wronged(server.address, &mut writers);
    assert!(wrong.is_empty(), "at the end of seed {seed}: clients {wrong:?} were lied to");
    let (acknowledged, acts) = finish(&server, &mut writers);
    println!("seed {seed}: {hits:?}; {acknowledged} transactions of {acts} operations were acknowledged");
    assert!(acknowledged > 100, "only {acknowledged} transactions were acknowledged");
    hits
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |count| count.parse().unwrap())
}

#[test]
fn kills_lose_nothing_and_halve_nothing() {
    let count = setting("BLAZEDB_KILLS", 6);
    let hits = kills(count, setting("BLAZEDB_SEED", 0x4B11));
    assert!(hits.in_recovery >= count / 6, "too few hit a recovery: {hits:?}");
    assert!(hits.in_checkpoint >= count / 10, "too few hit a checkpoint: {hits:?}");
}

/// The check can fail: a data directory of a moment before, which is what a server that acknowledges too early leaves.
#[test]
fn the_check_sees_what_an_older_copy_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
    let mut writers = writers(1);
    load(Process::start(&data), &mut writers, |server| {
        thread::sleep(Duration::from_millis(300));
        server.signal("STOP");
        let copied = Command::new("cp").arg("-r").arg(&data).arg(&copy).status().unwrap();
        assert!(copied.success());
        server.signal("CONT");
        thread::sleep(Duration::from_millis(300));
        server.kill();
    });
    assert!(!wronged(Process::start(&copy).address, &mut writers).is_empty());
    assert!(wronged(Process::start(&data).address, &mut writers).is_empty());
}
