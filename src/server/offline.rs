//! Looking at a data directory that no server has open, without changing a byte of it; and accepting damage to it.
//!
//! To look, a database is opened as a server would, over a log whose changes stay in memory and a store that is a
//! directory of links to the files of the real one. What recovery would write is thus written nowhere.

#![allow(clippy::disallowed_types, reason = "directories are the outside world")]

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data::{DATA_FORMAT, database_names, files};
use super::environment::Machine;
use super::error::ServerError;
use super::overlay::Overlay;
use crate::engine::{Damaged, Database, Environment, Settings};
use crate::log::disk::Disk;
use crate::log::{Filesystem, Mending, Survey};
use crate::store::directory::{DirectoryError, Lock, STORE_FORMAT};
use crate::store::{Lsm, LsmSettings, Memory, Store, StoreError};
use crate::wire::DatabaseName;

/// A data directory that no server has open.
#[derive(Debug)]
pub struct Offline {
    path: PathBuf,
    names: Vec<String>,
    machine: Arc<Machine>,
    _lock: Option<Lock>,
}

/// A database of it.
pub struct OfflineDatabase {
    name: String,
    log: Arc<dyn Filesystem>,
    /// The store, or why it cannot be opened.
    store: Result<Arc<dyn Store>, StoreError>,
    environment: Arc<dyn Environment>,
    directory: PathBuf,
    is_lsm: bool,
    _links: Option<Links>,
}

impl std::fmt::Debug for OfflineDatabase {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "OfflineDatabase({})", self.name)
    }
}

impl Offline {
    /// Takes the directory to look at it; nothing in it changes.
    ///
    /// # Errors
    /// [`ServerError::Directory`]: a server has it open, or it is none of BlazeDB's; [`ServerError::Files`].
    pub fn look(path: &Path, database: Option<&str>) -> Result<Self, ServerError> {
        Self::take(path, database, Lock::borrow)
    }

    /// Takes the directory to change it.
    ///
    /// # Errors
    /// As [`Offline::look`].
    pub fn change(path: &Path, database: Option<&str>) -> Result<Self, ServerError> {
        Self::take(path, database, |path| Lock::acquire(path).map(Some))
    }

    fn take(
        path: &Path,
        database: Option<&str>,
        lock: impl FnOnce(&Path) -> Result<Option<Lock>, DirectoryError>,
    ) -> Result<Self, ServerError> {
        let missing = || ServerError::NoData(path.to_owned());
        if !path.is_dir() || !DATA_FORMAT.look(path)? {
            return Err(missing());
        }
        let lock = lock(path)?;
        let mut names = database_names(path)?;
        names.sort();
        if let Some(wanted) = database {
            // The name is compared, never joined to a path before it was found there.
            let is_there = DatabaseName::new(wanted).is_ok() && names.iter().any(|name| name == wanted);
            if !is_there {
                return Err(ServerError::NoDatabase { name: wanted.to_owned(), there: names.join(", ") });
            }
            names = vec![wanted.to_owned()];
        }
        Ok(Self { path: path.to_owned(), names, machine: Arc::new(Machine::new()), _lock: lock })
    }

    /// The databases, in the order of their names.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A database as it would be if it were opened. Whatever is done with it stays in memory and in a temporary
    /// directory that goes with it.
    ///
    /// # Errors
    /// [`ServerError::Files`], [`ServerError::Directory`].
    pub fn look_at(&self, name: &str) -> Result<OfflineDatabase, ServerError> {
        let directory = self.path.join(name);
        let log: Arc<dyn Filesystem> = Arc::new(Overlay::new(self.log_disk(name)?));
        let is_lsm = is_lsm(&directory)?;
        let links = if is_lsm { Some(Links::to(&directory.join("store"))?) } else { None };
        let store = match &links {
            Some(links) => open_lsm(&links.path),
            None => Ok(Arc::new(Memory::new()) as Arc<dyn Store>),
        };
        Ok(self.database(name, log, store, is_lsm, links))
    }

    /// A database as it would be if its store were lost, to be looked at.
    ///
    /// # Errors
    /// As [`Offline::look_at`].
    pub fn without_store(&self, name: &str) -> Result<OfflineDatabase, ServerError> {
        let log: Arc<dyn Filesystem> = Arc::new(Overlay::new(self.log_disk(name)?));
        Ok(self.database(name, log, Ok(Arc::new(Memory::new())), false, None))
    }

    /// A database to be changed.
    ///
    /// # Errors
    /// As [`Offline::look_at`].
    pub fn open(&self, name: &str) -> Result<OfflineDatabase, ServerError> {
        let directory = self.path.join(name);
        let log: Arc<dyn Filesystem> = Arc::new(self.log_disk(name)?);
        let is_lsm = is_lsm(&directory)?;
        let store = if is_lsm {
            open_lsm(&directory.join("store"))
        } else {
            Ok(Arc::new(Memory::new()) as Arc<dyn Store>)
        };
        Ok(self.database(name, log, store, is_lsm, None))
    }

    fn log_disk(&self, name: &str) -> Result<Disk, ServerError> {
        let log = self.path.join(name).join("log");
        if !log.is_dir() {
            return Err(ServerError::NoData(log));
        }
        Disk::open(&log).map_err(files("opening the log's directory", &log))
    }

    fn database(
        &self,
        name: &str,
        log: Arc<dyn Filesystem>,
        store: Result<Arc<dyn Store>, StoreError>,
        is_lsm: bool,
        links: Option<Links>,
    ) -> OfflineDatabase {
        OfflineDatabase {
            name: name.to_owned(),
            log,
            store,
            environment: self.machine.clone(),
            directory: self.path.join(name),
            is_lsm,
            _links: links,
        }
    }
}

