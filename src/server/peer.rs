//! One client's task: moves bytes between its socket and its connection, and events between that and its session.
//!
//! ```text
//!   ┌─▶ read what is there ─▶ events ─▶ write what fits ─┬─▶ something is ordered: let the others read,
//!   │                                                    │   then lead a commit, tell what is durable ──┐
//!   │                                                    └─▶ wait: socket, commit, poke, stop, deadline┤
//!   └───────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Reading never waits for writing: both are tried in each round, and what the connection holds is bounded by the
//! protocol. `spec/adr/0014-commit-on-the-readers-thread.md` says why commits are led here.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Sleep, sleep_until};

use super::door::Handshake;
use super::hub::Hub;
use super::limits::{
    IDLE_OUTPUT_BYTES, LINGER, LINGER_BYTES, READ_BYTES, READS_IN_TURN, RETRY_AFTER_MS, ROUNDS_IN_TURN, TURN,
};
use super::metrics::Counted;
use crate::proto::{Connection, Parting, Server, Time};
use crate::service::{Fence, Session, StorageFailure};
use crate::transport::Stream;
use crate::wire::ErrorCode;

thread_local! {
    /// Where a thread's reads go first: an idle connection holds no buffer.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// A client.
#[derive(Debug)]
pub(super) struct Peer {
    stream: Stream,
    connection: Connection<Server>,
    session: Session,
    hub: Arc<Hub>,
    changes: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// Notified when a newer connection takes the node, or a subscription has something to tell.
    poked: Arc<Notify>,
    /// Output that the socket did not take yet, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// Nothing more comes from the socket.
    is_deaf: bool,
    /// The last turn of reading ended before the stream was empty, and the socket will not say so.
    has_input: bool,
    /// The last turn ended before all events were handled.
    has_events: bool,
    /// When this turn began.
    turn_since: Time,
    /// When a connection that ended is dropped, said or not.
    last_words_until: Option<Time>,
    /// Held until the handshake is done, in either way.
    handshake: Option<Handshake>,
    _place: OwnedSemaphorePermit,
    counted: Counted,
}

impl Peer {
    /// A client that came to speak the protocol, and whose handshake began at `since`; `first` is what it said already. It
    /// holds `handshake` until it is welcome or refused, `place` until it is gone.
    pub(super) fn new(
        stream: Stream,
        first: &[u8],
        since: Time,
        hub: Arc<Hub>,
        handshake: Option<Handshake>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let mut connection = Connection::server(since, hub.protocol.clone());
        connection.handle_bytes(hub.machine.now(), first);
        let counted = hub.metrics.connection(stream.kind());
        let poked = Arc::new(Notify::new());
        let (fenced, told) = (poked.clone(), poked.clone());
        let fence = Fence::new(move || fenced.notify_one());
        let wake = Arc::new(move || told.notify_one());
        Self {
            stream,
            connection,
            session: Session::new(hub.databases.clone(), fence, wake),
            changes: hub.changes.subscribe(),
            stopping: hub.stopping.subscribe(),
            poked,
            hub,
            out: Vec::new(),
            written: 0,
            is_deaf: false,
            has_input: false,
            has_events: false,
            turn_since: since,
            last_words_until: None,
            handshake,
            _place: place,
            counted,
        }
    }

    /// Serves the client until it is gone.
    pub(super) async fn run(mut self) -> Result<(), StorageFailure> {
        let mut armed = self.hub.machine.now();
        let mut sleep = Box::pin(sleep_until(Instant::from_std(self.hub.machine.instant(armed))));
        let mut rounds = 0_u32;
        loop {
            let now = self.hub.machine.now();
            poll_fn(|context| {
                self.read(now, context);
                Poll::Ready(())
            })
            .await;
            self.keep_time(now);
            self.has_events = self.events(now)?;
            let goes_on = self.write(now) || self.session.has_work() || self.has_input || self.has_events;
            if self.is_over(now) {
                break;
            }
            if self.is_turn_over() {
                // Before a commit is led: what came together is made durable together.
                self.yield_turn().await;
                continue;
            }
            if self.session.has_untold_outcomes() {
                // Whoever has something to say is read first, so that one sync serves all.
                self.yield_turn().await;
                if self.take_part_in_commit()? {
                    continue;
                }
            }
            rounds = if goes_on { rounds.saturating_add(1) } else { 0 };
            if goes_on {
                if rounds.is_multiple_of(ROUNDS_IN_TURN) {
                    self.yield_turn().await;
                }
                continue;
            }
            self.wait(&mut sleep, &mut armed).await;
            self.turn_since = self.hub.machine.now();
        }
        self.part().await;
        Ok(())
    }

    /// Lets others have their turn: tasks of this thread, sockets, signals.
    async fn yield_turn(&mut self) {
        tokio::task::yield_now().await;
        self.turn_since = self.hub.machine.now();
    }

    /// Whether this client's work took as long as it may before others have theirs.
    fn is_turn_over(&self) -> bool {
        self.hub.machine.now().since(self.turn_since) >= TURN
    }

    /// Takes what the socket has, up to a turn's worth, once what came before is dealt with. A read that did not fill the buffer emptied the socket: it is not
    /// asked again before it says that there is more. Where bytes are unpacked on the way, only a read that pends did.
    fn read(&mut self, now: Time, context: &mut Context<'_>) {
        if self.has_events {
            return;
        }
        self.has_input = false;
        if self.is_deaf {
            return;
        }
        let empties = self.stream.empties_by_one_read();
        for _ in 0..READS_IN_TURN {
            let read = READ_BUFFER.with_borrow_mut(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
                self.connection.handle_bytes(now, buffer.filled());
                read.map_ok(|()| buffer.filled().len())
            });
            match read {
                Poll::Ready(Ok(READ_BYTES)) => {}
                Poll::Ready(Ok(1..)) if !empties => {}
                Poll::Ready(Ok(1..)) => return,
                Poll::Pending => {
                    self.has_input = self.stream.may_hold_input();
                    return;
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.is_deaf = true;
                    self.connection.handle_eof();
                    return;
                }
            }
        }
        self.has_input = !empties;
    }

    /// Does what is due by now.
    fn keep_time(&mut self, now: Time) {
        if self.connection.poll_timeout().is_some_and(|due| due <= now) {
            self.connection.handle_timeout(now);
        }
        if *self.stopping.borrow_and_update() {
            let parting = Parting {
                code: ErrorCode::ShuttingDown as u16,
                retry_after_ms: RETRY_AFTER_MS,
                message: "the server is stopping".to_owned(),
            };
            // Whoever said it before needs no second one.
            let _ = self.connection.close(now, parting);
        }
        self.session.advance(now, &mut self.connection);
        if self.connection.is_open() {
            self.counted.welcome();
        }
        // Whoever is hung up on leaves its place to others, before it has read why.
        if self.handshake.is_some() && (self.connection.is_open() || self.connection.is_closed()) {
            self.handshake = None;
        }
    }

    /// Handles events until none is left or the turn is over. Returns whether some may be left: one frame asks for up to
    /// some 20 ms of work, and what is read at once holds thousands.
    fn events(&mut self, now: Time) -> Result<bool, StorageFailure> {
        while let Some(event) = self.connection.poll_event() {
            self.session.handle(now, &mut self.connection, event)?;
            if self.is_turn_over() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes one batch of output. Returns whether there may be more that the socket would take.
    fn write(&mut self, now: Time) -> bool {
        if self.written == self.out.len() {
            // What is held inside was taken, not written.
            if !self.flush() {
                return false;
            }
            self.out.clear();
            self.written = 0;
            if self.connection.poll_transmit(now, &mut self.out) == 0 {
                if self.out.capacity() > IDLE_OUTPUT_BYTES {
                    self.out = Vec::new();
                }
                return false;
            }
        }
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.try_write(rest) {
                Ok(count) => {
                    self.written = self.written.saturating_add(count);
                    self.connection.handle_written(now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.break_off();
                    return true;
                }
            }
        }
        true
    }

    /// Writes what the stream took before and holds. Returns whether nothing of it is left.
    fn flush(&mut self) -> bool {
        if !self.stream.holds_output() {
            return true;
        }
        match self.stream.try_flush() {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.break_off();
                true
            }
        }
    }

    /// The socket takes nothing more.
    fn break_off(&mut self) {
        self.is_deaf = true;
        self.written = self.out.len();
        self.connection.handle_eof();
    }

    fn has_output(&self) -> bool {
        self.written < self.out.len() || (self.stream.holds_output() && !self.is_deaf)
    }

    /// Whether nothing is left to do, or no time for it.
    fn is_over(&mut self, now: Time) -> bool {
        if !self.connection.is_closed() {
            return false;
        }
        let until = *self.last_words_until.get_or_insert_with(|| now.after(LINGER));
        self.connection.is_finished() && !self.has_output() || until <= now
    }

    /// Leads a commit unless someone else does, and tells what is durable. Returns whether nothing of this client waits
    /// any more.
    fn take_part_in_commit(&mut self) -> Result<bool, StorageFailure> {
        // Whatever changes from here on is looked at again.
        self.changes.mark_unchanged();
        if self.session.waits_for_commit() {
            self.hub.commit(&self.session)?;
        }
        self.session.advance(self.hub.machine.now(), &mut self.connection);
        Ok(!self.session.has_untold_outcomes())
    }

    async fn wait(&mut self, sleep: &mut Pin<Box<Sleep>>, armed: &mut Time) {
        let deadlines = [self.connection.poll_timeout(), self.session.next_deadline(), self.last_words_until];
        // Deadlines mostly move away: a timer that rings early costs less than one that is set again each time.
        if let Some(due) = deadlines.into_iter().flatten().min()
            && (due < *armed || sleep.is_elapsed())
        {
            *armed = due;
            sleep.as_mut().reset(Instant::from_std(self.hub.machine.instant(due)));
        }
        let has_output = self.has_output();
        let waits = self.session.waits_for_publication();
        let is_stopping = *self.stopping.borrow();
        // What it was that happened is found out by trying everything; the errors come back there.
        tokio::select! {
            biased;
            _ = self.stream.readable(), if !self.is_deaf => {}
            _ = self.stream.writable(), if has_output => {}
            _ = self.changes.changed(), if waits => {}
            () = self.poked.notified() => {}
            _ = self.stopping.changed(), if !is_stopping => {}
            () = sleep.as_mut() => {}
        }
    }

    /// Hangs up so that the last words are read: what still comes is thrown away until the other side hangs up too.
    async fn part(self) {
        if !self.is_deaf {
            hang_up(self.stream).await;
        }
    }
}

/// Hangs up so that the last words are read: what still comes is thrown away until the other side hangs up too.
pub(super) async fn hang_up(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let drain = async {
        stream.shutdown().await?;
        let mut rest = stream.take(u64::try_from(LINGER_BYTES).unwrap_or(u64::MAX));
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whoever does not let go in time is let go.
    let _ = tokio::time::timeout(LINGER, drain).await;
}
