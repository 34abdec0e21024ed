//! The connection: bytes and time in, bytes and events out, for either role.

use super::close::Parting;
use super::core::{Core, Inbound, Phase};
use super::error::{CloseReason, Misuse, Violation};
use super::limits::TRANSMIT_BYTES;
use super::time::Time;
use crate::wire::{Frame, FrameBuffer, Header};

/// A read of fewer bytes that ends where a frame ends is a moment of quiet: memory of large frames is given back.
const QUIET_BYTES: usize = 4 << 10;

/// One end of a connection, without IO: [`Client`](super::Client) or [`Server`](super::Server) is its role.
///
/// Methods come in families:
///
/// | family | what it does |
/// |---|---|
/// | `handle_*` | something happened: bytes or a frame came, the transport took bytes or ended, a deadline passed |
/// | `poll_*` | what follows: bytes to write, events for the application, the next deadline |
/// | the role's verbs | the application acts: `submit`, `query`, `accept`, `decided`, `respond`, … |
///
/// Call order, in a loop:
///
/// 1. [`handle_bytes`](Self::handle_bytes) (or [`handle_frame`](Self::handle_frame), by a driver that finds
///    frames itself) with what came; [`handle_timeout`](Self::handle_timeout) when the deadline passed;
///    [`handle_eof`](Self::handle_eof) when the transport ended.
/// 2. [`poll_event`](Self::poll_event) until `None`; answer with the role's verbs.
/// 3. [`poll_transmit`](Self::poll_transmit) whenever the transport took everything it was given before; write
///    what it appended, calling [`handle_written`](Self::handle_written) when the transport takes a part.
/// 4. [`poll_timeout`](Self::poll_timeout) for the time at which to call `handle_timeout`; ask again after
///    every other call.
/// 5. When [`is_finished`](Self::is_finished), close the transport.
///
/// Reading never waits for writing: whatever is handed in is consumed at once, and what it makes the connection
/// hold is bounded by credit, by the numbers of requests and operations, and by control being state.
#[derive(Debug)]
pub struct Connection<R> {
    frames: FrameBuffer,
    pub(crate) core: Core,
    pub(crate) role: R,
}

/// What the two roles do differently.
#[expect(private_interfaces, reason = "sealed: the trait cannot be named outside")]
pub trait Role {
    /// What the application is told.
    type Event;

