//! The messages that peers send, one file each. A payload is a fixed run of fields without names; what is
//! variable in length are single BlazeBinary values. `spec/protocol.md` is the normative text.
//!
//! Decoding borrows from the payload and validates all of it once: rows, changes and operations are then iterated
//! without errors. Whether a record's bytes are canonical is not looked at here
//! ([`FramedRecord::view`](super::FramedRecord::view) does), only that they are those that were sent.

mod ack;
mod credit;
mod error;
mod event;
mod goodbye;
mod handshake;
mod operation;
mod operation_builder;
mod ping;
mod query;
mod query_response;
mod request_control;
mod subscribe;
#[cfg(test)]
mod testing;

pub use ack::Ack;
pub use credit::{Credit, CreditScope};
pub use error::Error;
pub use event::{Change, ChangeKind, Changes, ChangesBuilder, Event, EventKind};
pub use goodbye::Goodbye;
pub use handshake::{Hello, Welcome};
pub use operation::{AckLevel, Action, Group, Groups, Operation, Operations, RecordOperation};
pub use operation_builder::{OperationBody, OperationBuildError, OperationBuilder};
pub use ping::{Ping, Pong};
pub use query::{Ids, Query, QueryKind};
pub use query_response::{FrameFull, QueryResponse, Row, Rows, RowsBuilder};
pub use request_control::{Cancel, Unsubscribe};
pub use subscribe::{Mode, Start, Subscribe};

use super::encoded::EncodedDict;
use super::header::MessageType;
use super::message_error::{MessageError, MessageErrorKind as Kind};
use super::payload::PayloadReader;
use handshake::Handshake;

