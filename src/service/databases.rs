//! The databases that are served, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::nodes::Nodes;
use super::publication::Publication;
use crate::engine::{Database, Environment, new_node_id};
use crate::wire::Clock;

/// A database that is open, and who uses it.
#[derive(Debug)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// The engine's.
    pub database: Database,
    /// What it says of itself.
    pub publication: Arc<Publication>,
    /// Its nodes.
    pub nodes: Nodes,
}

/// All databases of a server. They do not change while it runs.
pub struct Databases {
    by_name: BTreeMap<String, Arc<Served>>,
    environment: Arc<dyn Environment>,
}

impl std::fmt::Debug for Databases {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl Served {
    /// A database that nobody uses yet. `publication` is the listener that it was opened with.
    pub fn new(name: String, database: Database, publication: Arc<Publication>) -> Self {
        Self { name, database, publication, nodes: Nodes::default() }
    }
}

impl Databases {
    /// These databases.
    pub fn new(served: impl IntoIterator<Item = Served>, environment: Arc<dyn Environment>) -> Self {
        let by_name = served.into_iter().map(|served| (served.name.clone(), Arc::new(served))).collect();
        Self { by_name, environment }
    }

    /// The database of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Served>> {
        self.by_name.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.by_name.values()
    }

    /// A random UUID (version 4).
    pub(super) fn new_id(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.random().to_be_bytes()).into_uuid()
    }

    /// An id for the node of a client that names none.
    pub(super) fn new_node(&self, served: &Served) -> Uuid {
        new_node_id(served.database.unix_ms(), self.random())
    }

    fn random(&self) -> u128 {
        u128::from(self.environment.random()) << 64 | u128::from(self.environment.random())
    }

    /// The server's clock: never behind what the database gave out.
    pub(super) fn clock(&self, served: &Served) -> Clock {
        let wall = Clock::new(self.environment.unix_ms(), 0).unwrap_or_default();
        served.database.clock().max(wall)
    }
}
