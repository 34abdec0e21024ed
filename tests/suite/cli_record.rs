//! `record encode` and `record decode`, run as a user runs them.

use std::io::Write;

use super::command::{blazedb, run};

const PRIORITY_V1: &str = "424c415a45010001091201";
/// The same record with its checksum; both as Swift's encoder wrote them (`conformance/vectors/swift`).
const PRIORITY_V2: &str = "424c415a450200010912018f4fe9dc";

/// The run ends with `status`, writes `stdout`, and says something on stderr that contains each of `said`.
#[track_caller]
fn check(args: &[&str], input: impl AsRef<[u8]>, status: i32, stdout: &str, said: &[&str]) {
    let output = run(&mut blazedb(args), input.as_ref());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), stdout);
    for part in said {
        assert!(stderr.contains(part), "{part:?} in {stderr:?}");
    }
    assert_eq!(said.is_empty(), stderr.is_empty(), "{stderr}");
}

#[test]
fn records_become_hexadecimal() {
    let priority = r#"{"priority":1}"#;
    check(&["record", "encode"], priority, 0, &format!("{PRIORITY_V1}\n"), &[]);
    check(&["record", "encode", "--layout", "2", "-"], priority, 0, &format!("{PRIORITY_V2}\n"), &[]);
    check(&["record", "encode"], "", 0, "", &[]);
}

#[test]
fn hexadecimal_becomes_records() {
    let both = format!("{PRIORITY_V1}\r\n\r\n  {} \n", PRIORITY_V2.to_uppercase());
    check(&["record", "decode"], both, 0, "{\"priority\":1}\n{\"priority\":1}\n", &[]);
}

#[test]
fn a_file_goes_there_and_back_unchanged() {
    let text = concat!(
        r#"{"$$x":[1,5.0,-0.0,{"$int":"9223372036854775807"}],"id":{"$uuid":"550e8400-e29b-41d4-a716-446655440000"}}"#,
        "\n",
        r#"{"at":{"$date":"2013-01-01T10:00:00Z"},"nan":{"$double":"0x7ff8000000000001"}}"#,
        "\n{}\n",
        r#"{"data":{"$data":"AAEC/w=="},"name":"é 🔥","v":{"$vector":[1.0,{"$double":"NaN"}]}}"#,
        "\n",
    );
    let path = std::env::temp_dir().join(format!("blazedb-cli-record-{}.ndjson", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let encoded = run(&mut blazedb(&["record", "encode", "--layout", "2", path.to_str().unwrap()]), b"");
    std::fs::remove_file(&path).unwrap();
    assert!(encoded.status.success());
    check(&["record", "decode"], encoded.stdout, 0, text, &[]);
}

#[test]
fn lenient_decoding_reads_what_swift_reads() {
    let trailing = format!("{PRIORITY_V1}0001");
    let refused = ["blazedb: line 1:", "bytes follow the last field", "byte 11", "--lenient"];
    check(&["record", "decode"], &trailing, 1, "", &refused);
    check(&["record", "decode", "--lenient"], &trailing, 0, "{\"priority\":1}\n", &[]);
}

#[test]
fn the_first_bad_line_ends_the_run_and_is_named() {
    let good = "{\"priority\":1}\n\n";
    for (bad, said) in [
        ("{\"a\":1,}", ["line 3: column 8:", "expected a key"]),
        ("[]", ["line 3: column 1:", "a record is an object of fields"]),
        ("{\n\"a\": 1\n}", ["line 3: column 2:", "each record takes one line"]),
        ("{\"a\":9223372036854775808}", ["line 3: column 6:", "write it with a point"]),
    ] {
        let input = format!("{good}{bad}\n{good}");
        check(&["record", "encode"], input, 1, &format!("{PRIORITY_V1}\n"), &said);
    }
    for (bad, said) in [
        ("424c4g", ["line 2: character 6", "not a hexadecimal digit"]),
        ("424", ["line 2:", "odd number"]),
        ("424c415a450200010912018f4fe9dd", ["line 2:", "CRC-32"]),
        ("424c415a45010001", ["line 2:", "input ends"]),
    ] {
        let input = format!("{PRIORITY_V1}\n{bad}\n{PRIORITY_V1}\n");
        check(&["record", "decode"], input, 1, "{\"priority\":1}\n", &said);
    }
}

#[test]
fn a_record_over_the_limit_is_refused_with_its_line() {
    let input = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20));
    check(&["record", "encode"], input, 1, "", &["line 1:", "at most 1048576 bytes", "split it"]);
}

#[test]
fn input_that_is_not_text_is_refused() {
    check(&["record", "encode"], b"{\"a\":\"\xFF\"}\n", 1, "", &["line 1: byte 7 is not UTF-8"]);
    check(&["record", "encode"], "\u{FEFF}{}", 1, "", &["line 1:", "byte order mark"]);
}

#[test]
fn a_missing_file_is_one_line_of_advice() {
    check(
        &["record", "decode", "/no/such/file"],
        "",
        1,
        "",
        &["cannot open '/no/such/file'", "No such file"],
    );
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let mut child = blazedb(&["record", "encode"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // More than any buffer holds, until the pipe says that nobody reads.
    let line = "{\"priority\":1}\n".repeat(1000);
    while stdin.write_all(line.as_bytes()).is_ok() {}
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[test]
fn a_wrong_command_line_is_status_2_with_help_nearby() {
    check(&["record", "encode", "--layout", "3"], "", 2, "", &["[possible values: 1, 2]", "--help"]);
    check(&["record", "recode"], "", 2, "", &["unrecognized subcommand", "--help"]);
    check(&["recrod"], "", 2, "", &["similar", "record"]);
    check(&[], "", 2, "", &["Usage: blazedb", "Examples:"]);
}

#[test]
fn help_and_version_are_printed() {
    for args in
        [&["--help"][..], &["record", "--help"], &["record", "encode", "--help"], &["record", "decode", "-h"]]
    {
        let output = run(&mut blazedb(args), b"");
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains("Examples:"), "{args:?}");
    }
    check(&["--version"], "", 0, concat!("blazedb ", env!("CARGO_PKG_VERSION"), "\n"), &[]);
}
