//! The arguments of `bench`, and the plan that they make.

use std::time::Duration;

use clap::ValueEnum;

use super::records::Template;
use crate::blazebinary::limits::MAX_RECORD_BYTES;
use crate::cli::Failure;
use crate::proto::limits::{DEFAULT_REQUEST_LIMIT, MAX_OPERATION_WINDOW};
use crate::wire::CollectionName;
use crate::wire::limits::MAX_PAYLOAD_BYTES;
use crate::wire::message::AckLevel;

/// Clients at most: as many as a server takes.
pub(super) const MAX_CLIENTS: u16 = 10_000;
/// Operations a second at most, asked of an open loop: beyond what one core can send.
const MAX_RATE: u64 = 10_000_000;
/// Records that `get` and `mixed` read at most. Each id is 16 bytes of memory here.
pub(super) const MAX_KNOWN: u64 = 20_000_000;
/// Records that `get` and `mixed` write beforehand unless told otherwise: a second's work.
const DEFAULT_KNOWN: u64 = 100_000;
/// How long is measured unless told otherwise: a checkpoint falls into it.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);
/// How long the load runs before it is measured: connections and caches are warm after it.
const DEFAULT_WARM_UP: Duration = Duration::from_secs(1);
/// In flight per client where operations are due at times and do not wait for one another.
const OPEN_WINDOW: u16 = 64;
/// Bytes of an operation beside its records: the collection's name and the counts, with room.
const BODY_OVERHEAD_BYTES: usize = 256;
/// Bytes of one record of an operation beside its own.
const ITEM_OVERHEAD_BYTES: usize = 16;

const EXAMPLES: &str = "\
Examples:
  blazedb bench insert
  blazedb bench insert --clients 64 --window 16 --duration 30s
  blazedb bench insert --records 1000000 --batch 1000
  blazedb bench get --clients 64 -o json
  blazedb bench mixed --reads 95 --rate 5000
  blazedb bench get --existing --collection notes

It loads a server that runs already ('blazedb serve' starts one; 'taskset -c 0 blazedb serve' keeps it on one core, and
'taskset -c 1 blazedb bench …' the load on another). All clients share one thread. The records that it writes stay in
the collection; the last line says how many, and how to remove them.

The loop is closed unless --rate is given: a client sends the next operation when an earlier one is answered, so that
a server that stalls is also asked less, and the latencies do not show what users who come at their own times would
have waited. With --rate operations are due at even intervals whatever the server does, and each latency counts from
when its operation was due.

Output: throughput counts the operations that began while it was measured, until the last of them was answered; a
latency is that of one operation (with --batch: of all its records), from its submission to its outcome. With -o json
one object: workload, url, server, clients, window, batch, record_bytes, durability, seed, collection, rate (asked; null
in a closed loop), warm_up_seconds, seconds, loader_cpu (share of a core that the load used), records_left (in the
collection), unsent (due and never sent), stopped (by Ctrl-C), and writes and reads (null if there were none), each
with operations, records, operations_per_second, records_per_second, errors (an object: error to count) and latency_ns
(p50, p90, p99, p99_9, max, mean).

Exit status: 0 done, 1 a read missed a record, 2 a wrong command line, 3 no connection, or it broke, 4 the server
refused, or refused some operations.";

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// What the clients do
    #[arg(value_enum)]
    workload: Workload,
    /// Clients, each with a connection of its own
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CLIENTS)))]
    clients: u16,
    /// Operations in flight per client [default: 1; with --rate 64]
    #[arg(long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_OPERATION_WINDOW)))]
    window: Option<u16>,
    /// insert: stop after this many records; get, mixed: how many records are read [default: 100000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
    /// How long is measured, such as 500ms, 10s or 2m [default: 10s, unless insert is given --records]
    #[arg(long, value_name = "TIME", value_parser = read_duration)]
    duration: Option<Duration>,
    /// How long the load runs before it is measured [default: 1s; with --records without --duration 0s]
    #[arg(long, value_name = "TIME", value_parser = read_duration)]
    warm_up: Option<Duration>,
    /// What a write waits for
    #[arg(long, value_enum, default_value_t = Durability::Durable)]
    durability: Durability,
    /// Bytes of a record, encoded
    #[arg(long, value_name = "BYTES", default_value_t = 165)]
    size: usize,
    /// Records per operation: one transaction writes, one question reads this many
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// mixed: how many operations of a hundred read
    #[arg(long, value_name = "PERCENT", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    reads: u8,
    /// Operations a second that are due, over all clients, whatever the server does
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=MAX_RATE))]
    rate: Option<u64>,
    /// What the contents of records and the order of reads follow from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// The collection; it keeps what is written
    #[arg(long, value_name = "NAME", default_value = "bench")]
    collection: String,
    /// get: read the records that the collection has, and write none
    #[arg(long)]
    existing: bool,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value = "text")]
    pub(super) output: Form,
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// A table
    Text,
    /// One object of typed JSON, in one line
    Json,
}

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// Write new records, whose ids are in the order of time
    Insert,
    /// Read records by their ids, in random order
    Get,
    /// Read records and replace records, both in random order
    Mixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Durability {
    /// Until the operation has its place in the order: a power cut may still take it
    Accepted,
    /// Until it is on stable storage
    Durable,
}

/// A load, as its arguments describe it, checked.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) workload: Workload,
    pub(super) clients: u16,
    pub(super) window: u16,
    pub(super) batch: u16,
    /// Operations of a hundred that read.
    pub(super) reads: u8,
    pub(super) level: AckLevel,
    pub(super) record_bytes: usize,
    pub(super) collection: String,
    pub(super) seed: u64,
    pub(super) rate: Option<u64>,
    pub(super) warm_up: Duration,
    /// The end of measuring, if time ends it.
    pub(super) duration: Option<Duration>,
    /// The end of measuring, if a count of records ends it.
    pub(super) limit: Option<u64>,
    /// How many records are read among.
    pub(super) known: u64,
    /// Whether those are what the collection has already.
    pub(super) existing: bool,
}

