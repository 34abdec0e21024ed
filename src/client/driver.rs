//! The task that owns the connection: connects, drives the state machine, waits, connects again.

mod session;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::backoff::{Backoff, STABLE_AFTER};
use super::dial::Dial;
use super::error::{Ending, Error};
use super::outcome::retry_after_ms;
use super::shared::{Ask, Signal, Submit};
use super::state::State;
use super::work::Work;
use crate::proto::{ClientConfig, CloseReason, Outbox, Time, Violation};
use crate::wire::ErrorCode;

/// What the handles send.
pub(super) type Queues = (mpsc::Receiver<Submit>, mpsc::Receiver<Ask>, mpsc::UnboundedReceiver<Signal>);

/// Whom to tell that the first attempt succeeded or failed.
pub(super) type Greeting = Option<oneshot::Sender<Result<(), Error>>>;

#[derive(Debug)]
pub(super) struct Driver<D> {
    dial: D,
    config: ClientConfig,
    patience: Option<Duration>,
    submits: mpsc::Receiver<Submit>,
    asks: mpsc::Receiver<Ask>,
    signals: mpsc::UnboundedReceiver<Signal>,
    state: watch::Sender<State>,
    work: Work,
    /// Between connections; the connection has it while there is one.
    outbox: Outbox,
    /// The zero of the connection's time.
    start: Instant,
    /// Whom to tell that the client is closed.
    closers: Vec<oneshot::Sender<()>>,
    /// No more operations can come.
    drained: bool,
    greeting: Greeting,
}

/// What follows the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another attempt, not before this pause is over.
    Retry(Duration),
    /// Another attempt as another node.
    RetryAnew,
    /// The end: another attempt would end in the same way.
    Stop,
}

/// How an attempt ended.
#[derive(Debug)]
struct Failed {
    error: Error,
    next: Next,
    welcomed: bool,
}

impl<D: Dial> Driver<D> {
    pub(super) fn new(
        dial: D,
        config: ClientConfig,
        patience: Option<Duration>,
        (submits, asks, signals): Queues,
        state: watch::Sender<State>,
        unchanged: Arc<AtomicU64>,
    ) -> Self {
        Self {
            dial,
            config,
            patience,
            submits,
            asks,
            signals,
            state,
            work: Work::new(unchanged),
            outbox: Outbox::new(None),
            start: Instant::now(),
            closers: Vec::new(),
            drained: false,
            greeting: None,
        }
    }

    /// Runs until the client is closed or cannot go on.
    pub(super) async fn run(mut self, greeting: oneshot::Sender<Result<(), Error>>) {
        self.greeting = Some(greeting);
        let error = self.keep_connected().await;
        self.state.send_replace(State::Ended(error.clone()));
        self.work.fail(&error);
        self.refuse_queued(&error);
        if let Some(greeting) = self.greeting.take() {
            let _ = greeting.send(Err(error));
        }
        for closer in self.closers.drain(..) {
            let _ = closer.send(());
        }
    }

    /// Connects, again and again, and answers why it no longer does.
    async fn keep_connected(&mut self) -> Error {
        let mut backoff = Backoff::default();
        let mut failing_since = None;
        loop {
            self.state.send_replace(State::Connecting);
            let began = Instant::now();
            let Failed { error, next, welcomed } = self.attempt().await;
            if self.is_done() {
                return Error::Closed;
            }
            // Who is welcome and then refused, since the disk is full for instance, waits no longer than who is not welcome.
            if welcomed && (began.elapsed() >= STABLE_AFTER || !is_refused(&error)) {
                failing_since = None;
                if began.elapsed() >= STABLE_AFTER {
                    backoff.reset();
                }
            }
            let least = match next {
                _ if self.greeting.is_some() => return error,
                Next::Stop => return error,
                Next::Retry(pause) => pause,
                Next::RetryAnew => {
                    self.work.fail_operations(&Error::OutcomeUnknown);
                    self.outbox = Outbox::new(None);
                    Duration::ZERO
                }
            };
            // Not before the time that was advised, and not all clients at once (C-10).
            let pause = least.saturating_add(backoff.next(entropy()));
            let failing = failing_since.get_or_insert_with(Instant::now).elapsed();
            if self.patience.is_some_and(|patience| failing.saturating_add(pause) > patience) {
                return error;
            }
            self.state.send_replace(State::Waiting { error, pause, failures: backoff.failures() });
            if self.rest(pause).await {
                return Error::Closed;
            }
        }
    }

    /// One connection, from the first packet to its end.
    async fn attempt(&mut self) -> Failed {
        let dialled = tokio::select! {
            dialled = self.dial.dial() => dialled,
            closer = watch_for_close(&mut self.signals, &mut self.work) => {
                self.closers.extend(closer);
                self.drained = true;
                return Failed { error: Error::Closed, next: Next::Stop, welcomed: false };
            }
        };
        match dialled {
            Ok(stream) => self.session(stream).await,
            Err(error) => Failed { error: error.into(), next: Next::Retry(Duration::ZERO), welcomed: false },
        }
    }

