//! Captures: what travelled over connections, in a file of frames whose chain is the log's; the normative text is
//! `spec/capture.md`.
//!
//! [`CaptureWriter`] makes the bytes of a capture, [`CaptureReader`] reads them back in bounded memory and tells a torn
//! end from damage. Neither touches a disk or a clock.

mod reader;
#[cfg(test)]
mod tests;

use super::commit::next_chain;
use super::format::push_frame;
use crate::wire::header::{MessageType, SEQUENCE_MODULUS};

pub use reader::{CaptureError, CaptureReader};

/// The format that this release writes, and the newest that it reads.
const FORMAT: u16 = 1;
/// The longest text of a capture, in bytes: an address or a reason is a line.
pub const MAX_TEXT_BYTES: usize = 1_024;
/// The most bytes of a side in one entry: what a proxy reads at a time.
pub const MAX_PIECE_BYTES: usize = 64 << 10;
/// Connections that are open at once in a capture: a reader keeps something of each.
pub const MAX_OPEN_CONNECTIONS: usize = 1_024;

const OPENED: u8 = 1;
const FROM_CLIENT: u8 = 2;
const FROM_SERVER: u8 = 3;
const CLIENT_ENDED: u8 = 4;
const SERVER_ENDED: u8 = 5;
const CLOSED: u8 = 6;

/// What opens a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureHeader {
    /// When it began: microseconds of Unix time.
    pub started_us: u64,
    /// To whom connections were carried on.
    pub target: String,
    /// The program that wrote it, and its version.
    pub agent: String,
}

/// Who of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who connected.
    Client,
    /// Whom it was carried on to.
    Server,
}

/// What happened on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening<'a> {
    /// A client came from this address.
    Opened(&'a str),
    /// A side sent these bytes.
    Bytes(Side, &'a [u8]),
    /// A side sends no more; why, or nothing.
    Ended(Side, &'a str),
    /// Nothing more is carried; why, or nothing.
    Closed(&'a str),
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureEntry<'a> {
    /// Microseconds since the capture began.
    pub elapsed_us: u64,
    /// The connection's number, from 1.
    pub connection: u32,
    /// What happened.
    pub happening: Happening<'a>,
}

/// Makes the frames of a capture, one after another.
#[derive(Debug)]
pub struct CaptureWriter {
    sequence: u32,
    chain: u64,
    elapsed_us: u64,
}

impl CaptureWriter {
    /// Appends the header to `out`. Texts that are too long are cut.
    pub fn begin(header: &CaptureHeader, out: &mut Vec<u8>) -> Self {
        let mut writer = Self { sequence: 0, chain: 0, elapsed_us: 0 };
        let mut payload = Vec::new();
        payload.extend(FORMAT.to_be_bytes());
        payload.extend(header.started_us.to_be_bytes());
        for text in [&header.target, &header.agent] {
            let text = cut(text);
            payload.extend(u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
            payload.extend(text.as_bytes());
        }
        writer.push(MessageType::CaptureHeader, &payload, out);
        writer
    }

    /// Appends an entry to `out`; more than [`MAX_PIECE_BYTES`] are several. A time that goes back is taken for the one
    /// before.
    pub fn entry(&mut self, entry: &CaptureEntry<'_>, out: &mut Vec<u8>) {
        let one_of = |side, client, server| if side == Side::Client { client } else { server };
        let (kind, content) = match entry.happening {
            Happening::Opened(address) => (OPENED, cut(address).as_bytes()),
            Happening::Bytes(side, bytes) => (one_of(side, FROM_CLIENT, FROM_SERVER), bytes),
            Happening::Ended(side, why) => (one_of(side, CLIENT_ENDED, SERVER_ENDED), cut(why).as_bytes()),
            Happening::Closed(why) => (CLOSED, cut(why).as_bytes()),
        };
        self.elapsed_us = self.elapsed_us.max(entry.elapsed_us);
        let (first, rest) = content.split_at(content.len().min(MAX_PIECE_BYTES));
        for piece in std::iter::once(first).chain(rest.chunks(MAX_PIECE_BYTES)) {
            let mut payload = Vec::with_capacity(piece.len().saturating_add(reader::HEAD_BYTES));
            payload.extend(self.chain.to_be_bytes());
            payload.extend(self.elapsed_us.to_be_bytes());
            payload.extend(entry.connection.to_be_bytes());
            payload.push(kind);
            payload.extend(piece);
            self.push(MessageType::CaptureEntry, &payload, out);
        }
    }

    fn push(&mut self, message_type: MessageType, payload: &[u8], out: &mut Vec<u8>) {
        let crc = push_frame(message_type, self.sequence, payload, out);
        (self.sequence, self.chain) = after(self.sequence, self.chain, crc);
    }
}

/// Sequence and chain behind a frame.
fn after(sequence: u32, chain: u64, crc: u32) -> (u32, u64) {
    (sequence.saturating_add(1) % SEQUENCE_MODULUS, next_chain(chain, crc))
}

/// As much of a text as a capture holds.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text)
}
