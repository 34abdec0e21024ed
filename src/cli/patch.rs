//! `patch`: sets and removes fields of a record.

use uuid::Uuid;

use super::Failure;
use super::connect::{Target, with_client};
use crate::blazebinary::{Record, json};

const EXAMPLES: &str = "\
Examples:
  blazedb patch notes 018f3c7a-5b2f-7abc-8def-0123456789ab --set '{\"priority\":2}'
  blazedb patch notes 018f3c7a-5b2f-7abc-8def-0123456789ab --set '{\"done\":true}' --remove draft --remove due

Only fields of the record itself are set and removed, not fields inside fields. Other fields stay as they are, whoever \
changes them meanwhile.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection
    collection: String,
    /// The id of the record
    id: Uuid,
    /// The fields to set, as an object of typed JSON
    #[arg(long, value_name = "JSON", required_unless_present = "remove")]
    set: Option<String>,
    /// A field to remove; may be given more than once
    #[arg(long, value_name = "FIELD")]
    remove: Vec<String>,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, id, set, remove } = args;
    let set = set.as_deref().map(read_fields).transpose()?.unwrap_or_default();
    with_client(target, async |client| Ok(client.patch(&collection, id, &set, &remove).await?))?;
    Ok(())
}

fn read_fields(text: &str) -> Result<Record, Failure> {
    json::read_record(text)
        .map_err(|error| Failure::usage(format_args!("--set: column {}: {}", error.column, error.kind)))
}
