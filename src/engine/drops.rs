//! The collections that were dropped: those whose rows are still being swept, and what is remembered of the others.

use std::collections::BTreeMap;

use super::limits::MAX_DROPS_REMEMBERED;
use super::record::take;

/// What is known of drops. Readers share it.
///
/// ```text
///   live ──drop──▶ half gone: its rows are swept ──▶ remembered ──▶ forgotten, with all drops before it
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Drops {
    /// By the numbers of the drops.
    remembered: BTreeMap<u64, Dropped>,
    /// The number of the last drop that is forgotten, 0 if none is.
    forgotten: u64,
}

/// A collection that was dropped; also the row that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Its number.
    pub(super) collection: u32,
    /// The number of the drop.
    pub(super) sequence: u64,
    /// Whether all its rows are gone.
    pub(super) is_swept: bool,
    /// The name that it had.
    pub(super) name: Box<str>,
}

impl Dropped {
    /// Number of the drop u64, whether it is swept u8, name.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.sequence.to_be_bytes().to_vec();
        bytes.push(u8::from(self.is_swept));
        bytes.extend(self.name.bytes());
        bytes
    }

    pub(super) fn parse(collection: u32, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let sequence = u64::from_be_bytes(take(&mut rest)?);
        let is_swept = match take(&mut rest)? {
            [0] => false,
            [1] => true,
            [_] => return None,
        };
        Some(Self { collection, sequence, is_swept, name: std::str::from_utf8(rest).ok()?.into() })
    }
}

impl Drops {
    /// The drops as a store has them; those up to `forgotten` are not known one by one.
    pub(super) fn new(drops: impl IntoIterator<Item = Dropped>, forgotten: u64) -> Self {
        let remembered = drops.into_iter().map(|dropped| (dropped.sequence, dropped)).collect();
        Self { remembered, forgotten }
    }

    /// Adds the newest. Returns the numbers of the collections that are forgotten for it.
    pub(super) fn add(&mut self, dropped: Dropped) -> Vec<u32> {
        self.remembered.insert(dropped.sequence, dropped);
        let mut gone = Vec::new();
        while self.remembered.len() > MAX_DROPS_REMEMBERED {
            // They are swept in their order: if the oldest is not, none is.
            let Some(oldest) = self.remembered.first_entry().filter(|oldest| oldest.get().is_swept) else {
                break;
            };
            let oldest = oldest.remove();
            self.forgotten = oldest.sequence;
            gone.push(oldest.collection);
        }
        gone
    }

    /// The oldest whose rows are not gone.
    pub(super) fn half_gone(&self) -> Option<&Dropped> {
        self.all_half_gone().next()
    }

    /// Those whose rows are not gone.
    pub(super) fn all_half_gone(&self) -> impl Iterator<Item = &Dropped> {
        self.remembered.values().filter(|dropped| !dropped.is_swept)
    }

    /// The rows of this drop's collection are gone; returns what is remembered of it.
    pub(super) fn mark_swept(&mut self, sequence: u64) -> Option<&Dropped> {
        let dropped = self.remembered.get_mut(&sequence)?;
        dropped.is_swept = true;
        Some(dropped)
    }

    /// The number of the last drop that is forgotten.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The number of the last drop, 0 if there was none.
    pub(super) fn last(&self) -> u64 {
        self.remembered.last_key_value().map_or(self.forgotten, |(sequence, _)| *sequence)
    }

    /// The name that a dropped collection had.
    pub(super) fn name(&self, collection: u32) -> Option<&str> {
        let mut drops = self.remembered.values();
        drops.find(|dropped| dropped.collection == collection).map(|dropped| &*dropped.name)
    }

    /// The number of the last drop after `after` that was of this name, or of any; one that is forgotten may have been.
    pub(super) fn after(&self, after: u64, name: Option<&str>) -> Option<u64> {
        let later = self.remembered.range(after.saturating_add(1)..).rev();
        let found =
            later.map(|(_, dropped)| dropped).find(|dropped| name.is_none_or(|name| name == &*dropped.name));
        let forgotten = (self.forgotten > after).then_some(self.forgotten);
        found.map(|dropped| dropped.sequence).or(forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(sequence: u64, is_swept: bool) -> Dropped {
        let collection = u32::try_from(sequence / 10).unwrap();
        Dropped { collection, sequence, is_swept, name: format!("c{}", sequence / 10 % 2).into() }
    }

    /// The bytes were composed by hand from the table of `spec/engine.md`.
    #[test]
    fn a_row_is_its_bytes() {
        let row = Dropped { collection: 3, sequence: 0x0102, is_swept: true, name: "ab".into() };
        assert_eq!(row.to_bytes(), b"\0\0\0\0\0\0\x01\x02\x01ab");
        assert_eq!(Dropped::parse(3, &row.to_bytes()), Some(row));
        assert_eq!(Dropped::parse(3, b"\0\0\0\0\0\0\x01\x02\x02ab"), None);
        assert_eq!(Dropped::parse(3, b"\0\0\0\0\0\0\x01\x02"), None);
    }

    #[test]
    fn a_drop_is_found_by_name_and_forgotten_ones_may_have_been_any() {
        let mut drops = Drops::new([dropped(10, true), dropped(20, false)], 5);
        assert_eq!(drops.half_gone(), Some(&dropped(20, false)));
        for (after, name, found) in [
            (20, None, None),
            (19, None, Some(20)),
            (10, Some("c0"), Some(20)),
            (10, Some("c1"), None),
            (9, Some("c1"), Some(10)),
            (5, Some("other"), None),
            (4, Some("other"), Some(5)),
        ] {
            assert_eq!(drops.after(after, name), found, "{name:?} after {after}");
        }
        assert_eq!((drops.name(2), drops.name(9), drops.last()), (Some("c0"), None, 20));
        assert_eq!(drops.mark_swept(20), Some(&dropped(20, true)));
        assert_eq!(drops.half_gone(), None);
    }

    #[test]
    fn so_many_are_remembered_and_none_is_forgotten_before_it_is_swept() {
        let mut drops = Drops::default();
        let last = u64::try_from(MAX_DROPS_REMEMBERED).unwrap() * 10;
        for sequence in (10..=last).step_by(10) {
            assert!(drops.add(dropped(sequence, false)).is_empty());
        }
        assert!(drops.add(dropped(last + 10, false)).is_empty());
        drops.mark_swept(10);
        drops.mark_swept(20);
        assert_eq!((drops.add(dropped(last + 20, false)), drops.forgotten()), (vec![1, 2], 20));
    }
}
