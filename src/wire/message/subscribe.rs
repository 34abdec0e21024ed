//! `05` Subscribe: a wish to be told of changes.
//!
//! | field | |
//! |---|---|
//! | id | u64: request ids rise from 1 over queries and subscriptions |
//! | frames, bytes | u64, u64: the credit of the events |
//! | mode | u8: 1 all, 2 latest |
//! | start | u8: 0 now, 1 a snapshot, 2 a position, which follows in 16 bytes |
//! | collection | str |

use crate::wire::credit_limit::CreditLimit;
use crate::wire::message_error::MessageError;
use crate::wire::name::CollectionName;
use crate::wire::payload::{PayloadReader, put_name};
use crate::wire::position::Position;
use crate::wire::scope::Subject;

const NOW: u8 = 0;
const SNAPSHOT: u8 = 1;
const POSITION: u8 = 2;

/// A wish to be told of a collection's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The request id: at least 1.
    pub id: u64,
    /// How many events may be sent.
    pub credit: CreditLimit,
    /// Every change, or each record's newest.
    pub mode: Mode,
    /// From where on.
    pub start: Start,
    /// The collection.
    pub collection: CollectionName<'a>,
}

/// Which changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Each change, in order.
    All = 1,
    /// The newest image of each record that changed.
    Latest = 2,
}

impl Mode {
    /// The mode that `byte` names.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::All),
            2 => Some(Self::Latest),
            _ => None,
        }
    }
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the next change.
    Now,
    /// With all records as they are, then the changes.
    Snapshot,
    /// With the first change after a position.
    After(Position),
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let id = reader.positive_u64("id")?;
        Self::read_body(reader, id).map_err(|error| error.about(Subject::Request(id)))
    }

    fn read_body(reader: &mut PayloadReader<'a>, id: u64) -> Result<Self, MessageError> {
        let credit = CreditLimit::read(reader)?;
        let mode = reader.choice("mode", Mode::from_byte)?;
        let start = match reader.choice("start", |byte| (byte <= POSITION).then_some(byte))? {
            NOW => Start::Now,
            SNAPSHOT => Start::Snapshot,
            _ => Start::After(reader.position()?),
        };
        Ok(Self { id, credit, mode, start, collection: reader.collection()? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        self.credit.write(out);
        out.push(self.mode as u8);
        match self.start {
            Start::Now => out.push(NOW),
            Start::Snapshot => out.push(SNAPSHOT),
            Start::After(position) => {
                out.push(POSITION);
                out.extend_from_slice(&position.to_bytes());
            }
        }
        put_name(self.collection.as_str(), out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Message;
    use super::super::testing::{any as of, check, rejects, round_trip};
    use super::*;
    use crate::wire::MessageErrorKind as Kind;

    const HEAD: &str = "0000000000000006 0000000000000010 0000000000020000";

    #[test]
    fn each_start_is_read_and_written() {
        let position = Position { epoch: 1, partition: 0, seq: 9 };
        for (hex, mode, start) in [
            ("01 00", Mode::All, Start::Now),
            ("02 01", Mode::Latest, Start::Snapshot),
            ("01 02 00000001000000000000000000000009", Mode::All, Start::After(position)),
        ] {
            let subscribe = Subscribe {
                id: 6,
                credit: CreditLimit { frames: 16, bytes: 131_072 },
                mode,
                start,
                collection: CollectionName::new("people").unwrap(),
            };
            check(&format!("{HEAD} {hex} 2670656f706c65"), Message::Subscribe(subscribe));
        }
    }

    #[test]
    fn what_is_not_defined_is_refused_for_the_request_alone() {
        for (tail, offset, kind) in [
            ("00 00", 24, Kind::UnknownValue { field: "mode", value: 0 }),
            ("03 00", 24, Kind::UnknownValue { field: "mode", value: 3 }),
            ("01 03", 25, Kind::UnknownValue { field: "start", value: 3 }),
            ("01 00 2139", 26, Kind::InvalidName(crate::wire::InvalidName::Collection)),
        ] {
            let error = rejects(5, &format!("{HEAD} {tail}"), offset, kind);
            assert_eq!(error.subject, Subject::Request(6));
        }
        rejects(5, "0000000000000000", 0, Kind::Zero { field: "id" });
    }

    proptest! {
        #[test]
        fn subscriptions_come_back(
            (id, credit, position) in (1u64.., of::credit(), of::position()),
            (all, start) in (any::<bool>(), 0usize..3),
            collection in of::collection(),
        ) {
            let mode = if all { Mode::All } else { Mode::Latest };
            let start = [Start::Now, Start::Snapshot, Start::After(position)][start];
            let collection = CollectionName::new(&collection).unwrap();
            round_trip(&Message::Subscribe(Subscribe { id, credit, mode, start, collection }));
        }
    }
}
