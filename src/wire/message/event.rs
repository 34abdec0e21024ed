//! `10` Event: what a subscription is told.
//!
//! | field | |
//! |---|---|
//! | id | u64: of the Subscribe |
//! | kind | u8: 1 changes, 2 caught_up, 3 reset, 4 waiting, 5 heartbeat, 6 ended |
//! | position | 16 bytes: everything up to here has been told |
//! | changes | count u16 (at least 1), then each: |
//! | … kind | u8: 1 put, 2 delete, 3 dropped; bit 7 set on the last change of its transaction |
//! | … seq | u64 |
//! | … put | record |
//! | … delete | id 16 bytes |
//! | … dropped | nothing: all records of the collection are gone |
//! | reset | code u16, oldest position held 16 bytes |

use uuid::Uuid;

use super::query_response::FrameFull;
use crate::wire::limits::BULK_PAYLOAD_BYTES;
use crate::wire::message_error::{MessageError, MessageErrorKind as Kind};
use crate::wire::payload::{Checksums, PayloadReader, UUID_BYTES};
use crate::wire::position::Position;
use crate::wire::record::FramedRecord;

const CHANGES: u8 = 1;
const CAUGHT_UP: u8 = 2;
const RESET: u8 = 3;
const WAITING: u8 = 4;
const HEARTBEAT: u8 = 5;
const ENDED: u8 = 6;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DROPPED: u8 = 3;
const LAST_BIT: u8 = 1 << 7;

/// Bytes of the payload before its changes.
const HEAD_BYTES: usize = 27;
/// Bytes of a change before its record or id.
const CHANGE_HEAD_BYTES: usize = 9;

/// What a subscription is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The request id.
    pub id: u64,
    /// Everything up to here has been told: where to go on from after a disconnect.
    pub position: Position,
    /// What is told.
    pub kind: EventKind<'a>,
}

/// The kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind<'a> {
    /// Changes, in order: at least one.
    Changes(Changes<'a>),
    /// The subscriber holds a consistent state as of the position.
    CaughtUp,
    /// The subscription cannot go on from where it asked and is over.
    Reset {
        /// Why: the number of an [`ErrorCode`](crate::wire::ErrorCode).
        code: u16,
        /// The oldest position from which changes are held.
        oldest: Position,
    },
    /// The collection does not exist yet.
    Waiting,
    /// Nothing happened up to the position.
    Heartbeat,
    /// The subscription is over, as asked.
    Ended,
}

/// Changes. Validated, so that iterating cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes<'a> {
    count: u16,
    bytes: &'a [u8],
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// Its place in the partition's order.
    pub seq: u64,
    /// Whether its transaction ends with it.
    pub last: bool,
    /// What changed.
    pub kind: ChangeKind<'a>,
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind<'a> {
    /// The record is now this.
    Put(FramedRecord<'a>),
    /// The record is gone.
    Delete(Uuid),
    /// The collection was dropped: all its records are gone.
    Dropped,
}

impl<'a> Event<'a> {
    pub(super) fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let id = reader.positive_u64("id")?;
        let kind = reader.choice("kind", |byte| (CHANGES..=ENDED).contains(&byte).then_some(byte))?;
        let position = reader.position()?;
        let kind = match kind {
            CHANGES => EventKind::Changes(Changes::read(reader)?),
            CAUGHT_UP => EventKind::CaughtUp,
            RESET => EventKind::Reset { code: reader.positive_u16("code")?, oldest: reader.position()? },
            WAITING => EventKind::Waiting,
            HEARTBEAT => EventKind::Heartbeat,
            _ => EventKind::Ended,
        };
        Ok(Self { id, position, kind })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_be_bytes());
        out.push(match self.kind {
            EventKind::Changes(_) => CHANGES,
            EventKind::CaughtUp => CAUGHT_UP,
            EventKind::Reset { .. } => RESET,
            EventKind::Waiting => WAITING,
            EventKind::Heartbeat => HEARTBEAT,
            EventKind::Ended => ENDED,
        });
        out.extend_from_slice(&self.position.to_bytes());
        match self.kind {
            EventKind::Changes(changes) => {
                out.extend_from_slice(&changes.count.to_be_bytes());
                out.extend_from_slice(changes.bytes);
            }
            EventKind::Reset { code, oldest } => {
                out.extend_from_slice(&code.to_be_bytes());
                out.extend_from_slice(&oldest.to_bytes());
            }
            EventKind::CaughtUp | EventKind::Waiting | EventKind::Heartbeat | EventKind::Ended => {}
        }
    }
}

