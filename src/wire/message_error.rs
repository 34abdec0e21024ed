//! What can be wrong with the payload of a frame that arrived whole.

use thiserror::Error;

use super::encoded::EncodedDict;
use super::error_code::ErrorCode;
use super::limits;
use super::name::InvalidName;
use super::scope::Subject;
use crate::blazebinary::{DecodeErrorKind, Dict};

/// A payload that is not a message: the sender's fault, since the frame's checksum was right.
///
/// [`Self::subject`] says how far the fault reaches: a fault behind the number of an Operation, Query or
/// Subscribe is answered for that alone; any other ends the connection, except
/// [`MessageErrorKind::UnknownType`] and [`MessageErrorKind::ReservedType`], which are answered and passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} (at byte {offset} of the payload)")]
pub struct MessageError {
    /// Where the wrong field begins, in bytes from the start of the plain payload.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: MessageErrorKind,
    /// What the fault is about.
    pub subject: Subject,
    /// Inside an Operation: the operation at fault, counted from 0 over all groups.
    pub item: Option<u32>,
}

/// The ways in which a payload can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageErrorKind {
    /// A message type that peers do not send in this version.
    #[error("message type {0:#04x} is not one that peers send in version 1")]
    UnknownType(u8),
    /// A message type whose payload is not defined yet.
    #[error("message type {0:#04x} is reserved for later")]
    ReservedType(u8),
    /// A value of a field that is reserved for later.
    #[error("{field} {value} is reserved for later")]
    ReservedValue {
        /// The field.
        field: &'static str,
        /// What stands in it.
        value: u8,
    },
    /// The payload ends inside a field.
    #[error("the payload ends inside this field")]
    Truncated,
    /// Bytes behind the last field that are no extension.
    #[error("bytes that are no extension follow the last field")]
    TrailingBytes,
    /// An extension with a key that begins with `!`.
    #[error("the extension holds a key that must be understood and is not known here")]
    UnsupportedExtension,
    /// A byte that names nothing.
    #[error("{field} {value} is not defined")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// What stands in it.
        value: u8,
    },
    /// A number or count that starts at 1 is 0.
    #[error("{field} is 0; it counts from 1")]
    Zero {
        /// The field.
        field: &'static str,
    },
    /// A dict without entries where there is at least one.
    #[error("{field} is empty; null says that there is none")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// A field that contradicts another.
    #[error("{field} contradicts the fields before it")]
    Inconsistent {
        /// The field.
        field: &'static str,
    },
    /// A value of another type than the field has.
    #[error("the value of {field} has another type than the field")]
    WrongType {
        /// The field.
        field: &'static str,
    },
    /// A list that is not in order, or holds something twice.
    #[error("{field} is not sorted, or holds an item twice")]
    NotSorted {
        /// The field.
        field: &'static str,
    },
    /// Text or a list over its limit.
    #[error("{field} is longer than its limit of {max}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// The limit, in bytes of text or items of a list.
        max: usize,
    },
    /// A name that breaks the rules for names.
    #[error("{0}")]
    InvalidName(InvalidName),
    /// A value that is not canonical BlazeBinary.
    #[error("{0}")]
    Value(DecodeErrorKind),
    /// A record that is not canonical: a server's fault that its client finds (P-3.8).
    #[error("the record is not canonical: {0}")]
    Record(DecodeErrorKind),
    /// A record longer than the encoding allows.
    #[error("a record of {0} bytes is announced; {max} is the most", max = limits::MAX_RECORD_BYTES)]
    RecordTooLarge(usize),
    /// A record whose CRC-32 is wrong.
    #[error("the record's CRC-32 is given as {stored:08x}, its bytes give {computed:08x}")]
    RecordChecksumMismatch {
        /// The checksum that came with the record.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
}

impl MessageErrorKind {
    /// This kind, found at `offset`; about the connection until something narrower is known.
    #[cold]
    pub(super) fn at(self, offset: usize) -> MessageError {
        MessageError { offset, kind: self, subject: Subject::Connection, item: None }
    }
}

impl MessageError {
    /// The code by which it is answered.
    pub fn code(&self) -> ErrorCode {
        use MessageErrorKind as Kind;
        match self.kind {
            Kind::UnknownType(_) => ErrorCode::UnknownMessageType,
            Kind::ReservedType(_) | Kind::ReservedValue { .. } => ErrorCode::NotSupported,
            Kind::Truncated | Kind::Value(DecodeErrorKind::Truncated) => ErrorCode::Truncated,
            Kind::TrailingBytes => ErrorCode::TrailingBytes,
            Kind::UnsupportedExtension => ErrorCode::UnsupportedExtension,
            Kind::UnknownValue { .. }
            | Kind::Zero { .. }
            | Kind::Empty { .. }
            | Kind::Inconsistent { .. }
            | Kind::NotSorted { .. }
            | Kind::TooLong { .. } => ErrorCode::InvalidField,
            Kind::WrongType { .. } | Kind::Value(_) | Kind::Record(_) => ErrorCode::InvalidValue,
            Kind::InvalidName(_) => ErrorCode::InvalidName,
            Kind::RecordTooLarge(_) => ErrorCode::RecordTooLarge,
            Kind::RecordChecksumMismatch { .. } => ErrorCode::RecordChecksumMismatch,
        }
    }

    /// The same for programs: where in the payload, and in which operation.
    pub fn detail(&self) -> EncodedDict<'static> {
        let item = self.item.map(|item| ("item", i64::from(item)));
        let offset = i64::try_from(self.offset).ok().map(|offset| ("offset", offset));
        EncodedDict::new(Dict::from_iter(item.into_iter().chain(offset))).unwrap_or_default()
    }

    /// Whether the frame is to be answered and passed over, though the error is about the connection.
    pub fn is_passed_over(&self) -> bool {
        matches!(self.kind, MessageErrorKind::UnknownType(_) | MessageErrorKind::ReservedType(_))
    }

    /// The same error, narrowed to what it is about.
    pub(super) fn about(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// The same error, in the operation at `item` of its frame.
    pub(super) fn in_item(mut self, item: u32) -> Self {
        self.item = Some(item);
        self
    }
}
