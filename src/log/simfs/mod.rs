//! A simulated disk under a simulated page cache, for tests: it loses power, fails, lies and rots on request.
//!
//! What it does on a power cut is the worst that a disk and a file system may do: of all that was not synced any
//! subset of sectors survives, in any of the versions written, whole, torn or unreadable; any subset of the creations,
//! renames and removals survives. After a failed sync the pages count as clean, so a later sync does not write them.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test double, hidden from the documentation: a mistake in it must stop the test at once"
)]

mod inode;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use self::inode::Inode;
use super::fs::{File, Filesystem, Space};

/// Decides what a crash does: any number below `options`, which is at least 1.
pub trait Choose {
    fn choose(&mut self, options: usize) -> usize;
}

/// What happens at one input or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails with EIO; of a write a part has been taken.
    Error,
    /// A write takes a part of the bytes and says so; anything else works.
    Short,
    /// A write fails for lack of space and takes nothing; so does the making of a file. Anything else works.
    NoSpace,
    /// The process dies first; nothing happens.
    CrashBefore,
    /// The process dies when a write has taken a part of the bytes.
    CrashMidway,
    /// It happens, then the process dies.
    CrashAfter,
}

/// Ways in which the machine may lie: negative controls of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lies {
    /// A sync of a file returns at once.
    pub sync: bool,
    /// A sync of the directory returns at once.
    pub sync_dir: bool,
    /// A write of what is there already does not make a page dirty.
    pub identical_writes: bool,
}

/// How bad a power cut may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tear {
    /// Each sector is as it was or as it was written.
    Whole,
    /// Or its first half is new and its second old, or it cannot be read, or it holds anything.
    Any,
}

/// The simulated directory. Clones share it; [`SimFs::image`] copies it.
#[derive(Clone)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

#[derive(Clone)]
struct State {
    sector: usize,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    disk_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    lies: Lies,
    fault: Option<(u64, Fault)>,
    /// How many bytes the disk has room for.
    capacity: Option<usize>,
    operations: u64,
    counts_reads: bool,
    crashed: bool,
    boot: u64,
}

#[derive(Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Unlink(String),
}

fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn dead() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the simulated process is dead")
}

/// What a fault leaves of an operation.
enum Go {
    All,
    Part,
    PartThenError,
    NoRoom,
    PartThenDie,
    AllThenDie,
}

