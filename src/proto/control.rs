//! Control: what is free of credit. Output is state, not a queue; input has a budget.
//!
//! However often a peer asks, one Pong (to its latest Ping) and one notice (of the latest message that was passed
//! over) wait for the writer, so that a peer that sends and does not read costs nothing.

use super::budget::TokenBucket;
use super::error::Violation;
use super::limits::{CONTROL_BURST, CONTROL_PER_FRAME, CONTROL_PER_SECOND};
use super::time::Time;
use crate::wire::message::{Ping, Pong};
use crate::wire::{Clock, Message, MessageError};

/// A Ping under way.
#[derive(Debug, Clone, Copy)]
struct Probe {
    nonce: u64,
    written: Time,
}

#[derive(Debug)]
pub(crate) struct Control {
    budget: TokenBucket,
    /// The nonce of the latest Ping that is not answered.
    pong_due: Option<u64>,
    ping_due: bool,
    next_nonce: u64,
    probe: Option<Probe>,
    /// The fault of the latest message that was passed over.
    notice: Option<MessageError>,
}

/// What a Pong told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) written: Time,
    pub(crate) clock: Clock,
}

impl Control {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            budget: TokenBucket::new(now, CONTROL_PER_SECOND, CONTROL_BURST),
            pong_due: None,
            ping_due: false,
            next_nonce: 1,
            probe: None,
            notice: None,
        }
    }

    /// A control frame came.
    pub(crate) fn spend(&mut self, now: Time) -> Result<(), Violation> {
        if self.budget.take(now) { Ok(()) } else { Err(Violation::ControlFlood) }
    }

    /// This side wrote a frame that gives the peer cause for control frames.
    pub(crate) fn earn(&mut self) {
        self.budget.earn(CONTROL_PER_FRAME);
    }

    pub(crate) const fn handle_ping(&mut self, ping: Ping) {
        self.pong_due = Some(ping.nonce);
    }

    /// A Pong came: an answer to the last Ping is an [`Echo`], another is late and ignored.
    pub(crate) fn handle_pong(&mut self, pong: Pong) -> Option<Echo> {
        let probe = self.probe.take_if(|probe| probe.nonce == pong.nonce)?;
        Some(Echo { written: probe.written, clock: pong.clock })
    }

    /// A message was passed over: the peer is told.
    pub(crate) fn pass_over(&mut self, error: MessageError) {
        self.notice = Some(error);
    }

    /// Asks for a Ping.
    pub(crate) const fn want_ping(&mut self) {
        self.ping_due = true;
    }

    /// Whether a Ping is not answered.
    pub(crate) const fn is_probing(&self) -> bool {
        self.ping_due || self.probe.is_some()
    }

    /// What was passed over, to be told now.
    pub(crate) const fn next_notice(&mut self) -> Option<MessageError> {
        self.notice.take()
    }

    /// The Pong or Ping to write now. A Pong carries `clock`.
    pub(crate) fn next_beat(&mut self, now: Time, clock: Clock) -> Option<Message<'static>> {
        if let Some(nonce) = self.pong_due.take() {
            return Some(Message::Pong(Pong { nonce, clock }));
        }
        if !std::mem::take(&mut self.ping_due) {
            return None;
        }
        let nonce = self.next_nonce;
        self.next_nonce = nonce.wrapping_add(1);
        self.probe = Some(Probe { nonce, written: now });
        Some(Message::Ping(Ping { nonce }))
    }

    /// Whether something waits for the writer.
    #[cfg(test)]
    const fn has_output(&self) -> bool {
        self.pong_due.is_some() || self.ping_due || self.notice.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_pings_have_one_pong_the_latest() {
        let mut control = Control::new(Time::ZERO);
        for nonce in 1..=100 {
            control.handle_ping(Ping { nonce });
        }
        let pong = Message::Pong(Pong { nonce: 100, clock: Clock::NONE });
        assert_eq!(control.next_beat(Time::ZERO, Clock::NONE), Some(pong));
        assert!(!control.has_output());
    }

    #[test]
    fn only_the_answer_to_the_last_ping_is_an_echo() {
        let mut control = Control::new(Time::ZERO);
        let mut nonces = Vec::new();
        for second in [1, 2] {
            control.want_ping();
            let Some(Message::Ping(ping)) = control.next_beat(Time::from_nanos(second), Clock::NONE) else {
                panic!("a ping is due");
            };
            nonces.push(ping.nonce);
        }
        let pong = |nonce| Pong { nonce, clock: Clock::NONE };
        assert_eq!(control.handle_pong(pong(nonces[0])), None);
        let echo = Echo { written: Time::from_nanos(2), clock: Clock::NONE };
        assert_eq!(control.handle_pong(pong(nonces[1])), Some(echo));
        assert_eq!(control.handle_pong(pong(nonces[1])), None);
    }

    #[test]
    fn control_is_free_within_its_budget_and_data_earns_more() {
        let mut control = Control::new(Time::ZERO);
        for _ in 0..CONTROL_BURST {
            assert_eq!(control.spend(Time::ZERO), Ok(()));
        }
        assert_eq!(control.spend(Time::ZERO), Err(Violation::ControlFlood));
        control.earn();
        for _ in 0..CONTROL_PER_FRAME {
            assert_eq!(control.spend(Time::ZERO), Ok(()));
        }
        assert_eq!(control.spend(Time::ZERO), Err(Violation::ControlFlood));
    }
}
