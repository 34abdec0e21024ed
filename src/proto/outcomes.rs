//! The second ledger, server side: outcomes of operations, in order.
//!
//! ```text
//!   received ≥ decided ≥ durable        (operation numbers; each moves by one frame, one decision, one sync)
//!
//!   Operation n ──▶ received ──decide──▶ decided ──sync──▶ durable ──Ack written──▶ forgotten here
//!                                 │ refused: its Error waits
//!                                 ▼
//!        written first: every waiting Error ≤ the number that an Ack is about to cover; then that Ack
//! ```
//!
//! Acks are cumulative and state: a later one replaces an earlier one that was not written yet. Errors wait for
//! the first Ack that covers them, so an Ack never overtakes one, and are bounded by the operation window.

use std::collections::VecDeque;

use crate::wire::Position;
use crate::wire::message::AckLevel;

/// What an engine decided about an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    /// How many operations inside the frame were found unchanged.
    pub(crate) unchanged: u64,
    /// The position of its effect; of what came before it, if it had none.
    pub(crate) position: Position,
    /// The payload of its Error, if it was refused.
    pub(crate) refusal: Option<Vec<u8>>,
}

/// What is written next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outgoing {
    /// The payload of an Error.
    Error(Vec<u8>),
    /// A cumulative Ack.
    Ack(Covered, AckLevel),
}

/// How far an Ack reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Covered {
    pub(crate) number: u64,
    pub(crate) unchanged: u64,
    pub(crate) position: Position,
}

/// Why an operation's number is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// It is not the number after the one before.
    Gap { expected: u64 },
    /// It lies beyond the window.
    Window,
}

/// The engine called out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfOrder {
    pub(crate) expected: u64,
}

#[derive(Debug)]
pub(crate) struct Outcomes {
    window: u16,
    received: u64,
    /// The highest number received that asked for an Ack of level `accepted`.
    accepted_wanted: u64,
    decided: Covered,
    durable: Covered,
    /// Decided and not durable yet, in order.
    undurable: VecDeque<Covered>,
    /// Refusals whose Error is not written yet, in order.
    errors: VecDeque<(u64, Vec<u8>)>,
    accepted_written: u64,
    durable_written: u64,
}

impl Outcomes {
    /// A ledger whose first operation will be `first`.
    pub(crate) fn new(first: u64, window: u16, position: Position) -> Self {
        let before = first.saturating_sub(1);
        let covered = Covered { number: before, unchanged: 0, position };
        Self {
            window,
            received: before,
            accepted_wanted: before,
            decided: covered,
            durable: covered,
            undurable: VecDeque::new(),
            errors: VecDeque::new(),
            accepted_written: before,
            durable_written: before,
        }
    }

    /// An operation came.
    pub(crate) fn receive(&mut self, number: u64, level: AckLevel) -> Result<(), NumberError> {
        let expected = self.received.saturating_add(1);
        if number != expected {
            return Err(NumberError::Gap { expected });
        }
        if number.saturating_sub(self.durable_written) > u64::from(self.window) {
            return Err(NumberError::Window);
        }
        self.received = number;
        if level == AckLevel::Accepted {
            self.accepted_wanted = number;
        }
        Ok(())
    }

    /// The engine decided operation `number`.
    pub(crate) fn decide(&mut self, number: u64, decision: Decision) -> Result<(), OutOfOrder> {
        let expected = self.decided.number.saturating_add(1);
        if number != expected || number > self.received {
            return Err(OutOfOrder { expected });
        }
        let unchanged = self.decided.unchanged.saturating_add(decision.unchanged);
        self.decided = Covered { number, unchanged, position: decision.position };
        self.undurable.push_back(self.decided);
        if let Some(refusal) = decision.refusal {
            self.errors.push_back((number, refusal));
        }
        Ok(())
    }

    /// Everything up to `number` is durable. A number that already was is fine.
    pub(crate) fn make_durable(&mut self, number: u64) -> Result<(), OutOfOrder> {
        if number > self.decided.number {
            return Err(OutOfOrder { expected: self.decided.number });
        }
        while let Some(next) = self.undurable.front().copied()
            && next.number <= number
        {
            self.durable = next;
            self.undurable.pop_front();
        }
        Ok(())
    }

    /// What is written next, if anything.
    pub(crate) fn next(&mut self) -> Option<Outgoing> {
        let accepted_due =
            self.accepted_written < self.accepted_wanted && self.accepted_written < self.decided.number;
        let durable_due = self.durable_written < self.durable.number;
        let covered = match (accepted_due, durable_due) {
            (true, _) => self.decided.number,
            (false, true) => self.durable.number,
            (false, false) => return None,
        };
        if self.errors.front().is_some_and(|(number, _)| *number <= covered) {
            return self.errors.pop_front().map(|(_, payload)| Outgoing::Error(payload));
        }
        if accepted_due {
            self.accepted_written = self.decided.number;
            return Some(Outgoing::Ack(self.decided, AckLevel::Accepted));
        }
        self.durable_written = self.durable.number;
        self.accepted_written = self.accepted_written.max(self.durable_written);
        Some(Outgoing::Ack(self.durable, AckLevel::Durable))
    }