impl SimFs {
    /// An empty directory on a disk of sectors of so many bytes.
    pub fn new(sector: usize) -> Self {
        let state = State {
            sector,
            inodes: Vec::new(),
            names: BTreeMap::new(),
            disk_names: BTreeMap::new(),
            pending_names: Vec::new(),
            lies: Lies::default(),
            fault: None,
            capacity: None,
            operations: 0,
            counts_reads: true,
            crashed: false,
            boot: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A copy that shares nothing with this one.
    pub fn image(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().clone())) }
    }

    pub fn lie(&self, lies: Lies) {
        self.lock().lies = lies;
    }

    /// Gives the disk room for so many bytes in all; without a number, for any.
    pub fn limit(&self, capacity: Option<usize>) {
        self.lock().capacity = capacity;
    }

    /// How many bytes its files have.
    pub fn used(&self) -> usize {
        self.lock().used()
    }

    /// Lets `fault` happen at the operation with this number; see [`SimFs::operations`].
    pub fn arm(&self, at: u64, fault: Fault) {
        self.lock().fault = Some((at, fault));
    }

    /// How many inputs and outputs there have been.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Whether opening, listing and reading count as operations, and can fail. A crash at one is the same as a crash
    /// at the next change.
    pub fn count_reads(&self, counts: bool) {
        self.lock().counts_reads = counts;
    }

    pub fn is_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// The process is killed: the page cache stays. Pages that a failed sync left clean may be dropped from it.
    pub fn kill(&self, chooser: &mut dyn Choose) {
        let mut state = self.lock();
        let sector = state.sector;
        for inode in &mut state.inodes {
            inode.evict(sector, chooser);
        }
        state.restart();
    }

    /// The power is cut.
    pub fn cut(&self, chooser: &mut dyn Choose, tear: Tear) {
        let mut state = self.lock();
        let sector = state.sector;
        for inode in &mut state.inodes {
            inode.cut(sector, chooser, tear);
        }
        for change in std::mem::take(&mut state.pending_names) {
            if chooser.choose(2) == 1 {
                change.apply(&mut state.disk_names);
            }
        }
        state.names = state.disk_names.clone();
        state.restart();
    }

    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// The bytes of a file as a reader sees them.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.lock();
        state.inodes[state.names[name]].cache.clone()
    }

    /// Puts `bytes` in place of a file's, on disk and in the cache: rot.
    pub fn replace(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let inode = match state.names.get(name) {
            Some(&inode) => inode,
            None => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.names.insert(name.to_owned(), inode);
                state.disk_names.insert(name.to_owned(), inode);
                inode
            }
        };
        state.inodes[inode] = Inode { disk: bytes.clone(), cache: bytes, ..Inode::default() };
    }

    /// Flips a bit of a file, on disk and in the cache: rot.
    pub fn flip(&self, name: &str, bit: usize) {
        let mut state = self.lock();
        let inode = state.names[name];
        let Inode { cache, disk, .. } = &mut state.inodes[inode];
        cache[bit / 8] ^= 1 << (bit % 8);
        disk[bit / 8] ^= 1 << (bit % 8);
    }

    /// Takes a name away, as if it had never been there: rot.
    pub fn lose(&self, name: &str) {
        let mut state = self.lock();
        if let Some(inode) = state.names.remove(name) {
            state.inodes[inode] = Inode::default();
        }
        state.disk_names.remove(name);
    }

    /// Whether the byte at this offset lies in a sector that cannot be read.
    pub fn is_unreadable(&self, name: &str, offset: usize) -> bool {
        let state = self.lock();
        let unreadable = |&inode: &usize| state.inodes[inode].unreadable.contains(&(offset / state.sector));
        state.names.get(name).is_some_and(unreadable)
    }

    /// Makes the sector at this offset unreadable, if there is such a file: rot.
    pub fn lose_sector(&self, name: &str, offset: usize) {
        let mut state = self.lock();
        let sector = offset / state.sector;
        if let Some(&inode) = state.names.get(name) {
            state.inodes[inode].unreadable.push(sector);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test thread panicked while it held the simulated disk")
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, inode) => {
                names.insert(name, inode);
            }
            Self::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
            Self::Unlink(name) => {
                names.remove(&name);
            }
        }
    }
}

impl State {
    fn restart(&mut self) {
        self.boot += 1;
        self.crashed = false;
        self.fault = None;
    }

    /// Counts an operation and says what of it happens.
    fn begin(&mut self) -> io::Result<Go> {
        if self.crashed {
            return Err(dead());
        }
        let number = self.operations;
        self.operations += 1;
        let Some((_, fault)) = self.fault.filter(|&(at, _)| at == number) else { return Ok(Go::All) };
        match fault {
            Fault::Error => Ok(Go::PartThenError),
            Fault::Short => Ok(Go::Part),
            Fault::NoSpace => Ok(Go::NoRoom),
            Fault::CrashBefore => {
                self.crashed = true;
                Err(dead())
            }
            Fault::CrashMidway => Ok(Go::PartThenDie),
            Fault::CrashAfter => Ok(Go::AllThenDie),
        }
    }

    /// An operation that happens as a whole or not at all.
    fn whole<T>(&mut self, run: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match self.begin()? {
            Go::All | Go::Part | Go::NoRoom => run(self),
            Go::PartThenError => Err(input_output_error()),
            Go::PartThenDie | Go::AllThenDie => {
                let _ = run(self);
                self.crashed = true;
                Err(dead())
            }
        }
    }

    /// An operation that changes nothing.
    fn look<T>(&mut self, run: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match self.counts_reads {
            true => self.whole(run),
            false if self.crashed => Err(dead()),
            false => run(self),
        }
    }

