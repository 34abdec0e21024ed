//! WebSocket frames (RFC 6455) as they come and go, without IO.
//!
//! What comes is unmasked and moved together in the buffer that it was read into: no message is ever held. The library
//! beneath reads and writes the headers; `spec/adr/0037-websocket-without-messages.md` says why it does no more.

use std::io::Cursor;

use thiserror::Error;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The longest message, in bytes: twice the largest frame. One batch of output and a largest frame behind it fit.
pub const MAX_MESSAGE_BYTES: u64 = 4 << 20;
/// The longest header: two bytes, eight of length, four of mask.
const MAX_HEADER_BYTES: usize = 14;
/// The longest payload of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL_BYTES: u64 = 125;
/// What a ping, a pong or an empty fragment costs of the allowance for them, in bytes of payload. A heartbeat of the
/// protocol has 31 bytes and comes each 60 s at the latest: it pays for a proxy's ping each 20 s.
pub(in crate::transport) const IDLE_FRAME_COST: u64 = 8;
/// The allowance of frames that carry nothing of a message, in bytes of payload: nothing else charges such a frame. A proxy
/// that pings each 20 s needs more than five hours for 1,024, beside a client that says nothing.
pub(in crate::transport) const MAX_ALLOWANCE: u64 = 1_024 * IDLE_FRAME_COST;

/// Whose end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Its own frames are masked.
    Client,
    /// Its peer's frames are masked.
    Server,
}

/// What the peer did that it must not. Each is told by the close code that RFC 6455 has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// Against RFC 6455.
    #[error("the peer breaks the rules of WebSocket: {0}")]
    Protocol(&'static str),
    /// A text message: the protocol is binary.
    #[error("the peer sent a text message; frames travel in binary messages")]
    Text,
    /// A message over [`MAX_MESSAGE_BYTES`].
    #[error("the peer began a message longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
    /// More pings, pongs and empty fragments than the payload beside them pays for.
    #[error("the peer sends pings or empty frames and next to nothing else")]
    Idle,
}

impl Fault {
    /// The code of the Close frame that tells of it.
    pub fn code(self) -> u16 {
        u16::from(match self {
            Self::Protocol(_) => CloseCode::Protocol,
            Self::Text => CloseCode::Unsupported,
            Self::TooLong => CloseCode::Size,
            Self::Idle => CloseCode::Policy,
        })
    }
}

/// What is to be answered: the last ping and the first close. It is state, not a queue: a flood of pings gets few pongs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// The payload of the last ping that nobody answered.
    pub pong: Option<Vec<u8>>,
    /// The code of the Close to be sent.
    pub close: Option<u16>,
}

/// The frame whose payload is coming.
#[derive(Debug)]
struct Incoming {
    opcode: OpCode,
    is_final: bool,
    mask: Option<[u8; 4]>,
    /// How many bytes of the payload came, and how many come.
    taken: u64,
    left: u64,
}

/// Reads frames.
#[derive(Debug)]
pub struct Receiver {
    role: Role,
    header: [u8; MAX_HEADER_BYTES],
    held: usize,
    frame: Option<Incoming>,
    /// Bytes of the message that began and did not end.
    message: Option<u64>,
    control: Vec<u8>,
    /// What is left for frames without payload, in bytes of it. It knows no clock: payload that comes fills it again.
    allowance: u64,
    is_closed: bool,
}

impl Receiver {
    /// At the beginning of what comes to the end that plays `role`.
    pub const fn new(role: Role) -> Self {
        let header = [0; MAX_HEADER_BYTES];
        Self {
            role,
            header,
            held: 0,
            frame: None,
            message: None,
            control: Vec::new(),
            allowance: MAX_ALLOWANCE,
            is_closed: false,
        }
    }