    /// Waits between attempts; true if the client was closed meanwhile.
    async fn rest(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => false,
            closer = watch_for_close(&mut self.signals, &mut self.work) => {
                self.closers.extend(closer);
                true
            }
        }
    }

    /// Whether there is nothing left to connect for.
    fn is_done(&self) -> bool {
        !self.closers.is_empty() || (self.drained && self.work.is_settled())
    }

    /// Takes nothing more, and ends what was not taken.
    fn refuse_queued(&mut self, error: &Error) {
        self.submits.close();
        self.asks.close();
        self.signals.close();
        while let Ok(submit) = self.submits.try_recv() {
            let _ = submit.reply.send(Err(error.clone()));
        }
        while let Ok(ask) = self.asks.try_recv() {
            let _ = ask.parts.send(Err(error.clone()));
        }
        while let Ok(signal) = self.signals.try_recv() {
            if let Signal::Close(closer) = signal {
                self.closers.push(closer);
            }
        }
    }

    /// The connection's time.
    fn now(&self) -> Time {
        let nanos = Instant::now().saturating_duration_since(self.start).as_nanos();
        Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Takes signals where there is no connection, until somebody closes the client or all handles are gone.
async fn watch_for_close(
    signals: &mut mpsc::UnboundedReceiver<Signal>,
    work: &mut Work,
) -> Option<oneshot::Sender<()>> {
    loop {
        match signals.recv().await {
            Some(Signal::Close(closer)) => return Some(closer),
            Some(signal) => work.handle_signal(None, signal),
            None => return None,
        }
    }
}

/// What follows a connection that ended for `reason`.
fn next_step(reason: &CloseReason) -> Next {
    let again = |milliseconds| Next::Retry(Duration::from_millis(milliseconds));
    let by_code = |code: Option<ErrorCode>, milliseconds| match code {
        Some(ErrorCode::IdentityReused | ErrorCode::IdentityExpired) => Next::RetryAnew,
        Some(code) if !code.is_retryable() => Next::Stop,
        // A code that is newer than this client is no reason to stay away (C-10).
        _ => again(milliseconds),
    };
    match reason {
        CloseReason::Lost | CloseReason::TimedOut(_) => again(0),
        CloseReason::Goodbye { by_peer: false, .. } => Next::Stop,
        CloseReason::Goodbye { code: 0, retry_after_ms, .. } => again(u64::from(*retry_after_ms)),
        CloseReason::Goodbye { code, retry_after_ms, .. } => {
            by_code(ErrorCode::from_number(*code), u64::from(*retry_after_ms))
        }
        CloseReason::RefusedByPeer(refusal) => by_code(refusal.known(), retry_after_ms(refusal)),
        CloseReason::PeerMisbehaved(violation) => by_code(Some(Violation::code(violation)), 0),
        CloseReason::Refused(_) => Next::Stop,
    }
}

/// Whether the server ended the connection by a code.
fn is_refused(error: &Error) -> bool {
    let Error::Ended(Ending { reason }) = error else { return false };
    matches!(reason, CloseReason::RefusedByPeer(_) | CloseReason::Goodbye { by_peer: true, code: 1.., .. })
}

fn ended(reason: CloseReason) -> Error {
    Error::Ended(Ending { reason })
}

/// Bits that no other client draws: for the jitter.
fn entropy() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Refusal;

    /// C-10, R-6.2: by the table of errors; what it does not hold may mend.
    #[test]
    fn a_client_comes_back_unless_the_code_says_that_it_is_no_use() {
        let refused = |code| {
            let refusal = Refusal { code, message: String::new(), payload: Vec::new() };
            next_step(&CloseReason::RefusedByPeer(refusal))
        };
        let parted = |code| next_step(&CloseReason::Goodbye { by_peer: true, code, retry_after_ms: 1_500 });
        for code in [502, 599, 450, 40_000] {
            assert_eq!(refused(code), Next::Retry(Duration::ZERO), "{code}");
            assert_eq!(parted(code), Next::Retry(Duration::from_millis(1_500)), "{code}");
        }
        for code in [16, 100, 400, 501] {
            assert_eq!((refused(code), parted(code)), (Next::Stop, Next::Stop), "{code}");
        }
        for code in [403, 404] {
            assert_eq!((refused(code), parted(code)), (Next::RetryAnew, Next::RetryAnew), "{code}");
        }
        assert_eq!(parted(0), Next::Retry(Duration::from_millis(1_500)));
        assert_eq!(next_step(&CloseReason::Lost), Next::Retry(Duration::ZERO));
    }
}
