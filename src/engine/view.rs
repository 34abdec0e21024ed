//! What a decision is made against: what is published, and over it what is decided but not yet published.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::decision::{DecidedEffect, Decision};
use super::error::EngineError;
use super::limits::MAX_REMEMBERED_NODES;
use super::outcome::LedgerEntry;
use super::record::{Id, StoredRecord};

/// The published state as the decider reads it.
pub trait StateView {
    /// The record, if there is one.
    ///
    /// # Errors
    /// [`EngineError::Corrupted`], [`EngineError::Read`].
    fn record(&self, collection: u32, id: &Id) -> Result<Option<Arc<StoredRecord>>, EngineError>;

    /// The index of a node that has written a record.
    ///
    /// # Errors
    /// As [`StateView::record`].
    fn node_index(&self, node: &Id) -> Result<Option<u32>, EngineError>;

    /// The highest number that the node's ledger holds, 0 if it holds none.
    ///
    /// # Errors
    /// As [`StateView::record`].
    fn highest_operation(&self, node: &Id) -> Result<u64, EngineError>;

    /// The ledger's entry of an operation, if it is still kept.
    ///
    /// # Errors
    /// As [`StateView::record`].
    fn outcome(&self, node: &Id, number: u64) -> Result<Option<LedgerEntry>, EngineError>;
}

/// What is decided but not yet published.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    records: BTreeMap<(u32, Id), Pending>,
    /// The same in the order of the changes, so that what was published can go.
    order: VecDeque<(u64, (u32, Id))>,
    nodes: BTreeMap<Id, NodeState>,
}

#[derive(Debug)]
struct Pending {
    sequence: u64,
    record: Option<Arc<StoredRecord>>,
}

/// What is remembered of a node.
#[derive(Debug, Default)]
pub(super) struct NodeState {
    /// Its index, once it has written a record.
    pub(super) index: Option<u32>,
    /// The highest number decided.
    pub(super) highest: u64,
    /// Entries of its ledger that are not yet published, each with the last number of its transaction.
    recent: VecDeque<(u64, LedgerEntry)>,
}

impl Overlay {
    /// The record as it was last decided; `None` if that is published.
    pub(super) fn record(&self, collection: u32, id: &Id) -> Option<&Option<Arc<StoredRecord>>> {
        self.records.get(&(collection, *id)).map(|pending| &pending.record)
    }

    /// What is known of `node`, read from the published state the first time.
    pub(super) fn node(&mut self, node: &Id, published: &dyn StateView) -> Result<&NodeState, EngineError> {
        if !self.nodes.contains_key(node) {
            let state = NodeState {
                index: published.node_index(node)?,
                highest: published.highest_operation(node)?,
                recent: VecDeque::new(),
            };
            self.nodes.insert(*node, state);
        }
        Ok(self.nodes.entry(*node).or_default())
    }

    /// Takes a decision in.
    pub(super) fn add(&mut self, decision: &Decision) {
        for (sequence, effect) in decision.numbered() {
            match effect {
                DecidedEffect::Write(write) => {
                    self.put(sequence, (write.collection, write.id), Some(write.new.clone()));
                }
                DecidedEffect::Delete { collection, id, .. } => self.put(sequence, (*collection, *id), None),
                DecidedEffect::Catalogue(super::decision::CatalogueEntry::Node { index, node }) => {
                    self.nodes.entry(*node).or_default().index = Some(*index);
                }
                DecidedEffect::Catalogue(_) | DecidedEffect::Outcome(_) => {}
            }
        }
        if let Some(entry) = decision.ledger {
            let state = self.nodes.entry(decision.node).or_default();
            state.highest = entry.number;
            state.recent.push_back((decision.last_sequence(), entry));
        }
    }

    fn put(&mut self, sequence: u64, key: (u32, Id), record: Option<Arc<StoredRecord>>) {
        self.records.insert(key, Pending { sequence, record });
        self.order.push_back((sequence, key));
    }

    /// Forgets what the published state now says itself: everything up to `published`.
    pub(super) fn prune(&mut self, published: u64) {
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
        node: &Id,
        number: u64,
        published: (u64, &dyn StateView),
    ) -> Result<Option<(LedgerEntry, u64)>, EngineError> {
        let (published_to, view) = published;
        if let Some(state) = self.nodes.get_mut(node) {
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
