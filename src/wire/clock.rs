//! The hybrid logical clock as it travels: 48 bits of Unix milliseconds and 16 of counter.

/// How many bits of a clock are the counter.
const COUNTER_BITS: u32 = 16;
/// The latest millisecond that fits: 2⁴⁸ − 1, in the year 10889.
pub const MAX_CLOCK_MS: u64 = (1 << (u64::BITS - COUNTER_BITS)) - 1;

/// A reading of a hybrid logical clock. Ordered by time, then by counter, which is the order of its u64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Clock(u64);

impl Clock {
    /// No reading: what a side that keeps no clock sends.
    pub const NONE: Self = Self(0);

    /// A clock of `unix_ms` milliseconds and `counter`; `None` if the milliseconds do not fit 48 bits.
    pub const fn new(unix_ms: u64, counter: u16) -> Option<Self> {
        if unix_ms > MAX_CLOCK_MS { None } else { Some(Self(unix_ms << COUNTER_BITS | counter as u64)) }
    }

    /// The clock whose number is `bits`; all are valid.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number that travels, big-endian.
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn unix_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    /// Tells readings of one millisecond apart.
    #[expect(clippy::cast_possible_truncation, reason = "the lower 16 bits are the counter")]
    pub const fn counter(self) -> u16 {
        self.0 as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_the_upper_48_bits() {
        let clock = Clock::new(0x0102_0304_0506, 0x0708).unwrap();
        assert_eq!(clock.to_bits(), 0x0102_0304_0506_0708);
        assert_eq!((clock.unix_ms(), clock.counter()), (0x0102_0304_0506, 0x0708));
        assert_eq!(Clock::from_bits(clock.to_bits()), clock);
        assert_eq!(Clock::new(1 << 48, 0), None);
        assert!(Clock::new(1, u16::MAX) < Clock::new(2, 0));
    }
}