impl<'a> Changes<'a> {
    fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let count = reader.positive_u16("count")?;
        let start = *reader;
        for _ in 0..count {
            Change::read(reader, Checksums::Verify)?;
        }
        Ok(Self { count, bytes: reader.since(start) })
    }

    /// How many changes there are: at least one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// The changes in order.
    pub fn iter(&self) -> impl Iterator<Item = Change<'a>> + use<'a> {
        let mut reader = PayloadReader::new(self.bytes);
        (0..self.count).map_while(move |_| Change::read(&mut reader, Checksums::Trust).ok())
    }
}

impl<'a> Change<'a> {
    fn read(reader: &mut PayloadReader<'a>, checksums: Checksums) -> Result<Self, MessageError> {
        let at = reader.offset();
        let value = reader.u8()?;
        let (last, kind) = (value & LAST_BIT != 0, value & !LAST_BIT);
        if !matches!(kind, PUT | DELETE | DROPPED) {
            return Err(Kind::UnknownValue { field: "change kind", value }.at(at));
        }
        let seq = reader.u64()?;
        let kind = match kind {
            PUT => ChangeKind::Put(reader.record(checksums)?),
            DELETE => ChangeKind::Delete(reader.id()?),
            _ => ChangeKind::Dropped,
        };
        Ok(Self { seq, last, kind })
    }

    fn wire_bytes(&self) -> usize {
        let body = match self.kind {
            ChangeKind::Put(record) => record.wire_bytes(),
            ChangeKind::Delete(_) => UUID_BYTES,
            ChangeKind::Dropped => 0,
        };
        body.saturating_add(CHANGE_HEAD_BYTES)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let kind = match self.kind {
            ChangeKind::Put(_) => PUT,
            ChangeKind::Delete(_) => DELETE,
            ChangeKind::Dropped => DROPPED,
        };
        out.push(if self.last { kind | LAST_BIT } else { kind });
        out.extend_from_slice(&self.seq.to_be_bytes());
        match self.kind {
            ChangeKind::Put(record) => record.append_to(out),
            ChangeKind::Delete(id) => out.extend_from_slice(id.as_bytes()),
            ChangeKind::Dropped => {}
        }
    }
}

/// Collects the changes of one frame: as many as fit [`BULK_PAYLOAD_BYTES`], or a single larger one.
#[derive(Debug, Clone, Default)]
pub struct ChangesBuilder {
    count: u16,
    bytes: Vec<u8>,
}

impl ChangesBuilder {
    /// A frame without changes.
    pub const fn new() -> Self {
        Self { count: 0, bytes: Vec::new() }
    }

    /// Adds a change.
    ///
    /// # Errors
    /// [`FrameFull`], never of an empty builder: the change belongs to the next frame; nothing was added.
    pub fn push(&mut self, change: Change<'_>) -> Result<(), FrameFull> {
        let length = self.bytes.len().saturating_add(HEAD_BYTES).saturating_add(change.wire_bytes());
        if self.count > 0 && length > BULK_PAYLOAD_BYTES {
            return Err(FrameFull);
        }
        self.count = self.count.checked_add(1).ok_or(FrameFull)?;
        change.write(&mut self.bytes);
        Ok(())
    }

