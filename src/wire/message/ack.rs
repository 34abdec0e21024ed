//! `07` Ack: operations up to a number are done.
//!
//! | field | |
//! |---|---|
//! | lane | u8: 0 work, 1 telemetry |
//! | level | u8: 0 accepted, 1 durable, 2 replicated |
//! | number | u64: the last one covered |
//! | unchanged | u64: how many single operations found nothing to change, cumulative on this connection |
//! | position | 16 bytes: of the last one covered |

use super::operation::AckLevel;
use crate::wire::credit_limit::Lane;
use crate::wire::message_error::MessageError;
use crate::wire::payload::PayloadReader;
use crate::wire::position::Position;

/// Everything up to a number is done, except what an Error that came before names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Which lane's numbers.
    pub lane: Lane,
    /// What is promised.
    pub level: AckLevel,
    /// The last number covered: at least 1.
    pub number: u64,
    /// How many single operations inside the covered frames found their record unchanged, since the connection
    /// began.
    pub unchanged: u64,
    /// The position of the last one covered.
    pub position: Position,
}

impl Ack {
    pub(super) fn read(reader: &mut PayloadReader<'_>) -> Result<Self, MessageError> {
        Ok(Self {
            lane: reader.choice("lane", Lane::from_byte)?,
            level: reader.choice("level", AckLevel::from_byte)?,
            number: reader.positive_u64("number")?,
            unchanged: reader.u64()?,
            position: reader.position()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.lane as u8, self.level as u8]);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.unchanged.to_be_bytes());
        out.extend_from_slice(&self.position.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Message;
    use super::super::testing::{any as of, check, rejects, round_trip};
    use super::*;
    use crate::wire::MessageErrorKind as Kind;

    const REST: &str = "0000000000000102 0000000000000003 00000001000000000000000000000009";

    #[test]
    fn an_ack_is_read_and_written() {
        let position = Position { epoch: 1, partition: 0, seq: 9 };
        let ack = |lane, level| Message::Ack(Ack { lane, level, number: 258, unchanged: 3, position });
        check(&format!("00 01 {REST}"), ack(Lane::Work, AckLevel::Durable));
        check(&format!("01 00 {REST}"), ack(Lane::Telemetry, AckLevel::Accepted));
        check(&format!("00 02 {REST}"), ack(Lane::Work, AckLevel::Replicated));
    }

    #[test]
    fn what_is_not_defined_is_refused() {
        rejects(7, "02 01", 0, Kind::UnknownValue { field: "lane", value: 2 });
        rejects(7, "00 03", 1, Kind::UnknownValue { field: "level", value: 3 });
        rejects(7, "00 01 0000000000000000", 2, Kind::Zero { field: "number" });
    }

    proptest! {
        #[test]
        fn acks_come_back(
            (lane, level) in (0u8..2, 0u8..3),
            (number, unchanged, position) in (1u64.., any::<u64>(), of::position()),
        ) {
            let (lane, level) = (Lane::from_byte(lane).unwrap(), AckLevel::from_byte(level).unwrap());
            round_trip(&Message::Ack(Ack { lane, level, number, unchanged, position }));
        }
    }
}
