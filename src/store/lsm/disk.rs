//! What the crate trusts without looking, looked at: the files that say which tables there are, and each table's
//! table of contents. Checked before the crate opens them, because a flipped bit there would hide whole tables
//! or make it allocate by a damaged length. All formats are those of `lsm-tree` 3.1, pinned in `Cargo.toml`.
//!
//! | file | bytes | field (little-endian) |
//! |---|---|---|
//! | `current` | 0..8 | number v of the manifest `v<number>` |
//! | | 8..24 | XXH3 of 128 bits of that whole file |
//! | | 24 | 0, which names that hash |
//! | `v<number>`, `tables/<id>`, at the end | -38..-34 | `SFA!` |
//! | | -34, -33 | version 1, hash 0 (the same hash) |
//! | | -32..-16 | hash of the table of contents |
//! | | -16..-8, -8.. | its offset and length; it ends where this trailer begins |

#![allow(clippy::disallowed_types, reason = "this file and what it calls are the disk of the backend")]

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::store::StoreError;

const TRAILER_BYTES: usize = 38;
/// The tables of contents of manifests and tables name some ten sections.
const MAX_CONTENTS_BYTES: u64 = 64 << 10;
/// How much of a file is hashed at a time.
const READ_BYTES: usize = 256 << 10;

/// Checks the manifest and the tables of contents of the store in `path`; nothing, if there is no store yet.
pub(super) fn check_before_open(path: &Path) -> Result<(), StoreError> {
    let current = match fs::read(path.join("current")) {
        Ok(current) => current,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check_absence(path),
        Err(source) => return Err(StoreError::Io { doing: "opening the store", source }),
    };
    let tables = check_manifest(path, &current)?;
    for table in tables {
        let file = path.join("tables").join(table.to_string());
        check_contents(&file).map_err(|error| name(&file, error))?;
    }
    Ok(())
}

/// The number of the manifest that the next opening would use.
pub(super) fn current_manifest(path: &Path) -> io::Result<u64> {
    let mut number = [0; 8];
    File::open(path.join("current"))?.read_exact(&mut number)?;
    Ok(u64::from_le_bytes(number))
}

/// Without `current` there may be what a kill during creation leaves, but no table.
fn check_absence(path: &Path) -> Result<(), StoreError> {
    match fs::read_dir(path.join("tables")).map(|mut entries| entries.next().is_none()) {
        Ok(false) => {
            Err(StoreError::corrupt("there are tables, but the file `current` that names them is missing"))
        }
        _ => Ok(()),
    }
}

/// The tables that the manifest names, once its hash is that in `current`.
fn check_manifest(path: &Path, current: &[u8]) -> Result<Vec<u64>, StoreError> {
    let damaged = || StoreError::corrupt("the file `current` or the manifest that it names is damaged");
    let (number, rest) = current.split_first_chunk().ok_or_else(damaged)?;
    let (hash, kind) = rest.split_first_chunk().ok_or_else(damaged)?;
    let file = path.join(format!("v{}", u64::from_le_bytes(*number)));
    let manifest = fs::read(&file).map_err(|error| name(&file, error))?;
    if kind != [0] || xxh3_128(&manifest) != u128::from_le_bytes(*hash) {
        return Err(damaged());
    }
    let contents = sfa::Reader::from_reader(&mut io::Cursor::new(&manifest)).map_err(|_| damaged())?;
    let section = contents.toc().section(b"tables").ok_or_else(damaged)?;
    let bytes =
        usize::try_from(section.pos()).ok().and_then(|start| manifest.get(start..)).ok_or_else(damaged)?;
    named_tables(bytes).ok_or_else(damaged)
}

/// Reads the section `tables`: levels u8, each runs u8, each tables u32, each id u64, hash kind u8, hash u128,
/// sequence u64.
pub(in crate::store) fn named_tables(mut bytes: &[u8]) -> Option<Vec<u64>> {
    fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
        let (head, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*head)
    }
    let mut tables = Vec::new();
    let [levels] = take(&mut bytes)?;
    for _ in 0..levels {
        let [runs] = take(&mut bytes)?;
        for _ in 0..runs {
            for _ in 0..u32::from_le_bytes(take(&mut bytes)?) {
                tables.push(u64::from_le_bytes(take(&mut bytes)?));
                take::<25>(&mut bytes)?;
            }
        }
    }
    Some(tables)
}

/// Compares the table of contents of a file with the hash in its trailer.
fn check_contents(path: &Path) -> io::Result<()> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its table of contents is damaged");
    let mut file = File::open(path)?;
    let trailer_bytes = u64::try_from(TRAILER_BYTES).unwrap_or_default();
    let trailer_at = file.metadata()?.len().checked_sub(trailer_bytes).ok_or_else(damaged)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.seek(SeekFrom::Start(trailer_at))?;
    file.read_exact(&mut trailer)?;
    let (head, rest) = trailer.split_first_chunk::<6>().ok_or_else(damaged)?;
    let (hash, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
    let (offset, _) = rest.split_first_chunk().ok_or_else(damaged)?;
    let offset = u64::from_le_bytes(*offset);
    let length =
        trailer_at.checked_sub(offset).filter(|length| *length <= MAX_CONTENTS_BYTES).ok_or_else(damaged)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut contents = Vec::new();
    file.take(length).read_to_end(&mut contents)?;
    if head != b"SFA!\x01\x00" || xxh3_128(&contents) != u128::from_le_bytes(*hash) {
        return Err(damaged());
    }
    Ok(())
}

/// Reads every file again and compares its hash with the one that the manifest holds.
pub(super) fn check_files(path: &Path, tables: impl Iterator<Item = (u64, u128)>) -> Result<(), StoreError> {
    check_before_open(path)?;
    for (table, expected) in tables {
        let file = path.join("tables").join(table.to_string());
        let found = hash_of(&file).map_err(|error| name(&file, error))?;
        if found != expected {
            return Err(StoreError::corrupt(format!("{} does not match its checksum", file.display())));
        }
    }
    Ok(())
}

fn hash_of(path: &Path) -> io::Result<u128> {
    let mut file = File::open(path)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.digest128());
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

/// Removes the files of tables that were never installed. Those that cannot be removed are removed when the store
/// is opened the next time.
pub(super) fn remove_tables(path: &Path, ids: Range<u64>) {
    for id in ids {
        let _ = fs::remove_file(path.join("tables").join(id.to_string()));
    }
}

/// An error about a file that must be there: missing or cut short is damage.
fn name(path: &Path, error: io::Error) -> StoreError {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    if matches!(error.kind(), InvalidData | NotFound | UnexpectedEof) {
        return StoreError::corrupt(format!("{}: {error}", path.display()));
    }
    StoreError::Io { doing: "reading the store's files", source: error }
}
