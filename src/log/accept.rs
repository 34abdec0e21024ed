//! Going on without what damage destroyed, when the operator says so: the normative text is `spec/log.md`, "Accepting
//! damage".
//!
//! ```text
//!   survey (reads only) ──▶ copy the cut segment aside ──▶ new segment, renamed ──▶ move the left out aside
//!                                                          └── from here on the damage is accepted; before it,
//!                                                              nothing of the log has changed
//! ```
//!
//! One rename decides. What a crash leaves to be moved is moved when the log is opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bytes::to_u32;
use super::commit::{CommitHead, complete};
use super::error::{Damage, LogError};
use super::format::{Identity, Seal, SegmentHeader};
use super::fs::{Filesystem, sync, sync_dir, write_all};
use super::judge::{Cut, Judge, SegmentInfo};
use super::limits::{BLOCK_BYTES, COMMIT_PREFIX_BYTES, EPOCH_GAP, FIRST_COMMIT_OFFSET, SEAL_OFFSET};
use super::options::Options;
use super::position::Location;
use super::recovery::{Carried, copy_transactions};
use super::salvage::Salvage;
use super::segment::{self, Spare};
use super::transaction::Piece;
use super::walk::{Step, Walk};
use super::window::Window;

/// The name of a copy before it is whole.
const COPY_NAME: &str = "copy.tmp";

/// The directory that what an acceptance leaves out is moved to, below the log's.
fn folder(epoch: u32) -> String {
    format!("lost-{epoch}")
}

/// A run of numbers, all of whose transactions can still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first number.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// How many transactions end in it.
    pub transactions: u64,
}

/// What accepting damage loses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The epoch that begins.
    pub epoch: u32,
    /// Everything up to this number is kept, by the log or by the store.
    pub kept_to: u64,
    /// The first number of the new epoch. None from `kept_to` to it will be used again.
    pub next_sequence: u64,
    /// Of what lay above `kept_to`: what can still be read, in order. All other numbers above it, as far as they were
    /// given out, are lost without a trace.
    pub readable: Vec<Run>,
    /// The number from which on the log still holds every change up to `kept_to`; above it, if it holds none.
    pub history_from: u64,
    /// The directory, below the log's, where the bytes are kept.
    pub folder: String,
    /// The files that are copied or moved there.
    pub files: Vec<String>,
}

/// What is to be done about damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mending {
    /// Only Seals are damaged; what they say is known from elsewhere. Nothing is lost.
    Seals,
    /// A part is lost.
    Loss(Loss),
}

/// A damaged log and what accepting the damage would do. Made by reading only.
pub struct Survey {
    /// What is wrong, the first of it.
    pub damage: Damage,
    /// What would be done.
    pub mending: Mending,
    /// Seals to write, again or at last, by their segments' numbers.
    bad_seals: Vec<(u32, Seal)>,
    kept: Option<Kept>,
    /// What the store holds, where the log's part of that is damaged.
    applied: u64,
    hlc: u64,
    /// The numbers of all files that are there.
    numbers: Vec<u32>,
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Survey")
            .field("damage", &self.damage)
            .field("mending", &self.mending)
            .finish_non_exhaustive()
    }
}

/// The segment in which the log is cut.
struct Kept {
    header: SegmentHeader,
    window: Window,
    /// The walk up to where it was proven to be durable.
    durable: Walk,
    /// Whole transactions behind that.
    cut: Option<Cut>,
    next_sequence: u64,
}

impl Survey {
    /// Looks at the log; `None` if it is not damaged. Writes nothing.
    ///
    /// # Errors
    /// [`LogError::NewerFormat`], [`LogError::Foreign`], [`LogError::Io`].
    pub fn of(fs: &Arc<dyn Filesystem>, options: &Options) -> Result<Option<Self>, LogError> {
        let (numbers, _) = segment::list(&**fs)?;
        let mut judge = Judge::new(&**fs, options.identity, options.applied);
        let damage = match judge.run(&numbers) {
            Ok(_) => return Ok(None),
            Err(LogError::Damaged(damage)) => damage,
            Err(error) => return Err(error),
        };
        Self::after(fs, options, &mut judge, damage, numbers).map(Some)
    }

