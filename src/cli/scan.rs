//! `scan`: the records of a collection.

use std::ops::Bound;

use uuid::Uuid;

use super::Failure;
use super::connect::{Target, with_client};
use super::output::{Form, Output};
use crate::client::Range;

const EXAMPLES: &str = "\
Examples:
  blazedb scan notes
  blazedb scan notes --limit 10 --reverse
  blazedb scan notes --from 018f3c7a-0000-7000-8000-000000000000 -o json

The records are as they were at one moment, in the order of their ids: ids of version 7, which records get that have \
none of their own, are in the order of time.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection
    collection: String,
    /// How many records at most
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// The least id
    #[arg(long, value_name = "ID")]
    from: Option<Uuid>,
    /// The greatest id
    #[arg(long, value_name = "ID")]
    to: Option<Uuid>,
    /// Begin with the greatest id
    #[arg(long)]
    reverse: bool,
    /// How the records are printed
    #[arg(short, long, value_enum, default_value = "ndjson")]
    output: Form,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, limit, from, to, reverse, output } = args;
    let bound = |id: Option<Uuid>| id.map_or(Bound::Unbounded, Bound::Included);
    let range = Range { lower: bound(from), upper: bound(to), reverse, limit: limit.unwrap_or(0) };
    let mut output = Output::stdout(output);
    with_client(target, async |client| {
        let mut pages = client.scan(&collection, range).await?;
        while let Some(page) = pages.next().await? {
            for row in page.rows() {
                output.record(row.record.bytes())?;
            }
        }
        Ok(())
    })?;
    output.finish()
}
