//! The listener: who comes in, how many, and what happens to them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

use super::error::ServerError;
use super::hub::Hub;
use super::limits::{
    BACKLOG, MAX_ACCEPT_PAUSE, MAX_CONNECTIONS, MAX_HANDSHAKES, MIN_ACCEPT_PAUSE, STOP_DEADLINE,
};
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

/// Lets the process have as many descriptors as it may: the usual limit of 1,024 is meant to be raised by who needs more.
/// Where that fails, fewer clients find a place.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Accepts and serves clients until the server stops, then waits for them to part.
pub(super) async fn serve(listener: TcpListener, hub: Arc<Hub>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
                    Ok(place) => drop(peers.spawn(Peer::new(stream, hub.clone(), handshake, place).run())),
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
