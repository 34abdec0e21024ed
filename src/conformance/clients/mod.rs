//! The cases of a client: the tester plays a server, and a program drives the client under test.

mod door;
mod driver;
mod host;
mod play;
mod rules;
mod words;

use super::case::Case;
pub use door::Listen;
pub(super) use play::Stage;

/// All of them, in the order of reports.
pub(super) fn all() -> impl Iterator<Item = Case<Stage>> {
    [
        operations::CASES,
        requests::CASES,
        watches::CASES,
        connections::CASES,
        faults::CASES,
        parting::CASES,
        time::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

mod connections;
mod faults;
mod operations;
mod parting;
mod requests;
mod time;
mod watches;