    /// Looks at a log of which the store lacks a part that the log no longer has, or that is to begin a new epoch for
    /// another reason. `why` says which.
    fn after(
        fs: &Arc<dyn Filesystem>,
        options: &Options,
        judge: &mut Judge<'_>,
        damage: Damage,
        numbers: Vec<u32>,
    ) -> Result<Self, LogError> {
        let readable = std::mem::take(&mut judge.readable);
        let mut bad_seals = std::mem::take(&mut judge.bad_seals);
        bad_seals.extend(judge.unsealed);
        let is_seal = damage.kind == super::error::DamageKind::Seal;
        let kept = readable.last().map(|info| Kept::walk(&**fs, info)).transpose()?;
        let applied = options.applied;
        let kept = kept.filter(|kept| kept.next_sequence > applied);
        let mut survey =
            Self { damage, mending: Mending::Seals, bad_seals, kept, applied, hlc: judge.hlc, numbers };
        if !is_seal {
            let first = readable.first().map(|info| info.header);
            let loss = survey.loss(fs, options.identity, &judge.live, first)?;
            survey.mending = Mending::Loss(loss);
        }
        Ok(survey)
    }

    fn loss(
        &mut self,
        fs: &Arc<dyn Filesystem>,
        identity: Identity,
        live: &[u32],
        first: Option<SegmentHeader>,
    ) -> Result<Loss, LogError> {
        let kept_to = self.kept.as_ref().map_or(self.applied, |kept| kept.next_sequence.saturating_sub(1));
        // What it had carried on, and damage took from it, may still lie behind the segment before it.
        let from = self.kept.as_ref().map_or(Location::NONE, |kept| kept.header.prev);
        let mut salvage = Salvage::new(fs, live, from)?;
        let mut runs = Runs::new(kept_to);
        let mut highest = 0;
        let counted: Result<(), LogError> = salvage.for_each(|found| {
            highest = highest.max(found.piece.last_sequence());
            runs.take(&found.piece);
            Ok(())
        });
        counted?;
        self.hlc = self.hlc.max(salvage.hlc());
        let newest = self.newest_epoch(&**fs, live)?;
        // What is carried takes an epoch of its own: only where one begins may numbers be left out.
        let carries = u32::from(self.kept.as_ref().is_some_and(|kept| kept.cut.is_some()));
        let epoch = identity.epoch.max(newest).saturating_add(1).saturating_add(carries);
        let known = highest.max(kept_to);
        let epochs = epoch.saturating_sub(self.kept.as_ref().map_or(1, Kept::epoch));
        let next_sequence = known.saturating_add(u64::from(epochs).saturating_mul(EPOCH_GAP));
        let history_from = match (&self.kept, first) {
            (Some(_), Some(first)) => first.needs().saturating_add(1),
            _ => kept_to.saturating_add(1),
        };
        let end = self.kept.as_ref().map_or(0, |kept| kept.header.segment);
        let files =
            live.iter().filter(|&&number| number >= end).map(|&number| segment::name(number)).collect();
        Ok(Loss {
            epoch,
            kept_to,
            next_sequence,
            readable: runs.finish(),
            history_from,
            folder: folder(epoch),
            files,
        })
    }

    /// The highest epoch that any readable header names.
    fn newest_epoch(&self, fs: &dyn Filesystem, live: &[u32]) -> Result<u32, LogError> {
        let mut newest = 0;
        for &number in live {
            let name = segment::name(number);
            let file = fs.open(&name).map_err(|error| LogError::io("opening", &name, error))?;
            if let Ok(header) = SegmentHeader::parse(Window::new(file, name)?.block(0)?) {
                newest = newest.max(header.identity.epoch);
            }
        }
        Ok(newest)
    }

    /// Whether the store holds what the log cannot give any more, so that only what follows it is wanted of the log.
    pub fn is_below_applied(&self) -> bool {
        self.kept.is_none() && matches!(self.mending, Mending::Loss(_))
    }

    /// Carries it out. When this returns the log can be opened for writing; after a crash in here it is either damaged
    /// as before or accepted.
    ///
    /// # Errors
    /// [`LogError::DiskFull`], [`LogError::Io`]: look again with [`Survey::of`] once that is mended.
    pub fn carry_out(mut self, fs: &Arc<dyn Filesystem>, options: &mut Options) -> Result<Mending, LogError> {
        let (_, temporary) = segment::list(&**fs)?;
        segment::clean(&**fs, &temporary)?;
        for (number, seal) in &self.bad_seals {
            let name = segment::name(*number);
            let file = fs.open(&name).map_err(|error| LogError::io("opening", &name, error))?;
            segment::seal(&*file, *number, *seal)?;
        }
        if let Mending::Loss(loss) = &self.mending {
            let loss = loss.clone();
            if let Some(kept) = &mut self.kept {
                kept.copy_aside(&**fs, &loss.folder)?;
            }
            self.begin(&**fs, options, &loss)?;
            let kept = self.kept.as_ref().map_or(0, |kept| kept.header.segment);
            let left_out = self.numbers.iter().filter(|&&number| number > kept);
            for &number in left_out {
                set_aside(&**fs, number, &loss.folder)?;
            }
            sync_dir(&**fs)?;
        }
        Ok(self.mending)
    }

