//! Opening a log after whatever happened to it: judge what is there, then make what may be read durable first.
//!
//! The rule is `spec/log.md`'s. Nothing is cut off or overwritten: a torn tail stays where it is, in a segment that is
//! sealed before it, and the whole transactions in front of it are carried into a new one.

use std::sync::Arc;

use super::bytes::to_u32;
use super::commit::{CommitHead, complete};
use super::error::{Damage, LogError};
use super::format::{Seal, SegmentHeader};
use super::fs::{Filesystem, sync, write_all};
use super::judge::{Judge, LastSegment, SegmentInfo};
use super::limits::{BLOCK_BYTES, COMMIT_PREFIX_BYTES, FIRST_COMMIT_OFFSET};
use super::options::Options;
use super::position::Location;
use super::reader::LogView;
use super::room;
use super::segment::{self, Spare};
use super::walk::{Step, body};
use super::writer::{Active, Log};

/// What became of opening a log.
#[derive(Debug)]
pub enum Opened {
    /// It goes on. Everything that it shows is on stable storage.
    ReadWrite(Box<Log>, Report),
    /// It is damaged: it is left exactly as it is, and what is proven to be whole can be read.
    ReadOnly(LogView, Damage),
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How many segments there were.
    pub segments: usize,
    /// The last sequence number that is there, 0 if none is.
    pub last_sequence: u64,
    /// The highest hybrid logical clock of any commit: the clock must not fall behind it.
    pub hlc: u64,
    /// What the end looked like.
    pub tail: Tail,
    /// Whether the disk has no room for more: the log reads, and goes on when there is.
    pub lacks_room: bool,
}

/// How a log ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// Everything in it was whole and vouched for; it goes on in the same segment.
    Clean,
    /// The last batch was not vouched for: its whole transactions, if any, were carried into a new segment. If
    /// anything else was there it lies between the two offsets, untouched, and will be ignored from now on.
    Unvouched {
        /// The file.
        file: String,
        /// Where the first block that holds no commit begins.
        from: u32,
        /// The end of the last block that is not zeros; not above `from` if there was nothing else.
        to: u32,
    },
}

/// Opens a log: `spec/log.md`, "Recovery".
pub(super) fn open(fs: Arc<dyn Filesystem>, mut options: Options) -> Result<Opened, LogError> {
    let (numbers, temporary) = segment::list(&*fs)?;
    let mut judge = Judge::new(&*fs, options.identity, options.applied);
    let mut last = match judge.run(&numbers) {
        Ok(last) => last,
        Err(LogError::Damaged(damage)) => {
            let readable = std::mem::take(&mut judge.readable);
            return Ok(Opened::ReadOnly(LogView::new(fs, readable), damage));
        }
        Err(error) => return Err(error),
    };
    let mut segments = std::mem::take(&mut judge.readable);
    segment::clean(&*fs, &temporary)?;
    let before_last = segments.iter().rev().nth(1).map(|info| info.header);
    if let Some(before) = before_last {
        seal_again(&*fs, &before, &last.header)?;
    }
    let is_clean = !last.holds_transactions && last.last_used <= last.end.offset();
    let report = Report {
        segments: numbers.len(),
        last_sequence: last.next_sequence.saturating_sub(1),
        hlc: judge.hlc,
        tail: if is_clean { Tail::Clean } else { last.torn_tail() },
        lacks_room: false,
    };
    let next_sequence = last.next_sequence;
    options.segment_bytes = room::segment_bytes(&*fs, options.segment_bytes);
    let carried = if is_clean { None } else { Some(carry(&*fs, &mut options, &mut last)) };
    let active = match carried {
        Some(Ok(active)) => {
            segments.push(SegmentInfo { header: active.header, end: active.offset });
            active
        }
        Some(Err(LogError::DiskFull)) => {
            let active = go_on_in_place(&mut last, &mut segments)?;
            let log = Log::new(fs, options, segments, active, next_sequence).with_uncarried(last);
            return Ok(Opened::ReadWrite(Box::new(log), Report { lacks_room: true, ..report }));
        }
        Some(Err(error)) => return Err(error),
        None => go_on_in_place(&mut last, &mut segments)?,
    };
    drop(last);
    let log = Log::new(fs, options, segments, active, next_sequence);
    let lacks_room = log.lacks_room();
    Ok(Opened::ReadWrite(Box::new(log), Report { lacks_room, ..report }))
}

