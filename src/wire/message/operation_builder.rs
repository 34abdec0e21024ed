//! Building the body of an Operation, record by record.

use thiserror::Error;

use super::operation::{Action, Groups, RecordOperation};
use crate::wire::limits::MAX_PAYLOAD_BYTES;
use crate::wire::name::CollectionName;
use crate::wire::payload::{name_bytes, put_name};

/// Bytes of an Operation's payload before its body: number and ack level.
const HEAD_BYTES: usize = 9;
/// Bytes of a count.
const COUNT_BYTES: usize = 2;

/// A transaction that does not fit: the caller's fault. What was pushed before stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OperationBuildError {
    /// The payload would pass its limit.
    #[error("a transaction has at most {max} bytes; send what there is, or split it", max = MAX_PAYLOAD_BYTES)]
    TooLarge,
    /// More groups than a u16 counts.
    #[error("a transaction has at most 65535 groups of operations; keep one collection's together")]
    TooManyGroups,
    /// A check without a base says nothing.
    #[error("a check needs the version it checks for")]
    CheckWithoutBase,
    /// A collection has no version.
    #[error("a drop takes no version: a collection has none")]
    DropWithBase,
    /// A transaction without operations.
    #[error("a transaction has at least one operation")]
    Empty,
}

/// Collects the operations of one transaction. Neighbours on the same collection share a group; a drop begins one.
///
/// ```
/// use blazedb::wire::message::{Action, OperationBuilder, RecordOperation};
/// use blazedb::wire::{CollectionName, FramedRecord};
/// let people = CollectionName::new("people").unwrap();
/// let record = FramedRecord::new(b"BLAZE\x01\x00\x00").unwrap();
/// let mut builder = OperationBuilder::new();
/// builder.push(people, &RecordOperation { base: None, action: Action::Insert(record) }).unwrap();
/// let body = builder.finish().unwrap();
/// assert_eq!(body.groups().operations().count(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct OperationBuilder {
    /// The body so far. Its count of groups stands first, the last group's count of operations at `count_at`.
    bytes: Vec<u8>,
    groups: u16,
    collection: String,
    count_at: usize,
    operations: u16,
    total: u32,
}

/// The body of an Operation, owned: what a client keeps until its outcome is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationBody {
    bytes: Vec<u8>,
}

impl OperationBuilder {
    /// An empty transaction.
    pub fn new() -> Self {
        let bytes = vec![0; COUNT_BYTES];
        Self { bytes, groups: 0, collection: String::new(), count_at: 0, operations: 0, total: 0 }
    }

    /// How many operations there are.
    pub const fn len(&self) -> usize {
        self.total as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Bytes of the payload so far.
    pub const fn payload_bytes(&self) -> usize {
        self.bytes.len().saturating_add(HEAD_BYTES)
    }

    /// Adds one operation on `collection`.
    ///
    /// # Errors
    /// [`OperationBuildError`]; nothing was added.
    pub fn push(
        &mut self,
        collection: CollectionName<'_>,
        operation: &RecordOperation<'_>,
    ) -> Result<(), OperationBuildError> {
        if matches!(operation.action, Action::Check { .. }) && operation.base.is_none() {
            return Err(OperationBuildError::CheckWithoutBase);
        }
        let is_drop = operation.action == Action::Drop;
        if is_drop && operation.base.is_some() {
            return Err(OperationBuildError::DropWithBase);
        }
        let name = collection.as_str();
        let opens = self.groups == 0 || self.collection != name || self.operations == u16::MAX || is_drop;
        let group_bytes = if opens { name_bytes(name).saturating_add(COUNT_BYTES) } else { 0 };
        let added = operation.wire_bytes().saturating_add(group_bytes);
        if self.payload_bytes().saturating_add(added) > MAX_PAYLOAD_BYTES {
            return Err(OperationBuildError::TooLarge);
        }
        if opens {
            self.open_group(name)?;
        }
        operation.write(&mut self.bytes);
        self.operations = self.operations.saturating_add(1);
        self.total = self.total.saturating_add(1);
        Ok(())
    }

    fn open_group(&mut self, name: &str) -> Result<(), OperationBuildError> {
        self.groups = self.groups.checked_add(1).ok_or(OperationBuildError::TooManyGroups)?;
        self.close_group();
        self.collection.clear();
        self.collection.push_str(name);
        put_name(name, &mut self.bytes);
        self.count_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; COUNT_BYTES]);
        self.operations = 0;
        Ok(())
    }

    /// Fills in the count of the group that is open; of none, it writes a count that is written again.
    fn close_group(&mut self) {
        self.fill_in(self.count_at, self.operations);
    }

    fn fill_in(&mut self, at: usize, count: u16) {
        if let Some(place) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = count.to_be_bytes();
        }
    }

    /// The body.
    ///
    /// # Errors
    /// [`OperationBuildError::Empty`] if nothing was added.
    pub fn finish(mut self) -> Result<OperationBody, OperationBuildError> {
        self.groups()?;
        Ok(OperationBody { bytes: self.bytes })
    }

    /// What was added so far, in place: for who sends it at once and [clears](Self::clear) the builder for the next.
    ///
    /// # Errors
    /// [`OperationBuildError::Empty`] if nothing was added.
    pub fn groups(&mut self) -> Result<Groups<'_>, OperationBuildError> {
        if self.is_empty() {
            return Err(OperationBuildError::Empty);
        }
        self.close_group();
        self.fill_in(0, self.groups);
        Ok(Groups { bytes: &self.bytes })
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(COUNT_BYTES, 0);
        self.collection.clear();
        (self.groups, self.count_at, self.operations, self.total) = (0, 0, 0, 0);
    }
}

impl Default for OperationBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl OperationBody {
    /// The body as an [`Operation`](super::Operation) takes it.
    pub fn groups(&self) -> Groups<'_> {
        Groups { bytes: &self.bytes }
    }

    /// An owned copy of a body that was read.
    pub fn copy_of(groups: Groups<'_>) -> Self {
        Self { bytes: groups.bytes.to_vec() }
    }

    /// Bytes of the payload that carries it.
    pub const fn payload_bytes(&self) -> usize {
        self.bytes.len().saturating_add(HEAD_BYTES)
    }
}
