//! `03` Query: a question with one answer.
//!
//! | field | |
//! |---|---|
//! | id | u64: request ids rise from 1 over queries and subscriptions |
//! | frames, bytes | u64, u64: the credit of the answer |
//! | kind | u8: 1 get, 2 scan, 3 stats; 4 structured and 5 SQL are reserved |
//! | at_least | u8: 0, or 1 and a position that the answer must have reached |
//! | get | collection str, count u16 (at least 1), ids of 16 bytes |
//! | scan | collection str, flags u8 (bit 0 reverse), limit u64 (0 none), lower, upper |
//! | … bound | u8: 0 none, 1 inclusive, 2 exclusive; an id of 16 bytes unless 0 |
//! | stats | collection str or null |

use std::ops::Bound;

use uuid::Uuid;

use crate::wire::credit_limit::CreditLimit;
use crate::wire::message_error::{MessageError, MessageErrorKind as Kind};
use crate::wire::name::CollectionName;
use crate::wire::payload::{PayloadReader, UUID_BYTES, put_name, put_optional_name};
use crate::wire::position::Position;
use crate::wire::scope::Subject;

const GET: u8 = 1;
const SCAN: u8 = 2;
const STATS: u8 = 3;
const STRUCTURED: u8 = 4;
const SQL: u8 = 5;
const REVERSE_BIT: u8 = 1;

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The request id: at least 1.
    pub id: u64,
    /// How much of the answer may be sent.
    pub credit: CreditLimit,
    /// The answer is given at this position or a later one.
    pub at_least: Option<Position>,
    /// What is asked.
    pub kind: QueryKind<'a>,
}

/// What a Query asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryKind<'a> {
    /// Records by id; those that do not exist are left out.
    Get {
        /// Their collection.
        collection: CollectionName<'a>,
        /// Their ids: at least one.
        ids: Ids<'a>,
    },
    /// The records of a range of ids, in order.
    Scan {
        /// Their collection.
        collection: CollectionName<'a>,
        /// From the greatest id to the least.
        reverse: bool,
        /// How many at most; 0 for all.
        limit: u64,
        /// Where the range begins.
        lower: Bound<Uuid>,
        /// Where it ends.
        upper: Bound<Uuid>,
    },
    /// Counts, of one collection or of all; the answer's rows are made up for the purpose.
    Stats {
        /// The collection, or all.
        collection: Option<CollectionName<'a>>,
    },
}

/// Ids in fixed binary, 16 bytes each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ids<'a>(&'a [[u8; UUID_BYTES]]);

impl<'a> Ids<'a> {
    /// Ids to ask for. `None` if there are none, or more than a u16 counts.
    pub fn new(ids: &'a [[u8; UUID_BYTES]]) -> Option<Self> {
        (1..=usize::from(u16::MAX)).contains(&ids.len()).then_some(Self(ids))
    }

    /// The ids as they were asked for.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Uuid> + use<'a> {
        self.0.iter().map(|bytes| Uuid::from_bytes(*bytes))
    }

    fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let count = reader.positive_u16("count")?;
        Ok(Self(reader.items(count, UUID_BYTES)?.as_chunks().0))
    }

    fn write(&self, out: &mut Vec<u8>) {
        #[expect(clippy::cast_possible_truncation, reason = "constructors bound the count")]
        let count = self.0.len() as u16;
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(self.0.as_flattened());
    }
}

impl std::fmt::Debug for Ids<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Query<'a> {
    pub(super) fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let id = reader.positive_u64("id")?;
        Self::read_body(reader, id).map_err(|error| error.about(Subject::Request(id)))
    }

    fn read_body(reader: &mut PayloadReader<'a>, id: u64) -> Result<Self, MessageError> {
        let credit = CreditLimit::read(reader)?;
        let at = reader.offset();
        let kind = reader.u8()?;
        if matches!(kind, STRUCTURED | SQL) {
            return Err(Kind::ReservedValue { field: "query kind", value: kind }.at(at));
        }
        let at_least = match reader.choice("at_least", flag)? {
            true => Some(reader.position()?),
            false => None,
        };
        let kind = match kind {
            GET => QueryKind::Get { collection: reader.collection()?, ids: Ids::read(reader)? },
            SCAN => QueryKind::Scan {
                collection: reader.collection()?,
                reverse: reader.choice("scan flags", flag)?,
                limit: reader.u64()?,
                lower: read_bound(reader, "lower")?,
                upper: read_bound(reader, "upper")?,
            },
            STATS => QueryKind::Stats { collection: reader.optional_collection()? },
            value => return Err(Kind::UnknownValue { field: "query kind", value }.at(at)),
        };
        Ok(Self { id, credit, at_least, kind })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        self.credit.write(out);
        out.push(match self.kind {
            QueryKind::Get { .. } => GET,
            QueryKind::Scan { .. } => SCAN,
            QueryKind::Stats { .. } => STATS,
        });
        out.push(u8::from(self.at_least.is_some()));
        if let Some(position) = self.at_least {
            out.extend_from_slice(&position.to_bytes());
        }
        match &self.kind {
            QueryKind::Get { collection, ids } => {
                put_name(collection.as_str(), out);
                ids.write(out);
            }
            QueryKind::Scan { collection, reverse, limit, lower, upper } => {
                put_name(collection.as_str(), out);
                out.push(if *reverse { REVERSE_BIT } else { 0 });
                out.extend_from_slice(&limit.to_be_bytes());
                write_bound(lower, out);
                write_bound(upper, out);
            }
            QueryKind::Stats { collection } => put_optional_name(*collection, out),
        }
    }
}

/// A byte of which only the lowest bit may be set.
fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn read_bound(reader: &mut PayloadReader<'_>, field: &'static str) -> Result<Bound<Uuid>, MessageError> {
    let open: fn(Uuid) -> Bound<Uuid> = match reader.choice(field, |byte| (byte <= 2).then_some(byte))? {
        0 => return Ok(Bound::Unbounded),
        1 => Bound::Included,
        _ => Bound::Excluded,
    };
    reader.id().map(open)
}

fn write_bound(bound: &Bound<Uuid>, out: &mut Vec<u8>) {
    let (kind, id) = match bound {
        Bound::Unbounded => (0, None),
        Bound::Included(id) => (1, Some(id)),
        Bound::Excluded(id) => (2, Some(id)),
    };
    out.push(kind);
    if let Some(id) = id {
        out.extend_from_slice(id.as_bytes());
    }
}
