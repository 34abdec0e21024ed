//! `01` Handshake: the client's hello and the server's welcome.
//!
//! | hello | | welcome | |
//! |---|---|---|---|
//! | kind | u8 = 1 | kind | u8 = 2 |
//! | min_version | u8 | version | u8 |
//! | max_version | u8 | node_decided | u64 |
//! | next_operation | u64 | operation_window | u16 |
//! | oldest_unacked | u64 | heartbeat_ms | u32 |
//! | heartbeat_ms | u32 | work_frames, work_bytes | u64, u64 |
//! | database | str | telemetry_frames, telemetry_bytes | u64, u64 |
//! | agent | str | request_limit | u16 |
//! | node | uuid or null | clock | u64 |
//! | capabilities | array of str | position | 16 bytes |
//! | | | connection | uuid |
//! | | | node | uuid |
//! | | | agent | str |
//! | | | capabilities | array of str |

use uuid::Uuid;

use crate::blazebinary::put;
use crate::wire::clock::Clock;
use crate::wire::credit_limit::CreditLimit;
use crate::wire::encoded::EncodedStrings;
use crate::wire::limits::{MAX_AGENT_BYTES, MAX_CAPABILITIES, MAX_CAPABILITY_BYTES, MAX_OPERATION_WINDOW};
use crate::wire::message_error::{MessageError, MessageErrorKind as Kind};
use crate::wire::name::DatabaseName;
use crate::wire::payload::{PayloadReader, put_name, put_optional_uuid, put_string};
use crate::wire::position::Position;

const HELLO: u8 = 1;
const WELCOME: u8 = 2;

/// The first message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The oldest protocol version that the client speaks: at least 1.
    pub min_version: u8,
    /// The newest one: not below `min_version`.
    pub max_version: u8,
    /// The number that the node's next new operation will carry: at least 1.
    pub next_operation: u64,
    /// The oldest operation number for which the node holds no outcome; equal to `next_operation` if it holds all.
    pub oldest_unacked: u64,
    /// The heartbeat that the client proposes, in milliseconds.
    pub heartbeat_ms: u32,
    /// The database it wants.
    pub database: DatabaseName<'a>,
    /// Its program and version, for logs; cut at [`MAX_AGENT_BYTES`] when written.
    pub agent: &'a str,
    /// The node that resumes; `None` for one that is forgotten when it leaves.
    pub node: Option<Uuid>,
    /// What it can do beyond the base of the protocol.
    pub capabilities: EncodedStrings<'a>,
}

/// The first message of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// The protocol version of the connection: within the client's range.
    pub version: u8,
    /// The highest operation number of this node that is decided; the client sends on from the next.
    pub node_decided: u64,
    /// How many operations may be unacknowledged: 1 to [`MAX_OPERATION_WINDOW`].
    pub operation_window: u16,
    /// The heartbeat of the connection, in milliseconds.
    pub heartbeat_ms: u32,
    /// The credit of the work lane to begin with.
    pub work: CreditLimit,
    /// The credit of the telemetry lane to begin with.
    pub telemetry: CreditLimit,
    /// How many queries and subscriptions may be running at once.
    pub request_limit: u16,
    /// The server's clock.
    pub clock: Clock,
    /// The published position.
    pub position: Position,
    /// Names this connection in logs of both sides.
    pub connection: Uuid,
    /// The client's node: as the hello had it, or a new one.
    pub node: Uuid,
    /// The server's program and version; cut at [`MAX_AGENT_BYTES`] when written.
    pub agent: &'a str,
    /// Those of the hello's capabilities that the server shares.
    pub capabilities: EncodedStrings<'a>,
}

/// Either Handshake.
pub(super) enum Handshake<'a> {
    Hello(Hello<'a>),
    Welcome(Welcome<'a>),
}

impl<'a> Handshake<'a> {
    pub(super) fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let at = reader.offset();
        match reader.u8()? {
            HELLO => Hello::read(reader).map(Self::Hello),
            WELCOME => Welcome::read(reader).map(Self::Welcome),
            value => Err(Kind::UnknownValue { field: "kind", value }.at(at)),
        }
    }
}

