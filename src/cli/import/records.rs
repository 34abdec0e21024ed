//! From what stands in a file to records: fields, id, bytes.

use std::io::{self, Read};

use uuid::Uuid;

use super::columns::Columns;
use super::csv_rows::{CsvRows, Next};
use super::ids::{self, FileHash, ID, SOURCE_ID};
use super::json_items::{JsonItems, Shape};
use super::source::Format;
use crate::blazebinary::{Layout, Record, Value, encode_record, json};
use crate::cli::input::MAX_LINE_BYTES;

/// The length of a UUID with hyphens.
const UUID_CHARACTERS: usize = 36;

/// All that decides what the records of a file are.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) collection: String,
    pub(super) format: Format,
    pub(super) delimiter: u8,
    pub(super) nulls: Vec<String>,
    /// Of CSV only.
    pub(super) columns: Option<Columns>,
    /// The fields that ids are made of; none where records have their own, or get one by their row.
    pub(super) key: Option<Vec<String>>,
    pub(super) file: FileHash,
}

/// Reads the records of a file.
pub(super) struct Records<'p, R> {
    plan: &'p Plan,
    rows: Rows<R>,
    row: u64,
    bytes: Vec<u8>,
}

enum Rows<R> {
    Csv(Box<CsvRows<R>>),
    Json(JsonItems<R>),
}

/// What stands next in the file.
pub(super) enum Found<'a> {
    Record(Converted<'a>),
    Bad(Bad<'a>),
    End,
}

/// A record to import.
#[derive(Debug, Clone, Copy)]
pub(super) struct Converted<'a> {
    /// Which of the file, from 1, bad ones counted.
    pub(super) row: u64,
    /// Where it begins, from 1.
    pub(super) line: u64,
    /// As it stands in the file.
    pub(super) raw: &'a [u8],
    /// Its encoding.
    pub(super) bytes: &'a [u8],
    pub(super) id: Uuid,
    pub(super) origin: Origin,
}

/// Where an id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The record's own.
    Own,
    Key,
    /// The record's own `id` is no UUID: it became `source_id` and is the key.
    SourceId,
    Row,
}

/// What cannot be imported, and why.
#[derive(Debug, Clone)]
pub(super) struct Bad<'a> {
    pub(super) line: u64,
    /// None of what was too long to hold.
    pub(super) raw: Option<&'a [u8]>,
    pub(super) why: String,
}

impl<'p, R: Read> Records<'p, R> {
    pub(super) fn new(plan: &'p Plan, source: R) -> io::Result<Self> {
        let rows = match plan.format {
            Format::Csv => {
                let mut rows = CsvRows::new(source, plan.delimiter)?;
                // The header.
                rows.next()?;
                Rows::Csv(Box::new(rows))
            }
            Format::Ndjson => Rows::Json(JsonItems::new(source, Shape::Lines)?),
            Format::Json => Rows::Json(JsonItems::new(source, Shape::Array)?),
        };
        Ok(Self { plan, rows, row: 0, bytes: Vec::new() })
    }

    /// Bytes of the file before what was found last.
    pub(super) fn position(&self) -> u64 {
        match &self.rows {
            Rows::Csv(rows) => rows.position(),
            Rows::Json(items) => items.position(),
        }
    }

    /// What stands next.
    pub(super) fn next(&mut self) -> io::Result<Found<'_>> {
        let (line, raw, record) = match &mut self.rows {
            Rows::Csv(rows) => match rows.next()? {
                Next::End => return Ok(Found::End),
                Next::TooLong { line } => return Ok(too_long(&mut self.row, line)),
                Next::Found(row) => (row.line, row.raw, self.plan.csv_record(row)),
            },
            Rows::Json(items) => match items.next()? {
                Next::End => return Ok(Found::End),
                Next::TooLong { line } => return Ok(too_long(&mut self.row, line)),
                Next::Found(item) => (item.line, item.raw, json_record(item.raw)),
            },
        };
        self.row = self.row.saturating_add(1);
        self.bytes.clear();
        let converted = record.and_then(|mut record| {
            let identified = self.plan.identify(&mut record, self.row)?;
            encode_record(&record, Layout::V1, &mut self.bytes).map_err(|error| error.to_string())?;
            Ok(identified)
        });
        Ok(match converted {
            Ok((id, origin)) => {
                Found::Record(Converted { row: self.row, line, raw, bytes: &self.bytes, id, origin })
            }
            Err(why) => Found::Bad(Bad { line, raw: Some(raw), why }),
        })
    }
}

fn too_long<'a>(row: &mut u64, line: u64) -> Found<'a> {
    *row = row.saturating_add(1);
    let why =
        format!("longer than {MAX_LINE_BYTES} bytes; a record has at most 1 MiB: is a quote not closed?");
    Found::Bad(Bad { line, raw: None, why })
}

fn json_record(raw: &[u8]) -> Result<Record, String> {
    let text =
        std::str::from_utf8(raw).map_err(|_| "not UTF-8; convert the file, as with iconv".to_owned())?;
    json::read_record(text).map_err(|error| {
        let spread = matches!(error.kind, json::JsonErrorKind::UnexpectedEnd(_));
        let advice = if spread { "; each record takes one line, or the file is one array" } else { "" };
        match error.line {
            0 | 1 => format!("column {}: {}{advice}", error.column, error.kind),
            line => format!("line {line} of the record, column {}: {}", error.column, error.kind),
        }
    })
}

