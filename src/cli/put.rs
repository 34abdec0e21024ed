//! `put`: records of typed JSON into a collection.

use std::collections::VecDeque;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::connect::{Target, with_client};
use super::input::Lines;
use super::output::{Form, Output};
use super::record::read_line;
use super::{ExitStatus, Failure, tell};
use crate::blazebinary::{Record, json};
use crate::client::{Client, Error, Pending, Receipt};

const EXAMPLES: &str = "\
Examples:
  echo '{\"title\":\"Hello\",\"priority\":1}' | blazedb put notes
  blazedb put notes records.ndjson
  blazedb put notes --record '{\"id\":{\"$uuid\":\"018f3c7a-5b2f-7abc-8def-0123456789ab\"},\"title\":\"Hi\"}'

A record replaces the one that has its id; without an id it gets a new one (a UUID of version 7). The ids are \
printed in the order of the input, each once its record is on the server's stable storage.

A line that is no record ends the run with exit status 1; what came before it is written. A record that the server \
refuses is told with its line, and the others are written; the exit status is 4 then. 'blazedb record encode --help' \
describes typed JSON.";

/// Records read ahead: what the reader of the file may be in front of the connection.
const READ_AHEAD: usize = 64;
/// Records under way: as many as the protocol allows to be unacknowledged.
const IN_FLIGHT: usize = crate::wire::limits::MAX_OPERATION_WINDOW as usize;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection; it begins with its first record
    collection: String,
    /// The file to read, typed JSON, one record a line; - is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The record itself, instead of a file
    #[arg(long, value_name = "JSON", conflicts_with = "file")]
    record: Option<String>,
}

type Read = Result<(u64, Record), Failure>;

/// A record under way.
struct Sent {
    line: u64,
    id: Uuid,
    outcome: Pending,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, file, record } = args;
    let records = match record {
        Some(text) => one(&text)?,
        None => read_ahead(file),
    };
    let mut output = Output::stdout(Form::Ndjson);
    let done = with_client(target, async |client| put_all(&client, &collection, records, &mut output).await);
    let flushed = output.flush();
    done.and(flushed)
}

fn one(text: &str) -> Result<mpsc::Receiver<Read>, Failure> {
    let record = json::read_record(text)
        .map_err(|error| Failure::usage(format_args!("--record: column {}: {}", error.column, error.kind)))?;
    let (sender, records) = mpsc::channel(1);
    // The channel is new and holds one.
    let _ = sender.try_send(Ok((1, record)));
    Ok(records)
}

/// Reads on a thread of its own: the connection must not wait for a file or a person.
fn read_ahead(file: PathBuf) -> mpsc::Receiver<Read> {
    let (sender, records) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || {
        let read_all = || {
            let mut lines = Lines::open(&file, "records as typed JSON")?;
            while let Some(line) = lines.next()? {
                let record = read_line(&line)?;
                if sender.blocking_send(Ok((line.number, record))).is_err() {
                    break;
                }
            }
            Ok(())
        };
        if let Err(failure) = read_all() {
            // Nobody listens after another failure.
            let _ = sender.blocking_send(Err(failure));
        }
    });
    records
}

async fn put_all(
    client: &Client,
    collection: &str,
    mut records: mpsc::Receiver<Read>,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut sent = VecDeque::new();
    let (mut open, mut failure, mut refused) = (true, None, 0u64);
    while open || !sent.is_empty() {
        tokio::select! {
            biased;
            outcome = Front(&mut sent) => {
                let Some(Sent { line, id, .. }) = sent.pop_front() else { continue };
                match outcome {
                    Ok(_) => output.line(id)?,
                    Err(Error::Refused(why)) => {
                        refused = refused.saturating_add(1);
                        tell(format_args!("line {line}: {why}"));
                    }
                    Err(error) => return Err(error.into()),
                }
                if sent.is_empty() {
                    output.flush()?;
                }
            }
            read = records.recv(), if open && sent.len() < IN_FLIGHT => match read {
                None => open = false,
                Some(Err(why)) => (open, failure) = (false, Some(why)),
                Some(Ok((line, record))) => match client.begin_put(collection, record).await {
                    Ok((id, outcome)) => sent.push_back(Sent { line, id, outcome }),
                    Err(Error::Input(why)) => {
                        let why = Failure::from(Error::Input(why));
                        (open, failure) = (false, Some(at_line(line, why)));
                    }
                    Err(error) => return Err(error.into()),
                },
            },
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None if refused > 0 => {
            Err(Failure::Status(ExitStatus::Refused, format!("{refused} record(s) were refused")))
        }
        None => Ok(()),
    }
}

fn at_line(line: u64, failure: Failure) -> Failure {
    match failure {
        Failure::Status(status, message) => Failure::Status(status, format!("line {line}: {message}")),
        other => other,
    }
}

/// The outcome of the first record under way; never ready if there is none.
struct Front<'a>(&'a mut VecDeque<Sent>);

impl Future for Front<'_> {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.front_mut() {
            Some(sent) => Pin::new(&mut sent.outcome).poll(cx),
            None => Poll::Pending,
        }
    }
}
