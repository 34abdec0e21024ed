//! What a person sees while the load runs: one line on the terminal that changes.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

use super::run::Run;
use crate::cli::output::grouped;

/// How often the line changes.
const INTERVAL: Duration = Duration::from_millis(250);
/// Goes to the line's beginning and clears it.
const CLEAR: &str = "\r\x1b[K";

/// The line, where stderr is a terminal; nothing elsewhere.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    next: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_shown: io::stderr().is_terminal(), next: Instant::now() }
    }

    /// Shows what `text` says, unless it was just shown.
    pub(super) fn show(&mut self, text: impl FnOnce() -> String) {
        if self.is_shown && Instant::now() >= self.next {
            self.next = Instant::now().checked_add(INTERVAL).unwrap_or(self.next);
            // A terminal that is gone is no fault of the load.
            let _ = write!(io::stderr(), "{CLEAR}{}", text());
        }
    }

    /// Shows the load as it goes, until it is dropped.
    pub(super) async fn follow(&mut self, run: &Run) {
        let (mut before, mut since) = (0, run.clock.now());
        loop {
            tokio::time::sleep(INTERVAL).await;
            let (now, answered) = (run.clock.now(), run.tally.borrow().answered);
            let rate = rate(answered.saturating_sub(before), now.since(since));
            (before, since) = (answered, now);
            let (part, lasted) = run.progress(now);
            self.show(|| {
                let what = match run.schedule() {
                    None => "connecting".to_owned(),
                    Some(_) if lasted.is_zero() => "warming up".to_owned(),
                    Some(_) => format!("measuring, {:.0} %, {:.0} s", part * 100.0, lasted.as_secs_f64()),
                };
                format!("{what}: {} operations/s", grouped(rate))
            });
        }
    }

    /// Clears the line.
    pub(super) fn end(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

/// `count` in `time`, a second.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a figure for people; a float saturates"
)]
pub(super) fn rate(count: u64, time: Duration) -> u64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 }
}
