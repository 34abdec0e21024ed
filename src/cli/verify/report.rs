//! What `verify` finds in one database.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::engine::{CatalogueEntry, CollectionStatistics, Database, DecidedEffect, EngineError, LogCheck};
use crate::log::{Damage, Mending};
use crate::server::ServerError;
use crate::server::offline::{Offline, OfflineDatabase};

/// Rows between two lines of progress.
const PROGRESS_ROWS: u64 = 20_000;

/// What can be done about damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// There is none.
    Nothing,
    /// The log goes on without what is damaged.
    Log,
    /// The store is made anew from the log, which has everything.
    Store,
    /// Neither.
    Backup,
}

/// A change that is lost and can still be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LostChange {
    /// The collection's name, or its number if its name is lost too.
    pub(super) collection: String,
    pub(super) id: uuid::Uuid,
    pub(super) is_deletion: bool,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) name: String,
    pub(super) position: Option<String>,
    pub(super) collections: Vec<CollectionStatistics>,
    pub(super) log: Option<LogCheck>,
    /// What is wrong, in words.
    pub(super) findings: Vec<String>,
    /// Everything that is wrong, counted.
    pub(super) wrong: u64,
    /// What is wrong with the log and what accepting it does.
    pub(super) damage: Option<(Damage, Mending)>,
    /// By their numbers.
    pub(super) lost: BTreeMap<u64, LostChange>,
    pub(super) remedy: Remedy,
}

impl Report {
    /// Reads the database that nobody has open.
    pub(super) fn at(directory: &Path, name: &str) -> Result<Self, ServerError> {
        Self::of(&Offline::look(directory, Some(name))?, name)
    }

    /// Reads a database.
    pub(super) fn of(offline: &Offline, name: &str) -> Result<Self, ServerError> {
        let looked = offline.look_at(name)?;
        let mut report = Self {
            name: name.to_owned(),
            position: None,
            collections: Vec::new(),
            log: None,
            findings: Vec::new(),
            wrong: 0,
            damage: None,
            lost: BTreeMap::new(),
            remedy: Remedy::Nothing,
        };
        match looked.store_error() {
            Some(error) => report.find(error.to_string()),
            None => report.read(&looked)?,
        }
        report.remedy = match (&report.damage, report.wrong) {
            (Some(_), _) => Remedy::Log,
            (None, 0) => Remedy::Nothing,
            (None, _) if has_everything(offline, name)? => Remedy::Store,
            (None, _) => Remedy::Backup,
        };
        Ok(report)
    }

    /// Whether nothing is wrong.
    pub(super) const fn is_sound(&self) -> bool {
        self.wrong == 0 && self.damage.is_none()
    }

    fn find(&mut self, what: String) {
        self.wrong = self.wrong.saturating_add(1);
        self.findings.push(what);
    }

    fn read(&mut self, looked: &OfflineDatabase) -> Result<(), ServerError> {
        let survey = looked.survey()?;
        let database = match looked.database() {
            Ok(database) => database,
            // What stands in the way of opening it is damage like any other.
            Err(ServerError::Database { error: EngineError::Corrupted(what), .. }) => {
                self.damage = survey.map(|survey| (survey.damage, survey.mending));
                self.find(what);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.position = Some(database.position().to_string());
        let mut progress = Progress::new(&self.name);
        let read = database.verify_with(&mut |rows| progress.tell(rows));
        progress.clear();
        let failed = |error| ServerError::Database { name: looked.name().to_owned(), error };
        let verified = read.map_err(failed)?;
        (self.wrong, self.findings) = (verified.wrong, verified.findings);
        match database.reader().statistics() {
            Ok(collections) => self.collections = collections,
            // Its own words advise what is being done.
            Err(EngineError::Corrupted(what)) => self.find(format!("stored bytes are damaged: {what}")),
            Err(error) => self.find(error.to_string()),
        }
        let log = database.check_log().map_err(failed)?;
        if let Some(problem) = log.problem.clone().filter(|_| database.read_only().is_none()) {
            self.find(problem);
        }
        self.log = Some(log);
        if let Some(survey) = survey {
            if let Mending::Loss(loss) = &survey.mending {
                self.list(looked, &database, loss.kept_to)?;
            }
            self.damage = Some((survey.damage, survey.mending));
        }
        Ok(())
    }

    fn list(&mut self, looked: &OfflineDatabase, database: &Database, after: u64) -> Result<(), ServerError> {
        let known = database.reader().statistics().unwrap_or_default();
        let mut names: BTreeMap<u32, String> =
            known.into_iter().map(|collection| (collection.number, collection.name.into())).collect();
        let lost = &mut self.lost;
        looked.lost(after, |sequence, effect| {
            let (change, is_deletion) = match effect {
                DecidedEffect::Write(change) => (change, false),
                DecidedEffect::Delete(change) => (change, true),
                DecidedEffect::Catalogue(CatalogueEntry::Collection { number, name }) => {
                    names.insert(*number, name.clone().into());
                    return;
                }
                _ => return,
            };
            let collection = names.get(&change.collection).cloned();
            let collection = collection.unwrap_or_else(|| format!("#{}", change.collection));
            let id = uuid::Uuid::from_bytes(change.id);
            lost.insert(sequence, LostChange { collection, id, is_deletion });
        })
    }
}

/// Whether the log alone holds every change there ever was, and all of it is sound.
fn has_everything(offline: &Offline, name: &str) -> Result<bool, ServerError> {
    let looked = offline.without_store(name)?;
    let Ok(database) = looked.database() else { return Ok(false) };
    let Ok(log) = database.check_log() else { return Ok(false) };
    let is_sound = database.verify().is_ok_and(|report| report.wrong == 0);
    Ok(log.first == Some(1) && log.problem.is_none() && database.read_only().is_none() && is_sound)
}

/// A line on a terminal that tells how far it is.
struct Progress<'a> {
    name: &'a str,
    is_shown: bool,
}

impl<'a> Progress<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, is_shown: io::stderr().is_terminal() }
    }

    fn tell(&self, rows: u64) {
        if self.is_shown && rows.is_multiple_of(PROGRESS_ROWS) {
            let _ = write!(io::stderr(), "\rverifying {}: {rows} rows read\x1b[K", self.name);
        }
    }

    fn clear(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
