//! Finding frames in a capture, and finding the way back after damage.

use std::fmt;
use std::io::{self, Read};

use crate::wire::header::{HEADER_BYTES, MAGIC, MAX_PAYLOAD_BYTES, MessageType, TRAILER_BYTES};
use crate::wire::{FRAME_OVERHEAD_BYTES, FrameError, Header, HeaderError};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;
/// The first of the types that stand in files alone.
const FIRST_FILE_TYPE: u8 = 0x20;
/// The last of them.
const LAST_FILE_TYPE: u8 = 0x2F;

/// One thing found in a capture.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A frame, its checksum right or not.
    Frame(CapturedFrame),
    /// Bytes that belong to no frame.
    Skipped { offset: u64, bytes: u64, why: Damage },
    /// The beginning of a frame at the end of the capture.
    CutOff { offset: u64, bytes: u64, wanted: u64 },
}

/// A frame of a capture.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CapturedFrame {
    /// Where it begins, in bytes from the start of the capture.
    pub(super) offset: u64,
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
    stored: u32,
    computed: u32,
}

impl CapturedFrame {
    /// The frame with this header, which `bytes` are.
    pub(super) fn new(offset: u64, header: Header, bytes: &[u8]) -> Option<Self> {
        let (body, trailer) = bytes.split_last_chunk::<TRAILER_BYTES>()?;
        let (stored, computed) = (u32::from_be_bytes(*trailer), crc32fast::hash(body));
        Some(Self { offset, header, payload: body.get(HEADER_BYTES..)?.to_vec(), stored, computed })
    }

    pub(super) fn checksum_is_right(&self) -> bool {
        self.stored == self.computed
    }
}

/// Why bytes were passed over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Damage {
    Header(HeaderError),
    Checksum {
        stored: u32,
        computed: u32,
    },
    /// The declared length reaches beyond the capture, though other frames follow.
    Length,
    /// Too short for a header.
    Rest,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::Checksum { stored, computed } => {
                FrameError::ChecksumMismatch { stored: *stored, computed: *computed }.fmt(f)
            }
            Self::Length => f.write_str("the declared length reaches beyond the end of the capture"),
            Self::Rest => f.write_str("too few bytes are left for a header"),
        }
    }
}

/// What a header and the bytes behind it amount to.
enum Look {
    Frame { wire_bytes: usize, stored: u32, computed: u32 },
    Incomplete { wire_bytes: usize },
}

/// What a search for the next frame came to.
enum Search {
    /// It begins so many bytes from here.
    Frame(usize),
    /// None begins in so many bytes from here.
    Nothing { searched: usize },
}

/// Reads a capture piece by piece; holds little more than the largest frame, whatever the capture is.
pub(super) struct Scanner<R> {
    source: R,
    window: Vec<u8>,
    start: usize,
    /// Where the byte at `start` lies in the capture.
    offset: u64,
    ended: bool,
    /// Files are filled up with zeros between frames.
    zeros_may_follow: bool,
}

