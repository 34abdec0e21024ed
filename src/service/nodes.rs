//! One connection a node: a newer one fences the older, so that a client which lost its connection need not wait
//! for the server to notice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::Id;

/// How a connection learns that a newer one took its node.
pub struct Fence {
    is_fenced: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Fence {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Fence({})", self.is_fenced())
    }
}

/// The nodes that are connected.
#[derive(Debug, Default)]
pub struct Nodes {
    owners: Mutex<HashMap<Id, Arc<Fence>>>,
}

/// The right to speak for a node, until it is dropped or fenced. Whoever drops it gives its node up.
#[derive(Debug)]
pub struct Claim {
    node: Id,
    fence: Arc<Fence>,
}

impl Fence {
    /// A fence that is open. `wake` is called when a newer connection closes it; it must not wait.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { is_fenced: AtomicBool::new(false), wake: Box::new(wake) })
    }

    /// Whether a newer connection took over.
    pub fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.is_fenced.store(true, Ordering::Release);
        (self.wake)();
    }
}

impl Nodes {
    /// Gives the node to the connection behind `fence`, and takes it from whoever has it.
    pub fn claim(&self, node: Id, fence: Arc<Fence>) -> Claim {
        if let Some(older) = self.lock().insert(node, fence.clone()) {
            older.close();
        }
        Claim { node, fence }
    }

    /// Gives the node up, unless a newer connection has it.
    pub fn release(&self, claim: &Claim) {
        if let Entry::Occupied(owner) = self.lock().entry(claim.node)
            && Arc::ptr_eq(owner.get(), &claim.fence)
        {
            owner.remove();
        }
    }

    /// Whether the node is connected.
    pub fn is_connected(&self, node: &Id) -> bool {
        self.lock().contains_key(node)
    }

    /// How many nodes are connected.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<Fence>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// The node.
    pub const fn node(&self) -> Id {
        self.node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_connection_fences_the_older() {
        let nodes = Nodes::default();
        let (first, second) = (Fence::new(|| {}), Fence::new(|| {}));
        let old = nodes.claim([1; 16], first.clone());
        let _other = nodes.claim([2; 16], Fence::new(|| {}));
        assert!(!first.is_fenced());
        let new = nodes.claim([1; 16], second.clone());
        assert!(first.is_fenced() && !second.is_fenced());
        nodes.release(&old);
        assert_eq!(nodes.count(), 2, "the older no longer owns the node");
        nodes.release(&new);
        assert_eq!(nodes.count(), 1);
    }
}
