//! The hub: who watches which collection of which database. It says that there is something new and from which number on;
//! it holds no change, so that nothing can be lost in it.
//!
//! ```text
//!   publisher:  state published ──▶ signals raised ──▶ Source::published moves
//!   watcher:    registered ──▶ reads until there is nothing ──▶ idle ──raised──▶ reads …
//! ```
//!
//! Whoever registers reads afterwards, so a change is seen by that reading or raises the signal. And whoever finds a
//! signal not raised after reading [`Source::position`] knows that nothing up to there concerns it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use dashmap::DashMap;

use super::limits::MAX_RESTING_BYTES;
use crate::engine::{CatalogueEntry, DecidedEffect, Decision};

/// How whoever drives subscriptions is woken. It must not wait.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// In the place of a collection's number: collections are made. Numbers of collections begin with 1.
pub(super) const CATALOGUE: u32 = 0;

/// A signal that is not raised.
const SILENT: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Topic {
    database: u32,
    collection: u32,
}

/// Who watches what, over all databases of a server.
#[derive(Debug, Default)]
pub struct Hub {
    topics: DashMap<Topic, BTreeMap<u64, Arc<Signal>>>,
    /// How many watches there are: without any, publishing costs one look at this.
    watches: AtomicUsize,
    last_watch: AtomicU64,
    last_database: AtomicU32,
    resting_bytes: AtomicUsize,
}

/// One database's end of the hub: told what is published, asked how far.
#[derive(Debug)]
pub struct Source {
    hub: Arc<Hub>,
    database: u32,
    published: AtomicU64,
}

/// What a watcher is told by: the least number that is new since it looked.
struct Signal {
    first: AtomicU64,
    wake: Wake,
}

/// A place among the watchers, until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    source: Arc<Source>,
    topic: Topic,
    id: u64,
    signal: Arc<Signal>,
}

/// Leave to hold bytes between steps, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    hub: Arc<Hub>,
    bytes: usize,
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Signal({:?})", self.first)
    }
}

impl Hub {
    /// A hub that nobody watches.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The end of one more database.
    pub fn source(self: &Arc<Self>) -> Arc<Source> {
        let database = self.last_database.fetch_add(1, Ordering::Relaxed);
        Arc::new(Source { hub: self.clone(), database, published: AtomicU64::new(0) })
    }

    /// How many watches there are.
    pub fn watches(&self) -> usize {
        self.watches.load(Ordering::Relaxed)
    }

    fn raise(&self, topic: Topic, first: u64) {
        if let Some(watchers) = self.topics.get(&topic) {
            watchers.values().for_each(|signal| signal.raise(first));
        }
    }
}

impl Source {
    /// These transactions are visible, up to the number `position`. Wakes whoever watches a collection that they change.
    pub fn publish(&self, position: u64, transactions: &[Arc<Decision>]) {
        // Pairs with the one of a watcher: either it is seen here, or it sees what was published.
        fence(Ordering::SeqCst);
        if self.hub.watches() > 0 {
            for (collection, first) in firsts(transactions) {
                self.hub.raise(Topic { database: self.database, collection }, first);
            }
        }
        self.published.fetch_max(position, Ordering::Release);
    }

    /// The number up to which all signals are raised.
    pub(super) fn position(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Registers a watcher. What was published before is for it to read.
    pub(super) fn watch(self: &Arc<Self>, collection: u32, wake: Wake) -> Watch {
        let signal = Arc::new(Signal { first: AtomicU64::new(SILENT), wake });
        let id = self.hub.last_watch.fetch_add(1, Ordering::Relaxed);
        let topic = Topic { database: self.database, collection };
        let watch = Watch { source: self.clone(), topic, id, signal };
        watch.register();
        self.hub.watches.fetch_add(1, Ordering::Release);
        fence(Ordering::SeqCst);
        watch
    }

    /// Leave to hold so many bytes, if there is room.
    pub(super) fn hold(&self, bytes: usize) -> Option<Hold> {
        let held = self.hub.resting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let hold = Hold { hub: self.hub.clone(), bytes };
        (held.saturating_add(bytes) <= MAX_RESTING_BYTES).then_some(hold)
    }
}

/// The collections that these transactions change or drop, each with the number of its first change; [`CATALOGUE`] if one is made.
fn firsts(transactions: &[Arc<Decision>]) -> BTreeMap<u32, u64> {
    let mut firsts = BTreeMap::new();
    let mut latest = None;
    for (sequence, effect) in transactions.iter().flat_map(|transaction| transaction.numbered()) {
        let collection = match effect {
            DecidedEffect::Write(change) | DecidedEffect::Delete(change) => change.collection,
            DecidedEffect::Catalogue(CatalogueEntry::Dropped { number, .. }) => *number,
            DecidedEffect::Catalogue(CatalogueEntry::Collection { .. }) => CATALOGUE,
            DecidedEffect::Catalogue(CatalogueEntry::Node { .. } | CatalogueEntry::Forgotten { .. })
            | DecidedEffect::Outcome(_) => continue,
        };
        // Changes of one collection come in runs.
        if latest.replace(collection) != Some(collection) {
            firsts.entry(collection).or_insert(sequence);
        }
    }
    firsts
}

impl Signal {
    fn raise(&self, first: u64) {
        if self.first.fetch_min(first, Ordering::AcqRel) == SILENT {
            (self.wake)();
        }
    }
}

impl Watch {
    fn register(&self) {
        self.source.hub.topics.entry(self.topic).or_default().insert(self.id, self.signal.clone());
    }

