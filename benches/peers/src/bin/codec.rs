//! BlazeBinary beside serde_json and sonic-rs: encode, view, one field, over four kinds of record.
//!
//! Each round times ours and the peer's one after the other on the same thousand records; the figure is the
//! ratio of the two medians over all rounds. Pin it to one core and run nothing beside it:
//! `taskset -c 1 cargo run --release --bin codec`.

use std::hint::black_box;
use std::time::Instant;

use blazedb::blazebinary::{Layout, Record, RecordView, ValueView, encode_record};
use blazedb_peers::records::{Random, bug, log_line, metric, to_map, wide};
use serde_json::Value as Json;

const RECORDS: usize = 1_000;
const ROUNDS: usize = 41;
const PASSES_PER_ROUND: usize = 20;

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
        let mut random = Random::default();
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
