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
