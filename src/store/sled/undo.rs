//! What keys held before they were overwritten, for those who read at an earlier version.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use crate::store::Bytes;

/// The values that batches replaced, as long as an open snapshot may need them.
#[derive(Debug, Default)]
pub(super) struct Undo {
    rows: BTreeMap<Bytes, Vec<Replaced>>,
    /// What was replaced at which version, in order: what is let go goes in this order.
    order: VecDeque<(u64, Bytes)>,
    bytes: u64,
}

/// A batch replaced `value`; who reads at or below `version` does not see the batch.
#[derive(Debug)]
struct Replaced {
    version: u64,
    value: Option<Bytes>,
}

impl Undo {
    /// The batch `version` is about to replace `value`. Once a key and batch, in the order of versions.
    pub(super) fn push(&mut self, version: u64, key: Bytes, value: Option<Bytes>) {
        self.bytes = self.bytes.saturating_add(weight(&key, value.as_ref()));
        self.rows.entry(key.clone()).or_default().push(Replaced { version, value });
        self.order.push_back((version, key));
    }

    /// What a reader at `version` sees under `key`, if it is not what sled holds: a value, or nothing.
    pub(super) fn at(&self, key: &[u8], version: u64) -> Option<Option<&Bytes>> {
        seen(self.rows.get(key)?, version)
    }

    /// The keys within `bounds` that were overwritten, in order, each with what a reader at `version` sees if that is
    /// not what sled holds.
    pub(super) fn range<'a>(
        &'a self,
        bounds: (Bound<&'a [u8]>, Bound<&'a [u8]>),
        version: u64,
    ) -> impl DoubleEndedIterator<Item = (&'a Bytes, Option<Option<&'a Bytes>>)> {
        self.rows.range::<[u8], _>(bounds).map(move |(key, replaced)| (key, seen(replaced, version)))
    }

    /// Lets go what nobody needs who reads at `oldest` or later.
    pub(super) fn collect(&mut self, oldest: u64) {
        while let Some((version, key)) = self.order.pop_front_if(|(version, _)| *version < oldest) {
            let Some(row) = self.rows.get_mut(&*key) else { continue };
            let mut freed = 0_u64;
            row.retain(|replaced| {
                let stays = replaced.version > version;
                if !stays {
                    freed = freed.saturating_add(weight(&key, replaced.value.as_ref()));
                }
                stays
            });
            if row.is_empty() {
                self.rows.remove(&*key);
            }
            self.bytes = self.bytes.saturating_sub(freed);
        }
    }

    /// Bytes of keys and values held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn seen(replaced: &[Replaced], version: u64) -> Option<Option<&Bytes>> {
    replaced.iter().find(|replaced| replaced.version >= version).map(|replaced| replaced.value.as_ref())
}

fn weight(key: &Bytes, value: Option<&Bytes>) -> u64 {
    u64::try_from(key.len().saturating_add(value.map_or(0, |value| value.len()))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Bytes {
        text.as_bytes().into()
    }

    /// Batch 1 made `a` = x, batch 3 made it y, batch 4 removed it: who reads at n sees the batches below n.
    #[test]
    fn each_reader_sees_what_stood_before_it() {
        let mut undo = Undo::default();
        undo.push(1, bytes("a"), None);
        undo.push(3, bytes("a"), Some(bytes("x")));
        undo.push(3, bytes("b"), Some(bytes("z")));
        undo.push(4, bytes("a"), Some(bytes("y")));
        let [x, y] = ["x", "y"].map(bytes);
        let expected =
            [(1, Some(None)), (2, Some(Some(&x))), (3, Some(Some(&x))), (4, Some(Some(&y))), (5, None)];
        for (version, seen) in expected {
            assert_eq!(undo.at(b"a", version), seen, "at {version}");
        }
        assert_eq!(undo.at(b"c", 1), None);
        assert_eq!(undo.bytes(), 7);
        undo.collect(3);
        assert_eq!((undo.bytes(), undo.at(b"a", 3)), (6, Some(Some(&x))), "batch 1 is below every reader");
        undo.collect(4);
        let all = (Bound::Unbounded, Bound::Unbounded);
        let left: Vec<_> = undo.range(all, 4).collect();
        assert_eq!(left, [(&bytes("a"), Some(Some(&y)))]);
        undo.collect(5);
        assert_eq!((undo.bytes(), undo.range(all, 5).count()), (0, 0));
    }
}
