//! Records on their way out: ids, encoding, bodies of one operation.

use uuid::Uuid;

use super::error::InputError;
use super::outcome::Receipt;
use crate::blazebinary::{EncodeError, Layout, Record, Value, encode_record};
use crate::wire::message::{Action, OperationBody, OperationBuilder, RecordOperation};
use crate::wire::{CollectionName, EncodedStrings, FramedRecord};

/// The field that names a record.
const ID: &str = "id";

/// A record that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Its id: its own, or the one that was made for it.
    pub id: Uuid,
    /// What became of it.
    pub receipt: Receipt,
}

/// The id of a record, if it has one.
///
/// # Errors
/// [`InputError::Id`] if its `id` is not a UUID.
pub fn id_of(record: &Record) -> Result<Option<Uuid>, InputError> {
    match record.get(ID) {
        None => Ok(None),
        Some(Value::Uuid(id)) => Ok(Some(*id)),
        Some(_) => Err(InputError::Id),
    }
}

/// Gives a record without an `id` a new UUID of version 7, which sorts by the time at which it was made. Answers the
/// record's id.
///
/// # Errors
/// [`InputError::Id`] if its `id` is not a UUID.
pub fn with_id(record: &mut Record) -> Result<Uuid, InputError> {
    if let Some(id) = id_of(record)? {
        return Ok(id);
    }
    let id = Uuid::now_v7();
    record.insert(ID, id);
    Ok(id)
}

/// How a whole record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Insert,
    Upsert { skip_unchanged: bool },
}

/// The body that writes one record.
pub(super) fn write(collection: &str, record: &Record, how: Write) -> Result<OperationBody, InputError> {
    let bytes = encode(record)?;
    let record = framed(&bytes)?;
    one(
        collection,
        match how {
            Write::Insert => Action::Insert(record),
            Write::Upsert { skip_unchanged } => Action::Upsert { record, skip_unchanged },
        },
    )
}

/// The body that patches one record.
pub(super) fn patch(
    collection: &str,
    id: Uuid,
    set: &Record,
    removed: &[String],
) -> Result<OperationBody, InputError> {
    if set.get(ID).is_some() || removed.iter().any(|field| field == ID) {
        return Err(InputError::PatchedId);
    }
    if set.is_empty() && removed.is_empty() {
        return Err(InputError::EmptyPatch);
    }
    if let Some(field) = removed.iter().find(|field| set.get(field).is_some()) {
        return Err(InputError::SetAndRemoved(field.clone()));
    }
    let bytes = encode(set)?;
    let removed = EncodedStrings::new(removed)?;
    one(collection, Action::Patch { id, removed, set: framed(&bytes)? })
}

/// The body that deletes one record.
pub(super) fn delete(collection: &str, id: Uuid) -> Result<OperationBody, InputError> {
    one(collection, Action::Delete { id })
}

/// The body that drops a collection.
pub(super) fn drop_collection(collection: &str) -> Result<OperationBody, InputError> {
    one(collection, Action::Drop)
}

fn encode(record: &Record) -> Result<Vec<u8>, InputError> {
    let mut bytes = Vec::new();
    encode_record(record, Layout::V1, &mut bytes)?;
    Ok(bytes)
}

fn framed(bytes: &[u8]) -> Result<FramedRecord<'_>, InputError> {
    FramedRecord::new(bytes).ok_or_else(|| EncodeError::RecordTooLarge(bytes.len()).into())
}

fn one(collection: &str, action: Action<'_>) -> Result<OperationBody, InputError> {
    let mut builder = OperationBuilder::new();
    builder.push(CollectionName::new(collection)?, &RecordOperation { base: None, action })?;
    Ok(builder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_id_gets_one_of_version_7() {
        let mut record = Record::from_iter([("title", "Hi")]);
        let id = with_id(&mut record).unwrap();
        assert_eq!((id.get_version_num(), id_of(&record)), (7, Ok(Some(id))));
        assert_eq!(with_id(&mut record), Ok(id), "an id stays");
        record.insert("id", 5i64);
        assert_eq!(with_id(&mut record), Err(InputError::Id));
    }

    #[test]
    fn patches_that_make_no_sense_are_not_sent() {
        let check = |set: &[&str], removed: &[&str], expected: Option<InputError>| {
            let set = set.iter().map(|field| (*field, 1i64)).collect();
            let removed: Vec<String> = removed.iter().map(ToString::to_string).collect();
            assert_eq!(patch("a", Uuid::nil(), &set, &removed).err(), expected);
        };
        check(&[], &[], Some(InputError::EmptyPatch));
        check(&["id"], &[], Some(InputError::PatchedId));
        check(&[], &["b", "id"], Some(InputError::PatchedId));
        check(&["a", "b"], &["b"], Some(InputError::SetAndRemoved("b".to_owned())));
        check(&["a"], &["b"], None);
        check(&[], &["b", "c"], None);
    }
}
