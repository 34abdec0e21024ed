//! One connection of the load: bytes between its socket and the protocol's state machine.
//!
//! The library's client would do, but passes each operation and its outcome between tasks; here a client is one task
//! that makes no other allocation than the operation's, so that one core loads a server that has another.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::cli::Failure;
use crate::cli::connect::options_for;
use crate::client::{Ending, Error};
use crate::proto::{Client, ClientConfig, ClientEvent, CloseReason, Connection, Outbox, Time, WelcomeInfo};
use crate::transport::{Url, tcp};

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
    stream: TcpStream,
    clock: Clock,
    out: Vec<u8>,
    written: usize,
    alarm: Pin<Box<Sleep>>,
    armed: Time,
}

impl Link {
    /// Connects and waits for the welcome.
    pub(super) async fn connect(url: &Url, clock: Clock) -> Result<(Self, WelcomeInfo), Failure> {
        let stream = tcp::connect(url).await.map_err(Error::from)?;
        let compression = options_for(url).compression;
        let config = ClientConfig { compression, ..ClientConfig::new(url.database()) };
        let now = clock.now();
        let connection = Connection::client(now, config, Outbox::new(None)).map_err(Error::from)?;
        let alarm = Box::pin(sleep_until(clock.instant(now)));
        let (out, written) = (Vec::new(), 0);
        let mut link = Self { connection, stream, clock, out, written, alarm, armed: now };
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
        self.arm();
        let interest =
            if self.has_output() { Interest::READABLE.add(Interest::WRITABLE) } else { Interest::READABLE };
        tokio::select! {
            biased;
            _ = self.stream.ready(interest) => self.read(),
            () = call.notified() => {}
            () = self.alarm.as_mut() => self.connection.handle_timeout(self.clock.now()),
        }
    }

    /// Writes until the socket takes no more or nothing is left.
    fn write(&mut self) {
        let now = self.clock.now();
        loop {
            if !self.has_output() {
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

    fn read(&mut self) {
        READ_BUFFER.with_borrow_mut(|buffer| match self.stream.try_read(buffer) {
            Ok(0) => self.connection.handle_eof(),
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                self.connection.handle_bytes(self.clock.now(), bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.connection.handle_eof(),
        });
    }

    const fn has_output(&self) -> bool {
        self.written < self.out.len()
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
