//! A WebSocket as a stream of bytes: what binary messages hold, one behind the other.
//!
//! Each write begins one message. The protocol's drivers write batches of whole frames, and what a write begins with is the
//! whole of its message, so that a message holds whole frames (`spec/doors.md`, D-5). It is counted as written as it
//! reaches the stream inside, so that a connection sees how slowly the other side reads.

pub mod frames;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use frames::{Answers, Receiver, Role};

/// The subprotocol, without which no WebSocket is taken: it says what travels in it.
pub const SUBPROTOCOL: &str = "blaze.v1";
/// Memory for output that an idle connection may keep, in bytes.
const IDLE_OUTPUT_BYTES: usize = 1 << 10;

/// A WebSocket over `S`, whose upgrade is done.
#[derive(Debug)]
pub struct WebSocket<S> {
    inner: S,
    role: Role,
    receiver: Receiver,
    answers: Answers,
    /// Frames that `inner` did not take yet, from `written` on: one message, and what is answered behind it.
    out: Vec<u8>,
    written: usize,
    /// Bytes of the message under way that nobody was told are written.
    untold: usize,
    /// A Close was sent: nothing is sent behind it.
    is_closing: bool,
    /// The last read took something and pended all the same.
    may_hold_input: bool,
}

impl<S> WebSocket<S> {
    /// The end of `inner` that plays `role`.
    pub fn new(inner: S, role: Role) -> Self {
        Self {
            inner,
            role,
            receiver: Receiver::new(role),
            answers: Answers::default(),
            out: Vec::new(),
            written: 0,
            untold: 0,
            is_closing: false,
            may_hold_input: false,
        }
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Whether the last read pended before `inner` did: there may be more, which no socket will tell of.
    pub(super) const fn may_hold_input(&self) -> bool {
        self.may_hold_input
    }

    /// Whether there is something to be written that was taken already, or an answer.
    pub(super) fn holds_output(&self) -> bool {
        let closes = self.answers.close.is_some() && !self.is_closing;
        self.written < self.out.len() || self.answers.pong.is_some() || closes
    }

    /// The mask of the next frame. Whoever can foresee it can make a client write what a proxy misreads.
    fn mask(&self) -> io::Result<Option<[u8; 4]>> {
        match self.role {
            Role::Server => Ok(None),
            Role::Client => Ok(Some(getrandom::u32().map_err(io::Error::other)?.to_ne_bytes())),
        }
    }

    /// Makes a frame of what is to be answered. Returns whether there was something.
    fn answer(&mut self) -> io::Result<bool> {
        if self.is_closing {
            self.answers = Answers::default();
            return Ok(false);
        }
        let mask = self.mask()?;
        if let Some(pong) = self.answers.pong.take() {
            frames::push_pong(&pong, mask, &mut self.out);
            return Ok(true);
        }
        if let Some(code) = self.answers.close.take() {
            frames::push_close(code, mask, &mut self.out);
            self.is_closing = true;
            return Ok(true);
        }
        Ok(false)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Writes what was taken and what is answered, until nothing is left.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
                match ready!(Pin::new(&mut self.inner).poll_write(context, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => self.written = self.written.saturating_add(count),
                }
            }
            self.written = 0;
            self.out.clear();
            if self.out.capacity() > IDLE_OUTPUT_BYTES {
                self.out = Vec::new();
            }
            if !self.answer()? {
                return Pin::new(&mut self.inner).poll_flush(context);
            }
        }
    }

    /// Writes answers, if there are any, as far as `inner` takes them now.
    fn answer_now(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.holds_output()
            && let Poll::Ready(Err(error)) = self.poll_out(context)
        {
            return Err(error);
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    /// Reads once. What came may hold no payload, as pings do not: then the task has its turn again, so that it looks at
    /// what else there is to do before it goes on with the rest.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let start = buffer.filled().len();
        this.may_hold_input = false;
        this.answer_now(context)?;
        if this.receiver.is_closed() {
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        let came = buffer.filled_mut().get_mut(start..).unwrap_or_default();
        if came.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let taken = this.receiver.take(came, &mut this.answers);
        buffer.set_filled(start.saturating_add(taken.unwrap_or(0)));
        if let Err(fault) = taken {
            this.answers.close = Some(fault.code());
        }
        this.answer_now(context)?;
        match taken {
            // Nothing behind a Close is the end of the stream.
            Ok(0) if !this.receiver.is_closed() => {
                this.may_hold_input = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(_) => Poll::Ready(Ok(())),
            Err(fault) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    /// Writes one message. As long as it is not written whole, the next call goes on with it: its `bytes` must be what was
    /// not counted as written.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.untold == 0 {
            if !this.out.is_empty() {
                ready!(this.poll_out(context))?;
            }
            if this.is_closing {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if bytes.is_empty() {
                return Poll::Ready(Ok(0));
            }
            let mask = this.mask()?;
            frames::push_message(bytes, mask, &mut this.out);
            this.untold = bytes.len();
        }
        let left = match this.poll_out(context)? {
            Poll::Ready(()) => 0,
            Poll::Pending => this.out.len().saturating_sub(this.written),
        };
        match this.untold.saturating_sub(left) {
            0 => Poll::Pending,
            count => {
                this.untold = this.untold.saturating_sub(count);
                Poll::Ready(Ok(count))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_out(context)
    }

    /// Says Close, then hangs up.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.answers.close.get_or_insert(frames::NORMAL);
        ready!(this.poll_out(context))?;
        Pin::new(&mut this.inner).poll_shutdown(context)
    }
}
