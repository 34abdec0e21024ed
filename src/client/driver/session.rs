//! One connection: bytes between the stream and the state machine, messages between the queues and it.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Driver, Failed, Next, ended, next_step};
use crate::client::dial::Dial;
use crate::client::error::Error;
use crate::client::shared::{QUEUE, Signal, Submit};
use crate::client::state::State;
use crate::client::work::Link;
use crate::proto::{ClientEvent, CloseReason, Connection, Parting, Time, WelcomeInfo};

/// One read. It holds two frames of rows, or a thousand small Acks.
const READ_BYTES: usize = 64 << 10;
/// How long an Error that ends the connection may take to be written: it helps the server's log, no more.
const LAST_WORDS_DEADLINE: Duration = Duration::from_secs(1);

/// A batch of output that the stream has not taken yet.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    fn advance(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes);
        if self.is_empty() {
            self.bytes.clear();
            self.written = 0;
        }
    }
}

/// What happened next.
enum Happened {
    Read(usize),
    Wrote(usize),
    Flushed,
    Broken,
    Due,
    Submitted(Option<Submit>),
    Asked(Option<crate::client::shared::Ask>),
    Signalled(Option<Signal>),
}

impl<D: Dial> Driver<D> {
    /// Speaks over `stream` until the connection ends.
    pub(super) async fn session(&mut self, stream: D::Stream) -> Failed {
        let outbox = std::mem::take(&mut self.outbox);
        let mut link = match Connection::client(self.now(), self.config.clone(), outbox) {
            Ok(link) => link,
            Err(misuse) => return Failed { error: misuse.into(), next: Next::Stop, welcomed: false },
        };
        self.work.handle_begin();
        self.speak(stream, &mut link).await;
        self.take_events(&mut link);
        let reason = link.close_reason().cloned().unwrap_or(CloseReason::Lost);
        self.work.handle_loss();
        self.outbox = link.into_outbox();
        let welcomed = matches!(*self.state.borrow(), State::Connected { .. });
        Failed { next: next_step(&reason), error: ended(reason), welcomed }
    }

    async fn speak(&mut self, stream: D::Stream, link: &mut Link) {
        let (mut reader, mut writer) = split(stream);
        let mut input = vec![0; READ_BYTES];
        let mut output = Output::default();
        // What the stream took may wait inside of it, encrypted or framed.
        let mut is_flushed = true;
        let (mut asks_open, mut signals_open) = (true, true);
        loop {
            self.take_events(link);
            self.work.feed(link);
            self.part_when_done(link);
            if output.is_empty() && is_flushed {
                link.poll_transmit(self.now(), &mut output.bytes);
            }
            if link.is_closed() {
                // What is left is the Error that says why. A stream that broke takes nothing.
                let last_words = async {
                    writer.write_all(output.rest()).await?;
                    writer.shutdown().await
                };
                let _ = timeout(LAST_WORDS_DEADLINE, last_words).await;
                return;
            }
            let takes_operations = !self.drained && self.work.wants_operation();
            let takes_questions = asks_open && self.work.wants_question();
            let deadline = link.poll_timeout().and_then(|time| self.instant(time));
            let happened = tokio::select! {
                read = reader.read(&mut input) => match read {
                    Ok(0) | Err(_) => Happened::Broken,
                    Ok(bytes) => Happened::Read(bytes),
                },
                sent = send(&mut writer, output.rest()), if !output.is_empty() || !is_flushed => sent,
                () = until(deadline) => Happened::Due,
                submit = self.submits.recv(), if takes_operations => Happened::Submitted(submit),
                ask = self.asks.recv(), if takes_questions => Happened::Asked(ask),
                signal = self.signals.recv(), if signals_open => Happened::Signalled(signal),
            };
            let now = self.now();
            match happened {
                Happened::Read(bytes) => link.handle_bytes(now, input.get(..bytes).unwrap_or_default()),
                Happened::Wrote(bytes) => {
                    output.advance(bytes);
                    link.handle_written(now);
                    is_flushed = !output.is_empty() || is_flushed_at_once(&mut writer).await;
                }
                Happened::Flushed => is_flushed = true,
                Happened::Broken => link.handle_eof(),
                Happened::Due => link.handle_timeout(now),
                Happened::Submitted(submit) => self.take_operations(link, submit),
                Happened::Asked(Some(ask)) => self.work.ask(ask),
                Happened::Asked(None) => asks_open = false,
                Happened::Signalled(Some(signal)) => self.take_signal(link, signal),
                Happened::Signalled(None) => signals_open = false,
            }
        }
    }

    /// Takes the operation and what is queued behind it, so that they travel together.
    fn take_operations(&mut self, link: &mut Link, first: Option<Submit>) {
        let Some(first) = first else {
            self.drained = true;
            return;
        };
        self.work.submit(link, first);
        for _ in 0..QUEUE {
            if !self.work.wants_operation() {
                return;
            }
            let Ok(submit) = self.submits.try_recv() else { return };
            self.work.submit(link, submit);
        }
    }

    fn take_signal(&mut self, link: &mut Link, signal: Signal) {
        match signal {
            Signal::Close(closer) => {
                self.closers.push(closer);
                // What is queued is still taken; then the queue is at its end.
                self.submits.close();
                self.asks.close();
            }
            signal => self.work.handle_signal(Some(link), signal),
        }
    }

    /// Says Goodbye when nothing more can come and every operation is told.
    fn part_when_done(&mut self, link: &mut Link) {
        if self.drained && self.work.is_settled() {
            // Said before, by either side, it stays said.
            let _ = link.close(self.now(), Parting::default());
        }
    }

    fn take_events(&mut self, link: &mut Link) {
        while let Some(event) = link.poll_event() {
            match event {
                ClientEvent::Welcome(welcome) => {
                    self.work.handle_welcome(welcome.position);
                    self.greet(welcome);
                }
                event => self.work.handle(link, event),
            }
        }
    }

    fn greet(&mut self, welcome: WelcomeInfo) {
        let WelcomeInfo { node, connection, agent, .. } = welcome;
        self.state.send_replace(State::Connected { node, connection, server: agent });
        if let Some(greeting) = self.greeting.take() {
            // A caller that no longer waits drops the handles too, which ends the client.
            let _ = greeting.send(Ok::<(), Error>(()));
        }
    }

    /// A connection's time on tokio's clock.
    fn instant(&self, time: Time) -> Option<Instant> {
        self.start.checked_add(time.since(Time::ZERO))
    }
}

/// Writes some of `bytes`; where there are none, what the stream holds.
async fn send(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Happened {
    if bytes.is_empty() {
        return if writer.flush().await.is_ok() { Happened::Flushed } else { Happened::Broken };
    }
    match writer.write(bytes).await {
        Ok(0) | Err(_) => Happened::Broken,
        Ok(count) => Happened::Wrote(count),
    }
}

/// Flushes what can be flushed without waiting, which is everything for most streams. Returns whether it was.
async fn is_flushed_at_once(writer: &mut (impl AsyncWrite + Unpin)) -> bool {
    poll_fn(|context| Poll::Ready(matches!(Pin::new(&mut *writer).poll_flush(context), Poll::Ready(Ok(())))))
        .await
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
