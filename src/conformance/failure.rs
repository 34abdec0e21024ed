//! Why a case failed: what the specification asks for, and what came instead.

use std::fmt;
use std::io;

use crate::transport::ConnectError;

/// Why a case failed, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

/// What a case answers.
pub(super) type Verdict = Result<(), Failure>;

impl Failure {
    pub(super) fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string().replace(['\n', '\r'], " "))
    }

    /// The same, with where it happened before it.
    pub(super) fn within(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(format_args!("the stream failed: {error}"))
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::new(error)
    }
}

/// Fails unless `is_so`.
pub(super) fn ensure(is_so: bool, what: impl FnOnce() -> String) -> Verdict {
    if is_so { Ok(()) } else { Err(Failure::new(what())) }
}

/// Fails unless both are equal; `what` names the thing.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: impl fmt::Display, found: &T, expected: &T) -> Verdict {
    ensure(found == expected, || format!("{what} is {found:?}, must be {expected:?}"))
}