    /// Makes the first segment of the new epoch, and before it, if transactions are carried, one that holds them.
    fn begin(&mut self, fs: &dyn Filesystem, options: &mut Options, loss: &Loss) -> Result<(), LogError> {
        let mut segment = self.numbers.last().copied().unwrap_or(0).saturating_add(1);
        let mut from = match &self.kept {
            Some(kept) => (kept.end(), kept.durable.chain()),
            None => (Location::NONE, self.applied),
        };
        let carried = match self.kept.as_mut().filter(|kept| kept.cut.is_some()) {
            Some(kept) => Some(kept.carry(fs, options, loss, segment)?),
            None => None,
        };
        if let Some((_, header, chain)) = &carried {
            from = (Location { segment, offset: header.durable_end }, *chain);
            segment = segment.saturating_add(1);
        }
        let (prev, chain) = from;
        let spare = Spare::make(fs, options.hasty_bytes(), segment::HASTY_NAME)?;
        let salt = (options.salts)();
        let header = SegmentHeader {
            identity: Identity { epoch: loss.epoch, ..options.identity },
            first_sequence: loss.next_sequence,
            segment,
            bytes: spare.bytes(),
            salt,
            prev,
            chain,
            durable_end: self.note_clock(&spare, segment, salt, chain)?,
        };
        spare.install(fs, &header)?;
        // Without it the other is linked to nothing: nothing is accepted before both are there.
        if let Some((spare, header, _)) = carried {
            spare.install(fs, &header)?;
        }
        Ok(())
    }

    /// An empty commit that carries the highest clock of all that was there, so that none is given out twice. Returns
    /// where it ends.
    fn note_clock(&self, spare: &Spare, segment: u32, salt: u64, chain: u64) -> Result<u32, LogError> {
        let offset = FIRST_COMMIT_OFFSET;
        let mut commit = vec![0; COMMIT_PREFIX_BYTES];
        let durable_to = Location { segment, offset };
        complete(&mut commit, offset, &CommitHead { salt, durable_to, chain, hlc: self.hlc });
        spare.write(offset, &commit)?;
        Ok(offset.saturating_add(to_u32(commit.len())))
    }
}

impl Kept {
    fn walk(fs: &dyn Filesystem, info: &SegmentInfo) -> Result<Self, LogError> {
        let name = segment::name(info.header.segment);
        let file = fs.open(&name).map_err(|error| LogError::io("opening", &name, error))?;
        let mut window = Window::new(file, name)?;
        let is_sealed = Seal::parse(window.block(SEAL_OFFSET)?).is_some();
        let mut walk = Walk::new(&info.header);
        let mut kept = Self {
            header: info.header,
            durable: walk.clone(),
            cut: None,
            next_sequence: info.header.first_sequence,
            window,
        };
        while let Step::Commit(commit) = walk.step(&mut kept.window)? {
            let is_whole = walk.is_between_transactions();
            // A segment is sealed once all of it is durable; what a cut left behind it was carried on.
            if is_whole && (walk.offset() <= info.end || is_sealed) {
                kept.durable = walk.clone();
                kept.next_sequence = walk.next_sequence();
            } else if let Some(whole) = commit.whole {
                kept.next_sequence = whole.next_sequence;
                kept.cut = Some(Cut { offset: commit.offset, body_bytes: whole.bytes });
            }
        }
        // Whole transactions in a commit whose last one is not are carried, even from below the proven end.
        kept.cut = kept.cut.filter(|cut| cut.offset >= kept.durable.offset());
        Ok(kept)
    }

    fn end(&self) -> Location {
        Location { segment: self.header.segment, offset: self.durable.offset() }
    }

    const fn epoch(&self) -> u32 {
        self.header.identity.epoch
    }

    /// Frames what is carried anew, in a segment that has no name yet. Returns it, its header, the chain at its end.
    fn carry(
        &mut self,
        fs: &dyn Filesystem,
        options: &mut Options,
        loss: &Loss,
        segment: u32,
    ) -> Result<(Spare, SegmentHeader, u64), LogError> {
        let bytes = FIRST_COMMIT_OFFSET.saturating_add(self.carried_bytes());
        let spare = Spare::make(fs, bytes.max(options.hasty_bytes()), segment::REQUESTED_NAME)?;
        let salt = (options.salts)();
        let from = Carried { durable: &self.durable, cut: self.cut };
        let (durable_end, chain) = copy_transactions(&mut self.window, &from, &spare, segment, salt)?;
        let header = SegmentHeader {
            identity: Identity { epoch: loss.epoch.saturating_sub(1), ..options.identity },
            first_sequence: self.durable.next_sequence(),
            segment,
            bytes: spare.bytes(),
            salt,
            prev: self.end(),
            chain: self.durable.chain(),
            durable_end,
        };
        Ok((spare, header, chain))
    }

