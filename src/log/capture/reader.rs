//! Reading a capture: frame by frame, each checked against the one before it.

use std::collections::BTreeMap;
use std::io::{self, Read};

use thiserror::Error;

use super::{
    CLIENT_ENDED, CLOSED, CaptureEntry, CaptureHeader, FORMAT, FROM_CLIENT, FROM_SERVER, Happening,
    MAX_OPEN_CONNECTIONS, MAX_PIECE_BYTES, MAX_TEXT_BYTES, OPENED, SERVER_ENDED, Side, after,
};
use crate::log::bytes::{Reader, to_usize};
use crate::log::format::file_frame;
use crate::wire::header::{HEADER_BYTES, Header, MessageType, TRAILER_BYTES};

/// Bytes of an entry's payload before its content: chain, time, connection, kind.
pub(super) const HEAD_BYTES: usize = 8 + 8 + 4 + 1;

/// Why a capture cannot be read on. What was read before counts.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// It ends inside a frame: whoever wrote it was ended.
    #[error("the capture ends inside a frame: {bytes} byte(s) are left over at offset {offset}")]
    Torn {
        /// Where the frame begins.
        offset: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
    /// It is not what was written.
    #[error("the capture is damaged at offset {offset}: {why}; nothing behind it can be trusted")]
    Damaged {
        /// Where the frame begins that is wrong.
        offset: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// A later release wrote it.
    #[error("the capture has format {0}, this release reads format {FORMAT}; read it with a newer one")]
    Newer(u16),
    /// It cannot be read.
    #[error("cannot read the capture: {0}")]
    Io(#[from] io::Error),
}

/// Which sides of a connection may still send.
#[derive(Debug, Clone, Copy)]
struct Open {
    client: bool,
    server: bool,
}

impl Open {
    const fn of(&mut self, side: Side) -> &mut bool {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// Reads entries in order. It holds one frame, and a few bytes of each connection that is open.
#[derive(Debug)]
pub struct CaptureReader<R> {
    source: R,
    frame: Vec<u8>,
    /// Where the frame in hand begins, and behind it.
    offset: u64,
    end: u64,
    sequence: u32,
    chain: u64,
    elapsed_us: u64,
    opened: u32,
    open: BTreeMap<u32, Open>,
}

impl<R: Read> CaptureReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`CaptureError`], also where `source` is no capture at all.
    pub fn begin(source: R) -> Result<(CaptureHeader, Self), CaptureError> {
        let mut reader = Self {
            source,
            frame: Vec::new(),
            offset: 0,
            end: 0,
            sequence: 0,
            chain: 0,
            elapsed_us: 0,
            opened: 0,
            open: BTreeMap::new(),
        };
        if !reader.read_frame()? {
            return Err(reader.damaged("it is empty"));
        }
        let Some((payload, crc)) = file_frame(&reader.frame, MessageType::CaptureHeader, 0) else {
            return Err(reader.damaged("no header of a capture"));
        };
        let header = read_header(payload)?.ok_or_else(|| reader.damaged("a header with a wrong field"))?;
        (reader.sequence, reader.chain) = after(reader.sequence, reader.chain, crc);
        Ok((header, reader))
    }

    /// The next entry; `None` at the end of the capture.
    ///
    /// # Errors
    /// [`CaptureError`]; there is nothing more to read then.
    pub fn next_entry(&mut self) -> Result<Option<CaptureEntry<'_>>, CaptureError> {
        if !self.read_frame()? {
            return Ok(None);
        }
        let sequence = self.sequence;
        let Some((payload, crc)) = file_frame(&self.frame, MessageType::CaptureEntry, sequence) else {
            return Err(self.damaged("no entry with the sequence that follows and a right CRC-32"));
        };
        let mut reader = Reader::new(payload);
        if reader.u64() != Some(self.chain) {
            return Err(self.damaged("its chain is not that of what stands before it"));
        }
        let (Some(elapsed_us), Some(connection), Some(kind)) = (reader.u64(), reader.u32(), reader.u8())
        else {
            return Err(self.damaged("an entry that is too short"));
        };
        if elapsed_us < self.elapsed_us {
            return Err(self.damaged("its time goes back"));
        }
        let Some(happening) = happening(kind, reader.rest()) else {
            return Err(self.damaged("an entry of no known kind, or with a content that it cannot have"));
        };
        if !follow(&mut self.open, &mut self.opened, connection, happening) {
            return Err(self.damaged("something happens on a connection that does not follow"));
        }
        self.elapsed_us = elapsed_us;
        (self.sequence, self.chain) = after(sequence, self.chain, crc);
        Ok(Some(CaptureEntry { elapsed_us, connection, happening }))
    }

    /// Where what was read last begins, in bytes from the start.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    fn damaged(&self, why: &'static str) -> CaptureError {
        CaptureError::Damaged { offset: self.offset, why }
    }

    /// Reads the bytes of the next frame, no more than there are; false at the end.
    fn read_frame(&mut self) -> Result<bool, CaptureError> {
        self.offset = self.end;
        self.frame.clear();
        self.read_up_to(HEADER_BYTES)?;
        let Some(bytes) = self.frame.first_chunk() else {
            return if self.frame.is_empty() { Ok(false) } else { Err(self.torn()) };
        };
        let header = Header::parse(bytes).map_err(|_| self.damaged("no frame"))?;
        let behind = to_usize(header.payload_bytes).saturating_add(TRAILER_BYTES);
        if self.read_up_to(behind)? < behind {
            return Err(self.torn());
        }
        self.end = self.end.saturating_add(to_u64(self.frame.len()));
        Ok(true)
    }

    fn read_up_to(&mut self, count: usize) -> io::Result<usize> {
        self.source.by_ref().take(to_u64(count)).read_to_end(&mut self.frame)
    }

    fn torn(&self) -> CaptureError {
        CaptureError::Torn { offset: self.offset, bytes: to_u64(self.frame.len()) }
    }
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn read_header(payload: &[u8]) -> Result<Option<CaptureHeader>, CaptureError> {
    let mut reader = Reader::new(payload);
    match reader.u16() {
        Some(FORMAT) => {}
        Some(format) if format > FORMAT => return Err(CaptureError::Newer(format)),
        _ => return Ok(None),
    }
    let (Some(started_us), Some(target), Some(agent)) = (reader.u64(), reader.text_u16(), reader.text_u16())
    else {
        return Ok(None);
    };
    let fits = [target, agent].iter().all(|text| text.len() <= MAX_TEXT_BYTES) && reader.is_empty();
    Ok(fits.then(|| CaptureHeader { started_us, target: target.to_owned(), agent: agent.to_owned() }))
}

fn happening(kind: u8, content: &[u8]) -> Option<Happening<'_>> {
    let text = || std::str::from_utf8(content).ok().filter(|text| text.len() <= MAX_TEXT_BYTES);
    let bytes = || Some(content).filter(|bytes| (1..=MAX_PIECE_BYTES).contains(&bytes.len()));
    Some(match kind {
        OPENED => Happening::Opened(text()?),
        FROM_CLIENT => Happening::Bytes(Side::Client, bytes()?),
        FROM_SERVER => Happening::Bytes(Side::Server, bytes()?),
        CLIENT_ENDED => Happening::Ended(Side::Client, text()?),
        SERVER_ENDED => Happening::Ended(Side::Server, text()?),
        CLOSED => Happening::Closed(text()?),
        _ => return None,
    })
}

/// Whether this may happen now on that connection (K-2.4), and notes it.
fn follow(
    open: &mut BTreeMap<u32, Open>,
    opened: &mut u32,
    connection: u32,
    happening: Happening<'_>,
) -> bool {
    if let Happening::Opened(_) = happening {
        let is_next = opened.checked_add(1) == Some(connection) && open.len() < MAX_OPEN_CONNECTIONS;
        if is_next {
            *opened = connection;
            open.insert(connection, Open { client: true, server: true });
        }
        return is_next;
    }
    let Some(state) = open.get_mut(&connection) else { return false };
    match happening {
        Happening::Bytes(side, _) => *state.of(side),
        Happening::Ended(side, _) => std::mem::replace(state.of(side), false),
        Happening::Opened(_) | Happening::Closed(_) => open.remove(&connection).is_some(),
    }
}
