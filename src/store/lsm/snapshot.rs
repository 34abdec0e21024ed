//! A snapshot of the tree: a number, below which everything is read.

use std::sync::Arc;

use lsm_tree::{AbstractTree, AnyTree, Guard, IterGuardImpl, SeqNo};

use super::failure;
use crate::store::keyspace::is_empty;
use crate::store::visibility::{Boundary, OpenSnapshots, Pin};
use crate::store::{Bytes, Direction, KeyRange, Position, Row, Rows, Snapshot, StoreError};

pub(super) struct LsmSnapshot {
    tree: AnyTree,
    position: Position,
    pin: Arc<Pin>,
}

impl LsmSnapshot {
    pub(super) fn new(tree: AnyTree, at: Boundary, snapshots: &Arc<OpenSnapshots>) -> Self {
        Self { tree, position: at.position, pin: Arc::new(snapshots.pin(at.version)) }
    }

    /// The rows of `range` as they are below `version`.
    pub(super) fn rows(tree: &AnyTree, range: KeyRange<'_>, direction: Direction, version: SeqNo) -> LsmRows {
        if is_empty(&range) {
            return LsmRows { rows: None };
        }
        let rows = tree.range::<&[u8], _>(range, version, None);
        LsmRows {
            rows: Some(match direction {
                Direction::Ascending => Box::new(rows),
                Direction::Descending => Box::new(rows.rev()),
            }),
        }
    }
}

impl Snapshot for LsmSnapshot {
    fn position(&self) -> Position {
        self.position
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value =
            self.tree.get(key, self.pin.version()).map_err(|error| failure("reading the store", error))?;
        Ok(value.map(Bytes::from))
    }

    fn range(&self, range: KeyRange<'_>, direction: Direction) -> Rows {
        let rows = Self::rows(&self.tree, range, direction, self.pin.version());
        Box::new(Pinned { rows, _pin: Arc::clone(&self.pin) })
    }
}

/// Rows, and what keeps them.
struct Pinned {
    rows: LsmRows,
    _pin: Arc<Pin>,
}

impl Iterator for Pinned {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

/// Ends after the first error: what the crate would give next may lie beyond a block that it could not read.
pub(super) struct LsmRows {
    rows: Option<Box<dyn Iterator<Item = IterGuardImpl> + Send>>,
}

impl Iterator for LsmRows {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.as_mut()?.next()?.into_inner();
        Some(match row {
            Ok((key, value)) => Ok((key.into(), value.into())),
            Err(error) => {
                self.rows = None;
                Err(failure("reading the store", error))
            }
        })
    }
}