    fn carried_bytes(&self) -> u32 {
        let Some(cut) = self.cut else { return 0 };
        let commit = to_u32(cut.body_bytes).saturating_add(2 * BLOCK_BYTES);
        cut.offset.saturating_sub(self.durable.offset()).saturating_add(commit).next_multiple_of(BLOCK_BYTES)
    }

    /// Copies the file as it can be read: the log keeps what lies before the cut, and will trim it one day.
    fn copy_aside(&mut self, fs: &dyn Filesystem, folder: &str) -> Result<(), LogError> {
        let name = self.window.name().to_owned();
        let copy = fs.create(COPY_NAME).map_err(|error| LogError::io("creation", COPY_NAME, error))?;
        let mut offset = 0;
        while offset < self.window.length() {
            let block = self.window.block(offset)?;
            write_all(&*copy, COPY_NAME, offset, block)?;
            offset = offset.saturating_add(BLOCK_BYTES);
        }
        sync(&*copy, COPY_NAME)?;
        fs.set_aside(COPY_NAME, folder, &name).map_err(|error| LogError::io("moving", COPY_NAME, error))?;
        sync_dir(fs)
    }
}

/// Collects the transactions with numbers above `after` that can be read whole.
struct Runs {
    after: u64,
    /// First and last numbers of whole transactions; none overlap.
    whole: BTreeMap<u64, u64>,
    /// A transaction of which not all pieces came yet.
    begun: Option<Begun>,
}

struct Begun {
    first: u64,
    next: u64,
    node: [u8; 16],
    operation: u64,
}

impl Runs {
    const fn new(after: u64) -> Self {
        Self { after, whole: BTreeMap::new(), begun: None }
    }

    /// Takes the next piece, in the order in which they lie.
    fn take(&mut self, piece: &Piece<'_>) {
        let (node, operation) = (piece.head.node, piece.head.operation);
        let is_of = |begun: &Begun| {
            (begun.next, begun.node, begun.operation) == (piece.first_sequence, node, operation)
        };
        let first = match (piece.continued, self.begun.take()) {
            (false, _) => piece.first_sequence,
            (true, Some(begun)) if is_of(&begun) => begun.first,
            // Its beginning is lost.
            (true, _) => return,
        };
        if piece.continues {
            self.begun = Some(Begun { first, next: piece.next_sequence(), node, operation });
        } else {
            self.take_whole(first, piece.last_sequence());
        }
    }

    fn take_whole(&mut self, first: u64, last: u64) {
        if last <= self.after {
            return;
        }
        // What lies later was written later: it is the same, carried on, or took the numbers of what was cut.
        while let Some((&before, _)) =
            self.whole.range(..=last).next_back().filter(|&(_, &before_last)| before_last >= first)
        {
            self.whole.remove(&before);
        }
        self.whole.insert(first, last);
    }

    fn finish(self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (first, last) in self.whole {
            match runs.last_mut() {
                Some(run) if first == run.last.saturating_add(1) => {
                    run.last = last;
                    run.transactions = run.transactions.saturating_add(1);
                }
                _ => runs.push(Run { first, last, transactions: 1 }),
            }
        }
        runs
    }
}

fn set_aside(fs: &dyn Filesystem, number: u32, folder: &str) -> Result<(), LogError> {
    let name = segment::name(number);
    fs.set_aside(&name, folder, &name).map_err(|error| LogError::io("moving", &name, error))
}

/// Moves aside what an accepted damage left out and a crash left where it was.
pub(super) fn set_left_out_aside(
    fs: &dyn Filesystem,
    numbers: &[u32],
    live: &[u32],
    headers: &[SegmentHeader],
) -> Result<(), LogError> {
    let mut moved = false;
    for &number in numbers.iter().filter(|number| !live.contains(number)) {
        // The segment that left it out is the next one.
        let Some(next) = headers.iter().find(|header| header.segment > number) else { continue };
        set_aside(fs, number, &folder(next.identity.epoch))?;
        moved = true;
    }
    if moved { sync_dir(fs) } else { Ok(()) }
}
