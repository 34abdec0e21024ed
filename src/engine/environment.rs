//! What the engine is given of the outside world.

use std::time::Duration;

/// The clocks and the randomness of the machine, or of a simulation.
pub trait Environment: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC by the machine's wall clock, which may jump.
    fn unix_ms(&self) -> u64;

    /// Time since any fixed instant; never goes back.
    fn elapsed(&self) -> Duration;

    /// 64 bits that nobody can guess.
    fn random(&self) -> u64;
}
