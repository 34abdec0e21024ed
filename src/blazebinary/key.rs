//! The key of a field: a name, held without allocation where it is a common one.

use std::fmt;

use super::dictionary::FieldId;

/// The name of a field or of a dict's entry.
///
/// Two keys are equal when their bytes are; whether they name the same field is
/// [`keys_are_equivalent`](super::keys_are_equivalent)'s to say.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Common(FieldId),
    Other(Box<str>),
}

impl Key {
    /// The name.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Common(id) => id.name(),
            Repr::Other(name) => name,
        }
    }

    /// The common field's id, if the name is a common one.
    #[inline]
    pub fn field_id(&self) -> Option<FieldId> {
        match self.0 {
            Repr::Common(id) => Some(id),
            Repr::Other(_) => None,
        }
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self(FieldId::of(name).map_or_else(|| Repr::Other(name.into()), Repr::Common))
    }
}

impl From<String> for Key {
    fn from(name: String) -> Self {
        Self(FieldId::of(&name).map_or_else(|| Repr::Other(name.into_boxed_str()), Repr::Common))
    }
}

impl From<FieldId> for Key {
    fn from(id: FieldId) -> Self {
        Self(Repr::Common(id))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
