//! A stream whose first bytes were read already, to find out what it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Gives `head` first, then what the stream inside gives.
#[derive(Debug)]
pub struct Rewound<S> {
    head: Vec<u8>,
    given: usize,
    inner: S,
}

impl<S> Rewound<S> {
    /// `inner`, behind what was read of it.
    pub const fn new(head: Vec<u8>, inner: S) -> Self {
        Self { head, given: 0, inner }
    }

    /// The stream inside, and what of the head nobody read.
    pub fn into_parts(mut self) -> (Vec<u8>, S) {
        let rest = self.head.split_off(self.given.min(self.head.len()));
        (rest, self.inner)
    }

    /// The stream inside.
    pub(super) const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = this.head.get(this.given..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut this.inner).poll_read(context, buffer);
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..count).unwrap_or_default());
        this.given = this.given.saturating_add(count);
        if this.given == this.head.len() {
            // It lives as long as the connection.
            (this.head, this.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_head_comes_first_and_its_memory_goes() {
        let mut stream = Rewound::new(b"BLAZE".to_vec(), &b" and more"[..]);
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"BL");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "AZE and more");
        assert_eq!(stream.head.capacity(), 0);
    }

    #[tokio::test]
    async fn what_nobody_read_comes_out_again() {
        let mut stream = Rewound::new(b"GET /".to_vec(), &b""[..]);
        stream.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(stream.into_parts().0, b"/");
    }
}
