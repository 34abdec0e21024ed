//! What the program under test wrote to stderr: the end of it is shown with a case that failed.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::conformance::failure::printable;
use crate::conformance::limits::deadline;

/// What is kept of it, in bytes: the end says most.
const KEPT_BYTES: usize = 4_000;
/// And shown, in lines: a stack trace, and not the whole of a log.
const SHOWN_LINES: usize = 30;
/// For what the program wrote before it was ended to arrive. A child of its own may hold stderr open for ever.
const ARRIVAL: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// More was written than is kept.
    is_cut: bool,
    /// Whether it is listened to still.
    is_open: bool,
}

/// The last words of a program, shared by who listens and who shows them.
#[derive(Debug, Clone, Default)]
pub(in crate::conformance) struct LastWords(Arc<Mutex<Kept>>);

impl LastWords {
    /// Keeps the end of what comes from here on, on a thread of its own.
    pub(super) fn listen(&self, mut from: impl Read + Send + 'static) {
        let kept = self.clone();
        kept.with(|kept| kept.is_open = true);
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                kept.with(|kept| kept.push(bytes.get(..read).unwrap_or_default()));
            }
            kept.with(|kept| kept.is_open = false);
        });
    }

    fn with<T>(&self, what: impl FnOnce(&mut Kept) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last lines, fit for a terminal, once the program has ended.
    pub(in crate::conformance) async fn lines(&self) -> Vec<String> {
        let until = deadline(ARRIVAL);
        while self.with(|kept| kept.is_open) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.with(|kept| kept.lines())
    }
}

impl Kept {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let over = self.bytes.len().saturating_sub(KEPT_BYTES);
        self.is_cut |= over > 0;
        self.bytes.drain(..over);
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut lines: Vec<String> = text.trim_end().lines().map(|line| printable(line.trim_end())).collect();
        let over = lines.len().saturating_sub(SHOWN_LINES);
        lines.drain(..over);
        if self.is_cut || over > 0 {
            lines.insert(0, "…".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut kept = Kept::default();
        text.as_bytes().chunks(7).for_each(|bytes| kept.push(bytes));
        kept.lines()
    }

    #[test]
    fn the_end_is_shown_and_harms_no_terminal() {
        assert!(lines("\n\n").is_empty());
        assert_eq!(lines("one\r\n\ttwo \u{1b}[31m\n"), ["one", "  two \\u{1b}[31m"]);
        let many: String = (1..=100).map(|number| format!("line {number}\n")).collect();
        let shown = lines(&many);
        assert_eq!((shown.len(), shown[0].as_str(), shown[1].as_str()), (31, "…", "line 71"));
        assert_eq!(lines(&"x".repeat(9_000)), ["…".to_owned(), "x".repeat(4_000)]);
    }
}
