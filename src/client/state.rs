//! What a client's connection is doing, for whoever wants to show it.

use std::time::Duration;

use uuid::Uuid;

use super::error::Error;

/// The state of the connection.
///
/// ```text
///   Connecting ──Welcome──▶ Connected ──lost──▶ Waiting ──▶ Connecting ──▶ …
///                               │ close, refusal, patience at its end
///                               ▼
///                             Ended
/// ```
#[derive(Debug, Clone)]
pub enum State {
    /// An attempt is under way.
    Connecting,
    /// The server welcomed the client.
    Connected {
        /// The client's node: the same over all its connections.
        node: Uuid,
        /// Names this connection in the server's logs.
        connection: Uuid,
        /// The server's program and version.
        server: String,
    },
    /// An attempt or a connection failed; the next attempt follows.
    Waiting {
        /// What happened.
        error: Error,
        /// The pause.
        pause: Duration,
        /// How many attempts failed in a row.
        failures: u32,
    },
    /// There will be no other connection: the error, or [`Error::Closed`].
    Ended(Error),
}
