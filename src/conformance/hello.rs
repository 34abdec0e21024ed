//! The Hello of a client that a case plays, right unless it is changed.

use uuid::Uuid;

use super::fields::Fields;

/// A Hello, field by field.
#[derive(Debug, Clone)]
pub(super) struct Hello {
    pub(super) kind: u8,
    pub(super) versions: (u8, u8),
    pub(super) next_operation: u64,
    pub(super) oldest_unacked: u64,
    pub(super) heartbeat_ms: u32,
    pub(super) database: Vec<u8>,
    pub(super) agent: Vec<u8>,
    pub(super) node: Vec<u8>,
    pub(super) capabilities: Vec<u8>,
    pub(super) extension: Vec<u8>,
    /// The sequence of its frame.
    pub(super) sequence: u32,
}

impl Hello {
    /// A right one for `database`: a new node, no capabilities, the longest heartbeat.
    pub(super) fn new(database: &str) -> Self {
        Self {
            kind: 1,
            versions: (1, 1),
            next_operation: 1,
            oldest_unacked: 1,
            heartbeat_ms: 60_000,
            database: Fields::new().str(database).done(),
            agent: Fields::new().str("conformance/1").done(),
            node: Fields::new().null().done(),
            capabilities: Fields::new().strs(&[]).done(),
            extension: Vec::new(),
            sequence: 0,
        }
    }

    /// As `node`, which has given numbers below `next` and holds outcomes below `oldest`.
    pub(super) fn of(mut self, node: Uuid, oldest: u64, next: u64) -> Self {
        self.node = Fields::new().uuid(Some(node)).done();
        (self.oldest_unacked, self.next_operation) = (oldest, next);
        self
    }

    /// With these capabilities, in the order given.
    pub(super) fn with(mut self, capabilities: &[&str]) -> Self {
        self.capabilities = Fields::new().strs(capabilities).done();
        self
    }

    pub(super) fn payload(&self) -> Vec<u8> {
        let head = Fields::new().u8(self.kind).u8(self.versions.0).u8(self.versions.1);
        let numbers = head.u64(self.next_operation).u64(self.oldest_unacked).u32(self.heartbeat_ms);
        let named = numbers.bytes(&self.database).bytes(&self.agent).bytes(&self.node);
        named.bytes(&self.capabilities).bytes(&self.extension).done()
    }
}
