//! One connection of the load: bytes between its socket and the protocol's state machine.
//!
//! The library's client would do, but passes each operation and its outcome between tasks; here a client is one task
//! that makes no other allocation than the operation's, so that one core loads a server that has another.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::cli::Failure;
use crate::cli::connect::options_for;
use crate::client::{Ending, Error};
use crate::proto::{Client, ClientConfig, ClientEvent, CloseReason, Connection, Outbox, Time, WelcomeInfo};
use crate::transport::{Dialer, Stream};

/// One read: hundreds of Acks, or two frames of rows.
const READ_BYTES: usize = 64 << 10;

thread_local! {
    /// Where reads go first: ten thousand clients do not each need a buffer.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Time since the load began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    pub(super) fn now(self) -> Time {
        Time::ZERO.after(self.0.elapsed())
    }

    /// `time` on tokio's clock.
    pub(super) fn instant(self, time: Time) -> Instant {
        self.0.checked_add(time.since(Time::ZERO)).unwrap_or(self.0)
    }
}

/// A connection, its socket, and what the socket did not take yet.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: Connection<Client>,
    stream: Stream,
    /// The last read ended before the stream was empty, and the socket will not say so.
    has_input: bool,
    clock: Clock,
    out: Vec<u8>,
    written: usize,
    alarm: Pin<Box<Sleep>>,
    armed: Time,
}

impl Link {
    /// Connects and waits for the welcome.
    pub(super) async fn connect(dialer: &mut Dialer, clock: Clock) -> Result<(Self, WelcomeInfo), Failure> {
        let stream = dialer.dial().await.map_err(Error::from)?;
        let url = dialer.url();
        let compression = options_for(url).compression;
        let config = ClientConfig { compression, ..ClientConfig::new(url.database()) };
        let now = clock.now();
        let connection = Connection::client(now, config, Outbox::new(None)).map_err(Error::from)?;
        let alarm = Box::pin(sleep_until(clock.instant(now)));
        let (out, written) = (Vec::new(), 0);
        let mut link = Self { connection, stream, has_input: false, clock, out, written, alarm, armed: now };
        let never = Notify::new();
        loop {
            link.turn(&never).await;
            while let Some(event) = link.connection.poll_event() {
                match event {
                    ClientEvent::Welcome(welcome) => return Ok((link, welcome)),
                    ClientEvent::Closed(reason) => return Err(ended(reason)),
                    _ => {}
                }
            }
        }
    }

    /// Writes what waits, then waits until something happens: bytes come, the socket takes more, a deadline passes, or
    /// `call` is notified. What it was shows in the connection's events.
    pub(super) async fn turn(&mut self, call: &Notify) {
        self.write();
        if self.connection.is_closed() {
            return;
        }
        if self.has_input {
            return self.read().await;
        }
        self.arm();
        let has_output = self.has_output();
        tokio::select! {
            biased;
            _ = self.stream.readable() => self.read().await,
            _ = self.stream.writable(), if has_output => {}
            () = call.notified() => {}
            () = self.alarm.as_mut() => self.connection.handle_timeout(self.clock.now()),
        }
    }

    /// Writes until the socket takes no more or nothing is left.
    fn write(&mut self) {
        let now = self.clock.now();
        loop {
            if self.written == self.out.len() {
                if self.stream.holds_output() {
                    match self.stream.try_flush() {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                        Err(_) => return self.connection.handle_eof(),
                    }
                }
                self.out.clear();
                self.written = 0;
                if self.connection.poll_transmit(now, &mut self.out) == 0 {
                    return;
                }
            }
            let rest = self.out.get(self.written..).unwrap_or_default();
            match self.stream.try_write(rest) {
                Ok(count) => {
                    self.written = self.written.saturating_add(count);
                    self.connection.handle_written(now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.written = self.out.len();
                    return self.connection.handle_eof();
                }
            }
        }
    }

    /// Reads once; what is unpacked on the way may have left more behind.
    async fn read(&mut self) {
        poll_fn(|context| {
            let read = READ_BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
                self.connection.handle_bytes(self.clock.now(), buffer.filled());
                read.map_ok(|()| buffer.filled().len())
            });
            let has_filled = matches!(read, Poll::Ready(Ok(1..)));
            self.has_input = has_filled && !self.stream.empties_by_one_read() || self.stream.may_hold_input();
            if matches!(read, Poll::Ready(Ok(0) | Err(_))) {
                self.connection.handle_eof();
            }
            Poll::Ready(())
        })
        .await;
    }

    fn has_output(&self) -> bool {
        self.written < self.out.len() || self.stream.holds_output()
    }

    /// Deadlines mostly move away: an alarm that rings early costs less than one that is set again each time.
    fn arm(&mut self) {
        if let Some(due) = self.connection.poll_timeout()
            && (due < self.armed || self.alarm.is_elapsed())
        {
            self.armed = due;
            self.alarm.as_mut().reset(self.clock.instant(due));
        }
    }
}

/// What the end of a connection means to the command.
pub(super) fn ended(reason: CloseReason) -> Failure {
    Error::Ended(Ending { reason }).into()
}