impl<R: Read> Scanner<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, window: Vec::new(), start: 0, offset: 0, ended: false, zeros_may_follow: false }
    }

    /// The next thing, `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        self.pass_zeros()?;
        self.fill(HEADER_BYTES)?;
        if self.rest().is_empty() {
            return Ok(None);
        }
        let Some(bytes) = self.rest().first_chunk() else {
            return self.end_inside(FRAME_OVERHEAD_BYTES, Damage::Rest);
        };
        let header = match Header::parse(bytes) {
            Ok(header) => header,
            Err(error) => return self.resume(Damage::Header(error)),
        };
        match self.look(header)? {
            Look::Incomplete { wire_bytes } => self.end_inside(wire_bytes, Damage::Length),
            Look::Frame { wire_bytes, stored, computed } => {
                if stored != computed && !self.frame_may_follow(wire_bytes) {
                    return self.resume(Damage::Checksum { stored, computed });
                }
                let payload_end = wire_bytes.saturating_sub(4);
                let payload = self.rest().get(HEADER_BYTES..payload_end).unwrap_or_default().to_vec();
                let frame = CapturedFrame { offset: self.offset, header, payload, stored, computed };
                self.zeros_may_follow = is_file_type(header.message_type);
                self.advance(wire_bytes);
                Ok(Some(Found::Frame(frame)))
            }
        }
    }

    fn look(&mut self, header: Header) -> io::Result<Look> {
        let wire_bytes = wire_bytes(header);
        self.fill(wire_bytes.saturating_add(MAGIC.len()))?;
        let Some((body, trailer)) = self.rest().get(..wire_bytes).and_then(<[u8]>::split_last_chunk) else {
            return Ok(Look::Incomplete { wire_bytes });
        };
        let (stored, computed) = (u32::from_be_bytes(*trailer), crc32fast::hash(body));
        Ok(Look::Frame { wire_bytes, stored, computed })
    }

    /// Whether another frame, file padding or the end stands `at` so many bytes from here.
    fn frame_may_follow(&self, at: usize) -> bool {
        let behind = self.rest().get(at..).unwrap_or_default();
        let magic = behind.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic);
        magic || behind.iter().take(MAGIC.len()).all(|byte| *byte == 0)
    }

    /// The capture ends before the frame does: cut off, unless frames follow after all.
    fn end_inside(&mut self, wanted: usize, why: Damage) -> io::Result<Option<Found>> {
        let from_start = self.rest().iter().zip(MAGIC).all(|(byte, magic)| *byte == magic);
        match self.find_frame()? {
            Search::Nothing { .. } if from_start => {
                let (offset, bytes) = (self.offset, to_u64(self.rest().len()));
                self.advance(self.rest().len());
                Ok(Some(Found::CutOff { offset, bytes, wanted: to_u64(wanted) }))
            }
            Search::Nothing { searched: bytes } | Search::Frame(bytes) => Ok(Some(self.skip(bytes, why))),
        }
    }

    /// Goes on at the next frame.
    fn resume(&mut self, why: Damage) -> io::Result<Option<Found>> {
        let offset = self.offset;
        let mut skipped = 0u64;
        loop {
            let (passed, found) = match self.find_frame()? {
                Search::Frame(at) => (at, true),
                Search::Nothing { searched } => (searched, false),
            };
            skipped = skipped.saturating_add(to_u64(passed));
            self.advance(passed);
            if found || (self.ended && self.rest().is_empty()) {
                return Ok(Some(Found::Skipped { offset, bytes: skipped, why }));
            }
            self.fill(READ_BYTES)?;
        }
    }

    /// Looks for the next frame that does not begin here. Records open with the same magic, so a place counts only
    /// if its header is right, its type is known, and a frame or the end follows where it ends. To look there, bytes
    /// are read ahead; so a search ends after [`READ_BYTES`], for the caller to let go of what was searched.
    fn find_frame(&mut self) -> io::Result<Search> {
        let mut from = 1usize;
        loop {
            let behind = self.rest().get(from..).unwrap_or_default();
            let Some(at) = behind.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) else {
                // What may be the beginning of a magic stays, unless nothing can follow it.
                let kept = if self.ended { 0 } else { MAGIC.len() };
                return Ok(Search::Nothing { searched: self.rest().len().saturating_sub(kept) });
            };
            let at = from.saturating_add(at);
            if self.is_frame(at)? {
                return Ok(Search::Frame(at));
            }
            if at > READ_BYTES && !self.ended {
                return Ok(Search::Nothing { searched: at });
            }
            from = at.saturating_add(1);
        }
    }

    fn is_frame(&mut self, at: usize) -> io::Result<bool> {
        self.fill(at.saturating_add(HEADER_BYTES))?;
        let Some(bytes) = self.rest().get(at..).and_then(<[u8]>::first_chunk) else { return Ok(false) };
        let Ok(header) = Header::parse(bytes) else { return Ok(false) };
        let message_type = header.message_type;
        if MessageType::from_byte(message_type).is_none() && !is_file_type(message_type) {
            return Ok(false);
        }
        let end = at.saturating_add(wire_bytes(header));
        self.fill(end.saturating_add(MAGIC.len()))?;
        Ok(self.rest().len() < end || self.frame_may_follow(end))
    }

    fn skip(&mut self, bytes: usize, why: Damage) -> Found {
        let offset = self.offset;
        self.advance(bytes);
        Found::Skipped { offset, bytes: to_u64(bytes), why }
    }

    fn pass_zeros(&mut self) -> io::Result<()> {
        while self.zeros_may_follow {
            self.fill(READ_BYTES)?;
            let zeros = self.rest().iter().take_while(|byte| **byte == 0).count();
            self.zeros_may_follow = zeros == self.rest().len() && !self.ended;
            self.advance(zeros);
        }
        Ok(())
    }

    fn rest(&self) -> &[u8] {
        self.window.get(self.start..).unwrap_or_default()
    }

    fn advance(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes);
        self.offset = self.offset.saturating_add(to_u64(bytes));
    }

    /// Reads until the window holds `wanted` bytes from here, or the capture ends.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while self.rest().len() < wanted && !self.ended {
            if self.start >= READ_BYTES {
                self.window.drain(..self.start.min(self.window.len()));
                self.start = 0;
            }
            let limit = to_u64(READ_BYTES.max(wanted.saturating_sub(self.rest().len())));
            let read = self.source.by_ref().take(limit).read_to_end(&mut self.window)?;
            self.ended = to_u64(read) < limit;
        }
        Ok(())
    }
}

/// How long the frame with this header is.
pub(super) fn wire_bytes(header: Header) -> usize {
    let payload = usize::try_from(header.payload_bytes).unwrap_or(MAX_PAYLOAD_BYTES);
    payload.saturating_add(FRAME_OVERHEAD_BYTES)
}

fn is_file_type(message_type: u8) -> bool {
    (FIRST_FILE_TYPE..=LAST_FILE_TYPE).contains(&message_type)
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
