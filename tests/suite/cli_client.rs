//! `put`, `get`, `patch`, `delete`, `drop`, `scan` and `stats`, run as a user runs them, against a small server and the real one.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::net::TcpListener;

use super::command::{blazedb, run};
use super::server_kit::Process;
use super::test_server::{Treatment, World, serve};

/// A server on a port of its own, as long as the test runs.
pub(super) fn start() -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let world = World::shared();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&world), Treatment::default()));
            }
        });
    });
    receiver.recv().unwrap()
}

/// Runs a command and checks its status, its stdout, and that stderr is these lines' beginnings and parts.
#[track_caller]
fn check(url: &str, args: &[&str], input: &str, status: i32, stdout: &str, said: &[&str]) {
    let output = run(blazedb(args).env("BLAZEDB_URL", url), input.as_bytes());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), stdout, "{args:?}: {text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), said.len(), "{args:?}: {text}");
    for (line, part) in lines.iter().zip(said) {
        assert!(line.starts_with("blazedb: ") && line.contains(part), "{part:?} in {line:?}");
    }
}

const A: &str = "018f3c7a-0000-7000-8000-00000000000a";
const B: &str = "018f3c7a-0000-7000-8000-00000000000b";

fn note(id: &str, rest: &str) -> String {
    format!("{{\"id\":{{\"$uuid\":\"{id}\"}},{rest}}}\n")
}

#[test]
fn records_are_written_read_changed_and_deleted() {
    let counts = r#"{"collection":"notes","records":2}"#;
    change_records(start(), &format!("{counts}\n"), "[]\n", "");
}

