//! Names of databases and collections.

use std::fmt;

use thiserror::Error;

/// The longest name of a database or collection, in bytes: fits one cache line and every file system's names.
pub const MAX_NAME_BYTES: usize = 64;

/// Text that is no name: the fault of who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// Not a database's.
    #[error("a database's name has 1 to 64 of the characters a-z, 0-9, _ and -")]
    Database,
    /// Not a collection's.
    #[error("a collection's name has 1 to 64 of the characters A-Z, a-z, 0-9 and _, the first not a digit")]
    Collection,
}

/// The name of a database: `[a-z0-9_-]{1,64}`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatabaseName<'a>(&'a str);

/// The name of a collection: `[A-Za-z_][A-Za-z0-9_]{0,63}`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionName<'a>(&'a str);

impl<'a> DatabaseName<'a> {
    /// Checks that `name` is a database's.
    ///
    /// # Errors
    /// [`InvalidName::Database`].
    pub fn new(name: &'a str) -> Result<Self, InvalidName> {
        let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let valid = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits);
        if valid { Ok(Self(name)) } else { Err(InvalidName::Database) }
    }

    /// The name.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl<'a> CollectionName<'a> {
    /// Checks that `name` is a collection's.
    ///
    /// # Errors
    /// [`InvalidName::Collection`].
    pub fn new(name: &'a str) -> Result<Self, InvalidName> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let valid = name.len() <= MAX_NAME_BYTES
            && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
            && name.bytes().all(fits);
        if valid { Ok(Self(name)) } else { Err(InvalidName::Collection) }
    }

    /// The name.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for DatabaseName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl fmt::Debug for CollectionName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

impl fmt::Display for DatabaseName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for CollectionName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabets() {
        let longest = "x".repeat(64);
        for good in ["main", "a", "0", "my-db_2", &longest] {
            assert!(DatabaseName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Main", "a.b", "../etc", "ä", "a b", &format!("{longest}x")] {
            assert_eq!(DatabaseName::new(bad), Err(InvalidName::Database), "{bad}");
        }
        for good in ["people", "_x", "A1", &longest] {
            assert!(CollectionName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "a-b", "a.b", "é", "a\0", &format!("{longest}x")] {
            assert_eq!(CollectionName::new(bad), Err(InvalidName::Collection), "{bad}");
        }
    }
}
