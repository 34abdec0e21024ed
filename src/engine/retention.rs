//! How much of the log is kept beyond what the store needs, for subscribers that were away.

use std::collections::VecDeque;
use std::time::Duration;

/// How far apart the marks lie by which the log's age and size are known: a sixteenth of a segment.
const MARK_BYTES: u64 = 4 << 20;

/// What to keep: the smaller of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Changes older than this may go.
    pub age: Duration,
    /// Changes with more than this after them may go, in bytes.
    pub bytes: u64,
}

impl Default for Retention {
    /// Seven days and 1 GiB: a week's absence is resumed, and a small disk is not filled.
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3600), bytes: 1 << 30 }
    }
}

/// When and where the log stood. It begins anew when the database is opened, so that nothing goes too early.
#[derive(Debug)]
pub(super) struct Marks {
    retention: Retention,
    marks: VecDeque<Mark>,
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    sequence: u64,
    bytes: u64,
    elapsed: Duration,
}

impl Marks {
    pub(super) const fn new(retention: Retention) -> Self {
        Self { retention, marks: VecDeque::new(), bytes: 0 }
    }

    /// Notes that the log reaches `sequence` after `bytes` more. Time is monotonic: a wall clock that jumps must not
    /// drop a week of changes.
    pub(super) fn note(&mut self, sequence: u64, bytes: usize, elapsed: Duration) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let last = self.marks.back().map_or(0, |mark| mark.bytes);
        if self.marks.is_empty() || self.bytes.saturating_sub(last) >= MARK_BYTES.min(self.retention.bytes) {
            self.marks.push_back(Mark { sequence, bytes: self.bytes, elapsed });
        }
    }

    /// The number up to which nothing is to be kept.
    pub(super) fn floor(&mut self, elapsed: Duration) -> u64 {
        let is_old = |mark: &Mark| {
            self.bytes.saturating_sub(mark.bytes) >= self.retention.bytes
                || elapsed.saturating_sub(mark.elapsed) >= self.retention.age
        };
        let old = self.marks.partition_point(is_old);
        let floor = self.marks.get(old.saturating_sub(1)).filter(|_| old > 0).map_or(0, |mark| mark.sequence);
        // The last old mark stays: it is the floor until the next one is old.
        self.marks.drain(..old.saturating_sub(1));
        floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rises_by_size_and_by_age() {
        let seconds = Duration::from_secs;
        let mut marks = Marks::new(Retention { age: seconds(100), bytes: 10 });
        assert_eq!(marks.floor(seconds(1_000)), 0);
        for at in 1..=5 {
            marks.note(at, 4, seconds(at));
        }
        // After mark 3, 8 bytes; the marks are noted once 10 bytes lie between them: after 1 and 4.
        assert_eq!(marks.floor(seconds(5)), 1, "16 bytes lie after it");
        marks.note(6, 10, seconds(6));
        assert_eq!(marks.floor(seconds(6)), 4);
        assert_eq!(marks.floor(seconds(106)), 6);
    }
}
