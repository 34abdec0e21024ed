//! Reading a log as a crash left it and judging what it is: sound, torn at its end, or damaged. Writes nothing.

use super::error::{Damage, DamageKind, LogError};
use super::format::{HeaderFault, Identity, Seal, SegmentHeader};
use super::fs::Filesystem;
use super::limits::{BLOCK_BYTES, SEAL_OFFSET};
use super::segment;
use super::walk::{Scan, Step, Walk, scan};
use super::window::Window;

/// A segment and where its part of the log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    pub(crate) header: SegmentHeader,
    /// Up to where it belongs to the log and may be read.
    pub(crate) end: u32,
}

/// The last segment of a log that is not damaged.
pub(crate) struct LastSegment {
    pub(crate) header: SegmentHeader,
    pub(crate) window: Window,
    /// The walk as it stood at D: what some surviving head proves to have been durable.
    pub(crate) durable: Walk,
    /// The walk as it stood at p: the first block that holds no valid commit.
    pub(crate) end: Walk,
    /// The end of the last block that is not all zeros.
    pub(crate) last_used: u32,
    /// Where, from D on, whole transactions end.
    pub(crate) cut: Option<Cut>,
    /// Whether anything but empty commits lies between D and p.
    pub(crate) holds_transactions: bool,
    /// The number that follows the last whole transaction's.
    pub(crate) next_sequence: u64,
}

/// The end of the last whole transaction: in which commit, and how much of its body to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) offset: u32,
    pub(crate) body_bytes: usize,
}

/// Reads the segments in order. What it has accepted so far stays in `readable`, also when it then finds damage.
pub(crate) struct Judge<'a> {
    fs: &'a dyn Filesystem,
    identity: Identity,
    applied: u64,
    pub(crate) readable: Vec<SegmentInfo>,
    /// The highest clock of any commit met.
    pub(crate) hlc: u64,
    /// The numbers that belong to the log: all but those that an accepted damage left out.
    pub(crate) live: Vec<u32>,
    /// Segments whose successor is right and whose Seal is not, and what it should be.
    pub(crate) bad_seals: Vec<(u32, Seal)>,
    /// The last segment but one and its Seal, if that is not there: no damage, but whoever writes to the log writes it
    /// first, before another segment comes.
    pub(crate) unsealed: Option<(u32, Seal)>,
}

/// A segment's number, and the segment or why it is none.
type Found = (u32, Result<Opened, Damage>);

struct Opened {
    header: SegmentHeader,
    window: Window,
    /// Its file is not as long as it should be; what is there can still be read.
    fault: Option<Damage>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(fs: &'a dyn Filesystem, identity: Identity, applied: u64) -> Self {
        let (readable, live, bad_seals) = (Vec::new(), Vec::new(), Vec::new());
        Self { fs, identity, applied, readable, hlc: 0, live, bad_seals, unsealed: None }
    }

    /// Judges the segments with these numbers, ascending. The last one's `readable` end is left to the caller.
    pub(crate) fn run(&mut self, numbers: &[u32]) -> Result<LastSegment, LogError> {
        let (mut opened, fault) = self.open_all(numbers)?;
        let last = opened.pop();
        let mut opened = opened.into_iter().peekable();
        while let Some(sealed) = opened.next() {
            let successor = opened.peek().or(last.as_ref()).map(|next| next.header);
            let is_second_last = opened.peek().is_none() && fault.is_none();
            if let Some(successor) = successor {
                self.judge_sealed(sealed, &successor, is_second_last)?;
            }
        }
        let judged = match (last, fault) {
            (Some(last), None) => self.judge_last(last)?,
            (Some(mut last), Some(fault)) => {
                self.read_what_is_proven(&mut last)?;
                return Err(fault.into());
            }
            (None, fault) => {
                let fault = fault.unwrap_or_else(|| damage(&segment::name(1), 0, DamageKind::NoSegment));
                return Err(fault.into());
            }
        };
        match self.bad_seals.first() {
            None => Ok(judged),
            Some(&(number, _)) => {
                Err(damage(&segment::name(number), u64::from(SEAL_OFFSET), DamageKind::Seal).into())
            }
        }
    }

    /// Opens segments up to the first that is missing or has no valid header, which is the fault returned. Where what a
    /// store must hold is not there, nothing that follows may be read, whatever else is wrong behind it.
    fn open_all(&mut self, numbers: &[u32]) -> Result<(Vec<Opened>, Option<Damage>), LogError> {
        let (opened, fault) = self.open_in_order(numbers)?;
        if let Some(first) = opened.first().filter(|first| first.header.needs() > self.applied) {
            let kind =
                DamageKind::BeginsAboveApplied { first: first.header.first_sequence, applied: self.applied };
            return Err(damage(first.window.name(), 0, kind).into());
        }
        Ok((opened, fault))
    }

