//! The log: appending batches, rotating segments, trimming them.
//!
//! ```text
//!            write            sync             finish
//!   idle ────────────▶ written ────▶ synced ───────────▶ idle
//!    │                    └───────────┴── any error, or dropped on the way ──▶ poisoned: nothing is written any more
//!    └─ tick / close: an empty commit vouches for the last batch
//! ```
//!
//! One batch is in flight at a time. The caller acknowledges and publishes after `finish`, in order.

use std::sync::Arc;
use std::time::Duration;

use super::batch::Batch;
use super::bytes::{to_u32, to_usize};
use super::commit::{CommitHead, complete};
use super::error::LogError;
use super::format::{Identity, Seal, SegmentHeader};
use super::fs::{File, Filesystem, sync, sync_dir, write_all};
use super::judge::{LastSegment, SegmentInfo};
use super::limits::{BLOCK_BYTES, FIRST_COMMIT_OFFSET, IDLE_AFTER};
use super::options::{Moment, Options};
use super::position::{Location, Position};
use super::reader::LogView;
use super::recovery::{self, Opened};
use super::room::{self, Need, Room};
use super::segment::{self, Spare, SpareRequest};

/// The segment that is written to, and where.
pub(crate) struct Active {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn File>,
    pub(crate) offset: u32,
    pub(crate) chain: u64,
}

/// A log that is open for writing.
pub struct Log {
    fs: Arc<dyn Filesystem>,
    options: Options,
    /// All segments, the active one last.
    segments: Vec<SegmentInfo>,
    active: Active,
    next_sequence: u64,
    spare: Option<Spare>,
    spare_requested: bool,
    room: Room,
    /// The end of the log as a crash left it, while there is no room for the segment that it must be carried into:
    /// until then nothing is written.
    uncarried: Option<Box<LastSegment>>,
    /// When the last batch was written, if no later frame vouches for it.
    unvouched_since: Option<Duration>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    InFlight,
    Poisoned,
}

/// A batch that was written and not yet synced. [`Unsynced::sync`] may run on any thread.
#[must_use = "the batch is not durable before it is synced"]
pub struct Unsynced {
    file: Arc<dyn File>,
    segment: u32,
}

/// Proof that the batch in flight was synced.
#[must_use = "the log takes no other batch before it knows of this one"]
#[derive(Debug)]
pub struct Synced(());

impl Unsynced {
    /// Syncs the batch.
    ///
    /// # Errors
    /// [`LogError::Io`], to be handed to [`Log::finish`] all the same.
    pub fn sync(self) -> Result<Synced, LogError> {
        sync(&*self.file, &segment::name(self.segment)).map(Synced)
    }
}

