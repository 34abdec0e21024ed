//! What both roles share: sequences, flags, control, heartbeat, deadlines, and the end.
//!
//! ```text
//!                   Welcome              Goodbye, either way           both said, all told
//!   Handshake ──────────────▶ Established ───────────────▶ Parting ─────────────────────▶ Ended
//!       │                         │                           │                             ▲
//!       └── violation, deadline, refusal, transport lost ─────┴─────────────────────────────┘
//!                     (the last frame is then an Error, if it can still be written)
//! ```

use std::borrow::Cow;
use std::time::Duration;

use super::close::{Farewell, Parting};
use super::control::Control;
use super::error::{CloseReason, Deadline, Violation};
use super::heartbeat::{Beat, Heartbeat};
use super::limits::{DEFAULT_HEARTBEAT, HANDSHAKE_DEADLINE, STALL_DEADLINE};
use super::outbox::Refusal;
use super::sequence::{ReceiveSequence, SendSequence};
use super::time::Time;
use crate::wire::limits::{MAX_HANDSHAKE_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES};
use crate::wire::message::{Error, Goodbye};
use crate::wire::{
    Clock, EncodedDict, ErrorCode, FRAME_OVERHEAD_BYTES, Flags, Header, Message, MessageError,
    MessageErrorKind, MessageType, Subject, check_flags, compress, decompress, encode_frame, flags_to_send,
};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Handshake,
    Established,
    Ended,
}

/// A frame whose sequence and flags are right, its payload plain.
#[derive(Debug)]
pub(crate) struct Inbound<'a> {
    pub(crate) message_type: MessageType,
    pub(crate) payload: Cow<'a, [u8]>,
}

impl Inbound<'_> {
    /// What the frame takes of credit.
    pub(crate) fn cost(&self) -> u64 {
        frame_cost(&self.payload)
    }

    /// The message that its role or moment does not allow.
    pub(crate) fn unexpected(&self, why: &'static str) -> Violation {
        Violation::UnexpectedMessage { message_type: self.message_type as u8, why }
    }

    /// Reads the whole payload.
    pub(crate) fn decode(&self) -> Result<Message<'_>, MessageError> {
        Message::decode(self.message_type as u8, &self.payload)
    }
}

/// What a frame takes of credit: header, *plain* payload and trailer. Credit bounds memory, and what is held is
/// plain, so a compressed frame is not cheaper.
pub(crate) fn frame_cost(plain_payload: &[u8]) -> u64 {
    u64::try_from(plain_payload.len().saturating_add(FRAME_OVERHEAD_BYTES)).unwrap_or(u64::MAX)
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) phase: Phase,
    pub(crate) control: Control,
    pub(crate) farewell: Farewell,
    /// Whether compression was negotiated.
    pub(crate) compression: bool,
    send: SendSequence,
    receive: ReceiveSequence,
    heartbeat: Heartbeat,
    handshake_deadline: Time,
    /// While a batch of output is with the transport: when it counts as stalled.
    stall_deadline: Option<Time>,
    /// The payload of the Error that is the last frame.
    last_words: Option<Vec<u8>>,
    end: Option<CloseReason>,
    end_untold: bool,
    payload: Vec<u8>,
    clock: (Time, Clock),
}

impl Core {
    pub(crate) fn new(now: Time, first_sequence: u32) -> Self {
        Self {
            phase: Phase::Handshake,
            control: Control::new(now),
            farewell: Farewell::default(),
            compression: false,
            send: SendSequence::new(first_sequence),
            receive: ReceiveSequence::default(),
            heartbeat: Heartbeat::new(now, DEFAULT_HEARTBEAT),
            handshake_deadline: now.after(HANDSHAKE_DEADLINE),
            stall_deadline: None,
            last_words: None,
            end: None,
            end_untold: false,
            payload: Vec::new(),
            clock: (now, Clock::NONE),
        }
    }

    /// The largest payload that may come now.
    pub(crate) const fn max_payload_bytes(&self) -> usize {
        match self.phase {
            Phase::Handshake => MAX_HANDSHAKE_PAYLOAD_BYTES,
            _ => MAX_PAYLOAD_BYTES,
        }
    }

    /// The handshake is done.
    pub(crate) fn establish(&mut self, now: Time, heartbeat: Duration, compression: bool) {
        self.phase = Phase::Established;
        self.compression = compression;
        self.heartbeat = Heartbeat::new(now, heartbeat);
    }

