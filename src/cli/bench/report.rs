//! The result: a table for people, an object for programs.

use std::fmt::Write;
use std::time::Duration;

use super::args::{Form, Plan, Workload};
use super::progress::rate;
use super::tally::{Kind, Tally};
use crate::blazebinary::{Dict, Layout, Record, RecordView, Value, encode_record, json};
use crate::cli::Failure;
use crate::cli::connect::{program, url_option};
use crate::cli::output::grouped;
use crate::transport::Url;
use crate::wire::message::AckLevel;

/// From this share of a core on the load itself may be what was measured.
const BUSY: f64 = 0.95;
/// The quantiles that are told, with their names in the table and in JSON.
const QUANTILES: [(f64, &str, &str); 5] = [
    (0.5, "p50", "p50"),
    (0.9, "p90", "p90"),
    (0.99, "p99", "p99"),
    (0.999, "p99.9", "p99_9"),
    (1.0, "max", "max"),
];

/// What a load found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) url: Url,
    pub(super) server: String,
    pub(super) tally: Tally,
    /// From the beginning of the measurement to the last answer.
    pub(super) lasted: Duration,
    /// Operations that were due and never sent.
    pub(super) unsent: u64,
    /// The share of a core that this process used while it was measured, where the system tells.
    pub(super) cpu: Option<f64>,
    /// How many records the collection has now.
    pub(super) records_left: u64,
    /// A person stopped it before its end.
    pub(super) stopped: bool,
}

impl Report {
    /// The text to print, with its last line feed.
    pub(super) fn text(&self, form: Form) -> Result<String, Failure> {
        match form {
            Form::Text => Ok(self.table()),
            Form::Json => self.json(),
        }
    }

    fn kinds(&self) -> impl Iterator<Item = (&'static str, &Kind)> {
        let is_used = |kind: &Kind| kind.operations() > 0 || kind.failed() > 0;
        [("writes", &self.tally.writes), ("reads", &self.tally.reads)]
            .into_iter()
            .filter(move |(_, kind)| is_used(kind))
    }

    fn table(&self) -> String {
        let mut text = self.head();
        let _ = write!(text, "\n{:>8}{:>14}{:>12}{:>12}", "", "operations", "per s", "records/s");
        for (_, name, _) in QUANTILES {
            let _ = write!(text, "{:>12}", format!("{name} µs"));
        }
        text.push('\n');
        for (name, kind) in self.kinds() {
            let operations = grouped(kind.operations());
            let per_second = grouped(rate(kind.operations(), self.lasted));
            let records = grouped(rate(kind.records, self.lasted));
            let _ = write!(text, "{name:>8}{operations:>14}{per_second:>12}{records:>12}");
            for (part, ..) in QUANTILES {
                let _ = write!(text, "{:>12}", micros(kind.quantile(part)));
            }
            text.push('\n');
        }
        self.remarks(&mut text);
        text
    }

    /// What was done, in a few lines.
    fn head(&self) -> String {
        let plan = &self.plan;
        let what = match plan.workload {
            Workload::Insert => "insert".to_owned(),
            Workload::Get => "get".to_owned(),
            Workload::Mixed => format!("mixed, {} % reads", plan.reads),
        };
        let records = match plan.batch {
            1 => format!("records of {} bytes", plan.record_bytes),
            many => format!("{many} records of {} bytes an operation", plan.record_bytes),
        };
        let records = if plan.existing { String::new() } else { format!(", {records}") };
        let durability = if plan.reads == 100 { String::new() } else { format!(", {}", level(plan)) };
        let pace = plan.rate.map_or_else(
            || "closed loop".to_owned(),
            |rate| format!("open loop, {} operations/s due", grouped(rate)),
        );
        format!(
            "{what}: {} x {} in flight{records}{durability}, {pace}\n{}, collection {}, {}, {:.1} s\n",
            counted(u64::from(plan.clients), "client"),
            plan.window,
            self.url,
            plan.collection,
            self.server,
            self.lasted.as_secs_f64(),
        )
    }

