//! What ends a connection and what a caller is refused, by culprit.
//!
//! | type | culprit |
//! |---|---|
//! | [`Violation::Malformed`], [`Violation::BadFrame`] | the peer: its bytes are not the protocol |
//! | other [`Violation`]s | the peer: its messages break a rule |
//! | [`CloseReason::TimedOut`], [`CloseReason::Lost`] | the network, as far as can be known |
//! | [`CloseReason::RefusedByPeer`] | whom the code names |
//! | [`Misuse`], [`SubmitError`], [`RequestError`] | the caller: nothing happened, the connection goes on |

use thiserror::Error;

use super::outbox::Refusal;
use crate::blazebinary::{Dict, Value};
use crate::wire::header::VERSION;
use crate::wire::{
    CompressionError, EncodedDict, ErrorCode, Fault, FlagError, FrameError, InvalidName, MessageError,
};

/// What a peer did that it must not. The connection answers with an Error of [`Violation::code`] and ends.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Violation {
    /// Bytes that are not a frame.
    #[error(transparent)]
    BadFrame(FrameError),
    /// A payload that is not the message its frame announces.
    #[error(transparent)]
    Malformed(MessageError),
    /// A compressed payload that does not become what it declares.
    #[error(transparent)]
    BadCompression(CompressionError),
    /// A sequence that is not the one after the frame before.
    #[error("a frame has sequence {found}, after the frame before it {expected} was due")]
    SequenceGap {
        /// The number that was due.
        expected: u32,
        /// The number that came.
        found: u32,
    },
    /// A message that the peer's role or the state of the connection does not allow.
    #[error("a message of type {message_type:#04x} is not allowed here: {why}")]
    UnexpectedMessage {
        /// Its type.
        message_type: u8,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A flag that is set or missing against the rules for the message.
    #[error(transparent)]
    UnexpectedFlag(FlagError),
    /// No protocol version in common.
    #[error("versions {min} to {max} were offered; version {VERSION} is spoken here")]
    UnsupportedVersion {
        /// The oldest version that the peer speaks.
        min: u8,
        /// The newest.
        max: u8,
    },
    /// A field of the Welcome that contradicts the Hello.
    #[error("{field} of the welcome does not answer the hello")]
    InvalidWelcome {
        /// The field.
        field: &'static str,
    },
    /// A frame beyond the credit of its lane or request.
    #[error("a frame of {bytes} bytes was sent without credit for it")]
    CreditExceeded {
        /// Its bytes.
        bytes: u64,
    },
    /// A Credit for a lane or request that this side does not send on.
    #[error("a Credit is for something that its receiver does not send on")]
    ForeignCredit,
    /// A limit that fell.
    #[error("a credit limit fell below an earlier one")]
    CreditFell,
    /// More control frames than the budget allows.
    #[error("control messages come faster than the budget allows")]
    ControlFlood,
    /// An operation whose number is not the one after the operation before.
    #[error("operation {found} came where {expected} was due")]
    OperationNumberGap {
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// An operation beyond the window.
    #[error("operation {number} is beyond the window of {window} unacknowledged ones")]
    OperationWindowExceeded {
        /// Its number.
        number: u64,
        /// The window.
        window: u16,
    },
    /// A request id that does not rise.
    #[error("request id {found} does not rise above {last}")]
    RequestIdNotIncreasing {
        /// The last id.
        last: u64,
        /// The id that came.
        found: u64,
    },
    /// An Ack or Error about an operation that was not sent, or is settled.
    #[error("operation {number} was acknowledged or refused, but it is not outstanding")]
    ImpossibleAck {
        /// Its number.
        number: u64,
    },
    /// An answer to a request that is not outstanding.
    #[error("request {id} was answered, but it is not outstanding")]
    UnknownRequest {
        /// Its id.
        id: u64,
    },
    /// Parts of one answer that say to have been taken at different positions (P-3.9).
    #[error("the answer to request {id} was taken at one position, and goes on at another")]
    AnswerMoved {
        /// The request.
        id: u64,
    },
    /// The numbers of this node and what the server remembers of it contradict each other.
    #[error("the node's numbers do not fit what the server remembers: {}", .0.text())]
    Identity(ErrorCode),
}

impl Violation {
    /// The code of the Error that answers it.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::BadFrame(error) => error.code(),
            Self::Malformed(error) => error.code(),
            Self::BadCompression(_) => ErrorCode::BadCompression,
            Self::SequenceGap { .. } => ErrorCode::SequenceGap,
            Self::UnexpectedMessage { .. } | Self::UnknownRequest { .. } => ErrorCode::UnexpectedMessage,
            Self::UnexpectedFlag(_) => ErrorCode::UnexpectedFlag,
            Self::UnsupportedVersion { .. } => ErrorCode::UnsupportedVersion,
            Self::InvalidWelcome { .. } | Self::AnswerMoved { .. } => ErrorCode::InvalidField,
            Self::CreditExceeded { .. } => ErrorCode::CreditExceeded,
            Self::CreditFell | Self::ForeignCredit => ErrorCode::InvalidCredit,
            Self::ControlFlood => ErrorCode::ControlFlood,
            Self::OperationNumberGap { .. } => ErrorCode::OperationNumberGap,
            Self::OperationWindowExceeded { .. } => ErrorCode::OperationWindowExceeded,
            Self::RequestIdNotIncreasing { .. } => ErrorCode::RequestIdNotIncreasing,
            Self::ImpossibleAck { .. } => ErrorCode::ImpossibleAck,
            Self::Identity(code) => *code,
        }
    }

    /// The same for programs: where the payload is wrong, which versions are spoken here.
    pub(crate) fn detail(&self) -> EncodedDict<'static> {
        match self {
            Self::Malformed(error) => error.detail(),
            Self::UnsupportedVersion { .. } | Self::BadFrame(FrameError::UnsupportedVersion(_)) => {
                let versions = Value::Array(vec![Value::Int(VERSION.into())]);
                EncodedDict::new(Dict::from_iter([("versions", versions)])).unwrap_or_default()
            }
            _ => EncodedDict::NONE,
        }
    }
}

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deadline {
    /// The handshake was not done in time.
    Handshake,
    /// Nothing was heard for 2½ heartbeats.
    Silence,
    /// The transport took no bytes.
    Stall,
    /// What was outstanding at the Goodbye did not finish in time.
    Drain,
}

