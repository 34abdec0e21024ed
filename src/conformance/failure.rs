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
        Self(printable(&what.to_string()))
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

/// A text of the one under test as one line that a terminal shows as it is: blanks for the ends of lines, escapes for all
/// else that is not to be seen.
pub(super) fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => line.push(' '),
            '\t' => line.push_str("  "),
            c if c.is_control() || is_invisible(c) => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

/// Marks that turn the direction of text around: what they hide would be read as something else.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Fails unless `is_so`.
pub(super) fn ensure(is_so: bool, what: impl FnOnce() -> String) -> Verdict {
    if is_so { Ok(()) } else { Err(Failure::new(what())) }
}

/// Fails unless both are equal; `what` names the thing.
pub(super) fn same<T: PartialEq + fmt::Debug>(what: impl fmt::Display, found: &T, expected: &T) -> Verdict {
    ensure(found == expected, || format!("{what} is {found:?}, must be {expected:?}"))
}
