//! Reading transactions back, from any sequence number that is held.

use std::sync::Arc;

use super::bytes::Reader;
use super::error::{DamageKind, LogError};
use super::fs::Filesystem;
use super::judge::{SegmentInfo, damage};
use super::segment;
use super::transaction::Piece;
use super::walk::{Step, Walk, Walked, body};
use super::window::Window;

/// What of a log may be read: the durable part as it was when the view was taken.
#[derive(Clone)]
pub struct LogView {
    fs: Arc<dyn Filesystem>,
    segments: Vec<SegmentInfo>,
    /// The last sequence number that may be read.
    through: u64,
}

impl std::fmt::Debug for LogView {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "LogView({} segments)", self.segments.len())
    }
}

impl LogView {
    pub(crate) fn new(fs: Arc<dyn Filesystem>, segments: Vec<SegmentInfo>) -> Self {
        Self { fs, segments, through: u64::MAX }
    }

    /// The same up to the effect with this number, which ends a transaction.
    pub(crate) fn through(self, sequence: u64) -> Self {
        Self { through: sequence, ..self }
    }

    /// The number from which on everything is held; `None` if nothing can be read.
    pub fn first_sequence(&self) -> Option<u64> {
        self.segments.first().map(|info| info.header.needs().saturating_add(1))
    }

    /// The epoch of the newest segment that can be read.
    pub fn epoch(&self) -> Option<u32> {
        self.segments.last().map(|info| info.header.identity.epoch)
    }

    /// A reader whose first piece holds the effect numbered `from` (0 counts as 1), or is the next one that comes.
    ///
    /// # Errors
    /// [`LogError::Trimmed`] if the log begins later.
    pub fn read_from(&self, from: u64) -> Result<LogReader, LogError> {
        let asked = from.max(1);
        let oldest = self.first_sequence().unwrap_or(1);
        if asked < oldest {
            return Err(LogError::Trimmed { asked, oldest });
        }
        let later = self.segments.partition_point(|info| info.header.first_sequence <= asked);
        let segments = self.segments.get(later.saturating_sub(1)..).unwrap_or_default().to_vec();
        let (fs, through) = (self.fs.clone(), self.through);
        Ok(LogReader { fs, segments: segments.into_iter(), from: asked, through, open: None })
    }
}

/// Reads pieces of transactions in order. A transaction is whole at the piece that does not continue.
pub struct LogReader {
    fs: Arc<dyn Filesystem>,
    segments: std::vec::IntoIter<SegmentInfo>,
    from: u64,
    through: u64,
    open: Option<OpenSegment>,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "LogReader(from {})", self.from)
    }
}

struct OpenSegment {
    window: Window,
    walk: Walk,
    end: u32,
    commit: Option<Walked>,
    /// Bytes of the commit's body that have been read.
    consumed: usize,
}

impl LogReader {
    /// The next piece that holds effects numbered from where the reader began; `None` at the end of the view.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if what was sound when the log was opened is no longer; [`LogError::Io`].
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>, LogError> {
        let Some((commit, start)) = self.advance()? else { return Ok(None) };
        let Some(open) = self.open.as_mut() else { return Ok(None) };
        let body = body(&mut open.window, &commit)?;
        let mut rest = Reader::new(body.get(start..).unwrap_or_default());
        Ok(Piece::parse(&mut rest))
    }

    /// What it holds of the log, in bytes: at most a commit and what is read ahead of it.
    pub fn held_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.window.held_bytes())
    }

    /// Moves past the next piece that is wanted; returns its commit and where in the body it begins.
    fn advance(&mut self) -> Result<Option<(Walked, usize)>, LogError> {
        loop {
            let Some(open) = self.open.as_mut() else {
                let Some(info) = self.segments.next() else { return Ok(None) };
                self.open = Some(OpenSegment::new(&*self.fs, &info)?);
                continue;
            };
            if let Some((start, last_sequence)) = open.next_in_commit()? {
                if last_sequence < self.from {
                    continue;
                }
                if last_sequence > self.through {
                    self.segments = Vec::new().into_iter();
                    self.open = None;
                    return Ok(None);
                }
                return Ok(open.commit.map(|commit| (commit, start)));
            }
            if !open.next_commit()? {
                self.open = None;
            }
        }
    }
}

impl OpenSegment {
    fn new(fs: &dyn Filesystem, info: &SegmentInfo) -> Result<Self, LogError> {
        let name = segment::name(info.header.segment);
        let file = fs.open(&name).map_err(|error| LogError::io("opening", &name, error))?;
        let (window, walk) = (Window::new(file, name)?, Walk::new(&info.header));
        Ok(Self { window, walk, end: info.end, commit: None, consumed: 0 })
    }

    /// The start of the next piece in this commit and the number of its last effect.
    fn next_in_commit(&mut self) -> Result<Option<(usize, u64)>, LogError> {
        let Some(commit) = self.commit else { return Ok(None) };
        let start = self.consumed;
        let body = body(&mut self.window, &commit)?;
        let mut rest = Reader::new(body.get(start..).unwrap_or_default());
        let Some(piece) = Piece::parse(&mut rest) else { return Ok(None) };
        let last_sequence = piece.last_sequence();
        self.consumed = body.len().saturating_sub(rest.rest().len());
        Ok(Some((start, last_sequence)))
    }

    /// Goes on to the next commit; false at the end of the segment.
    fn next_commit(&mut self) -> Result<bool, LogError> {
        if self.walk.offset() >= self.end {
            return Ok(false);
        }
        let at = u64::from(self.walk.offset());
        self.consumed = 0;
        match self.walk.step(&mut self.window)? {
            Step::Commit(commit) => self.commit = Some(commit),
            Step::OutOfPlace => return Err(damage(self.window.name(), at, DamageKind::OutOfPlace).into()),
            Step::Nothing => {
                let kind = DamageKind::BelowDurable { durable: self.end };
                return Err(damage(self.window.name(), at, kind).into());
            }
        }
        Ok(true)
    }
}