impl Deadline {
    /// The code of the Error that tells the peer; none after a Goodbye.
    pub const fn code(self) -> Option<ErrorCode> {
        match self {
            Self::Handshake => Some(ErrorCode::HandshakeTimeout),
            Self::Silence => Some(ErrorCode::HeartbeatTimeout),
            Self::Stall => Some(ErrorCode::WriteStalled),
            Self::Drain => None,
        }
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseReason {
    /// A Goodbye, and everything outstanding finished.
    #[error("the connection was closed{}", by_whom(*.by_peer))]
    Goodbye {
        /// Whether the peer said it first.
        by_peer: bool,
        /// Its code; 0 for an end without an error.
        code: u16,
        /// When to connect again, in milliseconds; 0 for no advice.
        retry_after_ms: u32,
    },
    /// The peer broke a rule.
    #[error("the peer broke the protocol: {0}")]
    PeerMisbehaved(Violation),
    /// The peer said that this side broke a rule, or refused the handshake.
    #[error("the peer ended the connection: {}", .0.message)]
    RefusedByPeer(Refusal),
    /// This side refused the handshake.
    #[error("the handshake was refused: {}", .0.text())]
    Refused(ErrorCode),
    /// A deadline passed.
    #[error("{}", deadline_text(*.0))]
    TimedOut(Deadline),
    /// The transport ended without a Goodbye.
    #[error("the connection was lost")]
    Lost,
}

impl CloseReason {
    /// Who has to change something; `None` for an end without an error.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Goodbye { code: 0, .. } => None,
            Self::Goodbye { code, .. } => ErrorCode::from_number(*code).map(ErrorCode::fault),
            Self::PeerMisbehaved(Violation::Identity(code)) => Some(code.fault()),
            Self::PeerMisbehaved(_) => Some(Fault::Peer),
            Self::RefusedByPeer(refusal) => Some(refusal.known().map_or(Fault::Peer, ErrorCode::fault)),
            Self::Refused(code) => Some(code.fault()),
            Self::TimedOut(_) | Self::Lost => Some(Fault::Network),
        }
    }
}

fn by_whom(by_peer: bool) -> &'static str {
    if by_peer { " by the peer" } else { "" }
}

fn deadline_text(deadline: Deadline) -> &'static str {
    match deadline.code() {
        Some(code) => code.text(),
        None => "what was outstanding at the Goodbye did not finish in time",
    }
}

/// A call that the state of the connection does not allow: the caller's fault. Nothing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// A configuration whose database cannot exist.
    #[error(transparent)]
    InvalidDatabase(InvalidName),
    /// Before the handshake is done.
    #[error("the handshake is not done")]
    NotEstablished,
    /// The handshake was answered before, or no Hello came yet.
    #[error("there is no hello to answer")]
    NoHello,
    /// After a Goodbye or the end.
    #[error("the connection is closing or closed")]
    Closed,
    /// Operations are decided in order, and become durable after that.
    #[error("operation {found} cannot be next: {expected} is")]
    OutOfOrder {
        /// The number that the call must name.
        expected: u64,
        /// The number that it named.
        found: u64,
    },
    /// A request that is not running.
    #[error("request {0} is not running")]
    UnknownRequest(u64),
    /// A query answered by an event, or a subscription by rows.
    #[error("request {0} is of the other kind")]
    WrongKind(u64),
    /// A message that does not fit one frame.
    #[error("a message of {0} bytes does not fit one frame")]
    TooLarge(usize),
}

/// Why a Hello was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AcceptError {
    /// The node's numbers do not fit what is decided; the client was refused by this code.
    #[error("the client was refused: {}", .0.text())]
    Identity(ErrorCode),
    /// The call does not fit the state of the connection.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// Why an operation was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// The outbox is full: poll outcomes, and try again.
    #[error("too many operations are unacknowledged; take outcomes, then try again")]
    Full,
    /// The connection does not take it.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// Why a query or subscription was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// As many as the server allows are running.
    #[error("{0} requests are running, which is as many as the server allows")]
    TooMany(u16),
    /// The connection does not take it.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}
