//! What a ledger needs of a large message, read without reading the rest: whoever executes a message reads and
//! checks the whole of it, once.

use super::error::Violation;
use crate::blazebinary::Reader;
use crate::wire::message::AckLevel;
use crate::wire::{Message, MessageType, Position};

/// An Event of this kind, and those above but for heartbeats, are the last of their subscription.
const EVENT_RESET: u8 = 3;
const EVENT_ENDED: u8 = 6;
/// Bytes of a number and the byte behind it.
const HEAD_BYTES: usize = 9;
/// The flag of the last frame of an answer.
const LAST: u8 = 1;

/// What the ledger needs of a frame of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// The request that it answers.
    pub(crate) id: u64,
    /// Whether nothing follows it.
    pub(crate) is_last: bool,
    /// Whether it is the answer to an Unsubscribe.
    pub(crate) is_ended: bool,
    /// Of rows: where the whole answer was taken. `None` where the payload ends before it, as whoever decodes it finds.
    pub(crate) taken_at: Option<Position>,
}

/// A number counted from 1 and the byte behind it.
fn head(message_type: MessageType, payload: &[u8]) -> Result<(u64, u8), Violation> {
    let mut reader = Reader::new(payload);
    match (reader.u64(), reader.u8()) {
        (Some(number @ 1..), Some(byte)) => Ok((number, byte)),
        _ => Err(malformed(message_type, payload)),
    }
}

/// The error of a payload whose first fields are wrong: the decoder words it.
fn malformed(message_type: MessageType, payload: &[u8]) -> Violation {
    match Message::decode(message_type as u8, payload) {
        Err(error) => Violation::Malformed(error),
        Ok(_) => Violation::UnexpectedMessage { message_type: message_type as u8, why: "it has no number" },
    }
}

/// The number and level of an Operation. A level that is missing or not defined counts as durable here: who
/// executes the operation refuses it, since a fault behind the number is about the operation alone.
pub(crate) fn operation(payload: &[u8]) -> Result<(u64, AckLevel), Violation> {
    let mut reader = Reader::new(payload);
    let Some(number @ 1..) = reader.u64() else { return Err(malformed(MessageType::Operation, payload)) };
    Ok((number, reader.u8().and_then(AckLevel::from_byte).unwrap_or(AckLevel::Durable)))
}

/// The beginning of a QueryResponse.
pub(crate) fn query_response(payload: &[u8]) -> Result<Part, Violation> {
    let (id, flags) = head(MessageType::QueryResponse, payload)?;
    let position = payload.get(HEAD_BYTES..).and_then(<[u8]>::first_chunk);
    let taken_at = position.map(Position::from_bytes);
    Ok(Part { id, is_last: flags & LAST != 0, is_ended: false, taken_at })
}

/// The beginning of an Event.
pub(crate) fn event(payload: &[u8]) -> Result<Part, Violation> {
    let (id, kind) = head(MessageType::Event, payload)?;
    let is_last = matches!(kind, EVENT_RESET | EVENT_ENDED);
    Ok(Part { id, is_last, is_ended: kind == EVENT_ENDED, taken_at: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ErrorCode;
    use crate::wire::message::{Event, EventKind, QueryResponse, Rows};

    #[test]
    fn what_is_peeked_is_what_is_decoded() {
        let position = Position { epoch: 1, partition: 0, seq: 42 };
        let changed = EventKind::Reset { code: 1, oldest: position };
        for (kind, last) in [
            (EventKind::CaughtUp, false),
            (changed, true),
            (EventKind::Waiting, false),
            (EventKind::Heartbeat, false),
            (EventKind::Ended, true),
        ] {
            let mut payload = Vec::new();
            Message::Event(Event { id: 7, position, kind }).encode(&mut payload);
            let is_ended = kind == EventKind::Ended;
            let part = Part { id: 7, is_last: last, is_ended, taken_at: None };
            assert_eq!(event(&payload), Ok(part), "{kind:?}");
        }
        for last in [false, true] {
            let mut payload = Vec::new();
            let rows = Rows::default();
            Message::QueryResponse(QueryResponse { id: 9, last, position, rows }).encode(&mut payload);
            let part = Part { id: 9, is_last: last, is_ended: false, taken_at: Some(position) };
            assert_eq!(query_response(&payload), Ok(part));
        }
        assert_eq!(operation(&[0, 0, 0, 0, 0, 0, 0, 5, 0]), Ok((5, AckLevel::Accepted)));
        assert_eq!(operation(&[0, 0, 0, 0, 0, 0, 0, 5, 9]), Ok((5, AckLevel::Durable)));
        assert_eq!(operation(&[0, 0, 0, 0, 0, 0, 0, 5]), Ok((5, AckLevel::Durable)));
    }

    #[test]
    fn a_head_that_is_missing_or_zero_is_malformed() {
        assert_eq!(operation(&[0; 7]).map_err(|error| error.code()), Err(ErrorCode::Truncated));
        assert_eq!(operation(&[0; 9]).map_err(|error| error.code()), Err(ErrorCode::InvalidField));
    }
}
