//! What a server said, owned: each frame once it was found to be one.

use uuid::Uuid;

use crate::blazebinary::{Value, ValueView};
use crate::wire::message::{
    Ack, ChangeKind, Credit, Error, Event, EventKind, Goodbye, Ping, Pong, QueryResponse, Welcome,
};
use crate::wire::{CreditLimit, ErrorCode, Message, Position, Subject};

/// One thing that a server said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Welcome(Box<Greeting>),
    Ack(Ack),
    Error(Complaint),
    Answer(Part),
    Event(Tiding),
    Credit(Credit),
    Ping(u64),
    Pong {
        nonce: u64,
        clock: u64,
    },
    Goodbye {
        code: u16,
        retry_after_ms: u32,
    },
    /// The stream ended.
    End,
}

/// A Welcome.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Greeting {
    pub(super) version: u8,
    pub(super) node_decided: u64,
    pub(super) operation_window: u16,
    pub(super) heartbeat_ms: u32,
    pub(super) work: CreditLimit,
    pub(super) telemetry: CreditLimit,
    pub(super) request_limit: u16,
    pub(super) clock_ms: u64,
    pub(super) position: Position,
    pub(super) connection: Uuid,
    pub(super) node: Uuid,
    pub(super) capabilities: Vec<String>,
}

/// An Error.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Complaint {
    pub(super) subject: Subject,
    pub(super) code: u16,
    pub(super) message: String,
    pub(super) detail: Vec<(String, Value)>,
}

/// A QueryResponse.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) id: u64,
    pub(super) last: bool,
    pub(super) position: Position,
    pub(super) rows: Vec<Row>,
}

/// A row of an answer: the version and the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) seq: u64,
    pub(super) record: Vec<u8>,
}

/// An Event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tiding {
    pub(super) id: u64,
    pub(super) position: Position,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Changes(Vec<Change>),
    CaughtUp,
    Reset { code: u16, oldest: Position },
    Waiting,
    Heartbeat,
    Ended,
}

/// A change: its number, whether its transaction ends with it, and what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) seq: u64,
    pub(super) last: bool,
    pub(super) did: Did,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Did {
    Put(Vec<u8>),
    Delete(Uuid),
    Dropped,
}

impl Complaint {
    /// The name of its code.
    pub(super) fn name(&self) -> String {
        ErrorCode::from_number(self.code).map_or_else(|| self.code.to_string(), |code| code.name().to_owned())
    }

    /// Whether it ends nothing, if it is of scope connection.
    pub(super) fn is_notice(&self) -> bool {
        ErrorCode::from_number(self.code).is_some_and(ErrorCode::is_notice)
    }

    /// A number of its detail.
    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.detail.iter().find(|(name, _)| name == key).and_then(|(_, value)| match value {
            Value::Int(number) => Some(*number),
            _ => None,
        })
    }
}

impl Said {
    /// What a message says; `None` where it is none that a server sends.
    pub(super) fn read(message: &Message<'_>) -> Option<Self> {
        Some(match message {
            Message::Welcome(welcome) => Self::Welcome(Box::new(greeting(welcome))),
            Message::Ack(ack) => Self::Ack(*ack),
            Message::Error(error) => Self::Error(complaint(error)),
            Message::QueryResponse(response) => Self::Answer(part(response)),
            Message::Event(event) => Self::Event(tiding(event)),
            Message::Credit(credit) => Self::Credit(*credit),
            Message::Ping(Ping { nonce }) => Self::Ping(*nonce),
            Message::Pong(Pong { nonce, clock }) => Self::Pong { nonce: *nonce, clock: clock.to_bits() },
            Message::Goodbye(Goodbye { code, retry_after_ms, .. }) => {
                Self::Goodbye { code: *code, retry_after_ms: *retry_after_ms }
            }
            _ => return None,
        })
    }
}

fn greeting(welcome: &Welcome<'_>) -> Greeting {
    Greeting {
        version: welcome.version,
        node_decided: welcome.node_decided,
        operation_window: welcome.operation_window,
        heartbeat_ms: welcome.heartbeat_ms,
        work: welcome.work,
        telemetry: welcome.telemetry,
        request_limit: welcome.request_limit,
        clock_ms: welcome.clock.unix_ms(),
        position: welcome.position,
        connection: welcome.connection,
        node: welcome.node,
        capabilities: welcome.capabilities.iter().map(str::to_owned).collect(),
    }
}

fn complaint(error: &Error<'_>) -> Complaint {
    let entries = error.detail.view().into_iter().flat_map(|dict| dict.iter());
    let own = |(key, value): (crate::blazebinary::Text<'_>, ValueView<'_>)| {
        (key.as_str().to_owned(), value.to_value())
    };
    Complaint {
        subject: error.subject,
        code: error.code,
        message: error.message.to_owned(),
        detail: entries.map(own).collect(),
    }
}

fn part(response: &QueryResponse<'_>) -> Part {
    let rows = response.rows.iter().map(|row| Row { seq: row.seq, record: row.record.bytes().to_vec() });
    Part { id: response.id, last: response.last, position: response.position, rows: rows.collect() }
}

fn tiding(event: &Event<'_>) -> Tiding {
    let what = match event.kind {
        EventKind::Changes(changes) => {
            What::Changes(changes.iter().map(|change| own_change(&change)).collect())
        }
        EventKind::CaughtUp => What::CaughtUp,
        EventKind::Reset { code, oldest } => What::Reset { code, oldest },
        EventKind::Waiting => What::Waiting,
        EventKind::Heartbeat => What::Heartbeat,
        EventKind::Ended => What::Ended,
    };
    Tiding { id: event.id, position: event.position, what }
}

fn own_change(change: &crate::wire::message::Change<'_>) -> Change {
    let did = match change.kind {
        ChangeKind::Put(record) => Did::Put(record.bytes().to_vec()),
        ChangeKind::Delete(id) => Did::Delete(id),
        ChangeKind::Dropped => Did::Dropped,
    };
    Change { seq: change.seq, last: change.last, did }
}
