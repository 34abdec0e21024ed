//! Every error code of the protocol. Generated from `spec/errors.json` (see `tests/suite/generated.rs`): edit that.

use super::error_table::Entry;
use super::scope::{Fault, Scope};

/// What went wrong, as it travels in an Error or a Goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum ErrorCode {
    /// A frame did not begin with the bytes BLAZE.
    BadMagic = 1,
    /// The protocol version of a frame, or every version a hello offered, is not spoken here.
    UnsupportedVersion = 2,
    /// A frame has a reserved flag set.
    ReservedFlags = 3,
    /// A frame announced a payload over the limit of 2 MiB, or over 4 KiB before the handshake.
    PayloadTooLarge = 4,
    /// The CRC-32 of a frame does not match its bytes.
    FrameChecksumMismatch = 5,
    /// A frame's sequence is not the one after the frame before it.
    SequenceGap = 6,
    /// The type of a frame is not one that peers send in this version. The frame was passed over.
    UnknownMessageType = 7,
    /// What was asked for is reserved for later, or not built into this server.
    NotSupported = 8,
    /// A flag is set or missing against the rules for this message type, or was not negotiated.
    UnexpectedFlag = 9,
    /// A payload ends inside a field.
    Truncated = 10,
    /// Bytes that are not an extension follow the last field of a payload.
    TrailingBytes = 11,
    /// An extension that must be understood is not known here.
    UnsupportedExtension = 12,
    /// A field holds a value that the protocol does not allow there.
    InvalidField = 13,
    /// A BlazeBinary value in a payload is not canonical, or not of the type that the field has.
    InvalidValue = 14,
    /// A compressed payload is not one LZ4 block of the declared plain length within its limits.
    BadCompression = 15,
    /// A message came that its sender's role or the state of the connection does not allow.
    UnexpectedMessage = 16,
    /// The handshake was not done within 5 seconds.
    HandshakeTimeout = 17,
    /// Nothing was heard from the other side for two and a half heartbeats.
    HeartbeatTimeout = 18,
    /// The other side did not read for 10 seconds while output was waiting.
    WriteStalled = 19,
    /// A frame was sent without credit for it.
    CreditExceeded = 20,
    /// A credit limit fell below an earlier one, or is for a lane that its receiver does not send on.
    InvalidCredit = 21,
    /// Control messages came faster than the control budget allows.
    ControlFlood = 22,
    /// An Ack or Error covers an operation that was not sent on this connection, or is settled.
    ImpossibleAck = 23,
    /// An operation's number is not the one after the operation before it.
    OperationNumberGap = 100,
    /// More operations are not acknowledged as durable than the window allows.
    OperationWindowExceeded = 101,
    /// A record's CRC-32 does not match its bytes, though the frame's does.
    RecordChecksumMismatch = 102,
    /// A record is not canonical BlazeBinary.
    InvalidRecord = 103,
    /// A record is over 1 MiB.
    RecordTooLarge = 104,
    /// A record has no id, or one that is not a UUID.
    InvalidId = 105,
    /// A record of this id exists, and the operation required that none does.
    AlreadyExists = 106,
    /// No record of this id exists, and the operation required one: a patch does, a delete does not.
    NotFound = 107,
    /// The record is not at the version that the operation was based on.
    PreconditionFailed = 108,
    /// A patch sets or removes the id of a record.
    IdIsFixed = 109,
    /// What the operation would write does not fit one transaction.
    TransactionTooLarge = 110,
    /// The operation's clock is more than 60 seconds ahead of the server's.
    ClockAhead = 111,
    /// The name of a database or collection breaks the rules for names.
    InvalidName = 112,
    /// A request id is not greater than every one before it on this connection.
    RequestIdNotIncreasing = 200,
    /// Too many requests of this kind are running on this connection.
    TooMany = 201,
    /// The request was cancelled as asked.
    Cancelled = 202,
    /// The server did not reach the position that the query asked for in time.
    PositionNotReached = 203,
    /// The position is not one of this database: it is of another database or epoch, or lies beyond the end.
    PositionUnknown = 204,
    /// No collection of this name exists.
    UnknownCollection = 205,
    /// The query passed its budget of memory, rows or work.
    ResourcesExceeded = 206,
    /// The query passed its time limit.
    DeadlineExceeded = 207,
    /// The answer was read too slowly: its snapshot grew too old and was given up.
    SnapshotExpired = 208,
    /// The changes after the position are no longer held.
    PositionExpired = 300,
    /// The collection was dropped.
    CollectionDropped = 301,
    /// An operator accepted damage: changes after the position may be gone.
    EpochChanged = 302,
    /// The server has no database of this name.
    UnknownDatabase = 400,
    /// The server could not tell who is asking.
    Unauthenticated = 401,
    /// This principal may not do that.
    Forbidden = 402,
    /// The node came back with older numbers, or sent a known number with another body: a restored device or a copied identity.
    IdentityReused = 403,
    /// The server no longer knows what became of this node's operations: the node was not seen for long, the server's data were emptied or set back, or the node went on beyond its own numbers.
    IdentityExpired = 404,
    /// A newer connection of this node took over.
    Fenced = 405,
    /// The server met a defect of its own; the operation or request had no effect.
    Internal = 500,
    /// The database takes no writes.
    ReadOnly = 501,
    /// The server's disk is full; the operation had no effect.
    DiskFull = 502,
    /// The server is stopping.
    ShuttingDown = 503,
    /// The server is at its limit.
    TooBusy = 504,
    /// The server holds as many connections as it may.
    TooManyConnections = 505,
    /// Stored bytes are damaged, and the answer would have been wrong.
    Corrupted = 506,
}

