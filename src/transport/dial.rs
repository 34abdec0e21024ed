//! Connecting to the server of a URL, in whichever way it says.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Error as WebError, http};

use super::headed::Headed;
use super::rewound::Rewound;
use super::socket::Socket;
use super::stream::{Stream, Wire};
use super::tls::{self, TrustError};
use super::url::{Scheme, Url};
use super::websocket::frames::Role;
use super::websocket::{SUBPROTOCOL, WebSocket};

/// From the first look-up of the name to a stream that carries frames, over all of its addresses and the handshakes of
/// TLS and WebSocket. A lost SYN is repeated after 1 s and 3 s; who has not answered the second repetition is not there.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Small frames are sent at once: the connection writes batches itself, and Nagle's algorithm would only hold
/// back the last of them.
pub const NO_DELAY: bool = true;
/// The library's buffer during the upgrade: the answer is some 200 bytes.
const UPGRADE_BUFFER_BYTES: usize = 1 << 10;

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
        /// Host and port, or a path.
        address: String,
    },
    /// Nobody answered in time.
    #[error("{address} did not answer within {} s; check the address and the firewall", CONNECT_DEADLINE.as_secs())]
    TimedOut {
        /// Host and port, or a path.
        address: String,
    },
    /// This process has as many files and sockets open as it may.
    #[error(
        "cannot open another socket: too many are open; raise the limit with 'ulimit -n', or open fewer connections"
    )]
    NoDescriptors,
    /// A socket of somebody else's.
    #[error("{path} may not be opened by this user; run this as the user who runs the server")]
    Forbidden {
        /// The socket.
        path: String,
    },
    /// TLS cannot be set up here.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The handshake of TLS.
    #[error("no TLS with {address} ({cause}): {advice}")]
    Tls {
        /// Host and port.
        address: String,
        /// What went wrong.
        cause: Arc<io::Error>,
        /// What it means.
        advice: &'static str,
    },
    /// The upgrade to a WebSocket.
    #[error("{address}{path} takes no WebSocket ({cause}); check the path, or write blaze: instead of ws:")]
    WebSocket {
        /// Host and port.
        address: String,
        /// The path.
        path: String,
        /// What went wrong.
        cause: String,
    },
    /// Anything else.
    #[error("cannot connect to {address}: {cause}; check the address and the network")]
    Failed {
        /// Host and port.
        address: String,
        /// What the system said.
        cause: Arc<io::Error>,
    },
}

/// Connects to one server, as often as it is asked to.
#[derive(Debug, Clone)]
pub struct Dialer {
    url: Url,
    ca: Option<PathBuf>,
    tls: Option<Arc<ClientConfig>>,
}

impl Dialer {
    /// To the server of `url`. A certificate that is not pinned must be vouched for by one of the file `ca`, or by the
    /// system's authorities.
    pub const fn new(url: Url, ca: Option<PathBuf>) -> Self {
        Self { url, ca, tls: None }
    }

    /// The server.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// With what is read from files read already, so that clones need not.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn prepared(mut self) -> Result<Self, ConnectError> {
        if self.url.scheme().is_tls() {
            self.tls()?;
        }
        Ok(self)
    }

    /// Connects; the first of the host's addresses that answers is taken.
    ///
    /// # Errors
    /// [`ConnectError`], at the latest after [`CONNECT_DEADLINE`].
    pub async fn dial(&mut self) -> Result<Stream, ConnectError> {
        // What is read from files once is no part of connecting.
        let tls = if self.url.scheme().is_tls() { Some(self.tls()?) } else { None };
        let attempt = timeout(CONNECT_DEADLINE, connect(&self.url, tls)).await;
        attempt.unwrap_or_else(|_| Err(ConnectError::TimedOut { address: self.url.address() }))
    }

    fn tls(&mut self) -> Result<Arc<ClientConfig>, TrustError> {
        if let Some(tls) = &self.tls {
            return Ok(Arc::clone(tls));
        }
        let made = Arc::new(tls::client(self.url.pin().copied(), self.ca.as_deref())?);
        self.tls = Some(Arc::clone(&made));
        Ok(made)
    }
}

