//! Faults of the payload of an Operation: refused alone, by the code of the first, and their numbers are used up.

use crate::conformance::case::cases;
use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{Fields, kind};
use crate::conformance::hello::Hello;
use crate::conformance::items::{DURABLE, Item, id, operation, plain};
use crate::conformance::peer::Peer;
use crate::conformance::target::Target;
use crate::wire::ErrorCode;

cases! { Target:
    "fault.operation.truncated" "An Operation that ends inside a field behind its number is refused alone" "P-3.4 P-3.5 C-5.10" Nothing truncated;
    "fault.operation.no-number" "An Operation without a whole number ends the connection" "P-3.5 P-3.4" Nothing no_number;
    "fault.operation.number-zero" "An Operation of number 0 ends the connection" "P-3.5 P-4.2" Nothing number_zero;
    "fault.operation.level" "A level that is none is invalid_field" "P-3.4 P-4.2" Nothing level;
    "fault.operation.counts" "No groups, or no operations in a group, is invalid_field" "P-3.4 P-4.2" Nothing counts;
    "fault.operation.kind" "Each of the 256 kinds that breaks a rule is invalid_field" "P-4.2.1 P-3.4" Nothing kinds;
    "fault.operation.collection" "A collection whose name breaks the rules is invalid_name" "P-1.8" Nothing collection;
    "fault.operation.collection-type" "A collection that is no canonical str is invalid_value" "P-1.2" Nothing collection_type;
    "fault.operation.drop-late" "A drop that is not the first of its group is invalid_field" "P-4.2.5" Nothing late_drop;
    "fault.operation.removed" "The fields that a patch removes are sorted, each once" "P-4.2 P-1.9 P-3.4" Nothing removed;
    "fault.operation.trailing" "Bytes behind an Operation that are no extension are trailing_bytes" "P-3.2 P-3.5" Nothing trailing;
    "fault.operation.extension" "An Operation's extension is ignored, but for keys that must be understood" "P-3.3" Nothing extension;
    "fault.operation.first" "Of several faults that of the first field is told, with its offset and item" "P-3.7" Nothing first;
    "fault.operation.repeated" "What was refused for its payload is refused alike when it is repeated" "P-3.5 E-4.5 P-7.5" Nothing repeated;
    "fault.record.checksum" "A record whose CRC is wrong is record_checksum_mismatch" "P-1.6" Nothing record_checksum;
    "fault.record.length" "A record that announces more than 1,048,576 bytes is record_too_large" "P-1.6 P-3.7" Nothing record_length;
    "fault.record.id" "A record without an id, or with one that is no uuid, is invalid_id" "E-1.2" Nothing record_id;
    "fault.record.canonical" "A record that is not canonical is invalid_record" "P-1.6 B-6.1" Nothing not_canonical;
    "fault.record.depth" "64 containers inside one another are taken, 65 are not" "B-5.3" Nothing depth;
}

/// A right Operation with one of everything, to be damaged.
fn rich(number: u64, collection: &str) -> Vec<u8> {
    let items = vec![
        Item::Upsert(plain(1)).based(0),
        Item::Patch(id(1), vec!["a", "b"], record_without_id()),
        Item::Check(id(2), 0),
        Item::Delete(id(1)),
    ];
    operation(number, DURABLE, &[(collection, items)])
}

fn record_without_id() -> Vec<u8> {
    Fields::new().bytes(b"BLAZE\x01\x00\x01\x09\x12\x01").done()
}

async fn truncated(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let length = rich(1, &collection).len();
    for length in 8..length {
        let whole = rich(peer.next_operation, &collection);
        let refused = peer.refused_bytes(whole.get(..length).unwrap_or_default(), ErrorCode::Truncated).await;
        refused.map_err(|failure| failure.within(format_args!("{length} of {} bytes", whole.len())))?;
    }
    let whole = rich(peer.next_operation, &collection);
    let number = peer.submit_bytes(&whole).await?;
    let refusal = peer.outcome(number).await?.refusal;
    ensure(refusal.is_none(), || format!("the whole of it is refused: {refusal:?}"))
}

async fn no_number(target: Target) -> Verdict {
    let whole = rich(1, &target.collection());
    for length in 0..8 {
        let mut peer = Peer::welcome(&target).await?;
        peer.send(kind::OPERATION, whole.get(..length).unwrap_or_default()).await?;
        let ended = peer.ends_by(ErrorCode::Truncated).await;
        ended.map_err(|failure| failure.within(format_args!("{length} bytes")))?;
    }
    Ok(())
}

