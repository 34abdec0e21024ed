//! The listeners: who comes in, how many, and what happens to them.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::{JoinError, JoinSet};

use super::door::{Doors, Guest, Handshake, enter};
use super::limits::{MAX_ACCEPT_PAUSE, MIN_ACCEPT_PAUSE, STOP_DEADLINE};
use super::listen::Listener;
use super::peer::Peer;
use super::report;
use crate::service::StorageFailure;
use crate::transport::socket::Socket;

/// Accepts and serves clients on all listeners until the server stops, then waits for them to part. `work` is what a
/// client's task does.
pub(super) async fn serve<T>(
    listeners: Vec<Listener>,
    doors: Arc<Doors>,
    work: impl Fn(Peer) -> T + Clone + Send + 'static,
) where
    T: Future<Output = Result<(), StorageFailure>> + Send + 'static,
{
    let mut serving = JoinSet::new();
    for listener in listeners {
        serving.spawn(serve_one(listener, doors.clone(), work.clone()));
    }
    while serving.join_next().await.is_some() {}
}

async fn serve_one<T>(
    listener: Listener,
    doors: Arc<Doors>,
    work: impl Fn(Peer) -> T + Clone + Send + 'static,
) where
    T: Future<Output = Result<(), StorageFailure>> + Send + 'static,
{
    let mut stopping = doors.stopping.subscribe();
    let mut peers = JoinSet::new();
    let mut pause = MIN_ACCEPT_PAUSE;
    let is_to_loopback = listener.is_of_loopback();
    while !is_stopping(&stopping) {
        let accepted = tokio::select! {
            biased;
            _ = stopping.changed() => break,
            Some(ended) = peers.join_next() => {
                tell_of(ended);
                continue;
            }
            accepted = accept(&listener, &doors) => accepted,
        };
        match accepted {
            Ok((socket, from, permit)) => {
                pause = MIN_ACCEPT_PAUSE;
                let Some(place) = doors.place() else {
                    doors.turn_away(&socket);
                    continue;
                };
                let handshake = Handshake::new(permit, from.map(|from| doors.allowances.share(from)));
                if handshake.has_to_wait() {
                    doors.metrics.deferred();
                }
                let is_local = from.is_none_or(|from| from.is_loopback());
                let since = doors.machine.now();
                let guest = Guest { socket, is_local, is_to_loopback, place, handshake, since };
                drop(peers.spawn(see_in(guest, doors.clone(), work.clone())));
            }
            // The client hung up before it was accepted: nothing of ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                report(format_args!(
                    "cannot accept clients: {error}; trying again in {} ms",
                    pause.as_millis()
                ));
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = stopping.changed() => {}
                }
                pause = pause.saturating_mul(2).min(MAX_ACCEPT_PAUSE);
            }
        }
    }
    drop(listener);
    let part = async {
        while let Some(ended) = peers.join_next().await {
            tell_of(ended);
        }
    };
    if tokio::time::timeout(STOP_DEADLINE, part).await.is_err() {
        report(format_args!("{} clients did not part in time", peers.len()));
        peers.shutdown().await;
    }
}

/// One guest's task. The way in is boxed, so that its memory goes when a client is in.
async fn see_in<T>(guest: Guest, doors: Arc<Doors>, work: impl Fn(Peer) -> T) -> Result<(), StorageFailure>
where
    T: Future<Output = Result<(), StorageFailure>>,
{
    let served = {
        let mut stopping = doors.stopping.subscribe();
        let entered = tokio::select! {
            entered = Box::pin(enter(doors, guest)) => entered,
            // Whoever is on the way in is not waited for.
            _ = stopping.wait_for(|stopping| *stopping) => None,
        };
        entered.map(|peer| Box::pin(work(peer)))
    };
    match served {
        Some(served) => served.await,
        None => Ok(()),
    }
}

fn is_stopping(stopping: &watch::Receiver<bool>) -> bool {
    *stopping.borrow()
}

/// Accepts a client once fewer than the limit are in their handshake.
async fn accept(
    listener: &Listener,
    doors: &Doors,
) -> io::Result<(Socket, Option<IpAddr>, OwnedSemaphorePermit)> {
    let permit = doors.handshakes.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (socket, from) = listener.accept().await?;
    Ok((socket, from, permit))
}

