//! The hybrid logical clock of a database: follows the wall clock, never goes back, never repeats a reading.

use crate::wire::{Clock, MAX_CLOCK_MS};

/// The clock. Its last reading is part of what is recovered at opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HybridClock {
    last: Clock,
}

impl HybridClock {
    /// A clock whose readings all lie after `last`.
    pub const fn after(last: Clock) -> Self {
        Self { last }
    }

    /// The last reading given.
    pub const fn last(self) -> Clock {
        self.last
    }

    /// A new reading, after every earlier one: the wall clock's millisecond with counter 0, or the number after the
    /// last reading if the wall clock is not ahead of it. A counter that is full carries into the milliseconds, so a
    /// clock that was set back is outrun by at most one millisecond per 65,536 transactions.
    pub fn tick(&mut self, unix_ms: u64) -> Clock {
        let wall = Clock::new(unix_ms.min(MAX_CLOCK_MS), 0).unwrap_or_default();
        let next = Clock::from_bits(self.last.to_bits().saturating_add(1));
        self.last = wall.max(next);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (wall clock, expected milliseconds, expected counter), in order.
    #[test]
    fn readings_follow_the_wall_clock_and_never_go_back() {
        let mut clock = HybridClock::after(Clock::new(1_000, 65_534).unwrap());
        for (wall, ms, counter) in
            [(900, 1_000, 65_535), (1_000, 1_001, 0), (1_001, 1_001, 1), (5_000, 5_000, 0), (0, 5_000, 1)]
        {
            assert_eq!(clock.tick(wall), Clock::new(ms, counter).unwrap());
        }
        assert_eq!(clock.tick(u64::MAX).unix_ms(), MAX_CLOCK_MS);
    }
}
