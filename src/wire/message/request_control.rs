//! `11` Unsubscribe and `17` Cancel: the client no longer wants a subscription, an answer.
//!
//! | field | |
//! |---|---|
//! | id | u64: of the Subscribe, of the Query |

use crate::wire::message_error::MessageError;
use crate::wire::payload::PayloadReader;

/// No more events, please. Answered by an Event `ended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The request id: at least 1.
    pub id: u64,
}

/// No more of this answer, please. Answered by an Error `cancelled`, unless the answer finished first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel {
    /// The request id: at least 1.
    pub id: u64,
}

impl Unsubscribe {
    pub(super) fn read(reader: &mut PayloadReader<'_>) -> Result<Self, MessageError> {
        Ok(Self { id: reader.positive_u64("id")? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
    }
}

impl Cancel {
    pub(super) fn read(reader: &mut PayloadReader<'_>) -> Result<Self, MessageError> {
        Ok(Self { id: reader.positive_u64("id")? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::super::testing::{check, rejects, round_trip};
    use super::*;
    use crate::wire::MessageErrorKind as Kind;

    #[test]
    fn both_are_read_and_written() {
        check("0000000000000102", Message::Unsubscribe(Unsubscribe { id: 258 }));
        check("0000000000000102", Message::Cancel(Cancel { id: 258 }));
        for message_type in [0x11, 0x17] {
            rejects(message_type, "0000000000000000", 0, Kind::Zero { field: "id" });
        }
    }

    proptest::proptest! {
        #[test]
        fn both_come_back(id in 1u64..) {
            round_trip(&Message::Unsubscribe(Unsubscribe { id }));
            round_trip(&Message::Cancel(Cancel { id }));
        }
    }
}
