//! The handshake: what a Hello and a Welcome must agree on, as pure functions.
//!
//! ```text
//!   client                                          server
//!   Hello: versions, node, oldest ..next, database ─▶  Hello event: the engine looks the node up
//!        ◀─ Welcome: version, decided, windows, node ──  accept(Acceptance)     or Error ── refuse(code)
//!   resends oldest .. next                            expects operation `oldest`
//! ```

use std::time::Duration;

use uuid::Uuid;

use super::error::Violation;
use super::limits::{MAX_HEARTBEAT, MIN_HEARTBEAT};
use crate::wire::header::VERSION;
use crate::wire::message::{Hello, Welcome};
use crate::wire::{Clock, ErrorCode, Position};

/// The capability to receive payloads compressed as LZ4 blocks.
pub const LZ4: &str = "lz4";

/// A Hello, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloInfo {
    /// The number that the node's next new operation will carry.
    pub next_operation: u64,
    /// The oldest number that no Ack of level durable has covered.
    pub oldest_unacked: u64,
    /// The database it wants.
    pub database: String,
    /// Its program and version, for logs.
    pub agent: String,
    /// The node that resumes; `None` for one that wants a new identity.
    pub node: Option<Uuid>,
    /// What it can do beyond the base of the protocol.
    pub capabilities: Vec<String>,
}

impl From<&Hello<'_>> for HelloInfo {
    fn from(hello: &Hello<'_>) -> Self {
        Self {
            next_operation: hello.next_operation,
            oldest_unacked: hello.oldest_unacked,
            database: hello.database.as_str().to_owned(),
            agent: hello.agent.to_owned(),
            node: hello.node,
            capabilities: hello.capabilities.iter().map(str::to_owned).collect(),
        }
    }
}

/// What the engine answers to a Hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptance {
    /// The client's node: as its Hello had it, or a new one.
    pub node: Uuid,
    /// The highest operation number of that node that is decided; 0 if none.
    pub node_decided: u64,
    /// Names this connection in logs.
    pub connection: Uuid,
    /// The published position.
    pub position: Position,
    /// The server's clock, now.
    pub clock: Clock,
}

/// What a client knows once it is welcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WelcomeInfo {
    /// Its node.
    pub node: Uuid,
    /// Names this connection in the server's logs.
    pub connection: Uuid,
    /// The highest operation number of the node that the server has decided.
    pub node_decided: u64,
    /// How many operations may be unacknowledged.
    pub operation_window: u16,
    /// How many queries and subscriptions may run.
    pub request_limit: u16,
    /// The heartbeat.
    pub heartbeat: Duration,
    /// The server's clock.
    pub clock: Clock,
    /// The position that was published.
    pub position: Position,
    /// The server's program and version.
    pub agent: String,
    /// Whether payloads may be compressed.
    pub compression: bool,
}

/// The version to speak with a client.
pub(crate) fn choose_version(hello: &Hello<'_>) -> Result<u8, Violation> {
    let (min, max) = (hello.min_version, hello.max_version);
    if (min..=max).contains(&VERSION) { Ok(VERSION) } else { Err(Violation::UnsupportedVersion { min, max }) }
}

/// The heartbeat that a server answers to a proposal.
pub(crate) fn choose_heartbeat(proposed_ms: u32) -> Duration {
    Duration::from_millis(u64::from(proposed_ms)).clamp(MIN_HEARTBEAT, MAX_HEARTBEAT)
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

/// Whether a node's numbers fit what the server has decided for it.
///
/// A node that will issue a number that is decided already was restored from a copy (`identity_reused`). A node
/// that holds outcomes of operations that the server does not know was forgotten, or the server itself was
/// restored from an older copy (`identity_expired`): its next operation would leave a gap.
pub(crate) const fn check_identity(
    oldest_unacked: u64,
    next_operation: u64,
    node_decided: u64,
) -> Result<(), ErrorCode> {
    if node_decided >= next_operation {
        return Err(ErrorCode::IdentityReused);
    }
    if oldest_unacked > node_decided.saturating_add(1) {
        return Err(ErrorCode::IdentityExpired);
    }
    Ok(())
}

/// What a client offered, to hold the Welcome against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) node: Option<Uuid>,
    pub(crate) oldest_unacked: u64,
    pub(crate) next_operation: u64,
    pub(crate) compression: bool,
}

/// Checks that a Welcome answers the Hello.
pub(crate) fn check_welcome(offer: Offer, welcome: &Welcome<'_>) -> Result<WelcomeInfo, Violation> {
    let invalid = |field| Err(Violation::InvalidWelcome { field });
    let heartbeat = Duration::from_millis(u64::from(welcome.heartbeat_ms));
    if welcome.version != VERSION {
        return invalid("version");
    }
    if !(MIN_HEARTBEAT..=MAX_HEARTBEAT).contains(&heartbeat) {
        return invalid("heartbeat_ms");
    }
    if offer.node.is_some_and(|node| node != welcome.node) {
        return invalid("node");
    }
    if welcome.capabilities.iter().any(|name| !(offer.compression && name == LZ4)) {
        return invalid("capabilities");
    }
    check_identity(offer.oldest_unacked, offer.next_operation, welcome.node_decided)
        .map_err(Violation::Identity)?;
    Ok(WelcomeInfo {
        node: welcome.node,
        connection: welcome.connection,
        node_decided: welcome.node_decided,
        operation_window: welcome.operation_window,
        request_limit: welcome.request_limit,
        heartbeat,
        clock: welcome.clock,
        position: welcome.position,
        agent: welcome.agent.to_owned(),
        compression: welcome.capabilities.contains(LZ4),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_numbers_must_fit_what_is_decided() {
        for (oldest, next, decided, expected) in [
            (1, 1, 0, Ok(())),
            (1, 5, 0, Ok(())),
            (3, 5, 2, Ok(())),
            (3, 5, 4, Ok(())),
            (5, 5, 4, Ok(())),
            (3, 5, 5, Err(ErrorCode::IdentityReused)),
            (1, 1, 1, Err(ErrorCode::IdentityReused)),
            (3, 5, 1, Err(ErrorCode::IdentityExpired)),
            (2, 2, 0, Err(ErrorCode::IdentityExpired)),
            (u64::MAX, u64::MAX, u64::MAX - 1, Ok(())),
        ] {
            assert_eq!(check_identity(oldest, next, decided), expected, "{oldest} {next} {decided}");
        }
    }

    #[test]
    fn heartbeats_are_clamped() {
        for (proposed, seconds) in [(0, 5), (5_000, 5), (15_000, 15), (60_000, 60), (u32::MAX, 60)] {
            assert_eq!(choose_heartbeat(proposed), Duration::from_secs(seconds));
        }
    }
}
