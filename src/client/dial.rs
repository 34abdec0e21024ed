//! Where a connection's bytes go: where a URL says, or what a test gives.

use std::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::transport::{ConnectError, Dialer, Stream};

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

impl Dial for Dialer {
    type Stream = Stream;

    fn dial(&mut self) -> impl Future<Output = Result<Stream, ConnectError>> + Send {
        Self::dial(self)
    }
}
