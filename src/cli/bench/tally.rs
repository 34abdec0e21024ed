//! What is counted while the load is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::cli::Failure;
use crate::proto::Time;

/// The longest latency that is told apart, in nanoseconds: an hour. Whoever waited longer counts as this.
const MAX_LATENCY_NS: u64 = 3_600_000_000_000;
/// Decimal digits of a latency that are kept: buckets are at most 0.1 % wide.
const DIGITS: u8 = 3;

/// The operations of one kind.
#[derive(Debug)]
pub(super) struct Kind {
    /// Latencies in nanoseconds, of those that did what they should.
    pub(super) latencies: Histogram<u64>,
    /// Records that they wrote or read.
    pub(super) records: u64,
    /// Errors by their name.
    pub(super) errors: BTreeMap<String, u64>,
}

impl Kind {
    fn new() -> Result<Self, Failure> {
        let latencies = Histogram::new_with_bounds(1, MAX_LATENCY_NS, DIGITS).map_err(Failure::new)?;
        Ok(Self { latencies, records: 0, errors: BTreeMap::new() })
    }

    /// Operations that did what they should.
    pub(super) fn operations(&self) -> u64 {
        self.latencies.len()
    }

    pub(super) fn failed(&self) -> u64 {
        self.errors.values().copied().fold(0, u64::saturating_add)
    }

    /// The latency that this part of all is not above.
    pub(super) fn quantile(&self, part: f64) -> Duration {
        let bucket = self.latencies.value_at_quantile(part);
        // A bucket is named by its upper end, which nobody need have reached.
        Duration::from_nanos(bucket.min(self.latencies.max()))
    }
}

/// The operations of all clients.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) writes: Kind,
    pub(super) reads: Kind,
    /// When the last one that is counted was answered.
    pub(super) last: Time,
    /// Answered since the load began, those that are not counted included: for the display.
    pub(super) answered: u64,
}

/// Which kind an operation is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Write,
    Read,
}

impl Tally {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self { writes: Kind::new()?, reads: Kind::new()?, last: Time::ZERO, answered: 0 })
    }

    pub(super) const fn kind(&mut self, side: Side) -> &mut Kind {
        match side {
            Side::Write => &mut self.writes,
            Side::Read => &mut self.reads,
        }
    }

    /// An operation that began at `start` was answered at `now`: with so many records, or with an error.
    pub(super) fn count(&mut self, side: Side, start: Time, now: Time, result: Result<u64, String>) {
        self.last = self.last.max(now);
        let kind = self.kind(side);
        match result {
            Ok(records) => {
                let nanos = u64::try_from(now.since(start).as_nanos()).unwrap_or(u64::MAX);
                kind.latencies.saturating_record(nanos);
                kind.records = kind.records.saturating_add(records);
            }
            Err(error) => {
                let count = kind.errors.entry(error).or_default();
                *count = count.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand latencies of 1 to 1,000 µs: the quantiles are what a sorted list has at those places.
    #[test]
    fn quantiles_are_those_of_the_sorted_list_within_a_thousandth() {
        let mut tally = Tally::new().unwrap();
        let at = |micros: u64| Time::ZERO.after(Duration::from_micros(micros));
        for micros in (1..=1000).rev() {
            tally.count(Side::Read, at(5), at(5 + micros), Ok(2));
        }
        for (part, micros) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)] {
            let found = tally.reads.quantile(part).as_secs_f64() * 1e6;
            assert!((found - micros).abs() <= micros / 1000.0, "{part}: {found}");
        }
        assert_eq!((tally.reads.operations(), tally.reads.records, tally.last), (1000, 2000, at(1005)));
        assert_eq!(tally.writes.operations(), 0);
    }

    #[test]
    fn errors_are_counted_by_name_and_have_no_latency() {
        let mut tally = Tally::new().unwrap();
        for error in ["not_found", "too_many", "not_found"] {
            tally.count(Side::Write, Time::ZERO, Time::ZERO, Err(error.to_owned()));
        }
        assert_eq!((tally.writes.operations(), tally.writes.failed()), (0, 3));
        assert_eq!(tally.writes.errors["not_found"], 2);
    }
}
