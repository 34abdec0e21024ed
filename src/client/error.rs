//! What can go wrong, by who has to change something.

use std::time::Duration;

use thiserror::Error as ThisError;

use super::outcome::Refused;
use crate::blazebinary::EncodeError;
use crate::proto::{CloseReason, Misuse};
use crate::transport::ConnectError;
use crate::wire::message::OperationBuildError;
use crate::wire::{ErrorCode, Fault, InvalidName};

/// Why a call did not do what it should.
#[derive(Debug, Clone, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The caller's arguments; nothing was sent.
    #[error(transparent)]
    Input(#[from] InputError),
    /// There is no connection, and none could be made.
    #[error(transparent)]
    Unreachable(#[from] ConnectError),
    /// The server refused this operation or question; the operation had no effect.
    #[error(transparent)]
    Refused(Refused),
    /// The connection ended, and another would end in the same way. What was unacknowledged may have had an effect.
    #[error(transparent)]
    Ended(Ending),
    /// The connection was lost while an answer was read.
    #[error("the connection was lost while the answer was read; ask again")]
    Interrupted,
    /// The server no longer knows this client, so that it cannot be known whether the operation took effect.
    #[error("the server forgot this client; read the record to see whether the operation took effect")]
    OutcomeUnknown,
    /// The call's deadline passed. An operation may still take effect.
    #[error("not done within {0:?}; an operation may still take effect: read the record, or allow more time")]
    Deadline(Duration),
    /// The client was closed.
    #[error("the client is closed; connect again")]
    Closed,
}

/// Arguments that no server would take: the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum InputError {
    /// A name of a collection or database.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A record that cannot be encoded.
    #[error("the record cannot be encoded: {0}")]
    Record(#[from] EncodeError),
    /// A record's `id` of another type.
    #[error(r#"a record's id is a UUID; write {{"$uuid":"…"}}, or leave id out to have one made"#)]
    Id,
    /// A patch of the id.
    #[error("a patch cannot change a record's id; insert the record anew and delete this one")]
    PatchedId,
    /// A patch that does nothing.
    #[error("a patch sets or removes at least one field")]
    EmptyPatch,
    /// A field that is set and removed.
    #[error("the patch sets and removes '{0}'; name it once")]
    SetAndRemoved(String),
    /// No ids, or too many of them.
    #[error("ask for 1 to {max} records at once, not {found}", max = u16::MAX)]
    Ids {
        /// How many there were.
        found: usize,
    },
    /// More subscriptions than a connection may have.
    #[error("a connection has at most {limit} subscriptions; end one, or connect once more")]
    Subscriptions {
        /// The server's limit.
        limit: u16,
    },
    /// A transaction that cannot be sent.
    #[error(transparent)]
    Transaction(#[from] OperationBuildError),
}

/// How a connection ended that is not made again.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{}", self.text())]
pub struct Ending {
    /// The connection's own reason.
    pub reason: CloseReason,
}

impl Error {
    /// Who has to change something before the same call can succeed.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Input(_) | Self::Closed => Fault::Client,
            Self::Refused(refused) => refused.code.map_or(Fault::Server, ErrorCode::fault),
            Self::Ended(ending) => ending.reason.fault().unwrap_or(Fault::Server),
            Self::Unreachable(_) | Self::Interrupted | Self::Deadline(_) => Fault::Network,
            Self::OutcomeUnknown => Fault::Server,
        }
    }

    /// The code by which the server refused, if it did and the code is known here.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refused) => refused.code,
            Self::Ended(ending) => ending.code(),
            _ => None,
        }
    }

    /// What happened, for a person who is also told that it is tried again: advice to the client, which follows it by
    /// itself, is left out.
    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the command line prints it"))]
    pub(crate) fn while_retrying(&self) -> String {
        match self {
            Self::Ended(ending) => ending.while_retrying(),
            other => format!("{}.", other.to_string().trim_end_matches('.')),
        }
    }
}

impl From<Misuse> for Error {
    fn from(misuse: Misuse) -> Self {
        match misuse {
            Misuse::InvalidDatabase(name) => InputError::Name(name).into(),
            _ => Self::Closed,
        }
    }
}

impl Ending {
    /// The code that ended it, if one did and it is known here.
    pub fn code(&self) -> Option<ErrorCode> {
        match &self.reason {
            CloseReason::Goodbye { code, .. } => ErrorCode::from_number(*code),
            CloseReason::PeerMisbehaved(violation) => Some(violation.code()),
            CloseReason::RefusedByPeer(refusal) => refusal.known(),
            CloseReason::Refused(code) => Some(*code),
            CloseReason::TimedOut(deadline) => deadline.code(),
            CloseReason::Lost => None,
        }
    }

    fn what(&self) -> String {
        match self.code() {
            Some(code) => format!("{} ({code})", self.reason.to_string().trim_end_matches('.')),
            None => self.reason.to_string(),
        }
    }

    #[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the command line prints it"))]
    fn while_retrying(&self) -> String {
        let operators = self.code().filter(|code| code.fault() == Fault::Operator);
        sentence(&self.what(), operators.map_or("", ErrorCode::advice)).trim_end().to_owned()
    }

    /// One line: what happened, and what to do.
    fn text(&self) -> String {
        let advice = match (&self.reason, self.code()) {
            (CloseReason::Lost | CloseReason::TimedOut(_), _) => {
                "Connect again; if it stays: is it a BlazeDB server that listens there?"
            }
            (_, Some(code)) => code.advice(),
            (_, None) => "Connect again.",
        };
        sentence(&self.what(), advice)
    }
}

/// What happened and what to do about it, in one line.
pub(super) fn sentence(what: &str, advice: &str) -> String {
    let what = what.trim_end_matches('.');
    format!("{what}. {advice}").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Refusal;

    #[test]
    fn whoever_is_told_of_another_attempt_is_not_told_to_make_it() {
        let ended = |reason| Error::Ended(Ending { reason });
        let refused = |code: ErrorCode| {
            let (code, message) = (code.number(), "no.".to_owned());
            ended(CloseReason::RefusedByPeer(Refusal { code, message, payload: Vec::new() }))
        };
        let operators = "the peer ended the connection: no (disk_full). The operator frees space; writes resume by \
                         themselves.";
        let refusal = ConnectError::Refused { address: "[::1]:9".to_owned() };
        for (error, told) in [
            (ended(CloseReason::Lost), "the connection was lost."),
            (refused(ErrorCode::TooBusy), "the peer ended the connection: no (too_busy)."),
            (refused(ErrorCode::DiskFull), operators),
            (
                refusal.into(),
                "no server answers at [::1]:9; start one with 'blazedb serve', or name another address with --url.",
            ),
        ] {
            assert_eq!(error.while_retrying(), told);
        }
        assert!(
            ended(CloseReason::Lost).to_string().contains("Connect again"),
            "who is not told so has to do it"
        );
    }
}