impl std::fmt::Debug for Unsynced {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Unsynced(segment {})", self.segment)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Log")
            .field("segments", &self.segments.len())
            .field("end", &Location { segment: self.active.header.segment, offset: self.active.offset })
            .field("next_sequence", &self.next_sequence)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Makes a new, empty log. A crash in here leaves nothing, or an empty log.
    ///
    /// # Errors
    /// [`LogError::Exists`] if there is one; [`LogError::DiskFull`]; [`LogError::Io`].
    pub fn create(fs: Arc<dyn Filesystem>, mut options: Options) -> Result<Self, LogError> {
        let (numbers, temporary) = segment::list(&*fs)?;
        if !numbers.is_empty() {
            return Err(LogError::Exists);
        }
        segment::clean(&*fs, &temporary)?;
        options.segment_bytes = room::segment_bytes(&*fs, options.segment_bytes);
        let spare = Spare::make(&*fs, options.hasty_bytes(), segment::HASTY_NAME)?;
        let header = SegmentHeader {
            identity: options.identity,
            first_sequence: 1,
            segment: 1,
            bytes: spare.bytes(),
            salt: (options.salts)(),
            prev: Location::NONE,
            chain: 0,
            durable_end: FIRST_COMMIT_OFFSET,
        };
        let file = spare.install(&*fs, &header)?;
        let active = Active { header, file, offset: FIRST_COMMIT_OFFSET, chain: 0 };
        let segments = vec![SegmentInfo { header, end: FIRST_COMMIT_OFFSET }];
        Ok(Self::new(fs, options, segments, active, 1))
    }

    /// Opens the log that is there, whatever happened to it.
    ///
    /// # Errors
    /// Not for damage, which makes it [`Opened::ReadOnly`]. [`LogError::NewerFormat`], [`LogError::Foreign`],
    /// [`LogError::DiskFull`], [`LogError::Io`]: nothing can be said of the log, try again when that is mended.
    pub fn open(fs: Arc<dyn Filesystem>, options: Options) -> Result<Opened, LogError> {
        recovery::open(fs, options)
    }

    pub(crate) fn new(
        fs: Arc<dyn Filesystem>,
        options: Options,
        segments: Vec<SegmentInfo>,
        active: Active,
        next_sequence: u64,
    ) -> Self {
        let room = Room::of(&*fs);
        Self {
            fs,
            options,
            segments,
            active,
            next_sequence,
            spare: None,
            spare_requested: false,
            room,
            uncarried: None,
            unvouched_since: None,
            state: State::Idle,
        }
    }

    /// The same, while the end of the log waits to be carried into a new segment.
    pub(crate) fn with_uncarried(mut self, last: LastSegment) -> Self {
        self.uncarried = Some(Box::new(last));
        self
    }

    /// The number that the next effect will have.
    pub const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The position of the effect with this number.
    pub const fn position(&self, sequence: u64) -> Position {
        let Identity { epoch, partition, .. } = self.options.identity;
        Position { epoch, partition, sequence }
    }

    /// The oldest sequence number held.
    pub fn first_sequence(&self) -> u64 {
        self.segments.first().map_or(self.next_sequence, |info| info.header.first_sequence)
    }

    /// What can be read now: everything durable.
    pub fn view(&self) -> LogView {
        let view = LogView::new(self.fs.clone(), self.segments.clone());
        match self.uncarried {
            Some(_) => view.through(self.next_sequence.saturating_sub(1)),
            None => view,
        }
    }

    /// Makes sure that a batch of so many bytes, see [`Batch::segment_bytes`], can be written without making a file.
    ///
    /// # Errors
    /// [`LogError::DiskFull`]: there is no room for `bytes` more; nothing has changed and nothing is lost.
    /// [`LogError::Io`] and [`LogError::Poisoned`]: end the process.
    pub fn reserve(&mut self, bytes: usize, need: Need) -> Result<(), LogError> {
        if self.state == State::Poisoned {
            return Err(LogError::Poisoned);
        }
        let reserved = self.try_reserve(bytes, need);
        self.poison_on_failure(reserved)
    }

    /// Whether there is no room for what stores more, as far as is known.
    pub(crate) const fn lacks_room(&self) -> bool {
        self.uncarried.is_some() || self.room.is_in_reserve()
    }

    fn try_reserve(&mut self, bytes: usize, need: Need) -> Result<(), LogError> {
        self.carry(need)?;
        if self.room.is_in_reserve() && need == Need::Growth {
            if !self.room.allows(&*self.fs, 0, need) {
                return Err(LogError::DiskFull);
            }
            self.room.note(&*self.fs);
        }
        if self.has_room(bytes) { Ok(()) } else { self.make_spare(bytes, need) }
    }

    /// Carries the end of the log into a new segment, if there was no room for that when it was opened.
    fn carry(&mut self, need: Need) -> Result<(), LogError> {
        let Some(mut last) = self.uncarried.take() else { return Ok(()) };
        let bytes = recovery::carried_bytes(&last, &self.options);
        let carried = if self.room.allows(&*self.fs, bytes, need) {
            recovery::carry(&*self.fs, &mut self.options, &mut last)
        } else {
            Err(LogError::DiskFull)
        };
        match carried {
            Ok(active) => {
                if let Some(info) = self.segments.last_mut() {
                    info.end = last.durable.offset();
                }
                self.segments.push(SegmentInfo { header: active.header, end: active.offset });
                self.active = active;
                self.room.note(&*self.fs);
                Ok(())
            }
            Err(error) => {
                self.uncarried = Some(last);
                Err(error)
            }
        }
    }

    /// The next segment, if it should be made now beside the log's work, so that rotation needs not wait for it: when
    /// the active one is half full.
    pub fn request_spare(&mut self) -> Option<SpareRequest> {
        let is_wanted = self.spare.is_none() && !self.spare_requested;
        if !is_wanted || self.active.offset < self.active.header.bytes / 2 || self.state == State::Poisoned {
            return None;
        }
        // Whoever needs it is told that there is no room for it.
        if self.uncarried.is_some() || !self.room.allows(&*self.fs, self.options.segment_bytes, Need::Growth)
        {
            return None;
        }
        self.spare_requested = true;
        Some(SpareRequest { fs: self.fs.clone(), bytes: self.options.segment_bytes })
    }

    /// Takes what became of a [`SpareRequest`].
    ///
    /// # Errors
    /// The one it is given; [`LogError::Io`] if one that came too late cannot be removed.
    pub fn take_spare(&mut self, made: Result<Spare, LogError>) -> Result<(), LogError> {
        self.spare_requested = false;
        let spare = self.poison_on_failure(made)?;
        if self.spare.is_some() {
            return spare.discard(&*self.fs);
        }
        self.spare = Some(spare);
        Ok(())
    }

    /// How many bytes the batch after one of so many bytes may certainly have.
    pub(crate) fn room_after(&self, bytes: usize) -> usize {
        if self.lacks_room() {
            return 0;
        }
        let active = to_usize(self.active.header.bytes.saturating_sub(self.active.offset));
        match active.checked_sub(bytes) {
            Some(left) => left.max(self.spare_room()),
            None => self.spare_room().saturating_sub(bytes),
        }
    }

    /// Writes a batch. Neither the batch nor anything in it may be shown or acknowledged before [`Log::finish`].
    ///
    /// # Errors
    /// [`LogError::OutOfOrder`] and [`LogError::DiskFull`] (unless room was reserved), with nothing written; any
    /// other: end the process.
    pub fn write(&mut self, batch: Batch, moment: Moment) -> Result<Unsynced, LogError> {
        if self.state != State::Idle {
            return Err(LogError::Poisoned);
        }
        if batch.first_sequence() != self.next_sequence {
            return Err(LogError::OutOfOrder { expected: self.next_sequence, found: batch.first_sequence() });
        }
        let written = self.write_batch(batch, moment);
        let written = self.poison_on_failure(written)?;
        self.state = State::InFlight;
        Ok(written)
    }

    /// Takes note of how syncing the batch in flight went. When it went well the batch is durable and may be shown.
    ///
    /// # Errors
    /// The one it is given, or [`LogError::Poisoned`] if nothing was in flight: end the process.
    pub fn finish(&mut self, synced: Result<Synced, LogError>) -> Result<Position, LogError> {
        let was_in_flight = self.state == State::InFlight;
        self.state = State::Poisoned;
        let Synced(()) = synced?;
        if !was_in_flight {
            return Err(LogError::Poisoned);
        }
        self.state = State::Idle;
        if let Some(info) = self.segments.last_mut() {
            info.end = self.active.offset;
        }
        Ok(self.position(self.next_sequence.saturating_sub(1)))
    }

    /// Writes and syncs a batch.
    ///
    /// # Errors
    /// As [`Log::write`] and [`Log::finish`].
    pub fn append(&mut self, batch: Batch, moment: Moment) -> Result<Position, LogError> {
        let unsynced = self.write(batch, moment)?;
        self.finish(unsynced.sync())
    }

    /// When [`Log::tick`] has something to do, on the clock of [`Moment::elapsed`].
    pub fn next_tick(&self) -> Option<Duration> {
        self.unvouched_since.map(|since| since.saturating_add(IDLE_AFTER))
    }

    /// Call when [`Log::next_tick`] has come. If nothing was written meanwhile, an empty commit vouches for the last
    /// batch; never a second one, so that a disk may sleep. Returns whether it wrote.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn tick(&mut self, moment: Moment) -> Result<bool, LogError> {
        match self.next_tick() {
            Some(due) if moment.elapsed >= due => self.vouch(moment),
            _ => Ok(false),
        }
    }

    /// Vouches for the last batch, so that damage to it can be told from a torn tail. To be called before the log is
    /// dropped at a clean stop.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn close(&mut self, moment: Moment) -> Result<(), LogError> {
        self.vouch(moment).map(|_| ())
    }

    /// Removes the oldest segments that hold nothing above `checkpoint`, the last sequence number that the store
    /// holds durably; never the last segment. Returns how many.
    ///
    /// # Errors
    /// [`LogError::Io`] and [`LogError::Poisoned`]: end the process.
    pub fn trim(&mut self, checkpoint: u64) -> Result<usize, LogError> {
        if self.state == State::Poisoned {
            return Err(LogError::Poisoned);
        }
        let mut removed = 0_usize;
        while let [oldest, next, ..] = self.segments.as_slice() {
            if next.header.first_sequence > checkpoint.saturating_add(1) {
                break;
            }
            let unlinked = unlink(&*self.fs, oldest.header.segment);
            self.poison_on_failure(unlinked)?;
            self.segments.remove(0);
            removed = removed.saturating_add(1);
        }
        Ok(removed)
    }

    fn vouch(&mut self, moment: Moment) -> Result<bool, LogError> {
        if self.state != State::Idle {
            return Err(LogError::Poisoned);
        }
        if self.unvouched_since.is_none() {
            return Ok(false);
        }
        let empty = Batch::new(self.next_sequence);
        if self.fits_active(empty.segment_bytes()) {
            self.append(empty, moment)?;
        } else {
            // The new segment's header says how far the old one was durable.
            let rotated = self.rotate(empty.segment_bytes());
            self.poison_on_failure(rotated)?;
        }
        self.unvouched_since = None;
        Ok(true)
    }

    fn fits_active(&self, bytes: usize) -> bool {
        bytes <= to_usize(self.active.header.bytes.saturating_sub(self.active.offset))
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.fits_active(bytes) || bytes <= self.spare_room()
    }

    fn spare_room(&self) -> usize {
        self.spare.as_ref().map_or(0, |spare| to_usize(spare.bytes().saturating_sub(FIRST_COMMIT_OFFSET)))
    }

    fn make_spare(&mut self, bytes: usize, need: Need) -> Result<(), LogError> {
        let bytes = FIRST_COMMIT_OFFSET.saturating_add(to_u32(bytes)).max(self.options.hasty_bytes());
        if let Some(too_small) = self.spare.take() {
            too_small.discard(&*self.fs)?;
        }
        if !self.room.allows(&*self.fs, bytes, need) {
            return Err(LogError::DiskFull);
        }
        self.spare = Some(Spare::make(&*self.fs, bytes.next_multiple_of(BLOCK_BYTES), segment::HASTY_NAME)?);
        self.room.note(&*self.fs);
        Ok(())
    }

    fn write_batch(&mut self, batch: Batch, moment: Moment) -> Result<Unsynced, LogError> {
        let bytes = batch.segment_bytes();
        self.carry(Need::Relief)?;
        if !self.fits_active(bytes) {
            self.rotate(bytes)?;
        }
        let next_sequence = batch.next_sequence();
        let holds_transactions = !batch.is_empty();
        let segment = self.active.header.segment;
        let (name, salt, hlc) = (segment::name(segment), self.active.header.salt, moment.hlc);
        let durable_to = Location { segment, offset: self.active.offset };
        for mut commit in batch.into_commits() {
            let head = CommitHead { salt, durable_to, chain: self.active.chain, hlc };
            self.active.chain = complete(&mut commit, self.active.offset, &head);
            write_all(&*self.active.file, &name, self.active.offset, &commit)?;
            self.active.offset = self.active.offset.saturating_add(to_u32(commit.len()));
        }
        self.next_sequence = next_sequence;
        self.unvouched_since = holds_transactions.then_some(moment.elapsed);
        Ok(Unsynced { file: self.active.file.clone(), segment })
    }

    /// Begins the next segment. All that was written is durable, since nothing is in flight.
    fn rotate(&mut self, bytes: usize) -> Result<(), LogError> {
        if bytes > self.spare_room() {
            self.make_spare(bytes, Need::Relief)?;
        }
        let Some(spare) = self.spare.take() else { return Err(LogError::Poisoned) };
        let old = self.active.header.segment;
        let header = SegmentHeader {
            identity: self.options.identity,
            first_sequence: self.next_sequence,
            segment: old.saturating_add(1),
            bytes: spare.bytes(),
            salt: (self.options.salts)(),
            prev: Location { segment: old, offset: self.active.offset },
            chain: self.active.chain,
            durable_end: FIRST_COMMIT_OFFSET,
        };
        let file = spare.install(&*self.fs, &header)?;
        segment::seal(&*self.active.file, old, Seal { successor: header.segment, salt: header.salt })?;
        self.active = Active { header, file, offset: FIRST_COMMIT_OFFSET, chain: header.chain };
        self.segments.push(SegmentInfo { header, end: FIRST_COMMIT_OFFSET });
        Ok(())
    }

    fn poison_on_failure<T>(&mut self, result: Result<T, LogError>) -> Result<T, LogError> {
        if result.as_ref().is_err_and(LogError::is_fatal) {
            self.state = State::Poisoned;
        }
        result
    }
}

/// Each removal is durable before the next begins: else a power cut could keep an older segment and lose a newer.
fn unlink(fs: &dyn Filesystem, segment: u32) -> Result<(), LogError> {
    let name = segment::name(segment);
    fs.unlink(&name).map_err(|error| LogError::io("removal", &name, error))?;
    sync_dir(fs)
}
