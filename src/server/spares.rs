//! The places beyond those of clients (`spec/doors.md`, D-2.6): few, and never held for long against somebody who comes.
//!
//! ```text
//!   silent ──first byte──▶ speaking ──refused──▶ told
//!     │ gives way            │ gives way after     │ gives way
//!     ▼ second               ▼ SPARE_PATIENCE      ▼ first
//! ```

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::limits::{SPARE_PATIENCE, SPARE_PLACES};
use super::volatile::lock;
use crate::proto::Time;

/// The spare places of a server, in the order in which they were taken.
#[derive(Debug, Default)]
pub(super) struct Spares {
    held: Mutex<Vec<Arc<Holder>>>,
}

/// One who holds a place.
#[derive(Debug)]
struct Holder {
    since: Time,
    stage: AtomicU8,
    gives_way: Notify,
}

/// How far a holder has come; a greater one gives way later.
const TOLD: u8 = 0;
const SILENT: u8 = 1;
const SPEAKING: u8 = 2;

/// A spare place, given back when dropped.
#[derive(Debug)]
pub(super) struct Spare {
    spares: Arc<Spares>,
    holder: Arc<Holder>,
}

impl Spares {
    /// A place for somebody who comes: one that is free, or that of one who has no need of it any more, or did not use it.
    /// `None` if all are put to use.
    pub(super) fn take(self: &Arc<Self>, now: Time) -> Option<Spare> {
        let holder = Arc::new(Holder { since: now, stage: AtomicU8::new(SILENT), gives_way: Notify::new() });
        let mut held = lock(&self.held);
        if held.len() >= SPARE_PLACES {
            let at = who_gives_way(&held, now)?;
            held.remove(at).gives_way.notify_one();
        }
        held.push(holder.clone());
        drop(held);
        Some(Spare { spares: self.clone(), holder })
    }
}

/// The oldest of those whose stage says that they give way first.
fn who_gives_way(held: &[Arc<Holder>], now: Time) -> Option<usize> {
    let stages = held.iter().map(|holder| holder.stage.load(Ordering::Relaxed)).enumerate();
    let (at, stage) = stages.min_by_key(|(_, stage)| *stage)?;
    let waited = now.since(held.get(at)?.since);
    (stage != SPEAKING || waited >= SPARE_PATIENCE).then_some(at)
}

impl Spare {
    /// Its holder sent something.
    pub(super) fn speaks(&self) {
        self.holder.stage.store(SPEAKING, Ordering::Relaxed);
    }

    /// Its holder is about to be told all that there is to tell.
    pub(super) fn is_told(&self) {
        self.holder.stage.store(TOLD, Ordering::Relaxed);
    }

    /// Whether [`Self::is_told`].
    pub(super) fn was_told(&self) -> bool {
        self.holder.stage.load(Ordering::Relaxed) == TOLD
    }

    /// Waits until somebody else has the place.
    pub(super) async fn gives_way(&self) {
        self.holder.gives_way.notified().await;
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        lock(&self.spares.held).retain(|other| !Arc::ptr_eq(other, &self.holder));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::ZERO.after(Duration::from_millis(milliseconds))
    }

    /// The places that gave way, by their order among `all`.
    fn gone(all: &[Spare]) -> Vec<usize> {
        let held = lock(&all[0].spares.held);
        let is_held = |spare: &Spare| held.iter().any(|other| Arc::ptr_eq(other, &spare.holder));
        (0..all.len()).filter(|at| !is_held(&all[*at])).collect()
    }

    #[test]
    fn who_was_told_gives_way_then_who_is_silent_then_who_takes_too_long() {
        let spares = Arc::new(Spares::default());
        let mut all: Vec<Spare> = (0..8).map(|_| spares.take(at(0)).unwrap()).collect();
        all[0].speaks();
        all[5].speaks();
        all[5].is_told();
        // The one that was told, then the silent ones, the oldest first.
        for expected in [&[5][..], &[1, 5], &[1, 2, 5], &[1, 2, 3, 5]] {
            all.push(spares.take(at(10)).unwrap());
            assert_eq!(gone(&all), expected);
        }
        for spare in &all {
            spare.speaks();
        }
        assert!(spares.take(at(999)).is_none(), "everybody speaks, for less than a second");
        all.push(spares.take(at(1_000)).unwrap());
        assert_eq!(gone(&all), [0, 1, 2, 3, 5]);
        // What is given back is free, and given back once, whoever held it before.
        all.truncate(12);
        all.push(spares.take(at(1_000)).unwrap());
        assert_eq!(gone(&all), [0, 1, 2, 3, 5]);
        drop(all);
        assert!(lock(&spares.held).is_empty());
    }

    #[tokio::test]
    async fn who_gives_way_is_told_so_whether_it_waits_already_or_not() {
        let spares = Arc::new(Spares::default());
        let all: Vec<Spare> = (0..8).map(|_| spares.take(at(0)).unwrap()).collect();
        let _next = spares.take(at(0)).unwrap();
        all[0].gives_way().await;
        tokio::join!(all[1].gives_way(), async { drop(spares.take(at(0)).unwrap()) });
        let waits = tokio::time::timeout(Duration::from_millis(10), all[2].gives_way()).await;
        assert!(waits.is_err(), "nobody needs the place of the third");
    }
}
