//! Operations: byte vectors, refusals, costs, limits and round trips.

use proptest::prelude::*;

use super::super::testing::{EMPTY_RECORD, EMPTY_RECORD_BYTES, any as of, check, rejects, round_trip, unhex};
use super::super::{Message, OperationBody, OperationBuildError, OperationBuilder};
use super::*;
use crate::wire::limits::{MAX_PAYLOAD_BYTES, MAX_RECORD_BYTES};
use crate::wire::{FRAME_OVERHEAD_BYTES, Flags, encode_frame_with};

/// Number 258, durable.
const HEAD: &str = "0000000000000102 01";
const ID: &str = "000102030405060708090a0b0c0d0e0f";
/// The str `people`.
const PEOPLE: &str = "2670656f706c65";

fn id() -> Uuid {
    Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f)
}

fn record() -> FramedRecord<'static> {
    FramedRecord::new(EMPTY_RECORD_BYTES).unwrap()
}

fn collection(name: &str) -> CollectionName<'_> {
    CollectionName::new(name).unwrap()
}

fn body(operations: &[(&str, RecordOperation<'_>)]) -> OperationBody {
    let mut builder = OperationBuilder::new();
    for (name, operation) in operations {
        builder.push(collection(name), operation).unwrap();
    }
    assert_eq!(builder.len(), operations.len());
    builder.finish().unwrap()
}

fn operation(body: &OperationBody) -> Message<'_> {
    Message::Operation(Operation { number: 258, ack_level: AckLevel::Durable, groups: body.groups() })
}

/// Every kind of operation with its bytes.
fn kinds() -> Vec<(String, RecordOperation<'static>)> {
    let removed = EncodedStrings::new(&["age", "zip"]).unwrap();
    let upsert = |skip_unchanged| Action::Upsert { record: record(), skip_unchanged };
    [
        (format!("01 {EMPTY_RECORD}"), None, Action::Insert(record())),
        (format!("02 {EMPTY_RECORD}"), None, upsert(false)),
        (format!("42 {EMPTY_RECORD}"), None, upsert(true)),
        (format!("c2 0000000000000007 {EMPTY_RECORD}"), Some(7), upsert(true)),
        (
            format!("83 0000000000000007 {ID} 08 0002 23616765 237a6970 {EMPTY_RECORD}"),
            Some(7),
            Action::Patch { id: id(), removed, set: record() },
        ),
        (
            format!("03 {ID} 18 {EMPTY_RECORD}"),
            None,
            Action::Patch { id: id(), removed: EncodedStrings::EMPTY, set: record() },
        ),
        (format!("04 {ID}"), None, Action::Delete { id: id() }),
        (format!("85 0000000000000000 {ID}"), Some(0), Action::Check { id: id() }),
        ("06".to_owned(), None, Action::Drop),
    ]
    .map(|(hex, base, action)| (hex, RecordOperation { base, action }))
    .into()
}

#[test]
fn each_kind_is_read_and_written() {
    for (hex, kind) in kinds() {
        assert_eq!(kind.wire_bytes(), unhex(&hex).len(), "{hex}");
        let body = body(&[("people", kind)]);
        check(&format!("{HEAD} 0001 {PEOPLE} 0001 {hex}"), operation(&body));
    }
}

#[test]
fn neighbours_on_one_collection_share_a_group() {
    let kinds = kinds();
    let names = ["people", "people", "people", "a", "people", "people", "a", "a", "a"];
    let operations: Vec<(&str, RecordOperation<'_>)> =
        names.into_iter().zip(kinds.iter().map(|(_, kind)| kind.clone())).collect();
    let hex: Vec<&str> = kinds.iter().map(|(hex, _)| hex.as_str()).collect();
    let body = body(&operations);
    check(
        &format!(
            "{HEAD} 0005 {PEOPLE} 0003 {} {} {} 2161 0001 {} {PEOPLE} 0002 {} {} 2161 0002 {} {} 2161 0001 {}",
            hex[0], hex[1], hex[2], hex[3], hex[4], hex[5], hex[6], hex[7], hex[8]
        ),
        operation(&body),
    );
    let flat: Vec<_> = body.groups().operations().map(|(name, kind)| (name.as_str(), kind)).collect();
    assert_eq!(flat, operations);
    let grouped: Vec<_> = body
        .groups()
        .iter()
        .flat_map(|group| group.operations.iter().map(move |kind| (group.collection.as_str(), kind)))
        .collect();
    assert_eq!(grouped, operations);
    let counts: Vec<usize> = body.groups().iter().map(|group| group.operations.len()).collect();
    assert_eq!(counts, [3, 1, 2, 2, 1], "a drop begins a group");
}

#[test]
fn a_fault_behind_the_number_is_the_operations_alone() {
    let refuse = |tail: &str, offset, kind, item| {
        let error = rejects(2, &format!("{HEAD} {tail}"), offset, kind);
        assert_eq!((error.subject, error.item), (Subject::Operation(258), item), "{tail}");
    };
    refuse("0000", 9, Kind::Zero { field: "groups" }, None);
    refuse(&format!("0001 {PEOPLE} 0000"), 18, Kind::Zero { field: "operations" }, None);
    refuse("0001 2131 0001", 11, Kind::InvalidName(crate::wire::InvalidName::Collection), None);
    // Undefined kinds, reserved bits, skip_unchanged elsewhere than on upsert, a check without a base, a drop with.
    for value in [0x00, 0x07, 0x0F, 0x11, 0x22, 0x41, 0x43, 0x44, 0x45, 0x46, 0x05, 0x86] {
        let kind = Kind::UnknownValue { field: "operation kind", value };
        refuse(&format!("0001 {PEOPLE} 0001 {value:02x} {ID}"), 20, kind, Some(0));
    }
    // The kind comes before the base that it announces and that is cut off.
    for value in [0x80, 0x87] {
        let kind = Kind::UnknownValue { field: "operation kind", value };
        refuse(&format!("0001 {PEOPLE} 0001 {value:02x} 00"), 20, kind, Some(0));
    }
    let late = Kind::UnknownValue { field: "operation kind", value: 6 };
    refuse(&format!("0001 {PEOPLE} 0003 06 04 {ID} 06"), 38, late, Some(2));
    let damaged = EMPTY_RECORD.replacen("969e", "969f", 1);
    let mismatch = Kind::RecordChecksumMismatch { stored: 0x969f_c96f, computed: 0x969e_c96f };
    let second = format!("0002 {PEOPLE} 0001 04 {ID} 2161 0002 04 {ID} 01 {damaged}");
    refuse(&second, 20 + 17 + 4 + 17 + 1, mismatch, Some(2));
    let unsorted = format!("0001 {PEOPLE} 0001 03 {ID} 08 0002 237a6970 23616765 {EMPTY_RECORD}");
    refuse(&unsorted, 37, Kind::NotSorted { field: "removed" }, Some(0));
    refuse(&format!("0001 {PEOPLE} 0001 04 {ID} 00"), 37, Kind::TrailingBytes, None);

    let error = rejects(
        2,
        &format!("{HEAD} 0001").replacen(" 01", " 03", 1),
        8,
        Kind::UnknownValue { field: "ack_level", value: 3 },
    );
    assert_eq!(error.subject, Subject::Operation(258));
    let error = rejects(2, "0000000000000000", 0, Kind::Zero { field: "number" });
    assert_eq!(error.subject, Subject::Connection);
}

/// What the protocol costs over the bytes of the records: at most 56 for one, 10 each for a thousand.
#[test]
fn the_cost_of_an_insert_is_bounded() {
    let framed = |count: usize| {
        let insert = RecordOperation { base: None, action: Action::Insert(record()) };
        let body = body(&vec![("bookings", insert); count]);
        let mut out = Vec::new();
        encode_frame_with(2, Flags::REQUIRES_ACK, 0, &mut out, |out| operation(&body).encode(out)).unwrap();
        out.len() - count * EMPTY_RECORD_BYTES.len()
    };
    // Frame 19, number 8, level 1, groups 2, name 9, count 2; then kind 1 and record head 8 for each.
    assert_eq!(framed(1), FRAME_OVERHEAD_BYTES + 22 + 9);
    assert!(framed(1) <= 56);
    assert_eq!(framed(1_000), FRAME_OVERHEAD_BYTES + 22 + 9_000);
    assert!(framed(1_000) <= 10 * 1_000);
}

#[test]
fn reading_and_iterating_allocates_nothing() {
    let kinds: Vec<(&str, RecordOperation<'_>)> =
        kinds().into_iter().map(|(_, kind)| ("people", kind)).collect();
    let body = body(&kinds);
    let mut bytes = Vec::new();
    operation(&body).encode(&mut bytes);
    let used = allocation_counter::measure(|| {
        let Ok(Message::Operation(read)) = Message::decode(2, &bytes) else { panic!() };
        let flat = read.groups.operations().count();
        let grouped: usize = read.groups.iter().map(|group| group.operations.iter().count()).sum();
        assert_eq!((flat, grouped), (kinds.len(), kinds.len()));
    });
    assert_eq!(used.count_total, 0);
}

#[test]
fn a_builder_keeps_to_the_limits() {
    assert_eq!(OperationBuilder::new().finish(), Err(OperationBuildError::Empty));
    let mut builder = OperationBuilder::new();
    let check = RecordOperation { base: None, action: Action::Check { id: id() } };
    assert_eq!(builder.push(collection("a"), &check), Err(OperationBuildError::CheckWithoutBase));
    let drop = RecordOperation { base: Some(7), action: Action::Drop };
    assert_eq!(builder.push(collection("a"), &drop), Err(OperationBuildError::DropWithBase));
    let large = vec![0; MAX_RECORD_BYTES];
    assert!(FramedRecord::new(&vec![0; MAX_RECORD_BYTES + 1]).is_none());
    let insert =
        |record| RecordOperation { base: None, action: Action::Insert(FramedRecord::new(record).unwrap()) };
    assert_eq!(builder.push(collection("a"), &insert(&large)), Ok(()));
    let before = builder.payload_bytes();
    // Head 9, count 2, name 2, count 2, kind 1, record head 8, record.
    assert_eq!(before, 24 + MAX_RECORD_BYTES);
    assert_eq!(builder.push(collection("b"), &insert(&large)), Err(OperationBuildError::TooLarge));
    assert_eq!(builder.payload_bytes(), before, "nothing was added");
    let fits = &large[..MAX_PAYLOAD_BYTES - before - 9];
    assert_eq!(builder.push(collection("a"), &insert(fits)), Ok(()));
    assert_eq!(builder.payload_bytes(), MAX_PAYLOAD_BYTES);
    round_trip(&operation(&builder.finish().unwrap()));

    let mut builder = OperationBuilder::new();
    let delete = RecordOperation { base: None, action: Action::Delete { id: id() } };
    for _ in 0..=u16::MAX {
        builder.push(collection("a"), &delete).unwrap();
    }
    let body = builder.finish().unwrap();
    let counts: Vec<usize> = body.groups().iter().map(|group| group.operations.len()).collect();
    assert_eq!(counts, [65_535, 1], "a group counts in a u16");

    let mut builder = OperationBuilder::new();
    for at in 0..u16::MAX {
        builder.push(collection(if at % 2 == 0 { "a" } else { "b" }), &delete).unwrap();
    }
    assert_eq!(builder.push(collection("c"), &delete), Err(OperationBuildError::TooManyGroups));
    assert_eq!(builder.finish().unwrap().groups().iter().count(), 65_535);
}

fn any_operation() -> impl Strategy<Value = (String, u8, Option<u64>, Vec<u8>, Uuid, Vec<String>)> {
    (
        "[ab]|[A-Za-z_][A-Za-z0-9_]{0,20}",
        0u8..7,
        prop::option::of(any::<u64>()),
        of::record(),
        of::id(),
        prop::collection::vec(".{1,6}", 0..4),
    )
}

proptest! {
    #[test]
    fn operations_come_back(parts in prop::collection::vec(any_operation(), 1..12), number in 1u64.., level in 0u8..3) {
        let operations: Vec<(&str, RecordOperation<'_>)> = parts
            .iter()
            .map(|(name, kind, base, record, id, removed)| {
                let (record, id) = (FramedRecord::new(record).unwrap(), *id);
                let action = match kind {
                    0 => Action::Insert(record),
                    1 | 2 => Action::Upsert { record, skip_unchanged: *kind == 2 },
                    3 => Action::Patch { id, removed: EncodedStrings::new(removed).unwrap(), set: record },
                    4 => Action::Delete { id },
                    5 => Action::Check { id },
                    _ => Action::Drop,
                };
                let base = match kind {
                    5 => Some(base.unwrap_or(0)),
                    6 => None,
                    _ => *base,
                };
                (name.as_str(), RecordOperation { base, action })
            })
            .collect();
        let body = body(&operations);
        let read: Vec<_> = body.groups().operations().map(|(name, kind)| (name.as_str(), kind)).collect();
        prop_assert_eq!(read, operations);
        let ack_level = AckLevel::from_byte(level).unwrap();
        round_trip(&Message::Operation(Operation { number, ack_level, groups: body.groups() }));
    }
}
