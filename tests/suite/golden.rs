//! Our codec against records that Swift's own encoder wrote and inputs that its decoder judged
//! (`conformance/vectors/swift`).

use blazedb::blazebinary::{
    Date, Dict, Layout, Record, RecordView, Value, Vector, decode_lenient, encode_record, limits::MAX_NESTING,
};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value as Json;

fn rows(file: &str) -> Vec<Json> {
    let path = format!("{}/conformance/vectors/swift/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut reader = serde_json::Deserializer::from_str(&text);
    reader.disable_recursion_limit();
    Vec::deserialize(&mut reader).unwrap()
}

fn text<'a>(row: &'a Json, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} of {}", row["name"]))
}

fn bytes(row: &Json, field: &str) -> Vec<u8> {
    HEXLOWER.decode(text(row, field).as_bytes()).unwrap()
}

/// A value from the typed form of the vectors.
fn value(json: &Json) -> Value {
    let v = &json["v"];
    let string = || v.as_str().unwrap();
    let bits = |hex: &Json| f64::from_bits(u64::from_str_radix(hex.as_str().unwrap(), 16).unwrap());
    match json["t"].as_str().unwrap() {
        "null" => Value::Null,
        "bool" => Value::Bool(v.as_bool().unwrap()),
        "int" => Value::Int(string().parse().unwrap()),
        "double" => Value::Double(bits(v)),
        "date" => Value::Date(Date::from_seconds(bits(v))),
        "uuid" => Value::Uuid(string().parse().unwrap()),
        "string" => Value::String(string().to_owned()),
        "data" => Value::Data(HEXLOWER.decode(string().as_bytes()).unwrap()),
        "array" => Value::Array(v.as_array().unwrap().iter().map(value).collect()),
        "dict" => Value::Dict(dict(v)),
        "vector" => Value::Vector(v.as_array().unwrap().iter().map(bits).collect::<Vector>()),
        other => panic!("type {other}"),
    }
}

fn dict(json: &Json) -> Dict {
    json.as_object().unwrap().iter().map(|(key, json)| (key.as_str(), value(json))).collect()
}

fn encode(record: &Record, layout: Layout) -> Vec<u8> {
    let mut out = Vec::new();
    encode_record(record, layout, &mut out).unwrap();
    out
}

#[test]
fn what_swift_wrote_is_what_we_write_and_read() {
    let mut checked = 0;
    for row in rows("records.json").into_iter().chain(rows("random.json")) {
        let name = text(&row, "name");
        let (record, v1) = (dict(&row["fields"]), bytes(&row, "v1"));
        assert_eq!(HEXLOWER.encode(&encode(&record, Layout::V1)), text(&row, "v1"), "{name}: layout 1");
        let mut v2 = v1.clone();
        v2[5] = 2;
        v2.extend(bytes(&row, "v2_crc"));
        assert_eq!(encode(&record, Layout::V2), v2, "{name}: layout 2");
        for (written, layout) in [(v1, Layout::V1), (v2, Layout::V2)] {
            let view = RecordView::canonical(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(view.to_record(), record, "{name}: view");
            assert_eq!(view.layout(), layout, "{name}");
            assert_eq!(decode_lenient(&written).as_ref(), Ok(&record), "{name}: lenient");
        }
        checked += 1;
    }
    assert_eq!(checked, 430);
}

/// The code with which canonical mode refuses a row of `decode.json`, worked out from the rules of the format;
/// `None` where it accepts.
fn canonical_code(name: &str) -> Option<&'static str> {
    Some(match name {
        "ok_v1" | "ok_v2" | "v1_empty" | "v2_empty" | "nul_in_string" | "nul_in_key" | "vec_empty"
        | "nan_signalling" | "date_nan" | "deep_32" | "deep_63" => return None,
        name if name.starts_with("bom_") => return None,
        "v2_relabelled_v1" | "v1_trailing" | "v2_trailing_with_crc_over_it" | "count_low" => "trailing_bytes",
        "v2_trailing_after_crc" => "checksum_mismatch",
        "v2_short" | "count_high_v1" | "arr_count_over" | "vec_count_over" | "vec_count_max" => "truncated",
        "version0" => "unsupported_layout",
        "magic" => "bad_magic",
        "utf16_bom_bytes" => "invalid_utf8",
        name if name.starts_with("utf8_") => "invalid_utf8",
        "dup_canonical_nfc_first" => "duplicate_key",
        "noncanon_tag20" | "noncanon_long_short" | "noncanon_long_empty" => "non_canonical_string",
        "noncanon_int" => "non_canonical_int",
        "noncanon_arr0" | "noncanon_dict0" => "non_canonical_empty",
        "unsorted" | "reference_record" => "keys_out_of_order",
        "bool_02" | "bool_ff" => "non_canonical_bool",
        name if name.starts_with("tag_") => "unknown_tag",
        name if name.starts_with("keyid_") => "unknown_field",
        name if name.starts_with("deep_") => "too_deep",
        // Byte 13 is the key of a second field, priority, which belongs before the first, title.
        name if name.starts_with("trunc_") => {
            let length: usize = name["trunc_".len()..].parse().unwrap();
            if length < 14 { "truncated" } else { "keys_out_of_order" }
        }
        other => panic!("no expectation for {other}"),
    })
}

