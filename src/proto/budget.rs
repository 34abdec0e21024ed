//! A token bucket in virtual time: bounds how often a peer may ask for something that costs it nothing else.

use std::time::Duration;

use super::time::{Time, nanos};

/// A bucket of `capacity` tokens that refills at a steady rate.
///
/// Levels are kept in nanoseconds of refilling, so that the arithmetic is exact whatever the order of calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenBucket {
    /// How long one token takes to come back.
    per_token: u64,
    /// The most that the bucket holds, in nanoseconds of refilling.
    capacity: u64,
    level: u64,
    refilled: Time,
}

impl TokenBucket {
    /// A full bucket. `per_second` is at least 1.
    pub(crate) fn new(now: Time, per_second: u64, capacity: u64) -> Self {
        let per_token = nanos(Duration::from_secs(1)).checked_div(per_second).unwrap_or(1).max(1);
        let capacity = capacity.saturating_mul(per_token);
        Self { per_token, capacity, level: capacity, refilled: now }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Time) -> bool {
        self.refill(now);
        match self.level.checked_sub(self.per_token) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }

    /// Whether a token could be taken.
    pub(crate) fn has_token(&mut self, now: Time) -> bool {
        self.refill(now);
        self.level >= self.per_token
    }

    /// Adds tokens, up to the capacity.
    pub(crate) fn earn(&mut self, tokens: u64) {
        self.level = self.level.saturating_add(tokens.saturating_mul(self.per_token)).min(self.capacity);
    }

    /// How long until a token is there.
    pub(crate) fn wait(&mut self, now: Time) -> Duration {
        self.refill(now);
        Duration::from_nanos(self.per_token.saturating_sub(self.level))
    }

    fn refill(&mut self, now: Time) {
        let passed = nanos(now.since(self.refilled));
        self.level = self.level.saturating_add(passed).min(self.capacity);
        self.refilled = self.refilled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut TokenBucket, now: Time) -> usize {
        (0..100).take_while(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_bucket_gives_its_capacity_then_its_rate() {
        let mut bucket = TokenBucket::new(Time::ZERO, 10, 5);
        assert_eq!(taken(&mut bucket, Time::ZERO), 5);
        assert_eq!(bucket.wait(Time::ZERO), Duration::from_millis(100));
        let later = Time::ZERO.after(Duration::from_millis(299));
        assert_eq!(taken(&mut bucket, later), 2);
        assert_eq!(
            taken(&mut bucket, later.after(Duration::from_secs(3_600))),
            5,
            "never above the capacity"
        );
    }

    #[test]
    fn earned_tokens_count_up_to_the_capacity_and_time_never_runs_back() {
        let mut bucket = TokenBucket::new(Time::from_nanos(1_000), 1, 3);
        assert_eq!(taken(&mut bucket, Time::from_nanos(1_000)), 3);
        bucket.earn(2);
        assert_eq!(taken(&mut bucket, Time::ZERO), 2);
        bucket.earn(u64::MAX);
        assert_eq!(taken(&mut bucket, Time::ZERO), 3);
        assert!(!bucket.has_token(Time::from_nanos(1_000)));
    }
}
