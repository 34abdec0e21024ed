//! Records on their way: grouped into transactions, each record with its line and text until its outcome is known.

use crate::client::InputError;
use crate::wire::message::{Action, OperationBody, OperationBuildError, OperationBuilder, RecordOperation};
use crate::wire::{CollectionName, FramedRecord};

/// Records of a transaction, at most: beyond, an operation's own cost is nothing beside theirs.
pub(super) const MAX_BATCH_RECORDS: usize = 1_000;
/// The payload at which a transaction is closed, in bytes: a sixteenth of the connection's window, so that the server
/// decides one batch while others travel. A larger record travels alone.
pub(super) const BATCH_BYTES: usize = 256 << 10;

/// One transaction.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: OperationBody,
    pub(super) items: Items,
    /// Bytes of the file before its end, for showing progress.
    pub(super) position: u64,
}

/// Where the records of a batch stand in the file.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// Line and end in `text`, in the order of the records.
    places: Vec<(u64, usize)>,
    text: Vec<u8>,
}

impl Items {
    fn push(&mut self, line: u64, raw: &[u8]) {
        self.text.extend_from_slice(raw);
        self.places.push((line, self.text.len()));
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The line and text of the record `at`.
    pub(super) fn get(&self, at: usize) -> Option<(u64, &[u8])> {
        let (line, end) = *self.places.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.places.get(before)).map_or(0, |(_, end)| *end);
        Some((line, self.text.get(start..end).unwrap_or_default()))
    }
}

/// Collects records into batches.
#[derive(Debug)]
pub(super) struct Batcher {
    collection: String,
    builder: OperationBuilder,
    items: Items,
}

impl Batcher {
    /// For a collection whose name was checked.
    pub(super) fn new(collection: &str) -> Self {
        Self { collection: collection.to_owned(), builder: OperationBuilder::new(), items: Items::default() }
    }

    /// Adds a record that stands in `line` as `raw`. A batch that is full comes back.
    ///
    /// # Errors
    /// [`InputError`] of a record that fits no transaction, or a name that is none.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        line: u64,
        raw: &[u8],
        position: u64,
    ) -> Result<Option<Batch>, InputError> {
        let crowded = self.builder.payload_bytes().saturating_add(bytes.len()) > BATCH_BYTES;
        let full = self.items.len() >= MAX_BATCH_RECORDS || (crowded && !self.builder.is_empty());
        let batch = if full { self.take(position) } else { None };
        push(&mut self.builder, &self.collection, bytes)?;
        self.items.push(line, raw);
        Ok(batch)
    }

    /// What there is.
    pub(super) fn take(&mut self, position: u64) -> Option<Batch> {
        let items = std::mem::take(&mut self.items);
        let body = std::mem::take(&mut self.builder).finish().ok()?;
        Some(Batch { body, items, position })
    }
}

fn push(builder: &mut OperationBuilder, collection: &str, bytes: &[u8]) -> Result<(), InputError> {
    let collection = CollectionName::new(collection)?;
    let record = FramedRecord::new(bytes).ok_or(OperationBuildError::TooLarge)?;
    let action = Action::Upsert { record, skip_unchanged: true };
    Ok(builder.push(collection, &RecordOperation { base: None, action })?)
}

impl Batch {
    /// The same batch without the records for which `keep` says no; none if none is left.
    pub(super) fn filtered(&self, mut keep: impl FnMut(usize) -> bool) -> Option<Self> {
        let mut builder = OperationBuilder::new();
        let mut items = Items::default();
        for (at, (collection, operation)) in self.body.groups().operations().enumerate() {
            let Some((line, raw)) = self.items.get(at).filter(|_| keep(at)) else { continue };
            // It fitted before.
            builder.push(collection, &operation).ok()?;
            items.push(line, raw);
        }
        Some(Self { body: builder.finish().ok()?, items, position: self.position })
    }

    /// Its first half and its second.
    pub(super) fn halves(&self) -> [Option<Self>; 2] {
        let middle = self.items.len().div_ceil(2);
        [self.filtered(|at| at < middle), self.filtered(|at| at >= middle)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blazebinary::{Layout, Record, encode_record};

    fn batches(sizes: &[usize]) -> Vec<Batch> {
        let mut batcher = Batcher::new("c");
        let mut found = Vec::new();
        for (size, line) in sizes.iter().zip(1..) {
            let mut bytes = Vec::new();
            encode_record(&Record::from_iter([("s", "x".repeat(*size))]), Layout::V1, &mut bytes).unwrap();
            found.extend(batcher.push(&bytes, line, line.to_string().as_bytes(), 0).unwrap());
        }
        found.extend(batcher.take(0));
        found
    }

    fn lines(batch: &Batch) -> Vec<u64> {
        assert_eq!(batch.body.groups().operations().count(), batch.items.len());
        (0..batch.items.len())
            .map(|at| {
                let (line, raw) = batch.items.get(at).unwrap();
                assert_eq!(raw, line.to_string().as_bytes());
                line
            })
            .collect()
    }

    #[test]
    fn batches_are_bounded_by_count_and_by_bytes() {
        let counts =
            |sizes: &[usize]| batches(sizes).iter().map(|batch| batch.items.len()).collect::<Vec<_>>();
        assert_eq!(counts(&vec![1; 2_500]), [1_000, 1_000, 500]);
        assert_eq!(counts(&[100 << 10, 100 << 10, 100 << 10, 1]), [2, 2]);
        assert_eq!(counts(&[1, 1_000_000, 1]), [1, 1, 1]);
        assert!(batches(&[]).is_empty());
    }

    #[test]
    fn a_batch_can_be_divided() {
        let whole = batches(&[1; 5]).remove(0);
        let [first, second] = whole.halves().map(Option::unwrap);
        assert_eq!((lines(&first), lines(&second)), (vec![1, 2, 3], vec![4, 5]));
        assert_eq!(lines(&whole.filtered(|at| at != 2).unwrap()), [1, 2, 4, 5]);
        assert!(whole.filtered(|_| false).is_none());
    }
}
