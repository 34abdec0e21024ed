//! The rows that answer a question for statistics: one record a collection, made up for the purpose, a few at a time
//! (`spec/server.md`, S-4).

use std::collections::VecDeque;
use std::ops::Bound;

use super::databases::Databases;
use super::limits::STATISTICS_ROWS;
use crate::blazebinary::{Layout, Record, Value, encode_record};
use crate::engine::{CollectionStatistics, EngineError, Reader};

/// The row of a collection, or of a database without any: the database's place among those asked for, the name.
type Place = (usize, Option<Box<str>>);

/// The rows, from a mark on. What was made ahead of it may be forgotten: then only the mark and what is read at are held.
#[derive(Debug)]
pub(super) struct Statistics {
    /// What they are of, in the order of the names.
    databases: Vec<(String, Reader)>,
    /// The only collection that is asked for.
    only: Option<Box<str>>,
    /// The last row that was passed.
    mark: Option<Place>,
    ahead: VecDeque<(Place, Vec<u8>)>,
}

impl Statistics {
    /// Of one collection.
    ///
    /// # Errors
    /// [`EngineError::UnknownCollection`].
    pub(super) fn of_collection(
        database: &str,
        collection: &str,
        reader: &Reader,
    ) -> Result<Self, EngineError> {
        reader.collection(collection)?;
        Ok(Self::new(vec![(database.to_owned(), reader.clone())], Some(collection.into())))
    }

    /// Of all collections of all databases. `reader` is that of the database `asked`, whose rows are as of the answer's
    /// position.
    pub(super) fn of_all(databases: &Databases, asked: &str, reader: &Reader) -> Self {
        let readers = databases.iter().map(|served| {
            let is_asked = served.name == asked;
            let reader = if is_asked { reader.clone() } else { served.database.reader() };
            (served.name.clone(), reader)
        });
        Self::new(readers.collect(), None)
    }

    fn new(databases: Vec<(String, Reader)>, only: Option<Box<str>>) -> Self {
        Self { databases, only, mark: None, ahead: VecDeque::new() }
    }

    /// The row at `index` behind the mark; none at the end.
    pub(super) fn row(&mut self, index: usize) -> Result<Option<&[u8]>, EngineError> {
        if index >= self.ahead.len() {
            self.make()?;
        }
        Ok(self.ahead.get(index).map(|(_, row)| row.as_slice()))
    }

    /// Moves the mark behind the first `count` rows.
    pub(super) fn pass(&mut self, count: usize) {
        let count = count.min(self.ahead.len());
        if let Some((place, _)) = self.ahead.drain(..count).next_back() {
            self.mark = Some(place);
        }
    }

    /// Keeps the mark alone.
    pub(super) fn forget(&mut self) {
        self.ahead = VecDeque::new();
    }

    /// Makes some rows behind those that are there.
    fn make(&mut self) -> Result<(), EngineError> {
        for _ in 0..STATISTICS_ROWS {
            let last = self.ahead.back().map(|(place, _)| place).or(self.mark.as_ref());
            let Some((place, row)) = self.behind(last)? else { return Ok(()) };
            self.ahead.push_back((place, row));
        }
        Ok(())
    }

    /// The row that follows `last`.
    fn behind(&self, last: Option<&Place>) -> Result<Option<(Place, Vec<u8>)>, EngineError> {
        let first = last.map_or(0, |(at, _)| *at);
        for (at, (database, reader)) in self.databases.iter().enumerate().skip(first) {
            let of_last = last.filter(|(place, _)| *place == at);
            if let Some(only) = &self.only {
                if of_last.is_some() {
                    return Ok(None);
                }
                let collection = reader.statistics_of(only, reader.collection(only)?)?;
                return Ok(Some(((at, Some(only.clone())), row(database, Some(&collection))?)));
            }
            let lower = match of_last {
                Some((_, Some(name))) => Bound::Excluded(&**name),
                Some((_, None)) => continue,
                None => Bound::Unbounded,
            };
            let collections = reader.collections();
            if let Some((name, number)) = collections.range::<str, _>((lower, Bound::Unbounded)).next() {
                let collection = reader.statistics_of(name, *number)?;
                return Ok(Some(((at, Some(name.clone())), row(database, Some(&collection))?)));
            }
            if of_last.is_none() {
                return Ok(Some(((at, None), row(database, None)?)));
            }
        }
        Ok(None)
    }
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
