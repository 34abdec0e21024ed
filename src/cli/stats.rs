//! `stats`: which databases and collections there are, and how many records.

use super::Failure;
use super::connect::{Target, with_client};
use super::output::{Form, Output};

const EXAMPLES: &str = "\
Examples:
  blazedb stats
  blazedb stats notes -o json
  blazedb --url blaze://db.example.org/app stats

One record a collection, of all databases of the server: its database and name, how many records it has, and how many \
deletions are remembered for clients that were away. A database without collections has one record, whose collection is null. \
With a collection, its record alone, in the database that the URL names.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// One collection of the URL's database, instead of all of every database
    collection: Option<String>,
    /// How the counts are printed
    #[arg(short, long, value_enum, default_value = "ndjson")]
    output: Form,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, output } = args;
    let rows = with_client(target, async |client| Ok(client.stats(collection.as_deref()).await?))?;
    let mut output = Output::stdout(output);
    for row in &rows {
        output.record(&row.bytes)?;
    }
    output.finish()
}
