//! Where a connection's bytes go: TCP, or what a test or another transport gives.

use std::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::transport::{ConnectError, Url, tcp};

/// Opens the streams that a client speaks over, one after the other.
pub trait Dial: Send + 'static {
    /// A stream of bytes in both directions.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin;

    /// Opens the next stream.
    ///
    /// # Errors
    /// [`ConnectError`]; the client tries again.
    fn dial(&mut self) -> impl Future<Output = Result<Self::Stream, ConnectError>> + Send;
}

/// Over TCP, to the server of a URL.
#[derive(Debug)]
pub(super) struct Tcp(pub(super) Url);

impl Dial for Tcp {
    type Stream = TcpStream;

    fn dial(&mut self) -> impl Future<Output = Result<TcpStream, ConnectError>> + Send {
        tcp::connect(&self.0)
    }
}
