//! Attacks by number: crowds before their handshake, herds that reconnect, floods of tiny frames.
//! An honest client works beside them, and the server is as it was when they are gone.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use blazedb::server::raise_descriptor_limit;
use blazedb::wire::{Flags, FrameBuffer, MessageType, encode_frame};

use super::server_attacks::{hello, last_words, stream, types};
use super::server_kit::{Caller, PATIENCE, Process};

/// Kilobytes of the server's memory that are resident.
pub(crate) fn resident_kib(server: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn descriptors(server: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count()
}

/// Waits until the server has let go of what a crowd held.
fn wait_for_descriptors(server: &Process, at_most: usize) {
    let deadline = Instant::now() + PATIENCE;
    while descriptors(server) > at_most {
        assert!(Instant::now() < deadline, "{} descriptors, {at_most} before", descriptors(server));
        thread::sleep(Duration::from_millis(20));
    }
}

/// As many as may be in their handshake, each with the longest payload that may be sent before it, less one byte.
#[test]
fn a_crowd_before_its_handshake_holds_little_memory() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    assert!(honest.is_well());
    let before = resident_kib(&server);
    let mut unfinished = hello();
    // The payload's length, 4,096: all that may be declared.
    unfinished[7..11].copy_from_slice(&4096_u32.to_be_bytes());
    unfinished.resize(15 + 4096 + 3, 0);
    let crowd: Vec<TcpStream> = (0..1024)
        .map(|_| {
            let mut stream = stream(server.address);
            stream.write_all(&unfinished).unwrap();
            stream
        })
        .collect();
    assert!(honest.is_well());
    let grown = resident_kib(&server).saturating_sub(before);
    assert!(grown < 40 << 10, "{grown} KiB");
    drop(crowd);
    assert!(honest.is_well());
}

/// Says hello over a new connection, and waits for the welcome.
fn greet(address: SocketAddr) -> TcpStream {
    greeted(stream(address))
}

fn greeted(mut stream: TcpStream) -> TcpStream {
    stream.write_all(&hello()).unwrap();
    let mut buffer = FrameBuffer::new();
    let mut bytes = [0; 1024];
    loop {
        if let Some(frame) = buffer.next_frame().unwrap() {
            assert_eq!(frame.header.message_type, MessageType::Handshake as u8);
            return stream;
        }
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "hung up on");
        buffer.extend(&bytes[..count]);
    }
}

/// A connection from another address of this machine.
fn stream_from(source: &str, address: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(source.parse().unwrap()).unwrap();
    let stream = {
        let _entered = runtime.enter();
        runtime.block_on(socket.connect(address)).unwrap().into_std().unwrap()
    };
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    stream
}

/// More than all places of handshakes are asked for by one address that then says nothing. Another is served at once; those
/// of the same address wait until the silent ones have had their 5 seconds, and are served then.
#[test]
fn one_address_keeps_out_its_own_neighbours_alone() {
    const SILENT: usize = 1_100;
    /// What one address may have of the 1,024 places.
    const ALLOWANCE: usize = 256;
    assert!(raise_descriptor_limit() > SILENT + 100);
    let server = Process::start_with(&["--memory"]);
    let silent: Vec<TcpStream> = (0..SILENT).map(|_| stream(server.address)).collect();
    let start = Instant::now();
    let _other = greeted(stream_from("127.0.0.2:0", server.address));
    assert!(start.elapsed() < Duration::from_secs(3), "it waited {:?}", start.elapsed());
    // Its own 5 seconds begin after those of the silent ones.
    thread::sleep(Duration::from_millis(500));
    let neighbour = greet(server.address);
    let waited = start.elapsed();
    println!("a neighbour waited {waited:?}");
    drop(silent);
    let page = metrics(server.address);
    let line = page.lines().find(|line| line.starts_with("blazedb_handshakes_deferred_total ")).unwrap();
    let deferred: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(deferred > SILENT - ALLOWANCE, "{deferred}");
    drop(neighbour);
    assert!(Caller::new(server.address).is_well());
}

fn metrics(address: SocketAddr) -> String {
    let mut stream = stream(address);
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// Everybody comes back at once, twice: all are welcome, and none stays when they go.
#[test]
fn a_herd_that_reconnects_is_served() {
    const THREADS: usize = 20;
    /// Nearly all the connections that a server has places for.
    const HERD: usize = 9_900;
    // This process has the other ends.
    let own = raise_descriptor_limit();
    assert!(own > HERD + 2_000, "{own} descriptors are too few: allow this process more");
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    assert!(honest.is_well());
    let before = descriptors(&server);
    for _ in 0..2 {
        let start = Instant::now();
        let welcome: Vec<Vec<TcpStream>> = thread::scope(|scope| {
            let part = || (0..HERD / THREADS).map(|_| greet(server.address)).collect::<Vec<_>>();
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(part)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        println!("{HERD} connections were welcome within {:?}", start.elapsed());
        assert!(descriptors(&server) >= before + HERD);
        assert!(honest.is_well());
        drop(welcome);
        wait_for_descriptors(&server, before);
    }
    assert!(honest.is_well());
}

/// A flood of frames that hold nothing, over one connection whose client reads nothing meanwhile.
fn flood(address: SocketAddr, message_type: MessageType, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let mut stream = greet(address);
    let mut bytes = Vec::new();
    for sequence in 1..=50_000 {
        encode_frame(message_type as u8, flags, sequence, payload, &mut bytes).unwrap();
    }
    // The server hangs up before it has read them all.
    let _ = stream.write_all(&bytes);
    types(&last_words(stream).0)
}

#[test]
fn floods_of_tiny_frames_end_and_harm_nobody() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    assert!(honest.is_well());
    let (before, open) = (resident_kib(&server), descriptors(&server));
    for (message_type, flags, payload) in [
        (MessageType::Ping, Flags::NONE, &[7; 8][..]),
        (MessageType::Ping, Flags::NONE, &[]),
        (MessageType::Cancel, Flags::NONE, &[0; 8]),
        (MessageType::Ack, Flags::NONE, &[0; 40]),
        (MessageType::Operation, Flags::REQUIRES_ACK, &[]),
        (MessageType::Query, Flags::NONE, &[]),
        (MessageType::Telemetry, Flags::NONE, &[]),
        (MessageType::Auth, Flags::NONE, &[]),
    ] {
        let address = server.address;
        let flooding = thread::spawn(move || flood(address, message_type, flags, payload));
        while !flooding.is_finished() {
            assert!(honest.is_well(), "{message_type:?}");
        }
        // A client that did not read may lose the last words to a reset; it has its end all the same.
        let words = flooding.join().unwrap();
        assert!(
            words.iter().all(|word| *word != MessageType::Handshake as u8),
            "{message_type:?}: {words:?}"
        );
    }
    wait_for_descriptors(&server, open);
    let grown = resident_kib(&server).saturating_sub(before);
    assert!(grown < 40 << 10, "{grown} KiB");
}
