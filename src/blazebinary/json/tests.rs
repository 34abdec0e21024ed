//! What typed JSON accepts, what it writes, and what it refuses at which place.

use super::*;
use crate::blazebinary::limits::{MAX_ENTRIES, MAX_KEY_BYTES, MAX_NESTING};
use crate::blazebinary::{
    Date, DateError, Dict, Layout, Reader, Record, RecordView, Value, Vector, encode_record, encode_value,
    read_canonical_value,
};
use uuid::Uuid;

fn written(value: &Value) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

/// `text` reads as `value`, and `value`, in memory or in bytes, writes as `canonical`.
fn check_reads(text: &str, value: impl Into<Value>, canonical: &str) {
    let value = value.into();
    assert_eq!(read_value(text).as_ref(), Ok(&value), "{text}");
    assert_eq!(written(&value), canonical, "{text}");
    let (mut bytes, mut from_view) = (Vec::new(), String::new());
    encode_value(&value, &mut bytes).unwrap();
    write_value(read_canonical_value(&mut Reader::new(&bytes)).unwrap(), &mut from_view);
    assert_eq!(from_view, canonical, "{text}");
}

/// `text` is what `value` writes, and reads back to it.
fn check_both_ways(text: &str, value: impl Into<Value>) {
    check_reads(text, value, text);
}

fn dict<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Dict::from_iter(entries).into()
}

