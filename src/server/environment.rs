//! The machine's clocks and randomness.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::engine::Environment;
use crate::proto::Time;

/// The clocks and the randomness of this machine.
#[derive(Debug)]
pub struct Machine {
    start: Instant,
}

impl Machine {
    /// Time begins now.
    #[expect(clippy::disallowed_methods, reason = "the server is where clocks are read")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// Now, for connections.
    pub fn now(&self) -> Time {
        Time::ZERO.after(self.elapsed())
    }

    /// The instant of a time of connections.
    pub fn instant(&self, time: Time) -> Instant {
        let since = time.since(Time::ZERO);
        self.start.checked_add(since).unwrap_or(self.start)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Environment for Machine {
    #[expect(clippy::disallowed_methods, reason = "the server is where clocks are read")]
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn random(&self) -> u64 {
        // The system has randomness once it runs; before that nobody can start a server.
        getrandom::u64().unwrap_or_else(|_| self.unix_ms() ^ u64::from(std::process::id()) << 48)
    }
}
