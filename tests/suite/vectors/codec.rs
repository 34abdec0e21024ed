//! Records, values, typed JSON and the keys of the order.

use std::cmp::Ordering;

use blazedb::blazebinary::json::{read_record, read_value, write_value};
use blazedb::blazebinary::order::{compare, push_key};
use blazedb::blazebinary::{
    DecodeError, Layout, Reader, Record, RecordView, Value, encode_record, encode_value, read_canonical_value,
};

use super::{Case, bytes, for_each};

/// What a refused case expects, as code and offset.
fn expected(case: &mut Case) -> (String, u64) {
    (case.text("code"), case.number("offset"))
}

fn told(error: DecodeError) -> (String, u64) {
    (error.kind.code().to_owned(), error.offset as u64)
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode_value(value, &mut out).unwrap();
    out
}

fn decoded(hex: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Reader::new(hex);
    let value = read_canonical_value(&mut reader)?.to_value();
    assert!(reader.is_empty(), "bytes behind the value");
    Ok(value)
}

#[test]
fn records() {
    for_each("records.json", 190, |case| {
        let (name, hex) = (case.name.clone(), case.bytes("hex"));
        let read = RecordView::canonical(&hex);
        if case.is_refused() {
            assert_eq!(read.map(drop).map_err(told), Err(expected(case)), "{name}");
            return;
        }
        let layout = if case.number("layout") == 1 { Layout::V1 } else { Layout::V2 };
        let view = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(view.layout(), layout, "{name}");
        let written = |record: &Record| {
            let mut out = Vec::new();
            encode_record(record, layout, &mut out).unwrap();
            out
        };
        assert!(written(&view.to_record()) == hex, "{name}: written otherwise");
        if let Some(json) = case.optional("record") {
            let record = read_record(&json.to_string()).unwrap();
            assert_eq!(view.to_record(), record, "{name}");
            assert!(written(&record) == hex, "{name}: encoded otherwise");
        }
    });
}

#[test]
fn values() {
    for_each("values.json", 170, |case| {
        let (name, hex) = (case.name.clone(), case.bytes("hex"));
        let read = decoded(&hex);
        if case.is_refused() {
            assert_eq!(read.map(drop).map_err(told), Err(expected(case)), "{name}");
            return;
        }
        let value = read.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(encoded(&value) == hex, "{name}: written otherwise");
        if let Some(json) = case.optional("value") {
            assert!(encoded(&read_value(&json.to_string()).unwrap()) == hex, "{name}: encoded otherwise");
        }
    });
}

#[test]
fn typed_json() {
    for_each("json.json", 100, |case| {
        let (name, text) = (case.name.clone(), case.text("text"));
        let read = read_value(&text);
        if case.is_refused() {
            assert!(read.is_err(), "{name}: {text} is read as {read:?}");
            return;
        }
        let value = read.unwrap_or_else(|error| panic!("{name}: {text}: {error}"));
        let hex = case.bytes("hex");
        assert!(encoded(&value) == hex, "{name}: {text} is {value:?}");
        let is_written = case.optional("written").is_some_and(|written| written == true);
        let mut written = String::new();
        write_value(&value, &mut written);
        assert_eq!(written == text, is_written || written == text, "{name}: {written}");
        assert!(encoded(&read_value(&written).unwrap()) == hex, "{name}: {written} is another value");
    });
}

#[test]
fn orders() {
    for_each("order.json", 40, |case| {
        let name = case.name.clone();
        let groups = case.take("ascending");
        let groups: Vec<(Vec<u8>, Vec<Value>)> = groups.as_array().unwrap().iter().map(group).collect();
        assert!(!groups.is_empty(), "{name}");
        for (at, (key, values)) in groups.iter().enumerate() {
            for value in values {
                let mut found = Vec::new();
                push_key(value, &mut found);
                assert_eq!(found, *key, "{name}: key of {value:?}");
                assert!(
                    values.iter().all(|other| compare(value, other) == Ordering::Equal),
                    "{name}: {value:?}"
                );
                for (greater_key, greater) in &groups[at + 1..] {
                    assert!(key < greater_key, "{name}");
                    for greater in greater {
                        assert_eq!(compare(value, greater), Ordering::Less, "{name}: {value:?} {greater:?}");
                        assert_eq!(
                            compare(greater, value),
                            Ordering::Greater,
                            "{name}: {greater:?} {value:?}"
                        );
                    }
                }
            }
        }
    });
}

fn group(json: &serde_json::Value) -> (Vec<u8>, Vec<Value>) {
    let members = json.as_object().unwrap();
    assert_eq!(members.len(), 2, "{members:?}");
    let equal = members["equal"].as_array().unwrap().iter().map(|one| {
        let one = one.as_object().unwrap();
        assert!(one.keys().all(|member| member == "hex" || member == "value"), "{one:?}");
        let value = decoded(&bytes(&one["hex"])).unwrap();
        if let Some(json) = one.get("value") {
            assert_eq!(read_value(&json.to_string()).unwrap(), value);
        }
        value
    });
    (bytes(&members["key"]), equal.collect())
}
