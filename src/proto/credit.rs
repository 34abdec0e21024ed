//! The first ledger: receive credit. Cumulative absolute limits, in frames *and* bytes.
//!
//! ```text
//!   sender                                      receiver
//!   sent    ≤ limit (frames)                    received ≤ advertised (frames)
//!   sent    < limit before a frame (bytes)      admitted ≤ received
//!      │                                        target   = admitted + window
//!      │── frame (1, its bytes) ───────────────▶ receive()
//!      │                                         admit()      when the application took it
//!      ◀──────────────── Credit (target) ─────── advertise()  when due
//! ```
//!
//! A frame may be sent when both sums lie below their limits *before* it, so the byte limit may be overdrawn by
//! one frame: the smallest window moves the largest frame. Limits are sums since the beginning, so a Credit
//! that is replaced by a later one before it was written loses nothing.

use crate::wire::CreditLimit;

const fn amount(frames: u64, bytes: u64) -> CreditLimit {
    CreditLimit { frames, bytes }
}

const fn plus(a: CreditLimit, b: CreditLimit) -> CreditLimit {
    amount(a.frames.saturating_add(b.frames), a.bytes.saturating_add(b.bytes))
}

/// Of each member the difference, at least zero.
const fn minus(a: CreditLimit, b: CreditLimit) -> CreditLimit {
    amount(a.frames.saturating_sub(b.frames), a.bytes.saturating_sub(b.bytes))
}

/// Of each member the larger.
const fn larger(a: CreditLimit, b: CreditLimit) -> CreditLimit {
    amount(
        if a.frames > b.frames { a.frames } else { b.frames },
        if a.bytes > b.bytes { a.bytes } else { b.bytes },
    )
}

/// What one received frame took of the receiver's credit. It is neither copied nor cloned: giving it back to
/// the connection that issued it is how credit returns, once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "credit returns to the peer only when the cost is given back"]
pub struct Cost(CreditLimit);

impl Cost {
    /// The frame's bytes.
    pub const fn bytes(&self) -> u64 {
        self.0.bytes
    }
}

/// A limit that would fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitFell;

/// A frame beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitPassed;

/// The sender's half.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SendCredit {
    sent: CreditLimit,
    limit: CreditLimit,
}

impl SendCredit {
    pub(crate) const fn new(limit: CreditLimit) -> Self {
        Self { sent: CreditLimit::NONE, limit }
    }

    /// Whether one more frame of any size may be sent.
    pub(crate) const fn is_open(&self) -> bool {
        self.limit.allows_one_more(self.sent)
    }

    /// Counts a frame. The caller asked [`Self::is_open`] before.
    pub(crate) const fn spend(&mut self, bytes: u64) {
        self.sent = plus(self.sent, amount(1, bytes));
    }

    /// Takes the peer's new limit. Answers whether sending became possible.
    pub(crate) const fn raise(&mut self, limit: CreditLimit) -> Result<bool, LimitFell> {
        if !limit.is_no_lower_than(self.limit) {
            return Err(LimitFell);
        }
        let was_open = self.is_open();
        self.limit = limit;
        Ok(!was_open && self.is_open())
    }

    #[cfg(test)]
    pub(crate) const fn sent(&self) -> CreditLimit {
        self.sent
    }
}

/// The receiver's half.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiveCredit {
    window: CreditLimit,
    received: CreditLimit,
    admitted: CreditLimit,
    advertised: CreditLimit,
}

impl ReceiveCredit {
    /// A ledger whose first limit, `window`, is announced by other means (Welcome, Query, Subscribe).
    pub(crate) const fn new(window: CreditLimit) -> Self {
        Self { window, received: CreditLimit::NONE, admitted: CreditLimit::NONE, advertised: window }
    }

    /// Takes a frame of `bytes`.
    pub(crate) const fn receive(&mut self, bytes: u64) -> Result<Cost, LimitPassed> {
        if !self.advertised.allows_one_more(self.received) {
            return Err(LimitPassed);
        }
        let cost = amount(1, bytes);
        self.received = plus(self.received, cost);
        Ok(Cost(cost))
    }

    /// Returns the credit of a frame that the application took.
    pub(crate) fn admit(&mut self, cost: Cost) {
        self.admitted = plus(self.admitted, cost.0);
    }

    /// Grows or shrinks the window. What was promised stays promised: after a shrink the limit stands still
    /// until enough was admitted.
    pub(crate) const fn set_window(&mut self, window: CreditLimit) {
        self.window = window;
    }