impl<'a> Hello<'a> {
    fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let at = reader.offset();
        let (min_version, max_version) = (reader.u8()?, reader.u8()?);
        if min_version == 0 {
            return Err(Kind::Zero { field: "min_version" }.at(at));
        }
        if max_version < min_version {
            return Err(Kind::Inconsistent { field: "max_version" }.at(at));
        }
        let next_operation = reader.positive_u64("next_operation")?;
        let at = reader.offset();
        let oldest_unacked = reader.positive_u64("oldest_unacked")?;
        if oldest_unacked > next_operation {
            return Err(Kind::Inconsistent { field: "oldest_unacked" }.at(at));
        }
        Ok(Self {
            min_version,
            max_version,
            next_operation,
            oldest_unacked,
            heartbeat_ms: reader.u32()?,
            database: reader.database()?,
            agent: reader.string("agent", MAX_AGENT_BYTES)?,
            node: reader.optional_uuid("node")?,
            capabilities: capabilities(reader)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[HELLO, self.min_version, self.max_version]);
        out.extend_from_slice(&self.next_operation.to_be_bytes());
        out.extend_from_slice(&self.oldest_unacked.to_be_bytes());
        out.extend_from_slice(&self.heartbeat_ms.to_be_bytes());
        put_name(self.database.as_str(), out);
        put_string(self.agent, MAX_AGENT_BYTES, out);
        put_optional_uuid(self.node, out);
        self.capabilities.append_to(out);
    }
}

impl<'a> Welcome<'a> {
    fn read(reader: &mut PayloadReader<'a>) -> Result<Self, MessageError> {
        let at = reader.offset();
        let version = reader.u8()?;
        if version == 0 {
            return Err(Kind::Zero { field: "version" }.at(at));
        }
        let node_decided = reader.u64()?;
        let at = reader.offset();
        let operation_window = reader.positive_u16("operation_window")?;
        if operation_window > MAX_OPERATION_WINDOW {
            let max = usize::from(MAX_OPERATION_WINDOW);
            return Err(Kind::TooLong { field: "operation_window", max }.at(at));
        }
        Ok(Self {
            version,
            node_decided,
            operation_window,
            heartbeat_ms: reader.u32()?,
            work: CreditLimit::read(reader)?,
            telemetry: CreditLimit::read(reader)?,
            request_limit: reader.u16()?,
            clock: reader.clock()?,
            position: reader.position()?,
            connection: reader.uuid("connection")?,
            node: reader.uuid("node")?,
            agent: reader.string("agent", MAX_AGENT_BYTES)?,
            capabilities: capabilities(reader)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[WELCOME, self.version]);
        out.extend_from_slice(&self.node_decided.to_be_bytes());
        out.extend_from_slice(&self.operation_window.to_be_bytes());
        out.extend_from_slice(&self.heartbeat_ms.to_be_bytes());
        self.work.write(out);
        self.telemetry.write(out);
        out.extend_from_slice(&self.request_limit.to_be_bytes());
        out.extend_from_slice(&self.clock.to_bits().to_be_bytes());
        out.extend_from_slice(&self.position.to_bytes());
        put::uuid(&self.connection, out);
        put::uuid(&self.node, out);
        put_string(self.agent, MAX_AGENT_BYTES, out);
        self.capabilities.append_to(out);
    }
}

/// Names of a bounded number and length; unknown ones are kept, since the other side decides what it shares.
fn capabilities<'a>(reader: &mut PayloadReader<'a>) -> Result<EncodedStrings<'a>, MessageError> {
    const FIELD: &str = "capabilities";
    let at = reader.offset();
    let names = reader.strings(FIELD)?;
    if names.len() > MAX_CAPABILITIES {
        return Err(Kind::TooLong { field: FIELD, max: MAX_CAPABILITIES }.at(at));
    }
    if names.iter().any(|name| name.len() > MAX_CAPABILITY_BYTES) {
        return Err(Kind::TooLong { field: FIELD, max: MAX_CAPABILITY_BYTES }.at(at));
    }
    Ok(names)
}
