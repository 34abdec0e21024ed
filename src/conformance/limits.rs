//! How long the tester waits, and how much it does at once.

use std::time::Duration;

use tokio::time::Instant;

/// For an answer that a server owes at once: longer than a slow disk syncs or a busy machine schedules.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);
/// For one whole case, whatever it waits for.
pub(super) const CASE_PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing must come where nothing may: an answer on one machine takes a hundredth of it.
pub(super) const QUIET: Duration = Duration::from_millis(120);
/// Between two writes that are to arrive apart.
pub(super) const APART: Duration = Duration::from_millis(2);
/// A handshake that is not done ends after 5 s (C-9.1); with time for a busy machine.
pub(super) const HANDSHAKE_END: Duration = Duration::from_secs(8);
/// It must not end before: slow networks need the time. A timer of the server's may be a little early.
pub(super) const HANDSHAKE_LEAST: Duration = Duration::from_millis(4_500);
/// Cases at once, each over a connection or two: waiting ones overlap, and a small server is not overrun.
pub(super) const CASES_AT_ONCE: usize = 12;
/// Bytes read from a stream at a time.
pub(super) const READ_BYTES: usize = 64 << 10;
/// What a reader of everything grants a request: no answer of a case is as large.
pub(super) const PLENTY: u64 = 1 << 40;
/// Programs of a client under test at once: each may be an interpreter that takes a core to start.
pub(super) const CLIENTS_AT_ONCE: usize = 4;
/// How long a program under test may take to answer, starting included: some interpreters are slow on a busy machine.
pub(super) const CLIENT_PATIENCE: Duration = Duration::from_secs(15);

/// The moment at which a patience that begins now is over.
pub(super) fn deadline(patience: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(patience).unwrap_or(now)
}
