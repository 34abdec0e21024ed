//! The system's sockets: TCP and Unix, as one type.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Succeeds if there is something to read, or the end.
fn look(socket: impl AsFd) -> io::Result<()> {
    let mut byte = [0];
    recv(socket, &mut byte, RecvFlags::PEEK)?;
    Ok(())
}

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Within the machine, by a path.
    Unix(UnixStream),
}

impl Socket {
    /// Waits until there is something to read, or the other side went.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }

    /// The same of a socket that nobody has read yet, for which [`Self::readable`] is ready at once: looks, and leaves what is
    /// there.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub async fn has_input(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.async_io(Interest::READABLE, || look(stream)).await,
            Self::Unix(stream) => stream.async_io(Interest::READABLE, || look(stream)).await,
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            Self::Unix(stream) => stream.writable().await,
        }
    }

    /// Writes what it takes at once.
    ///
    /// # Errors
    /// The system's; `WouldBlock` if it takes nothing.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Of both kinds: nothing as long as nothing was sent, and what was sent is still there afterwards.
    #[tokio::test]
    async fn a_socket_that_nobody_read_has_input_once_something_comes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let near = Socket::Tcp(listener.accept().await.unwrap().0);
        let (near_unix, mut far_unix) = UnixStream::pair().unwrap();
        let mut ends = [near, Socket::Unix(near_unix)];
        for end in &ends {
            assert!(timeout(Duration::from_millis(20), end.has_input()).await.is_err(), "{end:?}");
        }
        far.write_all(b"a").await.unwrap();
        far_unix.write_all(b"a").await.unwrap();
        for end in &mut ends {
            end.has_input().await.unwrap();
            assert_eq!(end.read_u8().await.unwrap(), b'a', "{end:?}");
        }
        drop((far, far_unix));
        for end in &ends {
            end.has_input().await.unwrap();
        }
    }
}
