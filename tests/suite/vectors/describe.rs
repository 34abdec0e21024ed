//! A message in the typed form of the vectors.

use std::ops::Bound;

use blazedb::blazebinary::Value;
use blazedb::blazebinary::json::write_value;
use blazedb::wire::message::{
    AckLevel, Action, Change, ChangeKind, CreditScope, Event, EventKind, Mode, Query, QueryKind,
    RecordOperation, Start,
};
use blazedb::wire::{CreditLimit, EncodedDict, FramedRecord, Lane, Message, Position, Subject};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

/// What `message` and `extension` say, as `conformance/README.md` names it.
pub(super) fn describe(message: &Message<'_>, extension: &EncodedDict<'_>) -> Json {
    let mut told = object(message);
    if !extension.is_none() {
        told.insert("extension".to_owned(), dict(extension));
    }
    Json::Object(told)
}

fn object(message: &Message<'_>) -> Map<String, Json> {
    let told = match message {
        Message::Hello(m) => json!({
            "is": "hello", "min_version": m.min_version, "max_version": m.max_version,
            "next_operation": long(m.next_operation), "oldest_unacked": long(m.oldest_unacked),
            "heartbeat_ms": m.heartbeat_ms, "database": m.database.as_str(), "agent": m.agent,
            "node": m.node.map(id), "capabilities": m.capabilities.iter().collect::<Vec<_>>(),
        }),
        Message::Welcome(m) => json!({
            "is": "welcome", "version": m.version, "node_decided": long(m.node_decided),
            "operation_window": m.operation_window, "heartbeat_ms": m.heartbeat_ms,
            "work_frames": long(m.work.frames), "work_bytes": long(m.work.bytes),
            "telemetry_frames": long(m.telemetry.frames), "telemetry_bytes": long(m.telemetry.bytes),
            "request_limit": m.request_limit, "clock": long(m.clock.to_bits()), "position": position(m.position),
            "connection": id(m.connection), "node": id(m.node), "agent": m.agent,
            "capabilities": m.capabilities.iter().collect::<Vec<_>>(),
        }),
        Message::Operation(m) => json!({
            "is": "operation", "number": long(m.number), "ack_level": level(m.ack_level),
            "groups": m.groups.iter().map(|group| json!({
                "collection": group.collection.as_str(),
                "operations": group.operations.iter().map(|one| operation(&one)).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        }),
        Message::Query(m) => query(m),
        Message::QueryResponse(m) => json!({
            "is": "query_response", "id": long(m.id), "last": m.last, "position": position(m.position),
            "rows": m.rows.iter().map(|row| json!({"seq": long(row.seq), "record": record(row.record)}))
                .collect::<Vec<_>>(),
        }),
        Message::Subscribe(m) => {
            let (start, after) = match m.start {
                Start::Now => ("now", None),
                Start::Snapshot => ("snapshot", None),
                Start::After(after) => ("after", Some(after)),
            };
            let mode = match m.mode {
                Mode::All => "all",
                Mode::Latest => "latest",
            };
            let mut told = asked("subscribe", m.id, m.credit);
            told.extend(members(json!({"mode": mode, "start": start, "collection": m.collection.as_str()})));
            told.extend(after.map(|after| ("after".to_owned(), position(after).into())));
            Json::Object(told)
        }
        Message::Ack(m) => json!({
            "is": "ack", "lane": lane(m.lane), "level": level(m.level), "number": long(m.number),
            "unchanged": long(m.unchanged), "position": position(m.position),
        }),
        Message::Error(m) => {
            let (scope, id) = subject(m.subject);
            let detail = if m.detail.is_none() { Json::Null } else { dict(&m.detail) };
            json!({
                "is": "error", "scope": scope, "id": long(id), "code": m.code, "message": m.message, "detail": detail,
            })
        }
        Message::Event(m) => event(m),
        Message::Unsubscribe(m) => json!({"is": "unsubscribe", "id": long(m.id)}),
        Message::Ping(m) => json!({"is": "ping", "nonce": long(m.nonce)}),
        Message::Pong(m) => json!({"is": "pong", "nonce": long(m.nonce), "clock": long(m.clock.to_bits())}),
        Message::Goodbye(m) => json!({
            "is": "goodbye", "code": m.code, "retry_after_ms": m.retry_after_ms, "message": m.message,
        }),
        Message::Credit(m) => {
            let (scope, id) = match m.scope {
                CreditScope::Lane(of) => (lane(of), 0),
                CreditScope::Request(id) => ("request", id),
            };
            let (frames, bytes) = (long(m.limit.frames), long(m.limit.bytes));
            json!({"is": "credit", "scope": scope, "id": long(id), "frames": frames, "bytes": bytes})
        }
        Message::Cancel(m) => json!({"is": "cancel", "id": long(m.id)}),
    };
    members(told)
}

fn members(json: Json) -> Map<String, Json> {
    let Json::Object(members) = json else { panic!("no object") };
    members
}

fn asked(is: &str, id: u64, credit: CreditLimit) -> Map<String, Json> {
    members(json!({"is": is, "id": long(id), "frames": long(credit.frames), "bytes": long(credit.bytes)}))
}

fn query(query: &Query<'_>) -> Json {
    let mut told = asked("query", query.id, query.credit);
    told.insert("at_least".to_owned(), query.at_least.map(position).into());
    told.extend(members(match query.kind {
        QueryKind::Get { collection, ids } => json!({
            "kind": "get", "collection": collection.as_str(), "ids": ids.iter().map(id).collect::<Vec<_>>(),
        }),
        QueryKind::Scan { collection, reverse, limit, lower, upper } => json!({
            "kind": "scan", "collection": collection.as_str(), "reverse": reverse, "limit": long(limit),
            "lower": bound(lower), "upper": bound(upper),
        }),
        QueryKind::Stats { collection } => json!({
            "kind": "stats", "collection": collection.map(|name| name.as_str().to_owned()),
        }),
    }));
    Json::Object(told)
}

fn bound(bound: Bound<Uuid>) -> Json {
    match bound {
        Bound::Unbounded => json!({"kind": "none"}),
        Bound::Included(at) => json!({"kind": "inclusive", "id": id(at)}),
        Bound::Excluded(at) => json!({"kind": "exclusive", "id": id(at)}),
    }
}

fn operation(one: &RecordOperation<'_>) -> Json {
    let mut told = members(match &one.action {
        Action::Insert(inserted) => json!({"kind": "insert", "record": record(*inserted)}),
        Action::Upsert { record: put, skip_unchanged: false } => {
            json!({"kind": "upsert", "record": record(*put)})
        }
        Action::Upsert { record: put, skip_unchanged: true } => {
            json!({"kind": "upsert", "record": record(*put), "skip_unchanged": true})
        }
        Action::Patch { id: of, removed, set } => json!({
            "kind": "patch", "id": id(*of), "remove": removed.iter().collect::<Vec<_>>(), "set": record(*set),
        }),
        Action::Delete { id: of } => json!({"kind": "delete", "id": id(*of)}),
        Action::Check { id: of } => json!({"kind": "check", "id": id(*of)}),
        Action::Drop => json!({"kind": "drop"}),
    });
    told.extend(one.base.map(|base| ("base".to_owned(), long(base).into())));
    Json::Object(told)
}

fn event(event: &Event<'_>) -> Json {
    let (kind, more) = match event.kind {
        EventKind::Changes(changes) => {
            ("changes", json!({"changes": changes.iter().map(|one| change(&one)).collect::<Vec<_>>()}))
        }
        EventKind::CaughtUp => ("caught_up", json!({})),
        EventKind::Reset { code, oldest } => ("reset", json!({"code": code, "oldest": position(oldest)})),
        EventKind::Waiting => ("waiting", json!({})),
        EventKind::Heartbeat => ("heartbeat", json!({})),
        EventKind::Ended => ("ended", json!({})),
    };
    let mut told = members(json!({
        "is": "event", "id": long(event.id), "kind": kind, "position": position(event.position),
    }));
    told.extend(members(more));
    Json::Object(told)
}

fn change(change: &Change<'_>) -> Json {
    let (seq, last) = (long(change.seq), change.last);
    match change.kind {
        ChangeKind::Put(put) => json!({"kind": "put", "last": last, "seq": seq, "record": record(put)}),
        ChangeKind::Delete(of) => json!({"kind": "delete", "last": last, "seq": seq, "id": id(of)}),
        ChangeKind::Dropped => json!({"kind": "dropped", "last": last, "seq": seq}),
    }
}

fn long(number: u64) -> String {
    number.to_string()
}

fn id(id: Uuid) -> String {
    id.hyphenated().to_string()
}

fn position(position: Position) -> String {
    data_encoding::HEXLOWER.encode(&position.to_bytes())
}

fn record(record: FramedRecord<'_>) -> String {
    data_encoding::HEXLOWER.encode(record.bytes())
}

const fn level(level: AckLevel) -> &'static str {
    match level {
        AckLevel::Accepted => "accepted",
        AckLevel::Durable => "durable",
        AckLevel::Replicated => "replicated",
    }
}

const fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Work => "work",
        Lane::Telemetry => "telemetry",
    }
}

/// The scope and id of what an Error is about.
pub(super) const fn subject(subject: Subject) -> (&'static str, u64) {
    (subject.scope().name(), subject.id())
}

/// A dict in typed JSON, doubles by their bits as the vectors have them.
fn dict(dict: &EncodedDict<'_>) -> Json {
    let dict = Value::Dict(dict.view().unwrap().to_dict());
    let mut text = String::new();
    write_value(&dict, &mut text);
    exact(&serde_json::from_str(&text).unwrap())
}

fn exact(json: &Json) -> Json {
    match json {
        Json::Number(number) if number.is_f64() => {
            json!({"$double": format!("0x{:016x}", number.as_f64().unwrap().to_bits())})
        }
        Json::Array(items) => items.iter().map(exact).collect(),
        Json::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), exact(value))).collect(),
        other => other.clone(),
    }
}
