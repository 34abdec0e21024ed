//! A piece of a stream held in memory: what the readers of records look at, and nothing of what lies behind them.

use std::io::{self, Read};

/// Bytes read from the stream at a time: enough that a read costs nothing beside parsing them.
const READ_BYTES: usize = 256 << 10;

/// What of a stream has been read and not yet let go of.
pub(super) struct Window<R> {
    source: R,
    bytes: Vec<u8>,
    /// Where what is held begins; what lies before it is dropped at the next read.
    start: usize,
    ended: bool,
    /// Bytes let go of before the first of `bytes`.
    dropped: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, bytes: Vec::new(), start: 0, ended: false, dropped: 0 }
    }

    /// What is held.
    pub(super) fn held(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// What is held behind its first `from` bytes.
    pub(super) fn behind(&self, from: usize) -> &[u8] {
        self.held().get(from..).unwrap_or_default()
    }

    /// Lets go of the first bytes.
    pub(super) fn release(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.bytes.len());
    }

    /// Whether the stream has no more bytes than are held.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes of the stream that were let go of.
    pub(super) fn position(&self) -> u64 {
        self.dropped.saturating_add(u64::try_from(self.start).unwrap_or(u64::MAX))
    }

    /// Reads more behind what is held; at the end of the stream it says so from then on.
    pub(super) fn fill(&mut self) -> io::Result<()> {
        self.dropped = self.position();
        self.bytes.drain(..self.start);
        self.start = 0;
        let limit = u64::try_from(READ_BYTES).unwrap_or(u64::MAX);
        let read = self.source.by_ref().take(limit).read_to_end(&mut self.bytes)?;
        self.ended = read < READ_BYTES;
        Ok(())
    }

    /// Reads until at least `bytes` are held, or the stream ends.
    pub(super) fn hold(&mut self, bytes: usize) -> io::Result<()> {
        while self.held().len() < bytes && !self.ended {
            self.fill()?;
        }
        Ok(())
    }

    /// Passes over a byte order mark at the beginning.
    pub(super) fn skip_byte_order_mark(&mut self) -> io::Result<()> {
        const MARK: &[u8] = b"\xEF\xBB\xBF";
        self.hold(MARK.len())?;
        if self.held().starts_with(MARK) {
            self.release(MARK.len());
        }
        Ok(())
    }

    /// Lets go of everything up to and with the next line feed.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = self.held().iter().position(|byte| *byte == b'\n') {
                self.release(at.saturating_add(1));
                return Ok(());
            }
            if self.ended {
                self.release(self.held().len());
                return Ok(());
            }
            self.release(self.held().len());
            self.fill()?;
        }
    }
}

/// How many line feeds there are.
pub(super) fn line_feeds(bytes: &[u8]) -> u64 {
    let count = bytes.iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(count).unwrap_or(u64::MAX)
}
