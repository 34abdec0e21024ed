//! What is stored, and how much of it is content.

use blazedb::blazebinary::{Date, Record, Value};

/// Unix milliseconds at BlazeBinary's zero, 2001-01-01T00:00:00Z.
const EPOCH_UNIX_MILLIS: i64 = 978_307_200_000;

/// Records of one kind, and the collection that they go to.
#[derive(Debug, Clone)]
pub struct Workload {
    pub collection: &'static str,
    pub records: Vec<Record>,
}

/// Unix milliseconds: dates as protobuf and MessagePack carry them here.
pub fn unix_millis(date: Date) -> i64 {
    (date.seconds() * 1_000.0).round() as i64 + EPOCH_UNIX_MILLIS
}

/// The plain information of a record, in bytes: its values without names, types and lengths. Text counts its UTF-8, a UUID 16, an
/// integer the fewest whole bytes that hold it, a date the same of its Unix milliseconds, a double 8, a bool 1, null nothing.
pub fn content(record: &Record) -> usize {
    record.iter().map(|(_, value)| content_of(value)).sum()
}

fn content_of(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(value) => bytes_of(*value),
        Value::Double(_) => 8,
        Value::Date(date) => bytes_of(unix_millis(*date)),
        Value::Uuid(_) => 16,
        Value::String(text) => text.len(),
        Value::Data(data) => data.len(),
        Value::Array(items) => items.iter().map(content_of).sum(),
        Value::Dict(dict) => content(dict),
        Value::Vector(vector) => 4 * vector.upper_halves().len(),
    }
}

/// The fewest bytes, at least one, that hold a number in two's complement.
fn bytes_of(value: i64) -> usize {
    let (same, bits) = if value < 0 { (value.leading_ones(), 65) } else { (value.leading_zeros(), 65) };
    (bits - same as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_the_bytes_that_hold_it_with_its_sign() {
        for (value, bytes) in [(0, 1), (127, 1), (128, 2), (-128, 1), (-129, 2), (32_767, 2), (i64::MIN, 8)] {
            assert_eq!(bytes_of(value), bytes, "{value}");
        }
    }

    /// By hand: "Hi" 2, 5 takes 1, a UUID 16, and 1,735,689,600,000 ms (2025-01-01) lies between 2^39 and 2^47: 6 bytes.
    #[test]
    fn content_is_values_alone() {
        let record = Record::from_iter([
            ("title", Value::from("Hi")),
            ("votes", Value::Int(5)),
            ("id", Value::Uuid(uuid::Uuid::nil())),
            ("at", Value::Date(Date::from_unix_millis(1_735_689_600_000))),
            ("gone", Value::Null),
        ]);
        assert_eq!(content(&record), 2 + 1 + 16 + 6);
    }
}
