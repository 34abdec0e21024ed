//! Opening a database: what the log has and the store lacks is folded, then everything is shown.

use std::sync::{Arc, Mutex};

use super::codec::Assembler;
use super::committer::Committer;
use super::database::{Database, Mode};
use super::decider::Decider;
use super::environment::Environment;
use super::error::EngineError;
use super::feed::Feed;
use super::limits::MAX_FEED_BYTES;
use super::marker::Marker;
use super::record::Id;
use super::retention::{Marks, Retention};
use super::rows::{self, Progress};
use super::shared::{Folding, Listener, Replay, Shared, Start};
use super::sweep::{Sweeper, Sweeping};
use crate::log::limits::SEGMENT_BYTES;
use crate::log::{Filesystem, GroupCommit, Identity, Log, LogError, LogView, Opened, Options, Report};
use crate::store::Store;
use crate::wire::Clock;

/// What a database is opened with.
pub struct Settings {
    /// Makes a database where there is none.
    pub create: bool,
    /// How much of the log is kept.
    pub retention: Retention,
    /// Bytes of a segment of the log; the default except in tests.
    pub segment_bytes: u32,
    /// The most bytes of recent changes held in memory.
    pub feed_bytes: usize,
    /// What an operator is told to do about damage that makes the database read-only; `None` where that is being done.
    pub advice: Option<String>,
    /// How fast dropped collections are swept; the default except in tests.
    pub sweeping: Sweeping,
    /// Who is told of publications.
    pub listener: Option<Arc<dyn Listener>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            create: false,
            retention: Retention::default(),
            segment_bytes: SEGMENT_BYTES,
            feed_bytes: MAX_FEED_BYTES,
            advice: Some("run verify".to_owned()),
            sweeping: Sweeping::default(),
            listener: None,
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Whether the database was made.
    pub is_new: bool,
    /// What the log looked like; `None` if it was made, or is damaged.
    pub log: Option<Report>,
    /// How many transactions the store lacked.
    pub replayed: u64,
}

impl Database {
    /// Opens the database whose log lies in `log_directory` and whose view `store` is. A store that is empty is
    /// rebuilt from the log. What opening shows is on stable storage.
    ///
    /// # Errors
    /// [`EngineError::Unusable`]: there is no database, or not one for this binary or store; [`EngineError::Corrupted`]:
    /// not even reading is possible; [`EngineError::DiskFull`], [`EngineError::Read`]: try again when that is mended.
    /// Damage to the log makes a database that only reads, see [`Database::read_only`].
    pub fn open(
        log_directory: Arc<dyn Filesystem>,
        store: Arc<dyn Store>,
        environment: Arc<dyn Environment>,
        settings: Settings,
    ) -> Result<(Self, Opening), EngineError> {
        let (marker, is_new) = read_or_make_marker(&*log_directory, &*environment, settings.create)?;
        let folding = read_folding(&*store, &marker, settings.retention)?;
        let applied = store.applied().seq;
        let (log, report) =
            match open_log(&log_directory, &marker, applied, &environment, settings.segment_bytes)? {
                Opened::ReadWrite(log, report) => (Ok(log), Some(report)),
                Opened::ReadOnly(view, damage) => (Err((view, damage.to_string())), None),
            };
        let (view, epoch) = match &log {
            Ok(log) => (log.view(), log.epoch()),
            Err((view, _)) => (view.clone(), view.epoch().unwrap_or(0).max(marker.epoch)),
        };
        // A crash may have come between an acceptance of damage and its note here.
        if log.is_ok() && (!marker.is_ready || epoch > marker.epoch) {
            Marker { is_ready: true, epoch, ..marker }.write(&*log_directory)?;
        }
        let mut replay = Replay::new(&*store, epoch, folding);
        let (replayed, problem) = replay_log(&view, applied, &mut replay)?;
        if let (Ok(log), None) = (&log, &problem) {
            replay.enter_epoch(log)?;
        }
        let folding = replay.finish()?;
        let sequence = store.applied().seq;
        let log = match (log, problem) {
            (Ok(_), Some(problem)) => Err((view, problem)),
            (Ok(log), None) if log.next_sequence() != sequence.saturating_add(1) => {
                let end = log.next_sequence().saturating_sub(1);
                Err((view, format!("the log ends at {end}, the store made from it at {sequence}")))
            }
            (log, _) => log,
        };
        let log = log.map_err(|(view, reason)| match &settings.advice {
            Some(advice) => (view, format!("{reason}; {advice}")),
            None => (view, reason),
        });
        let clock = folding.progress.clock.max(report.as_ref().map_or(0, |report| report.hlc));
        let last_change = folding.progress.last_change;
        let decider = Decider::new(folding.catalogue.clone(), Clock::from_bits(clock), sequence, last_change);
        let start = Start {
            database: marker.database,
            epoch,
            clock,
            sequence,
            folding,
            feed: Feed::new(sequence, settings.feed_bytes),
            lacks_room: report.as_ref().is_some_and(|report| report.lacks_room),
        };
        let shared = Arc::new(Shared::new(store, environment, settings.listener, start));
        let mode = match log {
            Ok(log) => Mode::Writable(Box::new(GroupCommit::new(log, Committer::new(shared.clone())))),
            Err((view, reason)) => Mode::ReadOnly { reason: reason.into(), view },
        };
        let sweeper = Mutex::new(Sweeper::new(settings.sweeping));
        let (decider, opened) = (Mutex::new(decider), shared.environment.elapsed());
        let database = Self { shared, decider, mode, sweeper, opened, tended: Mutex::default() };
        Ok((database, Opening { is_new, log: report, replayed }))
    }
}