async fn number_zero(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    peer.send(kind::OPERATION, &rich(0, &target.collection())).await?;
    peer.ends_by(ErrorCode::InvalidField).await
}

async fn level(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    for level in [3, 4, 127, 255] {
        let payload = operation(peer.next_operation, level, &[(&collection, vec![Item::Insert(plain(1))])]);
        let refused = peer.refused_bytes(&payload, ErrorCode::InvalidField).await;
        refused.map_err(|failure| failure.within(format_args!("level {level}")))?;
    }
    peer.done(&collection, vec![Item::Insert(plain(1))]).await.map(drop)
}

async fn counts(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let payload = operation(1, DURABLE, &[]);
    peer.refused_bytes(&payload, ErrorCode::InvalidField).await?;
    let payload = operation(2, DURABLE, &[(&collection, vec![])]);
    peer.refused_bytes(&payload, ErrorCode::InvalidField).await.map(drop)
}

/// Whether a kind is one by P-4.2 and P-4.2.1.
const fn is_kind(byte: u8) -> bool {
    let (has_base, skips) = (byte & 0x80 != 0, byte & 0x40 != 0);
    let flags_are_right = byte & 0x30 == 0;
    flags_are_right
        && match byte & 0x0F {
            2 => true,
            1 | 3 | 4 => !skips,
            5 => has_base && !skips,
            6 => !has_base && !skips,
            _ => false,
        }
}

async fn kinds(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    for byte in (0..=u8::MAX).filter(|byte| !is_kind(*byte)) {
        // Whatever follows, the kind is at fault.
        let item = Item::Raw(Fields::new().u8(byte).bytes(&[0; 40]).done());
        let refused = peer.refused(&collection, vec![item], ErrorCode::InvalidField).await;
        refused.map_err(|failure| failure.within(format_args!("kind {byte:#04x}")))?;
    }
    Ok(())
}

async fn collection(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    let long = "a".repeat(65);
    for name in ["", "1a", "a-b", "a b", "a.b", "é", &long] {
        let refused = peer.refused(name, vec![Item::Insert(plain(1))], ErrorCode::InvalidName).await;
        refused.map_err(|failure| failure.within(format_args!("{name:?}")))?;
    }
    Ok(())
}

async fn collection_type(target: Target) -> Verdict {
    let mut peer = Peer::welcome(&target).await?;
    for name in [&b"\x0B"[..], b"\x12\x05", b"\x01\x00\x00\x00\x01a", b"\x20", b"\x21\xFF"] {
        let head = Fields::new().u64(peer.next_operation).u8(DURABLE).u16(1).bytes(name).u16(1);
        let payload = head.bytes(&Item::Insert(plain(1)).bytes()).done();
        let refused = peer.refused_bytes(&payload, ErrorCode::InvalidValue).await;
        refused.map_err(|failure| failure.within(format_args!("{name:02x?}")))?;
    }
    Ok(())
}

async fn late_drop(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    for items in [vec![Item::Insert(plain(2)), Item::Drop], vec![Item::Drop, Item::Drop]] {
        peer.refused(&collection, items, ErrorCode::InvalidField).await?;
    }
    same("the records", &peer.records(&collection).await?, &vec![plain(1)])
}

async fn removed(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    peer.done(&collection, vec![Item::Insert(plain(1))]).await?;
    for names in [vec!["b", "a"], vec!["a", "a"], vec!["a", "c", "b"]] {
        let what = format!("{names:?}");
        let item = Item::Patch(id(1), names, record_without_id());
        let refused = peer.refused(&collection, vec![item], ErrorCode::InvalidField).await;
        refused.map_err(|failure| failure.within(what))?;
    }
    for value in [&b"\x0B"[..], b"\x21a", b"\x08\x00\x01\x12\x01", b"\x08\x00\x00"] {
        let bytes = Fields::new().u8(3).id(id(1)).bytes(value).record(&record_without_id()).done();
        let refused = peer.refused(&collection, vec![Item::Raw(bytes)], ErrorCode::InvalidValue).await;
        refused.map_err(|failure| failure.within(format_args!("{value:02x?}")))?;
    }
    Ok(())
}

