//! `import`: the records of a file into a collection, so that importing it again changes nothing.

mod batch;
pub(super) mod column_type;
pub(super) mod columns;
mod csv_rows;
mod duplicates;
pub mod fuzzing;
mod ids;
mod json_items;
mod read;
mod records;
mod rejects;
mod report;
mod send;
mod source;
mod survey;
mod window;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use super::connect::{Target, with_client};
use super::progress::Progress;
use super::{ExitStatus, Failure};
use crate::client::{Client, InputError};
use crate::wire::CollectionName;
use rejects::{Place, Rejects};
use send::End;
use source::{Format, Source};
use survey::{Surveyed, Wishes};

const EXAMPLES: &str = "\
Examples:
  blazedb import flights flights.csv.gz --null NA
  blazedb import flights flights.csv --null NA --key carrier,flight,time_hour
  blazedb import people people.csv --types phone=string,born=date
  blazedb import notes notes.ndjson
  curl -s https://example.org/people.json | blazedb import people - --format json
  blazedb import flights flights.csv --null NA --dry-run

The file is CSV with a header, NDJSON (one record a line) or one JSON array, each also compressed with gzip. A column of \
CSV has one type: bool, int, double, date, uuid or string, decided by all its rows and printed as the --types that says \
the same; json, which is never decided, holds typed JSON. An empty field is left out of its record; a field that is one \
of the texts of --null is null.

Records keep their id where it is a UUID. Else ids are made of the fields of --key, or of the file and the row; a field \
id that holds something else is kept as source_id, and is the key. So importing the same file again, or going on after \
an interruption, changes nothing that is there already. Of records with one key the last in the file is imported.

Rows that cannot be imported are told with their lines and kept in NAME.rejects.FORMAT in the working directory, their \
reasons beside it in .txt; the others are imported. A transaction is a part of the file, not the whole.

Exit status: 0 when all is imported, 5 when rows were rejected, 130 when it was interrupted; others as for all commands.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection; it begins with its first record
    collection: String,
    /// The file to read; - is standard input
    file: PathBuf,
    /// What the file holds, if its name and its beginning do not say it
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Types of columns of CSV, instead of those decided: NAME=TYPE,…
    #[arg(long, value_name = "TYPES")]
    types: Vec<String>,
    /// Texts that mean null in CSV
    #[arg(long, value_name = "TEXT", value_delimiter = ',')]
    null: Vec<String>,
    /// The fields that ids are made of
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    key: Vec<String>,
    /// What separates the fields of CSV: a character, or 'tab'
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// Where rejected rows go, whatever stands there
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Print types, ids and the first records, and import nothing
    #[arg(long)]
    dry_run: bool,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if matches!(text, "tab" | "\\t") => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("one ASCII character that is no quote, or 'tab'".to_owned()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the command line tells how long it took")]
fn now() -> Instant {
    Instant::now()
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let began = now();
    CollectionName::new(&args.collection)
        .map_err(|error| Failure::from(crate::client::Error::Input(InputError::Name(error))))?;
    let source = Source::open(&args.file)?;
    let wishes = wishes(&args, &source)?;
    let place = match (&args.rejects, args.dry_run) {
        (_, true) => Place::Nowhere,
        (Some(path), _) => Place::Given(path.clone()),
        (None, _) => Place::Beside(args.file.clone()),
    };
    if args.dry_run {
        let surveyed = look(&source, &wishes)?;
        return report::dry_run(&source, &surveyed, Rejects::new(place, wishes.format, &[]));
    }
    let outcome = with_client(target, async |client| import(&client, source, wishes, place).await)?;
    report::outcome(&args.collection, outcome, began.elapsed())
}

fn wishes(args: &Args, source: &Source) -> Result<Wishes, Failure> {
    let format = args.format.map_or_else(|| source.format(&args.file), Ok)?;
    let mut types = Vec::new();
    for list in &args.types {
        types.extend(columns::parse_types(list).map_err(Failure::usage)?);
    }
    if format != Format::Csv && !(types.is_empty() && args.null.is_empty() && args.delimiter.is_none()) {
        return Err(Failure::usage(
            "--types, --null and --delimiter are for CSV; JSON says its types itself",
        ));
    }
    let tabs = source::is_tab_separated(&args.file);
    Ok(Wishes {
        collection: args.collection.clone(),
        format,
        delimiter: args.delimiter.unwrap_or(if tabs { b'\t' } else { b',' }),
        nulls: args.null.clone(),
        types,
        key: args.key.clone(),
    })
}

/// What an import did.
struct Outcome {
    accepted: u64,
    unchanged: u64,
    rejected: u64,
    kept: Option<PathBuf>,
    end: End,
}

/// How often the progress of the first pass is shown.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// The first pass, on a thread of its own, so that the connection stays alive meanwhile.
async fn look_beside(source: Source, wishes: Wishes) -> Result<(Source, Surveyed), Failure> {
    let progress = Progress::of_bytes("reading", source.known_bytes());
    let counted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&counted);
    let mut look = tokio::task::spawn_blocking(move || {
        let surveyed = survey::survey(&source, &wishes, &counter);
        surveyed.map(|surveyed| (source, surveyed))
    });
    loop {
        match tokio::time::timeout(SHOWN_EVERY, &mut look).await {
            Ok(done) => return done.unwrap_or_else(|error| Err(Failure::new(error))),
            Err(_) => progress.set(read::counted(&counted), 0),
        }
    }
}

fn look(source: &Source, wishes: &Wishes) -> Result<Surveyed, Failure> {
    survey::survey(source, wishes, &Arc::new(AtomicU64::new(0)))
}

async fn import(client: &Client, source: Source, wishes: Wishes, place: Place) -> Result<Outcome, Failure> {
    let (source, surveyed) = look_beside(source, wishes).await?;
    report::plan(&surveyed)?;
    let Surveyed { plan, duplicates, bytes, .. } = surveyed;
    let header = plan.columns.as_ref().map(|columns| columns.header.as_slice()).unwrap_or_default();
    let mut rejects = Rejects::new(place, plan.format, header);
    let progress = Progress::of_bytes("importing", Some(bytes));
    let mut messages = read::begin(source, plan, duplicates);
    let sent = send::send_all(client, &mut messages, &mut rejects, &progress).await;
    drop(progress);
    let rejected = rejects.count();
    let kept = rejects.finish()?;
    if matches!(sent.end, End::Abandoned) {
        // Closing the connection would wait for what the user does not want to wait for.
        return Err(report::interrupted(sent.accepted));
    }
    Ok(Outcome { accepted: sent.accepted, unchanged: client.unchanged(), rejected, kept, end: sent.end })
}