    /// The limit that is worth a Credit now: one of its members grew by half of its window or more, so that
    /// credits are few; a sender that ran dry always gets one when everything it sent is admitted.
    pub(crate) const fn due(&self) -> Option<CreditLimit> {
        let target = larger(plus(self.admitted, self.window), self.advertised);
        let CreditLimit { frames, bytes } = minus(target, self.advertised);
        let frames_due = frames > 0 && frames >= self.window.frames.div_ceil(2);
        let bytes_due = bytes > 0 && bytes >= self.window.bytes.div_ceil(2);
        if frames_due || bytes_due { Some(target) } else { None }
    }

    /// Notes that a Credit with `limit` was written.
    pub(crate) const fn advertise(&mut self, limit: CreditLimit) {
        self.advertised = limit;
    }

    /// Frames received whose cost was not given back.
    pub(crate) const fn outstanding(&self) -> CreditLimit {
        minus(self.received, self.admitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(frames: u64, bytes: u64) -> (SendCredit, ReceiveCredit) {
        let window = amount(frames, bytes);
        (SendCredit::new(window), ReceiveCredit::new(window))
    }

    #[test]
    fn the_smallest_window_moves_the_largest_frame_for_ever() {
        let (mut send, mut receive) = pair(1, 1);
        for _ in 0..1_000 {
            assert!(send.is_open());
            send.spend(2 << 20);
            assert!(!send.is_open());
            let cost = receive.receive(2 << 20).unwrap();
            assert_eq!(receive.due(), None, "nothing returns before admission");
            receive.admit(cost);
            let limit = receive.due().unwrap();
            receive.advertise(limit);
            assert_eq!(send.raise(limit), Ok(true));
        }
        assert_eq!(send.sent(), amount(1_000, 1_000 * (2 << 20)));
    }

    #[test]
    fn each_member_of_the_limit_holds_by_itself() {
        let (_, mut receive) = pair(2, 1_000);
        assert!(receive.receive(10).is_ok());
        assert!(receive.receive(10).is_ok());
        assert_eq!(receive.receive(10), Err(LimitPassed), "frames");
        let (_, mut receive) = pair(1_000, 20);
        assert!(receive.receive(19).is_ok());
        assert!(receive.receive(500).is_ok(), "one frame may overdraw");
        assert_eq!(receive.receive(1), Err(LimitPassed), "bytes");
    }

    #[test]
    fn credit_is_returned_by_halves_and_late_credits_replace_early_ones() {
        let (mut send, mut receive) = pair(8, 1 << 20);
        let mut costs = Vec::new();
        for _ in 0..8 {
            send.spend(20);
            costs.push(receive.receive(20).unwrap());
        }
        let due = costs.into_iter().map(|cost| {
            receive.admit(cost);
            receive.due().map(|limit| limit.frames)
        });
        let due: Vec<_> = due.collect();
        assert_eq!(due, [None, None, None, Some(12), Some(13), Some(14), Some(15), Some(16)]);
        let last = receive.due().unwrap();
        receive.advertise(last);
        assert_eq!((send.raise(last), receive.due()), (Ok(true), None));
    }

    #[test]
    fn a_limit_never_falls_and_a_shrunk_window_takes_effect_by_standing_still() {
        let (mut send, mut receive) = pair(8, 800);
        assert_eq!(send.raise(amount(9, 799)), Err(LimitFell));
        assert_eq!(send.raise(amount(8, 800)), Ok(false));
        receive.set_window(amount(1, 1));
        for turn in 0..8 {
            let cost = receive.receive(100).unwrap();
            receive.admit(cost);
            assert_eq!(receive.due().is_some(), turn == 7, "frame {turn}");
        }
        assert_eq!(receive.due(), Some(amount(9, 801)));
    }

    #[test]
    fn a_window_of_nothing_is_a_pause() {
        let (mut send, mut receive) = pair(0, 0);
        assert!(!send.is_open());
        assert_eq!(receive.due(), None);
        receive.set_window(amount(1, 1));
        let limit = receive.due().unwrap();
        assert_eq!(send.raise(limit), Ok(true));
    }

    #[test]
    fn sums_saturate() {
        let mut send = SendCredit::new(amount(u64::MAX, u64::MAX));
        send.spend(u64::MAX);
        assert!(!send.is_open());
        let mut receive = ReceiveCredit::new(amount(u64::MAX, u64::MAX));
        let cost = receive.receive(7).unwrap();
        receive.admit(cost);
        assert_eq!(receive.due(), None);
    }
}