impl Args {
    /// The plan, and the template of its records.
    pub(super) fn plan(&self) -> Result<(Plan, Template), Failure> {
        CollectionName::new(&self.collection).map_err(Failure::usage)?;
        self.check_workload()?;
        let template = Template::new(self.size, self.seed)?;
        let record_bytes = template.bytes();
        self.check_batch(record_bytes)?;
        let inserts = self.workload == Workload::Insert;
        let limit = self.records.filter(|_| inserts);
        let counts_only = limit.is_some() && self.duration.is_none();
        let plan = Plan {
            workload: self.workload,
            clients: self.clients,
            window: self.window.unwrap_or(if self.rate.is_some() { OPEN_WINDOW } else { 1 }),
            batch: self.batch,
            reads: match self.workload {
                Workload::Insert => 0,
                Workload::Get => 100,
                Workload::Mixed => self.reads,
            },
            level: match self.durability {
                Durability::Accepted => AckLevel::Accepted,
                Durability::Durable => AckLevel::Durable,
            },
            record_bytes,
            collection: self.collection.clone(),
            seed: self.seed,
            rate: self.rate,
            warm_up: self.warm_up.unwrap_or(if counts_only { Duration::ZERO } else { DEFAULT_WARM_UP }),
            duration: if counts_only { None } else { Some(self.duration.unwrap_or(DEFAULT_DURATION)) },
            limit,
            known: self.records.unwrap_or(if self.existing { MAX_KNOWN } else { DEFAULT_KNOWN }),
            existing: self.existing,
        };
        Ok((plan, template))
    }

    fn check_workload(&self) -> Result<(), Failure> {
        if self.existing && self.workload != Workload::Get {
            return Err(Failure::usage("--existing goes with get, which writes nothing; leave it out"));
        }
        let reads = self.workload != Workload::Insert;
        if reads && self.records.is_some_and(|records| records > MAX_KNOWN) {
            return Err(Failure::usage(format_args!("--records is at most {MAX_KNOWN} for get and mixed")));
        }
        if reads && self.window.is_some_and(|window| window > DEFAULT_REQUEST_LIMIT) {
            let most = DEFAULT_REQUEST_LIMIT;
            return Err(Failure::usage(format_args!("--window is at most {most} for get and mixed")));
        }
        if self.duration == Some(Duration::ZERO) {
            return Err(Failure::usage("--duration must be longer than nothing"));
        }
        Ok(())
    }

    /// An operation's payload has a limit.
    fn check_batch(&self, record_bytes: usize) -> Result<(), Failure> {
        let item = record_bytes.saturating_add(ITEM_OVERHEAD_BYTES);
        let most = MAX_PAYLOAD_BYTES.saturating_sub(BODY_OVERHEAD_BYTES).checked_div(item).unwrap_or(1);
        if usize::from(self.batch) > most {
            return Err(Failure::usage(format_args!(
                "--batch: at most {most} records of {record_bytes} bytes fit into one operation"
            )));
        }
        Ok(())
    }
}

/// The sizes that a record may have, as the error for others says it.
pub(super) fn wrong_size(least: usize) -> Failure {
    Failure::usage(format_args!("--size: a record has {least} to {MAX_RECORD_BYTES} bytes"))
}

/// Reads `500ms`, `10s`, `2m`, or a number of seconds.
fn read_duration(text: &str) -> Result<Duration, String> {
    let advice = || format!("'{text}' is no time; write 500ms, 10s or 2m");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| advice())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "" | "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(advice()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let words = ["bench"].into_iter().chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.args.plan().map(|(plan, _)| plan).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [("500ms", 500), ("10s", 10_000), ("10", 10_000), ("2m", 120_000)] {
            assert_eq!(read_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "1h", "-1s", "1.5s", "99999999999999999999s"] {
            assert!(read_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_count_ends_inserts_and_time_ends_the_rest() {
        let check = |line: &str, seconds: Option<u64>, limit: Option<u64>, warm_up: u64, known: u64| {
            let plan = plan(line).unwrap();
            let duration = seconds.map(Duration::from_secs);
            let warm_up = Duration::from_secs(warm_up);
            assert_eq!(
                (plan.duration, plan.limit, plan.warm_up, plan.known),
                (duration, limit, warm_up, known),
                "{line}"
            );
        };
        check("insert", Some(10), None, 1, 100_000);
        check("insert --records 5", None, Some(5), 0, 5);
        check("insert --records 5 --duration 3s", Some(3), Some(5), 1, 5);
        check("get --records 5 --warm-up 2s", Some(10), None, 2, 5);
        check("mixed --duration 2m", Some(120), None, 1, 100_000);
        check("get --existing", Some(10), None, 1, 20_000_000);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_anything_is() {
        for (line, said) in [
            ("insert --existing", "--existing goes with get"),
            ("get --window 257", "at most 256"),
            ("insert --window 1025", "1..=1024"),
            ("insert --clients 10001", "1..=10000"),
            ("insert --size 9", "--size: a record has"),
            ("insert --size 1048577", "--size: a record has"),
            ("insert --size 1048576 --batch 2", "at most 1 records"),
            ("insert --duration 0s", "longer than nothing"),
            ("insert --collection 9", "the first not a digit"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
        assert_eq!(plan("insert --window 1024 --batch 1000").unwrap().window, 1024);
        assert_eq!((plan("get --rate 5").unwrap().window, plan("get").unwrap().window), (64, 1));
    }
}
