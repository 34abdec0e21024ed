//! Bytes on the wire: the same records stored through BlazeDB and through peers, counted by a relay between client and server.
//!
//! `overhead FLIGHTS.csv [ROUNDS]` prints the tables of `benches/README.md`, which says what they show;
//! `benches/peers/overhead.sh` builds and runs it. All servers and clients are in this process, on loopback, in the clear.
//! BlazeDB's server stores; the peers' take every record apart and keep nothing, which makes no difference on the wire.

mod blaze;
mod grpc;
mod link;
mod measure;
mod msgpack;
mod relay;
mod rest;
mod schema;
#[cfg(test)]
mod tests;
mod workload;

use std::net::SocketAddr;
use std::path::PathBuf;

use blazedb::blazebinary::Record;
use blazedb::server::{Place, StoreKind};
use blazedb_peers::records::{Random, bug, flights, to_map};

use blaze::Blaze;
use grpc::{BothStreams, ClientStream, Unary};
use link::{Fault, Shape};
use measure::{Figures, Row, measure, print_connections, print_records};
use msgpack::{Form, MessagePack};
use rest::Rest;
use schema::{Bug, Flight, Kind};
use workload::{Workload, content};

/// Records of a kind: as many single operations, or ten batches of a hundred.
const RECORDS: usize = 1_000;
/// How often everything is measured, unless told otherwise.
const ROUNDS: usize = 3;

fn main() -> Result<(), Fault> {
    let mut arguments = std::env::args().skip(1);
    let flights_csv = arguments.next().ok_or("usage: overhead FLIGHTS.csv [ROUNDS]")?;
    let rounds = arguments.next().map_or(Ok(ROUNDS), |rounds| rounds.parse())?.max(1);
    let mut random = Random::default();
    let bugs = (0..RECORDS).map(|_| bug(&mut random)).collect();
    let bugs = Workload { collection: "bugs", records: bugs };
    let csv = std::fs::read_to_string(flights_csv)?;
    let flights = Workload { collection: "flights", records: flights(&csv, RECORDS)? };

    let directory = Directory::create()?;
    let (server, blaze) = blaze::serve(Place::Directory(directory.0.clone(), StoreKind::Lsm))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let told = runtime.block_on(async {
        tell::<Bug>(blaze, &bugs, rounds).await?;
        tell::<Flight>(blaze, &flights, rounds).await
    });
    drop(runtime);
    drop(server);
    told
}

