//! Power cuts and failing syncs under load, over the real server: what it acknowledged is there afterwards.
//!
//! A cut is a copy of the disk's image, made while the server is stopped and nothing is synced: of what was written to the
//! mounted file system the copy has what reached the loop device. `BLAZEDB_CUTS` says how many, `BLAZEDB_SYNC_FAULTS`
//! how many syncs fail. Both need what `loop_disk.rs` and a C compiler need.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use super::loop_disk::{Cut, LoopDisk, left_out};
use super::random::Random;
use super::server_kit::Process;
use super::server_load::{Writer, finish, load, writers, wronged};

/// Room for the log, its next segments and the store.
const DISK_MEBIBYTES: u64 = 512;
/// The kernel writes back by itself what is older than 5 s: a copy that is made sooner has only what was synced.
const SOON: Duration = Duration::from_secs(4);

/// A library that makes the syncs of a process lie or fail.
static SYNC_FAULTS: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/sync_faults.c");
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sync-{}.so", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().unwrap().success(), "a C compiler is needed");
    library
});

/// A server whose syncs go through the library.
fn start(data: &Path, fault: Option<&str>) -> Process {
    let arguments = ["--data-dir", data.to_str().unwrap()];
    let Some(fault) = fault else { return Process::start_with(&arguments) };
    let preload = SYNC_FAULTS.to_str().unwrap();
    Process::start_in(&arguments, &[("LD_PRELOAD", preload), ("BLAZEDB_TEST_SYNC", fault)])
}

/// Loads a server over `disk` for a while and cuts the power. Returns the disk that is left, and how long after the
/// last acknowledgement it was copied.
fn cut(disk: &LoopDisk, writers: &mut [Writer], work: Duration, fault: Option<&str>) -> (Cut, Duration) {
    let server = start(&disk.path().join("data"), fault);
    let (cut, copied) = load(server, writers, |server| {
        thread::sleep(work);
        server.signal("STOP");
        let cut = disk.cut();
        let copied = Instant::now();
        server.kill();
        (cut, copied)
    });
    let told = writers.iter().filter_map(|writer| writer.told).max().unwrap();
    (cut, copied.saturating_duration_since(told))
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |count| count.parse().unwrap())
}

#[test]
fn power_cuts_lose_nothing_and_halve_nothing() {
    if left_out() {
        return;
    }
    let (cuts, seed) = (setting("BLAZEDB_CUTS", 3), setting("BLAZEDB_SEED", 0xC07));
    let mut random = Random(seed);
    let mut writers = writers(seed);
    let mut disk = LoopDisk::new(DISK_MEBIBYTES);
    let (mut soon, mut tried) = (0, 0);
    while soon < cuts {
        let work = Duration::from_millis(200 + random.below(1000));
        let (image, took) = cut(&disk, &mut writers, work, None);
        tried += 1;
        soon += u64::from(took < SOON);
        assert!(tried <= 2 * cuts + 2, "this machine is too slow to copy a disk within {SOON:?}");
        disk = image.mount();
        let server = Process::start(&disk.path().join("data"));
        let wrong = wronged(server.address, &mut writers);
        assert!(wrong.is_empty(), "cut {tried} of seed {seed}: clients {wrong:?} were lied to");
    }
    let server = Process::start(&disk.path().join("data"));
    let (acknowledged, acts) = finish(&server, &mut writers);
    println!("seed {seed}: {soon} cuts; {acknowledged} transactions of {acts} operations were acknowledged");
    assert!(acknowledged > 50, "only {acknowledged} transactions were acknowledged");
}

/// The check can fail: a server that does not sync loses what it acknowledged.
#[test]
fn without_syncs_a_power_cut_loses_what_was_acknowledged() {
    if left_out() {
        return;
    }
    let mut writers = writers(2);
    let disk = LoopDisk::new(DISK_MEBIBYTES);
    // The directory and a first checkpoint are there, as they are in the test above.
    load(Process::start(&disk.path().join("data")), &mut writers, |server| {
        thread::sleep(Duration::from_millis(200));
        server.kill();
    });
    let (image, took) = cut(&disk, &mut writers, Duration::from_secs(1), Some("skip"));
    assert!(took < SOON, "this machine is too slow to copy a disk within {SOON:?}: {took:?}");
    let after = image.mount();
    let data = after.path().join("data");
    let is_lost = match Process::try_start(&data) {
        Some(server) => !wronged(server.address, &mut writers).is_empty(),
        None => true,
    };
    assert!(is_lost, "nothing was lost though nothing was synced");
    // The same clients are content with the disk that lost no power.
    assert!(wronged(Process::start(&disk.path().join("data")).address, &mut writers).is_empty());
}

/// A sync that fails ends the process with status 13, whichever it is; what was acknowledged before is there.
#[test]
fn a_failed_sync_ends_the_server_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(setting("BLAZEDB_SEED", 0xE10));
    let mut writers = writers(3);
    load(Process::start(folder.path()), &mut writers, |server| {
        thread::sleep(Duration::from_millis(100));
        server.kill();
    });
    for _ in 0..setting("BLAZEDB_SYNC_FAULTS", 4) {
        // Some ten syncs are those of opening.
        let at = 20 + random.below(200);
        let server = start(folder.path(), Some(&format!("fail:{at}")));
        let status = load(server, &mut writers, Process::wait);
        assert_eq!(status.code(), Some(13), "sync {at}");
        let server = Process::start(folder.path());
        let wrong = wronged(server.address, &mut writers);
        assert!(wrong.is_empty(), "after sync {at} failed clients {wrong:?} were lied to");
    }
    finish(&Process::start(folder.path()), &mut writers);
}
