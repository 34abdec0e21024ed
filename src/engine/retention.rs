//! How much of the log is kept beyond what the store needs, for subscribers that were away.

use std::collections::VecDeque;
use std::time::Duration;

use super::record::take;
use crate::wire::Clock;

/// Into how many parts the retained bytes are divided by marks: trimming is at most so much behind.
const MARKS: u64 = 256;

/// What to keep: the smaller of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Changes older than this may go.
    pub age: Duration,
    /// Changes with more than this of log after them may go, in bytes.
    pub bytes: u64,
}

impl Default for Retention {
    /// Seven days and 1 GiB: a week's absence is resumed, and a small disk is not filled.
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3600), bytes: 1 << 30 }
    }
}

/// When and where the log stood at some of its places. They are rows of the store, so that a restart forgets none.
#[derive(Debug)]
pub(super) struct Marks {
    retention: Retention,
    marks: VecDeque<Mark>,
    /// The bytes that the log ever took, roughly.
    bytes: u64,
    /// Marks that are no longer needed and whose rows are still there.
    gone: Vec<u32>,
}

/// One place of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Counts marks; the number of its row.
    pub(super) number: u32,
    sequence: u64,
    bytes: u64,
    clock: u64,
}

impl Mark {
    /// Sequence u64, bytes of the log u64, clock u64.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.sequence, self.bytes, self.clock].iter().flat_map(|field| field.to_be_bytes()).collect()
    }

    pub(super) fn parse(number: u32, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let sequence = u64::from_be_bytes(take(&mut rest)?);
        let bytes = u64::from_be_bytes(take(&mut rest)?);
        let clock = u64::from_be_bytes(take(&mut rest)?);
        rest.is_empty().then_some(Self { number, sequence, bytes, clock })
    }
}

impl Marks {
    /// The marks as a store has them, in the order of their numbers.
    pub(super) fn new(retention: Retention, marks: Vec<Mark>) -> Self {
        let bytes = marks.last().map_or(0, |mark| mark.bytes);
        Self { retention, marks: marks.into(), bytes, gone: Vec::new() }
    }

    /// Notes that the log reaches `sequence` after `bytes` more; returns the mark to be kept, if that makes one.
    pub(super) fn note(&mut self, sequence: u64, bytes: usize, clock: u64) -> Option<Mark> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let last = self.marks.back().copied();
        let since = self.bytes.saturating_sub(last.map_or(0, |mark| mark.bytes));
        if last.is_some() && since < self.retention.bytes / MARKS {
            return None;
        }
        let number = last.map_or(0, |mark| mark.number).wrapping_add(1);
        let mark = Mark { number, sequence, bytes: self.bytes, clock };
        self.marks.push_back(mark);
        Some(mark)
    }

    /// The number up to which nothing is to be kept at `clock`, which never goes back.
    pub(super) fn floor(&mut self, clock: u64) -> u64 {
        let now = Clock::from_bits(clock).unix_ms();
        let is_old = |mark: &Mark| {
            let age = Duration::from_millis(now.saturating_sub(Clock::from_bits(mark.clock).unix_ms()));
            self.bytes.saturating_sub(mark.bytes) >= self.retention.bytes || age >= self.retention.age
        };
        let old = self.marks.partition_point(is_old);
        // The last old mark stays: it is the floor until the next one is old.
        let Some(last_old) = old.checked_sub(1) else { return 0 };
        self.gone.extend(self.marks.drain(..last_old).map(|mark| mark.number));
        self.marks.front().map_or(0, |mark| mark.sequence)
    }

    /// The numbers of the rows to be removed; each is named once.
    pub(super) fn take_gone(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rises_by_size_and_by_age_and_outlives_a_restart() {
        let at = |ms| Clock::new(ms, 0).unwrap().to_bits();
        let retention = Retention { age: Duration::from_millis(100), bytes: 512 };
        let mut marks = Marks::new(retention, Vec::new());
        assert_eq!(marks.floor(at(1_000)), 0);
        // A mark every two bytes of log, the first at once.
        let noted: Vec<bool> = (1..=5).map(|n| marks.note(n, 1, at(n)).is_some()).collect();
        assert_eq!(noted, [true, false, true, false, true]);
        assert_eq!(marks.floor(at(6)), 0);
        let kept = marks.note(6, 510, at(6)).unwrap();
        assert_eq!(marks.floor(at(6)), 3, "512 bytes lie after it");
        assert_eq!(marks.take_gone(), [1]);
        assert_eq!(Mark::parse(kept.number, &kept.to_bytes()), Some(kept));
        let mut again = Marks::new(retention, marks.marks.iter().copied().collect());
        assert_eq!((again.floor(at(6)), again.floor(at(106))), (3, 6));
        assert_eq!((again.take_gone(), again.take_gone()), (vec![2, 3], vec![]));
    }
}
