//! Drives the Rust client for `blazedb conformance client`: commands and answers as lines of JSON, as
//! `conformance/client-contract.md` says.
//!
//! ```sh
//! cargo build --example conformance_client
//! blazedb conformance client -- target/debug/examples/conformance_client
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a driver that meets the unexpected has failed"
)]

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blazedb::blazebinary::{Dict, Layout, Record, Value, encode_record, json};
use blazedb::client::{Client, Error, Options, Range, Receipt, Stored, Tidings};
use blazedb::transport::Url;
use blazedb::wire::message::{Action, ChangeKind, Mode, OperationBuilder, RecordOperation, Start};
use blazedb::wire::{CollectionName, EncodedStrings, FramedRecord};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Commands by id that may be cancelled.
type Cancels = Arc<Mutex<HashMap<i64, oneshot::Sender<()>>>>;

fn main() {
    let (lines, mut commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let mut client = None;
        let cancels = Cancels::default();
        while let Some(line) = commands.recv().await {
            let Value::Dict(command) = json::read_value(&line).unwrap() else { panic!("{line}") };
            let id = int(&command, "id");
            match text(&command, "do").as_str() {
                "connect" => match connect(&command).await {
                    Ok((connected, node)) => {
                        client = Some(connected);
                        done(id, [("node", Value::from(node.to_string().as_str()))]);
                    }
                    Err(error) => failed(id, &error),
                },
                "cancel" => {
                    if let Some(cancel) = cancels.lock().unwrap().remove(&int(&command, "of")) {
                        let _ = cancel.send(());
                    }
                    done(id, []);
                }
                "close" => {
                    let closing = client.take().expect("connect comes first");
                    tokio::spawn(async move {
                        closing.close().await;
                        done(id, []);
                    });
                }
                what => {
                    begin(client.clone().expect("connect comes first"), what, id, command.clone(), &cancels)
                        .await
                }
            }
        }
    });
}

async fn connect(command: &Dict) -> Result<(Client, Uuid), Error> {
    let url: Url = std::env::var("BLAZEDB_URL").unwrap().parse().unwrap();
    let mut options =
        Options { compression: command.get("lz4") == Some(&Value::Bool(true)), ..Options::default() };
    if command.get("heartbeat_ms").is_some() {
        options.heartbeat = Duration::from_millis(u64::try_from(int(command, "heartbeat_ms")).unwrap());
    }
    let client = Client::connect(&url, options).await?;
    let state = client.state().borrow().clone();
    match state {
        blazedb::client::State::Connected { node, .. } => Ok((client, node)),
        other => panic!("connected, and yet {other:?}"),
    }
}

/// Begins a command; operations are handed to the client before this returns, so that they keep their order.
async fn begin(client: Client, what: &str, id: i64, command: Dict, cancels: &Cancels) {
    let (cancel, cancelled) = oneshot::channel();
    match what {
        "get" | "scan" => {
            cancels.lock().unwrap().insert(id, cancel);
            tokio::spawn(async move {
                tokio::select! {
                    _ = cancelled => cancelled_answer(id),
                    read = read(&client, &command) => match read {
                        Ok(records) => done(id, [("records", Value::Array(records))]),
                        Err(error) => failed(id, &error),
                    }
                }
            });
        }
        "watch" => {
            cancels.lock().unwrap().insert(id, cancel);
            tokio::spawn(async move {
                tokio::select! {
                    _ = cancelled => cancelled_answer(id),
                    () = watch(&client, id, &command) => {}
                }
            });
        }
        _ => match client.submit(operation(what, &command)).await {
            Ok(pending) => drop(tokio::spawn(async move {
                match pending.await {
                    Ok(Receipt { position, .. }) => {
                        let hex = data_encoding::HEXLOWER.encode(&position.to_bytes());
                        done(id, [("position", Value::from(hex.as_str()))]);
                    }
                    Err(error) => failed(id, &error),
                }
            })),
            Err(error) => failed(id, &error),
        },
    }
}

fn operation(what: &str, command: &Dict) -> blazedb::wire::message::OperationBody {
    let mut builder = OperationBuilder::new();
    if what == "batch" {
        let Some(Value::Array(items)) = command.get("operations") else { panic!("no operations") };
        for item in items {
            let Value::Dict(item) = item else { panic!("no object") };
            push(&mut builder, &text(item, "op"), item);
        }
    } else {
        push(&mut builder, what, command);
    }
    builder.finish().unwrap()
}

fn push(builder: &mut OperationBuilder, what: &str, item: &Dict) {
    let name = text(item, "collection");
    let collection = CollectionName::new(&name).unwrap();
    let record = match what {
        "patch" => encoded(item, "set"),
        "delete" => Vec::new(),
        _ => encoded(item, "record"),
    };
    let framed = || FramedRecord::new(&record).unwrap();
    let names = match item.get("unset") {
        Some(Value::Array(names)) => names.iter().map(as_text).collect(),
        _ => Vec::new(),
    };
    let action = match what {
        "put" => Action::Upsert { record: framed(), skip_unchanged: false },
        "insert" => Action::Insert(framed()),
        "patch" => {
            Action::Patch { id: uuid(item), removed: EncodedStrings::new(&names).unwrap(), set: framed() }
        }
        "delete" => Action::Delete { id: uuid(item) },
        other => panic!("{other} is no operation"),
    };
    builder.push(collection, &RecordOperation { base: None, action }).unwrap();
}

