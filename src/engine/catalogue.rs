//! The names of a database: its collections and how far nodes are numbered.

use std::collections::BTreeMap;

use super::decision::CatalogueEntry;

/// The catalogue, held in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    collections: BTreeMap<Box<str>, u32>,
    last_collection: u32,
    last_node: u32,
}

impl Catalogue {
    /// The number of the collection of this name.
    pub fn collection(&self, name: &str) -> Option<u32> {
        self.collections.get(name).copied()
    }

    /// The names of all collections in order, with their numbers.
    pub fn collections(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.collections.iter().map(|(name, &number)| (&**name, number))
    }

    /// The highest number given to a collection.
    pub const fn last_collection(&self) -> u32 {
        self.last_collection
    }

    /// The highest index given to a node.
    pub const fn last_node(&self) -> u32 {
        self.last_node
    }

    /// Takes an entry in.
    pub fn add(&mut self, entry: &CatalogueEntry) {
        match entry {
            CatalogueEntry::Collection { number, name } => {
                self.collections.insert(name.clone(), *number);
                self.last_collection = self.last_collection.max(*number);
            }
            CatalogueEntry::Node { index, .. } => self.last_node = self.last_node.max(*index),
        }
    }
}
