//! What a directory of a database carries besides its data: the file FORMAT, which says who can read it, and the
//! file LOCK, which keeps a second process out.
//!
//! FORMAT is one line, `blazedb <what> <number>` and a line feed: `blazedb store 1`. It is written before anything
//! else, whole or not at all, and never changed. LOCK holds the process id of its owner in decimal, for the message
//! only: what counts is the operating system's lock, which ends with the process.

#![allow(clippy::disallowed_types, reason = "directories are the outside world")]

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The directory of the store `lsm` in its present format.
pub const STORE_FORMAT: Format = Format { what: "store", number: 1 };
/// The directory of the store `sled` in its present format.
pub const SLED_FORMAT: Format = Format { what: "sled", number: 1 };

const FORMAT_FILE: &str = "FORMAT";
/// FORMAT under the name it has until it is complete.
const UNFINISHED_FILE: &str = "FORMAT.tmp";
const LOCK_FILE: &str = "LOCK";
/// The rights on directories that are made. What their backends make in them has no narrower ones: whoever cannot enter a
/// directory does not reach its files.
const DIRECTORY_MODE: u32 = 0o700;
/// The rights on the files of this module.
const FILE_MODE: u32 = 0o600;
/// More than any FORMAT or LOCK ever held.
const MAX_BYTES: u64 = 256;

/// Why a directory is not opened. Nothing in it was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// A later release wrote it.
    #[error(
        "{path} was written by a newer blazedb: its {what} format is {found}, this one reads up to {known}. Install \
         that release again, or open a copy made before the upgrade"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// What it holds.
        what: &'static str,
        /// Its format's number.
        found: u64,
        /// The greatest number known here.
        known: u64,
    },
    /// It holds files, but no FORMAT that can be understood.
    #[error(
        "{path} is no blazedb {what}: {reason}. Name another directory; if it was one, restore the file FORMAT from a \
         backup"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
        /// What was found instead.
        reason: String,
    },
    /// Another process has it open.
    #[error("{path} is in use by {}. Stop it first, or name another directory", owner(*.pid))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, if it said so.
        pid: Option<u32>,
    },
    /// The operating system refused.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The directory or file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A kind of directory and its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// What the directory holds: one lower-case word.
    pub what: &'static str,
    /// The format's number; a change that an older release could not read takes the next one.
    pub number: u64,
}

