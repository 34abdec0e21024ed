//! The numbers that stand for names: of collections and of nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::CatalogueEntry;
use super::record::Id;

/// The collections of a database: their names in order, and their numbers.
pub type Collections = BTreeMap<Box<str>, u32>;

/// The catalogue, held in memory. Readers share its collections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    collections: Arc<Collections>,
    last_collection: u32,
    nodes: BTreeMap<Id, u32>,
    last_node: u32,
}

impl Catalogue {
    /// The number of the collection of this name.
    pub fn collection(&self, name: &str) -> Option<u32> {
        self.collections.get(name).copied()
    }

    /// All collections as they are now.
    pub const fn collections(&self) -> &Arc<Collections> {
        &self.collections
    }

    /// The index of a node that has a ledger.
    pub fn node(&self, node: &Id) -> Option<u32> {
        self.nodes.get(node).copied()
    }

    /// How many nodes have a ledger.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The highest number given to a collection.
    pub const fn last_collection(&self) -> u32 {
        self.last_collection
    }

    /// The highest index given to a node.
    pub const fn last_node(&self) -> u32 {
        self.last_node
    }

    /// Says that these numbers were given, whether or not what had them is still there.
    pub fn note_given(&mut self, last_collection: u32, last_node: u32) {
        self.last_collection = self.last_collection.max(last_collection);
        self.last_node = self.last_node.max(last_node);
    }

    /// Takes an entry in.
    pub fn take(&mut self, entry: &CatalogueEntry) {
        match entry {
            CatalogueEntry::Collection { number, name } => {
                Arc::make_mut(&mut self.collections).insert(name.clone(), *number);
                self.last_collection = self.last_collection.max(*number);
            }
            CatalogueEntry::Node { index, node } => {
                self.nodes.insert(*node, *index);
                self.last_node = self.last_node.max(*index);
            }
            CatalogueEntry::Dropped { number, name, .. } => {
                if self.collection(name) == Some(*number) {
                    Arc::make_mut(&mut self.collections).remove(name);
                }
            }
        }
    }
}
