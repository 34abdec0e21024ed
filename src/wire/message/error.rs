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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Message;
    use super::super::testing::{check, rejects, round_trip};
    use super::*;
    use crate::blazebinary::{DecodeErrorKind, Dict};
    use crate::wire::ErrorCode;

    #[test]
    fn an_error_is_read_and_written() {
        check(
            "00 0000000000000000 0006 23676170 0b",
            Message::Error(Error {
                subject: Subject::Connection,
                code: ErrorCode::SequenceGap.number(),
                message: "gap",
                detail: EncodedDict::NONE,
            }),
        );
        check(
            "01 0000000000000102 006c 11 09 0001 0004 6974656d 1203",
            Message::Error(Error {
                subject: Subject::Operation(258),
                code: 108,
                message: "",
                detail: EncodedDict::new(Dict::from_iter([("item", 3i64)])).unwrap(),
            }),
        );
        let later =
            Error { subject: Subject::Request(5), code: 9_999, message: "", detail: EncodedDict::NONE };
        check("02 0000000000000005 270f 11 0b", Message::Error(later));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        rejects(8, "03", 0, Kind::UnknownValue { field: "scope", value: 3 });
        for hex in ["00 0000000000000001", "01 0000000000000000", "02 0000000000000000"] {
            rejects(8, hex, 1, Kind::Inconsistent { field: "id" });
        }
        rejects(8, "00 0000000000000000 0000", 9, Kind::Zero { field: "code" });
        rejects(8, "00 0000000000000000 0006 0b 0b", 11, Kind::WrongType { field: "message" });
        rejects(8, "00 0000000000000000 0006 11 19", 12, Kind::Empty { field: "detail" });
        let kind = Kind::Value(DecodeErrorKind::NonCanonicalString);
        rejects(8, "00 0000000000000000 0006 01 00000001 78 0b", 11, kind);
    }

    #[test]
    fn text_over_its_limit_is_cut_by_the_writer_and_refused_by_the_reader() {
        let message = "é".repeat(MAX_TEXT_BYTES);
        let error =
            Error { subject: Subject::Connection, code: 1, message: &message, detail: EncodedDict::NONE };
        let mut bytes = Vec::new();
        Message::Error(error).encode(&mut bytes);
        let Ok(Message::Error(read)) = Message::decode(8, &bytes) else { panic!() };
        assert_eq!(read.message.len(), MAX_TEXT_BYTES);
        let long = format!("00 0000000000000000 0001 01 00000401 {} 0b", "61".repeat(MAX_TEXT_BYTES + 1));
        rejects(8, &long, 11, Kind::TooLong { field: "message", max: MAX_TEXT_BYTES });
    }

    proptest! {
        #[test]
        fn errors_come_back(
            (scope, id, code) in (0u8..3, 1u64.., 1u16..),
            message in ".{0,200}",
            detail in prop::collection::vec(("[a-z]{1,8}", any::<i64>()), 0..4),
        ) {
            let subject = match scope {
                0 => Subject::Connection,
                1 => Subject::Operation(id),
                _ => Subject::Request(id),
            };
            let detail = detail.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            let detail = EncodedDict::new(detail).unwrap();
            round_trip(&Message::Error(Error { subject, code, message: &message, detail }));
        }
    }
}
