//! Connecting over TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::url::Url;

/// From the first look-up of the name to a connection, over all of its addresses. A lost SYN is repeated after
/// 1 s and 3 s; who has not answered the second repetition is not there.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Small frames are sent at once: the connection writes batches itself, and Nagle's algorithm would only hold
/// back the last of them.
pub const NO_DELAY: bool = true;

/// Why there is no connection. Each says in one line what to do.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host has no address.
    #[error("no address is known for '{host}' ({cause}); check the host in the URL")]
    UnknownHost {
        /// The host.
        host: String,
        /// What the resolver said.
        cause: Arc<io::Error>,
    },
    /// Nobody listens.
    #[error(
        "no server answers at {address}; start one with 'blazedb serve', or name another address with --url"
    )]
    Refused {
        /// Host and port.
        address: String,
    },
    /// Nobody answered in time.
    #[error("{address} did not answer within {} s; check the address and the firewall", CONNECT_DEADLINE.as_secs())]
    TimedOut {
        /// Host and port.
        address: String,
    },
    /// This process has as many files and sockets open as it may.
    #[error(
        "cannot open another socket: too many are open; raise the limit with 'ulimit -n', or open fewer connections"
    )]
    NoDescriptors,
    /// Anything else.
    #[error("cannot connect to {address}: {cause}; check the address and the network")]
    Failed {
        /// Host and port.
        address: String,
        /// What the system said.
        cause: Arc<io::Error>,
    },
}

/// Connects to the server of `url`; the first of its addresses that answers is taken.
///
/// # Errors
/// [`ConnectError`], at the latest after [`CONNECT_DEADLINE`].
pub async fn connect(url: &Url) -> Result<TcpStream, ConnectError> {
    let attempt = timeout(CONNECT_DEADLINE, try_connect(url)).await;
    attempt.unwrap_or_else(|_| Err(ConnectError::TimedOut { address: url.address() }))
}

async fn try_connect(url: &Url) -> Result<TcpStream, ConnectError> {
    let found = lookup_host((url.host(), url.port())).await;
    let unknown = |cause| ConnectError::UnknownHost { host: url.host().to_owned(), cause: Arc::new(cause) };
    let addresses: Vec<SocketAddr> = found.map_err(unknown)?.collect();
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| failed(url, error))?;
    stream.set_nodelay(NO_DELAY).map_err(|error| failed(url, error))?;
    Ok(stream)
}

fn failed(url: &Url, error: io::Error) -> ConnectError {
    let address = url.address();
    if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) {
        return ConnectError::NoDescriptors;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { address },
        io::ErrorKind::TimedOut => ConnectError::TimedOut { address },
        _ => ConnectError::Failed { address, cause: Arc::new(error) },
    }
}
