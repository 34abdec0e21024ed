//! `15` Goodbye: its sender begins nothing new.
//!
//! | field | |
//! |---|---|
//! | code | u16: 0, or why (`spec/errors.json`) |
//! | retry_after_ms | u32: how long to wait before connecting again; 0 for no advice |
//! | message | str |

use crate::wire::limits::MAX_TEXT_BYTES;
use crate::wire::message_error::MessageError;
use crate::wire::payload::{PayloadReader, put_string};

/// The end of a connection, announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goodbye<'a> {
    /// 0 for an end without an error, else the number of an [`ErrorCode`](crate::wire::ErrorCode).
    pub code: u16,
    /// How long to wait before connecting again, in milliseconds; 0 for no advice.
    pub retry_after_ms: u32,
    /// The reason in words, for people; cut at [`MAX_TEXT_BYTES`] when written.
    pub message: &'a str,
}

impl<'a> Goodbye<'a> {
    pub(super) fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        Ok(Self {
            code: reader.u16()?,
            retry_after_ms: reader.u32()?,
            message: reader.string("message", MAX_TEXT_BYTES)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(&self.retry_after_ms.to_be_bytes());
        put_string(self.message, MAX_TEXT_BYTES, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Message;
    use super::super::testing::{check, rejects, round_trip};
    use super::*;
    use crate::wire::MessageErrorKind as Kind;

    #[test]
    fn a_goodbye_is_read_and_written() {
        check("0000 00000000 11", Message::Goodbye(Goodbye { code: 0, retry_after_ms: 0, message: "" }));
        let busy = Goodbye { code: 503, retry_after_ms: 1_000, message: "later" };
        check("01f7 000003e8 256c61746572", Message::Goodbye(busy));
        rejects(0x15, "0000 00000000 1200", 6, Kind::WrongType { field: "message" });
    }

    proptest::proptest! {
        #[test]
        fn goodbyes_come_back(code: u16, retry_after_ms: u32, message in ".{0,200}") {
            round_trip(&Message::Goodbye(Goodbye { code, retry_after_ms, message: &message }));
        }
    }
}