async fn read(client: &Client, command: &Dict) -> Result<Vec<Value>, Error> {
    let collection = text(command, "collection");
    let stored = match command.get("uuids") {
        Some(Value::Array(ids)) => {
            let ids: Vec<Uuid> = ids.iter().map(|id| as_text(id).parse().unwrap()).collect();
            client.get_many(&collection, &ids).await?
        }
        _ => {
            let reverse = command.get("reverse") == Some(&Value::Bool(true));
            let limit = if command.get("limit").is_some() { int(command, "limit") } else { 0 };
            let range = Range { reverse, limit: u64::try_from(limit).unwrap(), ..Range::ALL };
            client.scan(&collection, range).await?.collect().await?
        }
    };
    Ok(stored.iter().map(|stored: &Stored| told(&stored.bytes)).collect())
}

async fn watch(client: &Client, id: i64, command: &Dict) {
    let mode = if text(command, "mode") == "all" { Mode::All } else { Mode::Latest };
    let start = if text(command, "start") == "now" { Start::Now } else { Start::Snapshot };
    let mut subscription = match client.subscribe(&text(command, "collection"), mode, start) {
        Ok(subscription) => subscription,
        Err(error) => return failed(id, &error),
    };
    loop {
        match subscription.next().await {
            Ok(Some(Tidings::Changes(changes))) => {
                let changes = changes.iter().map(|change| told_change(change.seq, change.kind)).collect();
                event(id, "changes", Some(changes));
            }
            Ok(Some(Tidings::CaughtUp { .. })) => event(id, "caught_up", None),
            Ok(Some(Tidings::Waiting { .. })) => event(id, "waiting", None),
            Ok(Some(Tidings::Heartbeat { .. })) => event(id, "heartbeat", None),
            Ok(Some(Tidings::Reset { code, .. })) => {
                return error(id, "reset", code, "the watch cannot go on");
            }
            Ok(None) => return,
            Err(error) => return failed(id, &error),
        }
    }
}

fn told_change(seq: u64, kind: ChangeKind<'_>) -> Value {
    let seq = ("seq", Value::Int(i64::try_from(seq).unwrap()));
    let name = |name: &str| ("kind", Value::from(name));
    Value::Dict(match kind {
        ChangeKind::Put(record) => Dict::from_iter([name("put"), seq, ("record", told(record.bytes()))]),
        ChangeKind::Delete(id) => {
            Dict::from_iter([name("delete"), seq, ("uuid", Value::from(id.to_string().as_str()))])
        }
        ChangeKind::Dropped => Dict::from_iter([name("dropped"), seq]),
    })
}

/// A record as typed JSON has it: an object of its fields.
fn told(bytes: &[u8]) -> Value {
    let view = blazedb::blazebinary::RecordView::canonical(bytes).unwrap();
    Value::Dict(view.iter().map(|(key, value)| (key.as_str().to_owned(), value.to_value())).collect())
}

fn encoded(item: &Dict, key: &str) -> Vec<u8> {
    let Some(Value::Dict(fields)) = item.get(key) else { panic!("no {key}") };
    let record: Record = fields.iter().map(|(key, value)| (key.as_str().to_owned(), value.clone())).collect();
    let mut bytes = Vec::new();
    encode_record(&record, Layout::V1, &mut bytes).unwrap();
    bytes
}

fn int(dict: &Dict, key: &str) -> i64 {
    match dict.get(key) {
        Some(Value::Int(value)) => *value,
        other => panic!("{key} is {other:?}"),
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => panic!("{other:?} is no string"),
    }
}

fn text(dict: &Dict, key: &str) -> String {
    as_text(dict.get(key).unwrap_or(&Value::Null))
}

fn uuid(item: &Dict) -> Uuid {
    text(item, "uuid").parse().unwrap()
}

fn say(line: Dict) {
    let mut text = String::new();
    json::write_value(&Value::Dict(line), &mut text);
    text.push('\n');
    let mut out = std::io::stdout().lock();
    // The tester may be gone.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn done<const N: usize>(id: i64, members: [(&str, Value); N]) {
    let members = Value::Dict(Dict::from_iter(members));
    say(Dict::from_iter([("id", Value::Int(id)), ("ok", members)]));
}

fn event(id: i64, name: &str, changes: Option<Vec<Value>>) {
    let head = [("id", Value::Int(id)), ("event", Value::from(name))];
    say(head.into_iter().chain(changes.map(|changes| ("changes", Value::Array(changes)))).collect());
}

fn error(id: i64, kind: &str, code: u16, message: &str) {
    let members =
        [("kind", Value::from(kind)), ("code", Value::Int(code.into())), ("message", Value::from(message))];
    say(Dict::from_iter([("id", Value::Int(id)), ("error", Value::Dict(Dict::from_iter(members)))]));
}

fn cancelled_answer(id: i64) {
    error(id, "cancelled", 0, "cancelled");
}

fn failed(id: i64, failure: &Error) {
    let code = |error: &Error| error.code().map_or(0, |code| code.number());
    let (kind, number) = match failure {
        Error::Input(_) => ("input", 0),
        Error::Unreachable(_) => ("unreachable", 0),
        Error::Refused(refused) => ("refused", refused.number),
        Error::Interrupted => ("interrupted", 0),
        Error::OutcomeUnknown => ("unknown", 0),
        other => ("ended", code(other)),
    };
    error(id, kind, number, &failure.to_string());
}