#[test]
fn canonical_mode_accepts_only_what_an_encoder_writes() {
    let rows = rows("decode.json");
    assert_eq!(rows.len(), 97);
    for row in rows {
        let (name, input) = (text(&row, "name"), bytes(&row, "hex"));
        let code = RecordView::canonical(&input).err().map(|error| error.kind.code());
        assert_eq!(code, canonical_code(name), "{name}");
        if row["swift"] == "rejects" {
            assert!(code.is_some(), "{name}: Swift refuses it");
        }
    }
}

#[test]
fn lenient_mode_accepts_what_swift_accepts() {
    for row in rows("decode.json") {
        let (name, input) = (text(&row, "name"), bytes(&row, "hex"));
        let too_deep = matches!(name, "deep_65" | "deep_128" | "deep_500");
        let decoded = decode_lenient(&input);
        assert_eq!(decoded.is_ok(), row["swift"] == "accepts" && !too_deep, "{name}: {decoded:?}");
        if let Ok(record) = decoded
            && !name.starts_with("bom_")
        {
            assert_eq!(record, dict(&row["fields"]), "{name}");
            assert_eq!(HEXLOWER.encode(&encode(&record, Layout::V1)), text(&row, "canonical"), "{name}");
        }
    }
}

#[test]
fn a_leading_byte_order_mark_is_kept() {
    for row in rows("decode.json").iter().filter(|row| text(row, "name").starts_with("bom_")) {
        let input = bytes(row, "hex");
        let record = decode_lenient(&input).unwrap();
        assert_eq!(encode(&record, Layout::V1), input, "{}", row["name"]);
    }
}

/// What the vectors leave out: the widest counts and the deepest nesting.
#[test]
fn the_widest_and_the_deepest_are_read_back() {
    let fields: Record = (0..65_535u32).map(|n| (format!("{n:05}"), Value::Null)).collect();
    let items = Record::from_iter([("a", Value::Array(vec![Value::Bool(true); 65_535]))]);
    let nested = (1..MAX_NESTING).fold(Value::Dict(Dict::new()), |inner, level| match level % 2 {
        0 => Value::Array(vec![inner]),
        _ => Value::Dict(Dict::from_iter([("k", inner)])),
    });
    let nested = Record::from_iter([("n", nested)]);
    for record in [fields, items, nested] {
        let written = encode(&record, Layout::V2);
        assert_eq!(RecordView::canonical(&written).unwrap().to_record(), record);
        assert_eq!(decode_lenient(&written).unwrap(), record);
    }
}

/// The worked examples of the specification are what the encoder writes.
#[test]
fn the_specifications_examples_hold() {
    let specification = include_str!("../../spec/blazebinary.md");
    let blocks: Vec<String> = specification
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_whitespace().collect())
        .collect();
    let priority = Record::from_iter([("priority", 1i64)]);
    let third = Record::from_iter([
        ("id", Value::Uuid("550e8400-e29b-41d4-a716-446655440000".parse().unwrap())),
        ("timestamp", Value::Date(Date::from_seconds(0.0))),
        ("value", Value::Int(42)),
    ]);
    let written = [(&priority, Layout::V1), (&priority, Layout::V2), (&third, Layout::V1)]
        .map(|(record, layout)| HEXLOWER.encode(&encode(record, layout)));
    assert_eq!(blocks, written);
}
