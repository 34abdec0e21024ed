//! A disk that becomes full under load, over the real server: what needs room is refused with `disk_full`, reading and
//! deleting go on, nothing acknowledged is lost, and writing resumes by itself when there is room again.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use blazedb::blazebinary::Value;
use uuid::Uuid;

use super::loop_disk::{LoopDisk, left_out};
use super::server_kit::{Act, Caller, PATIENCE, Process, body, record};
use super::server_load::{Writer, finish, load, writers, wronged};

/// Somebody else's file, which takes what room there is.
struct Filler(PathBuf);

/// Less than a sixteenth of the disk, which is the log's reserve.
const LITTLE: u64 = 4 << 20;

impl Filler {
    /// Leaves so many bytes free.
    fn new(disk: &LoopDisk, free: u64) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let path = disk.path().join(format!("filler{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let mut file = File::create(&path).unwrap();
        let chunk = vec![1; 64 << 10];
        loop {
            match file.write(&chunk) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(free)).unwrap();
        file.sync_all().unwrap();
        Self(path)
    }

    fn remove(self) {
        fs::remove_file(self.0).unwrap();
    }
}

fn put(n: u128) -> Act {
    Act::Upsert(record(Uuid::from_u128(n), &[("text", Value::from("x".repeat(1000).as_str()))]))
}

/// One operation by a client of its own: how its connection ended, if it did.
fn attempt(server: &Process, act: Act) -> Result<(), String> {
    let mut caller = Caller::new(server.address);
    caller.submit(&body("kept", &[act]));
    caller.outcome().map(|outcome| assert_eq!(outcome.result, Ok(()))).map_err(|lost| lost.0)
}

/// All clients write until each was refused for want of room.
fn write_until_full(server: Process, writers: &mut [Writer]) -> Process {
    let server = load(server, writers, |server| server);
    for writer in writers.iter() {
        assert!(writer.ended.contains("disk is full"), "{:?}", writer.ended);
    }
    server
}

/// Whether room stays away: a checkpoint may still make some by trimming the log.
fn stays_full(server: &Process) -> bool {
    let end = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < end {
        if attempt(server, put(10)).is_ok() {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

fn wait_for_room(server: &Process) {
    let deadline = Instant::now() + PATIENCE;
    while attempt(server, put(1)).is_err() {
        assert!(Instant::now() < deadline, "writing does not resume");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Deletions have a reserve, which they share with flushes of the store: what one of these took comes back with the
/// checkpoint that it is for. Nothing else may come in meanwhile.
fn delete_by_reserve(server: &Process, id: Uuid) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(refused) = attempt(server, Act::Delete(id)) {
        assert!(Instant::now() < deadline, "deletions have a reserve: {refused}");
        assert!(attempt(server, put(10)).is_err(), "there is room for what grows, and none to delete");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_full_disk_refuses_reads_and_resumes() {
    if left_out() {
        return;
    }
    let disk = LoopDisk::new(96);
    let data = disk.path().join("data");
    let mut writers = writers(4);
    let server = Process::start(&data);
    for n in 0..10 {
        attempt(&server, put(n)).unwrap();
    }
    finish(&server, &mut writers);

    let mut fillers = vec![Filler::new(&disk, 16 << 20)];
    let mut server = write_until_full(server, &mut writers);
    fillers.push(Filler::new(&disk, LITTLE));
    while !stays_full(&server) {
        assert!(fillers.len() < 10, "there is room without end");
        server = write_until_full(server, &mut writers);
        fillers.push(Filler::new(&disk, LITTLE));
    }
    assert_eq!(wronged(server.address, &mut writers), [0; 0], "with the disk full");
    let refused = attempt(&server, put(10)).unwrap_err();
    assert!(refused.contains("disk is full") && refused.contains("free some space"), "{refused}");
    delete_by_reserve(&server, Uuid::from_u128(3));
    assert!(attempt(&server, put(10)).is_err(), "the reserve is for deletions alone");
    assert!(Caller::new(server.address).get("kept", &[Uuid::from_u128(3)]).unwrap().is_empty());

    fillers.into_iter().for_each(Filler::remove);
    wait_for_room(&server);
    finish(&server, &mut writers);

    // Killed with a tail that nothing vouches for, and not a block is free when it starts again.
    load(server, &mut writers, |server| {
        thread::sleep(Duration::from_millis(100));
        server.kill();
    });
    let filler = Filler::new(&disk, 0);
    let server = Process::start(&data);
    assert!(server.banner.iter().any(|line| line.contains("THE DISK IS FULL")), "{:?}", server.banner);
    assert_eq!(wronged(server.address, &mut writers), [0; 0], "after a start with the disk full");
    assert!(attempt(&server, put(10)).unwrap_err().contains("disk is full"));
    server.kill();
    let server = Process::start(&data);
    assert_eq!(wronged(server.address, &mut writers), [0; 0], "after a second one");
    filler.remove();
    wait_for_room(&server);
    finish(&server, &mut writers);
    server.stop();
    assert_eq!(wronged(Process::start(&data).address, &mut writers), [0; 0], "at the end");
}
