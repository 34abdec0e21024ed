//! sled behind a guard: its errors are ours, and where it panics there is an error instead. After a panic nobody knows
//! what it left, and nothing is asked of it any more.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ::sled::Db;

use super::disk;
use super::settings::SledSettings;
use super::totals::Totals;
use crate::store::{Bytes, Direction, KeyRange, Row, StoreError};

/// One tree of sled.
pub(super) struct Guarded {
    /// There until it is dropped.
    db: Option<Db>,
    panicked: AtomicBool,
}

impl Guarded {
    /// Opens sled in `path`, or creates it there.
    pub(super) fn open(path: &Path, settings: SledSettings) -> Result<Self, StoreError> {
        let db = caught(|| disk::open_unlocked(|| settings.config(path).open()));
        let db = db.map_err(|why| panicked("opening", &*why))?;
        let db = db.map_err(|error| failure("opening the store", error))?;
        Ok(Self { db: Some(db), panicked: AtomicBool::new(false) })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.ask("reading the store", |db| Ok(db.get(key)?.map(|value| Bytes::from(&*value))))
    }

    /// Sets the value of `key`, or removes it.
    pub(super) fn set(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        self.ask("writing the store", |db| match value {
            Some(value) => db.insert(key, value).map(drop),
            None => db.remove(key).map(drop),
        })
    }

    /// The first rows of `range` in that direction, at most `count`. The range is not empty.
    pub(super) fn range(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
        count: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.ask("reading the store", |db| {
            let rows = db.range::<&[u8], _>(range);
            let own = |row: ::sled::Result<(::sled::IVec, ::sled::IVec)>| {
                row.map(|(key, value)| (Bytes::from(&*key), Bytes::from(&*value)))
            };
            match direction {
                Direction::Ascending => rows.take(count).map(own).collect(),
                Direction::Descending => rows.rev().take(count).map(own).collect(),
            }
        })
    }

    /// Reads every row.
    pub(super) fn totals(&self) -> Result<Totals, StoreError> {
        self.ask("reading the store", |db| {
            let mut totals = Totals::default();
            for row in db.iter() {
                let (key, value) = row?;
                totals.add(&key, &value);
            }
            Ok(totals)
        })
    }

    /// Has sled hand everything to the operating system.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.ask("flushing the store", |db| db.flush().map(drop))
    }

    /// Bytes of its files, 0 if it cannot say.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.ask("measuring the store", |db| db.size_on_disk()).unwrap_or_default()
    }

    fn ask<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Db) -> ::sled::Result<T>,
    ) -> Result<T, StoreError> {
        let db = self.db.as_ref().filter(|_| !self.panicked.load(Ordering::Acquire));
        let db = db.ok_or(StoreError::Failed("sled panicked"))?;
        match caught(|| work(db)) {
            Ok(done) => done.map_err(|error| failure(doing, error)),
            Err(why) => {
                self.panicked.store(true, Ordering::Release);
                Err(panicked(doing, &*why))
            }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let Some(db) = self.db.take() else { return };
        if self.panicked.load(Ordering::Acquire) {
            // Dropping it writes and waits, which may panic again or never end.
            std::mem::forget(db);
        } else {
            drop(caught(|| drop(db)));
        }
    }
}

thread_local! {
    /// Whether this thread is inside sled.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic in it is caught and not printed.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    silence();
    let was_inside = IS_INSIDE.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_INSIDE.set(was_inside);
    done
}

/// Has the process's panic hook stay silent about threads inside sled, and about sled's own.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_its_own = std::thread::current().name().is_some_and(|name| name.starts_with("sled-"));
            if !is_its_own && !IS_INSIDE.get() {
                others(info);
            }
        }));
    });
}

fn panicked(doing: &'static str, why: &(dyn Any + Send)) -> StoreError {
    let text = why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref::<&str>().copied());
    StoreError::corrupt(format!("{doing}: sled gave up: {}", text.unwrap_or("it does not say why")))
}

/// What an error of sled means here.
fn failure(doing: &'static str, error: ::sled::Error) -> StoreError {
    use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match error {
        ::sled::Error::Io(source) if !matches!(source.kind(), InvalidData | NotFound | UnexpectedEof) => {
            StoreError::Io { doing, source }
        }
        other => StoreError::corrupt(format!("{doing}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_panic_nothing_is_asked_of_it_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let rows = Guarded::open(folder.path(), SledSettings::default()).unwrap();
        rows.set(b"a", Some(b"1")).unwrap();
        let error = rows.ask("reading", |_| -> ::sled::Result<()> { panic!("a page is gone") }).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt(why) if why.contains("a page is gone")), "{error}");
        assert!(matches!(rows.get(b"a"), Err(StoreError::Failed(_))));
        drop(rows);
    }
}
