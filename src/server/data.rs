//! The data directory: its lock, its format, its databases.
//!
//! ```text
//!   blazedb-data/
//!     FORMAT  LOCK
//!     main/log/  main/store/       one directory a database, of its name
//! ```

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::config::{Config, Place, StoreKind};
use super::environment::Machine;
use super::error::ServerError;
use super::limits::MEMORY_SEGMENT_BYTES;
use super::sizes::Sizes;
use super::volatile::Volatile;
use crate::engine::{Database, Environment, Listener, Opening, Settings};
use crate::log::disk::Disk;
use crate::log::{Filesystem, Space};
use crate::service::{Databases, Publication, Served};
use crate::store::directory::{self, Format, Lock, SLED_FORMAT, STORE_FORMAT};
use crate::store::{Lsm, Memory, Store, StoreError};
#[cfg(feature = "sled")]
use crate::store::{Sled, SledSettings};
use crate::wire::DatabaseName;

/// The data directory in its present format.
pub(super) const DATA_FORMAT: Format = Format { what: "data", number: 1 };

/// What is open.
pub(super) struct Data {
    pub(super) databases: Arc<Databases>,
    /// What opening each database found, by name.
    pub(super) findings: Vec<(String, Opening)>,
    pub(super) sizes: Sizes,
    /// Keeps other processes out as long as it lives.
    pub(super) _lock: Option<Lock>,
}

/// A place that was taken, whose databases are not open yet.
pub(super) struct Site {
    lock: Option<Lock>,
    sizes: Sizes,
    names: Vec<String>,
}

impl Site {
    /// Takes the place.
    pub(super) fn take(config: &Config) -> Result<Self, ServerError> {
        let (lock, space, mut names) = match &config.place {
            Place::Directory(path, _) => {
                let (lock, space) = take(path)?;
                (Some(lock), space, database_names(path)?)
            }
            Place::Memory => (None, None, Vec::new()),
        };
        names.extend(config.to_create(&names));
        names.sort();
        Ok(Self { lock, sizes: Sizes::of(space, super::memory::bytes()), names })
    }

    /// How many databases there are, the one that is to be made included.
    pub(super) const fn databases(&self) -> usize {
        self.names.len()
    }

    /// Opens all databases, and makes the one that is to be made. `publication` makes the listener of each.
    pub(super) fn open(
        self,
        config: &Config,
        machine: &Arc<Machine>,
        publication: impl Fn() -> Arc<Publication>,
    ) -> Result<Data, ServerError> {
        let Self { lock, sizes, names } = self;
        let (mut served, mut findings) = (Vec::new(), Vec::new());
        for name in names {
            let publication = publication();
            let (database, opening) = open_database(config, machine, &name, &publication, &sizes)?;
            findings.push((name.clone(), opening));
            served.push(Served::new(name, database, publication));
        }
        let environment: Arc<dyn Environment> = machine.clone();
        let databases = Arc::new(Databases::new(served, environment));
        Ok(Data { databases, findings, sizes, _lock: lock })
    }
}

/// Makes the directory if it is not there, locks it, and checks its format before anything in it is touched.
/// Says how much room its disk has.
fn take(path: &Path) -> Result<(Lock, Option<Space>), ServerError> {
    let disk = Disk::open(path).map_err(files("making the data directory", path))?;
    let lock = Lock::acquire(path)?;
    DATA_FORMAT.open(path)?;
    Ok((lock, disk.space()))
}

/// The databases of a directory: its subdirectories that are named as databases are.
pub(super) fn database_names(path: &Path) -> Result<Vec<String>, ServerError> {
    let failed = files("reading the data directory", path);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(&failed)? {
        let entry = entry.map_err(&failed)?;
        let is_directory = entry.file_type().map_err(&failed)?.is_dir();
        let name = entry.file_name().into_string().unwrap_or_default();
        if is_directory && DatabaseName::new(&name).is_ok() {
            names.push(name);
        }
    }
    Ok(names)
}

fn open_database(
    config: &Config,
    machine: &Arc<Machine>,
    name: &str,
    publication: &Arc<Publication>,
    sizes: &Sizes,
) -> Result<(Database, Opening), ServerError> {
    let advice = match &config.place {
        Place::Directory(path, _) => Some(advice(path, name)),
        Place::Memory => Settings::default().advice,
    };
    let listener = Some(publication.clone() as Arc<dyn Listener>);
    let retention = sizes.retention;
    let settings = Settings { create: true, advice, listener, retention, ..Settings::default() };
    let (log, store, settings): (Arc<dyn Filesystem>, Arc<dyn Store>, Settings) = match &config.place {
        Place::Memory => {
            let settings = Settings { segment_bytes: MEMORY_SEGMENT_BYTES, ..settings };
            (Arc::new(Volatile::default()), Arc::new(Memory::new()), settings)
        }
        Place::Directory(path, kind) => {
            let path = path.join(name);
            let log = path.join("log");
            let disk = Disk::open(&log).map_err(files("opening the log's directory", &log))?;
            (Arc::new(disk), open_store(&path.join("store"), *kind, name, sizes)?, settings)
        }
    };
    Database::open(log, store, machine.clone(), settings)
        .map_err(|error| ServerError::Database { name: name.to_owned(), error })
}

/// What to do about damage.
fn advice(path: &Path, name: &str) -> String {
    let directory = super::offline::quoted(path);
    format!("stop the server and run: blazedb verify --data-dir {directory} --database {name}")
}

fn open_store(
    path: &Path,
    kind: StoreKind,
    name: &str,
    sizes: &Sizes,
) -> Result<Arc<dyn Store>, ServerError> {
    refuse_other(path, kind, name)?;
    let advice = advice(path.parent().and_then(Path::parent).unwrap_or(path), name);
    let failed = |error: StoreError| ServerError::Store { name: name.to_owned(), error, advice };
    match kind {
        StoreKind::Memory => Ok(Arc::new(Memory::new())),
        StoreKind::Lsm => {
            STORE_FORMAT.open(path)?;
            Ok(Arc::new(Lsm::open(path, sizes.store).map_err(failed)?))
        }
        #[cfg(feature = "sled")]
        StoreKind::Sled => {
            SLED_FORMAT.open(path)?;
            Ok(Arc::new(Sled::open(path, SledSettings::default()).map_err(failed)?))
        }
    }
}

/// Refuses a directory that another kind of store keeps. Over `lsm` the log is trimmed: what is gone from it only that
/// store has. What is no store's directory at all, the store that is asked for refuses itself.
fn refuse_other(path: &Path, kind: StoreKind, name: &str) -> Result<(), ServerError> {
    let name = name.to_owned();
    match directory::what_is_in(path)? {
        Some(word) if Some(&*word) == kind.directory() => Ok(()),
        Some(word) if word == SLED_FORMAT.what => {
            Err(ServerError::KeptBySled { name, path: path.to_owned() })
        }
        Some(word) if word == STORE_FORMAT.what => Err(ServerError::KeptByLsm { name }),
        _ if kind == StoreKind::Memory && path.exists() => Err(ServerError::KeptByLsm { name }),
        _ => Ok(()),
    }
}

pub(super) fn files(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> ServerError {
    let path = path.to_owned();
    move |source| ServerError::Files { doing, path: path.clone(), source }
}
