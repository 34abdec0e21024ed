//! The file that connections are recorded into: each entry is written whole before what it tells of is carried on.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the command line is where files and clocks are"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::log::capture::{CaptureEntry, CaptureHeader, CaptureWriter, Happening};

/// Captures hold secrets: their owner alone may read them.
const MODE: u32 = 0o600;

/// Why something cannot be recorded.
#[derive(Debug, Error)]
pub(super) enum RecordError {
    /// The capture is as large as it may become.
    #[error("the capture is full")]
    Full,
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A capture that is being written.
#[derive(Debug)]
pub(super) struct Recorder {
    file: File,
    writer: CaptureWriter,
    frames: Vec<u8>,
    started: Instant,
    opened: u32,
    written: u64,
    limit: u64,
}

impl Recorder {
    /// Makes the file, which must not be there.
    pub(super) fn create(path: &Path, target: &str, limit: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = CaptureHeader {
            started_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
            target: target.to_owned(),
            agent: format!("blazedb/{}", env!("CARGO_PKG_VERSION")),
        };
        let mut frames = Vec::new();
        let writer = CaptureWriter::begin(&header, &mut frames);
        let mut recorder =
            Self { file, writer, frames, started: Instant::now(), opened: 0, written: 0, limit };
        recorder.write()?;
        Ok(recorder)
    }

    /// Records that a client came; returns its connection's number.
    pub(super) fn open(&mut self, address: &str) -> Result<u32, RecordError> {
        self.opened = self.opened.saturating_add(1);
        let connection = self.opened;
        self.record(connection, Happening::Opened(address))?;
        Ok(connection)
    }

    /// Records what happened. What fits no more is not begun.
    pub(super) fn record(&mut self, connection: u32, happening: Happening<'_>) -> Result<(), RecordError> {
        let elapsed_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.writer.entry(&CaptureEntry { elapsed_us, connection, happening }, &mut self.frames);
        let length = u64::try_from(self.frames.len()).unwrap_or(u64::MAX);
        if self.written.saturating_add(length) > self.limit {
            // From now on nothing fits: the chain of what is written must have no gap.
            self.limit = 0;
            self.frames.clear();
            return Err(RecordError::Full);
        }
        Ok(self.write()?)
    }

    /// Brings the capture to stable storage, as far as the disk does; how many connections and bytes it holds.
    pub(super) fn finish(&mut self) -> (u32, u64) {
        let _ = self.file.sync_data();
        (self.opened, self.written)
    }

    /// Hands the frames to the system, which keeps them when this process is killed.
    fn write(&mut self) -> io::Result<()> {
        let outcome = self.file.write_all(&self.frames);
        if outcome.is_ok() {
            self.written = self.written.saturating_add(u64::try_from(self.frames.len()).unwrap_or(u64::MAX));
        } else {
            // A frame may be half there: whatever came behind it would be lost.
            self.limit = 0;
        }
        self.frames.clear();
        outcome
    }
}
