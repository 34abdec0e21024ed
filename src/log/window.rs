//! Reading a segment through a buffer of bounded size.

use std::io;
use std::sync::Arc;

use super::bytes::{to_u32, to_usize};
use super::error::LogError;
use super::fs::File;
use super::limits::{BLOCK_BYTES, MAX_SEGMENT_BYTES, READ_AHEAD_BYTES};

/// What a block that cannot be read is taken for: never a frame, never zeros.
const UNREADABLE: u8 = 0xFF;
/// The system's number for an input or output error (EIO), by which a disk says that a sector is lost.
const INPUT_OUTPUT_ERROR: i32 = 5;

/// A file and the part of it that was read last: at most a commit and the read-ahead.
pub(crate) struct Window {
    file: Arc<dyn File>,
    name: String,
    length: u32,
    start: u32,
    buffer: Vec<u8>,
}

impl Window {
    /// A window on `file`. Of a file longer than any segment only the first [`MAX_SEGMENT_BYTES`] count.
    pub(crate) fn new(file: Arc<dyn File>, name: String) -> Result<Self, LogError> {
        let length = file.length().map_err(|error| LogError::io("length", &name, error))?;
        let length = u32::try_from(length).unwrap_or(u32::MAX).min(MAX_SEGMENT_BYTES);
        Ok(Self { file, name, length, start: 0, buffer: Vec::new() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Bytes of the file.
    pub(crate) const fn length(&self) -> u32 {
        self.length
    }

    /// `count` bytes at `offset`, fewer where the file ends. Callers ask for at most a commit.
    pub(crate) fn get(&mut self, offset: u32, count: usize) -> Result<&[u8], LogError> {
        let count = count.min(to_usize(self.length.saturating_sub(offset)));
        let held = offset.checked_sub(self.start).map(to_usize);
        let is_held = held.is_some_and(|from| from.saturating_add(count) <= self.buffer.len());
        if !is_held {
            self.fill(offset, count.max(READ_AHEAD_BYTES))?;
        }
        let from = to_usize(offset.saturating_sub(self.start));
        Ok(self.buffer.get(from..from.saturating_add(count)).unwrap_or_default())
    }

    /// The block at `offset`, whole; empty where the file ends.
    pub(crate) fn block(&mut self, offset: u32) -> Result<&[u8], LogError> {
        self.get(offset, to_usize(BLOCK_BYTES))
    }

    /// Bytes that are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Gives the buffer back, until the next read.
    pub(crate) fn release(&mut self) {
        self.buffer = Vec::new();
    }

    fn fill(&mut self, offset: u32, count: usize) -> Result<(), LogError> {
        let count = count.min(to_usize(self.length.saturating_sub(offset)));
        self.start = offset;
        self.buffer.clear();
        self.buffer.resize(count, 0);
        match read_all(&*self.file, offset, &mut self.buffer) {
            Ok(read) => self.buffer.truncate(read),
            Err(error) if is_lost_sector(&error) => self.fill_by_blocks(offset)?,
            Err(error) => return Err(LogError::io("read", &self.name, error)),
        }
        Ok(())
    }

    /// Reads block by block, so that one lost sector does not hide its neighbours; a block is lost when it fails twice.
    fn fill_by_blocks(&mut self, offset: u32) -> Result<(), LogError> {
        let mut at = offset;
        for block in self.buffer.chunks_mut(to_usize(BLOCK_BYTES)) {
            match read_all(&*self.file, at, block).or_else(|_| read_all(&*self.file, at, block)) {
                Ok(_) => {}
                Err(error) if is_lost_sector(&error) => block.fill(UNREADABLE),
                Err(error) => return Err(LogError::io("read", &self.name, error)),
            }
            at = at.saturating_add(to_u32(block.len()));
        }
        Ok(())
    }
}

fn is_lost_sector(error: &io::Error) -> bool {
    error.raw_os_error() == Some(INPUT_OUTPUT_ERROR)
}

/// Reads until `buffer` is full or the file ends; returns how many bytes.
fn read_all(file: &dyn File, offset: u32, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0_usize;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(u64::from(offset).saturating_add(u64::try_from(read).unwrap_or(u64::MAX)), rest) {
            Ok(0) => break,
            Ok(count) => read = read.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
