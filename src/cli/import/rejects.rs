//! What could not be imported: told on stderr, up to a number, and kept in a file of the input's own form, so that it
//! can be mended and imported.

#![expect(clippy::disallowed_types, reason = "the command line is where files are opened")]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::source::Format;
use crate::cli::{Failure, tell};

/// Rejected records that are told one by one; a person reads no more.
const MAX_TOLD: u64 = 20;
/// How many names are tried where a file of rejects of an earlier run is still there.
const MAX_NAMES: u32 = 1_000;

/// The rejected records of a run.
pub(super) struct Rejects {
    place: Place,
    format: Format,
    /// The first row of CSV.
    header: Vec<u8>,
    files: Option<Files>,
    count: u64,
}

/// Where they go.
pub(super) enum Place {
    /// To this file, whatever stands in it.
    Given(PathBuf),
    /// To a new file in the working directory, named after the input.
    Beside(PathBuf),
    /// Nowhere.
    Nowhere,
}

struct Files {
    path: PathBuf,
    records: BufWriter<File>,
    reasons: BufWriter<File>,
}

impl Rejects {
    pub(super) fn new(place: Place, format: Format, header: &[u8]) -> Self {
        Self { place, format, header: header.to_vec(), files: None, count: 0 }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes one.
    pub(super) fn add(&mut self, line: u64, raw: Option<&[u8]>, why: &str) -> Result<(), Failure> {
        self.count = self.count.saturating_add(1);
        let kept = if raw.is_some() { "" } else { " (not kept)" };
        match self.count {
            ..=MAX_TOLD => tell(format_args!("line {line}: {why}{kept}")),
            _ if self.count == MAX_TOLD.saturating_add(1) => tell("further rejected records are not told"),
            _ => {}
        }
        if matches!(self.place, Place::Nowhere) {
            return Ok(());
        }
        let first = self.files.is_none();
        let files = match &mut self.files {
            Some(files) => files,
            none => none.insert(create(&self.place, self.format).map_err(|error| cannot_keep(&error))?),
        };
        let written = write(files, self.format, &self.header, first, line, raw, why);
        written.map_err(|error| cannot_keep(&error))
    }

    /// Completes the file; its name, if there is one.
    pub(super) fn finish(self) -> Result<Option<PathBuf>, Failure> {
        let Some(mut files) = self.files else { return Ok(None) };
        let mut completed = || {
            if self.format == Format::Json {
                files.records.write_all(b"\n]\n")?;
            }
            files.records.flush()?;
            files.reasons.flush()
        };
        completed().map_err(|error| cannot_keep(&error))?;
        Ok(Some(files.path))
    }
}

fn cannot_keep(error: &io::Error) -> Failure {
    Failure::new(format_args!("cannot keep the rejected records: {error}; name a file with --rejects"))
}

fn write(
    files: &mut Files,
    format: Format,
    header: &[u8],
    first: bool,
    line: u64,
    raw: Option<&[u8]>,
    why: &str,
) -> io::Result<()> {
    writeln!(files.reasons, "line {line}: {why}")?;
    let Files { records, .. } = files;
    if first && format == Format::Csv {
        records.write_all(header)?;
        records.write_all(b"\n")?;
    }
    let Some(raw) = raw else { return Ok(()) };
    match (format, first) {
        (Format::Json, true) => records.write_all(b"[\n")?,
        (Format::Json, false) => records.write_all(b",\n")?,
        _ => {}
    }
    records.write_all(raw)?;
    if format != Format::Json {
        records.write_all(b"\n")?;
    }
    Ok(())
}

fn create(place: &Place, format: Format) -> io::Result<Files> {
    let (path, records) = match place {
        Place::Given(path) => (path.clone(), File::create(path)?),
        Place::Beside(input) => create_new(input, format)?,
        Place::Nowhere => return Err(io::Error::other("nowhere to")),
    };
    let mut reasons = path.clone().into_os_string();
    reasons.push(".txt");
    Ok(Files { path, records: BufWriter::new(records), reasons: BufWriter::new(File::create(reasons)?) })
}

/// A file that was not there: what an earlier run kept may be waiting to be mended.
fn create_new(input: &Path, format: Format) -> io::Result<(PathBuf, File)> {
    let mut number = 1u32;
    loop {
        let path = PathBuf::from(name(input, format, number));
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_NAMES => {
                number = number.saturating_add(1);
            }
            Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
}

/// `flights.csv.gz` gives `flights.rejects.csv`, then `flights.rejects-2.csv`.
fn name(input: &Path, format: Format, number: u32) -> String {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let name = if name == "-" { "stdin" } else { name.trim_end_matches(".gz") };
    let stem = match name.rsplit_once('.') {
        Some((stem, "csv" | "tsv" | "ndjson" | "jsonl" | "json")) => stem,
        _ => name,
    };
    let ending = match format {
        Format::Csv => "csv",
        Format::Ndjson => "ndjson",
        Format::Json => "json",
    };
    match number {
        1 => format!("{stem}.rejects.{ending}"),
        number => format!("{stem}.rejects-{number}.{ending}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_named_after_the_input() {
        for (input, format, number, expected) in [
            ("/data/flights.csv.gz", Format::Csv, 1, "flights.rejects.csv"),
            ("flights.csv", Format::Csv, 2, "flights.rejects-2.csv"),
            ("-", Format::Ndjson, 1, "stdin.rejects.ndjson"),
            ("a.b", Format::Json, 1, "a.b.rejects.json"),
        ] {
            assert_eq!(name(Path::new(input), format, number), expected);
        }
    }
}
