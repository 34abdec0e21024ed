//! Frame sequences: u24, one per direction, wrapping. They detect gaps and repeats and are nothing else:
//! operations are identified by their own numbers.

use crate::wire::header::SEQUENCE_MODULUS;

/// The sequence after `sequence`, which is taken modulo 2²⁴.
const fn next(sequence: u32) -> u32 {
    sequence.wrapping_add(1) % SEQUENCE_MODULUS
}

/// Numbers the frames that this side writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SendSequence(u32);

impl SendSequence {
    /// The Handshake will carry `first` modulo 2²⁴.
    pub(crate) const fn new(first: u32) -> Self {
        Self(first % SEQUENCE_MODULUS)
    }

    /// The number of the next frame.
    pub(crate) const fn take(&mut self) -> u32 {
        let taken = self.0;
        self.0 = next(taken);
        taken
    }
}

/// Checks the frames that this side reads: the first may carry any number, each later one the number after.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReceiveSequence {
    expected: Option<u32>,
}

/// A frame did not carry the number after that of the frame before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SequenceGap {
    pub(crate) expected: u32,
    pub(crate) found: u32,
}

impl ReceiveSequence {
    /// Takes the number of the next frame.
    pub(crate) const fn check(&mut self, found: u32) -> Result<(), SequenceGap> {
        if let Some(expected) = self.expected
            && found != expected
        {
            return Err(SequenceGap { expected, found });
        }
        self.expected = Some(next(found));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u32 = (1 << 24) - 1;

    #[test]
    fn sequences_wrap_after_two_to_the_24() {
        let mut send = SendSequence::new(LAST - 1);
        assert_eq!([send.take(), send.take(), send.take()], [LAST - 1, LAST, 0]);
    }

    #[test]
    fn three_turns_of_the_whole_circle_are_followed() {
        let mut send = SendSequence::new(LAST - 2);
        let mut receive = ReceiveSequence::default();
        for _ in 0..3 * (1 << 24) + 5 {
            assert_eq!(receive.check(send.take()), Ok(()));
        }
    }

    #[test]
    fn a_gap_and_a_repeat_are_found_everywhere_also_at_the_wrap() {
        for (first, second, ok) in
            [(7, 8, true), (7, 7, false), (7, 9, false), (LAST, 0, true), (LAST, 1, false), (0, LAST, false)]
        {
            let mut receive = ReceiveSequence::default();
            assert_eq!(receive.check(first), Ok(()));
            assert_eq!(receive.check(second).is_ok(), ok, "{first} then {second}");
        }
    }
}
