//! The rows that answer a question for statistics: one record a collection, made up for the purpose
//! (`spec/server.md`, S-4).

use crate::blazebinary::{Layout, Record, Value, encode_record};
use crate::engine::{CollectionStatistics, EngineError, Reader};

/// The rows: of one collection, or of all in the order of their names.
pub(super) fn rows(
    database: &str,
    collection: Option<&str>,
    reader: &Reader,
) -> Result<Vec<Vec<u8>>, EngineError> {
    if let Some(name) = collection {
        reader.collection(name)?;
    }
    let all = reader.statistics()?;
    let wanted = all.iter().filter(|one| collection.is_none_or(|name| *one.name == *name));
    wanted.map(|one| row(database, one)).collect()
}

fn row(database: &str, collection: &CollectionStatistics) -> Result<Vec<u8>, EngineError> {
    let count = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let summary = &collection.summary;
    let record = Record::from_iter([
        ("database", Value::from(database)),
        ("collection", Value::from(&*collection.name)),
        ("records", count(summary.live)),
        ("deletions", count(summary.tombstones)),
    ]);
    let mut bytes = Vec::new();
    let encoded = encode_record(&record, Layout::V1, &mut bytes);
    encoded.map(|_| bytes).map_err(|error| EngineError::Read(format!("a row of statistics: {error}")))
}
