//! How many files and sockets this process may have open, and how many of them are for clients.
//!
//! Files come first: a log that cannot open its next segment ends the process, a client that is turned away comes again.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::limits::{DESCRIPTORS_FOR_ITSELF, DESCRIPTORS_PER_DATABASE, MAX_CONNECTIONS};

/// How many clients may be connected at once beside the files of so many databases. Raises the process's limit.
pub(super) fn places(databases: usize) -> usize {
    beside_files(raise_descriptor_limit(), databases)
}

/// Raises the number of files and sockets that this process may have open as far as the system lets it, and answers it.
pub fn raise_descriptor_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        limit = raised;
    }
    // None is no limit.
    limit.current.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// The places of clients under a limit: what files leave over, but half of all at least.
fn beside_files(limit: usize, databases: usize) -> usize {
    let files = databases.saturating_mul(DESCRIPTORS_PER_DATABASE).saturating_add(DESCRIPTORS_FOR_ITSELF);
    limit.saturating_sub(files.min(limit / 2)).clamp(1, MAX_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_first_and_clients_get_half_at_least() {
        for (limit, databases, places) in [
            (256, 1, 128),
            (1_024, 1, 1_024 - 352),
            (1_024, 9, 512),
            (20_000, 1, 10_000),
            (usize::MAX, 1, 10_000),
            (0, 1, 1),
        ] {
            assert_eq!(beside_files(limit, databases), places, "{limit} {databases}");
        }
    }
}
