//! A stream read up to the end of an HTTP head: the library that reads the head would take what comes with it, too.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes end a head: an empty line behind the end of another (RFC 9112, section 2.1).
const END_BYTES: u8 = 4;

/// Gives what the stream inside gives up to the end of the head, and then nothing. What came behind it is kept.
#[derive(Debug)]
pub(super) struct Headed<S> {
    inner: S,
    /// How many bytes of a head's end the last ones were.
    ended: u8,
    rest: Vec<u8>,
}

impl<S> Headed<S> {
    /// The head that `inner` begins with.
    pub(super) const fn new(inner: S) -> Self {
        Self { inner, ended: 0, rest: Vec::new() }
    }

    /// What came behind the head, and the stream inside, which goes on behind that.
    pub(super) fn into_parts(self) -> (Vec<u8>, S) {
        (self.rest, self.inner)
    }

    /// How much of `bytes` belongs to the head.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0_usize;
        for byte in bytes {
            if self.ended == END_BYTES {
                break;
            }
            taken = taken.saturating_add(1);
            self.ended = match (byte, self.ended) {
                (b'\n', 3) => END_BYTES,
                (b'\r', 2) => 3,
                (b'\n', 1) => 2,
                (b'\r', _) => 1,
                _ => 0,
            };
        }
        taken
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Headed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ended == END_BYTES {
            return Poll::Ready(Ok(()));
        }
        let start = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        let came = buffer.filled().get(start..).unwrap_or_default();
        let taken = this.take(came);
        this.rest.extend_from_slice(came.get(taken..).unwrap_or_default());
        buffer.set_filled(start.saturating_add(taken));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Headed<S> {
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

    /// Heads and what comes behind them, in one read and byte by byte.
    #[tokio::test]
    async fn a_head_ends_at_its_first_empty_line() {
        for (head, rest) in [
            ("HTTP/1.1 101 \r\n\r\n", ""),
            ("HTTP/1.1 101 \r\nA: b\r\n\r\n", "BLAZE"),
            ("HTTP/1.1 101 \r\r\n\r\r\n\n\r\n\r\n", "\r\n\r\n"),
        ] {
            let whole = format!("{head}{rest}");
            let mut headed = Headed::new(whole.as_bytes());
            let mut found = String::new();
            headed.read_to_string(&mut found).await.unwrap();
            let (kept, _) = headed.into_parts();
            assert_eq!((&found[..], &kept[..]), (head, rest.as_bytes()));
            let mut headed = Headed::new(whole.as_bytes());
            for byte in head.as_bytes() {
                let mut one = [0];
                headed.read_exact(&mut one).await.unwrap();
                assert_eq!(one, [*byte]);
            }
            assert_eq!(headed.read(&mut [0]).await.unwrap(), 0);
            let (kept, inner) = headed.into_parts();
            assert_eq!((&kept[..], inner), (&b""[..], rest.as_bytes()));
        }
    }
}
