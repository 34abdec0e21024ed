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
    /// The oldest operation number that no Ack of level durable has covered; equal to `next_operation` if all are covered.
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
    /// The highest operation number of this node that is decided.
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
        let min_version = positive_u8(reader, "min_version")?;
        let at = reader.offset();
        let max_version = reader.u8()?;
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
        let version = positive_u8(reader, "version")?;
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

/// A version: counted from 1.
fn positive_u8(reader: &mut PayloadReader<'_>, field: &'static str) -> Result<u8, MessageError> {
    let at = reader.offset();
    match reader.u8()? {
        0 => Err(Kind::Zero { field }.at(at)),
        number => Ok(number),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Message;
    use super::super::testing::{any as of, check, rejects, round_trip};
    use super::*;

    const HELLO_HEX: &str = "01 01 02 000000000000002a 0000000000000028 00003a98 246d61696e 256370702f31 \
                             05 000102030405060708090a0b0c0d0e0f 08 0002 236c7a34 217a";
    const WELCOME_HEX: &str = "02 01 0000000000000029 0400 00003a98 \
                               0000000000000100 0000000000100000 0000000000000000 0000000000000000 0040 \
                               0102030405060708 00000001000000000000000000000007 \
                               05 000102030405060708090a0b0c0d0e0f 05 101112131415161718191a1b1c1d1e1f \
                               22 7a31 18";

    fn hello<'a>(capabilities: EncodedStrings<'a>) -> Hello<'a> {
        Hello {
            min_version: 1,
            max_version: 2,
            next_operation: 42,
            oldest_unacked: 40,
            heartbeat_ms: 15_000,
            database: DatabaseName::new("main").unwrap(),
            agent: "cpp/1",
            node: Some(Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f)),
            capabilities,
        }
    }

    #[test]
    fn a_hello_is_read_and_written() {
        check(HELLO_HEX, Message::Hello(hello(EncodedStrings::new(&["z", "lz4"]).unwrap())));
    }

    #[test]
    fn a_welcome_is_read_and_written() {
        let welcome = Welcome {
            version: 1,
            node_decided: 41,
            operation_window: 1024,
            heartbeat_ms: 15_000,
            work: CreditLimit { frames: 256, bytes: 1 << 20 },
            telemetry: CreditLimit::NONE,
            request_limit: 64,
            clock: Clock::from_bits(0x0102_0304_0506_0708),
            position: Position { epoch: 1, partition: 0, seq: 7 },
            connection: Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f),
            node: Uuid::from_u128(0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f),
            agent: "z1",
            capabilities: EncodedStrings::EMPTY,
        };
        check(WELCOME_HEX, Message::Welcome(welcome));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let mutated = |from: &str, to: &str| HELLO_HEX.replacen(from, to, 1);
        rejects(1, "03", 0, Kind::UnknownValue { field: "kind", value: 3 });
        rejects(1, &mutated("01 01 02", "01 00 02"), 1, Kind::Zero { field: "min_version" });
        rejects(1, &mutated("01 01 02", "01 03 02"), 2, Kind::Inconsistent { field: "max_version" });
        rejects(
            1,
            &mutated("000000000000002a", "0000000000000027"),
            11,
            Kind::Inconsistent { field: "oldest_unacked" },
        );
        rejects(
            1,
            &mutated("0000000000000028", "0000000000000000"),
            11,
            Kind::Zero { field: "oldest_unacked" },
        );
        let name = Kind::InvalidName(crate::wire::InvalidName::Database);
        rejects(1, &mutated("246d61696e", "244d61696e"), 23, name);
        rejects(1, &mutated("246d61696e", "0b"), 23, Kind::WrongType { field: "database" });
        rejects(1, &mutated("236c7a34 217a", "217a 236c7a34"), 51, Kind::NotSorted { field: "capabilities" });
        rejects(1, &mutated("236c7a34 217a", "217a 217a"), 51, Kind::NotSorted { field: "capabilities" });
        rejects(1, &mutated("236c7a34 217a", "1201 217a"), 51, Kind::WrongType { field: "capabilities" });
        rejects(1, &WELCOME_HEX.replacen("02 01", "02 00", 1), 1, Kind::Zero { field: "version" });
        let window = |hex| WELCOME_HEX.replacen("0400", hex, 1);
        rejects(1, &window("0401"), 10, Kind::TooLong { field: "operation_window", max: 1024 });
        rejects(1, &window("0000"), 10, Kind::Zero { field: "operation_window" });
    }

    #[test]
    fn what_passes_a_limit_is_refused() {
        let read = |capabilities| {
            let mut bytes = Vec::new();
            Message::Hello(hello(capabilities)).encode(&mut bytes);
            Message::decode(1, &bytes).map(drop).map_err(|error| error.kind)
        };
        let long = "c".repeat(MAX_CAPABILITY_BYTES + 1);
        let too_long = Kind::TooLong { field: "capabilities", max: MAX_CAPABILITY_BYTES };
        assert_eq!(read(EncodedStrings::new(&[long.as_str()]).unwrap()), Err(too_long));
        assert_eq!(read(EncodedStrings::new(&[&long[1..]]).unwrap()), Ok(()));
        let many: Vec<String> = (0..=MAX_CAPABILITIES).map(|number| format!("c{number}")).collect();
        let too_many = Kind::TooLong { field: "capabilities", max: MAX_CAPABILITIES };
        assert_eq!(read(EncodedStrings::new(&many).unwrap()), Err(too_many));
        assert_eq!(read(EncodedStrings::new(&many[1..]).unwrap()), Ok(()));
    }

    #[test]
    fn an_agent_over_its_limit_is_cut_by_the_writer_and_refused_by_the_reader() {
        let agent = "a".repeat(MAX_AGENT_BYTES + 1);
        let mut bytes = Vec::new();
        Message::Hello(Hello { agent: &agent, ..hello(EncodedStrings::EMPTY) }).encode(&mut bytes);
        let Ok(Message::Hello(read)) = Message::decode(1, &bytes) else { panic!() };
        assert_eq!(read.agent, &agent[1..]);
        // Behind the database's five bytes: tag 01 and a length of 129.
        let mut long = bytes[..28].to_vec();
        long.extend_from_slice(&[1, 0, 0, 0, 129]);
        long.extend_from_slice(agent.as_bytes());
        long.extend_from_slice(&[0x0B, 0x18]);
        let error = Message::decode(1, &long).unwrap_err();
        assert_eq!(error.kind, Kind::TooLong { field: "agent", max: MAX_AGENT_BYTES });
    }

    proptest! {
        #[test]
        fn handshakes_come_back(
            versions in any::<(u8, u8)>(),
            numbers in any::<(u64, u64, u32)>(),
            names in ("[a-z0-9_-]{1,64}", ".{0,30}"),
            node in prop::option::of(of::id()),
            capabilities in prop::collection::vec("[a-z0-9]{1,32}", 0..5),
            (work, position) in (of::credit(), of::position()),
        ) {
            let capabilities = EncodedStrings::new(&capabilities).unwrap();
            let (min_version, version) = (versions.0.min(versions.1).max(1), versions.1.max(versions.0).max(1));
            let oldest_unacked = numbers.0.min(numbers.1).max(1);
            round_trip(&Message::Hello(Hello {
                min_version,
                max_version: version,
                next_operation: numbers.0.max(numbers.1).max(1),
                oldest_unacked,
                heartbeat_ms: numbers.2,
                database: DatabaseName::new(&names.0).unwrap(),
                agent: &names.1,
                node,
                capabilities: capabilities.clone(),
            }));
            round_trip(&Message::Welcome(Welcome {
                version,
                node_decided: numbers.0,
                operation_window: (numbers.1 % 1024) as u16 + 1,
                heartbeat_ms: numbers.2,
                work,
                telemetry: work,
                request_limit: numbers.1 as u16,
                clock: Clock::from_bits(numbers.1),
                position,
                connection: Uuid::from_u128(u128::from(numbers.0)),
                node: node.unwrap_or_default(),
                agent: &names.1,
                capabilities,
            }));
        }
    }
}