    fn open_in_order(&mut self, numbers: &[u32]) -> Result<(Vec<Opened>, Option<Damage>), LogError> {
        let mut found = self.open_live(numbers)?.into_iter().peekable();
        let mut opened: Vec<Opened> = Vec::new();
        while let Some((number, segment)) = found.next() {
            let before = opened.last().map(|before| before.header);
            let header = segment.as_ref().ok().map(|segment| segment.header);
            if let Some(before) = before
                && let Some(fault) = order_fault(&before, number, header.as_ref())
            {
                return Ok((opened, Some(fault)));
            }
            let mut segment = match segment {
                Ok(segment) => segment,
                Err(fault) => return Ok((opened, Some(fault))),
            };
            // What an acceptance cut is known to be damaged behind the cut.
            let is_cut = found.peek().and_then(|(_, next)| next.as_ref().ok());
            let is_cut = is_cut.is_some_and(|next| next.header.begins_epoch_after(&segment.header));
            let fault = segment.fault.take().filter(|_| !is_cut);
            opened.push(segment);
            if fault.is_some() {
                return Ok((opened, fault));
            }
        }
        Ok((opened, None))
    }

    /// Opens all segments but those that an accepted damage left out: each header says where the log comes from, and
    /// what lies between does not count.
    fn open_live(&mut self, numbers: &[u32]) -> Result<Vec<Found>, LogError> {
        let mut found = Vec::new();
        let mut highest = u32::MAX;
        for &number in numbers.iter().rev() {
            if number > highest {
                continue;
            }
            let segment = match self.open(number) {
                Ok(segment) => {
                    highest = segment.header.prev.segment;
                    Ok(segment)
                }
                Err(LogError::Damaged(fault)) => Err(fault),
                Err(error) => return Err(error),
            };
            found.push((number, segment));
        }
        found.reverse();
        self.live = found.iter().map(|(number, _)| *number).collect();
        Ok(found)
    }

    fn open(&self, number: u32) -> Result<Opened, LogError> {
        let name = segment::name(number);
        let file = self.fs.open(&name).map_err(|error| LogError::io("opening", &name, error))?;
        let found = file.length().map_err(|error| LogError::io("length", &name, error))?;
        let mut window = Window::new(file, name.clone())?;
        let header = match SegmentHeader::parse(window.block(0)?) {
            Ok(header) if header.segment == number => header,
            Ok(_) | Err(HeaderFault::Invalid) => return Err(damage(&name, 0, DamageKind::Header).into()),
            Err(HeaderFault::Newer(format)) => {
                return Err(LogError::NewerFormat { file: name, found: format });
            }
        };
        // Many segments may be open until their turn comes.
        window.release();
        let Identity { database, partition, .. } = header.identity;
        if (database, partition) != (self.identity.database, self.identity.partition) {
            return Err(LogError::Foreign { file: name });
        }
        let expected = u64::from(header.bytes);
        let fault = (found != expected)
            .then(|| damage(&name, found.min(expected), DamageKind::Length { found, expected }));
        Ok(Opened { header, window, fault })
    }

    /// A sealed segment must walk exactly to where its successor says that it begins. What lies beyond is a cut tail.
    fn judge_sealed(
        &mut self,
        mut sealed: Opened,
        successor: &SegmentHeader,
        is_second_last: bool,
    ) -> Result<(), LogError> {
        let name = segment::name(sealed.header.segment);
        // An acceptance cut it where it was damaged; what its Seal names is left out.
        let is_cut = successor.begins_epoch_after(&sealed.header);
        let expected = Seal { successor: successor.segment, salt: successor.salt };
        match Seal::parse(sealed.window.block(SEAL_OFFSET)?) {
            _ if is_cut => {}
            Some(seal) if seal == expected => {}
            // The crash may have come before it was written.
            None if is_second_last => self.unsealed = Some((sealed.header.segment, expected)),
            _ => self.bad_seals.push((sealed.header.segment, expected)),
        }
        let mut walk = Walk::new(&sealed.header);
        let mut whole_to = walk.offset();
        while walk.offset() < successor.prev.offset {
            let step = walk.step(&mut sealed.window)?;
            if let Step::Nothing | Step::OutOfPlace = step {
                self.readable.push(SegmentInfo { header: sealed.header, end: whole_to });
                let durable = successor.prev.offset;
                return Err(damage(&name, u64::from(walk.offset()), unexpected(step, durable)).into());
            }
            if walk.is_between_transactions() {
                whole_to = walk.offset();
            }
        }
        self.hlc = self.hlc.max(walk.hlc());
        self.readable.push(SegmentInfo { header: sealed.header, end: whole_to.min(successor.prev.offset) });
        let is_linked = walk.offset() == successor.prev.offset
            && walk.chain() == successor.chain
            && walk.is_between_transactions()
            && match is_cut {
                true => walk.next_sequence() <= successor.first_sequence,
                false => walk.next_sequence() == successor.first_sequence,
            };
        if is_linked {
            Ok(())
        } else {
            Err(damage(&segment::name(successor.segment), 0, DamageKind::Unlinked).into())
        }
    }

