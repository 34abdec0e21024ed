//! One type for every way that bytes take, and what the drivers of connections ask of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::rewound::Rewound;
use super::socket::Socket;
use super::websocket::WebSocket;

/// A socket, in the clear or under TLS.
#[derive(Debug)]
pub enum Wire {
    /// In the clear.
    Plain(Socket),
    /// Under TLS. Boxed: a thousand bytes that other connections do without.
    Tls(Box<TlsStream<Rewound<Socket>>>),
}

/// A stream of the protocol's frames.
#[derive(Debug)]
pub enum Stream {
    /// The frames alone.
    Wire(Wire),
    /// Inside the messages of a WebSocket.
    Web(Box<WebSocket<Rewound<Wire>>>),
}

/// How a connection came, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// TCP in the clear.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// A Unix socket.
    Unix,
    /// A WebSocket, over whatever.
    WebSocket,
}

impl Wire {
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0.get_ref(),
        }
    }

    fn holds_output(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.wants_write(),
        }
    }

    /// Whether it is encrypted.
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Whether it never leaves the machine, being a Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self.socket(), Socket::Unix(_))
    }
}

impl Stream {
    /// How it came.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Web(_) => Kind::WebSocket,
            Self::Wire(Wire::Tls(_)) => Kind::Tls,
            Self::Wire(Wire::Plain(Socket::Tcp(_))) => Kind::Tcp,
            Self::Wire(Wire::Plain(Socket::Unix(_))) => Kind::Unix,
        }
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Wire(wire) => wire.socket(),
            Self::Web(web) => web.get_ref().get_ref().socket(),
        }
    }

    /// Whether a read that did not fill its buffer took all that there was. Where bytes are unpacked on the way it does
    /// not: read until it pends.
    pub const fn empties_by_one_read(&self) -> bool {
        matches!(self, Self::Wire(Wire::Plain(_)))
    }

    /// Whether the last read took something and pended all the same, so that its task has a turn: there may be more, which
    /// [`Self::readable`] does not tell of. The waker was called.
    pub fn may_hold_input(&self) -> bool {
        matches!(self, Self::Web(web) if web.may_hold_input())
    }

    /// Waits until the socket has something to read. Ask only after a read that pended, unless [`Self::may_hold_input`].
    ///
    /// # Errors
    /// The system's.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket().readable().await
    }

    /// Waits until the socket takes something.
    ///
    /// # Errors
    /// The system's.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket().writable().await
    }

    /// Whether bytes that it took wait for the socket: see [`Self::try_flush`].
    pub fn holds_output(&self) -> bool {
        match self {
            Self::Wire(wire) => wire.holds_output(),
            Self::Web(web) => web.holds_output() || web.get_ref().get_ref().holds_output(),
        }
    }

    /// Takes what it can at once. A little of what it takes may wait for the socket inside: [`Self::holds_output`]. As long
    /// as it has not taken all of `bytes`, the next call must go on with the rest: they are one message.
    ///
    /// # Errors
    /// `WouldBlock` if it takes nothing; [`Self::writable`] says when to try again.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Self::Wire(Wire::Plain(socket)) = self {
            return socket.try_write(bytes);
        }
        at_once(Pin::new(self).poll_write(&mut Context::from_waker(Waker::noop()), bytes))
    }

    /// Writes what waits inside.
    ///
    /// # Errors
    /// `WouldBlock` if some of it still waits.
    pub fn try_flush(&mut self) -> io::Result<()> {
        at_once(Pin::new(self).poll_flush(&mut Context::from_waker(Waker::noop())))
    }
}

fn at_once<T>(done: Poll<io::Result<T>>) -> io::Result<T> {
    match done {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// Hands a call on to whichever stream it is.
macro_rules! each {
    ($this:expr, $one:ident, $other:ident => $call:ident($($argument:expr),*)) => {
        match $this.get_mut() {
            Self::$one(stream) => Pin::new(stream).$call($($argument),*),
            Self::$other(stream) => Pin::new(stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, Plain, Tls => poll_read(context, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, Plain, Tls => poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Plain, Tls => poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Plain, Tls => poll_shutdown(context))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, Wire, Web => poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, Wire, Web => poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Wire, Web => poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, Wire, Web => poll_shutdown(context))
    }
}