async fn connect(url: &Url, tls: Option<Arc<ClientConfig>>) -> Result<Stream, ConnectError> {
    let socket = match url.scheme() {
        Scheme::Unix => Socket::Unix(unix(url).await?),
        _ => Socket::Tcp(tcp(url).await?),
    };
    let wire = match tls {
        Some(config) => secure(url, config, socket).await?,
        None => Wire::Plain(socket),
    };
    if url.scheme().is_web() { upgrade(url, wire).await } else { Ok(Stream::Wire(wire)) }
}

async fn tcp(url: &Url) -> Result<TcpStream, ConnectError> {
    let found = lookup_host((url.host(), url.port())).await;
    let unknown = |cause| ConnectError::UnknownHost { host: url.host().to_owned(), cause: Arc::new(cause) };
    let addresses: Vec<SocketAddr> = found.map_err(unknown)?.collect();
    let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|error| failed(url, error))?;
    stream.set_nodelay(NO_DELAY).map_err(|error| failed(url, error))?;
    Ok(stream)
}

async fn unix(url: &Url) -> Result<UnixStream, ConnectError> {
    UnixStream::connect(url.path()).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ConnectError::Refused { address: url.address() },
        io::ErrorKind::PermissionDenied => ConnectError::Forbidden { path: url.address() },
        _ => failed(url, error),
    })
}

async fn secure(url: &Url, config: Arc<ClientConfig>, socket: Socket) -> Result<Wire, ConnectError> {
    let name = ServerName::try_from(url.host().to_owned())
        .map_err(|error| failed(url, io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let connecting =
        TlsConnector::from(config).connect_with(name, Rewound::new(Vec::new(), socket), |session| {
            session.set_buffer_limit(Some(tls::BUFFER_BYTES));
        });
    let stream = connecting.await;
    let stream = stream.map_err(|cause| {
        let advice = tls::advice(&cause, url.pin());
        ConnectError::Tls { address: url.address(), cause: Arc::new(cause), advice }
    })?;
    Ok(Wire::Tls(Box::new(stream.into())))
}

async fn upgrade(url: &Url, wire: Wire) -> Result<Stream, ConnectError> {
    let text = format!("{}://{}{}", url.scheme().name(), url.address(), url.path());
    let uri: http::Uri = text.parse().map_err(|error: http::uri::InvalidUri| {
        no_web_socket(url, WebError::HttpFormat(error.into()), &[])
    })?;
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
    let config = WebSocketConfig::default().read_buffer_size(UPGRADE_BUFFER_BYTES);
    let mut headed = Headed::new(wire);
    let upgraded = client_async_with_config(request, &mut headed, Some(config)).await.map(drop);
    let (rest, wire) = headed.into_parts();
    upgraded.map_err(|cause| no_web_socket(url, cause, &rest))?;
    // A server that is full says so behind its answer, before it was greeted.
    Ok(Stream::Web(Box::new(WebSocket::new(Rewound::new(rest, wire), Role::Client))))
}

/// Why there was no upgrade; `rest` is what came behind the head of the answer.
fn no_web_socket(url: &Url, cause: WebError, rest: &[u8]) -> ConnectError {
    let cause = match cause {
        // What a server of ours says in its one line.
        WebError::Http(answer) if !rest.is_empty() => {
            format!("{}: {}", answer.status(), String::from_utf8_lossy(rest).trim_end().escape_debug())
        }
        WebError::Http(answer) => answer.status().to_string(),
        WebError::Protocol(ProtocolError::HttparseError(_)) => {
            "what it answers is no HTTP; a server with no place left answers so: try again".to_owned()
        }
        cause => cause.to_string(),
    };
    ConnectError::WebSocket { address: url.address(), path: url.path().to_owned(), cause }
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
