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