    fn unregister(&self) {
        let topics = &self.source.hub.topics;
        if let Some(mut watchers) = topics.get_mut(&self.topic) {
            watchers.remove(&self.id);
        }
        topics.remove_if(&self.topic, |_, watchers| watchers.is_empty());
    }

    /// Watches another collection instead; whether it was another. What was published before is for the watcher to
    /// read.
    pub(super) fn turn_to(&mut self, collection: u32) -> bool {
        if self.topic.collection == collection {
            return false;
        }
        self.unregister();
        self.topic.collection = collection;
        self.register();
        fence(Ordering::SeqCst);
        true
    }

    /// The least number that is new, if there is something; then there is nothing until there is more.
    pub(super) fn take(&self) -> Option<u64> {
        let first = self.signal.first.swap(SILENT, Ordering::AcqRel);
        (first != SILENT).then_some(first)
    }

    /// Whether there is something new.
    pub(super) fn is_raised(&self) -> bool {
        self.signal.first.load(Ordering::Acquire) != SILENT
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.unregister();
        self.source.hub.watches.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.hub.resting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{RecordWrite, StoredRecord};

    fn change(collection: u32) -> DecidedEffect {
        let new = StoredRecord { sequence: 0, envelope: Default::default(), content: None };
        let write = RecordWrite {
            collection,
            id: [0; 16],
            is_patch: false,
            changed: Vec::new(),
            old: None,
            new: Arc::new(new),
        };
        DecidedEffect::Write(write)
    }

    fn decision(first_sequence: u64, effects: Vec<DecidedEffect>) -> Arc<Decision> {
        Arc::new(Decision { node: [0; 16], node_index: 0, ledger: None, first_sequence, clock: 0, effects })
    }

    fn waker() -> (Arc<AtomicUsize>, Wake) {
        let woken = Arc::new(AtomicUsize::new(0));
        let counter = woken.clone();
        (
            woken,
            Arc::new(move || {
                counter.fetch_add(1, Ordering::Relaxed);
            }),
        )
    }

    #[test]
    fn who_watches_a_collection_is_woken_once_and_told_the_first_number() {
        let hub = Hub::new();
        let (source, other) = (hub.source(), hub.source());
        let (woken, wake) = waker();
        let watch = source.watch(7, wake);
        source.publish(4, &[decision(3, vec![change(8), change(8)])]);
        other.publish(4, &[decision(3, vec![change(7)])]);
        assert_eq!((watch.take(), woken.load(Ordering::Relaxed), source.position()), (None, 0, 4));
        source
            .publish(8, &[decision(5, vec![change(8), change(7), change(8)]), decision(8, vec![change(7)])]);
        source.publish(9, &[decision(9, vec![change(7)])]);
        assert!(watch.is_raised());
        assert_eq!((watch.take(), woken.load(Ordering::Relaxed)), (Some(6), 1));
        assert_eq!(watch.take(), None);
    }

    #[test]
    fn a_watch_turns_and_ends() {
        let hub = Hub::new();
        let source = hub.source();
        let (woken, wake) = waker();
        let mut watch = source.watch(CATALOGUE, wake);
        let made = CatalogueEntry::Collection { number: 3, name: "c".into() };
        source.publish(2, &[decision(1, vec![DecidedEffect::Catalogue(made), change(3)])]);
        assert_eq!(watch.take(), Some(1));
        assert!(watch.turn_to(3) && !watch.turn_to(3));
        source.publish(3, &[decision(3, vec![change(3)])]);
        assert_eq!((watch.take(), woken.load(Ordering::Relaxed), hub.watches()), (Some(3), 2, 1));
        drop(watch);
        assert_eq!((hub.watches(), hub.topics.len()), (0, 0));
    }

    #[test]
    fn what_may_rest_is_bounded() {
        let hub = Hub::new();
        let source = hub.source();
        let first = source.hold(MAX_RESTING_BYTES);
        assert!(first.is_some() && source.hold(1).is_none());
        drop(first);
        assert!(source.hold(1).is_some());
        assert_eq!(hub.resting_bytes.load(Ordering::Relaxed), 0);
    }
}