    fn judge_last(&mut self, last: Opened) -> Result<LastSegment, LogError> {
        let Opened { header, mut window, fault } = last;
        let name = window.name().to_owned();
        if window.block(SEAL_OFFSET)?.iter().any(|&byte| byte != 0) {
            self.read_what_is_proven(&mut Opened { header, window, fault })?;
            let missing = segment::name(header.segment.saturating_add(1));
            return Err(damage(&missing, 0, DamageKind::MissingSegment).into());
        }
        let scanned = scan(&mut window, &header)?;
        let (found, stopped_at) = walk_last(&mut window, &header, scanned)?;
        self.hlc = self.hlc.max(found.end.hlc());
        let at = u64::from(found.end.offset());
        let fault = match (&found.durable, stopped_at) {
            (_, Step::OutOfPlace) => Some(damage(&name, at, DamageKind::OutOfPlace)),
            _ if found.end.offset() < scanned.durable => {
                Some(damage(&name, at, DamageKind::BelowDurable { durable: scanned.durable }))
            }
            (None, _) => Some(damage(&name, u64::from(scanned.durable), DamageKind::OutOfPlace)),
            (Some(_), _) => self.ends_early(&header, found.next_sequence).map(|kind| damage(&name, at, kind)),
        };
        match (fault, found.durable) {
            (None, Some(durable)) => {
                self.readable.push(SegmentInfo { header, end: durable.offset() });
                Ok(LastSegment {
                    header,
                    window,
                    durable,
                    end: found.end,
                    last_used: scanned.last_used,
                    cut: found.cut,
                    holds_transactions: found.holds_transactions,
                    next_sequence: found.next_sequence,
                })
            }
            (fault, _) => {
                self.readable.push(SegmentInfo { header, end: found.proven_to });
                Err(fault.unwrap_or_else(|| damage(&name, at, DamageKind::OutOfPlace)).into())
            }
        }
    }

    fn ends_early(&self, header: &SegmentHeader, next_sequence: u64) -> Option<DamageKind> {
        let (end, applied) = (next_sequence.saturating_sub(1), self.applied);
        let (found, expected) = (header.identity.epoch, self.identity.epoch);
        if found < expected {
            return Some(DamageKind::EndsBelowEpoch { found, expected });
        }
        (end < applied).then_some(DamageKind::EndsBelowApplied { end, applied })
    }

    /// Of a segment whose successor is lost: what its own heads prove to have been durable.
    fn read_what_is_proven(&mut self, last: &mut Opened) -> Result<(), LogError> {
        let scanned = scan(&mut last.window, &last.header)?;
        let (found, _) = walk_last(&mut last.window, &last.header, scanned)?;
        self.readable.push(SegmentInfo { header: last.header, end: found.proven_to });
        Ok(())
    }
}

/// What is wrong with the segment `number` coming after `before`, as far as its header says.
fn order_fault(before: &SegmentHeader, number: u32, header: Option<&SegmentHeader>) -> Option<Damage> {
    if header.is_some_and(|header| header.begins_epoch_after(before)) {
        return None;
    }
    let expected = before.segment.saturating_add(1);
    if number != expected {
        return Some(damage(&segment::name(expected), 0, DamageKind::MissingSegment));
    }
    let is_next = |header: &SegmentHeader| {
        header.identity.epoch == before.identity.epoch && header.prev.segment == before.segment
    };
    let is_unlinked = header.is_some_and(|header| !is_next(header));
    is_unlinked.then(|| damage(&segment::name(number), 0, DamageKind::Unlinked))
}

/// What walking the last segment finds.
struct LastWalk {
    durable: Option<Walk>,
    end: Walk,
    cut: Option<Cut>,
    holds_transactions: bool,
    next_sequence: u64,
    /// Up to where transactions are whole and lie below the durable mark.
    proven_to: u32,
}

fn walk_last(
    window: &mut Window,
    header: &SegmentHeader,
    scanned: Scan,
) -> Result<(LastWalk, Step), LogError> {
    let mut walk = Walk::new(header);
    let mut found = LastWalk {
        durable: None,
        end: walk.clone(),
        cut: None,
        holds_transactions: false,
        next_sequence: header.first_sequence,
        proven_to: walk.offset(),
    };
    loop {
        if walk.is_between_transactions() && walk.offset() <= scanned.durable {
            found.proven_to = walk.offset();
            if walk.offset() == scanned.durable {
                found.durable = Some(walk.clone());
            }
        }
        let step = walk.step(window)?;
        let Step::Commit(commit) = step else {
            found.end = walk;
            return Ok((found, step));
        };
        if let Some(whole) = commit.whole {
            found.next_sequence = whole.next_sequence;
        }
        if commit.offset >= scanned.durable {
            found.holds_transactions |= !commit.is_empty;
            if let Some(whole) = commit.whole {
                found.cut = Some(Cut { offset: commit.offset, body_bytes: whole.bytes });
            }
        }
    }
}

fn unexpected(step: Step, durable: u32) -> DamageKind {
    match step {
        Step::OutOfPlace => DamageKind::OutOfPlace,
        Step::Nothing | Step::Commit(_) => DamageKind::BelowDurable { durable },
    }
}

pub(crate) fn damage(file: &str, offset: u64, kind: DamageKind) -> Damage {
    debug_assert!(offset.is_multiple_of(u64::from(BLOCK_BYTES)) || matches!(kind, DamageKind::Length { .. }));
    Damage { file: file.to_owned(), offset, kind }
}
