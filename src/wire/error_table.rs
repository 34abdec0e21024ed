//! What is known of each error code. The table itself is [`ErrorCode`]'s generated part.

use std::fmt;

use super::error_code::ErrorCode;
use super::scope::{Fault, Scope};

/// One row of the table.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) fault: Fault,
    pub(super) scopes: &'static [Scope],
    pub(super) retryable: bool,
    pub(super) text: &'static str,
    pub(super) advice: &'static str,
}

impl ErrorCode {
    /// The number that travels.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The code of a number; `None` for one that a newer peer may know.
    pub fn from_number(number: u16) -> Option<Self> {
        let at = Self::ALL.binary_search_by_key(&number, |code| code.number()).ok()?;
        Self::ALL.get(at).copied()
    }

    /// Whether the connection goes on behind an Error of scope connection with this code, once it was welcome (P-8.2).
    pub const fn is_notice(self) -> bool {
        matches!(self, Self::UnknownMessageType | Self::NotSupported)
    }

    /// The stable name, `[a-z_]`.
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// Who has to change something.
    pub const fn fault(self) -> Fault {
        self.entry().fault
    }

    /// What an Error of this code may be about.
    pub const fn scopes(self) -> &'static [Scope] {
        self.entry().scopes
    }

    /// Whether the same thing may succeed when it is tried again.
    pub const fn is_retryable(self) -> bool {
        self.entry().retryable
    }

    /// What happened: one sentence.
    pub const fn text(self) -> &'static str {
        self.entry().text
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        self.entry().advice
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_by_their_numbers() {
        assert!(ErrorCode::ALL.is_sorted_by(|a, b| a.number() < b.number()));
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(code));
        }
        assert_eq!(ErrorCode::from_number(0), None, "0 is a Goodbye without an error");
        assert_eq!(ErrorCode::from_number(u16::MAX), None);
    }

    #[test]
    fn scopes_keep_to_the_ranges_of_numbers() {
        for code in ErrorCode::ALL {
            let about = |scope| code.scopes().contains(&scope);
            match code.number() {
                1..=99 => assert!(about(Scope::Connection), "{code}"),
                200..=399 => assert!(!about(Scope::Operation), "{code}"),
                _ => assert!(!code.scopes().is_empty(), "{code}"),
            }
        }
    }
}