    /// The changes so far; `None` while there are none.
    pub fn changes(&self) -> Option<Changes<'_>> {
        (self.count > 0).then_some(Changes { count: self.count, bytes: &self.bytes })
    }

    /// Forgets the changes; the memory is kept for the next frame.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Message;
    use super::super::testing::{EMPTY_RECORD, EMPTY_RECORD_BYTES, any as of, check, rejects, round_trip};
    use super::*;

    const POSITION: Position = Position { epoch: 1, partition: 0, seq: 9 };

    /// An event of request 6 at position 1.0.9.
    fn head(kind: u8) -> String {
        format!("0000000000000006 {kind:02x} 00000001000000000000000000000009")
    }

    fn event(kind: EventKind<'_>) -> Message<'_> {
        Message::Event(Event { id: 6, position: POSITION, kind })
    }

    #[test]
    fn each_kind_is_read_and_written() {
        let id = Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);
        let mut builder = ChangesBuilder::new();
        assert_eq!(builder.changes(), None);
        let put = ChangeKind::Put(FramedRecord::new(EMPTY_RECORD_BYTES).unwrap());
        builder.push(Change { seq: 8, last: false, kind: put }).unwrap();
        builder.push(Change { seq: 9, last: true, kind: ChangeKind::Delete(id) }).unwrap();
        builder.push(Change { seq: 10, last: true, kind: ChangeKind::Dropped }).unwrap();
        check(
            &format!(
                "{} 0003 01 0000000000000008 {EMPTY_RECORD} 82 0000000000000009 000102030405060708090a0b0c0d0e0f \
                 83 000000000000000a",
                head(1)
            ),
            event(EventKind::Changes(builder.changes().unwrap())),
        );
        check(&head(2), event(EventKind::CaughtUp));
        let oldest = Position { epoch: 1, partition: 0, seq: 4 };
        let reset = EventKind::Reset { code: 300, oldest };
        check(&format!("{} 012c 00000001000000000000000000000004", head(3)), event(reset));
        check(&head(4), event(EventKind::Waiting));
        check(&head(5), event(EventKind::Heartbeat));
        check(&head(6), event(EventKind::Ended));
    }

    #[test]
    fn what_is_not_defined_is_refused() {
        rejects(0x10, &head(0), 8, Kind::UnknownValue { field: "kind", value: 0 });
        rejects(0x10, &head(7), 8, Kind::UnknownValue { field: "kind", value: 7 });
        rejects(0x10, &format!("{} 0000", head(1)), 25, Kind::Zero { field: "count" });
        for value in [0u8, 4, 0x41, 0x80] {
            let kind = Kind::UnknownValue { field: "change kind", value };
            rejects(0x10, &format!("{} 0001 {value:02x}", head(1)), 27, kind);
        }
        rejects(0x10, &format!("{} 0000", head(3)), 25, Kind::Zero { field: "code" });
        let damaged = EMPTY_RECORD.replacen("969e", "969f", 1);
        let kind = Kind::RecordChecksumMismatch { stored: 0x969f_c96f, computed: 0x969e_c96f };
        rejects(0x10, &format!("{} 0001 01 0000000000000008 {damaged}", head(1)), 36, kind);
    }

    #[test]
    fn a_frame_is_closed_at_32_kib_and_a_larger_change_travels_alone() {
        let delete = Change { seq: 1, last: true, kind: ChangeKind::Delete(Uuid::nil()) };
        let mut builder = ChangesBuilder::new();
        while builder.push(delete).is_ok() {}
        // A deletion takes 1 + 8 + 16 bytes; (32,768 - 27) / 25 = 1,309 of them fit.
        assert_eq!(builder.changes().unwrap().len(), 1_309);
        let large = vec![0; 40_000];
        let large = Change { kind: ChangeKind::Put(FramedRecord::new(&large).unwrap()), ..delete };
        assert_eq!(builder.push(large), Err(FrameFull));
        builder.clear();
        assert_eq!(builder.push(large), Ok(()));
        assert_eq!(builder.push(delete), Err(FrameFull));
    }

    proptest! {
        #[test]
        fn events_come_back(
            (id, position, oldest, code) in (1u64.., of::position(), of::position(), 1u16..),
            changes in prop::collection::vec((any::<(u64, bool, u8)>(), of::record(), of::id()), 1..20),
        ) {
            let mut builder = ChangesBuilder::new();
            for ((seq, last, kind), record, id) in &changes {
                let put = ChangeKind::Put(FramedRecord::new(record).unwrap());
                let kind = [put, ChangeKind::Delete(*id), ChangeKind::Dropped][usize::from(kind % 3)];
                builder.push(Change { seq: *seq, last: *last, kind }).unwrap();
            }
            let built = builder.changes().unwrap();
            prop_assert_eq!(built.iter().count(), changes.len());
            for kind in [
                EventKind::Changes(built),
                EventKind::CaughtUp,
                EventKind::Reset { code, oldest },
                EventKind::Waiting,
                EventKind::Heartbeat,
                EventKind::Ended,
            ] {
                round_trip(&Message::Event(Event { id, position, kind }));
            }
        }
    }
}