/// Makes what is there up to p durable, where it is, so that it may be shown. If it holds transactions that nothing
/// vouches for, nothing may be written behind it.
fn go_on_in_place(last: &mut LastSegment, segments: &mut [SegmentInfo]) -> Result<Active, LogError> {
    rewrite(last)?;
    if let Some(info) = segments.last_mut() {
        info.end = last.end.offset();
    }
    let (offset, chain) = (last.end.offset(), last.end.chain());
    Ok(Active { header: last.header, file: last.window.file().clone(), offset, chain })
}

impl LastSegment {
    fn torn_tail(&self) -> Tail {
        let file = segment::name(self.header.segment);
        Tail::Unvouched { file, from: self.end.offset(), to: self.last_used }
    }
}

/// The crash may have come between a segment's installation and the Seal before it, or that Seal's sync may have
/// failed: writes the same bytes again.
fn seal_again(fs: &dyn Filesystem, before: &SegmentHeader, last: &SegmentHeader) -> Result<(), LogError> {
    let name = segment::name(before.segment);
    let file = fs.open(&name).map_err(|error| LogError::io("opening", &name, error))?;
    segment::seal(&*file, before.segment, Seal { successor: last.segment, salt: last.salt })
}

/// Commits that nothing vouches for may lie in the page cache alone, marked clean by a failed sync: only writing them
/// again makes a sync mean something.
fn rewrite(last: &mut LastSegment) -> Result<(), LogError> {
    let name = last.window.name().to_owned();
    let file = last.window.file().clone();
    let mut offset = last.durable.offset();
    while offset < last.end.offset() {
        let block = last.window.block(offset)?;
        write_all(&*file, &name, offset, block)?;
        offset = offset.saturating_add(BLOCK_BYTES);
    }
    if offset > last.durable.offset() { sync(&*file, &name) } else { Ok(()) }
}

/// Bytes of the segment that the log's end is carried into.
pub(super) fn carried_bytes(last: &LastSegment, options: &Options) -> u32 {
    let carried_bytes = last.end.offset().saturating_sub(last.durable.offset());
    FIRST_COMMIT_OFFSET.saturating_add(carried_bytes).max(options.hasty_bytes())
}

/// Carries the whole transactions from D on into a new segment, then seals the old one at D.
///
/// # Errors
/// [`LogError::DiskFull`], with nothing changed; [`LogError::Io`].
pub(super) fn carry(
    fs: &dyn Filesystem,
    options: &mut Options,
    last: &mut LastSegment,
) -> Result<Active, LogError> {
    let bytes = carried_bytes(last, options);
    let segment = last.header.segment.saturating_add(1);
    let spare = Spare::make(fs, bytes, segment::HASTY_NAME)?;
    let (salt, first_sequence, chain) =
        ((options.salts)(), last.durable.next_sequence(), last.durable.chain());
    let (offset, chain_after) = copy_transactions(last, &spare, segment, salt, chain)?;
    let header = SegmentHeader {
        identity: options.identity,
        first_sequence,
        segment,
        bytes: spare.bytes(),
        salt,
        prev: Location { segment: last.header.segment, offset: last.durable.offset() },
        chain,
        durable_end: offset,
    };
    let file = spare.install(fs, &header)?;
    let seal = Seal { successor: header.segment, salt };
    segment::seal(&**last.window.file(), last.header.segment, seal)?;
    Ok(Active { header, file, offset, chain: chain_after })
}

/// Frames the whole transactions from D on anew. Returns where they end in `spare`, and the chain there.
fn copy_transactions(
    last: &mut LastSegment,
    spare: &Spare,
    segment: u32,
    salt: u64,
    mut chain: u64,
) -> Result<(u32, u64), LogError> {
    let mut offset = FIRST_COMMIT_OFFSET;
    let durable_to = Location { segment, offset };
    let mut walk = last.durable.clone();
    let Some(cut) = last.cut else { return Ok((offset, chain)) };
    while walk.offset() <= cut.offset {
        let Step::Commit(commit) = walk.step(&mut last.window)? else { break };
        let body = body(&mut last.window, &commit)?;
        let keep = if commit.offset == cut.offset { cut.body_bytes } else { body.len() };
        let body = body.get(..keep).unwrap_or(body);
        if body.is_empty() {
            continue;
        }
        let mut buffer = vec![0; COMMIT_PREFIX_BYTES];
        buffer.extend(body);
        chain = complete(&mut buffer, offset, &CommitHead { salt, durable_to, chain, hlc: commit.head.hlc });
        spare.write(offset, &buffer)?;
        offset = offset.saturating_add(to_u32(buffer.len()));
    }
    Ok((offset, chain))
}
