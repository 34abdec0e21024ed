//! Records as CSV that an import reads back: the columns, their types, their cells; the normative text is
//! `spec/import.md`, I-6.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::blazebinary::{RecordView, ValueView, compare_keys, json};
use crate::cli::import::column_type::ColumnType;
use crate::cli::import::columns::types_option;

/// Stands for null, outside quotes.
pub(super) const NULL: &str = "NULL";
/// The first column.
const ID: &str = "id";

/// A field's name, ordered and equal as the names of fields are.
#[derive(Debug, Clone)]
struct Name(String);

impl Ord for Name {
    /// The id first, then in canonical order.
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |name: &Self| name.0 != ID;
        rank(self).cmp(&rank(other)).then_with(|| compare_keys(&self.0, &other.0))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Name {}

/// What was seen of one field's values.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    kind: Option<ColumnType>,
    nulls: bool,
}

/// The columns of a collection, as its records are seen.
#[derive(Debug, Default)]
pub(super) struct Columns {
    seen: BTreeMap<Name, Seen>,
}

impl Columns {
    /// Takes a record into account.
    pub(super) fn see(&mut self, record: RecordView<'_>) {
        for (name, value) in record.iter() {
            // Nearly always the field is known.
            let name = Name(name.as_str().to_owned());
            let seen = self.seen.entry(name).or_default();
            match kind_of(&value) {
                None => seen.nulls = true,
                Some(kind) if seen.kind.is_none_or(|before| before == kind) => seen.kind = Some(kind),
                Some(_) => seen.kind = Some(ColumnType::Json),
            }
        }
    }

    /// The options with which an import reads these columns back.
    pub(super) fn options(&self) -> String {
        let types = types_option(self.columns());
        let nulls = self.seen.values().any(|seen| seen.nulls);
        if nulls { format!("{types} --null {NULL}") } else { types }
    }

    fn columns(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        // A field that is null wherever it is has no better type.
        self.seen.iter().map(|(name, seen)| (name.0.as_str(), seen.kind.unwrap_or(ColumnType::String)))
    }

    /// Appends the first row.
    pub(super) fn write_header(&self, out: &mut String) {
        if self.seen.is_empty() {
            out.push_str(ID);
        }
        for (at, (name, _)) in self.columns().enumerate() {
            separate(at, out);
            text_cell(name, out);
        }
        out.push('\n');
    }

    /// Appends the row of a record.
    pub(super) fn write_row(&self, record: RecordView<'_>, out: &mut String) {
        // Both are in canonical order, but for the id.
        let mut fields = record.iter().filter(|(name, _)| name.as_str() != ID).peekable();
        for (at, (name, kind)) in self.columns().enumerate() {
            separate(at, out);
            let value = if name == ID {
                record.get(ID)
            } else {
                fields
                    .next_if(|(field, _)| compare_keys(field.as_str(), name).is_eq())
                    .map(|(_, value)| value)
            };
            if let Some(value) = value {
                write_cell(&value, kind, out);
            }
        }
        out.push('\n');
    }
}

fn separate(at: usize, out: &mut String) {
    if at > 0 {
        out.push(',');
    }
}

/// The type of a column of such values; none of null, which every type takes.
fn kind_of(value: &ValueView<'_>) -> Option<ColumnType> {
    Some(match value {
        ValueView::Null => return None,
        ValueView::Bool(_) => ColumnType::Bool,
        ValueView::Int(_) => ColumnType::Int,
        ValueView::Double(_) => ColumnType::Double,
        ValueView::Date(_) => ColumnType::Date,
        ValueView::Uuid(_) => ColumnType::Uuid,
        ValueView::String(_) => ColumnType::String,
        _ => ColumnType::Json,
    })
}

fn write_cell(value: &ValueView<'_>, kind: ColumnType, out: &mut String) {
    if matches!(value, ValueView::Null) {
        return out.push_str(NULL);
    }
    match value {
        _ if kind == ColumnType::Json => json_cell(value, out),
        ValueView::String(text) => text_cell(text.as_str(), out),
        ValueView::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        ValueView::Int(int) => out.push_str(&int.to_string()),
        ValueView::Double(number) => out.push_str(&double(*number)),
        ValueView::Date(date) => out.push_str(&date.to_rfc3339().unwrap_or_else(|| bits(date.seconds()))),
        ValueView::Uuid(id) => out.push_str(&id.hyphenated().to_string()),
        // Every other kind makes its column one of typed JSON.
        _ => json_cell(value, out),
    }
}

fn double(number: f64) -> String {
    const NAMED_NAN: u64 = 0x7FF8_0000_0000_0000;
    match number {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ if number.to_bits() == NAMED_NAN => "NaN".to_owned(),
        _ if number.is_nan() => bits(number),
        // The fewest digits that read back to the same bits.
        _ => format!("{number:?}"),
    }
}

fn bits(number: f64) -> String {
    format!("0x{:016x}", number.to_bits())
}

fn json_cell(value: &ValueView<'_>, out: &mut String) {
    let mut text = String::new();
    json::write_value(*value, &mut text);
    text_cell(&text, out);
}

/// A text, in quotes where it would be read as something else without them.
fn text_cell(text: &str, out: &mut String) {
    let plain = !text.is_empty() && text != NULL && !text.contains([',', '"', '\n', '\r']);
    if plain {
        return out.push_str(text);
    }
    out.push('"');
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.push_str("\"\"");
        }
        out.push_str(part);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blazebinary::{Layout, encode_record};

    #[test]
    fn records_become_rows_with_types() {
        let lines = [
            r#"{"id":{"$uuid":"00000000-0000-0000-0000-000000000001"},"a":5,"b":"x","c":null,"z":1.0}"#,
            r#"{"id":{"$uuid":"00000000-0000-0000-0000-000000000002"},"B":"a, \"b\"","a":null,"b":"NULL","z":{"$double":"NaN"}}"#,
            r#"{"id":{"$uuid":"00000000-0000-0000-0000-000000000003"},"a":-7,"b":"","mixed":1}"#,
            r#"{"id":{"$uuid":"00000000-0000-0000-0000-000000000004"},"mixed":[true,{"$date":"2001-01-01T00:00:00Z"}]}"#,
        ];
        let records: Vec<Vec<u8>> = lines
            .iter()
            .map(|line| {
                let mut bytes = Vec::new();
                encode_record(&json::read_record(line).unwrap(), Layout::V1, &mut bytes).unwrap();
                bytes
            })
            .collect();
        let views = || records.iter().map(|bytes| RecordView::canonical(bytes).unwrap());
        let mut columns = Columns::default();
        views().for_each(|record| columns.see(record));
        let mut out = String::new();
        columns.write_header(&mut out);
        views().for_each(|record| columns.write_row(record, &mut out));
        let expected = "\
id,B,a,b,c,mixed,z
00000000-0000-0000-0000-000000000001,,5,x,NULL,,1.0
00000000-0000-0000-0000-000000000002,\"a, \"\"b\"\"\",NULL,\"NULL\",,,NaN
00000000-0000-0000-0000-000000000003,,-7,\"\",,1,
00000000-0000-0000-0000-000000000004,,,,,\"[true,{\"\"$date\"\":\"\"2001-01-01T00:00:00Z\"\"}]\",
";
        assert_eq!(out, expected);
        let options = "--types id=uuid,B=string,a=int,b=string,c=string,mixed=json,z=double --null NULL";
        assert_eq!(columns.options(), options);
    }
}
