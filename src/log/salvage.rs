//! What can still be read of a damaged log, whatever lies before it.
//!
//! A walk ends at the first damage. A salvage looks at every block for a commit of the segment, takes what is whole,
//! and goes on: what it finds was written by this log, since it has the salt and two checksums, but what came before it may
//! be gone. It serves two ends: to list what an acceptance of damage loses, and to bring a store that stands behind
//! the damage to the end of what follows it without a gap.

use std::collections::VecDeque;
use std::sync::Arc;

use super::bytes::{Reader, round_to_block, to_u32};
use super::commit::{check_frame, find_head};
use super::error::LogError;
use super::format::{Seal, SegmentHeader};
use super::fs::Filesystem;
use super::limits::{BLOCK_BYTES, COMMIT_PREFIX_BYTES, FIRST_COMMIT_OFFSET, SEAL_OFFSET};
use super::position::Location;
use super::segment;
use super::transaction::Piece;
use super::walk::scan;
use super::window::Window;

/// A piece of a transaction that was found.
#[derive(Debug, Clone, Copy)]
pub struct Salvaged<'a> {
    /// It.
    pub piece: Piece<'a>,
    /// Whether it lies where the log certainly went on, and not perhaps in a tail that a recovery had cut.
    pub is_linked: bool,
}

/// Reads what is whole in a log's segments, in order.
pub struct Salvage {
    segments: VecDeque<Source>,
    /// The highest clock of any commit met.
    hlc: u64,
}

/// A segment, or what is known of one.
struct Source {
    window: Window,
    salt: u64,
    /// Where to begin.
    from: u32,
    /// Up to where its commits are certainly the log's.
    linked_to: u32,
    /// Where to stop.
    to: u32,
}

impl std::fmt::Debug for Salvage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Salvage({} segments)", self.segments.len())
    }
}

impl Salvage {
    /// Of the segments with these numbers, ascending, everything from `from` on.
    pub(crate) fn new(fs: &Arc<dyn Filesystem>, numbers: &[u32], from: Location) -> Result<Self, LogError> {
        let mut segments = VecDeque::new();
        let mut successor: Option<SegmentHeader> = None;
        let mut is_last = true;
        // What an accepted damage left out does not count.
        let mut highest = u32::MAX;
        for &number in numbers.iter().rev().take_while(|&&number| number >= from.segment) {
            if number > highest {
                continue;
            }
            let mut window = open(&**fs, number)?;
            let header =
                SegmentHeader::parse(window.block(0)?).ok().filter(|header| header.segment == number);
            let salt = match &header {
                Some(header) => {
                    highest = header.prev.segment;
                    Some(header.salt)
                }
                None => salt_in_seal(&**fs, number)?,
            };
            let Some(salt) = salt else {
                (successor, is_last) = (None, false);
                continue;
            };
            let end = window.length();
            let linked_to = match (&successor, &header) {
                (Some(next), _) if next.prev.segment == number => next.prev.offset,
                (None, _) if is_last => end,
                (_, Some(header)) => scan(&mut window, header)?.durable,
                _ => FIRST_COMMIT_OFFSET,
            };
            // Behind it may lie a tail that a recovery cut, whole or in part carried on; behind an accepted damage
            // lies what was given up.
            let is_cut = |next: &SegmentHeader| header.is_some_and(|header| next.begins_epoch_after(&header));
            let to = if successor.as_ref().is_some_and(is_cut) { linked_to } else { end };
            let from = if number == from.segment { from.offset } else { FIRST_COMMIT_OFFSET };
            window.release();
            segments.push_front(Source { window, salt, from, linked_to, to });
            (successor, is_last) = (header, false);
        }
        Ok(Self { segments, hlc: 0 })
    }

    /// The highest clock of any commit met so far.
    pub(crate) const fn hlc(&self) -> u64 {
        self.hlc
    }

    /// Hands every piece that is there to `take`, in the order in which they lie. Numbers rise, but for what a
    /// recovery carried on, which may come twice.
    ///
    /// # Errors
    /// [`LogError::Io`], but not for sectors that cannot be read; and those of `take`.
    pub fn for_each<E: From<LogError>>(
        &mut self,
        mut take: impl FnMut(Salvaged<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(mut source) = self.segments.pop_front() {
            let mut offset = source.from;
            while offset < source.to {
                let at = offset;
                offset = offset.saturating_add(BLOCK_BYTES);
                let Some((frame_bytes, hlc)) = source.frame_at(at)? else { continue };
                self.hlc = self.hlc.max(hlc);
                let is_linked = at < source.linked_to;
                let Some((body, _)) = check_frame(source.window.get(at, frame_bytes)?) else { continue };
                let mut reader = Reader::new(body);
                while let Some(piece) = Piece::parse(&mut reader) {
                    take(Salvaged { piece, is_linked })?;
                }
                offset = at.saturating_add(to_u32(round_to_block(frame_bytes)));
            }
        }
        Ok(())
    }
}

impl Source {
    /// How long the frame of this segment is that begins at `offset`, and its clock.
    fn frame_at(&mut self, offset: u32) -> Result<Option<(usize, u64)>, LogError> {
        let found = find_head(self.window.get(offset, COMMIT_PREFIX_BYTES)?, self.salt);
        let is_here = |block: u32| block == offset / BLOCK_BYTES;
        let Some(found) = found.filter(|found| is_here(found.block)) else { return Ok(None) };
        let frame = self.window.get(offset, found.frame_bytes)?;
        let is_whole = frame.len() == found.frame_bytes && check_frame(frame).is_some();
        Ok(is_whole.then_some((found.frame_bytes, found.head.hlc)))
    }
}

fn open(fs: &dyn Filesystem, number: u32) -> Result<Window, LogError> {
    let name = segment::name(number);
    let file = fs.open(&name).map_err(|error| LogError::io("opening", &name, error))?;
    Window::new(file, name)
}

/// The salt of a segment whose header is lost, as its predecessor's Seal has it.
fn salt_in_seal(fs: &dyn Filesystem, number: u32) -> Result<Option<u64>, LogError> {
    let Some(before) = number.checked_sub(1) else { return Ok(None) };
    let mut window = match open(fs, before) {
        Ok(window) => window,
        Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let seal = Seal::parse(window.block(SEAL_OFFSET)?).filter(|seal| seal.successor == number);
    Ok(seal.map(|seal| seal.salt))
}
