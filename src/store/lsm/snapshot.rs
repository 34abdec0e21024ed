//! A snapshot of the tree: a number, below which everything is read.

use std::sync::Arc;

use lsm_tree::{AbstractTree, AnyTree, Guard, IterGuardImpl};

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
        if is_empty(&range) {
            return Box::new(std::iter::empty());
        }
        let rows = self.tree.range::<&[u8], _>(range, self.pin.version(), None);
        let ordered: Box<dyn Iterator<Item = IterGuardImpl> + Send> = match direction {
            Direction::Ascending => Box::new(rows),
            Direction::Descending => Box::new(rows.rev()),
        };
        Box::new(LsmRows { rows: Some(ordered), _pin: Arc::clone(&self.pin) })
    }
}

/// Ends after the first error: what the crate would give next may lie beyond a block that it could not read.
struct LsmRows {
    rows: Option<Box<dyn Iterator<Item = IterGuardImpl> + Send>>,
    _pin: Arc<Pin>,
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