impl OfflineDatabase {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong with its store so that not even opening it is possible.
    pub fn store_error(&self) -> Option<&StoreError> {
        self.store.as_ref().err()
    }

    /// Opens it as a server would.
    ///
    /// # Errors
    /// [`ServerError::Database`].
    pub fn database(&self) -> Result<Database, ServerError> {
        let (log, store) = (self.log.clone(), self.store()?.clone());
        let settings = Settings { advice: None, ..Settings::default() };
        let opened = Database::open(log, store, self.environment.clone(), settings);
        opened.map(|(database, _)| database).map_err(|error| self.failed(error))
    }

    /// What is wrong with its log and what accepting that would do.
    ///
    /// # Errors
    /// [`ServerError::Database`].
    pub fn survey(&self) -> Result<Option<Survey>, ServerError> {
        let store = self.store()?;
        self.damaged(store).survey().map_err(|error| self.failed(error))
    }

    /// What of the changes after `after` can still be read.
    ///
    /// # Errors
    /// [`ServerError::Database`].
    pub fn lost(
        &self,
        after: u64,
        take: impl FnMut(u64, &crate::engine::DecidedEffect),
    ) -> Result<(), ServerError> {
        let store = self.store()?;
        self.damaged(store).lost(after, take).map_err(|error| self.failed(error))
    }

    /// Accepts the damage to its log. A store that can be made anew from the log is set aside, since it may hold what is
    /// lost.
    ///
    /// # Errors
    /// [`ServerError::Database`], [`ServerError::Files`].
    pub fn accept(&self) -> Result<Option<Mending>, ServerError> {
        let store = self.store()?;
        let mending = self.damaged(store).accept().map_err(|error| self.failed(error))?;
        let other = self.directory.join("store");
        if let (Some(Mending::Loss(loss)), false) = (&mending, self.is_lsm)
            && other.exists()
        {
            let aside = self.directory.join(format!("store.{}", loss.folder));
            move_directory(&other, &aside)?;
        }
        Ok(mending)
    }

    /// Sets the store aside, so that the next opening makes it anew from the log. The caller has seen that the log
    /// reaches back to the beginning. Returns where it is.
    ///
    /// # Errors
    /// [`ServerError::Files`].
    pub fn set_store_aside(self) -> Result<PathBuf, ServerError> {
        let store = self.directory.join("store");
        drop(self.store);
        let free = (1_u32..).map(|number| self.directory.join(format!("store.damaged-{number}")));
        let aside = free.into_iter().find(|aside| !aside.exists());
        let aside = aside.unwrap_or_else(|| self.directory.join("store.damaged"));
        move_directory(&store, &aside)?;
        Ok(aside)
    }

    fn store(&self) -> Result<&Arc<dyn Store>, ServerError> {
        let failed = |error: &StoreError| ServerError::Database {
            name: self.name.clone(),
            error: crate::engine::EngineError::Corrupted(error.to_string()),
        };
        self.store.as_ref().map_err(failed)
    }

    const fn damaged<'a>(&'a self, store: &'a Arc<dyn Store>) -> Damaged<'a> {
        Damaged { log: &self.log, store, environment: &self.environment }
    }

    fn failed(&self, error: crate::engine::EngineError) -> ServerError {
        ServerError::Database { name: self.name.clone(), error }
    }
}

/// A path as a shell reads it.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Whether the database's store is `lsm`'s. Any other is made anew from the log.
fn is_lsm(directory: &Path) -> Result<bool, ServerError> {
    let store = directory.join("store");
    match STORE_FORMAT.look(&store) {
        Ok(is_there) => Ok(is_there || store.join("current").exists()),
        // Another kind of store; with tables in it, it is this one, and its marker is damaged.
        Err(DirectoryError::Foreign { .. }) if !store.join("tables").exists() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn open_lsm(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Lsm::open(path, LsmSettings::default()).map(|store| Arc::new(store) as Arc<dyn Store>)
}

/// Moves a directory within its parent, durably.
fn move_directory(from: &Path, to: &Path) -> Result<(), ServerError> {
    let failed = files("moving aside", from);
    fs::rename(from, to).map_err(&failed)?;
    let parent = from.parent().unwrap_or(Path::new("."));
    fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)
}

/// A temporary directory of links to a store's files: what is added or removed there harms nothing.
struct Links {
    path: PathBuf,
}

impl Links {
    fn to(store: &Path) -> Result<Self, ServerError> {
        let failed = files("linking to", store);
        let store = fs::canonicalize(store).map_err(&failed)?;
        let links = Self { path: temporary().map_err(&failed)? };
        link_all(&store, &links.path).map_err(&failed)?;
        Ok(links)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // What stays is links and what was too much for memory, in the system's directory for such.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The rights on such a directory, among those of all users.
const DIRECTORY_MODE: u32 = 0o700;

/// A new directory of its own.
fn temporary() -> io::Result<PathBuf> {
    let mut number = 0_u32;
    loop {
        let name = format!("blazedb-verify-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // It may hold what was too much for memory.
        match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => {
                number = number.saturating_add(1);
            }
            made => return made.map(|()| path),
        }
    }
}

/// Links to the files of a directory, and makes its subdirectories, which hold links in turn.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&place)?;
            link_all(&entry.path(), &place)?;
        } else {
            std::os::unix::fs::symlink(entry.path(), &place)?;
        }
    }
    Ok(())
}