/// A directory of its own, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn create() -> Result<Self, Fault> {
        let path = std::env::temp_dir().join(format!("blazedb-overhead-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Measures one kind in every way and prints its tables.
async fn tell<K: Kind>(blaze: SocketAddr, workload: &Workload, rounds: usize) -> Result<(), Fault> {
    let sizes = Sizes::of::<K>(&workload.records)?;
    let mut rows = measure_all::<K>(blaze, workload, &sizes).await?;
    for _ in 1..rounds {
        for (row, again) in rows.iter_mut().zip(measure_all::<K>(blaze, workload, &sizes).await?) {
            row.rounds.extend(again.rounds);
        }
    }
    println!("\n### {}: {} records\n", workload.collection, workload.records.len());
    sizes.print();
    println!();
    print_records(&rows, workload.records.len(), sizes.content);
    println!();
    print_connections(&rows);
    Ok(())
}

/// The records alone, in the mean: their content, and in every encoding.
struct Sizes {
    content: f64,
    blaze: f64,
    json: f64,
    named: f64,
    arrays: f64,
    protobuf: f64,
}

impl Sizes {
    fn of<K: Kind>(records: &[Record]) -> Result<Self, Fault> {
        let mean = |of: &dyn Fn(&Record) -> Result<usize, Fault>| {
            let lengths: Vec<usize> = records.iter().map(of).collect::<Result<_, _>>()?;
            Ok::<f64, Fault>(lengths.iter().sum::<usize>() as f64 / records.len() as f64)
        };
        Ok(Self {
            content: mean(&|record| Ok(content(record)))?,
            blaze: mean(&|record| Ok(blaze::encoded(record)?.len()))?,
            json: mean(&|record| Ok(serde_json::to_vec(&to_map(record))?.len()))?,
            named: mean(&|record| Ok(msgpack::encoded(record, Form::Named)?.len()))?,
            arrays: mean(&|record| Ok(msgpack::encoded(record, Form::Arrays)?.len()))?,
            protobuf: mean(&|record| Ok(K::from(record).encoded_len()))?,
        })
    }

    fn print(&self) {
        let Self { content, blaze, json, named, arrays, protobuf } = self;
        println!("| content | BlazeBinary | JSON | MessagePack, named | MessagePack, arrays | protobuf |");
        println!("|---|---|---|---|---|---|");
        println!("| {content:.1} | {blaze:.1} | {json:.1} | {named:.1} | {arrays:.1} | {protobuf:.1} |");
    }
}

const ONE: &str = "1 record, answer awaited";
const PIPELINED: &str = "1 record, 64 under way";
const BATCHES: &str = "100 records, answer awaited";
/// What every way is measured with that has operations.
const SHAPES: [(&str, Shape); 3] =
    [(ONE, Shape::ONE), (PIPELINED, Shape::PIPELINED), (BATCHES, Shape::BATCHES)];

/// One round over all ways.
async fn measure_all<K: Kind>(
    blaze: SocketAddr,
    workload: &Workload,
    sizes: &Sizes,
) -> Result<Vec<Row>, Fault> {
    let records = &workload.records[..];
    let into = workload.collection;
    let mut rows = Vec::new();
    let mut add = |way, encoded, shape, figures: Figures| {
        rows.push(Row { way, shape, encoded, rounds: vec![figures] });
    };

    for (scheme, plain, lz4) in [
        ("blaze", "BlazeDB, TCP", "BlazeDB, TCP, LZ4"),
        ("ws", "BlazeDB, WebSocket", "BlazeDB, WebSocket, LZ4"),
    ] {
        for (way, compression) in [(plain, false), (lz4, true)] {
            for (name, shape) in SHAPES {
                let open = |at| Blaze::open(scheme, at, into, shape, compression);
                add(way, sizes.blaze, name, measure(blaze, records, shape, open).await?);
            }
        }
    }

    let grpc = grpc::serve::<K>().await?;
    for (name, shape) in SHAPES {
        let open = |at| Unary::<K>::open(at, shape, false);
        add("gRPC, unary", sizes.protobuf, name, measure(grpc, records, shape, open).await?);
    }
    let open = |at| Unary::<K>::open(at, Shape::BATCHES, true);
    let figures = measure(grpc, records, Shape::BATCHES, open).await?;
    add("gRPC, unary, gzip", sizes.protobuf, BATCHES, figures);
    for (name, shape) in [(ONE, Shape::ONE), (PIPELINED, Shape::PIPELINED)] {
        let open = |at| BothStreams::<K>::open(at, shape);
        add("gRPC, streams both ways", sizes.protobuf, name, measure(grpc, records, shape, open).await?);
    }
    let figures = measure(grpc, records, Shape::ONE, ClientStream::<K>::open).await?;
    add("gRPC, client's stream", sizes.protobuf, "1 record, one answer for all", figures);

    let rest = rest::serve().await?;
    for (way, name, shape, gzip) in [
        ("REST, PUT", ONE, Shape::ONE, false),
        ("REST, POST", BATCHES, Shape::BATCHES, false),
        ("REST, POST, gzip", BATCHES, Shape::BATCHES, true),
    ] {
        let open = |at| Rest::open(at, into, shape, gzip);
        add(way, sizes.json, name, measure(rest, records, shape, open).await?);
    }

    for (way, encoded, form) in [
        ("MessagePack, WebSocket, named", sizes.named, Form::Named),
        ("MessagePack, WebSocket, arrays", sizes.arrays, Form::Arrays),
    ] {
        let server = msgpack::serve(form).await?;
        for (name, shape) in SHAPES {
            let open = |at| MessagePack::open(at, into, shape, form);
            add(way, encoded, name, measure(server, records, shape, open).await?);
        }
    }
    Ok(rows)
}
