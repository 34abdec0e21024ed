//! BlazeBinary beside serde_json and sonic-rs: encode, view, one field, over four kinds of record.
//!
//! Each round times ours and the peer's one after the other on the same thousand records; the figure is the
//! ratio of the two medians over all rounds. Pin it to one core and run nothing beside it:
//! `taskset -c 1 cargo run --release --bin codec`.

use std::hint::black_box;
use std::time::Instant;

use blazedb::blazebinary::{Date, Dict, Layout, Record, RecordView, Value, ValueView, encode_record};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

const RECORDS: usize = 1_000;
const ROUNDS: usize = 41;
const PASSES_PER_ROUND: usize = 20;

/// xorshift64*: seeded, so that every run measures the same records.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn uuid(&mut self) -> Value {
        Value::Uuid(Uuid::from_u64_pair(self.next(), self.next()))
    }

    /// A time in 2025, in whole milliseconds.
    fn date(&mut self) -> Value {
        Value::Date(Date::from_unix_millis(1_735_689_600_000 + self.below(31_536_000_000) as i64))
    }

    fn words(&mut self, count: usize) -> Value {
        const WORDS: [&str; 12] = [
            "login", "button", "crashes", "on", "the", "settings", "page", "after", "timeout", "when",
            "offline", "sync",
        ];
        Value::String((0..count).map(|_| self.pick(&WORDS)).collect::<Vec<_>>().join(" "))
    }
}

fn bug(r: &mut Random) -> Record {
    Record::from_iter([
        ("id", r.uuid()),
        ("title", r.words(4)),
        ("description", r.words(8)),
        ("status", r.pick(&["open", "closed", "in_progress"]).into()),
        ("priority", Value::Int(r.below(5) as i64)),
        ("assignedTo", r.pick(&["alice", "bob", "carol", "dave"]).into()),
        ("tags", Value::Array(vec![r.pick(&["ui", "crash", "perf"]).into(), r.pick(&["ios", "web"]).into()])),
        ("createdAt", r.date()),
        ("isArchived", Value::Bool(r.below(2) == 0)),
    ])
}

fn metric(r: &mut Random) -> Record {
    Record::from_iter([
        ("id", r.uuid()),
        ("timestamp", r.date()),
        ("operation", r.pick(&["insert", "fetch", "update", "query", "delete"]).into()),
        ("duration", Value::Double(r.below(1_000_000) as f64 / 1_000.0)),
        ("success", Value::Bool(r.below(20) != 0)),
        ("collectionName", r.pick(&["bugs", "users", "comments"]).into()),
        ("recordCount", Value::Int(r.below(2_000) as i64)),
    ])
}

fn log_line(r: &mut Random) -> Record {
    Record::from_iter([
        ("timestamp", r.date()),
        ("level", r.pick(&["debug", "info", "warn", "error"]).into()),
        ("service", r.pick(&["api", "sync", "worker"]).into()),
        ("host", format!("node-{:02}", r.below(20)).into()),
        ("message", r.words(12)),
        ("trace_id", format!("{:016x}{:016x}", r.next(), r.next()).into()),
        ("line", Value::Int(r.below(3_000) as i64)),
    ])
}

fn wide(r: &mut Random) -> Record {
    let field = |r: &mut Random, n: usize| match n % 8 {
        0 => Value::Int(r.below(200) as i64),
        1 => Value::Int(r.next() as i64 >> 20),
        2 => Value::Double(r.below(10_000_000) as f64 / 128.0),
        3 => r.pick(&["red", "green", "blue", "violet"]).into(),
        4 => r.words(5),
        5 => r.date(),
        6 => Value::Bool(r.below(2) == 0),
        _ => match n % 3 {
            0 => Value::Array((0..4).map(|_| Value::Int(r.below(1_000) as i64)).collect()),
            1 => Value::Dict(Dict::from_iter([("x", Value::Double(0.5)), ("name", r.words(2))])),
            _ => Value::Null,
        },
    };
    (0..40).map(|n| (format!("field_{n:02}"), field(r, n))).collect()
}

/// The same content as a JSON document would carry it: UUIDs and dates as text.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(value) => json!(value),
        Value::Double(value) => json!(value),
        Value::Date(date) => json!(date.to_rfc3339()),
        Value::Uuid(id) => json!(id.to_string()),
        Value::String(text) => json!(text),
        Value::Array(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Dict(dict) => Json::Object(to_map(dict)),
        Value::Data(_) | Value::Vector(_) => unreachable!("no kind here holds one"),
    }
}

fn to_map(dict: &Dict) -> Map<String, Json> {
    dict.iter().map(|(key, value)| (key.as_str().to_owned(), to_json(value))).collect()
}

