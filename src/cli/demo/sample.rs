//! The sample: flights that departed New York City in 2013, written in one transaction.

use uuid::Uuid;

use crate::blazebinary::{Date, Layout, Record, Value, encode_record};
use crate::cli::Failure;
use crate::client::{Client, Error};
use crate::wire::message::{Action, OperationBody, OperationBuilder, RecordOperation};
use crate::wire::{CollectionName, ErrorCode, FramedRecord};

/// The collection that holds them.
pub(super) const FLIGHTS: &str = "flights";
/// A line of field names, then a line a flight; nothing in it is quoted. `samples/README.md` says where it is from.
const CSV: &str = include_str!("../../../samples/flights.csv");
/// What stands for a value that is not known.
const UNKNOWN: &str = "NA";
/// Fields that are text though some of their values look like numbers.
const TEXTS: [&str; 4] = ["carrier", "tailnum", "origin", "dest"];
/// The field that is a moment.
const MOMENT: &str = "time_hour";
/// The upper half of the flights' ids, of version 8; the lower is the number of the line.
const ID_HIGH: u64 = 0x666C_6967_6874_8000;

/// What became of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loaded {
    /// The collection was not there: so many records were written.
    Now(u64),
    /// It was there, with so many records; whatever a person changed in it stays.
    Before(u64),
}

/// The flights of the sample, in the order of time.
pub(super) fn flights() -> Result<Vec<Record>, Failure> {
    let mut lines = CSV.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    lines.zip(1..).map(|(line, number)| flight(&names, line, number)).collect()
}

fn flight(names: &[&str], line: &str, number: u64) -> Result<Record, Failure> {
    let mut record = Record::with_capacity(names.len().saturating_add(1));
    record.insert("id", Uuid::from_u64_pair(ID_HIGH, 0b10 << 62 | number));
    for (name, text) in names.iter().zip(line.split(',')) {
        record.insert(*name, value(name, text)?);
    }
    Ok(record)
}

fn value(name: &str, text: &str) -> Result<Value, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(format_args!("the sample's {name} is wrong, which is a defect: {text}: {error}"))
    };
    if text == UNKNOWN {
        return Ok(Value::Null);
    }
    if TEXTS.contains(&name) {
        return Ok(Value::from(text));
    }
    if name == MOMENT {
        return Date::parse(text).map(Value::from).map_err(|error| wrong(&error));
    }
    text.parse::<i64>().map(Value::from).map_err(|error| wrong(&error))
}

/// Writes the sample, unless its collection is there.
pub(super) async fn load(client: &Client, flights: &[Record]) -> Result<Loaded, Failure> {
    if let Some(found) = count(client, FLIGHTS).await? {
        return Ok(Loaded::Before(found));
    }
    // One transaction: a demo that is killed has all of them or none, and the next start loads them if none.
    client.transaction(body(flights)?).await?;
    Ok(Loaded::Now(u64::try_from(flights.len()).unwrap_or(u64::MAX)))
}

fn body(flights: &[Record]) -> Result<OperationBody, Failure> {
    let name = CollectionName::new(FLIGHTS).map_err(Failure::new)?;
    let mut builder = OperationBuilder::new();
    let mut bytes = Vec::new();
    for flight in flights {
        bytes.clear();
        encode_record(flight, Layout::V1, &mut bytes).map_err(Failure::new)?;
        let record = FramedRecord::new(&bytes).ok_or_else(|| Failure::new("a flight is too large"))?;
        let operation = RecordOperation { base: None, action: Action::Insert(record) };
        builder.push(name, &operation).map_err(Failure::new)?;
    }
    builder.finish().map_err(Failure::new)
}

/// How many records a collection has; `None` if there is no such collection.
async fn count(client: &Client, collection: &str) -> Result<Option<u64>, Failure> {
    let rows = match client.stats(Some(collection)).await {
        Ok(rows) => rows,
        Err(Error::Refused(refused)) if refused.code == Some(ErrorCode::UnknownCollection) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let record = rows.first().and_then(|row| row.record().ok());
    Ok(match record.as_ref().and_then(|record| record.get("records")) {
        Some(Value::Int(count)) => Some(u64::try_from(*count).unwrap_or(0)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::MAX_PAYLOAD_BYTES;

    #[test]
    fn the_sample_is_typed_and_fits_into_one_transaction() {
        let flights = flights().unwrap();
        assert_eq!(flights.len(), 1000);
        // The first line of the file, by hand.
        let first = &flights[0];
        assert_eq!(first.get("dep_delay"), Some(&Value::Int(2)));
        assert_eq!(first.get("tailnum"), Some(&Value::from("N14228")));
        let moment = Date::parse("2013-01-01T10:00:00Z").unwrap();
        assert_eq!(first.get("time_hour"), Some(&Value::from(moment)));
        assert_eq!(first.len(), 20, "19 columns and an id");
        assert!(flights.iter().any(|flight| flight.get("air_time") == Some(&Value::Null)));
        let ids: Vec<_> = flights.iter().map(|flight| format!("{:?}", flight.get("id"))).collect();
        assert!(ids.is_sorted());
        assert!(body(&flights).unwrap().payload_bytes() <= MAX_PAYLOAD_BYTES);
    }
}
