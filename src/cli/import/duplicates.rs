//! Which records of a file are followed by another of the same id: the last wins, and only it is sent, so that
//! importing the file again changes nothing.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

/// How many ids are remembered: a table of 2^23 places of 17 bytes, 143 MB, is full with them. Behind them repeated
/// ids are not noticed; each of their records is written, in order.
pub(super) const MAX_TRACKED_IDS: usize = 7 << 20;

/// The ids of a file, as they are read.
#[derive(Debug, Default)]
pub(super) struct Ids {
    seen: HashSet<Uuid>,
    /// Of the ids that repeat, the last row.
    last: HashMap<Uuid, u64>,
    full: bool,
}

/// The ids that repeat.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    last: HashMap<Uuid, u64>,
    /// There were more ids than are remembered.
    pub(super) incomplete: bool,
}

impl Ids {
    pub(super) fn see(&mut self, id: Uuid, row: u64) {
        if self.seen.contains(&id) {
            self.last.insert(id, row);
        } else if self.seen.len() < MAX_TRACKED_IDS {
            self.seen.insert(id);
        } else {
            self.full = true;
        }
    }

    pub(super) fn finish(self) -> Duplicates {
        Duplicates { last: self.last, incomplete: self.full }
    }
}

impl Duplicates {
    /// Whether a later record of the file has the same id.
    pub(super) fn is_superseded(&self, id: Uuid, row: u64) -> bool {
        !self.last.is_empty() && self.last.get(&id).is_some_and(|last| row < *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_last_are_superseded() {
        let mut ids = Ids::default();
        let rows = [1u128, 2, 1, 3, 1];
        rows.iter().zip(1..).for_each(|(id, row)| ids.see(Uuid::from_u128(*id), row));
        let duplicates = ids.finish();
        let superseded: Vec<bool> = rows
            .iter()
            .zip(1..)
            .map(|(id, row)| duplicates.is_superseded(Uuid::from_u128(*id), row))
            .collect();
        assert_eq!(superseded, [true, false, true, false, false]);
        assert!(!duplicates.incomplete);
    }
}
