//! Who is at fault in an error, and what it ends.

/// Who has to change something before a retry can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client sent what it must not.
    Client,
    /// The server, by its state or a defect.
    Server,
    /// The other side, whichever it is, broke the protocol.
    Peer,
    /// The connection between them.
    Network,
    /// Who runs the server: configuration, disk, permissions.
    Operator,
}

impl Fault {
    /// The word that stands in `spec/errors.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Peer => "peer",
            Self::Network => "network",
            Self::Operator => "operator",
        }
    }
}

/// What an Error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// The connection.
    Connection = 0,
    /// One operation, which had no effect.
    Operation = 1,
    /// One query or subscription, which is over.
    Request = 2,
}

impl Scope {
    /// The scope that `byte` names.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Connection,
            1 => Self::Operation,
            2 => Self::Request,
            _ => return None,
        })
    }

    /// The word that stands in `spec/errors.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Operation => "operation",
            Self::Request => "request",
        }
    }
}

/// What an Error or a payload fault is about, with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The connection.
    Connection,
    /// The operation of this number.
    Operation(u64),
    /// The query or subscription of this id.
    Request(u64),
}

impl Subject {
    /// The scope byte.
    pub const fn scope(self) -> Scope {
        match self {
            Self::Connection => Scope::Connection,
            Self::Operation(_) => Scope::Operation,
            Self::Request(_) => Scope::Request,
        }
    }

    /// The operation's number, the request's id, 0 for the connection.
    pub const fn id(self) -> u64 {
        match self {
            Self::Connection => 0,
            Self::Operation(id) | Self::Request(id) => id,
        }
    }
}
