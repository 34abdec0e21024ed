//! What a decision is made against: what is published, and over it what is decided but not yet published.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::decision::Decision;
use super::error::EngineError;
use super::limits::MAX_REMEMBERED_NODES;
use super::outcome::LedgerEntry;
use super::record::{Id, StoredRecord};

/// The published state as the decider reads it.
pub trait StateView {
    /// The record, or what is remembered of one that was deleted.
    ///
    /// # Errors
    /// [`EngineError::Corrupted`], [`EngineError::Read`].
    fn record(&self, collection: u32, id: &Id) -> Result<Option<Arc<StoredRecord>>, EngineError>;

    /// The highest number that the node's ledger holds, 0 if it holds none.
    ///
    /// # Errors
    /// As [`StateView::record`].
    fn highest_operation(&self, node: u32) -> Result<u64, EngineError>;

    /// The ledger's entry of an operation, if it is still kept.
    ///
    /// # Errors
    /// As [`StateView::record`].
    fn outcome(&self, node: u32, number: u64) -> Result<Option<LedgerEntry>, EngineError>;
}

/// What is decided but not yet published.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    records: BTreeMap<(u32, Id), Pending>,
    /// The same in the order of the changes, so that what was published can go.
    order: VecDeque<(u64, (u32, Id))>,
    nodes: BTreeMap<u32, NodeState>,
    /// Up to where the published state was known to reach.
    published: u64,
}

#[derive(Debug)]
struct Pending {
    sequence: u64,
    record: Arc<StoredRecord>,
}

/// What is remembered of a node.
#[derive(Debug, Default)]
struct NodeState {
    /// The highest number decided.
    highest: u64,
    /// Entries of its ledger that are not yet published, each with the last number of its transaction.
    recent: VecDeque<(u64, LedgerEntry)>,
}

impl Overlay {
    /// The record as it was last decided; `None` if that is published.
    pub(super) fn record(&self, collection: u32, id: &Id) -> Option<&Arc<StoredRecord>> {
        self.records.get(&(collection, *id)).map(|pending| &pending.record)
    }

    /// The highest number of a node that was decided, read from the published state the first time.
    pub(super) fn highest(&mut self, node: u32, published: &dyn StateView) -> Result<u64, EngineError> {
        if let Some(state) = self.nodes.get(&node) {
            return Ok(state.highest);
        }
        let highest = published.highest_operation(node)?;
        self.nodes.insert(node, NodeState { highest, recent: VecDeque::new() });
        Ok(highest)
    }

    /// Takes a decision in.
    pub(super) fn add(&mut self, decision: &Decision) {
        for (sequence, effect) in decision.numbered() {
            if let Some(change) = effect.change() {
                let key = (change.collection, change.id);
                self.records.insert(key, Pending { sequence, record: change.new.clone() });
                self.order.push_back((sequence, key));
            }
        }
        if let Some(entry) = decision.ledger {
            let state = self.nodes.entry(decision.node_index).or_default();
            state.highest = entry.number;
            state.prune(self.published);
            state.recent.push_back((decision.last_sequence(), entry));
        }
    }

    /// Forgets a node.
    pub(super) fn forget(&mut self, node: u32) {
        self.nodes.remove(&node);
    }

    /// Forgets what the published state now says itself: everything up to `published`.
    pub(super) fn prune(&mut self, published: u64) {
        self.published = published;
        while let Some(&(sequence, key)) = self.order.front() {
            if sequence > published {
                break;
            }
            self.order.pop_front();
            if self.records.get(&key).is_some_and(|pending| pending.sequence <= published) {
                self.records.remove(&key);
            }
        }
        if self.nodes.len() > MAX_REMEMBERED_NODES {
            self.nodes.retain(|_, state| {
                state.prune(published);
                !state.recent.is_empty()
            });
        }
    }

    /// The entry of an operation, and the last number of its transaction if it is not yet published.
    pub(super) fn outcome(
        &mut self,
        node: u32,
        number: u64,
        published: (u64, &dyn StateView),
    ) -> Result<Option<(LedgerEntry, u64)>, EngineError> {
        let (published_to, view) = published;
        if let Some(state) = self.nodes.get_mut(&node) {
            state.prune(published_to);
            let recent = state.recent.iter().find(|(_, entry)| entry.number == number);
            if let Some(&(through, entry)) = recent {
                return Ok(Some((entry, through)));
            }
        }
        Ok(view.outcome(node, number)?.map(|entry| (entry, 0)))
    }
}

impl NodeState {
    fn prune(&mut self, published: u64) {
        while self.recent.front().is_some_and(|&(through, _)| through <= published) {
            self.recent.pop_front();
        }
    }
}
