//! `export`: the records of a collection into a file that `import` reads back.

#![expect(clippy::disallowed_types, reason = "the command line is where files are opened")]

mod csv;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Seek, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use uuid::Uuid;

use super::connect::{Target, with_client};
use super::progress::Progress;
use super::{Failure, tell};
use crate::blazebinary::{RecordView, json};
use crate::client::{Client, Error, Page, Range};
use crate::wire::ErrorCode;
use csv::Columns;

const EXAMPLES: &str = "\
Examples:
  blazedb export notes > notes.ndjson
  blazedb export flights -o csv --output flights.csv.gz

NDJSON holds every value exactly: importing it gives the same records. CSV has a column for every field of any record, \
and its types are told on stderr as the options with which 'import' reads the same values back; what has no type of its \
own (lists, vectors, bytes, a field of several types) is typed JSON in its cell. An empty field is one that the record \
does not have, \"\" an empty text, NULL without quotes a null.

The records are as they were at one moment, in the order of their ids; what takes longer than a minute to read, or is \
cut off, is read on as it is then, which is told on stderr. A file is complete or not there: it is written beside its \
place as NAME.partial. A name that ends in .gz is compressed.";

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One record a line, as typed JSON
    Ndjson,
    /// Comma-separated values with a header
    Csv,
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection
    collection: String,
    /// How the records are written
    #[arg(short = 'o', value_enum, default_value = "ndjson", long = "form", value_name = "FORM")]
    form: Form,
    /// The file to write, instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, form, output } = args;
    let watched = output.is_none() && io::stdout().is_terminal();
    let mut sink = Sink::open(output)?;
    with_client(target, async |client| {
        let progress = (!watched).then(|| Progress::of_bytes("exporting", None));
        let mut reader = Reader { client: &client, collection: &collection, progress, records: 0, bytes: 0 };
        match form {
            Form::Ndjson => reader.read(|record, text| write_line(record, text, &mut sink)).await,
            Form::Csv => write_csv(&mut reader, &mut sink).await,
        }
    })?;
    sink.finish()
}

fn write_line(record: RecordView<'_>, text: &mut String, sink: &mut Sink) -> Result<(), Failure> {
    json::write_record(record, text);
    text.push('\n');
    sink.write(text.as_bytes())
}

/// The columns are known when all records are seen, so they wait in a temporary file.
async fn write_csv(reader: &mut Reader<'_>, sink: &mut Sink) -> Result<(), Failure> {
    let spooling = |error: io::Error| Failure::new(format_args!("cannot use a temporary file: {error}"));
    let mut spool = BufWriter::new(tempfile::tempfile().map_err(spooling)?);
    let mut columns = Columns::default();
    let mut count = 0u64;
    reader
        .read(|record, _| {
            columns.see(record);
            count = count.saturating_add(1);
            let bytes = record.as_bytes();
            // A record has at most 1 MiB.
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
            spool.write_all(&length).and_then(|()| spool.write_all(bytes)).map_err(spooling)
        })
        .await?;
    let mut file = spool.into_inner().map_err(|error| spooling(error.into_error()))?;
    file.rewind().map_err(spooling)?;
    let mut spool = BufReader::new(file);
    let (mut text, mut bytes) = (String::new(), Vec::new());
    columns.write_header(&mut text);
    sink.write(text.as_bytes())?;
    for _ in 0..count {
        let mut length = [0; 4];
        spool.read_exact(&mut length).map_err(spooling)?;
        bytes.resize(usize::try_from(u32::from_be_bytes(length)).unwrap_or(0), 0);
        spool.read_exact(&mut bytes).map_err(spooling)?;
        text.clear();
        columns.write_row(view(&bytes)?, &mut text);
        sink.write(text.as_bytes())?;
    }
    if count > 0 {
        tell(format_args!("read it back with: blazedb import COLLECTION FILE {}", columns.options()));
    }
    Ok(())
}

fn view(bytes: &[u8]) -> Result<RecordView<'_>, Failure> {
    let wrong = |error| Failure::new(format_args!("the server sent a record that is wrong: {error}"));
    RecordView::canonical(bytes).map_err(wrong)
}

