//! A batch: changes of the key space that become visible, and durable, together or not at all.

use super::keyspace::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use super::{Bytes, Misuse, Position};

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a value, over any older one.
    Put(Bytes, Bytes),
    /// Removes whatever value the key has.
    Delete(Bytes),
    /// Removes the value of a key that was put exactly once since it last had none. Cheaper than
    /// [`Change::Delete`]: the two meet and vanish. On a key that was put twice it may bring the first value back.
    DeleteOnce(Bytes),
    /// [`Change::Put`] of a *late* row: one that is read through [`Store::late`](super::Store::late) alone. Snapshots may
    /// show it or not, so that a backend is free to write it when it likes, but not later than what came with it.
    PutLate(Bytes, Bytes),
    /// [`Change::DeleteOnce`] of a late row.
    DeleteOnceLate(Bytes),
}

/// Changes in the order in which they take effect, and the position that is reached with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    position: Position,
    is_sweep: bool,
    changes: Vec<Change>,
}

impl Batch {
    /// An empty batch that moves the store to `position`.
    pub fn new(position: Position) -> Self {
        Self { position, is_sweep: false, changes: Vec::new() }
    }

    /// An empty batch that leaves the store where it stands, at `position`: it removes what no reader at that
    /// position reads any more, so that it matters to nobody whether it is applied, lost, or done again.
    pub fn sweep(position: Position) -> Self {
        Self { is_sweep: true, ..Self::new(position) }
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push(Change::Put(key.into(), value.into()));
    }

    /// Removes the value of `key`.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.changes.push(Change::Delete(key.into()));
    }

    /// Removes the value of `key`, which was put once; see [`Change::DeleteOnce`].
    pub fn delete_once(&mut self, key: impl Into<Bytes>) {
        self.changes.push(Change::DeleteOnce(key.into()));
    }

    /// Sets a late row; see [`Change::PutLate`].
    pub fn put_late(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push(Change::PutLate(key.into(), value.into()));
    }

    /// Removes a late row that was put once.
    pub fn delete_once_late(&mut self, key: impl Into<Bytes>) {
        self.changes.push(Change::DeleteOnceLate(key.into()));
    }

    /// The position that the store stands at once the batch is applied.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether the store stays where it stands.
    pub fn is_sweep(&self) -> bool {
        self.is_sweep
    }

    /// The changes, in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Refuses lengths that not every backend takes.
    pub(super) fn check_lengths(&self) -> Result<(), Misuse> {
        for change in &self.changes {
            let (key, value) = match change {
                Change::Put(key, value) | Change::PutLate(key, value) => (key, value.len()),
                Change::Delete(key) | Change::DeleteOnce(key) | Change::DeleteOnceLate(key) => (key, 0),
            };
            if key.is_empty() || key.len() > MAX_KEY_BYTES {
                return Err(Misuse::KeyLength(key.len()));
            }
            if value > MAX_VALUE_BYTES {
                return Err(Misuse::ValueTooLong(value));
            }
        }
        Ok(())
    }

    pub(super) fn into_changes(self) -> Vec<Change> {
        self.changes
    }
}