    /// Whether every operation received is durable and told.
    pub(crate) fn is_settled(&self) -> bool {
        self.durable_written == self.received && self.errors.is_empty()
    }

    /// Operations received whose durable Ack is not written.
    pub(crate) const fn pending(&self) -> u64 {
        self.received.saturating_sub(self.durable_written)
    }

    /// Bytes held: refusals and one entry for each operation that is not durable.
    pub(crate) fn memory(&self) -> usize {
        let refusals = self.errors.iter().map(|(_, payload)| payload.len()).fold(0, usize::saturating_add);
        refusals.saturating_add(self.undurable.len().saturating_mul(size_of::<Covered>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seq: u64) -> Position {
        Position { epoch: 1, partition: 0, seq }
    }

    fn applied(seq: u64) -> Decision {
        Decision { unchanged: 0, position: at(seq), refusal: None }
    }

    fn refused(seq: u64) -> Decision {
        Decision { refusal: Some(vec![b'r']), ..applied(seq) }
    }

    /// What is written, as text: `e` an Error, `a7` and `d7` the Acks.
    fn written(outcomes: &mut Outcomes) -> String {
        let mut text = String::new();
        while let Some(next) = outcomes.next() {
            text += &match next {
                Outgoing::Error(_) => "e ".to_owned(),
                Outgoing::Ack(covered, AckLevel::Accepted) => format!("a{} ", covered.number),
                Outgoing::Ack(covered, _) => format!("d{} ", covered.number),
            };
        }
        text.trim_end().to_owned()
    }

    fn ledger(levels: &[AckLevel]) -> Outcomes {
        let mut outcomes = Outcomes::new(1, 8, at(0));
        for (number, level) in (1..).zip(levels) {
            outcomes.receive(number, *level).unwrap();
        }
        outcomes
    }

    #[test]
    fn an_error_waits_for_the_ack_that_covers_it_and_precedes_it() {
        let mut outcomes = ledger(&[AckLevel::Durable; 4]);
        outcomes.decide(1, applied(1)).unwrap();
        outcomes.decide(2, refused(1)).unwrap();
        outcomes.decide(3, applied(2)).unwrap();
        assert_eq!(written(&mut outcomes), "");
        outcomes.make_durable(1).unwrap();
        assert_eq!(written(&mut outcomes), "d1");
        outcomes.make_durable(3).unwrap();
        assert_eq!(written(&mut outcomes), "e d3");
        assert_eq!(outcomes.pending(), 1);
    }

    #[test]
    fn accepted_acks_are_sent_to_those_who_asked_and_carry_the_errors_before_them() {
        let mut outcomes = ledger(&[AckLevel::Durable, AckLevel::Accepted, AckLevel::Durable]);
        outcomes.decide(1, refused(0)).unwrap();
        outcomes.decide(2, applied(1)).unwrap();
        assert_eq!(written(&mut outcomes), "e a2");
        outcomes.decide(3, applied(2)).unwrap();
        assert_eq!(written(&mut outcomes), "", "the third did not ask");
        outcomes.make_durable(3).unwrap();
        assert_eq!(written(&mut outcomes), "d3");
        assert!(outcomes.is_settled());
    }

    #[test]
    fn acks_are_state_and_count_what_was_unchanged() {
        let mut outcomes = ledger(&[AckLevel::Durable; 3]);
        for number in 1..=3 {
            outcomes.decide(number, Decision { unchanged: 10, ..applied(number) }).unwrap();
            outcomes.make_durable(number.min(2)).unwrap();
        }
        let two = Covered { number: 2, unchanged: 20, position: at(2) };
        assert_eq!(outcomes.next(), Some(Outgoing::Ack(two, AckLevel::Durable)));
        assert_eq!(outcomes.next(), None);
    }

    #[test]
    fn numbers_rise_by_one_within_the_window() {
        let mut outcomes = ledger(&[AckLevel::Durable; 8]);
        assert_eq!(outcomes.receive(10, AckLevel::Durable), Err(NumberError::Gap { expected: 9 }));
        assert_eq!(outcomes.receive(8, AckLevel::Durable), Err(NumberError::Gap { expected: 9 }));
        assert_eq!(outcomes.receive(9, AckLevel::Durable), Err(NumberError::Window));
        assert_eq!(outcomes.decide(2, applied(1)), Err(OutOfOrder { expected: 1 }));
        assert_eq!(outcomes.make_durable(1), Err(OutOfOrder { expected: 0 }));
        outcomes.decide(1, applied(1)).unwrap();
        outcomes.make_durable(1).unwrap();
        assert_eq!(
            outcomes.receive(9, AckLevel::Durable),
            Err(NumberError::Window),
            "the Ack is not written"
        );
        assert_eq!(written(&mut outcomes), "d1");
        assert_eq!(outcomes.receive(9, AckLevel::Durable), Ok(()));
        assert_eq!(outcomes.decide(1, applied(1)), Err(OutOfOrder { expected: 2 }));
    }
}
