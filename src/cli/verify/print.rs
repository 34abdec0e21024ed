//! How `verify` tells what it found: as text, or as records, one a line or in an array.

use std::io::{self, Write};

use super::report::{Remedy, Report};
use crate::blazebinary::{Layout, Record, Value, encode_record};
use crate::cli::Failure;
use crate::cli::output::{Form, Output};
use crate::log::Mending;
use crate::log::accept::Loss;

/// Lost changes that the text names one by one; `-o ndjson` names all.
const NAMED: usize = 100;

/// Prints a report.
pub(super) fn print(report: &Report, form: Option<Form>) -> Result<(), Failure> {
    match form {
        None => text(&mut io::stdout().lock(), report).map_err(|error| Failure::writing(&error)),
        Some(form) => {
            let mut output = Output::stdout(form);
            for record in records(report) {
                let mut bytes = Vec::new();
                encode_record(&record, Layout::V1, &mut bytes).map_err(Failure::new)?;
                output.record(&bytes)?;
            }
            output.finish()
        }
    }
}

fn text(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let state = if report.is_sound() { "sound" } else { "DAMAGED" };
    writeln!(out, "database {}: {state}", report.name)?;
    if let Some(position) = &report.position {
        writeln!(out, "  position     {position}")?;
    }
    for collection in &report.collections {
        let summary = collection.summary;
        writeln!(
            out,
            "  collection   {}: {} records, {} deletions remembered, digest {:032x}",
            collection.name, summary.live, summary.tombstones, summary.digest
        )?;
    }
    if let Some(log) = &report.log {
        let first =
            log.first.map_or_else(|| "nothing".to_owned(), |first| format!("changes from {first} on"));
        writeln!(out, "  log          {} transactions, {first}", log.transactions)?;
    }
    for finding in &report.findings {
        writeln!(out, "  wrong        {finding}")?;
    }
    let told = u64::try_from(report.findings.len()).unwrap_or(u64::MAX);
    if let Some(more) = report.wrong.checked_sub(told).filter(|&more| more > 0) {
        writeln!(out, "  wrong        and {more} more")?;
    }
    match (&report.damage, report.remedy) {
        (Some((_, Mending::Loss(loss))), _) => loss_text(out, report, loss),
        (Some((_, Mending::Seals)), _) => {
            writeln!(out, "  accepting    loses nothing: what is damaged is known from elsewhere")
        }
        (None, Remedy::Store) => {
            writeln!(
                out,
                "  accepting    loses nothing: the log holds every change, the store is made anew from it"
            )
        }
        (None, Remedy::Backup) => writeln!(
            out,
            "  mending      is not possible here: the log no longer holds every change. Restore a backup"
        ),
        (None, _) => Ok(()),
    }
}

fn loss_text(out: &mut impl Write, report: &Report, loss: &Loss) -> io::Result<()> {
    writeln!(
        out,
        "  accepting    keeps everything up to change {}; epoch {} begins",
        loss.kept_to, loss.epoch
    )?;
    if loss.readable.is_empty() {
        writeln!(
            out,
            "  loses        what was changed after that, if anything was: nothing of it can be read"
        )?;
    }
    for run in &loss.readable {
        writeln!(
            out,
            "  loses        changes {} to {}, {} transactions",
            run.first, run.last, run.transactions
        )?;
    }
    if loss.history_from > loss.kept_to {
        writeln!(out, "  loses        the history of what is kept: watchers begin again")?;
    }
    for (sequence, change) in report.lost.iter().take(NAMED) {
        let what = if change.is_deletion { "deleted" } else { "written" };
        writeln!(out, "    {} {} {what} at {sequence}", change.collection, change.id)?;
    }
    if let Some(more) = report.lost.len().checked_sub(NAMED).filter(|&more| more > 0) {
        writeln!(out, "    and {more} more changes of records; -o ndjson names them all")?;
    }
    match loss.files.as_slice() {
        [] => Ok(()),
        files => writeln!(out, "  kept aside   {} in log/{}", files.join(", "), loss.folder),
    }
}

fn records(report: &Report) -> Vec<Record> {
    let number = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    let base = |kind: &str| {
        Record::from_iter([("kind", Value::from(kind)), ("database", Value::from(report.name.as_str()))])
    };
    let with = |mut record: Record, fields: Vec<(&str, Value)>| {
        for (name, value) in fields {
            record.insert(name, value);
        }
        record
    };
    let mut database = vec![("sound", Value::Bool(report.is_sound())), ("wrong", number(report.wrong))];
    database.extend(report.position.as_ref().map(|position| ("position", Value::from(position.as_str()))));
    if let Some(log) = &report.log {
        database.push(("log_transactions", number(log.transactions)));
        database.extend(log.first.map(|first| ("log_first", number(first))));
    }
    if let Some((_, Mending::Loss(loss))) = &report.damage {
        database.push(("kept_to", number(loss.kept_to)));
        database.push(("next_epoch", number(u64::from(loss.epoch))));
        database.push(("set_aside_in", Value::from(loss.folder.as_str())));
    }
    let mut records = vec![with(base("database"), database)];
    for collection in &report.collections {
        let summary = collection.summary;
        let fields = vec![
            ("collection", Value::from(&*collection.name)),
            ("records", number(summary.live)),
            ("deletions", number(summary.tombstones)),
            ("digest", Value::from(format!("{:032x}", summary.digest))),
        ];
        records.push(with(base("collection"), fields));
    }
    for finding in &report.findings {
        records.push(with(base("finding"), vec![("text", Value::from(finding.as_str()))]));
    }
    if let Some((_, Mending::Loss(loss))) = &report.damage {
        for run in &loss.readable {
            let fields = vec![
                ("first", number(run.first)),
                ("last", number(run.last)),
                ("transactions", number(run.transactions)),
            ];
            records.push(with(base("lost_range"), fields));
        }
    }
    for (sequence, change) in &report.lost {
        let fields = vec![
            ("collection", Value::from(change.collection.as_str())),
            ("record", Value::Uuid(change.id)),
            ("change", number(*sequence)),
            ("deleted", Value::Bool(change.is_deletion)),
        ];
        records.push(with(base("lost"), fields));
    }
    records
}
