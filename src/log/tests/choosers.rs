//! Who decides what a crash does: everything in turn, or a seed.

use crate::log::simfs::Choose;

/// Tries every combination of choices: an odometer over the choices of a run.
#[derive(Default)]
pub(in crate::log) struct Every {
    digits: Vec<(usize, usize)>,
    at: usize,
}

impl Every {
    /// Turns to the next combination; false when there is none.
    pub(in crate::log) fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((digit, options)) = self.digits.pop() {
            if digit + 1 < options {
                self.digits.push((digit + 1, options));
                return true;
            }
        }
        false
    }
}

impl Choose for Every {
    fn choose(&mut self, options: usize) -> usize {
        if self.at == self.digits.len() {
            self.digits.push((0, options));
        }
        let (digit, expected) = self.digits[self.at];
        assert_eq!(expected, options, "a run must be repeatable up to its next choice");
        self.at += 1;
        digit
    }
}

/// A small generator (splitmix64): the same seed gives the same run.
#[derive(Clone)]
pub(in crate::log) struct Seeded(pub(in crate::log) u64);

impl Seeded {
    pub(in crate::log) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Choose for Seeded {
    fn choose(&mut self, options: usize) -> usize {
        (self.next() % options as u64) as usize
    }
}

/// A count or seed that long runs set by an environment variable.
pub(in crate::log) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
