//! A server that runs out of descriptors: clients wait or are turned away, nothing spins, nothing is lost, and it
//! recovers when clients leave.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use blazedb::proto::Outbox;
use blazedb::wire::{FrameBuffer, Message};

use super::server_attacks::hello;
use super::server_kit::{Caller, PATIENCE, Process};

/// How long the server's use of the processor is watched.
const WATCHED: Duration = Duration::from_millis(1500);
/// Ticks of the system's accounts a second, on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// A stranger who said Hello.
fn stranger(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&hello()).unwrap();
    stream
}

/// What the server answered within `patience`: the first message, or nothing.
fn answer(mut stream: &TcpStream, patience: Duration) -> Option<String> {
    stream.set_read_timeout(Some(patience)).unwrap();
    let (mut buffer, mut input) = (FrameBuffer::new(), [0; 4096]);
    loop {
        match stream.read(&mut input) {
            Ok(0) => return Some("the end".to_owned()),
            Ok(count) => buffer.extend(&input[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
            Err(error) => return Some(error.to_string()),
        }
        if let Some(frame) = buffer.next_frame().unwrap() {
            return Some(match Message::decode(frame.header.message_type, frame.payload).unwrap() {
                Message::Welcome(_) => "welcome".to_owned(),
                Message::Error(error) => format!("error {}", error.code),
                other => format!("{other:?}"),
            });
        }
    }
}

/// The processor time that a process used so far.
fn used(process: &Process) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// A server that waits uses almost nothing; one that tries without a pause would use a whole core.
#[track_caller]
fn assert_rests(server: &Process) {
    let before = used(server);
    std::thread::sleep(WATCHED);
    let used = used(server).saturating_sub(before);
    assert!(used < WATCHED / 5, "it used {used:?} of {WATCHED:?}");
}

fn too_many() -> String {
    format!("error {}", blazedb::wire::ErrorCode::TooManyConnections as u16)
}

/// Of 256 descriptors half are for clients: the others are told that there is no place, and files have room.
#[test]
fn clients_beyond_the_descriptors_are_turned_away_until_others_leave() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let server = Process::start_by("ulimit -n 256; exec \"$@\"", &["--data-dir", data]);
    let mut honest = Caller::new(server.address);
    let crowd: Vec<TcpStream> = (0..300).map(|_| stranger(server.address)).collect();
    let answers: Vec<String> = crowd.iter().map(|stream| answer(stream, PATIENCE).unwrap()).collect();
    let welcome = answers.iter().filter(|answer| *answer == "welcome").count();
    let refused = answers.iter().filter(|answer| **answer == too_many()).count();
    assert_eq!((welcome, welcome + refused), (127, 300), "{answers:?}");
    assert_rests(&server);
    assert!(honest.is_well());
    drop(crowd);
    let deadline = Instant::now() + PATIENCE;
    while Caller::connect(server.address, "main", Outbox::new(None)).is_err() {
        assert!(Instant::now() < deadline, "no place becomes free");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(honest.is_well());
    // It would not answer the Goodbye.
    drop(honest);
    server.stop();
}

/// The status by which `/livez` is answered, or what else is said.
fn livez(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut words = Vec::new();
    let _ = stream.read_to_end(&mut words);
    String::from_utf8_lossy(&words).chars().take(15).collect()
}

/// All places are taken, and of the spare ones more are asked for than there are, by clients that were refused and do
/// not hang up, and by others that say nothing: who asks for health is answered all the same.
#[test]
fn health_is_told_beside_refused_and_silent_clients_who_stay() {
    let server = Process::start_by("ulimit -n 256; exec \"$@\"", &["--memory"]);
    let mut honest = Caller::new(server.address);
    let crowd: Vec<TcpStream> = (0..200).map(|_| stranger(server.address)).collect();
    let answers: Vec<String> = crowd.iter().map(|stream| answer(stream, PATIENCE).unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "welcome").count(), 127, "{answers:?}");
    for round in 0..20 {
        let refused: Vec<TcpStream> = (0..8).map(|_| stranger(server.address)).collect();
        for stream in &refused {
            assert_eq!(answer(stream, PATIENCE), Some(too_many()));
        }
        assert_eq!(livez(server.address), "HTTP/1.1 200 OK", "behind refused ones, round {round}");
        let silent: Vec<TcpStream> = (0..12).map(|_| TcpStream::connect(server.address).unwrap()).collect();
        assert_eq!(livez(server.address), "HTTP/1.1 200 OK", "behind silent ones, round {round}");
        // The first of the silent ones gave way, and was told why.
        assert_eq!(answer(&silent[0], PATIENCE), Some(too_many()));
    }
    assert!(honest.is_well());
    drop((crowd, honest));
    server.stop();
}

/// The limit falls below what is open already, so that accepting fails: who comes waits, who is there is served, and
/// when one of them leaves the one who waits is let in.
#[test]
fn accepting_that_fails_is_tried_again_at_its_leisure() {
    let directory = tempfile::tempdir().unwrap();
    let words = directory.path().join("stderr");
    let server = Process::start_by(&format!("exec \"$@\" 2>'{}'", words.display()), &["--memory"]);
    let mut honest = Caller::new(server.address);
    let leaving = Caller::new(server.address);
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    let id = server.id().to_string();
    let limit = format!("--nofile={open}:");
    assert!(Command::new("prlimit").args(["--pid", &id, &limit]).status().unwrap().success());
    // Lower numbers may be free below the limit: they are filled until somebody has to wait.
    let mut crowd = Vec::new();
    let waiting = loop {
        let stream = stranger(server.address);
        match answer(&stream, Duration::from_millis(500)) {
            None => break stream,
            Some(answer) => assert_eq!(answer, "welcome"),
        }
        crowd.push(stream);
        assert!(crowd.len() < 50, "the limit does not hold");
    };
    assert_rests(&server);
    assert!(honest.is_well());
    assert_eq!(answer(&waiting, Duration::from_millis(1)), None);
    // Two seconds of pauses that double from 10 ms to 1 s: nine attempts, each with a line.
    let attempts = std::fs::read_to_string(&words).unwrap().matches("cannot accept clients").count();
    assert!((1..=12).contains(&attempts), "{attempts}");
    drop(leaving);
    assert_eq!(answer(&waiting, PATIENCE).as_deref(), Some("welcome"));
    assert!(honest.is_well());
    drop((crowd, waiting, honest));
    server.stop();
}