impl Plan {
    fn csv_record(&self, row: super::csv_rows::Row<'_>) -> Result<Record, String> {
        let Some(columns) = &self.columns else { return Err("a file without columns".to_owned()) };
        Ok(columns.fields(row, &self.nulls)?.into_iter().collect())
    }

    /// Gives a record its id (spec/import.md, I-4).
    fn identify(&self, record: &mut Record, row: u64) -> Result<(Uuid, Origin), String> {
        if let Some(key) = &self.key {
            rename_id(record)?;
            return Ok((self.give_id_by(key, record)?, Origin::Key));
        }
        match record.get(ID) {
            Some(Value::Uuid(id)) => Ok((*id, Origin::Own)),
            Some(Value::String(text)) if let Some(id) = uuid_of(text) => {
                record.insert(ID, id);
                Ok((id, Origin::Own))
            }
            None | Some(Value::Null) => {
                let id = ids::of_row(&self.file, row);
                record.insert(ID, id);
                Ok((id, Origin::Row))
            }
            Some(_) => {
                rename_id(record)?;
                Ok((self.give_id_by(&[SOURCE_ID.to_owned()], record)?, Origin::SourceId))
            }
        }
    }

    fn give_id_by(&self, key: &[String], record: &mut Record) -> Result<Uuid, String> {
        let values = || key.iter().map(|field| record.get(field));
        if values().all(|value| matches!(value, None | Some(Value::Null))) {
            return Err(format!("it has no value in its key ({})", key.join(", ")));
        }
        let id = ids::of_key(&self.collection, values()).map_err(|error| error.to_string())?;
        record.insert(ID, id);
        Ok(id)
    }
}

/// An `id` that does not name the record moves out of the way.
fn rename_id(record: &mut Record) -> Result<(), String> {
    let Some(id) = record.remove(ID) else { return Ok(()) };
    match record.insert(SOURCE_ID, id) {
        None => Ok(()),
        Some(_) => Err("it has both id and source_id; rename one".to_owned()),
    }
}

/// The UUID that a text is, as other systems write them in JSON.
fn uuid_of(text: &str) -> Option<Uuid> {
    if text.len() != UUID_CHARACTERS {
        return None;
    }
    Uuid::try_parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blazebinary::RecordView;

    const A: &str = "018f3c7a-0000-7000-8000-00000000000a";

    fn plan(format: Format, key: &[&str]) -> Plan {
        Plan {
            collection: "c".to_owned(),
            format,
            delimiter: b',',
            nulls: vec![],
            columns: None,
            key: (!key.is_empty()).then(|| key.iter().map(ToString::to_string).collect()),
            file: [0xAB; 32],
        }
    }

    /// The records as typed JSON without their ids where these are made, and what is bad.
    fn read(plan: &Plan, file: &str) -> Vec<String> {
        let mut records = Records::new(plan, file.as_bytes()).unwrap();
        let mut found = Vec::new();
        loop {
            match records.next().unwrap() {
                Found::End => return found,
                Found::Bad(bad) => found.push(format!("{}: {}", bad.line, bad.why)),
                Found::Record(record) => {
                    let view = RecordView::canonical(record.bytes).unwrap();
                    assert_eq!(view.id(), Some(record.id));
                    let mut text = String::new();
                    let mut fields = view.to_record();
                    if record.origin != Origin::Own {
                        fields.remove("id");
                    }
                    json::write_record(&fields, &mut text);
                    found.push(format!("{:?} {text}", record.origin));
                }
            }
        }
    }

    #[test]
    fn an_id_is_found_or_made() {
        let own = format!(r#"Own {{"id":{{"$uuid":"{A}"}},"n":1}}"#);
        let check = |key: &[&str], line: &str, expected: &str| {
            assert_eq!(read(&plan(Format::Ndjson, key), line), [expected], "{line}");
        };
        check(&[], &format!(r#"{{"id":{{"$uuid":"{A}"}},"n":1}}"#), &own);
        check(&[], &format!(r#"{{"id":"{A}","n":1}}"#), &own);
        check(&[], r#"{"n":1}"#, r#"Row {"n":1}"#);
        check(&[], r#"{"id":null,"n":1}"#, r#"Row {"n":1}"#);
        check(&[], r#"{"id":5,"n":1}"#, r#"SourceId {"n":1,"source_id":5}"#);
        check(&[], r#"{"id":5,"source_id":6}"#, "1: it has both id and source_id; rename one");
        check(&["n"], r#"{"id":5,"n":1}"#, r#"Key {"n":1,"source_id":5}"#);
        check(&["n", "m"], r#"{"n":1}"#, r#"Key {"n":1}"#);
        check(&["n", "m"], r#"{"n":null}"#, "1: it has no value in its key (n, m)");
        check(&[], "[", r#"1: column 1: a record is an object of fields, such as {"name":"Ada"}"#);
    }

    #[test]
    fn rows_are_counted_over_bad_ones() {
        let plan = plan(Format::Json, &[]);
        let mut records = Records::new(&plan, &b"[{},5,{}]"[..]).unwrap();
        let mut rows = Vec::new();
        loop {
            match records.next().unwrap() {
                Found::End => break,
                Found::Bad(bad) => assert_eq!(bad.raw, Some(&b"5"[..])),
                Found::Record(record) => rows.push((record.row, record.id)),
            }
        }
        assert_eq!(rows, [(1, ids::of_row(&[0xAB; 32], 1)), (3, ids::of_row(&[0xAB; 32], 3))]);
    }
}