/// A panic is a defect, and ends one connection only.
fn tell_of(ended: Result<Result<(), StorageFailure>, JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        report("a connection ended by a panic, which is a defect: please report it with the lines above");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;
    use uuid::Uuid;

    use super::*;
    use crate::proto::{Client, ClientConfig, ClientEvent, Connection, Outbox, Time};
    use crate::server::certificate::Source;
    use crate::server::config::{Admission, Config, Place};
    use crate::server::data::Site;
    use crate::server::environment::Machine;
    use crate::server::hub::Hub;
    use crate::server::listen::Listen;
    use crate::service::Publication;
    use crate::wire::CollectionName;
    use crate::wire::message::{AckLevel, Action, OperationBuilder, RecordOperation};

    /// Longer than anything takes, even on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// The doors to a database in memory, with so many places, and what keeps it open.
    fn doors(places: usize) -> (Arc<Doors>, watch::Sender<Option<Arc<Hub>>>) {
        let machine = Arc::new(Machine::new());
        let changes = watch::Sender::new(0_u64);
        let publication = || {
            let changes = changes.clone();
            let live = crate::live::Hub::new().source();
            Publication::new(live, move || changes.send_modify(|count| *count += 1), |_| ())
        };
        let config = Config::new("127.0.0.1:0".parse().unwrap(), Place::Memory, None).unwrap();
        let data = Site::take(&config).unwrap().open(&config, &machine, publication).unwrap();
        let shown = watch::Sender::new(Source::Memory.load().unwrap());
        let opened = watch::Sender::new(None);
        let doors = Doors::new(machine, Admission::default(), shown.subscribe(), opened.subscribe(), places);
        opened.send_replace(Some(Arc::new(Hub::new(&doors, data.databases, changes))));
        (Arc::new(doors), opened)
    }

    /// A client of the node of `outbox`.
    struct Caller {
        stream: TcpStream,
        connection: Connection<Client>,
    }

    impl Caller {
        async fn connect(address: SocketAddr, outbox: Outbox) -> Self {
            let stream = TcpStream::connect(address).await.unwrap();
            let connection = Connection::client(Time::ZERO, ClientConfig::new("main"), outbox).unwrap();
            let mut caller = Self { stream, connection };
            caller.until(|event| matches!(event, ClientEvent::Welcome(_))).await;
            caller
        }

        /// Deletes nothing, which is an operation like any other, and waits until it is durable.
        async fn work(&mut self) {
            let mut builder = OperationBuilder::new();
            let operation = RecordOperation { base: None, action: Action::Delete { id: Uuid::nil() } };
            builder.push(CollectionName::new("a").unwrap(), &operation).unwrap();
            self.connection.submit(AckLevel::Durable, builder.groups().unwrap()).unwrap();
            self.until(|event| matches!(event, ClientEvent::Outcome(outcome) if outcome.result.is_ok()))
                .await;
        }

        /// Speaks until such an event comes.
        async fn until(&mut self, wanted: impl Fn(&ClientEvent) -> bool) {
            let speak = async {
                loop {
                    let mut out = Vec::new();
                    self.connection.poll_transmit(Time::ZERO, &mut out);
                    self.stream.write_all(&out).await.unwrap();
                    let mut input = [0; 4096];
                    match self.stream.read(&mut input).await {
                        Ok(0) | Err(_) => self.connection.handle_eof(),
                        Ok(count) => self.connection.handle_bytes(Time::ZERO, &input[..count]),
                    }
                    while let Some(event) = self.connection.poll_event() {
                        if wanted(&event) {
                            return;
                        }
                        assert!(!matches!(event, ClientEvent::Closed(_)), "{event:?}");
                    }
                }
            };
            tokio::time::timeout(PATIENCE, speak).await.unwrap();
        }

        /// Waits until the server hung up.
        async fn end(mut self) -> Outbox {
            let mut rest = Vec::new();
            // A reset is an end too.
            let _ = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.unwrap();
            self.connection.into_outbox()
        }
    }

    /// The first client's task panics in its midst, its session and all it holds included: that connection ends, its
    /// place is free again, its node goes on where it was, and the others notice nothing.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_panic_ends_one_connection_only() {
        let listener = Listener::open(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let Listener::Tcp(bound) = &listener else { unreachable!("it listens over TCP") };
        let address = bound.local_addr().unwrap();
        let (doors, _opened) = doors(2);
        let fault = Arc::new(Notify::new());
        let (armed, first) = (fault.clone(), Arc::new(std::sync::atomic::AtomicBool::new(true)));
        let work = move |peer: Peer| {
            let (fault, is_first) = (armed.clone(), first.swap(false, std::sync::atomic::Ordering::Relaxed));
            async move {
                tokio::select! {
                    ended = peer.run() => ended,
                    () = fault.notified(), if is_first => panic!("injected: this panic is part of a test"),
                }
            }
        };
        let serving = tokio::spawn(serve(vec![listener], doors.clone(), work));
        let mut unlucky = Caller::connect(address, Outbox::new(Some(Uuid::from_u128(1)))).await;
        let mut other = Caller::connect(address, Outbox::new(None)).await;
        unlucky.work().await;
        other.work().await;
        fault.notify_one();
        let outbox = unlucky.end().await;
        assert_eq!(outbox.next_number(), 2);
        other.work().await;
        // Both places were taken: the one that panicked gave its own back.
        let mut again = Caller::connect(address, outbox).await;
        again.work().await;
        other.work().await;
        drop((again, other));
        doors.stopping.send_replace(true);
        tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap();
    }
}
