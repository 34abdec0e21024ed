//! `delete`: records by their ids.

use uuid::Uuid;

use super::connect::{Target, with_client};
use super::{ExitStatus, Failure, tell};
use crate::client::Error;

const EXAMPLES: &str = "\
Examples:
  blazedb delete notes 018f3c7a-5b2f-7abc-8def-0123456789ab
  blazedb delete notes 018f3c7a-5b2f-7abc-8def-0123456789ab 018f3c7a-5b2f-7abc-8def-0123456789ac

An id that has no record is passed over: it is as it should be. A deletion that the server refuses is told on stderr, \
and the others are done; the exit status is 4 then.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection
    collection: String,
    /// The ids of the records
    #[arg(required = true, value_name = "ID")]
    ids: Vec<Uuid>,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, ids } = args;
    let refused = with_client(target, async |client| {
        let mut sent = Vec::with_capacity(ids.len());
        for id in &ids {
            sent.push((id, client.begin_delete(&collection, *id).await?));
        }
        let mut refused = 0u64;
        for (id, outcome) in sent {
            match outcome.await {
                Ok(_) => {}
                Err(Error::Refused(why)) => {
                    refused = refused.saturating_add(1);
                    tell(format_args!("{id}: {why}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(refused)
    })?;
    match refused {
        0 => Ok(()),
        _ => Err(Failure::Status(ExitStatus::Refused, format!("{refused} record(s) were not deleted"))),
    }
}
