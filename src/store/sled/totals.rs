//! How many rows there are and a digest of them, kept with every change: what is missing is noticed.

use xxhash_rust::xxh3::Xxh3;

use crate::store::StoreError;

/// Count and digest of rows. The digest is a sum modulo 2¹²⁸ of hashes, so that rows come and go in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) rows: u64,
    pub(super) digest: u128,
}

impl Totals {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.saturating_add(1);
        self.digest = self.digest.wrapping_add(hash(key, value));
    }

    /// A row gives way to another, or to nothing, or comes where none was.
    pub(super) fn replace(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if let Some(old) = old {
            self.rows = self.rows.saturating_sub(1);
            self.digest = self.digest.wrapping_sub(hash(key, old));
        }
        if let Some(new) = new {
            self.add(key, new);
        }
    }

    /// The damage, if these are said and `found` is there.
    pub(super) fn differ_from(&self, found: &Self) -> StoreError {
        StoreError::corrupt(format!(
            "its {} rows have the digest {:032x}, found are {} with {:032x}",
            self.rows, self.digest, found.rows, found.digest
        ))
    }
}

/// XXH3 of 128 bits over the key's length (u32, big-endian), the key and the value.
fn hash(key: &[u8], value: &[u8]) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
    hash.update(key);
    hash.update(value);
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_and_go_in_any_order() {
        let mut totals = Totals::default();
        totals.add(b"a", b"1");
        let one = totals;
        totals.replace(b"b", None, Some(b"2"));
        totals.replace(b"a", Some(b"1"), Some(b"3"));
        assert_eq!(totals.rows, 2);
        totals.replace(b"b", Some(b"2"), None);
        assert_ne!(totals, one);
        totals.replace(b"a", Some(b"3"), Some(b"1"));
        assert_eq!(totals, one);
        // What is the key's and what the value's matters.
        let mut other = Totals::default();
        other.add(b"a1", b"");
        assert_ne!(other, one);
    }
}
