//! The cases of a server: the tester plays a client.

mod compression;
mod credit;
mod durability;
mod endings;
mod faults;
mod framing;
mod handshake;
mod hellos;
mod operations;
mod queries;
mod requests;
mod resume;
mod subscriptions;

use super::case::Case;
use super::target::Target;

/// All of them, in the order of reports.
pub(super) fn all() -> impl Iterator<Item = Case<Target>> {
    [
        framing::CASES,
        compression::CASES,
        hellos::CASES,
        handshake::CASES,
        faults::CASES,
        requests::CASES,
        operations::CASES,
        resume::CASES,
        credit::CASES,
        queries::CASES,
        subscriptions::CASES,
        endings::CASES,
        durability::CASES,
    ]
    .into_iter()
    .flatten()
    .copied()
}
