//! A log's directory as it is on disk, with every change kept in memory: what opening it would do can be seen, and
//! nothing is done.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use super::volatile::{Volatile, lock};
use crate::log::disk::Disk;
use crate::log::{File, Filesystem};

/// The directory.
pub(super) struct Overlay {
    below: Disk,
    above: Volatile,
    /// Files below that were removed.
    gone: Mutex<BTreeSet<String>>,
    /// Files below that were opened.
    opened: Mutex<BTreeMap<String, Arc<Patched>>>,
}

/// A file below and what was written over it, in order.
struct Patched {
    below: Arc<dyn File>,
    patches: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl Overlay {
    pub(super) fn new(below: Disk) -> Self {
        Self { below, above: Volatile::default(), gone: Mutex::default(), opened: Mutex::default() }
    }

    fn is_below(&self, name: &str) -> io::Result<bool> {
        Ok(!lock(&self.gone).contains(name) && self.below.list()?.iter().any(|found| found == name))
    }

    fn is_above(&self, name: &str) -> io::Result<bool> {
        Ok(self.above.list()?.iter().any(|found| found == name))
    }
}

impl Filesystem for Overlay {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        if self.is_below(name)? { Err(io::ErrorKind::AlreadyExists.into()) } else { self.above.create(name) }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        if self.is_above(name)? {
            return self.above.open(name);
        }
        if !self.is_below(name)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut opened = lock(&self.opened);
        if let Some(file) = opened.get(name) {
            return Ok(Arc::<Patched>::clone(file));
        }
        let file = Arc::new(Patched { below: self.below.open(name)?, patches: Mutex::default() });
        opened.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.above.rename(from, to)?;
        lock(&self.gone).insert(to.to_owned());
        Ok(())
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        if self.is_above(name)? {
            return self.above.unlink(name);
        }
        if !self.is_below(name)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        lock(&self.gone).insert(name.to_owned());
        Ok(())
    }

    fn set_aside(&self, from: &str, _folder: &str, _to: &str) -> io::Result<()> {
        self.unlink(from)
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let gone = lock(&self.gone);
        let below = self.below.list()?.into_iter().filter(|name| !gone.contains(name));
        let names: BTreeSet<String> = below.chain(self.above.list()?).collect();
        Ok(names.into_iter().collect())
    }
}

impl File for Patched {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.below.read_at(offset, buffer)?;
        for (at, bytes) in &*lock(&self.patches) {
            let place = (*at..).zip(bytes);
            for (at, byte) in place {
                let index = at.checked_sub(offset).and_then(|index| usize::try_from(index).ok());
                if let Some(place) =
                    index.filter(|&index| index < count).and_then(|index| buffer.get_mut(index))
                {
                    *place = *byte;
                }
            }
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let end = u64::try_from(bytes.len()).ok().and_then(|count| offset.checked_add(count));
        // Segments have their length from the beginning: nothing is written behind it.
        if end.is_none_or(|end| self.below.length().is_ok_and(|length| end > length)) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        lock(&self.patches).push((offset, bytes.to_vec()));
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.below.length()
    }
}
