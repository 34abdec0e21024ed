//! The server: configuration, data directory, listener, one task a client, upkeep, stopping.
//! The normative text is `spec/server.md`.
//!
//! | file | what it does |
//! |---|---|
//! | `config`, `limits`, `error` | what may be set, what is bounded, what can go wrong |
//! | `data`, `sizes`, `volatile` | the data directory and its databases; what a disk is large enough for; a log in memory |
//! | `offline`, `overlay` | looking at a data directory without changing it; accepting damage to it |
//! | `accept`, `descriptors` | the listener and its permits; how many files and sockets there may be |
//! | `peer` | a client's task: bytes, events, commits |
//! | `hub`, `environment` | what all tasks share; the machine's clocks |
//! | `upkeep` | ticks, maintenance, checkpoints |

mod accept;
mod config;
mod data;
mod descriptors;
mod environment;
mod error;
mod hub;
pub mod limits;
mod memory;
pub mod offline;
mod overlay;
mod peer;
mod sizes;
mod upkeep;
mod volatile;

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

pub use config::{Config, Place, StoreKind};
pub use descriptors::raise_descriptor_limit;
pub use environment::Machine;
pub use error::ServerError;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::engine::{EngineError, Opening};
use crate::service::{Publication, StorageFailure};
use hub::Hub;
use upkeep::Upkeep;

/// A server that listens and does not serve yet.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    hub: Arc<Hub>,
    data: data::Data,
    failed: watch::Receiver<Option<StorageFailure>>,
    interrupt: Signal,
    terminate: Signal,
    checkpoint_bytes: u64,
}

/// How a server ended that was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Clients parted, a checkpoint was made.
    Graceful,
    /// Asked twice: at once. What was acknowledged is in the log.
    AtOnce,
}

/// What became of a database when it was opened.
#[derive(Debug)]
pub struct Finding<'a> {
    /// Its name.
    pub name: &'a str,
    /// What opening it found.
    pub opening: &'a Opening,
    /// Why it takes no writes, if it does not.
    pub read_only: Option<&'a str>,
    /// Whether it takes writes only once there is room on the disk.
    pub lacks_room: bool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Server({:?})", self.listener)
    }
}

impl Server {
    /// Listens, opens all databases and recovers them.
    ///
    /// # Errors
    /// [`ServerError`]: the server did not start; what it says is one line, with advice.
    pub fn start(config: &Config) -> Result<Self, ServerError> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(limits::MAX_WORKERS);
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name("blazedb-worker")
            .enable_io()
            .enable_time()
            .build()
            .map_err(ServerError::System)?;
        let entered = runtime.enter();
        // Whoever stops the server while it recovers is heard at once.
        let interrupt = signal(SignalKind::interrupt()).map_err(ServerError::System)?;
        let terminate = signal(SignalKind::terminate()).map_err(ServerError::System)?;
        let listener = accept::listen(config.listen)?;
        drop(entered);
        let machine = Arc::new(Machine::new());
        let changes = watch::Sender::new(0_u64);
        let failure = watch::Sender::new(None);
        let failed = failure.subscribe();
        let live = crate::live::Hub::new();
        let publication = || {
            let (changes, failure) = (changes.clone(), failure.clone());
            Publication::new(
                live.source(),
                move || changes.send_modify(|count| *count = count.wrapping_add(1)),
                move |reason| drop(failure.send_replace(Some(reason.clone()))),
            )
        };
        let data = data::open(config, &machine, publication)?;
        let hub = Arc::new(Hub::new(machine, data.databases.clone(), changes));
        let checkpoint_bytes = config.checkpoint_bytes.min(data.sizes.checkpoint_bytes);
        Ok(Self { runtime, listener, hub, data, failed, interrupt, terminate, checkpoint_bytes })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What opening the databases found, by name.
    pub fn findings(&self) -> impl Iterator<Item = Finding<'_>> {
        self.data.findings.iter().map(|(name, opening)| {
            let served = self.data.databases.get(name);
            let read_only = served.and_then(|served| served.database.read_only());
            let lacks_room = served.is_some_and(|served| served.database.lacks_room());
            Finding { name, opening, read_only, lacks_room }
        })
    }

    /// Serves until a signal says to stop, then says Goodbye to clients, waits for them, makes a checkpoint.
    ///
    /// # Errors
    /// [`ServerError::Storage`]: end the process; [`ServerError::Database`] if the last checkpoint failed, in which case
    /// everything acknowledged is in the log all the same.
    pub fn run(self) -> Result<Ending, ServerError> {
        let Self { runtime, listener, hub, data, mut failed, mut interrupt, mut terminate, checkpoint_bytes } =
            self;
        let upkeep = Upkeep::start(&data.databases, hub.machine.clone(), checkpoint_bytes)?;
        let places = descriptors::places(data.databases.iter().count());
        let serving = runtime.spawn(accept::serve(listener, hub.clone(), places, |peer| peer.run()));
        let outcome = runtime.block_on(async {
            tokio::select! {
                failure = failure_of(&mut failed) => return Err(ServerError::Storage(failure)),
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            report("stopping: saying goodbye to clients; once more to stop at once");
            hub.stopping.send_replace(true);
            tokio::select! {
                failure = failure_of(&mut failed) => Err(ServerError::Storage(failure)),
                _ = interrupt.recv() => Ok(Ending::AtOnce),
                _ = terminate.recv() => Ok(Ending::AtOnce),
                _ = serving => Ok(Ending::Graceful),
            }
        });
        if matches!(outcome, Ok(Ending::Graceful)) {
            drop(upkeep);
            for served in data.databases.iter() {
                match served.database.close() {
                    Err(EngineError::DiskFull) => report(format_args!(
                        "database {}: the disk is full, no checkpoint was made; the log has everything",
                        served.name
                    )),
                    closed => {
                        closed.map_err(|error| ServerError::Database { name: served.name.clone(), error })?
                    }
                }
            }
        } else {
            // Its thread may wait for the disk that failed.
            std::mem::forget(upkeep);
        }
        runtime.shutdown_background();
        outcome
    }
}

async fn failure_of(failed: &mut watch::Receiver<Option<StorageFailure>>) -> StorageFailure {
    let failure = failed.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone());
    failure.unwrap_or_else(|| StorageFailure("its watcher is gone".to_owned()))
}

/// Writes a line to stderr. Where that is closed there is nobody left to tell.
fn report(line: impl Display) {
    let _ = writeln!(io::stderr(), "blazedb: {line}");
}
