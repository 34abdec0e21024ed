//! `get`: records by their ids.

use uuid::Uuid;

use super::connect::{Target, with_client};
use super::output::{Form, Output};
use super::{Failure, tell};

const EXAMPLES: &str = "\
Examples:
  blazedb get notes 018f3c7a-5b2f-7abc-8def-0123456789ab
  blazedb get notes -o json 018f3c7a-5b2f-7abc-8def-0123456789ab

The records are printed in the order of the ids. An id that has no record is told on stderr, and the exit status is \
1 then.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection
    collection: String,
    /// The ids of the records
    #[arg(required = true, value_name = "ID")]
    ids: Vec<Uuid>,
    /// How the records are printed
    #[arg(short, long, value_enum, default_value = "ndjson")]
    output: Form,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, ids, output } = args;
    let found = with_client(target, async |client| Ok(client.get_many(&collection, &ids).await?))?;
    let mut output = Output::stdout(output);
    for record in &found {
        output.record(&record.bytes)?;
    }
    output.finish()?;
    let known: std::collections::HashSet<Uuid> = found.iter().filter_map(|record| record.id()).collect();
    let missing: Vec<&Uuid> = ids.iter().filter(|id| !known.contains(id)).collect();
    let Some((last, before)) = missing.split_last() else { return Ok(()) };
    let text = |id: &Uuid| {
        format!("{collection} has no record {id}; 'blazedb scan {collection}' prints those it has")
    };
    before.iter().for_each(|id| tell(text(id)));
    Err(Failure::new(text(last)))
}
