//! What a client may be told before it connects.

use std::path::PathBuf;
use std::time::Duration;

use crate::proto::ClientConfig;
use crate::proto::limits::DEFAULT_HEARTBEAT;

/// How long a client goes without a connection before it gives up, unless told otherwise: a server that restarts
/// with a large log, or a person who plugs a cable in again, is back within this time.
pub const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);

/// How a client behaves. [`Options::default`] suits most.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program and its version, for the server's logs.
    pub agent: String,
    /// The heartbeat to propose; the server may answer another.
    pub heartbeat: Duration,
    /// Whether to offer LZ4.
    pub compression: bool,
    /// How long one call may take; `None` for as long as it takes. [`Client::with_deadline`](super::Client::with_deadline)
    /// sets another for some calls.
    pub deadline: Option<Duration>,
    /// How long to go without a connection before the client ends with the last error; `None` for ever. The first
    /// attempt is not repeated: its error is told at once.
    pub patience: Option<Duration>,
    /// A file of certificates in PEM, one of which vouches for the server's, for URLs with TLS and without a pin; `None` for
    /// those that the system trusts.
    pub ca: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            agent: concat!("blazedb/", env!("CARGO_PKG_VERSION")).to_owned(),
            heartbeat: DEFAULT_HEARTBEAT,
            compression: true,
            deadline: None,
            patience: Some(DEFAULT_PATIENCE),
            ca: None,
        }
    }
}

impl Options {
    pub(super) fn config(&self, database: &str) -> ClientConfig {
        ClientConfig {
            agent: self.agent.clone(),
            heartbeat: self.heartbeat,
            compression: self.compression,
            ..ClientConfig::new(database)
        }
    }
}