#[test]
fn the_real_server_does_the_same() {
    let server = Process::start_with(&["--memory"]);
    let counts = |deletions: u8, records: u8| {
        format!(r#"{{"collection":"notes","database":"main","deletions":{deletions},"records":{records}}}"#)
    };
    let dropped = r#"{"collection":null,"database":"main","deletions":0,"records":0}"#;
    change_records(
        server.address,
        &format!("{}\n", counts(0, 2)),
        &format!("[\n  {}\n]\n", counts(2, 0)),
        &format!("{dropped}\n"),
    );
    let url = format!("blaze://{}/mian", server.address);
    check(&url, &["stats"], "", 4, "", &["(unknown_database)"]);
    check(&url.replace("mian", "main"), &["scan", "nothing"], "", 4, "", &["(unknown_collection)"]);
}

/// The server dies and comes back on the same address while records are read from a person's terminal.
#[test]
fn a_put_goes_on_over_a_killed_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = Process::start(directory.path());
    let address = server.address.to_string();
    let mut put = Command::new(env!("CARGO_BIN_EXE_blazedb"))
        .args(["put", "notes", "--url", &format!("blaze://{address}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = put.stdin.take().unwrap();
    let mut ids = BufReader::new(put.stdout.take().unwrap()).lines();
    let mut errors = BufReader::new(put.stderr.take().unwrap()).lines();
    input.write_all(note(A, r#""n":1"#).as_bytes()).unwrap();
    assert_eq!(ids.next().unwrap().unwrap(), A);
    server.kill();
    let lost = errors.next().unwrap().unwrap();
    assert!(lost.contains("the connection was lost"), "{lost}");
    input.write_all(note(B, r#""n":2"#).as_bytes()).unwrap();
    drop(input);
    let data = directory.path().to_str().unwrap();
    let server = Process::start_at(&address, &["--data-dir", data]);
    assert_eq!(ids.next().unwrap().unwrap(), B);
    assert!(put.wait().unwrap().success());
    let both = format!("{}{}", note(A, r#""n":1"#), note(B, r#""n":2"#));
    check(&format!("blaze://{}", server.address), &["scan", "notes"], "", 0, &both, &[]);
}

/// `counts` is what `stats` prints of two records, `emptied` what `stats -o json` prints when both are deleted,
/// `dropped` what `stats` prints without the collection.
fn change_records(address: SocketAddr, counts: &str, emptied: &str, dropped: &str) {
    let url = format!("blaze://{address}");
    let run = |args: &[&str], input: &str, status, stdout: &str, said: &[&str]| {
        check(&url, args, input, status, stdout, said);
    };
    let (a, b) = (note(A, r#""title":"one""#), note(B, r#""title":"two""#));
    run(&["put", "notes"], &format!("{b}\n{a}"), 0, &format!("{B}\n{A}\n"), &[]);
    run(&["scan", "notes"], "", 0, &format!("{a}{b}"), &[]);
    run(&["scan", "notes", "--reverse", "--limit", "1"], "", 0, &b, &[]);
    run(&["scan", "notes", "--from", B], "", 0, &b, &[]);
    run(&["scan", "notes", "--to", A, "-o", "json"], "", 0, &format!("[\n  {a}]\n"), &[]);
    run(&["get", "notes", B, A], "", 0, &format!("{b}{a}"), &[]);
    run(&["patch", "notes", A, "--set", r#"{"n":5}"#, "--remove", "title"], "", 0, "", &[]);
    run(&["get", "notes", A], "", 0, &note(A, r#""n":5"#), &[]);
    run(&["put", "notes", "--record", a.trim()], "", 0, &format!("{A}\n"), &[]);
    run(&["stats"], "", 0, counts, &[]);
    run(&["delete", "notes", A, A], "", 0, "", &[]);
    run(&["get", "notes", A, B], "", 1, &b, &["notes has no record 018f3c7a"]);
    run(&["delete", "notes", B], "", 0, "", &[]);
    run(&["stats", "-o", "json"], "", 0, emptied, &[]);
    run(&["put", "notes"], &format!("{b}\n{a}"), 0, &format!("{B}\n{A}\n"), &[]);
    // Nobody can type the name here.
    run(&["drop", "notes"], "notes\n", 2, "", &["removes all records of notes for good: say so with --yes"]);
    run(&["drop", "notes", "--yes"], "", 0, "dropped notes: 2 records\n", &[]);
    run(&["stats"], "", 0, dropped, &[]);
    run(&["drop", "notes", "--yes"], "", 4, "", &["collection"]);
    run(&["put", "notes", "--record", a.trim()], "", 0, &format!("{A}\n"), &[]);
    run(&["drop", "notes", "--yes"], "", 0, "dropped notes: 1 record\n", &[]);
}

#[test]
fn failures_are_one_line_of_advice_and_a_status() {
    let address = start();
    let url = format!("blaze://{address}");
    let run = |args: &[&str], input: &str, status, stdout: &str, said: &[&str]| {
        check(&url, args, input, status, stdout, said);
    };
    let a = note(A, r#""title":"one""#);
    run(&["put", "notes"], &format!("{a}oops\n"), 1, &format!("{A}\n"), &["line 2: column 1"]);
    let wrong = r#"{"id":5}"#;
    run(
        &["put", "notes"],
        &format!("{a}{wrong}\n"),
        1,
        &format!("{A}\n"),
        &["line 2: a record's id is a UUID"],
    );
    run(&["put", "notes", "--record", "{"], "", 2, "", &["--record: column"]);
    run(&["put", "1notes"], &a, 2, "", &["the first not a digit"]);
    run(&["put", "notes", "/does/not/exist"], "", 1, "", &["cannot open '/does/not/exist'"]);
    run(&["patch", "notes", A, "--set", "{}"], "", 2, "", &["sets or removes at least one field"]);
    run(&["patch", "notes", B, "--remove", "n"], "", 4, "", &["(not_found)"]);
    run(&["scan", "nothing"], "", 4, "", &["(unknown_collection)"]);
    run(&["--url", "blaze://127.0.0.1:1", "stats"], "", 3, "", &["start one with 'blazedb serve'"]);
    run(&["stats", "--url", "file:/var/db"], "", 2, "", &["--url: file: is not built yet"]);
    check(&format!("{url}/mian"), &["stats"], "", 4, "", &["There is no database 'mian' here"]);
}