    /// Whether a Close came: nothing is read behind it.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Takes `bytes` as they came, leaves the payload of binary messages at their front and answers how much that is.
    ///
    /// # Errors
    /// [`Fault`]: the connection is at its end.
    pub fn take(&mut self, bytes: &mut [u8], answers: &mut Answers) -> Result<usize, Fault> {
        let (mut at, mut kept) = (0_usize, 0_usize);
        while !self.is_closed {
            let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) else { break };
            let Some(frame) = &mut self.frame else {
                at = at.saturating_add(self.take_header(rest)?);
                self.finish_frame(answers)?;
                continue;
            };
            let count = rest.len().min(usize::try_from(frame.left).unwrap_or(usize::MAX));
            let part = rest.get_mut(..count).unwrap_or_default();
            frame.unmask(part);
            if matches!(frame.opcode, OpCode::Data(_)) {
                bytes.copy_within(at..at.saturating_add(count), kept);
                kept = kept.saturating_add(count);
                let earned = u64::try_from(count).unwrap_or(u64::MAX);
                self.allowance = self.allowance.saturating_add(earned).min(MAX_ALLOWANCE);
            } else {
                self.control.extend_from_slice(part);
            }
            at = at.saturating_add(count);
            self.finish_frame(answers)?;
        }
        Ok(kept)
    }

    /// Takes what `rest` has of a header, and begins the frame once it is whole.
    fn take_header(&mut self, rest: &[u8]) -> Result<usize, Fault> {
        let mut taken = 0_usize;
        for byte in rest {
            let Some(place) = self.header.get_mut(self.held) else { break };
            *place = *byte;
            self.held = self.held.saturating_add(1);
            taken = taken.saturating_add(1);
            if self.held == header_bytes(&self.header, self.held) {
                let header = self.header;
                let header = header.get(..self.held).unwrap_or_default();
                let parsed = FrameHeader::parse(&mut Cursor::new(header));
                let (header, length) =
                    parsed.ok().flatten().ok_or(Fault::Protocol("an opcode that nobody has"))?;
                self.begin(&header, length)?;
                self.held = 0;
                break;
            }
        }
        Ok(taken)
    }

    fn begin(&mut self, header: &FrameHeader, length: u64) -> Result<(), Fault> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Fault::Protocol("a reserved bit is set, and no extension was agreed on"));
        }
        if header.mask.is_some() != (self.role == Role::Server) {
            return Err(Fault::Protocol("clients mask their frames, servers do not"));
        }
        if header.len(length) != self.held {
            return Err(Fault::Protocol("a length is not in its shortest form"));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final || length > MAX_CONTROL_BYTES => {
                return Err(Fault::Protocol("a control frame is in pieces or over 125 bytes"));
            }
            OpCode::Control(_) => {}
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                return Err(Fault::Protocol("a continuation without a beginning"));
            }
            OpCode::Data(Data::Text) => return Err(Fault::Text),
            OpCode::Data(Data::Binary) if self.message.is_some() => {
                return Err(Fault::Protocol("a message begins inside another"));
            }
            OpCode::Data(_) => {
                let bytes = self.message.unwrap_or(0).saturating_add(length);
                if bytes > MAX_MESSAGE_BYTES {
                    return Err(Fault::TooLong);
                }
                self.message = Some(bytes);
            }
        }
        let (opcode, is_final, mask) = (header.opcode, header.is_final, header.mask);
        // A Close is the last frame: it needs no allowance.
        let is_idle = match opcode {
            OpCode::Control(control) => control != Control::Close,
            OpCode::Data(_) => length == 0,
        };
        if is_idle {
            self.allowance = self.allowance.checked_sub(IDLE_FRAME_COST).ok_or(Fault::Idle)?;
        }
        self.frame = Some(Incoming { opcode, is_final, mask, taken: 0, left: length });
        Ok(())
    }

    /// Ends the frame if all of it came.
    fn finish_frame(&mut self, answers: &mut Answers) -> Result<(), Fault> {
        let Some(frame) = self.frame.take_if(|frame| frame.left == 0) else { return Ok(()) };
        let OpCode::Control(control) = frame.opcode else {
            if frame.is_final {
                self.message = None;
            }
            return Ok(());
        };
        let payload = std::mem::take(&mut self.control);
        match control {
            Control::Ping => answers.pong = Some(payload),
            Control::Close => {
                answers.close = Some(close_code(&payload)?);
                self.is_closed = true;
            }
            Control::Pong | Control::Reserved(_) => {}
        }
        Ok(())
    }
}

impl Incoming {
    fn unmask(&mut self, part: &mut [u8]) {
        if let Some(mask) = self.mask {
            apply_mask(mask, self.taken, part);
        }
        let count = u64::try_from(part.len()).unwrap_or(u64::MAX);
        self.taken = self.taken.saturating_add(count);
        self.left = self.left.saturating_sub(count);
    }
}

/// How long the header is of which `held` bytes came; more than `held` as long as that is not known.
fn header_bytes(header: &[u8; MAX_HEADER_BYTES], held: usize) -> usize {
    let [_, second, ..] = *header;
    if held < 2 {
        return 2;
    }
    let length: usize = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    length.saturating_add(mask).saturating_add(2)
}

/// What to answer a Close by: its own code, or what is wrong with it.
fn close_code(payload: &[u8]) -> Result<u16, Fault> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        let is_empty = payload.is_empty();
        return if is_empty { Ok(NORMAL) } else { Err(Fault::Protocol("a close code in one byte")) };
    };
    let code = u16::from_be_bytes(*code);
    if !CloseCode::from(code).is_allowed() || std::str::from_utf8(reason).is_err() {
        return Err(Fault::Protocol("a close with a code or reason that it cannot have"));
    }
    Ok(code)
}

/// The code of a Close that nothing is wrong with.
pub const NORMAL: u16 = 1000;

/// Masks, or unmasks, the part of a payload that begins `from` its beginning.
fn apply_mask(mask: [u8; 4], from: u64, part: &mut [u8]) {
    let turn = usize::try_from(from % 4).unwrap_or(0);
    let mut mask = mask;
    mask.rotate_left(turn);
    let mut words = part.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, mask) in word.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// Appends one message, which is one frame. A client gives a mask that nobody can foresee.
pub fn push_message(payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    push(OpCode::Data(Data::Binary), payload, mask, out);
}

/// Appends a Pong.
pub fn push_pong(payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    push(OpCode::Control(Control::Pong), payload, mask, out);
}

/// Appends a Close.
pub fn push_close(code: u16, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    push(OpCode::Control(Control::Close), &code.to_be_bytes(), mask, out);
}

fn push(opcode: OpCode, payload: &[u8], mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, mask, ..FrameHeader::default() };
    out.reserve(payload.len().saturating_add(MAX_HEADER_BYTES));
    // A vector takes whatever is written.
    let _ = header.format(u64::try_from(payload.len()).unwrap_or(u64::MAX), out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(mask, 0, out.get_mut(start..).unwrap_or_default());
    }
}
