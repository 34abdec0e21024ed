//! Durable inserts over TCP: a server of this build, pinned to core 0, and clients here, to be pinned to core 1.
//!
//! ```text
//! taskset -c 1 cargo bench --bench server -- CLIENTS IN_FLIGHT SECONDS
//! ```
//!
//! Each client keeps IN_FLIGHT inserts of a record of 165 bytes unacknowledged at level durable. Prints inserts a
//! second and the latency of one, from its submission to its outcome.

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
use std::time::{Duration, Instant};

use blazedb::blazebinary::{Layout, Record, Value, encode_record};
use blazedb::proto::{Client, ClientConfig, ClientEvent, Connection, Outbox, Time};
use blazedb::wire::message::{AckLevel, Action, OperationBuilder, RecordOperation};
use blazedb::wire::{CollectionName, FramedRecord};
use std::collections::VecDeque;
use tokio::net::TcpStream;
use uuid::Uuid;

/// The length of the record, in bytes: that of the measurements of the peers.
const RECORD_BYTES: usize = 165;

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

fn start() -> (Server, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let binary = std::env::var("BLAZEDB").unwrap_or_else(|_| env!("CARGO_BIN_EXE_blazedb").to_owned());
    let mut child = Command::new("taskset")
        .args(["-c", "0", &binary, "serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    (Server { child, _folder: folder }, address)
}

fn record(id: Uuid) -> Vec<u8> {
    let encode = |fill: usize| {
        let text = "x".repeat(fill);
        let mut record = Record::from_iter([("title", Value::from(text.as_str()))]);
        record.insert("id", Value::Uuid(id));
        let mut bytes = Vec::new();
        encode_record(&record, Layout::V1, &mut bytes).unwrap();
        bytes
    };
    let bytes = encode(RECORD_BYTES - encode(100).len() + 100);
    assert_eq!(bytes.len(), RECORD_BYTES);
    bytes
}

async fn client(address: SocketAddr, number: u64, in_flight: usize, end: Instant) -> Vec<u64> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let start = Instant::now();
    let now = || Time::ZERO.after(start.elapsed());
    let mut connection: Connection<Client> =
        Connection::client(now(), ClientConfig::new("main"), Outbox::new(None)).unwrap();
    let mut record = record(Uuid::nil());
    let place = record.windows(16).position(|bytes| bytes == [0; 16]).unwrap();
    let (mut sent, mut latencies, mut out) = (VecDeque::new(), Vec::new(), Vec::new());
    let mut buffer = vec![0; 64 << 10];
    let (mut next, mut is_welcome) = (0_u64, false);
    loop {
        while is_welcome && sent.len() < in_flight && Instant::now() < end {
            next += 1;
            // Ordered by time, as ids of version 7 are, the clients side by side.
            let id = u128::from(next) << 64 | u128::from(number);
            record[place..place + 16].copy_from_slice(&id.to_be_bytes());
            let mut builder = OperationBuilder::new();
            let action = Action::Insert(FramedRecord::new(&record).unwrap());
            builder
                .push(CollectionName::new("payments").unwrap(), &RecordOperation { base: None, action })
                .unwrap();
            connection.submit(AckLevel::Durable, builder.finish().unwrap().groups()).unwrap();
            sent.push_back(Instant::now());
        }
        if is_welcome && sent.is_empty() {
            return latencies;
        }
        out.clear();
        while connection.poll_transmit(now(), &mut out) > 0 {}
        let mut rest = &out[..];
        while !rest.is_empty() {
            match stream.try_write(rest) {
                Ok(count) => {
                    rest = &rest[count..];
                    connection.handle_written(now());
                }
                Err(_) => stream.writable().await.unwrap(),
            }
        }
        stream.readable().await.unwrap();
        match stream.try_read(&mut buffer) {
            Ok(0) => panic!("the server hung up"),
            Ok(count) => connection.handle_bytes(now(), &buffer[..count]),
            Err(_) => {}
        }
        while let Some(event) = connection.poll_event() {
            match event {
                ClientEvent::Welcome(_) => is_welcome = true,
                ClientEvent::Outcome(outcome) => {
                    outcome.result.unwrap();
                    let since: Instant = sent.pop_front().unwrap();
                    latencies.push(u64::try_from(since.elapsed().as_nanos()).unwrap());
                }
                ClientEvent::Closed(reason) => panic!("{reason}"),
                _ => {}
            }
        }
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let &[clients, in_flight, seconds] = &numbers[..] else {
        println!("usage: cargo bench --bench server -- CLIENTS IN_FLIGHT SECONDS");
        return;
    };
    let (_server, address) = start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let mut latencies = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..clients {
            tasks.spawn(client(address, number, usize::try_from(in_flight).unwrap(), end));
        }
        tasks.join_all().await.concat()
    });
    let took = begin.elapsed();
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize] / 1000;
    println!(
        "{clients} clients x {in_flight}: {:.0} inserts/s, p50 {} us, p99 {} us, max {} us",
        latencies.len() as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
