//! Where the client under test connects to: TCP, a Unix socket, or a WebSocket over TCP, whose upgrade is done here.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::net::{TcpListener, UnixListener};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};

use crate::conformance::failure::Failure;
use crate::transport::Stream;
use crate::transport::rewound::Rewound;
use crate::transport::socket::Socket;
use crate::transport::stream::Wire;
use crate::transport::url::{DEFAULT_DATABASE, WEBSOCKET_PATH};
use crate::transport::websocket::frames::Role;
use crate::transport::websocket::{SUBPROTOCOL, WebSocket};

const UNIX: &str = "unix:";
const WEB: &str = "ws:";

/// Where the tester listens for the client under test: `ADDRESS:PORT`, `ws:ADDRESS:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// TCP.
    Tcp(SocketAddr),
    /// A WebSocket over TCP.
    Web(SocketAddr),
    /// A Unix socket, which must not be there before.
    Unix(PathBuf),
}

impl Listen {
    /// Whether each case can have a place of its own there, so that several run at once.
    pub const fn has_room_for_several(&self) -> bool {
        match self {
            Self::Tcp(address) | Self::Web(address) => address.port() == 0,
            Self::Unix(_) => false,
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = |text: &str| {
            text.parse().map_err(|_| format!("'{text}' is no address with a port, such as 127.0.0.1:0"))
        };
        if let Some(path) = text.strip_prefix(UNIX).filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        match text.strip_prefix(WEB) {
            Some(rest) => address(rest.trim_start_matches('/')).map(Self::Web),
            None => address(text).map(Self::Tcp),
        }
    }
}

/// The place of one case.
pub(super) enum Door {
    Tcp(TcpListener),
    Web(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// Removes its file when the case is over, so that the next can listen there.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that is gone is none to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Door {
    pub(super) async fn open(listen: &Listen) -> Result<Self, Failure> {
        let opened = match listen {
            Listen::Tcp(address) => TcpListener::bind(address).await.map(Self::Tcp),
            Listen::Web(address) => TcpListener::bind(address).await.map(Self::Web),
            Listen::Unix(path) => {
                UnixListener::bind(path).map(|listener| Self::Unix(listener, SocketFile(path.clone())))
            }
        };
        opened.map_err(|error| Failure::new(format_args!("cannot listen on {listen}: {error}")))
    }

    /// The URL by which the client finds it.
    pub(super) fn url(&self) -> Result<String, Failure> {
        Ok(match self {
            Self::Tcp(listener) => format!("blaze://{}/{DEFAULT_DATABASE}", listener.local_addr()?),
            Self::Web(listener) => {
                format!("ws://{}{WEBSOCKET_PATH}?db={DEFAULT_DATABASE}", listener.local_addr()?)
            }
            Self::Unix(_, SocketFile(path)) => {
                format!("{UNIX}{}?db={DEFAULT_DATABASE}", std::path::absolute(path)?.display())
            }
        })
    }

    async fn socket(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) | Self::Web(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            Self::Unix(listener, _) => Ok(Socket::Unix(listener.accept().await?.0)),
        }
    }

    /// The next connection, ready for frames.
    pub(super) async fn accept(&self) -> Result<Stream, Failure> {
        let wire = Wire::Plain(self.socket().await?);
        match self {
            Self::Web(_) => upgraded(wire).await,
            Self::Tcp(_) | Self::Unix(..) => Ok(Stream::Wire(wire)),
        }
    }

    /// Waits until somebody connects.
    pub(super) async fn is_called(&self) -> io::Result<()> {
        self.socket().await.map(drop)
    }
}

/// Answers the request by which a WebSocket begins (D-5.1).
#[expect(clippy::result_large_err, reason = "the refusal is of the type that the library asks for")]
async fn upgraded(wire: Wire) -> Result<Stream, Failure> {
    let judge = |request: &Request, mut answer: Response| {
        let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let mut names = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        if request.uri().path() != WEBSOCKET_PATH || !names.any(|name| name.trim() == SUBPROTOCOL) {
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            return Err(refusal);
        }
        answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(answer)
    };
    let web = accept_hdr_async(wire, judge).await.map_err(|error| {
        Failure::new(format_args!(
            "the client does not ask for {WEBSOCKET_PATH} and {SUBPROTOCOL} (D-5.1): {error}"
        ))
    })?;
    // A client says nothing before it was answered, so that nothing is lost with the library's buffer.
    Ok(Stream::Web(Box::new(WebSocket::new(Rewound::new(Vec::new(), web.into_inner()), Role::Server))))
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Web(address) => write!(f, "{WEB}{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_are_read_and_written() {
        for text in ["127.0.0.1:0", "[::1]:7", "ws:127.0.0.1:0", "unix:/tmp/a socket"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        assert_eq!("ws://127.0.0.1:0".parse::<Listen>(), "ws:127.0.0.1:0".parse());
        for text in ["", "unix:", "ws:", "127.0.0.1", "tcp:127.0.0.1:0", "ws:/blaze"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
