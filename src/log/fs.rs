//! The filesystem that the log is given: one flat directory of files.
//!
//! The log itself touches no disk. [`super::disk`] is the real one; [`super::simfs`] loses power on request.

use std::io;
use std::sync::Arc;

use super::error::LogError;

/// A directory that holds one log and nothing else that ends in `.log` or `.tmp`.
pub trait Filesystem: Send + Sync {
    /// Makes a new, empty file for reading and writing.
    ///
    /// # Errors
    /// Any of the system's; [`io::ErrorKind::AlreadyExists`] if the name is taken.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// Any of the system's.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;
    /// Gives a file another name, replacing what has it.
    ///
    /// # Errors
    /// Any of the system's.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name.
    ///
    /// # Errors
    /// Any of the system's.
    fn unlink(&self, name: &str) -> io::Result<()>;
    /// Returns once every earlier creation, renaming and removal is on stable storage.
    ///
    /// # Errors
    /// Any of the system's; what is on disk is then unknown.
    fn sync_dir(&self) -> io::Result<()>;
    /// The names of all files, in any order.
    ///
    /// # Errors
    /// Any of the system's.
    fn list(&self) -> io::Result<Vec<String>>;
    /// The room on the disk that holds the directory; `None` if that cannot be known.
    fn space(&self) -> Option<Space> {
        None
    }
}

/// The room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// How large it is.
    pub total: u64,
    /// How much of it this process may still take.
    pub free: u64,
}

/// An open file.
pub trait File: Send + Sync {
    /// Reads at `offset` into `buffer`; returns how many bytes, 0 only at the end of the file.
    ///
    /// # Errors
    /// Any of the system's.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes `bytes` at `offset`; returns how many were taken.
    ///
    /// # Errors
    /// Any of the system's; which of the bytes were taken is then unknown.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Returns once everything written before the call, and the file's length, is on stable storage (fdatasync).
    ///
    /// # Errors
    /// Any of the system's; what is on disk is then unknown, and a second call proves nothing.
    fn sync(&self) -> io::Result<()>;
    /// Bytes of the file.
    ///
    /// # Errors
    /// Any of the system's.
    fn length(&self) -> io::Result<u64>;
}

/// Writes all of `bytes`. A short write is continued; an interrupted one repeated.
pub(crate) fn write_all(file: &dyn File, name: &str, offset: u32, bytes: &[u8]) -> Result<(), LogError> {
    let mut offset = u64::from(offset);
    let mut rest = bytes;
    while !rest.is_empty() {
        match file.write_at(offset, rest) {
            Ok(0) => return Err(LogError::io("write", name, io::ErrorKind::WriteZero.into())),
            Ok(count) => {
                rest = rest.get(count..).unwrap_or_default();
                offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LogError::io("write", name, error)),
        }
    }
    Ok(())
}

/// Syncs `file`.
pub(crate) fn sync(file: &dyn File, name: &str) -> Result<(), LogError> {
    file.sync().map_err(|error| LogError::io("fdatasync", name, error))
}

/// Syncs the directory.
pub(crate) fn sync_dir(fs: &dyn Filesystem) -> Result<(), LogError> {
    fs.sync_dir().map_err(|error| LogError::io("fsync of the directory", "", error))
}