    /// Whether data may be written and asked for.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Established) && !self.farewell.has_begun()
    }

    /// Checks what surrounds a payload, in the order of P-2.11 to P-2.14, and makes it plain. `None`: the frame is
    /// passed over.
    pub(crate) fn open_frame<'a>(
        &mut self,
        now: Time,
        header: Header,
        payload: &'a [u8],
    ) -> Result<Option<Inbound<'a>>, Violation> {
        self.receive
            .check(header.sequence)
            .map_err(|gap| Violation::SequenceGap { expected: gap.expected, found: gap.found })?;
        self.heartbeat.handle_frame(now);
        let byte = header.message_type;
        let known = MessageType::from_byte(byte).filter(|found| found.is_sent_by_peers());
        check_flags(known, header.flags, self.compression).map_err(Violation::UnexpectedFlag)?;
        let Some(message_type) = known else {
            self.pass_over_unknown(now, byte)?;
            return Ok(None);
        };
        if is_control(message_type) {
            self.control.spend(now)?;
        }
        if !header.flags.contains(Flags::COMPRESSED) {
            return Ok(Some(Inbound { message_type, payload: Cow::Borrowed(payload) }));
        }
        let mut plain = Vec::new();
        decompress(payload, &mut plain).map_err(Violation::BadCompression)?;
        Ok(Some(Inbound { message_type, payload: Cow::Owned(plain) }))
    }

    /// A message of a type that is not known came: it is passed over where any message may come.
    fn pass_over_unknown(&mut self, now: Time, message_type: u8) -> Result<(), Violation> {
        let unexpected = |why| Err(Violation::UnexpectedMessage { message_type, why });
        if self.phase == Phase::Handshake {
            return unexpected("only a Handshake opens a connection");
        }
        if self.farewell.is_received() {
            return unexpected("it follows a Goodbye");
        }
        self.control.spend(now)?;
        self.pass_over(MessageErrorKind::UnknownType(message_type));
        Ok(())
    }

    /// A message is answered and passed over.
    pub(crate) fn pass_over(&mut self, kind: MessageErrorKind) {
        self.control.pass_over(MessageError { offset: 0, kind, subject: Subject::Connection, item: None });
    }

    /// Bytes came that do not finish a frame.
    pub(crate) fn handle_progress(&mut self, now: Time, bytes: usize) {
        self.heartbeat.handle_progress(now, bytes);
    }

    /// Appends a frame.
    pub(crate) fn write(&mut self, message_type: MessageType, payload: &[u8], out: &mut Vec<u8>) {
        let mut flags = flags_to_send(message_type);
        let mut compressed = Vec::new();
        let compressible = self.compression && message_type != MessageType::Handshake;
        let body = if compressible && compress(payload, &mut compressed) {
            flags = flags.with(Flags::COMPRESSED);
            &compressed
        } else {
            payload
        };
        let mut send = self.send;
        // Fails only for payloads over the limit, which their makers refuse before; then no number is used up.
        if encode_frame(message_type as u8, flags, send.take(), body, out).is_ok() {
            self.send = send;
        }
        if !is_control(message_type) {
            self.control.earn();
        }
    }

    /// Appends the frame of a small message.
    pub(crate) fn write_message(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        message.encode(&mut payload);
        self.write(message.message_type(), &payload, out);
        self.payload = payload;
    }

    /// Writes the notice, Pong or Ping that is due.
    pub(crate) fn write_beat(&mut self, now: Time, out: &mut Vec<u8>) -> bool {
        if let Some(error) = self.control.next_notice() {
            let text = error.to_string();
            let payload = error_payload(Subject::Connection, error.code(), &text, EncodedDict::NONE);
            self.write(MessageType::Error, &payload, out);
            return true;
        }
        let clock = self.clock_at(now);
        let Some(message) = self.control.next_beat(now, clock) else { return false };
        self.write_message(&message, out);
        true
    }

    /// Writes this side's Goodbye.
    pub(crate) fn write_goodbye(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(Parting { code, retry_after_ms, message }) = self.farewell.unwritten().cloned() else {
            return false;
        };
        self.write_message(&Message::Goodbye(Goodbye { code, retry_after_ms, message: &message }), out);
        self.farewell.mark_written();
        true
    }

    /// Writes the Error that is the last frame.
    pub(crate) fn write_last_words(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(payload) = self.last_words.take() else { return false };
        self.write(MessageType::Error, &payload, out);
        true
    }

    /// What the server's clock read at a time; the core adds what passed since.
    pub(crate) const fn set_clock(&mut self, now: Time, clock: Clock) {
        self.clock = (now, clock);
    }

    fn clock_at(&self, now: Time) -> Clock {
        let (then, clock) = self.clock;
        if clock == Clock::NONE {
            return clock;
        }
        let passed = u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX);
        Clock::new(clock.unix_ms().saturating_add(passed), clock.counter()).unwrap_or(clock)
    }

    /// The peer broke a rule: it is told, and that is the end.
    pub(crate) fn fail(&mut self, violation: Violation) {
        let (code, text, detail) = (violation.code(), violation.to_string(), violation.detail());
        self.end_with(code, &text, detail, CloseReason::PeerMisbehaved(violation));
    }

    /// Ends the connection by an Error.
    pub(crate) fn end_with_words(&mut self, code: ErrorCode, text: &str, reason: CloseReason) {
        self.end_with(code, text, EncodedDict::NONE, reason);
    }

    fn end_with(&mut self, code: ErrorCode, text: &str, detail: EncodedDict<'_>, reason: CloseReason) {
        if self.phase != Phase::Ended {
            self.last_words = Some(error_payload(Subject::Connection, code, text, detail));
            self.end(reason);
        }
    }

    /// Ends the connection. The first reason is the one that counts.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.end = Some(reason);
            self.end_untold = true;
        }
    }

    /// Ends the connection by the first Goodbye, or else by `otherwise`.
    pub(crate) fn end_by_goodbye(&mut self, otherwise: CloseReason) {
        let reason = self.farewell.first().map(|(by_peer, parting)| CloseReason::Goodbye {
            by_peer,
            code: parting.code,
            retry_after_ms: parting.retry_after_ms,
        });
        self.end(reason.unwrap_or(otherwise));
    }

    /// Handles an Error about the connection. `Some` if it is a notice and the connection goes on.
    ///
    /// # Errors
    /// A notice behind the peer's Goodbye, where only last words may stand (C-11.1).
    pub(crate) fn handle_connection_error(
        &mut self,
        error: &Error<'_>,
        payload: &[u8],
    ) -> Result<Option<Refusal>, Violation> {
        let refusal =
            Refusal { code: error.code, message: error.message.to_owned(), payload: payload.to_vec() };
        if self.phase != Phase::Established || !refusal.known().is_some_and(ErrorCode::is_notice) {
            self.end(CloseReason::RefusedByPeer(refusal));
            return Ok(None);
        }
        if self.farewell.is_received() {
            let (message_type, why) = (MessageType::Error as u8, "a notice follows a Goodbye");
            return Err(Violation::UnexpectedMessage { message_type, why });
        }
        Ok(Some(refusal))
    }

    /// The end, once.
    pub(crate) fn poll_end(&mut self) -> Option<CloseReason> {
        if std::mem::take(&mut self.end_untold) { self.end.clone() } else { None }
    }

    pub(crate) const fn end_reason(&self) -> Option<&CloseReason> {
        self.end.as_ref()
    }

    /// Whether the last frame still waits for the writer.
    pub(crate) const fn has_last_words(&self) -> bool {
        self.last_words.is_some()
    }

    /// The transport has been given `bytes`, or took some.
    pub(crate) fn note_output(&mut self, now: Time, bytes: usize) {
        self.stall_deadline = (bytes > 0).then(|| now.after(STALL_DEADLINE));
    }

    /// The transport took some of the bytes that it was given.
    pub(crate) fn handle_written(&mut self, now: Time) {
        if self.stall_deadline.is_some() {
            self.note_output(now, 1);
        }
    }

    /// The earliest deadline.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let beat = match self.phase {
            Phase::Ended => return self.stall_deadline.filter(|_| self.has_last_words()),
            Phase::Handshake => Some(self.handshake_deadline),
            Phase::Established if self.farewell.has_begun() => None,
            Phase::Established => Some(self.heartbeat.deadline()),
        };
        [beat, self.stall_deadline, self.farewell.deadline()].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        let passed = |deadline: Option<Time>| deadline.is_some_and(|deadline| now >= deadline);
        if self.phase == Phase::Ended {
            if passed(self.stall_deadline) {
                self.last_words = None;
            }
            return;
        }
        if passed(self.stall_deadline) {
            return self.end(CloseReason::TimedOut(Deadline::Stall));
        }
        if passed(self.farewell.deadline()) {
            return self.end(CloseReason::TimedOut(Deadline::Drain));
        }
        if self.phase == Phase::Handshake && now >= self.handshake_deadline {
            return self.end_by_deadline(Deadline::Handshake);
        }
        if self.is_open() {
            match self.heartbeat.handle_timeout(now) {
                Beat::Wait => {}
                Beat::Ping => self.control.want_ping(),
                Beat::Silent => self.end_by_deadline(Deadline::Silence),
            }
        }
    }

    fn end_by_deadline(&mut self, deadline: Deadline) {
        match deadline.code() {
            Some(code) => self.end_with_words(code, code.text(), CloseReason::TimedOut(deadline)),
            None => self.end(CloseReason::TimedOut(deadline)),
        }
    }
}

/// Whether a message is free of credit, and counted by the control budget instead.
const fn is_control(message_type: MessageType) -> bool {
    !matches!(
        message_type,
        MessageType::Handshake
            | MessageType::Operation
            | MessageType::Query
            | MessageType::Subscribe
            | MessageType::Telemetry
            | MessageType::QueryResponse
            | MessageType::Event
    )
}

/// The payload of an Error.
pub(crate) fn error_payload(
    subject: Subject,
    code: ErrorCode,
    message: &str,
    detail: EncodedDict<'_>,
) -> Vec<u8> {
    let mut payload = Vec::new();
    Message::Error(Error { subject, code: code.number(), message, detail }).encode(&mut payload);
    payload
}
