//! Nodes that come and go: who is welcome with which numbers, who was seen, who is forgotten.

use super::database::Database;
use super::decider::Published;
use super::error::EngineError;
use super::limits::FORGETS_AFTER;
use super::node_id::may_be_forgotten;
use super::record::Id;
use super::rows::PublishedView;
use super::shared::lock;
use crate::wire::Clock;

impl Database {
    /// The highest operation number decided of a node that says Hello, whose next new operation has the number
    /// `next_operation`: what its welcome says.
    ///
    /// # Errors
    /// [`EngineError::IdentityExpired`]: nothing is remembered of the node, it has given numbers to operations, and its
    /// id does not prove that it was never forgotten. [`EngineError::Read`], [`EngineError::Stopped`].
    pub fn welcome(&self, node: &Id, next_operation: u64) -> Result<u64, EngineError> {
        let highest = self.highest_operation(node)?;
        if highest == 0 && next_operation > 1 && may_be_forgotten(node, self.unix_ms()) {
            return Err(EngineError::IdentityExpired);
        }
        Ok(highest)
    }

    /// The database's time in milliseconds since 1970: the wall clock's, but never behind what it gave out.
    pub fn unix_ms(&self) -> u64 {
        let last = Clock::from_bits(self.shared.moment().hlc).unix_ms();
        self.shared.environment.unix_ms().max(last)
    }

    /// Looks at some nodes, others in the next call: notes that those that are connected were seen, and forgets those
    /// that were not for long. To be called now and then, from a thread that serves no client. `is_connected` must not
    /// use the database. Returns whether it changed anything.
    ///
    /// # Errors
    /// [`EngineError::ReadOnly`], [`EngineError::DiskFull`], [`EngineError::Read`]: call again later.
    /// [`EngineError::Stopped`].
    pub fn tend_nodes(&self, is_connected: &dyn Fn(&Id) -> bool) -> Result<bool, EngineError> {
        let group = self.writable()?;
        {
            let mut cursor = lock(&self.tended);
            let mut decider = lock(&self.decider);
            self.shared.check()?;
            let published = self.shared.published();
            let view = PublishedView::new(&*published.snapshot, &*self.shared.store);
            let view = Published { sequence: published.sequence, state: &view };
            let environment = &self.shared.environment;
            let forgets = environment.elapsed().saturating_sub(self.opened) >= FORGETS_AFTER;
            let now = environment.unix_ms();
            let (decision, next) = decider.tend(view, now, *cursor, is_connected, forgets)?;
            *cursor = next;
            let Some(decision) = decision.map(std::sync::Arc::new) else { return Ok(false) };
            self.order(group, &decision, "", None)?;
            decider.accept(&decision);
        }
        self.commit().map(|_| true)
    }
}