fn with_behind(number: u64, collection: &str, behind: &[u8]) -> Vec<u8> {
    let payload = operation(number, DURABLE, &[(collection, vec![Item::Upsert(plain(1))])]);
    Fields::new().bytes(&payload).bytes(behind).done()
}

async fn trailing(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    for behind in [&b"\x00"[..], b"\x0B", b"\x21a", b"\x19"] {
        let payload = with_behind(peer.next_operation, &collection, behind);
        let refused = peer.refused_bytes(&payload, ErrorCode::TrailingBytes).await;
        refused.map_err(|failure| failure.within(format_args!("{behind:02x?}")))?;
    }
    Ok(())
}

async fn extension(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let payload = with_behind(1, &collection, &Fields::new().dict("later", 1).done());
    let number = peer.submit_bytes(&payload).await?;
    let refusal = peer.outcome(number).await?.refusal;
    ensure(refusal.is_none(), || format!("an unknown key is refused: {refusal:?}"))?;
    let payload = with_behind(2, &collection, &Fields::new().dict("!later", 1).done());
    peer.refused_bytes(&payload, ErrorCode::UnsupportedExtension).await.map(drop)
}

async fn first(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let items = vec![Item::Delete(id(1)), Item::Raw(vec![0x10]), Item::Raw(vec![0x20])];
    let payload = operation(1, DURABLE, &[(&collection, items)]);
    // Number, level, groups; the name with a long form's head; the operations; a deletion.
    let at = [8, 1, 2, 5, collection.len(), 2, 17].into_iter().fold(0, usize::saturating_add);
    let complaint = peer.refused_bytes(&payload, ErrorCode::InvalidField).await?;
    let (offset, item) = (complaint.number("offset"), complaint.number("item"));
    let expected = i64::try_from(at).unwrap_or_default();
    ensure(offset.is_none_or(|offset| offset == expected), || {
        format!("the offset is {offset:?}, must be {expected}")
    })?;
    ensure(item.is_none_or(|item| item == 1), || format!("the item is {item:?}, must be 1"))?;
    // The level is at fault before the count of groups.
    let payload = Fields::new().u64(2).u8(9).u16(0).done();
    let complaint = peer.refused_bytes(&payload, ErrorCode::InvalidField).await?;
    let offset = complaint.number("offset");
    ensure(offset.is_none_or(|offset| offset == 8), || format!("the offset is {offset:?}, must be 8"))
}

async fn repeated(target: Target) -> Verdict {
    let collection = target.collection();
    let payload = operation(1, DURABLE, &[(&collection, vec![Item::Raw(vec![0x3F])])]);
    let mut peer = Peer::welcome(&target).await?;
    let node = peer.greeting()?.node;
    peer.refused_bytes(&payload, ErrorCode::InvalidField).await?;
    peer.done(&collection, vec![Item::Insert(plain(2))]).await?;
    let mut peer = Peer::greet(&target, &Hello::new(target.url.database()).of(node, 1, 3)).await?;
    same("node_decided", &peer.greeting()?.node_decided, &2)?;
    peer.refused_bytes(&payload, ErrorCode::InvalidField).await.map(drop)
}

async fn record_checksum(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let bytes = plain(1);
    let wrong =
        Fields::new().u8(1).u32(u32::try_from(bytes.len()).unwrap_or(0)).u32(0xBAD).bytes(&bytes).done();
    peer.refused(&collection, vec![Item::Raw(wrong)], ErrorCode::RecordChecksumMismatch).await.map(drop)
}

async fn record_length(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    for length in [1_048_577, u32::MAX] {
        let wrong = Fields::new().u8(1).u32(length).u32(0).bytes(&plain(1)).done();
        peer.refused(&collection, vec![Item::Raw(wrong)], ErrorCode::RecordTooLarge).await?;
    }
    Ok(())
}

async fn record_id(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let textual =
        Fields::new().bytes(b"BLAZE\x01\x00\x01\x01").str("018f3c7a-5b2d-7c4e-9a1b-2c3d4e5f6071").done();
    for bytes in
        [record_without_id(), textual, b"BLAZE\x01\x00\x00".to_vec(), b"BLAZE\x01\x00\x01\x01\x0B".to_vec()]
    {
        peer.refused(&collection, vec![Item::Insert(bytes.clone())], ErrorCode::InvalidId).await?;
        peer.refused(&collection, vec![Item::Upsert(bytes)], ErrorCode::InvalidId).await?;
    }
    Ok(())
}