#[test]
fn plain_values_are_plain_json() {
    check_both_ways("null", Value::Null);
    check_both_ways("true", true);
    check_both_ways("false", false);
    check_both_ways("[]", vec![]);
    check_both_ways("{}", Dict::new());
    check_both_ways("[1,[null]]", vec![1i64.into(), vec![Value::Null].into()]);
    check_both_ways(r#"{"a":{"b":[]}}"#, dict([("a", dict([("b", vec![].into())]))]));
    check_reads(" [ 1 ,\t2\r\n] ", vec![1i64.into(), 2i64.into()], "[1,2]");
    check_reads(r#"{"b":1,"a":2}"#, dict([("a", 2i64.into()), ("b", 1i64.into())]), r#"{"a":2,"b":1}"#);
}

#[test]
fn integers_have_neither_point_nor_exponent() {
    check_both_ways("0", 0i64);
    check_reads("-0", 0i64, "0");
    check_both_ways("-7", -7i64);
    check_both_ways("9007199254740991", 9_007_199_254_740_991i64);
    check_both_ways("-9007199254740991", -9_007_199_254_740_991i64);
    check_both_ways(r#"{"$int":"9007199254740992"}"#, 9_007_199_254_740_992i64);
    check_both_ways(r#"{"$int":"-9223372036854775808"}"#, i64::MIN);
    check_reads("9223372036854775807", i64::MAX, r#"{"$int":"9223372036854775807"}"#);
    check_reads(r#"{"$int":5}"#, 5i64, "5");
    check_reads(r#"{"$int":"5"}"#, 5i64, "5");
}

#[test]
fn doubles_have_a_point_or_an_exponent() {
    check_both_ways("5.0", 5.0);
    check_both_ways("-0.0", -0.0);
    check_both_ways("0.1", 0.1);
    check_both_ways("5e-324", f64::from_bits(1));
    check_both_ways("1.7976931348623157e308", f64::MAX);
    check_reads("5e0", 5.0, "5.0");
    check_reads("1E+2", 100.0, "100.0");
    check_reads("1e-400", 0.0, "0.0");
    // Half-way between 2^53 and 2^53 + 2, which goes to the even one, and a digit above it.
    check_reads("9007199254740993.0", 9_007_199_254_740_992.0, "9007199254740992.0");
    check_reads(
        "9007199254740993.00000000000000000000000000001",
        9_007_199_254_740_994.0,
        "9007199254740994.0",
    );
    check_reads(r#"{"$double":5}"#, 5.0, "5.0");
    check_both_ways(r#"{"$double":"NaN"}"#, f64::from_bits(0x7FF8_0000_0000_0000));
    check_both_ways(r#"{"$double":"Infinity"}"#, f64::INFINITY);
    check_both_ways(r#"{"$double":"-Infinity"}"#, f64::NEG_INFINITY);
    check_both_ways(r#"{"$double":"0x7ff8000000000001"}"#, f64::from_bits(0x7FF8_0000_0000_0001));
    check_both_ways(r#"{"$double":"0xfff8000000000000"}"#, f64::from_bits(0xFFF8_0000_0000_0000));
    check_reads(r#"{"$double":"0x3FF0000000000000"}"#, 1.0, "1.0");
}

/// J-2.6: the numbers on both sides of its bounds.
#[test]
fn exponents_are_for_the_very_large_and_the_very_small() {
    check_both_ways("1e16", 1e16);
    check_both_ways("9999999999999998.0", 9_999_999_999_999_998.0);
    check_both_ways("1.2345e17", 123_450_000_000_000_000.0);
    check_both_ways("-1e16", -1e16);
    check_both_ways("0.0001", 0.0001);
    check_both_ways("9.9e-5", 0.000_099);
    check_both_ways("-1e-5", -0.00001);
    // 2^54 and 2^-13.
    let powers = Value::Vector(Vector::from_upper_halves(vec![0x4350_0000, 0x3F20_0000]));
    check_both_ways(r#"{"$vector":[1.8014398509481984e16,0.0001220703125]}"#, powers);
    check_reads("1E+016", 1e16, "1e16");
    check_reads("10000000000000000.0", 1e16, "1e16");
    check_reads("0.00001", 1e-5, "1e-5");
}

#[test]
fn dates_uuids_and_data_are_tagged() {
    let ten = Date::parse("2013-01-01T10:00:00Z").unwrap();
    check_both_ways(r#"{"$date":"2013-01-01T10:00:00Z"}"#, ten);
    check_reads(r#"{"$date":"2013-01-01T12:00:00+02:00"}"#, ten, r#"{"$date":"2013-01-01T10:00:00Z"}"#);
    check_both_ways(r#"{"$date":"0x7ff0000000000000"}"#, Date::from_seconds(f64::INFINITY));
    check_both_ways(r#"{"$date":"0x8000000000000000"}"#, Date::from_seconds(-0.0));
    let id = Uuid::from_u128(0x550E_8400_E29B_41D4_A716_4466_5544_0000);
    let text = r#"{"$uuid":"550e8400-e29b-41d4-a716-446655440000"}"#;
    check_both_ways(text, id);
    check_reads(r#"{ "$uuid" : "550E8400-E29B-41D4-A716-446655440000" }"#, id, text);
    check_both_ways(r#"{"$data":""}"#, Value::Data(vec![]));
    check_both_ways(r#"{"$data":"AAEC/w=="}"#, Value::Data(vec![0, 1, 2, 255]));
}

#[test]
fn vectors_keep_the_upper_half_of_each_item() {
    let halves = |halves: &[u32]| Value::Vector(Vector::from_upper_halves(halves.to_vec()));
    check_both_ways(r#"{"$vector":[]}"#, halves(&[]));
    check_both_ways(r#"{"$vector":[1.0,-0.0]}"#, halves(&[0x3FF0_0000, 0x8000_0000]));
    // 0.1 is 3FB99999 9999999A; 3FB99999 00000000 is what Python prints so.
    check_reads(
        r#"{"$vector":[0.1,1]}"#,
        halves(&[0x3FB9_9999, 0x3FF0_0000]),
        r#"{"$vector":[0.09999996423721313,1.0]}"#,
    );
    check_both_ways(
        r#"{"$vector":[{"$double":"Infinity"},{"$double":"NaN"},{"$double":"0x7ff8000100000000"}]}"#,
        halves(&[0x7FF0_0000, 0x7FF8_0000, 0x7FF8_0001]),
    );
    check_reads(r#"{"$vector":[ {"$double" : 2} ]}"#, halves(&[0x4000_0000]), r#"{"$vector":[2.0]}"#);
}

#[test]
fn strings_are_escaped_where_json_demands_it() {
    check_both_ways(r#""""#, "");
    check_both_ways(r#""a\"b\\c/d\b\f\n\r\t""#, "a\"b\\c/d\u{8}\u{C}\n\r\t");
    check_both_ways(r#""\u0000\u001f""#, "\0\u{1F}");
    check_both_ways("\"\u{7F}\u{E9}\u{2028}\u{1F525}\"", "\u{7F}\u{E9}\u{2028}\u{1F525}");
    check_reads(r#""\u00e9\/\uD83D\uDD25\u0041""#, "\u{E9}/\u{1F525}A", "\"\u{E9}/\u{1F525}A\"");
    check_reads(r#""\udbff\udfff""#, "\u{10FFFF}", "\"\u{10FFFF}\"");
}

#[test]
fn keys_with_a_dollar_gain_another() {
    check_both_ways(r#"{"$$int":"5"}"#, dict([("$int", "5".into())]));
    check_both_ways(r#"{"$$":1,"$$$a":2}"#, dict([("$", 1i64.into()), ("$$a", 2i64.into())]));
    check_both_ways(r#"{"a$":{"$$x":null}}"#, dict([("a$", dict([("$x", Value::Null)]))]));
    check_reads(r#"{"\u0024int":"5"}"#, 5i64, "5");
    check_reads(r#"{"\u0024$int":"5"}"#, dict([("$int", "5".into())]), r#"{"$$int":"5"}"#);
}

/// `text` is refused, with `kind`, at `column` of its first line.
fn check_refused(text: &str, column: usize, kind: JsonErrorKind) {
    let error = read_value(text).unwrap_err();
    assert_eq!((error.kind, error.line, error.column), (kind, 1, column), "{text}");
}

#[test]
fn what_the_grammar_does_not_have_is_refused() {
    use JsonErrorKind as Kind;
    for (text, column, kind) in [
        ("", 1, Kind::UnexpectedEnd("a value")),
        ("  ", 3, Kind::UnexpectedEnd("a value")),
        ("nul", 1, Kind::Expected("a value")),
        ("NaN", 1, Kind::Expected("a value")),
        ("'a'", 1, Kind::Expected("a value")),
        ("+1", 1, Kind::Expected("a value")),
        (".5", 1, Kind::Expected("a value")),
        ("truely", 5, Kind::TrailingText),
        ("1 2", 3, Kind::TrailingText),
        ("\u{FEFF}1", 1, Kind::ByteOrderMark),
        ("1\u{A0}", 2, Kind::TrailingText),
        ("01", 1, Kind::LeadingZero),
        ("[-012]", 2, Kind::LeadingZero),
        ("1.", 3, Kind::UnexpectedEnd("a digit after the point")),
        ("1.e5", 3, Kind::Expected("a digit after the point")),
        ("-", 2, Kind::UnexpectedEnd("a digit")),
        ("1e+", 4, Kind::UnexpectedEnd("a digit of the exponent")),
        ("0x10", 2, Kind::TrailingText),
        ("[1,]", 4, Kind::Expected("a value")),
        ("[1 2]", 4, Kind::Expected("a comma or ]")),
        ("[1", 3, Kind::UnexpectedEnd("a comma or ]")),
        ("{,}", 2, Kind::Expected("a key in double quotes")),
        ("{\"a\":1,}", 8, Kind::Expected("a key in double quotes")),
        ("{\"a\" 1}", 6, Kind::Expected("a colon")),
        ("{\"a\":1]", 7, Kind::Expected("a comma or }")),
        ("{a:1}", 2, Kind::Expected("a key in double quotes")),
        ("[1] // more", 5, Kind::TrailingText),
        ("\"a", 3, Kind::UnexpectedEnd("the closing quote of a string")),
        ("\"\u{E9}\t\"", 3, Kind::ControlCharacter),
        ("\"a\\x\"", 3, Kind::BadEscape),
        ("\"\\u12g4\"", 2, Kind::BadEscape),
        ("\"\\u+123\"", 2, Kind::BadEscape),
        ("\"\\", 2, Kind::UnexpectedEnd("the rest of an escape")),
        ("\"\\ud83d\"", 2, Kind::LoneSurrogate),
        ("\"a\\ud83d\\u0041\"", 3, Kind::LoneSurrogate),
        ("\"\\udd25\"", 2, Kind::LoneSurrogate),
    ] {
        check_refused(text, column, kind);
    }
}

#[test]
fn what_would_lose_something_is_refused() {
    use JsonErrorKind as Kind;
    for (text, column, kind) in [
        ("9223372036854775808", 1, Kind::IntOutOfRange),
        ("[-9223372036854775809]", 2, Kind::IntOutOfRange),
        ("1e400", 1, Kind::DoubleOutOfRange),
        ("-1.0e309", 1, Kind::DoubleOutOfRange),
        (r#"{"a":1,"a":2}"#, 8, Kind::DuplicateKey),
        (r#"{"b":1,"a":2,"b":3,"a":4}"#, 14, Kind::DuplicateKey),
        ("{\"\u{E9}\":1,\"e\u{301}\":2}", 8, Kind::DuplicateKey),
        (r#"{"$$a":1,"$$a":2}"#, 10, Kind::DuplicateKey),
        (r#"{"$vector":[{"$double":"0x7ff0000000000001"}]}"#, 13, Kind::InexactVectorItem),
    ] {
        check_refused(text, column, kind);
    }
}

#[test]
fn what_the_scalars_do_not_hold_is_refused() {
    use JsonErrorKind as Kind;
    let malformed = Kind::BadDate(DateError::Malformed);
    for (text, column, kind) in [
        (r#"{"$foo":1}"#, 2, Kind::ReservedKey),
        (r#"{"$":1}"#, 2, Kind::ReservedKey),
        (r#"{"$int":"1","a":1}"#, 2, Kind::ReservedKey),
        (r#"{"a":1,"$int":"1"}"#, 8, Kind::ReservedKey),
        (r#"{"$Int":"1"}"#, 2, Kind::ReservedKey),
        (r#"{"$int":"1""#, 12, Kind::UnexpectedEnd("}")),
        (r#"{"$int":"1"]"#, 12, Kind::Expected("}")),
        (r#"{"$int":"+1"}"#, 9, Kind::BadInt),
        (r#"{"$int":"01"}"#, 9, Kind::BadInt),
        (r#"{"$int":" 1"}"#, 9, Kind::BadInt),
        (r#"{"$int":"1.0"}"#, 9, Kind::BadInt),
        (r#"{"$int":1.0}"#, 9, Kind::BadInt),
        (r#"{"$int":""}"#, 9, Kind::BadInt),
        (r#"{"$int":null}"#, 9, Kind::BadInt),
        (r#"{"$int":"9223372036854775808"}"#, 9, Kind::BadInt),
        (r#"{"$int":"1""#, 12, Kind::UnexpectedEnd("}")),
        (r#"{"$int":"#, 9, Kind::UnexpectedEnd("a value")),
        (r#"{"$double":"1.5"}"#, 12, Kind::BadDouble),
        (r#"{"$double":"nan"}"#, 12, Kind::BadDouble),
        (r#"{"$double":"0x7ff"}"#, 12, Kind::BadDouble),
        (r#"{"$double":"0x+ff8000000000000"}"#, 12, Kind::BadDouble),
        (r#"{"$double":1e999}"#, 12, Kind::DoubleOutOfRange),
        (r#"{"$date":5}"#, 10, malformed),
        (r#"{"$date":"yesterday"}"#, 10, malformed),
        (r#"{"$date":"2013-01-01T10:00:00.0123456789Z"}"#, 10, Kind::BadDate(DateError::TooPrecise)),
        (r#"{"$uuid":"550e8400e29b41d4a716446655440000"}"#, 10, Kind::BadUuid),
        (r#"{"$uuid":"550e8400-e29b-41d4-a716-44665544000g"}"#, 10, Kind::BadUuid),
        (r#"{"$data":"AAEC/w"}"#, 10, Kind::BadData),
        (r#"{"$data":"AAEC_w=="}"#, 10, Kind::BadData),
        (r#"{"$data":"AAEC/x=="}"#, 10, Kind::BadData), // bits behind the last byte
        (r#"{"$data":"AAEC /w=="}"#, 10, Kind::BadData),
        (r#"{"$vector":1}"#, 12, Kind::BadVector),
        (r#"{"$vector":["a"]}"#, 13, Kind::BadVector),
        (r#"{"$vector":[1,{"$int":"1"}]}"#, 15, Kind::BadVector),
        (r#"{"$vector":[1,]}"#, 15, Kind::BadVector),
        (r#"{"$vector":[[1]]}"#, 13, Kind::BadVector),
        (r#"{"$vector":"#, 12, Kind::UnexpectedEnd("a value")),
    ] {
        check_refused(text, column, kind);
    }
}

#[test]
fn the_place_counts_lines_and_characters() {
    let text = "{\n  \"caf\u{E9}\": [1,\n  \"\u{1F525}\", 01]}";
    let error = read_value(text).unwrap_err();
    // The second line's é takes two bytes, the third line's fire four; the zero is the eighth character there.
    assert_eq!((error.line, error.column), (3, 8));
    assert_eq!(error.offset, text.find("01").unwrap());
    assert_eq!(
        error.to_string(),
        "a number does not begin with 0 unless a point or exponent follows it (at line 3, column 8)"
    );
}

#[test]
fn a_record_is_an_object_of_fields() {
    let record = Record::from_iter([("title", "Hello"), ("$x", "y")]);
    let text = r#"{"$$x":"y","title":"Hello"}"#;
    assert_eq!(read_record(&format!(" {text}\n")).as_ref(), Ok(&record));
    let (mut bytes, mut from_memory, mut from_bytes) = (Vec::new(), String::new(), String::new());
    encode_record(&record, Layout::V2, &mut bytes).unwrap();
    write_record(&record, &mut from_memory);
    write_record(RecordView::canonical(&bytes).unwrap(), &mut from_bytes);
    assert_eq!((from_memory.as_str(), from_bytes.as_str()), (text, text));
    for (text, column) in [("[]", 1), (" 5", 2), (r#"{"$int":"5"}"#, 1), (r#"  {"$vector":[]}"#, 3)] {
        let error = read_record(text).unwrap_err();
        assert_eq!((error.kind, error.column), (JsonErrorKind::NotARecord, column), "{text}");
    }
    assert_eq!(read_record("").unwrap_err().kind, JsonErrorKind::UnexpectedEnd("a value"));
}

#[test]
fn limits_are_those_of_the_format() {
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read_value(&arrays(MAX_NESTING)).is_ok());
    check_refused(&arrays(MAX_NESTING + 1), MAX_NESTING + 1, JsonErrorKind::TooDeep);
    check_refused(&"[".repeat(1_000_000), MAX_NESTING + 1, JsonErrorKind::TooDeep);
    check_refused(&"{\"a\":".repeat(1_000_000), 5 * MAX_NESTING + 1, JsonErrorKind::TooDeep);
    let in_record = |depth| format!("{{\"a\":{}}}", arrays(depth));
    assert!(read_record(&in_record(MAX_NESTING)).is_ok(), "the record itself is not counted");
    assert_eq!(read_record(&in_record(MAX_NESTING + 1)).unwrap_err().kind, JsonErrorKind::TooDeep);
    let within = |inner: &str| format!("{}{inner}{}", "[".repeat(MAX_NESTING), "]".repeat(MAX_NESTING));
    assert!(read_value(&within(r#"{"$vector":[{"$double":1}]}"#)).is_ok(), "scalars are no containers");

    let key = |length: usize| format!("{{\"$${}\":1}}", "k".repeat(length - 1));
    assert!(read_value(&key(MAX_KEY_BYTES)).is_ok());
    check_refused(&key(MAX_KEY_BYTES + 1), 2, JsonErrorKind::KeyTooLong);

    let items = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    assert!(read_value(&items(MAX_ENTRIES)).is_ok());
    check_refused(&items(MAX_ENTRIES + 1), 2 * MAX_ENTRIES + 2, JsonErrorKind::TooManyEntries);
    // In falling order, which must not cost a move of all entries for each.
    let entries = |count: usize| {
        let entries: Vec<String> = (0..count).rev().map(|at| format!("\"{at:05}\":0")).collect();
        format!("{{{}}}", entries.join(","))
    };
    assert!(read_value(&entries(MAX_ENTRIES)).is_ok());
    check_refused(&entries(MAX_ENTRIES + 1), 10 * MAX_ENTRIES + 2, JsonErrorKind::TooManyEntries);
}

/// The rows of the specification's table of examples: bytes in hexadecimal and the text.
fn specified_examples() -> Vec<(Vec<u8>, &'static str)> {
    let specification = include_str!("../../../spec/json.md");
    let (_, examples) = specification.split_once("## 5. Examples").unwrap();
    let rows = examples
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` |")?.split_once("` | `"));
    rows.map(|(hex, text)| (data_encoding::HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap(), text))
        .collect()
}

#[test]
fn the_examples_of_the_specification_hold_in_both_directions() {
    let examples = specified_examples();
    assert_eq!(examples.len(), 12);
    for (bytes, text) in examples {
        let (mut written, mut encoded) = (String::new(), Vec::new());
        if bytes.starts_with(b"BLAZE") {
            write_record(RecordView::canonical(&bytes).unwrap(), &mut written);
            encode_record(&read_record(text).unwrap(), Layout::V1, &mut encoded).unwrap();
        } else {
            write_value(read_canonical_value(&mut Reader::new(&bytes)).unwrap(), &mut written);
            encode_value(&read_value(text).unwrap(), &mut encoded).unwrap();
        }
        assert_eq!((written.as_str(), encoded), (text, bytes));
    }
}
