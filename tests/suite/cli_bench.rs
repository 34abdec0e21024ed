//! `bench` as a user runs it: what it writes, what it counts, what it says. Figures are not asserted, but for those that
//! a stalled server makes certain.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::command::{blazedb, run};
use super::server_kit::{Caller, PATIENCE, Process};

/// Runs a load against the server.
fn bench(server: &Process, line: &str) -> Output {
    let url = format!("blaze://{}", server.address);
    let args: Vec<&str> = ["bench"].into_iter().chain(line.split_whitespace()).collect();
    run(blazedb(&args).env("BLAZEDB_URL", url), b"")
}

/// The object that a load prints.
#[track_caller]
fn report(server: &Process, line: &str) -> Value {
    let output = bench(server, &format!("{line} -o json"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    assert!(said.is_empty(), "no terminal, no progress: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(server: &Process, collection: &str) -> usize {
    Caller::new(server.address).scan(collection).len()
}

#[test]
fn a_count_of_records_is_written_and_no_more() {
    let server = Process::start_with(&["--memory"]);
    for (line, records, operations) in [
        ("insert --records 500 --batch 7 --clients 3", 500, 72),
        ("insert --records 100 --window 8", 600, 100),
        ("insert --records 3 --clients 8 --durability accepted", 603, 3),
    ] {
        let report = report(&server, line);
        assert_eq!(report["writes"]["operations"], operations, "{line}");
        assert_eq!(report["records_left"], records, "{line}");
        assert_eq!((&report["writes"]["errors"], &report["reads"]), (&json!({}), &Value::Null), "{line}");
        assert_eq!(count(&server, "bench"), records, "{line}");
    }
    let ids: Vec<_> = Caller::new(server.address).scan("bench");
    for (_, record) in ids {
        let blazedb::blazebinary::Value::Uuid(id) = record.get("id").unwrap() else { panic!("no id") };
        assert_eq!(id.get_version_num(), 7);
    }
}

#[test]
fn records_are_written_to_be_read_and_only_once() {
    let server = Process::start_with(&["--memory"]);
    let line = "get --records 300 --duration 200ms --warm-up 50ms --clients 4 --window 4";
    let versions = || -> Vec<u64> {
        Caller::new(server.address).scan("bench").into_iter().map(|(version, _)| version).collect()
    };
    let mut before = None;
    for _ in 0..2 {
        let report = report(&server, line);
        assert!(report["reads"]["operations"].as_u64().unwrap() > 0);
        assert_eq!((&report["reads"]["errors"], &report["writes"]), (&json!({}), &Value::Null));
        assert_eq!(count(&server, "bench"), 300);
        // A record that was written again would have a later version.
        assert_eq!(*before.get_or_insert_with(versions), versions());
    }
    let existing = report(&server, "get --existing --batch 10 --duration 100ms");
    let reads = &existing["reads"];
    assert_eq!(reads["records"].as_u64(), reads["operations"].as_u64().map(|count| count * 10));
}

#[test]
fn mixed_reads_and_replaces_what_it_knows() {
    let server = Process::start_with(&["--memory"]);
    let line = "mixed --records 50 --reads 80 --rate 2000 --duration 500ms --size 1000 --seed 9";
    let report = report(&server, line);
    let operations = |side: &str| report[side]["operations"].as_u64().unwrap();
    // What is due in half a second: a thousand operations, none of them lost.
    assert_eq!(operations("reads") + operations("writes") + report["unsent"].as_u64().unwrap(), 1000);
    assert!(operations("writes") > 0 && operations("reads") > operations("writes"));
    assert_eq!((&report["record_bytes"], &report["records_left"]), (&json!(1000), &json!(50)));
}

/// The open loop shows what those wait who come while the server stands still; the closed loop would not.
#[test]
fn an_open_loop_counts_from_when_an_operation_was_due() {
    let server = Process::start_with(&["--memory"]);
    let url = format!("blaze://{}", server.address);
    let line = "bench insert --rate 500 --warm-up 0s --duration 2s --clients 2 -o json";
    let args: Vec<&str> = line.split_whitespace().collect();
    let child = blazedb(&args).env("BLAZEDB_URL", url).spawn().unwrap();
    let mut caller = Caller::new(server.address);
    let deadline = Instant::now() + PATIENCE;
    let written = |caller: &mut Caller| {
        let id = uuid::Uuid::nil();
        caller.get("bench", &[id]).is_ok()
    };
    while !written(&mut caller) {
        assert!(Instant::now() < deadline, "the load does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    server.signal("STOP");
    std::thread::sleep(Duration::from_millis(600));
    server.signal("CONT");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    // 300 of the 1,000 operations were due while it stood still: the hundred that waited longest did so for at least
    // 400 ms, less the time that the signal took.
    let p90 = report["writes"]["latency_ns"]["p90"].as_u64().unwrap();
    assert!(p90 > 200_000_000, "{p90}");
}

#[test]
fn failures_of_a_load_are_one_line_of_advice_and_a_status() {
    let server = Process::start_with(&["--memory"]);
    for (line, status, said) in [
        ("get --existing --collection nothing", 4, "(unknown_collection)"),
        ("insert --existing", 2, "--existing goes with get"),
        ("insert --url blaze://127.0.0.1:1", 3, "start one with 'blazedb serve'"),
        ("insert --duration 1h", 2, "write 500ms, 10s or 2m"),
    ] {
        let output = bench(&server, line);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{line}: {text}");
        assert!(text.contains(said) && output.stdout.is_empty(), "{line}: {text}");
    }
    // The table names what it did and how to be rid of it.
    let output = bench(&server, "insert --records 10 --collection mine");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Left behind: 10 records in mine; remove them with '"), "{text}");
    assert!(text.contains("drop mine --yes --url blaze://"), "{text}");
}

/// A server that goes away in the middle ends the load with the status of a lost connection.
#[test]
fn a_lost_server_ends_the_load() {
    let server = Process::start_with(&["--memory"]);
    let url = format!("blaze://{}", server.address);
    let args = ["bench", "insert", "--duration", "60s"];
    let child = blazedb(&args).env("BLAZEDB_URL", url).spawn().unwrap();
    let mut caller = Caller::new(server.address);
    let deadline = Instant::now() + PATIENCE;
    while caller.get("bench", &[uuid::Uuid::nil()]).is_err() {
        assert!(Instant::now() < deadline, "the load does not begin");
        std::thread::sleep(Duration::from_millis(10));
    }
    server.kill();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}