impl ErrorCode {
    /// All codes, in rising order of their numbers.
    pub const ALL: [Self; 61] = [
        Self::BadMagic,
        Self::UnsupportedVersion,
        Self::ReservedFlags,
        Self::PayloadTooLarge,
        Self::FrameChecksumMismatch,
        Self::SequenceGap,
        Self::UnknownMessageType,
        Self::NotSupported,
        Self::UnexpectedFlag,
        Self::Truncated,
        Self::TrailingBytes,
        Self::UnsupportedExtension,
        Self::InvalidField,
        Self::InvalidValue,
        Self::BadCompression,
        Self::UnexpectedMessage,
        Self::HandshakeTimeout,
        Self::HeartbeatTimeout,
        Self::WriteStalled,
        Self::CreditExceeded,
        Self::InvalidCredit,
        Self::ControlFlood,
        Self::ImpossibleAck,
        Self::OperationNumberGap,
        Self::OperationWindowExceeded,
        Self::RecordChecksumMismatch,
        Self::InvalidRecord,
        Self::RecordTooLarge,
        Self::InvalidId,
        Self::AlreadyExists,
        Self::NotFound,
        Self::PreconditionFailed,
        Self::IdIsFixed,
        Self::TransactionTooLarge,
        Self::ClockAhead,
        Self::InvalidName,
        Self::RequestIdNotIncreasing,
        Self::TooMany,
        Self::Cancelled,
        Self::PositionNotReached,
        Self::PositionUnknown,
        Self::UnknownCollection,
        Self::ResourcesExceeded,
        Self::DeadlineExceeded,
        Self::SnapshotExpired,
        Self::PositionExpired,
        Self::CollectionDropped,
        Self::EpochChanged,
        Self::UnknownDatabase,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::IdentityReused,
        Self::IdentityExpired,
        Self::Fenced,
        Self::Internal,
        Self::ReadOnly,
        Self::DiskFull,
        Self::ShuttingDown,
        Self::TooBusy,
        Self::TooManyConnections,
        Self::Corrupted,
    ];