    /// What should be known beside the figures.
    fn remarks(&self, text: &mut String) {
        text.push('\n');
        if self.stopped {
            text.push_str("Stopped before its end.\n");
        }
        for (name, kind) in self.kinds() {
            for (error, count) in &kind.errors {
                let _ = writeln!(text, "Errors of {name}: {} {error}.", grouped(*count));
            }
        }
        if self.unsent > 0 {
            let unsent = grouped(self.unsent);
            let _ =
                writeln!(text, "The server did not keep up: {unsent} operations were due and never sent.");
        }
        if let Some(cpu) = self.cpu {
            let _ = write!(text, "The load used {:.0} % of a core", cpu * 100.0);
            text.push_str(match self.plan.rate {
                Some(_) => ", as an open loop does to be on time.\n",
                None if cpu >= BUSY => ": it may be the bound itself, so run several at once.\n",
                None => ".\n",
            });
        }
        if !self.plan.existing {
            let (name, left) = (&self.plan.collection, grouped(self.records_left));
            let remove = format!("'{} drop {name} --yes{}'", program(), url_option(&self.url));
            let _ = writeln!(text, "Left behind: {left} records in {name}; remove them with {remove}.");
        }
    }

    fn json(&self) -> Result<String, Failure> {
        let plan = &self.plan;
        let workload = match plan.workload {
            Workload::Insert => "insert",
            Workload::Get => "get",
            Workload::Mixed => "mixed",
        };
        let kind = |kind: &Kind| match kind.operations() > 0 || kind.failed() > 0 {
            true => Value::from(self.kind(kind)),
            false => Value::Null,
        };
        let fields = [
            ("workload", Value::from(workload)),
            ("url", Value::from(self.url.to_string())),
            ("server", Value::from(self.server.as_str())),
            ("clients", Value::from(i64::from(plan.clients))),
            ("window", Value::from(i64::from(plan.window))),
            ("batch", Value::from(i64::from(plan.batch))),
            ("record_bytes", int(plan.record_bytes)),
            ("durability", Value::from(level(plan))),
            ("seed", int(plan.seed)),
            ("collection", Value::from(plan.collection.as_str())),
            ("rate", plan.rate.map_or(Value::Null, int)),
            ("warm_up_seconds", Value::from(plan.warm_up.as_secs_f64())),
            ("seconds", Value::from(self.lasted.as_secs_f64())),
            ("loader_cpu", self.cpu.map_or(Value::Null, Value::from)),
            ("records_left", int(self.records_left)),
            ("unsent", int(self.unsent)),
            ("stopped", Value::from(self.stopped)),
            ("writes", kind(&self.tally.writes)),
            ("reads", kind(&self.tally.reads)),
        ];
        let record = Record::from_iter(fields);
        let mut bytes = Vec::new();
        encode_record(&record, Layout::V1, &mut bytes).map_err(Failure::new)?;
        let mut text = String::new();
        json::write_record(RecordView::canonical(&bytes).map_err(Failure::new)?, &mut text);
        text.push('\n');
        Ok(text)
    }

    fn kind(&self, kind: &Kind) -> Dict {
        let nanos = |time: Duration| int(time.as_nanos());
        let mut latency: Dict =
            QUANTILES.iter().map(|(part, _, name)| (*name, nanos(kind.quantile(*part)))).collect();
        latency.insert("mean", nanos(Duration::from_secs_f64(kind.latencies.mean() / 1e9)));
        let errors: Dict = kind.errors.iter().map(|(error, count)| (error.as_str(), int(*count))).collect();
        Dict::from_iter([
            ("operations", int(kind.operations())),
            ("records", int(kind.records)),
            ("operations_per_second", int(rate(kind.operations(), self.lasted))),
            ("records_per_second", int(rate(kind.records, self.lasted))),
            ("errors", Value::from(errors)),
            ("latency_ns", Value::from(latency)),
        ])
    }
}

const fn level(plan: &Plan) -> &'static str {
    match plan.level {
        AckLevel::Accepted => "accepted",
        _ => "durable",
    }
}

fn int(number: impl TryInto<i64>) -> Value {
    Value::from(number.try_into().unwrap_or(i64::MAX))
}

fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

fn micros(time: Duration) -> String {
    grouped(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_in_microseconds() {
        assert_eq!(micros(Duration::from_nanos(1_234_567)), "1,234");
        assert_eq!(rate(10, Duration::from_millis(500)), 20);
    }
}