/// Nanoseconds a record of one pass over the thousand, the median of all rounds, ours and the peer's in turn.
fn medians(mut ours: impl FnMut(), mut peers: impl FnMut()) -> (f64, f64) {
    let time = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        for _ in 0..PASSES_PER_ROUND {
            run();
        }
        start.elapsed().as_nanos() as f64 / (PASSES_PER_ROUND * RECORDS) as f64
    };
    let (mut a, mut b): (Vec<f64>, Vec<f64>) =
        (0..ROUNDS).map(|_| (time(&mut ours), time(&mut peers))).unzip();
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    (median(&mut a), median(&mut b))
}

/// Folds everything that a value holds into a number, so that no read can be left out.
fn touch(value: ValueView<'_>) -> u64 {
    match value {
        ValueView::Null => 1,
        ValueView::Bool(value) => u64::from(value),
        ValueView::Int(value) => value as u64,
        ValueView::Double(value) => value.to_bits(),
        ValueView::Date(date) => date.seconds().to_bits(),
        ValueView::Uuid(id) => id.as_u64_pair().0,
        ValueView::String(text) => text.as_bytes().len() as u64,
        ValueView::Data(data) => data.len() as u64,
        ValueView::Array(array) => array.len() as u64,
        ValueView::Dict(dict) => dict.len() as u64,
        ValueView::Vector(vector) => vector.len() as u64,
    }
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    encode_record(record, Layout::V1, &mut out).expect("within the limits");
    out
}

fn main() {
    let kinds: [(&str, fn(&mut Random) -> Record); 4] =
        [("bug", bug), ("metric", metric), ("log line", log_line), ("40 fields", wide)];
    println!(
        "{:<10} {:>7} {:>7}  {:>24}  {:>24}  {:>24}",
        "kind", "blaze B", "json B", "encode ns (ratio)", "view ns (ratio)", "one field ns (ratio)"
    );
    let mut products = [1.0; 3];
    for (name, make) in kinds {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let records: Vec<Record> = (0..RECORDS).map(|_| make(&mut random)).collect();
        let documents: Vec<Json> = records.iter().map(|record| Json::Object(to_map(record))).collect();
        let binary: Vec<Vec<u8>> = records.iter().map(encoded).collect();
        let texts: Vec<String> = documents.iter().map(Json::to_string).collect();
        let views: Vec<RecordView<'_>> =
            binary.iter().map(|bytes| RecordView::canonical(bytes).expect("ours")).collect();
        let (_, middle) = records[0]
            .iter()
            .enumerate()
            .find(|(at, _)| *at == records[0].len() / 2)
            .map(|(at, (key, _))| (at, key.as_str().to_owned()))
            .expect("not empty");

        let (mut out, mut text) = (Vec::new(), Vec::new());
        let encode = medians(
            || {
                for record in &records {
                    out.clear();
                    encode_record(black_box(record), Layout::V1, &mut out).expect("within the limits");
                    black_box(&out);
                }
            },
            || {
                for document in &documents {
                    text.clear();
                    serde_json::to_writer(&mut text, black_box(document)).expect("plain values");
                    black_box(&text);
                }
            },
        );
        let view = medians(
            || {
                for bytes in &binary {
                    let view = RecordView::canonical(black_box(bytes)).expect("ours");
                    let mut sum = 0u64;
                    view.walk(|step| {
                        let key = step.key.map_or(0, |key| key.as_bytes().len() as u64);
                        sum = sum.wrapping_add(key).wrapping_add(touch(step.value));
                    });
                    black_box(sum);
                }
            },
            || {
                for text in &texts {
                    drop(black_box(serde_json::from_str::<Json>(black_box(text)).expect("ours")));
                }
            },
        );
        let field = medians(
            || {
                for view in &views {
                    black_box(black_box(view).get(black_box(&middle)).map(touch));
                }
            },
            || {
                for text in &texts {
                    let lazy = sonic_rs::get(black_box(text.as_str()), &[middle.as_str()]).expect("present");
                    black_box(sonic_rs::JsonValueTrait::is_null(&lazy));
                }
            },
        );
        let mean = |lengths: Vec<usize>| lengths.iter().sum::<usize>() / RECORDS;
        let show = |(ours, peers): (f64, f64)| format!("{ours:.0} / {peers:.0} ({:.2})", peers / ours);
        println!(
            "{name:<10} {:>7} {:>7}  {:>24}  {:>24}  {:>24}",
            mean(binary.iter().map(Vec::len).collect()),
            mean(texts.iter().map(String::len).collect()),
            show(encode),
            show(view),
            show(field),
        );
        for (product, (ours, peers)) in products.iter_mut().zip([encode, view, field]) {
            *product *= peers / ours;
        }
    }
    let [encode, view, field] = products.map(|product: f64| product.powf(0.25));
    println!(
        "geometric mean: encode {encode:.2}x serde_json, view {view:.2}x serde_json, one field {field:.2}x sonic-rs"
    );
}