    /// A message came. The role knows which it allows, and when.
    fn handle(&mut self, core: &mut Core, now: Time, inbound: Inbound<'_>) -> Result<(), Violation>;
    /// Writes the Handshake, if it is due.
    fn write_handshake(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool;
    /// Writes one Credit, Cancel or Unsubscribe.
    fn write_control(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool;
    /// Writes one outcome.
    fn write_outcome(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool;
    /// Writes one frame that spends credit.
    fn write_data(&mut self, core: &mut Core, out: &mut Vec<u8>) -> bool;
    /// Whether every operation that was admitted is told.
    fn is_settled(&self) -> bool;
    /// Whether the answer to a Goodbye waits until [`Self::is_settled`].
    const ANSWERS_WHEN_SETTLED: bool;
    /// Takes the next thing to tell; `Core`'s own are added behind it.
    fn poll_event(&mut self) -> Option<Self::Event>;
    /// This side says Goodbye: requests are over.
    fn handle_close(&mut self);
    /// The end, as this role tells it.
    fn closed(reason: CloseReason) -> Self::Event;
    /// The connection ended: what nobody will take is dropped.
    fn handle_end(&mut self);
}

impl<R: Role> Connection<R> {
    pub(crate) fn from_parts(core: Core, role: R) -> Self {
        Self { frames: FrameBuffer::new(), core, role }
    }

    /// Bytes came from the transport: what one read gave, since they are buffered until their frames are found.
    /// They are consumed whatever they are; what is wrong with them ends the connection, as
    /// [`poll_event`](Self::poll_event) tells.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if self.core.phase == Phase::Ended {
            return;
        }
        self.frames.extend(bytes);
        let mut whole = false;
        while self.core.phase != Phase::Ended {
            self.frames.set_max_payload_bytes(self.core.max_payload_bytes());
            match self.frames.next_frame() {
                Ok(Some(frame)) => {
                    Self::handle(&mut self.core, &mut self.role, now, frame.header, frame.payload)
                }
                Ok(None) => break,
                Err(error) => self.core.fail(Violation::BadFrame(error)),
            }
            whole = true;
        }
        if !whole {
            self.core.handle_progress(now, bytes.len());
        }
        if self.frames.pending_bytes() == 0 && bytes.len() < QUIET_BYTES {
            self.frames.release_memory();
        }
        self.settle();
    }

    /// A whole frame came, found by another decoder. That decoder must refuse payloads over
    /// [`max_payload_bytes`](Self::max_payload_bytes), and report what does not finish a frame to
    /// [`handle_progress`](Self::handle_progress).
    pub fn handle_frame(&mut self, now: Time, frame: &Frame<'_>) {
        if self.core.phase != Phase::Ended {
            Self::handle(&mut self.core, &mut self.role, now, frame.header, frame.payload);
            self.settle();
        }
    }

    fn handle(core: &mut Core, role: &mut R, now: Time, header: Header, payload: &[u8]) {
        let handled = match core.open_frame(now, header, payload) {
            Ok(Some(inbound)) => role.handle(core, now, inbound),
            Ok(None) => Ok(()),
            Err(violation) => Err(violation),
        };
        if let Err(violation) = handled {
            core.fail(violation);
        }
    }

    /// The largest payload that may come now, in bytes: it grows when the handshake is done.
    pub const fn max_payload_bytes(&self) -> usize {
        self.core.max_payload_bytes()
    }

    /// Bytes came that did not finish a frame: a sign of life if there are enough of them.
    pub fn handle_progress(&mut self, now: Time, bytes: usize) {
        self.core.handle_progress(now, bytes);
    }

    /// Frames could not be found in what came.
    pub fn handle_violation(&mut self, violation: Violation) {
        self.core.fail(violation);
        self.settle();
    }

    /// The transport ended: nothing more comes, and nothing more is written.
    pub fn handle_eof(&mut self) {
        self.core.end_by_goodbye(CloseReason::Lost);
        self.settle();
    }

    /// The transport took some of the bytes that the last [`poll_transmit`](Self::poll_transmit) gave.
    pub fn handle_written(&mut self, now: Time) {
        self.core.handle_written(now);
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Time) {
        self.core.handle_timeout(now);
        self.settle();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` after the end.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.core.deadline()
    }

    /// Appends the next frames to `out`, about [`TRANSMIT_BYTES`] of them, and answers how many bytes. Call it
    /// when the transport took everything that the call before gave; 0 means that nothing waits.
    ///
    /// The order is control, outcomes, events, results, bulk.
    pub fn poll_transmit(&mut self, now: Time, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let written = |out: &Vec<u8>| out.len().saturating_sub(start);
        while written(out) < TRANSMIT_BYTES && self.write_one(now, out) {}
        let bytes = written(out);
        self.core.note_output(now, bytes);
        self.settle();
        bytes
    }

    fn write_one(&mut self, now: Time, out: &mut Vec<u8>) -> bool {
        let Self { core, role, .. } = self;
        if core.phase == Phase::Ended {
            return core.write_last_words(out);
        }
        if role.write_handshake(core, out) {
            return true;
        }
        if core.phase == Phase::Handshake {
            return core.write_goodbye(out);
        }
        let speaks = !core.farewell.is_written();
        if speaks && (role.write_control(core, out) || core.write_beat(now, out)) {
            return true;
        }
        let waits = R::ANSWERS_WHEN_SETTLED && core.farewell.is_answer() && !role.is_settled();
        if !waits && core.write_goodbye(out) {
            return true;
        }
        role.write_outcome(core, out) || (core.is_open() && role.write_data(core, out))
    }

    /// What the application is told next. [`CloseReason`] comes last and once.
    pub fn poll_event(&mut self) -> Option<R::Event> {
        self.role.poll_event().or_else(|| self.core.poll_end().map(R::closed))
    }

    /// Says Goodbye: nothing new is begun, requests are over, what was admitted is still told, within
    /// [`DRAIN_DEADLINE`](super::limits::DRAIN_DEADLINE).
    ///
    /// # Errors
    /// [`Misuse::Closed`] if either side said it before.
    pub fn close(&mut self, now: Time, parting: Parting) -> Result<(), Misuse> {
        if self.core.phase == Phase::Ended || self.core.farewell.has_begun() {
            return Err(Misuse::Closed);
        }
        self.core.farewell.begin(now, parting);
        self.role.handle_close();
        Ok(())
    }

    /// Whether the handshake is done and nobody said Goodbye.
    pub const fn is_open(&self) -> bool {
        self.core.is_open()
    }

    /// Whether the connection ended. Bytes may still wait: see [`is_finished`](Self::is_finished).
    pub fn is_closed(&self) -> bool {
        self.core.phase == Phase::Ended
    }

    /// Whether the connection ended and nothing waits for the writer: close the transport.
    pub fn is_finished(&self) -> bool {
        self.is_closed() && !self.core.has_last_words()
    }

    /// Why the connection ended.
    pub const fn close_reason(&self) -> Option<&CloseReason> {
        self.core.end_reason()
    }

    /// Bytes of an unfinished frame.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        self.frames.pending_bytes()
    }

    /// Ends the connection when both Goodbyes are said and everything is told.
    pub(crate) fn settle(&mut self) {
        if self.core.phase != Phase::Ended && self.core.farewell.is_complete() && self.role.is_settled() {
            self.core.end_by_goodbye(CloseReason::Lost);
        }
        if self.core.phase == Phase::Ended {
            self.role.handle_end();
        }
    }
}
