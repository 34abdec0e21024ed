//! A line on the terminal that shows how far a long command is. Nothing of it where stderr is no terminal.

use std::sync::{Mutex, PoisonError};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The line that is shown, so that other lines can be written around it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Redrawings a second: enough to look alive.
const REDRAWS_PER_SECOND: u8 = 10;

/// A line that shows progress, until it is dropped.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of `total` bytes, if they are known. `what` is said in front.
    pub(super) fn of_bytes(what: &'static str, total: Option<u64>) -> Self {
        let bar =
            ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND));
        let template = match total {
            Some(_) => "{prefix} {wide_bar} {percent}% of {total_bytes}{msg}, {eta} left",
            None => "{prefix} {bytes}{msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        if !bar.is_hidden() {
            *shown() = Some(bar.clone());
        }
        Self(bar)
    }

    /// Shows the bytes done, and records a second if there are any.
    pub(super) fn set(&self, bytes: u64, records: u64) {
        if self.0.is_hidden() {
            return;
        }
        self.0.set_position(bytes);
        if records > 0 {
            let rate = per_second(records, self.0.elapsed());
            self.0.set_message(format!(", {} records, {}/s", HumanCount(records), HumanCount(rate)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *shown() = None;
        self.0.finish_and_clear();
    }
}

/// Takes the line away while `write` writes others.
pub(super) fn around(write: impl FnOnce()) {
    match shown().clone() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

fn shown() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many a second.
pub(super) fn per_second(count: u64, elapsed: std::time::Duration) -> u64 {
    let nanos = elapsed.as_nanos().max(1);
    let rate = u128::from(count).saturating_mul(1_000_000_000).checked_div(nanos).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}
