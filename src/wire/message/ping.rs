//! `12` Ping and `13` Pong: is anyone there, and what time is it?
//!
//! | field | |
//! |---|---|
//! | nonce | u64 |
//! | clock | u64: only of a Pong; 0 from a client |

use crate::wire::clock::Clock;
use crate::wire::message_error::MessageError;
use crate::wire::payload::PayloadReader;

/// A question that a Pong answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// Comes back in the Pong.
    pub nonce: u64,
}

/// The answer to the latest Ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pong {
    /// The Ping's.
    pub nonce: u64,
    /// The server's clock; [`Clock::NONE`] from a client.
    pub clock: Clock,
}

impl Ping {
    pub(super) fn read(reader: &mut PayloadReader<'_>) -> Result<Self, MessageError> {
        Ok(Self { nonce: reader.u64()? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.nonce.to_be_bytes());
    }
}

impl Pong {
    pub(super) fn read(reader: &mut PayloadReader<'_>) -> Result<Self, MessageError> {
        Ok(Self { nonce: reader.u64()?, clock: reader.clock()? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.nonce.to_be_bytes());
        out.extend_from_slice(&self.clock.to_bits().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::super::testing::{check, round_trip};
    use super::*;

    #[test]
    fn both_are_read_and_written() {
        check("0102030405060708", Message::Ping(Ping { nonce: 0x0102_0304_0506_0708 }));
        let clock = Clock::new(1, 2).unwrap();
        check(
            "0102030405060708 0000000000010002",
            Message::Pong(Pong { nonce: 0x0102_0304_0506_0708, clock }),
        );
        check("0000000000000000 0000000000000000", Message::Pong(Pong { nonce: 0, clock: Clock::NONE }));
    }

    proptest::proptest! {
        #[test]
        fn both_come_back(nonce: u64, clock: u64) {
            round_trip(&Message::Ping(Ping { nonce }));
            round_trip(&Message::Pong(Pong { nonce, clock: Clock::from_bits(clock) }));
        }
    }
}
