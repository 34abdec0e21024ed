//! The rows that answer a question for statistics: one record a collection, made up for the purpose
//! (`spec/server.md`, S-4).

use super::databases::Databases;
use crate::blazebinary::{Layout, Record, Value, encode_record};
use crate::engine::{CollectionStatistics, EngineError, Reader};

/// The row of one collection.
pub(super) fn of_collection(
    database: &str,
    collection: &str,
    reader: &Reader,
) -> Result<Vec<Vec<u8>>, EngineError> {
    reader.collection(collection)?;
    let all = reader.statistics()?;
    all.iter().filter(|one| *one.name == *collection).map(|one| row(database, Some(one))).collect()
}

/// The rows of all collections of all databases, in the order of the names. `reader` is that of the database `asked`, whose
/// rows are as of the answer's position.
pub(super) fn of_all(
    databases: &Databases,
    asked: &str,
    reader: &Reader,
) -> Result<Vec<Vec<u8>>, EngineError> {
    let mut rows = Vec::new();
    for served in databases.iter() {
        let name = &*served.name;
        let collections =
            if name == asked { reader.statistics()? } else { served.database.reader().statistics()? };
        if collections.is_empty() {
            rows.push(row(name, None)?);
        }
        for collection in &collections {
            rows.push(row(name, Some(collection))?);
        }
    }
    Ok(rows)
}

/// The row of a collection, or of a database without any.
fn row(database: &str, collection: Option<&CollectionStatistics>) -> Result<Vec<u8>, EngineError> {
    let count = |number: Option<u64>| Value::Int(i64::try_from(number.unwrap_or(0)).unwrap_or(i64::MAX));
    let record = Record::from_iter([
        ("database", Value::from(database)),
        ("collection", collection.map_or(Value::Null, |one| Value::from(&*one.name))),
        ("records", count(collection.map(|one| one.summary.live))),
        ("deletions", count(collection.map(|one| one.summary.tombstones))),
    ]);
    let mut bytes = Vec::new();
    let encoded = encode_record(&record, Layout::V1, &mut bytes);
    encoded.map(|_| bytes).map_err(|error| EngineError::Read(format!("a row of statistics: {error}")))
}