/// One message, its variable parts borrowed from the payload it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its type")]
pub enum Message<'a> {
    Hello(Hello<'a>),
    Welcome(Welcome<'a>),
    Operation(Operation<'a>),
    Query(Query<'a>),
    QueryResponse(QueryResponse<'a>),
    Subscribe(Subscribe<'a>),
    Ack(Ack),
    Error(Error<'a>),
    Event(Event<'a>),
    Unsubscribe(Unsubscribe),
    Ping(Ping),
    Pong(Pong),
    Goodbye(Goodbye<'a>),
    Credit(Credit),
    Cancel(Cancel),
}

impl<'a> Message<'a> {
    /// Reads the plain payload of a frame of `message_type` (the header's byte). An extension is checked and
    /// dropped: version 1 defines none.
    ///
    /// # Errors
    /// [`MessageError`]: what is wrong, where, and what it is about.
    pub fn decode(message_type: u8, payload: &'a [u8]) -> Result<Self, MessageError> {
        Self::decode_extended(message_type, payload).map(|(message, _)| message)
    }

    /// Reads the plain payload of a frame, and the extension behind it.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_extended(
        message_type: u8,
        payload: &'a [u8],
    ) -> Result<(Self, EncodedDict<'a>), MessageError> {
        Self::read_whole(message_type, PayloadReader::new(payload))
    }

    /// As [`Self::decode`], for a client: a record in it that is not canonical is refused too (P-3.8). A server that stores
    /// records checks them when it does, and refuses the operation alone.
    ///
    /// # Errors
    /// As [`Self::decode`], and [`MessageErrorKind::Record`](super::MessageErrorKind::Record).
    pub fn decode_strict(message_type: u8, payload: &'a [u8]) -> Result<Self, MessageError> {
        Self::read_whole(message_type, PayloadReader::strict(payload)).map(|(message, _)| message)
    }

    fn read_whole(
        message_type: u8,
        mut reader: PayloadReader<'a>,
    ) -> Result<(Self, EncodedDict<'a>), MessageError> {
        let message = Self::read(message_type, &mut reader)?;
        match reader.finish() {
            Ok(extension) => Ok((message, extension)),
            Err(error) => Err(error.about(message.subject())),
        }
    }

    fn read(message_type: u8, reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let unknown = || Kind::UnknownType(message_type).at(0);
        Ok(match MessageType::from_byte(message_type).ok_or_else(unknown)? {
            MessageType::Handshake => match Handshake::read(reader)? {
                Handshake::Hello(hello) => Self::Hello(hello),
                Handshake::Welcome(welcome) => Self::Welcome(welcome),
            },
            MessageType::Operation => Self::Operation(Operation::read(reader)?),
            MessageType::Query => Self::Query(Query::read(reader)?),
            MessageType::QueryResponse => Self::QueryResponse(QueryResponse::read(reader)?),
            MessageType::Subscribe => Self::Subscribe(Subscribe::read(reader)?),
            MessageType::Ack => Self::Ack(Ack::read(reader)?),
            MessageType::Error => Self::Error(Error::read(reader)?),
            MessageType::Event => Self::Event(Event::read(reader)?),
            MessageType::Unsubscribe => Self::Unsubscribe(Unsubscribe::read(reader)?),
            MessageType::Ping => Self::Ping(Ping::read(reader)?),
            MessageType::Pong => Self::Pong(Pong::read(reader)?),
            MessageType::Goodbye => Self::Goodbye(Goodbye::read(reader)?),
            MessageType::Credit => Self::Credit(Credit::read(reader)?),
            MessageType::Cancel => Self::Cancel(Cancel::read(reader)?),
            MessageType::Telemetry | MessageType::Auth => return Err(Kind::ReservedType(message_type).at(0)),
            MessageType::SegmentHeader
            | MessageType::Commit
            | MessageType::Seal
            | MessageType::CaptureHeader
            | MessageType::CaptureEntry => return Err(unknown()),
        })
    }

    /// Appends the payload. An extension is appended behind it with
    /// [`EncodedDict::append_to`](super::EncodedDict::append_to).
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(message) => message.write(out),
            Self::Welcome(message) => message.write(out),
            Self::Operation(message) => message.write(out),
            Self::Query(message) => message.write(out),
            Self::QueryResponse(message) => message.write(out),
            Self::Subscribe(message) => message.write(out),
            Self::Ack(message) => message.write(out),
            Self::Error(message) => message.write(out),
            Self::Event(message) => message.write(out),
            Self::Unsubscribe(message) => message.write(out),
            Self::Ping(message) => message.write(out),
            Self::Pong(message) => message.write(out),
            Self::Goodbye(message) => message.write(out),
            Self::Credit(message) => message.write(out),
            Self::Cancel(message) => message.write(out),
        }
    }

    /// The type of the frame that carries it.
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::Hello(_) | Self::Welcome(_) => MessageType::Handshake,
            Self::Operation(_) => MessageType::Operation,
            Self::Query(_) => MessageType::Query,
            Self::QueryResponse(_) => MessageType::QueryResponse,
            Self::Subscribe(_) => MessageType::Subscribe,
            Self::Ack(_) => MessageType::Ack,
            Self::Error(_) => MessageType::Error,
            Self::Event(_) => MessageType::Event,
            Self::Unsubscribe(_) => MessageType::Unsubscribe,
            Self::Ping(_) => MessageType::Ping,
            Self::Pong(_) => MessageType::Pong,
            Self::Goodbye(_) => MessageType::Goodbye,
            Self::Credit(_) => MessageType::Credit,
            Self::Cancel(_) => MessageType::Cancel,
        }
    }

    /// What a fault of this message is about: the operation or request that it would begin, else the connection.
    const fn subject(&self) -> super::scope::Subject {
        use super::scope::Subject;
        match self {
            Self::Operation(operation) => Subject::Operation(operation.number),
            Self::Query(query) => Subject::Request(query.id),
            Self::Subscribe(subscribe) => Subject::Request(subscribe.id),
            _ => Subject::Connection,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_without_a_payload_are_told_apart() {
        for message_type in 0..=u8::MAX {
            let error = Message::decode(message_type, b"anything").map(drop).map_err(|error| error.kind);
            match message_type {
                0x06 | 0x14 => assert_eq!(error, Err(Kind::ReservedType(message_type))),
                0x01..=0x08 | 0x10..=0x13 | 0x15..=0x17 => {
                    assert_ne!(error, Err(Kind::UnknownType(message_type)));
                }
                _ => assert_eq!(error, Err(Kind::UnknownType(message_type))),
            }
        }
    }
}
