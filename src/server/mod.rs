//! The server: configuration, data directory, listener, one task a client, upkeep, stopping.
//! The normative text is `spec/server.md`.
//!
//! | file | what it does |
//! |---|---|
//! | `config`, `limits`, `error` | what may be set, what is bounded, what can go wrong |
//! | `data`, `sizes`, `volatile` | the data directory and its databases; what a disk is large enough for; a log in memory |
//! | `offline`, `overlay` | looking at a data directory without changing it; accepting damage to it |
//! | `listen`, `accept`, `descriptors` | the listeners and their permits; how many files and sockets there may be |
//! | `door`, `origin`, `certificate` | the way in: what is spoken, which web pages may, what is shown under TLS |
//! | `spares` | the places for those who come when all others are taken |
//! | `http`, `metrics` | health, metrics, the way to the WebSocket |
//! | `peer` | a client's task: bytes, events, commits |
//! | `hub`, `environment` | what all tasks share; the machine's clocks |
//! | `upkeep` | ticks, maintenance, checkpoints |

mod accept;
mod allowance;
mod certificate;
mod config;
mod data;
mod descriptors;
mod door;
mod environment;
mod error;
pub mod fuzzing;
mod http;
mod hub;
pub mod limits;
mod listen;
mod memory;
mod metrics;
pub mod offline;
mod origin;
mod overlay;
mod peer;
mod sizes;
mod spares;
mod upkeep;
mod volatile;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

pub use config::{Admission, Config, Place, StoreKind};
pub use descriptors::raise_descriptor_limit;
pub use environment::Machine;
pub use error::ServerError;
pub use listen::Listen;
pub use origin::Origin;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::engine::{EngineError, Opening};
use crate::service::{Publication, StorageFailure};
use crate::transport::{Pin, Url};
use certificate::{Shown, Source};
use door::Doors;
use hub::Hub;
use listen::Listener;
use peer::Peer;
use upkeep::Upkeep;

/// A server that serves. [`Server::run`] waits for its end.
pub struct Server {
    runtime: Runtime,
    urls: Vec<Url>,
    doors: Arc<Doors>,
    serving: JoinHandle<()>,
    upkeep: Upkeep,
    certificate: Source,
    shown: watch::Sender<Shown>,
    data: data::Data,
    failed: watch::Receiver<Option<StorageFailure>>,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
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
        write!(out, "Server({:?})", self.urls)
    }
}

impl Server {
    /// Listens, tells of its health, opens all databases, recovers them, and serves clients.
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
        let hangup = signal(SignalKind::hangup()).map_err(ServerError::System)?;
        let listeners: Vec<Listener> = config.listen.iter().map(Listener::open).collect::<Result<_, _>>()?;
        drop(entered);
        let urls: Vec<Url> =
            listeners.iter().map(Listener::url).collect::<io::Result<_>>().map_err(ServerError::System)?;
        let site = data::Site::take(config)?;
        let machine = Arc::new(Machine::new());
        let certificate = Source::of(config.admission.certificate.as_ref(), &config.place);
        let shown = watch::Sender::new(certificate.load()?);
        let opened = watch::Sender::new(None);
        let places = descriptors::places(site.databases());
        let admission = config.admission.clone();
        let doors =
            Arc::new(Doors::new(machine.clone(), admission, shown.subscribe(), opened.subscribe(), places));
        let serving = runtime.spawn(accept::serve(listeners, doors.clone(), Peer::run));
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
        let data = site.open(config, &machine, publication)?;
        let hub = Arc::new(Hub::new(&doors, data.databases.clone(), changes));
        let checkpoint_bytes = config.checkpoint_bytes.min(data.sizes.checkpoint_bytes);
        let upkeep = Upkeep::start(&data.databases, machine, checkpoint_bytes)?;
        opened.send_replace(Some(hub));
        Ok(Self {
            runtime,
            urls,
            doors,
            serving,
            upkeep,
            certificate,
            shown,
            data,
            failed,
            interrupt,
            terminate,
            hangup,
        })
    }

    /// Where it listens, in the clear, in the order in which the places were named.
    pub fn urls(&self) -> &[Url] {
        &self.urls
    }

    /// The fingerprint of the certificate that it made for itself, if it did.
    pub fn pin(&self) -> Option<Pin> {
        self.certificate.is_own().then(|| self.shown.borrow().pin)
    }

    /// The file of the certificate's key if every user of the machine may read or change it.
    pub fn exposed_key(&self) -> Option<PathBuf> {
        self.certificate.exposed_key()
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

    /// Waits until a signal says to stop, then says Goodbye to clients, waits for them, makes a checkpoint.
    ///
    /// # Errors
    /// [`ServerError::Storage`]: end the process; [`ServerError::Database`] if the last checkpoint failed, in which case
    /// everything acknowledged is in the log all the same.
    pub fn run(self) -> Result<Ending, ServerError> {
        let Self { runtime, doors, serving, upkeep, certificate, shown, data, .. } = self;
        let Self { mut failed, mut interrupt, mut terminate, mut hangup, .. } = self;
        // Whoever closes a terminal means what runs in it to end.
        let is_interactive = io::stdin().is_terminal();
        let outcome = runtime.block_on(async {
            loop {
                tokio::select! {
                    failure = failure_of(&mut failed) => return Err(ServerError::Storage(failure)),
                    _ = interrupt.recv() => break,
                    _ = terminate.recv() => break,
                    _ = hangup.recv() => if is_interactive { break } else { reload(&certificate, &shown) },
                }
            }
            report("stopping: saying goodbye to clients; once more to stop at once");
            doors.stopping.send_replace(true);
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

/// Reads the certificate again; connections that are there keep theirs. What cannot be read changes nothing.
fn reload(certificate: &Source, shown: &watch::Sender<Shown>) {
    match certificate {
        Source::Memory => {}
        source => match source.load() {
            Ok(read) => {
                report(format_args!("the certificate was read again: {}", read.pin));
                if let Some(key) = source.exposed_key() {
                    report(format_args!("every user of this machine can read or change {}", key.display()));
                }
                shown.send_replace(read);
            }
            Err(error) => report(format_args!("the certificate stays as it was: {error}")),
        },
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