    pub(super) const fn entry(self) -> &'static Entry {
        match self {
            Self::BadMagic => &Entry {
                name: "bad_magic", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "A frame did not begin with the bytes BLAZE.",
                advice: "Another protocol speaks on this port, or the stream lost its place: check the address and scheme, then connect again.",
            },
            Self::UnsupportedVersion => &Entry {
                name: "unsupported_version", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "The protocol version of a frame, or every version a hello offered, is not spoken here.",
                advice: "Use a release of the client or server that speaks the other's version; the detail names the versions spoken here.",
            },
            Self::ReservedFlags => &Entry {
                name: "reserved_flags", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "A frame has a reserved flag set.",
                advice: "Mend the sender: bits 3 to 7 of the flags are zero in version 1.",
            },
            Self::PayloadTooLarge => &Entry {
                name: "payload_too_large", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "A frame announced a payload over the limit of 2 MiB, or over 4 KiB before the handshake.",
                advice: "Split the work over several frames; a value larger than a record may be is not accepted yet.",
            },
            Self::FrameChecksumMismatch => &Entry {
                name: "frame_checksum_mismatch", fault: Fault::Network, scopes: &[Scope::Connection], retryable: true,
                text: "The CRC-32 of a frame does not match its bytes.",
                advice: "The bytes were damaged on the way: connect again and resume. If it returns, test the memory and network between the two.",
            },
            Self::SequenceGap => &Entry {
                name: "sequence_gap", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: true,
                text: "A frame's sequence is not the one after the frame before it.",
                advice: "Frames were lost, repeated or reordered on the way, or the sender miscounted: connect again and resume.",
            },
            Self::UnknownMessageType => &Entry {
                name: "unknown_message_type", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "The type of a frame is not one that peers send in this version. The frame was passed over.",
                advice: "The sender speaks a newer protocol or is at fault: send only types that the negotiated version has.",
            },
            Self::NotSupported => &Entry {
                name: "not_supported", fault: Fault::Client, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "What was asked for is reserved for later, or not built into this server.",
                advice: "Do without it, or use a server release that has it.",
            },
            Self::UnexpectedFlag => &Entry {
                name: "unexpected_flag", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "A flag is set or missing against the rules for this message type, or was not negotiated.",
                advice: "Set requires_ack on every Operation, at will on Telemetry, and nowhere else; set compressed only after both sides named lz4, and never on a Handshake; never set encrypted in this version.",
            },
            Self::Truncated => &Entry {
                name: "truncated", fault: Fault::Peer, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "A payload ends inside a field.",
                advice: "Mend the sender: the detail names the offset. The frame arrived whole, so nothing was lost on the way.",
            },
            Self::TrailingBytes => &Entry {
                name: "trailing_bytes", fault: Fault::Peer, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "Bytes that are not an extension follow the last field of a payload.",
                advice: "Mend the sender: after the last field a payload ends, or holds one non-empty dict.",
            },
            Self::UnsupportedExtension => &Entry {
                name: "unsupported_extension", fault: Fault::Peer, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "An extension that must be understood is not known here.",
                advice: "Send it only to a peer that named the capability it belongs to.",
            },
            Self::InvalidField => &Entry {
                name: "invalid_field", fault: Fault::Peer, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "A field holds a value that the protocol does not allow there.",
                advice: "Mend the sender: the detail names the offset.",
            },
            Self::InvalidValue => &Entry {
                name: "invalid_value", fault: Fault::Peer, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "A BlazeBinary value in a payload is not canonical, or not of the type that the field has.",
                advice: "Encode it as spec/blazebinary.md says: shortest forms, sorted unique keys; the detail names the offset.",
            },
            Self::BadCompression => &Entry {
                name: "bad_compression", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "A compressed payload is not one LZ4 block of the declared plain length within its limits.",
                advice: "Mend the sender, or connect without naming lz4.",
            },
            Self::UnexpectedMessage => &Entry {
                name: "unexpected_message", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "A message came that its sender's role or the state of the connection does not allow.",
                advice: "Mend the sender: a client sends the handshake first and only once, and neither side sends what is the other's to send.",
            },
            Self::HandshakeTimeout => &Entry {
                name: "handshake_timeout", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: true,
                text: "The handshake was not done within 5 seconds.",
                advice: "Send the hello at once after connecting; if the network is slow, try again.",
            },
            Self::HeartbeatTimeout => &Entry {
                name: "heartbeat_timeout", fault: Fault::Network, scopes: &[Scope::Connection], retryable: true,
                text: "Nothing was heard from the other side for two and a half heartbeats.",
                advice: "Connect again and resume; on a lossy network propose a longer heartbeat.",
            },
            Self::WriteStalled => &Entry {
                name: "write_stalled", fault: Fault::Network, scopes: &[Scope::Connection], retryable: true,
                text: "The other side did not read for 10 seconds while output was waiting.",
                advice: "Read what the server sends as fast as it comes, or ask for less credit; connect again and resume.",
            },
            Self::CreditExceeded => &Entry {
                name: "credit_exceeded", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "A frame was sent without credit for it.",
                advice: "Mend the sender: send only while fewer frames and fewer bytes were sent than the limits last received.",
            },
            Self::InvalidCredit => &Entry {
                name: "invalid_credit", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "A credit limit fell below an earlier one, or is for a lane that its receiver does not send on.",
                advice: "Mend the sender: limits are absolute and never fall.",
            },
            Self::ControlFlood => &Entry {
                name: "control_flood", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: true,
                text: "Control messages came faster than the control budget allows.",
                advice: "Send fewer pings, credits, cancels and unsubscribes: 200 a second are always allowed.",
            },
            Self::ImpossibleAck => &Entry {
                name: "impossible_ack", fault: Fault::Peer, scopes: &[Scope::Connection], retryable: false,
                text: "An Ack or Error covers an operation that was not sent on this connection, or is settled.",
                advice: "Mend the server; the client keeps its unacknowledged operations and resends them after connecting again.",
            },
            Self::OperationNumberGap => &Entry {
                name: "operation_number_gap", fault: Fault::Client, scopes: &[Scope::Connection], retryable: false,
                text: "An operation's number is not the one after the operation before it.",
                advice: "Send from the Hello's oldest_unacked on, each number one more than the one before, those at or below the Welcome's node_decided too.",
            },
            Self::OperationWindowExceeded => &Entry {
                name: "operation_window_exceeded", fault: Fault::Client, scopes: &[Scope::Connection], retryable: false,
                text: "More operations are not acknowledged as durable than the window allows.",
                advice: "Wait for an Ack of level durable before sending more; the welcome names the window.",
            },
            Self::RecordChecksumMismatch => &Entry {
                name: "record_checksum_mismatch", fault: Fault::Client, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "A record's CRC-32 does not match its bytes, though the frame's does.",
                advice: "The record was damaged before it was framed: check the sender's memory and storage, and encode the record anew.",
            },
            Self::InvalidRecord => &Entry {
                name: "invalid_record", fault: Fault::Client, scopes: &[Scope::Operation], retryable: false,
                text: "A record is not canonical BlazeBinary.",
                advice: "Encode it as spec/blazebinary.md says; the detail names the item, the offset and what is wrong.",
            },
            Self::RecordTooLarge => &Entry {
                name: "record_too_large", fault: Fault::Client, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "A record is over 1 MiB.",
                advice: "Split the record; larger values are not accepted yet.",
            },
            Self::InvalidId => &Entry {
                name: "invalid_id", fault: Fault::Client, scopes: &[Scope::Operation], retryable: false,
                text: "A record has no id, or one that is not a UUID.",
                advice: "Give the record an id of type uuid.",
            },
            Self::AlreadyExists => &Entry {
                name: "already_exists", fault: Fault::Client, scopes: &[Scope::Operation], retryable: false,
                text: "A record of this id exists, and the operation required that none does.",
                advice: "Use upsert to replace it, or another id.",
            },
            Self::NotFound => &Entry {
                name: "not_found", fault: Fault::Client, scopes: &[Scope::Operation, Scope::Request], retryable: false,
                text: "No record of this id exists, and the operation required one: a patch does, a delete does not.",
                advice: "Insert it first, or use upsert.",
            },
            Self::PreconditionFailed => &Entry {
                name: "precondition_failed", fault: Fault::Client, scopes: &[Scope::Operation], retryable: true,
                text: "The record is not at the version that the operation was based on.",
                advice: "Read the record again, apply the change to what is there now, and send a new operation.",
            },
            Self::IdIsFixed => &Entry {
                name: "id_is_fixed", fault: Fault::Client, scopes: &[Scope::Operation], retryable: false,
                text: "A patch sets or removes the id of a record.",
                advice: "Leave id out of a patch; to give a record another id, insert it anew and delete the old one.",
            },
            Self::TransactionTooLarge => &Entry {
                name: "transaction_too_large", fault: Fault::Client, scopes: &[Scope::Operation], retryable: false,
                text: "What the operation would write does not fit one transaction.",
                advice: "Split it over several operations.",
            },
            Self::ClockAhead => &Entry {
                name: "clock_ahead", fault: Fault::Client, scopes: &[Scope::Operation], retryable: true,
                text: "The operation's clock is more than 60 seconds ahead of the server's.",
                advice: "Correct the clock by the server's time in the detail, stamp the operation above every clock seen, and send it again.",
            },
            Self::InvalidName => &Entry {
                name: "invalid_name", fault: Fault::Client, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "The name of a database or collection breaks the rules for names.",
                advice: "Databases: 1 to 64 of a-z 0-9 _ -. Collections: 1 to 64 of A-Z a-z 0-9 _, the first not a digit.",
            },
            Self::RequestIdNotIncreasing => &Entry {
                name: "request_id_not_increasing", fault: Fault::Client, scopes: &[Scope::Connection], retryable: false,
                text: "A request id is not greater than every one before it on this connection.",
                advice: "Count request ids upwards from 1 over queries and subscriptions together.",
            },
            Self::TooMany => &Entry {
                name: "too_many", fault: Fault::Client, scopes: &[Scope::Request], retryable: true,
                text: "Too many requests of this kind are running on this connection.",
                advice: "Wait until one has finished, or cancel one; what is cancelled counts until it has stopped.",
            },
            Self::Cancelled => &Entry {
                name: "cancelled", fault: Fault::Client, scopes: &[Scope::Request], retryable: false,
                text: "The request was cancelled as asked.",
                advice: "Nothing is to be done.",
            },
            Self::PositionNotReached => &Entry {
                name: "position_not_reached", fault: Fault::Server, scopes: &[Scope::Request], retryable: true,
                text: "The server did not reach the position that the query asked for in time.",
                advice: "Ask again; if it stays, the server has fallen behind, or was set back to an older copy.",
            },
            Self::PositionUnknown => &Entry {
                name: "position_unknown", fault: Fault::Client, scopes: &[Scope::Request], retryable: false,
                text: "The position is not one of this database: it is of another database or epoch, or lies beyond the end.",
                advice: "Take a position that this database gave, or begin without one, a subscription with a snapshot; a database that was emptied is another one.",
            },
            Self::UnknownCollection => &Entry {
                name: "unknown_collection", fault: Fault::Client, scopes: &[Scope::Request], retryable: false,
                text: "No collection of this name exists.",
                advice: "Check the name; a collection begins with its first record.",
            },
            Self::ResourcesExceeded => &Entry {
                name: "resources_exceeded", fault: Fault::Client, scopes: &[Scope::Request], retryable: false,
                text: "The query passed its budget of memory, rows or work.",
                advice: "Narrow the range, set a limit, or read in pages.",
            },
            Self::DeadlineExceeded => &Entry {
                name: "deadline_exceeded", fault: Fault::Server, scopes: &[Scope::Request], retryable: true,
                text: "The query passed its time limit.",
                advice: "Narrow the range or ask again when the server is less busy.",
            },
            Self::SnapshotExpired => &Entry {
                name: "snapshot_expired", fault: Fault::Server, scopes: &[Scope::Request], retryable: true,
                text: "The answer was read too slowly: its snapshot grew too old and was given up.",
                advice: "Read faster by granting more credit, or read in pages that each ask for the next range.",
            },
            Self::PositionExpired => &Entry {
                name: "position_expired", fault: Fault::Client, scopes: &[Scope::Request], retryable: false,
                text: "The changes after the position are no longer held.",
                advice: "Take a fresh snapshot and go on from its position; the event names the oldest position held.",
            },
            Self::CollectionDropped => &Entry {
                name: "collection_dropped", fault: Fault::Client, scopes: &[Scope::Request], retryable: false,
                text: "The collection was dropped.",
                advice: "Drop what was held of it; subscribe again to wait for a new one of this name.",
            },
            Self::EpochChanged => &Entry {
                name: "epoch_changed", fault: Fault::Operator, scopes: &[Scope::Request], retryable: false,
                text: "An operator accepted damage: changes after the position may be gone.",
                advice: "Drop what was held, take a fresh snapshot and go on from its position.",
            },
            Self::UnknownDatabase => &Entry {
                name: "unknown_database", fault: Fault::Client, scopes: &[Scope::Connection], retryable: false,
                text: "The server has no database of this name.",
                advice: "Check the name in the URL; an operator creates databases with --create.",
            },
            Self::Unauthenticated => &Entry {
                name: "unauthenticated", fault: Fault::Client, scopes: &[Scope::Connection], retryable: false,
                text: "The server could not tell who is asking.",
                advice: "Give a valid token or key.",
            },
            Self::Forbidden => &Entry {
                name: "forbidden", fault: Fault::Client, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "This principal may not do that.",
                advice: "Ask an administrator for the permission.",
            },
            Self::IdentityReused => &Entry {
                name: "identity_reused", fault: Fault::Client, scopes: &[Scope::Connection, Scope::Operation], retryable: false,
                text: "The node came back with older numbers, or sent a known number with another body: a restored device or a copied identity.",
                advice: "Take a new node id. Which of the unacknowledged operations took effect is not known: compare them with the database, and send again what is missing.",
            },
            Self::IdentityExpired => &Entry {
                name: "identity_expired", fault: Fault::Client, scopes: &[Scope::Connection], retryable: false,
                text: "The server no longer knows what became of this node's operations: the node was not seen for long, the server's data were emptied or set back, or the node went on beyond its own numbers.",
                advice: "Take a new node id. Which of the unacknowledged operations took effect is not known: compare them with the database, and send again what is missing.",
            },
            Self::Fenced => &Entry {
                name: "fenced", fault: Fault::Client, scopes: &[Scope::Connection], retryable: false,
                text: "A newer connection of this node took over.",
                advice: "Keep one connection a node; do not connect again while the other lives.",
            },
            Self::Internal => &Entry {
                name: "internal", fault: Fault::Server, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: true,
                text: "The server met a defect of its own; the operation or request had no effect.",
                advice: "Try again; report it with the server's log if it repeats.",
            },
            Self::ReadOnly => &Entry {
                name: "read_only", fault: Fault::Operator, scopes: &[Scope::Connection, Scope::Operation], retryable: false,
                text: "The database takes no writes.",
                advice: "Something stored is damaged: the operator stops the server and accepts the damage with verify; connect again after that.",
            },
            Self::DiskFull => &Entry {
                name: "disk_full", fault: Fault::Operator, scopes: &[Scope::Connection, Scope::Operation], retryable: true,
                text: "The server's disk is full; the operation had no effect.",
                advice: "The operator frees space; writes resume by themselves.",
            },
            Self::ShuttingDown => &Entry {
                name: "shutting_down", fault: Fault::Server, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: true,
                text: "The server is stopping.",
                advice: "Connect again after the time that the Goodbye names, and resume.",
            },
            Self::TooBusy => &Entry {
                name: "too_busy", fault: Fault::Server, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: true,
                text: "The server is at its limit.",
                advice: "Try again no sooner than the time named, and a random while later.",
            },
            Self::TooManyConnections => &Entry {
                name: "too_many_connections", fault: Fault::Server, scopes: &[Scope::Connection], retryable: true,
                text: "The server holds as many connections as it may.",
                advice: "Try again after the time named; share one connection, since many requests fit on it.",
            },
            Self::Corrupted => &Entry {
                name: "corrupted", fault: Fault::Operator, scopes: &[Scope::Connection, Scope::Operation, Scope::Request], retryable: false,
                text: "Stored bytes are damaged, and the answer would have been wrong.",
                advice: "The operator runs verify and restores from a backup, or accepts the loss.",
            },
        }
    }
}
