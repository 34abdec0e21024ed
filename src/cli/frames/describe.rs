//! Messages as facts by name.

use std::ops::Bound;

use data_encoding::HEXLOWER;
use uuid::Uuid;

use super::node::Node;
use super::scan::CapturedFrame;
use crate::blazebinary::{ValueView, json};
use crate::wire::message::{
    Action, Change, ChangeKind, Credit, CreditScope, Error, Event, EventKind, Goodbye, Hello, Message,
    Operation, Query, QueryKind, QueryResponse, RecordOperation, Start, Subscribe, Welcome,
};
use crate::wire::{
    Clock, CreditLimit, EncodedDict, EncodedStrings, ErrorCode, Flags, FramedRecord, Lane, MessageType,
    decompress,
};

/// Payloads that are not decoded are shown up to so many bytes.
const SHOWN_BYTES: usize = 64;

type Fields = Vec<(&'static str, Node)>;

/// The name of a type, or its number.
pub(super) fn type_name(message_type: u8) -> String {
    match MessageType::from_byte(message_type) {
        Some(known) => format!("{known:?}"),
        None => format!("unknown(0x{message_type:02x})"),
    }
}

/// What a frame carries, and whether it was understood.
pub(super) fn payload(frame: &CapturedFrame) -> (Node, bool) {
    let header = frame.header;
    if !frame.checksum_is_right() {
        return (raw(&frame.payload, "not decoded: its checksum is wrong"), false);
    }
    if header.flags.contains(Flags::ENCRYPTED) {
        return (raw(&frame.payload, "encrypted"), true);
    }
    let mut plain = Vec::new();
    let payload = if header.flags.contains(Flags::COMPRESSED) {
        if let Err(error) = decompress(&frame.payload, &mut plain) {
            return (raw(&frame.payload, &error.to_string()), false);
        }
        plain.as_slice()
    } else {
        frame.payload.as_slice()
    };
    let on_disk = MessageType::from_byte(header.message_type).is_some_and(|known| !known.is_sent_by_peers());
    if on_disk {
        return (raw(payload, "of a file: not decoded here"), true);
    }
    match Message::decode_extended(header.message_type, payload) {
        Ok((message, extension)) => {
            let mut fields = message_fields(&message);
            if !extension.is_none() {
                fields.push(("extension", dict(&extension)));
            }
            (Node::Map(fields), true)
        }
        Err(error) => (raw(payload, &format!("{}: {error}", error.code())), false),
    }
}

fn raw(payload: &[u8], why: &str) -> Node {
    let shown = payload.get(..SHOWN_BYTES).unwrap_or(payload);
    let mut hex = HEXLOWER.encode(shown);
    if shown.len() < payload.len() {
        hex.push('…');
    }
    Node::Map(vec![("note", Node::text(why)), ("bytes", Node::Word(hex))])
}

/// A record as typed JSON; in hex if it is not canonical, which only a server refuses.
fn record(record: FramedRecord<'_>) -> Node {
    match record.view() {
        Ok(view) => {
            let mut out = String::new();
            json::write_record(view, &mut out);
            Node::Json(out)
        }
        Err(error) => {
            let hex = HEXLOWER.encode(record.bytes());
            Node::Map(vec![("not_canonical", Node::text(&error.to_string())), ("bytes", Node::Word(hex))])
        }
    }
}

/// A dict of details or extensions.
fn dict(dict: &EncodedDict<'_>) -> Node {
    dict.view().map_or_else(Node::null, |view| {
        let mut out = String::new();
        json::write_value(ValueView::Dict(view), &mut out);
        Node::Json(out)
    })
}

fn message_fields(message: &Message<'_>) -> Fields {
    match message {
        Message::Hello(hello) => hello_fields(hello),
        Message::Welcome(welcome) => welcome_fields(welcome),
        Message::Operation(operation) => operation_fields(operation),
        Message::Query(query) => query_fields(query),
        Message::QueryResponse(response) => response_fields(response),
        Message::Subscribe(subscribe) => subscribe_fields(subscribe),
        Message::Ack(ack) => vec![
            ("lane", lane(ack.lane)),
            ("level", Node::word(format!("{:?}", ack.level).to_lowercase())),
            ("number", Node::number(ack.number)),
            ("unchanged", Node::number(ack.unchanged)),
            ("position", Node::word(ack.position)),
        ],
        Message::Error(error) => error_fields(error),
        Message::Event(event) => event_fields(event),
        Message::Unsubscribe(unsubscribe) => vec![("id", Node::number(unsubscribe.id))],
        Message::Cancel(cancel) => vec![("id", Node::number(cancel.id))],
        Message::Ping(ping) => vec![("nonce", Node::number(ping.nonce))],
        Message::Pong(pong) => vec![("nonce", Node::number(pong.nonce)), ("clock", clock(pong.clock))],
        Message::Goodbye(goodbye) => goodbye_fields(goodbye),
        Message::Credit(credit) => credit_fields(credit),
    }
}

fn hello_fields(hello: &Hello<'_>) -> Fields {
    vec![
        ("kind", Node::word("hello")),
        ("min_version", Node::number(hello.min_version)),
        ("max_version", Node::number(hello.max_version)),
        ("next_operation", Node::number(hello.next_operation)),
        ("oldest_unacked", Node::number(hello.oldest_unacked)),
        ("heartbeat_ms", Node::number(hello.heartbeat_ms)),
        ("database", Node::word(hello.database)),
        ("agent", Node::text(hello.agent)),
        ("node", hello.node.map_or_else(Node::null, Node::word)),
        ("capabilities", strings(&hello.capabilities)),
    ]
}

fn welcome_fields(welcome: &Welcome<'_>) -> Fields {
    vec![
        ("kind", Node::word("welcome")),
        ("version", Node::number(welcome.version)),
        ("node_decided", Node::number(welcome.node_decided)),
        ("operation_window", Node::number(welcome.operation_window)),
        ("heartbeat_ms", Node::number(welcome.heartbeat_ms)),
        ("work", limit(welcome.work)),
        ("telemetry", limit(welcome.telemetry)),
        ("request_limit", Node::number(welcome.request_limit)),
        ("clock", clock(welcome.clock)),
        ("position", Node::word(welcome.position)),
        ("connection", Node::word(welcome.connection)),
        ("node", Node::word(welcome.node)),
        ("agent", Node::text(welcome.agent)),
        ("capabilities", strings(&welcome.capabilities)),
    ]
}

fn operation_fields(operation: &Operation<'_>) -> Fields {
    let groups = operation.groups.iter().map(|group| {
        Node::Map(vec![
            ("collection", Node::word(group.collection)),
            (
                "operations",
                Node::List(group.operations.iter().map(|inner| record_operation(&inner)).collect()),
            ),
        ])
    });
    vec![
        ("number", Node::number(operation.number)),
        ("ack_level", Node::word(format!("{:?}", operation.ack_level).to_lowercase())),
        ("groups", Node::List(groups.collect())),
    ]
}

fn record_operation(operation: &RecordOperation<'_>) -> Node {
    let mut fields = match &operation.action {
        Action::Insert(inserted) => vec![("kind", Node::word("insert")), ("record", record(*inserted))],
        Action::Upsert { record: upserted, skip_unchanged } => vec![
            ("kind", Node::word("upsert")),
            ("skip_unchanged", Node::bool(*skip_unchanged)),
            ("record", record(*upserted)),
        ],
        Action::Patch { id, removed, set } => vec![
            ("kind", Node::word("patch")),
            ("id", Node::word(id)),
            ("removed", strings(removed)),
            ("set", record(*set)),
        ],
        Action::Delete { id } => vec![("kind", Node::word("delete")), ("id", Node::word(id))],
        Action::Check { id } => vec![("kind", Node::word("check")), ("id", Node::word(id))],
        Action::Drop => vec![("kind", Node::word("drop"))],
    };
    if let Some(base) = operation.base {
        fields.insert(1, ("base", Node::number(base)));
    }
    Node::Map(fields)
}

fn query_fields(query: &Query<'_>) -> Fields {
    let mut fields = vec![("id", Node::number(query.id)), ("credit", limit(query.credit))];
    let asked = match &query.kind {
        QueryKind::Get { collection, ids } => vec![
            ("kind", Node::word("get")),
            ("collection", Node::word(collection)),
            ("ids", Node::List(ids.iter().map(Node::word).collect())),
        ],
        QueryKind::Scan { collection, reverse, limit, lower, upper } => vec![
            ("kind", Node::word("scan")),
            ("collection", Node::word(collection)),
            ("reverse", Node::bool(*reverse)),
            ("limit", Node::number(*limit)),
            ("lower", bound(lower)),
            ("upper", bound(upper)),
        ],
        QueryKind::Stats { collection } => vec![
            ("kind", Node::word("stats")),
            ("collection", collection.map_or_else(Node::null, Node::word)),
        ],
    };
    fields.extend(asked);
    fields.push(("at_least", query.at_least.map_or_else(Node::null, Node::word)));
    fields
}

fn response_fields(response: &QueryResponse<'_>) -> Fields {
    let rows = response
        .rows
        .iter()
        .map(|row| Node::Map(vec![("seq", Node::number(row.seq)), ("record", record(row.record))]));
    vec![
        ("id", Node::number(response.id)),
        ("last", Node::bool(response.last)),
        ("position", Node::word(response.position)),
        ("rows", Node::List(rows.collect())),
    ]
}

fn subscribe_fields(subscribe: &Subscribe<'_>) -> Fields {
    let start = match subscribe.start {
        Start::Now => Node::word("now"),
        Start::Snapshot => Node::word("snapshot"),
        Start::After(position) => Node::word(position),
    };
    vec![
        ("id", Node::number(subscribe.id)),
        ("credit", limit(subscribe.credit)),
        ("mode", Node::word(format!("{:?}", subscribe.mode).to_lowercase())),
        ("start", start),
        ("collection", Node::word(subscribe.collection)),
    ]
}

fn event_fields(event: &Event<'_>) -> Fields {
    let mut fields = vec![("id", Node::number(event.id)), ("position", Node::word(event.position))];
    let kind = match event.kind {
        EventKind::Changes(_) => "changes",
        EventKind::CaughtUp => "caught_up",
        EventKind::Reset { .. } => "reset",
        EventKind::Waiting => "waiting",
        EventKind::Heartbeat => "heartbeat",
        EventKind::Ended => "ended",
    };
    fields.insert(1, ("kind", Node::word(kind)));
    match event.kind {
        EventKind::Changes(changes) => {
            fields.push(("changes", Node::List(changes.iter().map(change).collect())));
        }
        EventKind::Reset { code, oldest } => {
            fields.extend([("code", error_code(code)), ("oldest", Node::word(oldest))]);
        }
        EventKind::CaughtUp | EventKind::Waiting | EventKind::Heartbeat | EventKind::Ended => {}
    }
    fields
}

fn change(change: Change<'_>) -> Node {
    let (kind, what) = match change.kind {
        ChangeKind::Put(put) => ("put", Some(("record", record(put)))),
        ChangeKind::Delete(id) => ("delete", Some(("id", Node::word(id)))),
        ChangeKind::Dropped => ("dropped", None),
    };
    let head =
        [("kind", Node::word(kind)), ("seq", Node::number(change.seq)), ("last", Node::bool(change.last))];
    Node::Map(head.into_iter().chain(what).collect())
}

fn error_fields(error: &Error<'_>) -> Fields {
    vec![
        ("scope", Node::word(error.subject.scope().name())),
        ("id", Node::number(error.subject.id())),
        ("code", error_code(error.code)),
        ("message", Node::text(error.message)),
        ("detail", dict(&error.detail)),
    ]
}

fn goodbye_fields(goodbye: &Goodbye<'_>) -> Fields {
    let code = if goodbye.code == 0 { Node::null() } else { error_code(goodbye.code) };
    vec![
        ("code", code),
        ("retry_after_ms", Node::number(goodbye.retry_after_ms)),
        ("message", Node::text(goodbye.message)),
    ]
}

fn credit_fields(credit: &Credit) -> Fields {
    let (scope, id) = match credit.scope {
        CreditScope::Lane(of) => (lane(of), 0),
        CreditScope::Request(id) => (Node::word("request"), id),
    };
    vec![("scope", scope), ("id", Node::number(id)), ("limit", limit(credit.limit))]
}

/// The name of a code, or the number of one that is not known here.
fn error_code(number: u16) -> Node {
    ErrorCode::from_number(number).map_or_else(|| Node::number(number), Node::word)
}

fn lane(lane: Lane) -> Node {
    Node::word(match lane {
        Lane::Work => "work",
        Lane::Telemetry => "telemetry",
    })
}

fn limit(limit: CreditLimit) -> Node {
    Node::Map(vec![("frames", Node::number(limit.frames)), ("bytes", Node::number(limit.bytes))])
}

fn clock(clock: Clock) -> Node {
    let fields = vec![("unix_ms", Node::number(clock.unix_ms())), ("counter", Node::number(clock.counter()))];
    if clock == Clock::NONE { Node::null() } else { Node::Map(fields) }
}

fn strings(strings: &EncodedStrings<'_>) -> Node {
    Node::List(strings.iter().map(Node::text).collect())
}

fn bound(bound: &Bound<Uuid>) -> Node {
    match bound {
        Bound::Unbounded => Node::null(),
        Bound::Included(id) => Node::Map(vec![("included", Node::word(id))]),
        Bound::Excluded(id) => Node::Map(vec![("excluded", Node::word(id))]),
    }
}
