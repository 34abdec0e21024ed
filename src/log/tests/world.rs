//! The real log over the simulated disk, and what must be in it.

use std::sync::Arc;
use std::time::Duration;

use super::choosers::Seeded;
use crate::log::effect::{Checked, Effect, RecordEffect, Stamp};
use crate::log::limits::MAX_COMMIT_BYTES;
use crate::log::simfs::{Choose, SimFs, Tear};
use crate::log::{Batch, Damage, Identity, Log, LogError, LogView, Moment, Opened, Options, TransactionHead};

pub(super) const IDENTITY: Identity = Identity { database: *b"the tests' own..", partition: 0, epoch: 1 };

/// A transaction as the test knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) first: u64,
    pub(super) operation: u64,
    pub(super) records: Vec<Vec<u8>>,
}

impl Known {
    pub(super) fn last(&self) -> u64 {
        self.first + self.records.len() as u64 - 1
    }
}

/// How salts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Salts {
    Random,
    /// Always this one: a negative control.
    Same(u64),
}

/// A promise that was broken.
pub(super) type Violation = String;

#[derive(Clone)]
pub(super) struct World {
    pub(super) fs: SimFs,
    pub(super) segment_bytes: u32,
    pub(super) salts: Salts,
    /// The most bytes of a commit.
    pub(super) commit_bytes: usize,
    /// Everything acknowledged or shown, in order.
    pub(super) history: Vec<Known>,
    /// What was being written when the process died.
    in_flight: Vec<Known>,
    /// What a store would have applied durably.
    pub(super) applied: u64,
    /// What the database has noted of its epoch.
    pub(super) epoch: u32,
    next_operation: u64,
    salt_seed: u64,
    elapsed: Duration,
}

/// What opening came to, if it did not break a promise.
pub(super) enum Recovered {
    Log(Box<Log>),
    /// The process died, or the machine failed it, while it recovered.
    Died,
}

impl World {
    pub(super) fn new(sector: usize, segment_bytes: u32) -> Self {
        Self {
            fs: SimFs::new(sector),
            segment_bytes,
            salts: Salts::Random,
            commit_bytes: MAX_COMMIT_BYTES,
            history: Vec::new(),
            in_flight: Vec::new(),
            applied: 0,
            epoch: IDENTITY.epoch,
            next_operation: 1,
            salt_seed: 1,
            elapsed: Duration::ZERO,
        }
    }

    /// A copy that shares nothing.
    pub(super) fn fork(&self) -> Self {
        Self { fs: self.fs.image(), ..self.clone() }
    }

    pub(super) fn options(&mut self) -> Options {
        self.salt_seed += 1;
        let (salts, mut seeded) = (self.salts, Seeded(self.salt_seed << 32));
        let salts = Box::new(move || match salts {
            Salts::Random => seeded.next(),
            Salts::Same(salt) => salt,
        });
        let identity = Identity { epoch: self.epoch, ..IDENTITY };
        Options { segment_bytes: self.segment_bytes, ..Options::new(identity, self.applied, salts) }
    }

    pub(super) fn create(&mut self) -> Result<Log, LogError> {
        let options = self.options();
        Log::create(Arc::new(self.fs.clone()), options)
    }

