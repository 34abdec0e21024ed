//! A directory of files that live in memory, for a server that keeps nothing.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::log::{File, Filesystem};

/// The directory.
#[derive(Debug, Default)]
pub(super) struct Volatile {
    files: Mutex<BTreeMap<String, Arc<VolatileFile>>>,
}

#[derive(Debug, Default)]
struct VolatileFile(Mutex<Vec<u8>>);

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Filesystem for Volatile {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut files = lock(&self.files);
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(VolatileFile::default());
        files.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = lock(&self.files).get(name).cloned().ok_or_else(missing)?;
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.files);
        let file = files.remove(from).ok_or_else(missing)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        lock(&self.files).remove(name).map(drop).ok_or_else(missing)
    }

    fn set_aside(&self, from: &str, folder: &str, to: &str) -> io::Result<()> {
        self.rename(from, &format!("{folder}/{to}"))
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(lock(&self.files).keys().filter(|name| !name.contains('/')).cloned().collect())
    }
}

impl File for VolatileFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = lock(&self.0);
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(rest) {
            *place = *byte;
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut file = lock(&self.0);
        let range =
            usize::try_from(offset).ok().and_then(|start| Some(start..start.checked_add(bytes.len())?));
        let range = range.ok_or(io::ErrorKind::FileTooLarge)?;
        if file.len() < range.end {
            file.resize(range.end, 0);
        }
        if let Some(place) = file.get_mut(range) {
            place.copy_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(u64::try_from(lock(&self.0).len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_made_written_renamed_read_and_removed() {
        let directory = Volatile::default();
        let file = directory.create("1.tmp").unwrap();
        assert_eq!(file.write_at(2, b"abc").unwrap(), 3);
        assert_eq!(file.write_at(3, b"x").unwrap(), 1);
        assert_eq!(directory.create("1.tmp").err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        directory.rename("1.tmp", "1.log").unwrap();
        let mut bytes = [9; 6];
        let again = directory.open("1.log").unwrap();
        assert_eq!((again.read_at(1, &mut bytes).unwrap(), again.length().unwrap()), (4, 5));
        assert_eq!(bytes, *b"\0axc\x09\x09");
        assert_eq!(again.read_at(7, &mut bytes).unwrap(), 0);
        directory.unlink("1.log").unwrap();
        assert!(directory.list().unwrap().is_empty() && directory.open("1.log").is_err());
    }
}
