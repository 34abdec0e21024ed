//! The first pass over a file: its hash, the types of its columns, where ids come from, which ids repeat.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::column_type::ColumnType;
use super::columns::{Columns, Survey};
use super::csv_rows::{CsvRows, Next};
use super::duplicates::{Duplicates, Ids};
use super::ids::{ID, SOURCE_ID};
use super::records::{Found, Origin, Plan, Records};
use super::source::{Format, Hashing, Source};
use crate::cli::Failure;

/// What the command line says of the file.
#[derive(Debug, Clone)]
pub(super) struct Wishes {
    pub(super) collection: String,
    pub(super) format: Format,
    pub(super) delimiter: u8,
    pub(super) nulls: Vec<String>,
    pub(super) types: Vec<(String, ColumnType)>,
    pub(super) key: Vec<String>,
}

/// What the first pass found.
pub(super) struct Surveyed {
    pub(super) plan: Plan,
    pub(super) duplicates: Duplicates,
    pub(super) origins: Origins,
    /// Of the file, decompressed.
    pub(super) bytes: u64,
}

/// How many records get their ids from where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Origins {
    pub(super) own: u64,
    pub(super) key: u64,
    pub(super) source_id: u64,
    pub(super) row: u64,
}

/// Reads the whole file, and what it counts as it goes into `counted`.
pub(super) fn survey(
    source: &Source,
    wishes: &Wishes,
    counted: &Arc<AtomicU64>,
) -> Result<Surveyed, Failure> {
    let failed = |error: io::Error| source.failure(&error);
    let mut file = Hashing::new(source.reader().map_err(failed)?, Arc::clone(counted));
    let mut plan = Plan {
        collection: wishes.collection.clone(),
        format: wishes.format,
        delimiter: wishes.delimiter,
        nulls: wishes.nulls.clone(),
        columns: None,
        key: None,
        // Known when the file is read; the ids that are made of it do not repeat.
        file: [0; 32],
    };
    let mut found = (Duplicates::default(), Origins::default());
    if wishes.format == Format::Csv {
        let columns = columns(&mut file, wishes).map_err(|error| match error {
            Trouble::Reading(error) => source.failure(&error),
            Trouble::Content(what) => Failure::usage(what),
        })?;
        (plan.columns, plan.key) = ids_of_columns(columns, wishes)?;
        if plan.key.is_some() || plan.columns.as_ref().is_some_and(|columns| columns.get(ID).is_some()) {
            found = look_at_ids(&plan, source.reader().map_err(failed)?).map_err(failed)?;
        }
    } else {
        let key = wishes.key.iter().map(|field| renamed(field)).collect::<Vec<_>>();
        plan.key = (!key.is_empty()).then_some(key);
        found = look_at_ids(&plan, &mut file).map_err(failed)?;
    }
    let (hash, bytes) = file.finish().map_err(failed)?;
    plan.file = hash;
    let (duplicates, origins) = found;
    Ok(Surveyed { plan, duplicates, origins, bytes })
}

/// Why there are no columns.
enum Trouble {
    Reading(io::Error),
    Content(String),
}

fn columns(file: impl Read, wishes: &Wishes) -> Result<Columns, Trouble> {
    let mut rows = CsvRows::new(file, wishes.delimiter).map_err(Trouble::Reading)?;
    let mut survey = match rows.next().map_err(Trouble::Reading)? {
        Next::Found(header) => Survey::new(header).map_err(Trouble::Content)?,
        _ => {
            return Err(Trouble::Content(
                "the file has no header; its first row names the fields".to_owned(),
            ));
        }
    };
    loop {
        match rows.next().map_err(Trouble::Reading)? {
            Next::Found(row) => survey.see(row, &wishes.nulls),
            Next::TooLong { .. } => {}
            Next::End => return survey.finish(&wishes.types).map_err(Trouble::Content),
        }
    }
}

/// Where ids come from: a column `id` that holds no UUIDs, or that a key stands in for, becomes `source_id`.
fn ids_of_columns(
    columns: Columns,
    wishes: &Wishes,
) -> Result<(Option<Columns>, Option<Vec<String>>), Failure> {
    let id = columns.get(ID).map(|column| column.kind);
    let keeps_id = wishes.key.is_empty() && id == Some(ColumnType::Uuid);
    if id.is_none() || keeps_id {
        let key = known_key(&columns, wishes.key.clone())?;
        return Ok((Some(columns), key));
    }
    if columns.get(SOURCE_ID).is_some() {
        let what = "the file has both id and source_id, and id holds no UUIDs or is replaced by a key";
        return Err(Failure::usage(format_args!("{what}; rename one in the header")));
    }
    let columns = columns.renamed(ID, SOURCE_ID);
    let key = match wishes.key.as_slice() {
        [] => vec![SOURCE_ID.to_owned()],
        key => key.iter().map(|field| renamed(field)).collect(),
    };
    let key = known_key(&columns, key)?;
    Ok((Some(columns), key))
}

/// Who makes a key of `id` means the column of the file.
fn renamed(field: &str) -> String {
    if field == ID { SOURCE_ID.to_owned() } else { field.to_owned() }
}

fn known_key(columns: &Columns, key: Vec<String>) -> Result<Option<Vec<String>>, Failure> {
    match key.iter().find(|field| columns.get(field).is_none()) {
        Some(field) => Err(Failure::usage(format_args!(
            "--key: there is no column '{field}'; there are {}",
            columns.names()
        ))),
        None => Ok((!key.is_empty()).then_some(key)),
    }
}

/// The ids of all records that have one by their content.
fn look_at_ids(plan: &Plan, file: impl Read) -> io::Result<(Duplicates, Origins)> {
    let mut records = Records::new(plan, file)?;
    let (mut ids, mut origins) = (Ids::default(), Origins::default());
    loop {
        match records.next()? {
            Found::End => return Ok((ids.finish(), origins)),
            Found::Bad(_) => {}
            Found::Record(record) => {
                let count = match record.origin {
                    Origin::Own => &mut origins.own,
                    Origin::Key => &mut origins.key,
                    Origin::SourceId => &mut origins.source_id,
                    Origin::Row => &mut origins.row,
                };
                *count = count.saturating_add(1);
                if record.origin != Origin::Row {
                    ids.see(record.id, record.row);
                }
            }
        }
    }
}
