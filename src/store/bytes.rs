//! Immutable bytes that are shared, not copied.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// Immutable bytes. Clones share one memory; up to 20 bytes live in the value itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(lsm_tree::Slice);

impl Bytes {
    pub(super) fn into_slice(self) -> lsm_tree::Slice {
        self.0
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<lsm_tree::Slice> for Bytes {
    fn from(slice: lsm_tree::Slice) -> Self {
        Self(slice)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", data_encoding::HEXLOWER.encode(self))
    }
}
