//! Reading every row of a snapshot and holding records, changes, counts and digests against one another.

use std::collections::{BTreeMap, BTreeSet};

use super::keyspace::Span;
use super::{
    ChangeKind, ChangeRow, CollectionId, Direction, Key, RecordRow, Snapshot, StoreError, Summary, row_hash,
};

/// The most findings that are kept word for word; beyond it they are counted.
pub const MAX_FINDINGS: usize = 100;

/// What [`verify`] saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Counts and digests, computed anew from the records.
    pub collections: BTreeMap<CollectionId, Summary>,
    /// Changes by position.
    pub changes: u64,
    /// What is wrong, in words; at most [`MAX_FINDINGS`].
    pub findings: Vec<String>,
    /// Everything that is wrong, counted.
    pub wrong: u64,
}

impl VerifyReport {
    fn finding(&mut self, what: impl FnOnce() -> String) {
        self.wrong = self.wrong.saturating_add(1);
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(what());
        }
    }

    /// `result`, or nothing and a finding if it is damage.
    fn take<T>(&mut self, result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(damage @ StoreError::Corrupt(_)) => {
                self.finding(|| damage.to_string());
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

/// Reads every row that `snapshot` sees: each matches its checksums, each record has its change and each change its
/// record, and every collection has the count and digest that its summary says. Goes on after damage, as far as the
/// backend can.
///
/// # Errors
/// [`StoreError::Io`] and [`StoreError::Failed`]; damage is a finding of the report.
pub fn verify(snapshot: &dyn Snapshot) -> Result<VerifyReport, StoreError> {
    verify_except(snapshot, &BTreeSet::new())
}

/// As [`verify`], but collections that are `half_gone` have no count and digest: they were dropped, and their rows are
/// being swept. What is left of them is checked like any other row.
///
/// # Errors
/// As [`verify`].
pub fn verify_except(
    snapshot: &dyn Snapshot,
    half_gone: &BTreeSet<CollectionId>,
) -> Result<VerifyReport, StoreError> {
    let mut report = VerifyReport::default();
    verify_records(snapshot, &mut report)?;
    verify_changes(snapshot, &mut report)?;
    report.collections.retain(|collection, _| !half_gone.contains(collection));
    verify_summaries(snapshot, &mut report)?;
    Ok(report)
}

fn verify_records(snapshot: &dyn Snapshot, report: &mut VerifyReport) -> Result<(), StoreError> {
    for row in snapshot.range(Span::all_records().bounds(), Direction::Ascending) {
        let Some((key, value)) = report.take(row)? else { continue };
        let Some(Key::Record(collection, id)) = report.take(Key::decode(&key))? else { continue };
        let Some(row) = report.take(RecordRow::decode(&key, value))? else { continue };
        let summary = report.collections.entry(collection).or_default();
        let kind = match row.record() {
            Some((record, _)) => {
                summary.add(row_hash(&id, row.envelope(), record));
                ChangeKind::Put
            }
            None => {
                summary.tombstones = summary.tombstones.saturating_add(1);
                ChangeKind::Delete
            }
        };
        let expected = ChangeRow { kind, collection, id };
        let Some(change) = report.take(snapshot.get(&Key::BySeq(row.seq()).encode()))? else { continue };
        let change = change.map(|value| ChangeRow::decode(row.seq(), &value)).transpose();
        let Some(change) = report.take(change)? else { continue };
        if change != Some(expected) {
            report.finding(|| format!("change {} should be {expected:?} and is {change:?}", row.seq()));
        }
    }
    Ok(())
}

fn verify_changes(snapshot: &dyn Snapshot, report: &mut VerifyReport) -> Result<(), StoreError> {
    for row in snapshot.range(Span::changes_after(0).bounds(), Direction::Ascending) {
        let Some((key, value)) = report.take(row)? else { continue };
        let Some(Key::BySeq(seq)) = report.take(Key::decode(&key))? else { continue };
        report.changes = report.changes.saturating_add(1);
        let Some(change) = report.take(ChangeRow::decode(seq, &value))? else { continue };
        let key = Key::Record(change.collection, change.id).encode();
        let Some(record) = report.take(snapshot.get(&key))? else { continue };
        let record = record.map(|value| RecordRow::decode(&key, value)).transpose();
        let Some(record) = report.take(record)? else { continue };
        let stands_at = record.map(|row| row.seq());
        if stands_at != Some(seq) {
            report
                .finding(|| format!("{change:?} is noted at {seq}, but its record stands at {stands_at:?}"));
        }
    }
    Ok(())
}

fn verify_summaries(snapshot: &dyn Snapshot, report: &mut VerifyReport) -> Result<(), StoreError> {
    let mut said = BTreeMap::new();
    for row in snapshot.range(Span::summaries().bounds(), Direction::Ascending) {
        let Some((key, value)) = report.take(row)? else { continue };
        let Some(Key::Summary(collection)) = report.take(Key::decode(&key))? else { continue };
        let Some(summary) = report.take(Summary::decode(collection, &value))? else { continue };
        said.insert(collection, summary);
    }
    let collections: BTreeSet<_> = report.collections.keys().chain(said.keys()).copied().collect();
    for collection in collections {
        let found = report.collections.get(&collection).copied().unwrap_or_default();
        let said = said.get(&collection).copied().unwrap_or_default();
        if said != found {
            report.finding(|| format!("{collection:?} should hold {said:?} and holds {found:?}"));
        }
    }
    Ok(())
}