fn read_or_make_marker(
    fs: &dyn Filesystem,
    environment: &dyn Environment,
    create: bool,
) -> Result<(Marker, bool), EngineError> {
    if let Some(marker) = Marker::read(fs)? {
        return Ok((marker, !marker.is_ready));
    }
    let names = fs.list().map_err(|error| EngineError::Read(error.to_string()))?;
    if names.iter().any(|name| name.ends_with(".log")) {
        return Err(EngineError::Corrupted(
            "the log's FORMAT file is missing: restore it from a backup".to_owned(),
        ));
    }
    if !create {
        return Err(EngineError::Unusable("there is no database here; create it first".to_owned()));
    }
    let marker = Marker { database: new_id(environment), epoch: 1, is_ready: false };
    marker.write(fs)?;
    Ok((marker, true))
}

/// A random UUID (version 4).
fn new_id(environment: &dyn Environment) -> Id {
    let high = u128::from(environment.random());
    let bits = high << 64 | u128::from(environment.random());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().into_bytes()
}

/// What a store that stands somewhere is folded on with.
pub(super) fn read_folding(
    store: &dyn Store,
    marker: &Marker,
    retention: Retention,
) -> Result<Folding, EngineError> {
    let snapshot = store.snapshot();
    let progress = rows::read_progress(store)?;
    if progress.is_some_and(|progress| progress.database != marker.database) {
        return Err(EngineError::Unusable("the store belongs to another database: move it away".to_owned()));
    }
    let progress = Progress { database: marker.database, ..progress.unwrap_or_default() };
    Ok(Folding {
        catalogue: rows::read_catalogue(&*snapshot, &progress)?,
        drops: Arc::new(rows::read_drops(&*snapshot, &progress)?),
        progress,
        marks: Marks::new(retention, rows::read_marks(&*snapshot)?),
        folded: Vec::new(),
    })
}

/// Whose log it is.
pub(super) const fn identity_of(marker: &Marker) -> Identity {
    Identity { database: marker.database, partition: 0, epoch: marker.epoch }
}

fn open_log(
    fs: &Arc<dyn Filesystem>,
    marker: &Marker,
    applied: u64,
    environment: &Arc<dyn Environment>,
    segment_bytes: u32,
) -> Result<Opened, EngineError> {
    let identity = identity_of(marker);
    let options = || {
        let environment = environment.clone();
        Options { segment_bytes, ..Options::new(identity, applied, Box::new(move || environment.random())) }
    };
    if !marker.is_ready {
        match Log::create(fs.clone(), options()) {
            // A crash came after the first segment and before the marker said so.
            Err(LogError::Exists) => {}
            Err(error) => return Err(error.into()),
            Ok(log) => {
                let tail = crate::log::Tail::Clean;
                let report = Report {
                    epoch: marker.epoch,
                    segments: 0,
                    last_sequence: 0,
                    hlc: 0,
                    tail,
                    lacks_room: false,
                };
                return Ok(Opened::ReadWrite(Box::new(log), report));
            }
        }
    }
    Ok(Log::open(fs.clone(), options())?)
}

/// Folds what the store lacks. Returns how many transactions, and what stopped it short of the end of the log.
fn replay_log(
    view: &LogView,
    applied: u64,
    replay: &mut Replay<'_>,
) -> Result<(u64, Option<String>), EngineError> {
    let mut reader = match view.read_from(applied.saturating_add(1)) {
        Ok(reader) => reader,
        Err(error @ (LogError::Trimmed { .. } | LogError::Damaged(_))) => {
            return Ok((0, Some(error.to_string())));
        }
        Err(error) => return Err(error.into()),
    };
    let mut assembler = Assembler::default();
    let mut replayed = 0_u64;
    loop {
        let piece = match reader.next_piece() {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok((replayed, None)),
            Err(LogError::Damaged(damage)) => return Ok((replayed, Some(damage.to_string()))),
            Err(error) => return Err(error.into()),
        };
        match assembler.take(&piece) {
            Ok(Some(decision)) => {
                replay.push(decision)?;
                replayed = replayed.saturating_add(1);
            }
            Ok(None) => {}
            Err(EngineError::Corrupted(what)) => return Ok((replayed, Some(what))),
            Err(error) => return Err(error),
        }
    }
}