/// Records that break one rule of the encoding each, by hand.
fn wrong_records() -> Vec<(&'static str, Vec<u8>)> {
    let with = |count: u16, fields: &[u8]| {
        let head = Fields::new().bytes(b"BLAZE\x01").u16(count.saturating_add(1));
        head.u8(0x01).uuid(Some(id(1))).bytes(fields).done()
    };
    let own = |name: &[u8], value: &[u8]| {
        let length = u16::try_from(name.len()).unwrap_or(0);
        Fields::new().u8(0xFF).u16(length).bytes(name).bytes(value).done()
    };
    let layout_2 = Fields::new().bytes(b"BLAZE\x02\x00\x01\x01").uuid(Some(id(1))).u32(0xBAD).done();
    vec![
        ("no magic", with(0, &[]).iter().map(|byte| if *byte == b'Z' { b'z' } else { *byte }).collect()),
        ("layout 3", Fields::new().bytes(b"BLAZE\x03\x00\x01\x01").uuid(Some(id(1))).done()),
        ("a wrong checksum in layout 2", layout_2),
        ("a byte behind the last field", with(0, &[0])),
        ("a field too few", with(1, &[])),
        ("an unknown field", with(1, &[0x3B, 0x0B])),
        ("an unknown tag", with(1, &own(b"x", &[0x0C]))),
        ("a small int as a large one", with(1, &own(b"x", &[2, 0, 0, 0, 0, 0, 0, 0, 5]))),
        ("a short string as a long one", with(1, &own(b"x", b"\x01\x00\x00\x00\x01a"))),
        ("a bool of 2", with(1, &own(b"x", &[4, 2]))),
        ("an empty array with a count", with(1, &own(b"x", &[8, 0, 0]))),
        ("no UTF-8", with(1, &own(b"x", &[0x21, 0xC3]))),
        ("a common name written out", with(1, &own(b"title", &[0x0B]))),
        ("a key twice", with(2, &[own(b"x", &[0x0B]), own(b"x", &[0x0B])].concat())),
        ("keys out of order", with(2, &[own(b"y", &[0x0B]), own(b"x", &[0x0B])].concat())),
        (
            "keys that are one key by NFC",
            with(2, &[own("e\u{301}".as_bytes(), &[0x0B]), own("é".as_bytes(), &[0x0B])].concat()),
        ),
    ]
}

async fn not_canonical(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    for (what, bytes) in wrong_records() {
        let refused = peer.refused(&collection, vec![Item::Upsert(bytes)], ErrorCode::InvalidRecord).await;
        refused.map_err(|failure| failure.within(what))?;
    }
    let Err(Failure { .. }) = peer.records(&collection).await else {
        return Err(Failure::new("a collection was made by records that were refused (E-1.10)"));
    };
    Ok(())
}

async fn depth(target: Target) -> Verdict {
    let collection = target.collection();
    let mut peer = Peer::welcome(&target).await?;
    let nested = |depth: usize| {
        let head = Fields::new().bytes(b"BLAZE\x01\x00\x02\x01").uuid(Some(id(1))).bytes(b"\xFF\x00\x01x");
        let inner = (1..depth).fold(head, |fields, _| fields.bytes(&[8, 0, 1]));
        inner.u8(0x18).done()
    };
    peer.refused(&collection, vec![Item::Insert(nested(65))], ErrorCode::InvalidRecord).await?;
    peer.done(&collection, vec![Item::Insert(nested(64))]).await?;
    same("the records", &peer.records(&collection).await?, &vec![nested(64)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blazebinary::RecordView;

    /// P-4.2: seven kinds without a base, of them an upsert twice; five with one, an upsert twice again.
    #[test]
    fn kinds_are_those_of_the_table() {
        let kinds: Vec<u8> = (0..=u8::MAX).filter(|byte| is_kind(*byte)).collect();
        assert_eq!(kinds, [1, 2, 3, 4, 6, 0x42, 0x81, 0x82, 0x83, 0x84, 0x85, 0xC2]);
    }

    #[test]
    fn wrong_records_are_wrong_by_one_thing() {
        for (what, bytes) in wrong_records() {
            assert!(RecordView::canonical(&bytes).is_err(), "{what}");
        }
        assert!(RecordView::canonical(&plain(1)).is_ok());
    }
}
