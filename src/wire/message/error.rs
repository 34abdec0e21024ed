//! `08` Error: a refusal.
//!
//! | field | |
//! |---|---|
//! | scope | u8: 0 connection, 1 operation, 2 request |
//! | id | u64: the operation's number or the request's id; 0 for the connection |
//! | code | u16, at least 1 (`spec/errors.json`) |
//! | message | str |
//! | detail | dict or null |

use crate::wire::encoded::EncodedDict;
use crate::wire::limits::MAX_TEXT_BYTES;
use crate::wire::message_error::{MessageError, MessageErrorKind as Kind};
use crate::wire::payload::{PayloadReader, put_string};
use crate::wire::scope::{Scope, Subject};

/// A refusal: of one operation, of one request, or of the connection as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error<'a> {
    /// What is refused.
    pub subject: Subject,
    /// Why: the number of an [`ErrorCode`](crate::wire::ErrorCode), or one that only a newer peer knows.
    pub code: u16,
    /// The same in words, for people; cut at [`MAX_TEXT_BYTES`] when written.
    pub message: &'a str,
    /// Facts for programs: `item`, `offset`, `retry_after_ms`, `clock` and the like.
    pub detail: EncodedDict<'a>,
}

impl<'a> Error<'a> {
    pub(super) fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let scope = reader.choice("scope", Scope::from_byte)?;
        let at = reader.offset();
        let subject = match (scope, reader.u64()?) {
            (Scope::Connection, 0) => Subject::Connection,
            (Scope::Operation, number @ 1..) => Subject::Operation(number),
            (Scope::Request, id @ 1..) => Subject::Request(id),
            _ => return Err(Kind::Inconsistent { field: "id" }.at(at)),
        };
        Ok(Self {
            subject,
            code: reader.positive_u16("code")?,
            message: reader.string("message", MAX_TEXT_BYTES)?,
            detail: reader.optional_dict("detail")?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.subject.scope() as u8);
        out.extend_from_slice(&self.subject.id().to_be_bytes());
        out.extend_from_slice(&self.code.to_be_bytes());
        put_string(self.message, MAX_TEXT_BYTES, out);
        self.detail.append_or_null(out);
    }
}