    /// Appends a batch: for each transaction the records of its effects.
    pub(super) fn append(&mut self, log: &mut Log, transactions: &[Vec<Vec<u8>>]) -> Result<(), LogError> {
        let mut batch = Batch::with_commits_of(log.next_sequence(), self.commit_bytes);
        self.in_flight.clear();
        for records in transactions {
            let operation = self.next_operation;
            self.next_operation += 1;
            let first = push(&mut batch, operation, records);
            self.in_flight.push(Known { first, operation, records: records.clone() });
        }
        let moment = self.moment(1);
        match log.append(batch, moment) {
            Ok(_) => self.history.append(&mut self.in_flight),
            Err(LogError::DiskFull) => self.in_flight.clear(),
            Err(error) => {
                assert!(matches!(
                    log.append(Batch::new(log.next_sequence()), moment),
                    Err(LogError::Poisoned)
                ));
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn tick(&mut self, log: &mut Log) -> Result<bool, LogError> {
        let moment = self.moment(60);
        log.tick(moment)
    }

    /// The store takes a checkpoint of everything, then the log is trimmed.
    pub(super) fn trim(&mut self, log: &mut Log) -> Result<usize, LogError> {
        self.applied = log.next_sequence() - 1;
        log.trim(self.applied)
    }

    fn moment(&mut self, milliseconds: u64) -> Moment {
        self.elapsed += Duration::from_millis(milliseconds);
        Moment { hlc: (self.elapsed.as_millis() as u64) << 16, elapsed: self.elapsed }
    }

    pub(super) fn crash(&mut self, chooser: &mut dyn Choose, tear: Option<Tear>) {
        match tear {
            Some(tear) => self.fs.cut(chooser, tear),
            None => self.fs.kill(chooser),
        }
    }

    /// Opens the log after a crash and holds it against what must be there.
    pub(super) fn recover(&mut self) -> Result<Recovered, Violation> {
        let options = self.options();
        let log = match Log::open(Arc::new(self.fs.clone()), options) {
            Ok(Opened::ReadWrite(log, _)) => log,
            Ok(Opened::ReadOnly(_, damage)) => return Err(format!("false alarm: {damage}")),
            Err(LogError::Io { .. } | LogError::DiskFull) => return Ok(Recovered::Died),
            Err(error) => return Err(format!("cannot be opened: {error}")),
        };
        let first = log.first_sequence();
        let found = match read_all(&log.view()) {
            Ok(found) => found,
            Err(LogError::Io { .. }) => return Ok(Recovered::Died),
            Err(error) => return Err(format!("cannot be read: {error}")),
        };
        self.check(first, &found)?;
        Ok(Recovered::Log(log))
    }

    fn check(&mut self, first: u64, found: &[Known]) -> Result<(), Violation> {
        if first > self.applied + 1 {
            return Err(format!("begins at {first}, applied {}", self.applied));
        }
        let skipped = self.history.partition_point(|known| known.first < first);
        let held = &self.history[skipped..];
        if found.get(..held.len()) != Some(held) {
            let numbers = |list: &[Known]| list.iter().map(|known| known.operation).collect::<Vec<_>>();
            return Err(format!("lost or changed: {:?} became {:?}", numbers(held), numbers(found)));
        }
        let more = &found[held.len()..];
        if !self.in_flight.starts_with(more) {
            let operations: Vec<u64> = more.iter().map(|known| known.operation).collect();
            return Err(format!("came back or was invented: operations {operations:?}"));
        }
        self.history.extend_from_slice(more);
        self.in_flight.clear();
        Ok(())
    }
}

/// A transaction of puts; returns its first sequence number.
pub(super) fn push(batch: &mut Batch, operation: u64, records: &[Vec<u8>]) -> u64 {
    let head =
        TransactionHead { node: [1; 16], operation, body_hash: operation ^ 7, principal: "p", trace: None };
    let effects: Vec<Effect<'_>> = records.iter().map(|record| put(operation, record)).collect();
    batch.push(&head, &effects).unwrap().first
}

fn put(operation: u64, record: &[u8]) -> Effect<'_> {
    Effect::Put(RecordEffect {
        stamp: Stamp { collection: 1, id: u128::from(operation).to_be_bytes(), clock: operation, node: 0 },
        field_clocks: Vec::new(),
        changed: Vec::new(),
        record: Checked { bytes: record, crc: crc32fast::hash(record) },
    })
}

/// A record of so many bytes that no other operation has, none of them zero.
pub(super) fn record(operation: u64, bytes: usize) -> Vec<u8> {
    let mut seeded = Seeded(operation);
    (0..bytes).map(|_| seeded.next() as u8 | 1).collect()
}

/// Every whole transaction of a view, with its pieces put together; a record whose checksum is wrong is a failure of
/// the test.
pub(super) fn read_all(view: &LogView) -> Result<Vec<Known>, LogError> {
    let mut read: Vec<Known> = Vec::new();
    let Some(first) = view.first_sequence() else { return Ok(read) };
    let mut reader = view.read_from(first)?;
    let mut is_open = false;
    while let Some(piece) = reader.next_piece()? {
        assert_eq!(piece.continued, is_open, "pieces of a transaction are neighbours");
        if !piece.continued {
            read.push(Known {
                first: piece.first_sequence,
                operation: piece.head.operation,
                records: vec![],
            });
        }
        let last = read.last_mut().unwrap();
        for effect in piece.effects() {
            let Some(Effect::Put(put)) = effect else { panic!("only puts were written, found {effect:?}") };
            assert_eq!(put.record.crc, crc32fast::hash(put.record.bytes));
            last.records.push(put.record.bytes.to_vec());
        }
        is_open = piece.continues;
    }
    assert!(!is_open, "a view ends with a whole transaction");
    Ok(read)
}

/// Opens a log that was damaged at rest: what it shows, and the damage it reports.
pub(super) fn open_damaged(world: &mut World) -> Result<(Vec<Known>, Option<Damage>), LogError> {
    let options = world.options();
    match Log::open(Arc::new(world.fs.clone()), options)? {
        Opened::ReadWrite(log, _) => Ok((read_all(&log.view())?, None)),
        Opened::ReadOnly(view, damage) => Ok((read_all(&view)?, Some(damage))),
    }
}
