//! The listener: who comes in, how many, and what happens to them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

use super::error::ServerError;
use super::hub::Hub;
use super::limits::{BACKLOG, MAX_ACCEPT_PAUSE, MAX_HANDSHAKES, MIN_ACCEPT_PAUSE, STOP_DEADLINE};
use super::peer::Peer;
use super::report;
use crate::proto::Connection;
use crate::service::StorageFailure;
use crate::wire::ErrorCode;

/// Nagle's algorithm is off: an Ack is small and someone waits for it; output is written in batches anyway.
const NO_DELAY: bool = true;

/// Listens on `address`.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // Else a restart would wait for the sockets of the last run to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ServerError::AddressInUse(address),
        _ => ServerError::Listen { address, source },
    })
}

/// Accepts and serves clients, so many at once, until the server stops, then waits for them to part. `work` is what a
/// client's task does.
pub(super) async fn serve<T>(listener: TcpListener, hub: Arc<Hub>, places: usize, work: impl Fn(Peer) -> T)
where
    T: Future<Output = Result<(), StorageFailure>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(places));
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let mut stopping = hub.stopping.subscribe();
    let mut peers = JoinSet::new();
    let mut pause = MIN_ACCEPT_PAUSE;
    while !is_stopping(&stopping) {
        let accepted = tokio::select! {
            biased;
            _ = stopping.changed() => break,
            Some(ended) = peers.join_next() => {
                tell_of(ended);
                continue;
            }
            accepted = accept(&listener, &handshakes) => accepted,
        };
        match accepted {
            Ok((stream, handshake)) => {
                pause = MIN_ACCEPT_PAUSE;
                match places.clone().try_acquire_owned() {
                    Ok(place) => drop(peers.spawn(work(Peer::new(stream, hub.clone(), handshake, place)))),
                    Err(_) => turn_away(&stream, &hub),
                }
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

fn is_stopping(stopping: &watch::Receiver<bool>) -> bool {
    *stopping.borrow()
}

/// Accepts a client once fewer than the limit are in their handshake.
async fn accept(
    listener: &TcpListener,
    handshakes: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = handshakes.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(NO_DELAY)?;
    Ok((stream, permit))
}

/// A panic is a defect, and ends one connection only.
fn tell_of(ended: Result<Result<(), StorageFailure>, JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        report("a connection ended by a panic, which is a defect: please report it with the lines above");
    }
}

/// Tells a client that there is no place for it.
fn turn_away(stream: &TcpStream, hub: &Hub) {
    let now = hub.machine.now();
    let mut connection = Connection::server(now, hub.protocol.clone());
    let code = ErrorCode::TooManyConnections;
    let mut words = Vec::new();
    if connection.refuse(code, code.text()).is_ok() {
        connection.poll_transmit(now, &mut words);
        // A socket that was just opened takes a line; if not, the client sees the end of the connection.
        let _ = stream.try_write(&words);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use uuid::Uuid;

    use super::*;
    use crate::proto::{Client, ClientConfig, ClientEvent, Outbox, Time};
    use crate::server::config::{Config, Place};
    use crate::server::environment::Machine;
    use crate::service::Publication;
    use crate::wire::CollectionName;
    use crate::wire::message::{AckLevel, Action, OperationBuilder, RecordOperation};

    /// Longer than anything takes, even on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A database in memory and what its connections share.
    fn hub() -> Arc<Hub> {
        let machine = Arc::new(Machine::new());
        let changes = watch::Sender::new(0_u64);
        let publication = || {
            let changes = changes.clone();
            Publication::new(move || changes.send_modify(|count| *count += 1), |_| ())
        };
        let config = Config::new("127.0.0.1:0".parse().unwrap(), Place::Memory, None).unwrap();
        let data = crate::server::data::open(&config, &machine, publication).unwrap();
        Arc::new(Hub::new(machine, data.databases, changes))
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
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let (address, hub) = (listener.local_addr().unwrap(), hub());
        let fault = Arc::new(Notify::new());
        let (armed, first) = (fault.clone(), std::sync::atomic::AtomicBool::new(true));
        let work = move |peer: Peer| {
            let (fault, is_first) = (armed.clone(), first.swap(false, std::sync::atomic::Ordering::Relaxed));
            async move {
                tokio::select! {
                    ended = peer.run() => ended,
                    () = fault.notified(), if is_first => panic!("injected: this panic is part of a test"),
                }
            }
        };
        let places = 2;
        let serving = tokio::spawn(serve(listener, hub.clone(), places, work));
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
        hub.stopping.send_replace(true);
        tokio::time::timeout(PATIENCE, serving).await.unwrap().unwrap();
    }
}
