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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Message;
    use super::super::testing::{any as of, check, rejects, round_trip};
    use super::*;

    /// Id 5, credit of 4 frames and 65,536 bytes.
    const HEAD: &str = "0000000000000005 0000000000000004 0000000000010000";
    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    fn query(at_least: Option<Position>, kind: QueryKind<'_>) -> Message<'_> {
        Message::Query(Query { id: 5, credit: CreditLimit { frames: 4, bytes: 65_536 }, at_least, kind })
    }

    fn people() -> CollectionName<'static> {
        CollectionName::new("people").unwrap()
    }

    fn id() -> Uuid {
        Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f)
    }

    #[test]
    fn each_kind_is_read_and_written() {
        let ids = [*id().as_bytes(), [0xFF; 16]];
        let get = QueryKind::Get { collection: people(), ids: Ids::new(&ids).unwrap() };
        let position = Position { epoch: 1, partition: 0, seq: 9 };
        check(
            &format!(
                "{HEAD} 01 01 00000001000000000000000000000009 2670656f706c65 0002 {ID} {}",
                "ff".repeat(16)
            ),
            query(Some(position), get),
        );
        let scan = |reverse, limit, lower, upper| QueryKind::Scan {
            collection: people(),
            reverse,
            limit,
            lower,
            upper,
        };
        check(
            &format!("{HEAD} 02 00 2670656f706c65 00 0000000000000000 00 00"),
            query(None, scan(false, 0, Bound::Unbounded, Bound::Unbounded)),
        );
        check(
            &format!("{HEAD} 02 00 2670656f706c65 01 000000000000000a 01 {ID} 02 {ID}"),
            query(None, scan(true, 10, Bound::Included(id()), Bound::Excluded(id()))),
        );
        check(&format!("{HEAD} 03 00 0b"), query(None, QueryKind::Stats { collection: None }));
        let stats = QueryKind::Stats { collection: Some(people()) };
        check(&format!("{HEAD} 03 00 2670656f706c65"), query(None, stats));
    }

    #[test]
    fn what_is_not_defined_is_refused_for_the_request_alone() {
        let refuse = |tail: &str, offset, kind| {
            let error = rejects(3, &format!("{HEAD} {tail}"), offset, kind);
            assert_eq!(error.subject, Subject::Request(5), "{tail}");
        };
        for value in [4, 5] {
            refuse(&format!("0{value} ffff"), 24, Kind::ReservedValue { field: "query kind", value });
        }
        refuse("06 00", 24, Kind::UnknownValue { field: "query kind", value: 6 });
        refuse("01 02", 25, Kind::UnknownValue { field: "at_least", value: 2 });
        refuse("01 00 2670656f706c65 0000", 33, Kind::Zero { field: "count" });
        refuse(&format!("01 00 2670656f706c65 0002 {ID}"), 35, Kind::Truncated);
        refuse("02 00 2670656f706c65 02", 33, Kind::UnknownValue { field: "scan flags", value: 2 });
        let lower = Kind::UnknownValue { field: "lower", value: 3 };
        refuse("02 00 2670656f706c65 00 0000000000000000 03", 42, lower);
        refuse("03 00 04 01", 26, Kind::WrongType { field: "collection" });
        refuse("01 00 0b", 26, Kind::WrongType { field: "collection" });
        let error = rejects(3, "0000000000000000", 0, Kind::Zero { field: "id" });
        assert_eq!(error.subject, Subject::Connection);
    }

    #[test]
    fn ids_are_bounded() {
        assert!(Ids::new(&[]).is_none());
        assert!(Ids::new(&vec![[0; 16]; 65_535]).is_some());
        assert!(Ids::new(&vec![[0; 16]; 65_536]).is_none());
    }

    proptest! {
        #[test]
        fn queries_come_back(
            (id, credit, at_least) in (1u64.., of::credit(), prop::option::of(of::position())),
            collection in of::collection(),
            ids in prop::collection::vec(any::<[u8; 16]>(), 1..20),
            (reverse, limit, bounds) in any::<(bool, u64, (u8, u8))>(),
        ) {
            let collection = CollectionName::new(&collection).unwrap();
            let bound = |kind: u8, at: usize| {
                let id = Uuid::from_bytes(ids[at % ids.len()]);
                [Bound::Unbounded, Bound::Included(id), Bound::Excluded(id)][usize::from(kind % 3)]
            };
            for kind in [
                QueryKind::Get { collection, ids: Ids::new(&ids).unwrap() },
                QueryKind::Scan { collection, reverse, limit, lower: bound(bounds.0, 0), upper: bound(bounds.1, 1) },
                QueryKind::Stats { collection: reverse.then_some(collection) },
            ] {
                round_trip(&Message::Query(Query { id, credit, at_least, kind }));
            }
        }
    }
}
