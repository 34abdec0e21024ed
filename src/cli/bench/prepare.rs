//! What is done before the load and after it: the records that are read, and what is left behind.

use std::collections::VecDeque;

use uuid::Uuid;

use super::args::Plan;
use super::progress::Progress;
use super::records::{Template, known_id};
use crate::blazebinary::Value;
use crate::cli::Failure;
use crate::client::{Client, Pending, Range, State};
use crate::wire::message::{Action, OperationBuilder, RecordOperation};
use crate::wire::{CollectionName, FramedRecord};

/// Bytes of one transaction of the records that are written to be read: far below the limit, and large enough that
/// its own costs do not show.
const BATCH_BYTES: usize = 128 << 10;
/// Such transactions under way.
const IN_FLIGHT: usize = 16;

/// The ids that are read. Unless the collection's own are, writes their records where they are not there.
pub(super) async fn known_ids(
    client: &Client,
    plan: &Plan,
    template: &mut Template,
    progress: &mut Progress,
) -> Result<Vec<Uuid>, Failure> {
    if plan.existing {
        return existing(client, plan, progress).await;
    }
    if plan.reads == 0 && plan.workload != super::args::Workload::Mixed {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = (0..plan.known).map(|number| known_id(plan.seed, number)).collect();
    write(client, plan, template, &ids, progress).await?;
    Ok(ids)
}

async fn existing(client: &Client, plan: &Plan, progress: &mut Progress) -> Result<Vec<Uuid>, Failure> {
    let mut ids = Vec::new();
    let mut pages = client.scan(&plan.collection, Range { limit: plan.known, ..Range::ALL }).await?;
    while let Some(page) = pages.next().await? {
        ids.extend(page.rows().filter_map(|row| row.record.view().ok().and_then(|view| view.id())));
        progress.show(|| format!("finding records: {}", ids.len()));
    }
    if ids.is_empty() {
        let name = &plan.collection;
        return Err(Failure::new(format_args!("{name} has no records; leave out --existing to write some")));
    }
    Ok(ids)
}

/// Writes the records of `ids`. What is there already, equal in every byte, stays as it is.
async fn write(
    client: &Client,
    plan: &Plan,
    template: &mut Template,
    ids: &[Uuid],
    progress: &mut Progress,
) -> Result<(), Failure> {
    let name = CollectionName::new(&plan.collection).map_err(Failure::usage)?;
    let mut under_way: VecDeque<Pending> = VecDeque::new();
    let mut builder = OperationBuilder::new();
    for (done, id) in ids.iter().enumerate() {
        let record = FramedRecord::new(template.fill(*id)).ok_or_else(|| Failure::usage("--size"))?;
        let action = Action::Upsert { record, skip_unchanged: true };
        builder.push(name, &RecordOperation { base: None, action }).map_err(Failure::new)?;
        if builder.payload_bytes() < BATCH_BYTES && done.saturating_add(1) < ids.len() {
            continue;
        }
        let body = std::mem::take(&mut builder).finish().map_err(Failure::new)?;
        under_way.push_back(client.submit(body).await?);
        if under_way.len() >= IN_FLIGHT
            && let Some(first) = under_way.pop_front()
        {
            first.await?;
        }
        progress.show(|| format!("writing the records to be read: {done} of {}", ids.len()));
    }
    for outcome in under_way {
        outcome.await?;
    }
    Ok(())
}

/// The server's program and version.
pub(super) fn server_of(client: &Client) -> String {
    match &*client.state().borrow() {
        State::Connected { server, .. } => server.clone(),
        _ => String::new(),
    }
}

/// How many records the collection has.
pub(super) async fn records_left(client: &Client, plan: &Plan) -> Result<u64, Failure> {
    let rows = client.stats(Some(&plan.collection)).await?;
    let count =
        rows.first().and_then(|row| row.record().ok()).and_then(|record| record.get("records").cloned());
    Ok(match count {
        Some(Value::Int(count)) => u64::try_from(count).unwrap_or(0),
        _ => 0,
    })
}
