//! How long to wait before the next attempt to connect: exponential, with jitter.

use std::time::Duration;

/// The longest first pause. A server that restarts is back within some tenths of a second.
pub const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest pause: a person who mends a network should not wait longer for the client to notice.
pub const MAX_DELAY: Duration = Duration::from_secs(10);
/// A connection that held this long starts the pauses anew: one that breaks at once does not.
pub(super) const STABLE_AFTER: Duration = Duration::from_secs(5);

/// The pauses between attempts. Each is drawn between half and the whole of a span that doubles, so that the clients
/// of a server that restarts do not all come at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause before the next attempt; `entropy` is any number, the jitter.
    pub(super) fn next(&mut self, entropy: u64) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let span = FIRST_DELAY.saturating_mul(factor).min(MAX_DELAY);
        self.failures = self.failures.saturating_add(1).min(u32::BITS);
        let half = span.checked_div(2).unwrap_or(span);
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1);
        half.saturating_add(Duration::from_nanos(entropy.checked_rem(nanos).unwrap_or(0)))
    }

    /// How many attempts failed since the last that held.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt held.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_their_limit_and_are_spread() {
        let mut least = Backoff::default();
        let pauses: Vec<u128> = (0..9).map(|_| least.next(0).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        let mut most = Backoff::default();
        assert_eq!(most.next(49_999_999), Duration::from_nanos(99_999_999));
        for _ in 0..100 {
            assert!(most.next(u64::MAX) <= MAX_DELAY);
        }
        most.reset();
        assert_eq!(most.next(50_000_000), Duration::from_millis(50), "the jitter wraps below the half");
    }
}