impl Format {
    /// Creates `path` with its FORMAT, durably, if it is missing or empty; else checks the FORMAT. The number found:
    /// at most [`Format::number`].
    ///
    /// # Errors
    /// [`DirectoryError::Newer`], [`DirectoryError::Foreign`], [`DirectoryError::Io`].
    pub fn open(&self, path: &Path) -> Result<u64, DirectoryError> {
        match read_short(&path.join(FORMAT_FILE)) {
            Ok(text) => self.check(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(path),
            Err(source) => Err(io_error("reading FORMAT in", path, source)),
        }
    }

    /// Checks the FORMAT in `path` and writes nothing; false if there is none.
    ///
    /// # Errors
    /// As [`Format::open`].
    pub fn look(&self, path: &Path) -> Result<bool, DirectoryError> {
        match read_short(&path.join(FORMAT_FILE)) {
            Ok(text) => self.check(path, &text).map(|_| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(io_error("reading FORMAT in", path, source)),
        }
    }

    fn check(&self, path: &Path, text: &str) -> Result<u64, DirectoryError> {
        let foreign = || DirectoryError::Foreign {
            path: path.to_owned(),
            what: self.what,
            reason: format!("its FORMAT says {text:?}"),
        };
        let number = text.strip_prefix("blazedb ").and_then(|rest| rest.strip_prefix(self.what));
        let number =
            number.and_then(|rest| rest.strip_prefix(' ')?.strip_suffix('\n')).ok_or_else(foreign)?;
        let found = number.parse::<u64>().map_err(|_| foreign())?;
        match found {
            0 => Err(foreign()),
            found if found > self.number => Err(DirectoryError::Newer {
                path: path.to_owned(),
                what: self.what,
                found,
                known: self.number,
            }),
            found => Ok(found),
        }
    }

    /// Opens `path` as [`Format::open`] does, with the lock on it: the lock before anything is written, but nothing at
    /// all, not even LOCK, in a directory that is not ours.
    ///
    /// # Errors
    /// Those of [`Format::open`] and [`Lock::acquire`].
    pub fn claim(&self, path: &Path) -> Result<(Lock, u64), DirectoryError> {
        match read_short(&path.join(FORMAT_FILE)) {
            Ok(text) => drop(self.check(path, &text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.make_room(path)?,
            Err(source) => return Err(io_error("reading FORMAT in", path, source)),
        }
        let lock = Lock::acquire(path)?;
        Ok((lock, self.open(path)?))
    }

    fn create(&self, path: &Path) -> Result<u64, DirectoryError> {
        self.make_room(path)?;
        self.write(path).map_err(|source| io_error("creating", path, source))?;
        Ok(self.number)
    }

    /// Creates the directory if it is missing, durably, and refuses it if it holds anything of somebody else's.
    fn make_room(&self, path: &Path) -> Result<(), DirectoryError> {
        let failed = |source| io_error("creating", path, source);
        let missing: Vec<_> =
            path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists()).collect();
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(failed)?;
        for part in missing {
            // A directory's own name is an entry of its parent.
            sync_directory(&part.join("..")).map_err(failed)?;
        }
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if name != UNFINISHED_FILE && name != LOCK_FILE {
                let reason = format!("it holds {} and no FORMAT", name.display());
                return Err(DirectoryError::Foreign { path: path.to_owned(), what: self.what, reason });
            }
        }
        Ok(())
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let unfinished = path.join(UNFINISHED_FILE);
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&unfinished)?;
        writeln!(file, "blazedb {} {}", self.what, self.number)?;
        file.sync_all()?;
        fs::rename(&unfinished, path.join(FORMAT_FILE))?;
        sync_directory(path)
    }
}

/// What the FORMAT in `path` says the directory holds: the word of its [`Format`]. `None` if there is no FORMAT, or one
/// that [`Format::open`] refuses.
///
/// # Errors
/// [`DirectoryError::Io`].
pub fn what_is_in(path: &Path) -> Result<Option<String>, DirectoryError> {
    match read_short(&path.join(FORMAT_FILE)) {
        Ok(text) => {
            Ok(text.strip_prefix("blazedb ").and_then(|rest| Some(rest.split_once(' ')?.0.to_owned())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error("reading FORMAT in", path, source)),
    }
}

/// The right to a directory; given up when dropped, at the latest when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the directory `path` and changes nothing in it. One without a LOCK is nobody's.
    ///
    /// # Errors
    /// [`DirectoryError::Locked`], [`DirectoryError::Io`].
    pub fn borrow(path: &Path) -> Result<Option<Self>, DirectoryError> {
        let lock_file = path.join(LOCK_FILE);
        let file = match File::open(&lock_file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(io_error("locking", path, source)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => {
                let pid = read_short(&lock_file).ok().and_then(|text| text.trim().parse().ok());
                Err(DirectoryError::Locked { path: path.to_owned(), pid })
            }
            Err(TryLockError::Error(source)) => Err(io_error("locking", path, source)),
        }
    }

    /// Takes the directory `path`, which exists.
    ///
    /// # Errors
    /// [`DirectoryError::Locked`] while another [`Lock`] on it lives, in this process or another.
    pub fn acquire(path: &Path) -> Result<Self, DirectoryError> {
        let failed = |source| io_error("locking", path, source);
        let lock_file = path.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let mut file = options.open(&lock_file).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = read_short(&lock_file).ok().and_then(|text| text.trim().parse().ok());
                return Err(DirectoryError::Locked { path: path.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let owner = format!("{}\n", std::process::id());
        let noted =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(owner.as_bytes()));
        match noted {
            // The lock is held all the same; a full disk must open, to be read.
            Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(failed(error)),
            _ => Ok(Self { _file: file }),
        }
    }
}

/// Reads a file that is a line at most; a longer one is cut.
fn read_short(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Io { doing, path: path.to_owned(), source }
}
