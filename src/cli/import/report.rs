//! What an import says: what it found, what it did.

use std::io::{self, Write};
use std::time::Duration;

use super::column_type::ColumnType;
use super::columns::Columns;
use super::duplicates::MAX_TRACKED_IDS;
use super::ids::SOURCE_ID;
use super::records::{Found, Records};
use super::rejects::Rejects;
use super::send::End;
use super::source::{Format, Source};
use super::survey::{Origins, Surveyed};
use super::{ExitStatus, Failure, Outcome};
use crate::blazebinary::{RecordView, json};
use crate::cli::progress::per_second;
use crate::cli::tell;

/// Records that a dry run prints.
const SHOWN_RECORDS: u64 = 5;

/// What to do when not all was imported.
const AGAIN: &str = "run the same command again to go on: what is imported stays as it is";

fn print(line: impl std::fmt::Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(|error| Failure::writing(&error))
}

/// Says how the file is read.
pub(super) fn plan(surveyed: &Surveyed) -> Result<(), Failure> {
    let Surveyed { plan, duplicates, origins, .. } = surveyed;
    if let Some(columns) = &plan.columns {
        print(format_args!("types: {}", columns.as_option()))?;
        point_out(columns);
    }
    print(format_args!("ids: {}", ids(plan.format, plan.key.as_deref(), origins)))?;
    if duplicates.incomplete {
        tell(format_args!(
            "repeated keys are looked for among the first {MAX_TRACKED_IDS} only; of others every record is written, \
             the last one last"
        ));
    }
    Ok(())
}

fn ids(format: Format, key: Option<&[String]>, origins: &Origins) -> String {
    let by_row = "of the file and the row";
    if let Some(key) = key {
        return match key {
            [only] if only == SOURCE_ID && format == Format::Csv => {
                format!(
                    "of the key {SOURCE_ID}, which is the column id: it holds no UUIDs, or --key names it"
                )
            }
            key => format!("of the key {}", key.join(", ")),
        };
    }
    let Origins { own, source_id, row, .. } = *origins;
    let kinds = [
        (own, "their own".to_owned()),
        (source_id, format!("of the key {SOURCE_ID}, which is the field id: it holds no UUID")),
        (row, by_row.to_owned()),
    ];
    let found: Vec<&(u64, String)> = kinds.iter().filter(|(count, _)| *count > 0).collect();
    match found.as_slice() {
        [] => by_row.to_owned(),
        [(_, kind)] => kind.clone(),
        several => {
            let parts = several.iter().map(|(count, kind)| format!("{kind} ({count})"));
            parts.collect::<Vec<_>>().join("; ")
        }
    }
}

/// Columns that would be of a better type if a text meant null.
fn point_out(columns: &Columns) {
    let suspects = |text: &str| {
        let of_text =
            columns.columns.iter().filter(|column| column.suspect.is_some_and(|(found, _)| found == text));
        let name = |column: &super::columns::Column| {
            let better = column.suspect.map_or(ColumnType::String, |(_, better)| better);
            format!("{} ({better})", column.name)
        };
        of_text.map(name).collect::<Vec<_>>()
    };
    let mut told: Vec<&str> = Vec::new();
    for (text, _) in columns.columns.iter().filter_map(|column| column.suspect) {
        if told.contains(&text) {
            continue;
        }
        told.push(text);
        let names = suspects(text).join(", ");
        tell(format_args!("strings only because of '{text}': {names}; --null {text} makes it null"));
    }
}

/// Says what a run did; a failure if not all of the file is in the collection.
pub(super) fn outcome(collection: &str, outcome: Outcome, elapsed: Duration) -> Result<(), Failure> {
    let Outcome { accepted, unchanged, rejected, kept, end } = outcome;
    let superseded = match &end {
        End::Complete(summary) if summary.superseded > 0 => {
            format!(", {} superseded by a later one of the same key", summary.superseded)
        }
        _ => String::new(),
    };
    let changed = accepted.saturating_sub(unchanged);
    print(format_args!(
        "{collection}: {accepted} records in {:.1} s ({}/s): {changed} new or changed, {unchanged} unchanged, \
         {rejected} rejected{superseded}",
        elapsed.as_secs_f64(),
        per_second(accepted, elapsed)
    ))?;
    let kept = kept.map_or_else(String::new, |path| format!(": see {} and .txt beside it", path.display()));
    match end {
        End::Complete(_) if rejected == 0 => Ok(()),
        End::Complete(_) => {
            Err(Failure::Status(ExitStatus::Rejected, format!("{rejected} record(s) were rejected{kept}")))
        }
        End::Interrupted | End::Abandoned => Err(interrupted(accepted)),
        End::Failed(failure) => Err(failure.with_advice(&format!("After {accepted} records; {AGAIN}."))),
    }
}

/// What it means that the user interrupted.
pub(super) fn interrupted(accepted: u64) -> Failure {
    Failure::Status(ExitStatus::Interrupted, format!("interrupted after {accepted} records; {AGAIN}"))
}

/// Says what a run would do.
pub(super) fn dry_run(source: &Source, surveyed: &Surveyed, mut rejects: Rejects) -> Result<(), Failure> {
    plan(surveyed)?;
    let failed = |error: io::Error| source.failure(&error);
    let mut records = Records::new(&surveyed.plan, source.reader().map_err(failed)?).map_err(failed)?;
    let (mut good, mut superseded) = (0u64, 0u64);
    loop {
        match records.next().map_err(failed)? {
            Found::End => break,
            Found::Bad(bad) => rejects.add(bad.line, bad.raw, &bad.why)?,
            Found::Record(record) if surveyed.duplicates.is_superseded(record.id, record.row) => {
                superseded = superseded.saturating_add(1);
            }
            Found::Record(record) => {
                good = good.saturating_add(1);
                if good <= SHOWN_RECORDS
                    && let Ok(view) = RecordView::canonical(record.bytes)
                {
                    let mut text = String::new();
                    json::write_record(view, &mut text);
                    print(text)?;
                }
            }
        }
    }
    let rejected = rejects.count();
    print(format_args!(
        "{}: {good} records would be imported, {rejected} rejected, {superseded} superseded by a later one of the same key",
        surveyed.plan.collection
    ))?;
    match rejected {
        0 => Ok(()),
        _ => Err(Failure::Status(ExitStatus::Rejected, format!("{rejected} record(s) would be rejected"))),
    }
}
