//! The directory that sled's files lie in: thrown away unless the file `CLOSED` says that they are whole.
//!
//! | name | what |
//! |---|---|
//! | `rows-<number>/` | sled's own files; there is one such directory, its number is never used again |
//! | `CLOSED` | there if nothing was written since everything was synced |
//!
//! `CLOSED` is text: `blazedb sled closed`, `directory rows-<number>`, `position <epoch> <sequence>`, `rows <count>`,
//! `digest` and 32 hexadecimal digits, `crc32` and 8 over all lines before it.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this file is the disk of the backend"
)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::totals::Totals;
use crate::store::{Position, StoreError};

const MARKER: &str = "CLOSED";
/// The marker until it is complete.
const UNFINISHED: &str = "CLOSED.tmp";
/// More than any marker has; a longer one is none.
const MAX_MARKER_BYTES: u64 = 512;
const ROWS: &str = "rows-";
/// Threads of a sled that was dropped a moment ago may hold its lock that long.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closed {
    /// The directory of sled's files, by its name.
    pub(super) directory: String,
    pub(super) position: Position,
    pub(super) totals: Totals,
}

impl Closed {
    fn to_text(&self) -> String {
        let Self { directory, position: Position { epoch, seq }, totals: Totals { rows, digest } } = self;
        let text = format!(
            "blazedb sled closed\ndirectory {directory}\nposition {epoch} {seq}\nrows {rows}\ndigest {digest:032x}\n"
        );
        let crc = crc32fast::hash(text.as_bytes());
        format!("{text}crc32 {crc:08x}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let (checked, crc) = text.rsplit_once("crc32 ")?;
        if crc != format!("{:08x}\n", crc32fast::hash(checked.as_bytes())) {
            return None;
        }
        let mut lines = checked.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        field("blazedb").filter(|rest| *rest == "sled closed")?;
        let directory = field("directory")?.to_owned();
        number(&directory)?;
        let (epoch, seq) = field("position")?.split_once(' ')?;
        let position = Position { epoch: epoch.parse().ok()?, seq: seq.parse().ok()? };
        let rows = field("rows")?.parse().ok()?;
        let digest = u128::from_str_radix(field("digest")?, 16).ok()?;
        Some(Self { directory, position, totals: Totals { rows, digest } })
    }
}

fn failed(doing: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |source| StoreError::Io { doing, source }
}

/// Reads the marker and takes it away for good: from now on the files may change. `None` if there is none that can be
/// understood.
pub(super) fn take_marker(path: &Path) -> Result<Option<Closed>, StoreError> {
    let mut text = Vec::new();
    let read = |file: File| file.take(MAX_MARKER_BYTES).read_to_end(&mut text);
    match File::open(path.join(MARKER)).and_then(read) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::Io { doing: "reading CLOSED", source }),
    }
    remove_marker(path)?;
    Ok(std::str::from_utf8(&text).ok().and_then(Closed::parse))
}

/// Removes the marker; it stays away, whatever happens to the power.
pub(super) fn remove_marker(path: &Path) -> Result<(), StoreError> {
    let remove = || {
        fs::remove_file(path.join(MARKER))?;
        sync_directory(path)
    };
    remove().map_err(failed("removing CLOSED"))
}

/// Writes the marker, whole or not at all. Everything that it vouches for was synced.
pub(super) fn write_marker(path: &Path, closed: &Closed) -> Result<(), StoreError> {
    let write = || {
        let unfinished = path.join(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(closed.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path.join(MARKER))?;
        sync_directory(path)
    };
    write().map_err(failed("writing CLOSED"))
}

/// Whether there are files of sled.
pub(super) fn has_rows(path: &Path) -> Result<bool, StoreError> {
    Ok(!numbers(path).map_err(failed("reading the store's directory"))?.is_empty())
}

/// Removes sled's files; the name of the directory for new ones.
pub(super) fn discard(path: &Path) -> Result<String, StoreError> {
    let discard = || {
        let numbers = numbers(path)?;
        for number in &numbers {
            fs::remove_dir_all(path.join(format!("{ROWS}{number}")))?;
        }
        let next = numbers.into_iter().max().unwrap_or_default().saturating_add(1);
        Ok(format!("{ROWS}{next}"))
    };
    discard().map_err(failed("emptying the store's directory"))
}

/// The numbers of the directories of sled's files.
fn numbers(path: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path)? {
        numbers.extend(entry?.file_name().to_str().and_then(number));
    }
    Ok(numbers)
}

fn number(name: &str) -> Option<u64> {
    name.strip_prefix(ROWS)?.parse().ok()
}

/// Syncs every file under `path` and every directory, itself and its parent included.
pub(super) fn sync_all(path: &Path) -> Result<(), StoreError> {
    let sync = || {
        sync_tree(path)?;
        path.parent().map_or(Ok(()), sync_directory)
    };
    sync().map_err(failed("syncing the store"))
}

fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let synced = if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())
        } else {
            File::open(entry.path()).and_then(|file| file.sync_all())
        };
        match synced {
            // sled may remove a file meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    sync_directory(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Opens sled, waiting for the lock of one that was dropped before.
pub(super) fn open_unlocked<T>(open: impl Fn() -> ::sled::Result<T>) -> ::sled::Result<T> {
    let start = std::time::Instant::now();
    loop {
        match open() {
            Err(::sled::Error::Io(error))
                if error.to_string().contains("acquire lock") && start.elapsed() < LOCK_WAIT =>
            {
                std::thread::sleep(LOCK_RETRY);
            }
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_taken_once_and_only_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert_eq!(take_marker(path).unwrap(), None);
        let closed = Closed {
            directory: "rows-7".to_owned(),
            position: Position { epoch: 2, seq: 300 },
            totals: Totals { rows: 4, digest: 0xABC },
        };
        write_marker(path, &closed).unwrap();
        let text = fs::read_to_string(path.join(MARKER)).unwrap();
        // The checksum is zlib's.
        assert_eq!(
            text,
            "blazedb sled closed\ndirectory rows-7\nposition 2 300\nrows 4\n\
             digest 00000000000000000000000000000abc\ncrc32 b6c9307f\n"
        );
        assert_eq!(take_marker(path).unwrap(), Some(closed));
        assert_eq!(take_marker(path).unwrap(), None);
        for bit in 0..text.len() * 8 {
            let mut damaged = text.clone().into_bytes();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(path.join(MARKER), damaged).unwrap();
            assert_eq!(take_marker(path).unwrap(), None, "bit {bit}");
        }
    }

    #[test]
    fn a_number_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(discard(folder.path()).unwrap(), "rows-1");
        for name in ["rows-1/blobs", "rows-9", "notes"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        assert!(has_rows(folder.path()).unwrap());
        assert_eq!(discard(folder.path()).unwrap(), "rows-10");
        assert!(!has_rows(folder.path()).unwrap() && folder.path().join("notes").exists());
    }
}
