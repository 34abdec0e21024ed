//! What remains of a record after some of its fields were patched: encoded once, here.

use super::limits::{MAX_FIELD_CLOCK_BYTES, MAX_FIELD_CLOCKS};
use super::record::{Envelope, StoredRecord};
use crate::blazebinary::limits::MAX_RECORD_BYTES;
use crate::blazebinary::{Record, RecordView, encode_record};
use crate::wire::ErrorCode;

/// A patched record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Patched {
    pub(super) bytes: Vec<u8>,
    pub(super) envelope: Envelope,
    /// The names of the fields removed or set; none if the envelope would have become too large, which makes it a
    /// put of the whole record.
    pub(super) changed: Option<Vec<Box<str>>>,
}

/// Who patches, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) clock: u64,
    pub(super) node: u32,
}

/// Removes fields, then sets fields. A field that is not there is removed all the same: it keeps a stamp, so that
/// an older value that arrives later does not come back.
pub(super) fn patch(
    old: &StoredRecord,
    removed: &[Box<str>],
    set: &Record,
    stamp: Stamp,
) -> Result<Patched, ErrorCode> {
    let content = old.content.as_ref().ok_or(ErrorCode::NotFound)?;
    let view = RecordView::canonical(&content.bytes).map_err(|_| ErrorCode::Corrupted)?;
    let mut record = view.to_record();
    let mut envelope = old.envelope.clone();
    let mut changed: Vec<Box<str>> = Vec::with_capacity(removed.len().saturating_add(set.len()));
    for name in removed {
        record.remove(name);
        if set.get(name).is_none() {
            changed.push(name.clone());
        }
    }
    for (key, value) in set.iter() {
        record.insert(key.clone(), value.clone());
        changed.push(key.as_str().into());
    }
    let mut bytes = Vec::new();
    encode_record(&record, view.layout(), &mut bytes).map_err(|_| ErrorCode::RecordTooLarge)?;
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(ErrorCode::RecordTooLarge);
    }
    let is_small = changed.len() <= MAX_FIELD_CLOCKS;
    for name in changed.iter().filter(|_| is_small) {
        envelope.stamp(name, stamp.clock, stamp.node);
    }
    let names_all = is_small
        && envelope.fields.len() <= MAX_FIELD_CLOCKS
        && envelope.name_bytes() <= MAX_FIELD_CLOCK_BYTES;
    if names_all {
        return Ok(Patched { bytes, envelope, changed: Some(changed) });
    }
    let envelope = Envelope { clock: stamp.clock, node: stamp.node, fields: Vec::new() };
    Ok(Patched { bytes, envelope, changed: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blazebinary::{Layout, Value};
    use crate::engine::record::Content;

    fn stored(record: &Record) -> StoredRecord {
        let mut bytes = Vec::new();
        encode_record(record, Layout::V2, &mut bytes).unwrap();
        let envelope = Envelope { clock: 1, node: 1, fields: Vec::new() };
        let content = Content { crc: crc32fast::hash(&bytes), bytes: bytes.into() };
        StoredRecord { sequence: 1, envelope, content: Some(content) }
    }

    fn encoded(record: &Record) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_record(record, Layout::V2, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn fields_are_removed_then_set_and_each_keeps_its_stamp() {
        let old = stored(&Record::from_iter([("a", 1i64), ("b", 2), ("c", 3)]));
        let set = Record::from_iter([("b", 5i64), ("d", 4)]);
        let stamp = Stamp { clock: 7, node: 2 };
        let patched = patch(&old, &["a".into(), "b".into(), "gone".into()], &set, stamp).unwrap();
        assert_eq!(patched.bytes, encoded(&Record::from_iter([("b", 5i64), ("c", 3), ("d", 4)])));
        assert_eq!((patched.envelope.clock, patched.envelope.node), (1, 1), "those of the last whole put");
        let names: Vec<&str> = patched.envelope.fields.iter().map(|field| &*field.name).collect();
        assert_eq!(names, ["a", "gone", "b", "d"]);
        assert!(patched.envelope.fields.iter().all(|field| (field.clock, field.node) == (7, 2)));
        assert_eq!(patched.changed.unwrap().len(), 4);
    }

    #[test]
    fn a_patch_that_names_too_many_fields_is_a_whole_put() {
        let old = stored(&Record::new());
        let stamp = Stamp { clock: 7, node: 2 };
        let whole = Envelope { clock: 7, node: 2, fields: Vec::new() };
        let names = |count: usize, bytes: usize| -> Vec<Box<str>> {
            (0..count).map(|at| format!("{at:0bytes$}").into()).collect()
        };
        for (removed, is_patch) in [
            (names(MAX_FIELD_CLOCKS, 4), true),
            (names(MAX_FIELD_CLOCKS + 1, 4), false),
            (names(32, 1024), true),
            (names(33, 1024), false),
        ] {
            let patched = patch(&old, &removed, &Record::new(), stamp).unwrap();
            assert_eq!(patched.changed.is_some(), is_patch, "{} names", removed.len());
            assert_eq!(patched.envelope == whole, !is_patch);
        }
    }

    #[test]
    fn a_result_over_the_limit_is_refused() {
        let half = Value::Data(vec![7; MAX_RECORD_BYTES / 2]);
        let old = stored(&Record::from_iter([("a", half.clone())]));
        let refused =
            patch(&old, &[], &Record::from_iter([("b", half.clone())]), Stamp { clock: 1, node: 1 });
        assert_eq!(refused, Err(ErrorCode::RecordTooLarge));
        assert!(
            patch(&old, &["a".into()], &Record::from_iter([("b", half)]), Stamp { clock: 1, node: 1 })
                .is_ok()
        );
    }
}
