//! Heartbeats: finding out that the other end is gone although nothing says so.
//!
//! ```text
//!   heard ──(1 heartbeat)──▶ Ping ──(2)──▶ Ping ──(2½)──▶ silent: close
//!     ▲                        │             │
//!     └──── anything heard ────┴─────────────┘
//! ```
//!
//! Any whole frame is a sign of life. So is progress inside one: [`PROGRESS_BYTES`] of an unfinished frame. A
//! peer that dribbles single bytes is silent.

use std::time::Duration;

use super::limits::PROGRESS_BYTES;
use super::time::Time;

/// What a timeout asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing yet.
    Wait,
    /// Send a Ping.
    Ping,
    /// The peer has been silent for 2½ heartbeats.
    Silent,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    interval: Duration,
    heard: Time,
    pings: u32,
    progress: usize,
}

impl Heartbeat {
    pub(crate) const fn new(now: Time, interval: Duration) -> Self {
        Self { interval, heard: now, pings: 0, progress: 0 }
    }

    /// A whole frame came.
    pub(crate) fn handle_frame(&mut self, now: Time) {
        self.heard = self.heard.max(now);
        self.pings = 0;
        self.progress = 0;
    }

    /// `bytes` came that do not finish a frame.
    pub(crate) fn handle_progress(&mut self, now: Time, bytes: usize) {
        self.progress = self.progress.saturating_add(bytes);
        if self.progress >= PROGRESS_BYTES {
            self.handle_frame(now);
        }
    }

    /// When [`Self::handle_timeout`] has something to say.
    pub(crate) fn deadline(&self) -> Time {
        match self.pings {
            0 => self.heard.after(self.interval),
            1 => self.heard.after(self.interval.saturating_mul(2)),
            _ => self.silence(),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) -> Beat {
        if now >= self.silence() {
            return Beat::Silent;
        }
        if now < self.deadline() {
            return Beat::Wait;
        }
        self.pings = self.pings.saturating_add(1);
        Beat::Ping
    }

    fn silence(&self) -> Time {
        self.heard
            .after(self.interval.saturating_mul(2))
            .after(self.interval.checked_div(2).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO.after(Duration::from_millis(seconds * 100))
    }

    #[test]
    fn silence_is_probed_twice_and_then_ends() {
        let mut heartbeat = Heartbeat::new(at(0), Duration::from_secs(10));
        let beats: Vec<_> = [99, 100, 101, 199, 200, 249, 250]
            .map(|time| (time, heartbeat.handle_timeout(at(time))))
            .to_vec();
        let expected = [
            (99, Beat::Wait),
            (100, Beat::Ping),
            (101, Beat::Wait),
            (199, Beat::Wait),
            (200, Beat::Ping),
            (249, Beat::Wait),
            (250, Beat::Silent),
        ];
        assert_eq!(beats, expected);
    }

    #[test]
    fn frames_and_real_progress_are_signs_of_life_and_dribbling_is_not() {
        let mut heartbeat = Heartbeat::new(at(0), Duration::from_secs(10));
        for second in 0..24 {
            heartbeat.handle_progress(at(second * 10), 1);
        }
        assert_eq!(heartbeat.handle_timeout(at(250)), Beat::Silent);
        let mut heartbeat = Heartbeat::new(at(0), Duration::from_secs(10));
        heartbeat.handle_progress(at(200), PROGRESS_BYTES);
        assert_eq!(heartbeat.handle_timeout(at(250)), Beat::Wait);
        heartbeat.handle_frame(at(240));
        assert_eq!(heartbeat.deadline(), at(340));
    }
}
