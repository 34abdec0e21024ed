//! The body of a fuzz target: files to import, as they come from anywhere.

use std::io::{self, Read};

use super::columns::{Columns, Survey};
use super::csv_rows::{CsvRows, Next};
use super::records::{Found, Plan, Records};
use super::source::Format;
use crate::blazebinary::RecordView;

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[("import", import)];

/// A text that stands for a missing value.
const NULL: &str = "NA";
/// How a cell is refused in a column whose type was found by looking at its cells.
const DECIDED: [&str; 5] = [" is no bool", " is no int", " is no double", " is no date", " is no uuid"];

/// A file whose format and pieces the first byte says: pieces do not matter, every record is canonical, every place is
/// in the file and behind the one before, and each cell is of the type that its column was found to be of.
pub fn import(data: &[u8]) {
    let Some((&choice, file)) = data.split_first() else { return };
    let format = match choice % 3 {
        0 => Format::Csv,
        1 => Format::Ndjson,
        _ => Format::Json,
    };
    let columns = match format {
        Format::Csv => {
            let Some(columns) = columns(file) else { return };
            Some(columns)
        }
        Format::Ndjson | Format::Json => None,
    };
    let plan = Plan {
        collection: "fuzzed".to_owned(),
        format,
        delimiter: b',',
        nulls: vec![NULL.to_owned()],
        columns,
        key: None,
        file: [0; 32],
    };
    let whole = read(&plan, file, file.len().max(1));
    assert_eq!(read(&plan, file, usize::from(choice >> 2).max(1)), whole, "pieces matter");
}

/// The columns of a file of CSV whose header can be read.
fn columns(file: &[u8]) -> Option<Columns> {
    let mut rows = CsvRows::new(file, b',').ok()?;
    let Next::Found(header) = rows.next().ok()? else { return None };
    let mut survey = Survey::new(header).ok()?;
    while let Next::Found(row) = rows.next().ok()? {
        survey.see(row, &[NULL.to_owned()]);
    }
    survey.finish(&[]).ok()
}

/// What is told of each record: its line, and its encoding or what is wrong with it; at last what reading ended with.
fn read(plan: &Plan, file: &[u8], piece: usize) -> Vec<(u64, Result<Vec<u8>, String>)> {
    let mut told = Vec::new();
    let ended = |told: &mut Vec<_>, error: io::Error| told.push((0, Err(error.to_string())));
    let mut records = match Records::new(plan, Pieces { rest: file, piece }) {
        Ok(records) => records,
        Err(error) => {
            ended(&mut told, error);
            return told;
        }
    };
    let mut last = 0;
    loop {
        match records.next() {
            Ok(Found::Record(record)) => {
                assert!(RecordView::canonical(record.bytes).is_ok(), "a record that is not canonical");
                assert!(record.raw.len() <= file.len());
                told.push((record.line, Ok(record.bytes.to_vec())));
            }
            Ok(Found::Bad(bad)) => {
                let surprise = DECIDED.iter().any(|kind| bad.why.ends_with(kind));
                assert!(plan.format != Format::Csv || !surprise, "all its cells were seen: {}", bad.why);
                told.push((bad.line, Err(bad.why)));
            }
            Ok(Found::End) => return told,
            Err(error) => {
                ended(&mut told, error);
                return told;
            }
        }
        let position = records.position();
        assert!(position >= last && usize::try_from(position).is_ok_and(|at| at <= file.len()));
        last = position;
    }
}

/// Gives at most so many bytes at a time.
struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (now, later) = self.rest.split_at(self.piece.min(into.len()).min(self.rest.len()));
        for (place, byte) in into.iter_mut().zip(now) {
            *place = *byte;
        }
        self.rest = later;
        Ok(now.len())
    }
}