/// Reads a collection.
struct Reader<'c> {
    client: &'c Client,
    collection: &'c str,
    progress: Option<Progress>,
    records: u64,
    bytes: u64,
}

impl Reader<'_> {
    /// Hands every record to `take`, with an empty text for its use. What a connection that broke or a snapshot that
    /// grew too old leaves is asked for again.
    async fn read(
        &mut self,
        mut take: impl FnMut(RecordView<'_>, &mut String) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (mut last, mut text, mut told) = (None, String::new(), false);
        loop {
            let lower = last.map_or(Bound::Unbounded, Bound::Excluded);
            let mut pages = self.client.scan(self.collection, Range { lower, ..Range::ALL }).await?;
            loop {
                match pages.next().await {
                    Ok(Some(page)) => self.hand_out(&page, &mut last, &mut text, &mut take)?,
                    Ok(None) => return Ok(()),
                    Err(error) if can_go_on(&error) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            if last.is_some() && !told {
                tell("the rest is read as it is now: the records are no longer all of one moment");
                told = true;
            }
        }
    }

    fn hand_out(
        &mut self,
        page: &Page,
        last: &mut Option<Uuid>,
        text: &mut String,
        take: &mut impl FnMut(RecordView<'_>, &mut String) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for row in page.rows() {
            let record = view(row.record.bytes())?;
            text.clear();
            take(record, text)?;
            *last = record.id();
            self.records = self.records.saturating_add(1);
            self.bytes = self.bytes.saturating_add(u64::try_from(record.as_bytes().len()).unwrap_or(0));
        }
        if let Some(progress) = &self.progress {
            progress.set(self.bytes, self.records);
        }
        Ok(())
    }
}

/// Whether the rest of an answer may be asked for.
fn can_go_on(error: &Error) -> bool {
    matches!(error, Error::Interrupted) || error.code() == Some(ErrorCode::SnapshotExpired)
}

/// Where the export goes.
struct Sink {
    writer: Writer,
    /// Where the file is written, and where it belongs.
    paths: Option<(Partial, PathBuf)>,
}

/// A file that is not complete yet; what is not completed is removed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // One that was completed is not there under this name.
        let _ = std::fs::remove_file(&self.0);
    }
}

enum Writer {
    Plain(BufWriter<Box<dyn Write>>),
    Gzip(Box<GzEncoder<BufWriter<File>>>),
    File(BufWriter<File>),
}

impl Sink {
    fn open(output: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(path) = output else {
            let stdout: Box<dyn Write> = Box::new(io::stdout());
            return Ok(Self { writer: Writer::Plain(BufWriter::new(stdout)), paths: None });
        };
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial)
            .map_err(|error| Failure::new(format_args!("cannot write '{}': {error}", partial.display())))?;
        let partial = Partial(partial);
        let file = BufWriter::new(file);
        let writer = match is_gzip(&path) {
            true => Writer::Gzip(Box::new(GzEncoder::new(file, Compression::default()))),
            false => Writer::File(file),
        };
        Ok(Self { writer, paths: Some((partial, path)) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &mut self.writer {
            Writer::Plain(writer) => writer.write_all(bytes),
            Writer::Gzip(writer) => writer.write_all(bytes),
            Writer::File(writer) => writer.write_all(bytes),
        };
        written.map_err(|error| Failure::writing(&error))
    }

    /// Completes the file and puts it in its place.
    fn finish(self) -> Result<(), Failure> {
        let file = match self.writer {
            Writer::Plain(mut writer) => return writer.flush().map_err(|error| Failure::writing(&error)),
            Writer::Gzip(writer) => writer.finish().and_then(into_file),
            Writer::File(writer) => into_file(writer),
        };
        let Some((partial, path)) = self.paths else { return Ok(()) };
        let placed = file.and_then(|file| file.sync_all()).and_then(|()| std::fs::rename(&partial.0, &path));
        placed.map_err(|error| Failure::new(format_args!("cannot write '{}': {error}", path.display())))
    }
}

fn into_file(writer: BufWriter<File>) -> io::Result<File> {
    writer.into_inner().map_err(io::IntoInnerError::into_error)
}

fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"))
}