    fn used(&self) -> usize {
        self.names.values().map(|&inode| self.inodes[inode].cache.len()).sum()
    }

    fn change_names(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Filesystem for SimFs {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.lock();
        let operation = state.operations;
        let is_full = state.fault == Some((operation, Fault::NoSpace));
        let inode = state.whole(|state| {
            if is_full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.inodes.push(Inode::default());
            let inode = state.inodes.len() - 1;
            state.change_names(NameChange::Create(name.to_owned(), inode));
            Ok(inode)
        })?;
        Ok(Arc::new(SimFile { fs: self.clone(), inode, boot: state.boot }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.lock();
        let inode = state.look(|state| state.find(name))?;
        Ok(Arc::new(SimFile { fs: self.clone(), inode, boot: state.boot }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.lock().whole(|state| {
            let inode = state.find(from)?;
            state.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
            Ok(())
        })
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        self.lock().whole(|state| {
            state.find(name)?;
            state.change_names(NameChange::Unlink(name.to_owned()));
            Ok(())
        })
    }

    fn set_aside(&self, from: &str, folder: &str, to: &str) -> io::Result<()> {
        self.rename(from, &format!("{folder}/{to}"))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.lock().whole(|state| {
            if !state.lies.sync_dir {
                for change in std::mem::take(&mut state.pending_names) {
                    change.apply(&mut state.disk_names);
                }
            }
            Ok(())
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let is_here = |name: &&String| !name.contains('/');
        self.lock().look(|state| Ok(state.names.keys().filter(is_here).cloned().collect()))
    }

    fn space(&self) -> Option<Space> {
        let state = self.lock();
        let (total, used) = (state.capacity?, state.used());
        Some(Space { total: total as u64, free: total.saturating_sub(used) as u64 })
    }
}

struct SimFile {
    fs: SimFs,
    inode: usize,
    boot: u64,
}

impl SimFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.fs.lock();
        if state.boot == self.boot { Ok(state) } else { Err(dead()) }
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).expect("files are small");
        let inode = self.inode;
        self.lock()?.look(|state| {
            let file = &state.inodes[inode];
            let count = file.cache.len().saturating_sub(offset).min(buffer.len());
            let sectors = offset / state.sector..(offset + count).div_ceil(state.sector);
            if file.unreadable.iter().any(|lost| sectors.contains(lost)) {
                return Err(input_output_error());
            }
            buffer[..count].copy_from_slice(&file.cache[offset..offset + count]);
            Ok(count)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).expect("files are small");
        let mut state = self.lock()?;
        let go = state.begin()?;
        let count = match go {
            Go::NoRoom => return Err(io::ErrorKind::StorageFull.into()),
            Go::All | Go::AllThenDie => bytes.len(),
            Go::Part | Go::PartThenError | Go::PartThenDie => bytes.len().div_ceil(2),
        };
        let growth = (offset + count).saturating_sub(state.inodes[self.inode].cache.len());
        if growth > 0 && state.capacity.is_some_and(|capacity| state.used() + growth > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (sector, lies) = (state.sector, state.lies);
        state.inodes[self.inode].write(sector, offset, &bytes[..count], lies);
        match go {
            Go::All | Go::Part | Go::NoRoom => Ok(count),
            Go::PartThenError => Err(input_output_error()),
            Go::AllThenDie | Go::PartThenDie => {
                state.crashed = true;
                Err(dead())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock()?;
        let sector = state.sector;
        let lies = state.lies.sync;
        match state.begin()? {
            Go::PartThenError => {
                state.inodes[self.inode].fail_to_sync();
                return Err(input_output_error());
            }
            Go::All | Go::Part | Go::NoRoom if !lies => state.inodes[self.inode].sync(sector),
            Go::All | Go::Part | Go::NoRoom => {}
            Go::PartThenDie | Go::AllThenDie => {
                state.inodes[self.inode].sync(sector);
                state.crashed = true;
                return Err(dead());
            }
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        let inode = self.inode;
        self.lock()?.look(|state| Ok(state.inodes[inode].cache.len() as u64))
    }
}
