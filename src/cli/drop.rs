//! `drop`: a collection with all its records.

use std::io::{self, BufRead, IsTerminal, Write};

use super::connect::{Target, with_client};
use super::output::{Form, Output};
use super::{ExitStatus, Failure};
use crate::blazebinary::{RecordView, ValueView};
use crate::client::Client;

const EXAMPLES: &str = "\
Examples:
  blazedb drop notes --yes
  blazedb drop notes

Without --yes the name must be typed once more; where nobody can type, nothing is dropped and the exit status is 2.
Where there is no such collection the exit status is 4. Dropping takes a moment however many records there are; the room
that they took on the disk comes back afterwards. A record that is put under the name later begins a new collection.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection
    collection: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, yes } = args;
    if !yes {
        let (stdin, stderr) = (io::stdin(), io::stderr());
        if !stdin.is_terminal() || !stderr.is_terminal() {
            let advice = format!("drop removes all records of {collection} for good: say so with --yes");
            return Err(Failure::usage(advice));
        }
        // A person may take longer than a connection lives in silence.
        let records = with_client(target, async |client| count(&client, &collection).await)?;
        ask(&collection, records, &mut stdin.lock(), &mut stderr.lock())?;
    }
    let records = with_client(target, async |client| {
        let records = count(&client, &collection).await?;
        client.drop_collection(&collection).await?;
        Ok(records)
    })?;
    let mut output = Output::stdout(Form::Ndjson);
    output.line(format_args!("dropped {collection}: {}", in_words(records)))?;
    output.finish()
}

/// How many records a collection has; there must be one.
async fn count(client: &Client, collection: &str) -> Result<i64, Failure> {
    let rows = client.stats(Some(collection)).await?;
    let count = rows.first().and_then(|row| {
        let record = RecordView::canonical(&row.bytes).ok()?;
        match record.get("records")? {
            ValueView::Int(records) => Some(records),
            _ => None,
        }
    });
    let missing =
        || format!("There is no collection {collection} here: blazedb stats names those that there are.");
    count.ok_or_else(|| Failure::Status(ExitStatus::Refused, missing()))
}

/// Lets a person type the name.
fn ask(
    collection: &str,
    records: i64,
    typed: &mut impl BufRead,
    terminal: &mut impl Write,
) -> Result<(), Failure> {
    let records = in_words(records);
    write!(terminal, "{collection} has {records}. Type its name to drop it for good: ")
        .and_then(|()| terminal.flush())
        .map_err(|error| Failure::new(format_args!("cannot ask: {error}")))?;
    let mut line = String::new();
    typed
        .read_line(&mut line)
        .map_err(|error| Failure::new(format_args!("cannot read the answer: {error}")))?;
    if line.trim() == collection {
        Ok(())
    } else {
        Err(Failure::new("that is not its name: nothing was dropped"))
    }
}

fn in_words(records: i64) -> String {
    format!("{records} {}", if records == 1 { "record" } else { "records" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_name_drops_a_collection() {
        for (typed, is_dropped) in [
            ("notes\n", true),
            (" notes ", true),
            ("", false),
            ("y\n", false),
            ("yes\n", false),
            ("Notes\n", false),
        ] {
            let mut shown = Vec::new();
            let answer = ask("notes", 1, &mut typed.as_bytes(), &mut shown);
            assert_eq!(answer.is_ok(), is_dropped, "{typed:?}");
            let shown = String::from_utf8(shown).unwrap();
            assert_eq!(shown, "notes has 1 record. Type its name to drop it for good: ");
        }
    }
}
