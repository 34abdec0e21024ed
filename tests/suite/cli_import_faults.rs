//! Imports that are interrupted: by the server's death, by their own, by Ctrl-C, by a record that is refused.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use blazedb::blazebinary::Value;
use blazedb::wire::CollectionName;
use blazedb::wire::message::QueryKind;

use super::cli_client;
use super::command::{blazedb, run};
use super::server_kit::{Caller, PATIENCE, Process};
use super::test_server::REFUSED;

/// Enough that an import is far from its end when the first records are seen.
const ROWS: u64 = 60_000;

fn rows() -> String {
    let mut text = "n,text,half\n".to_owned();
    for row in 0..ROWS {
        writeln!(text, "{row},the text of row number {row} and a little more of it,{row}.5").unwrap();
    }
    text
}

fn import(address: SocketAddr, directory: &Path) -> Child {
    let mut command = blazedb(&["import", "rows", "rows.csv", "--url", &format!("blaze://{address}")]);
    command.current_dir(directory).stdin(Stdio::null()).spawn().unwrap()
}

/// How many records there are.
fn count(caller: &mut Caller) -> u64 {
    let collection = Some(CollectionName::new("rows").unwrap());
    let Ok((_, rows)) = caller.ask(QueryKind::Stats { collection }) else { return 0 };
    match rows.first().and_then(|(_, record)| record.get("records").cloned()) {
        Some(Value::Int(count)) => u64::try_from(count).unwrap(),
        _ => 0,
    }
}

/// Waits until some records are there, and not all.
fn wait_for_some(address: SocketAddr) {
    let mut caller = Caller::new(address);
    let deadline = Instant::now() + PATIENCE;
    while count(&mut caller) == 0 {
        assert!(Instant::now() < deadline, "nothing is imported");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The numbers of new and unchanged records that a finished import tells.
#[track_caller]
fn counts(output: &Output) -> (u64, u64) {
    let said = text(output);
    let before = |what: &str| -> u64 {
        let (head, _) = said.split_once(what).unwrap_or_else(|| panic!("{what:?} in {said}"));
        head.rsplit(' ').next().unwrap().parse().unwrap()
    };
    (before(" new or changed"), before(" unchanged"))
}

/// Every row is there, once, as it stands in the file.
fn check_rows(address: SocketAddr) {
    let records = Caller::new(address).scan("rows");
    assert_eq!(records.len() as u64, ROWS);
    for (row, (_, record)) in (0i64..).zip(records) {
        assert_eq!(record.get("n"), Some(&Value::Int(row)), "ids are in the order of rows");
        assert_eq!(record.get("half"), Some(&Value::Double(row as f64 + 0.5)));
    }
}

#[test]
fn an_import_goes_on_over_a_killed_server() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("rows.csv"), rows()).unwrap();
    let data = directory.path().join("data");
    let server = Process::start(&data);
    let address = server.address;
    let import = import(address, directory.path());
    wait_for_some(address);
    server.kill();
    let server = Process::start_at(&address.to_string(), &["--data-dir", data.to_str().unwrap()]);
    let output = import.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("Trying again"), "the server was killed too late: {}", text(&output));
    assert_eq!(counts(&output), (ROWS, 0), "each batch was done once");
    check_rows(server.address);
}

#[test]
fn an_import_that_was_killed_or_interrupted_goes_on_when_it_is_run_again() {
    for signal in ["KILL", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("rows.csv"), rows()).unwrap();
        let server = Process::start_with(&["--memory"]);
        let first = import(server.address, directory.path());
        wait_for_some(server.address);
        let id = first.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let output = first.wait_with_output().unwrap();
        assert!(!output.status.success(), "{signal} came too late: {}", text(&output));
        let imported = if signal == "INT" {
            assert_eq!(output.status.code(), Some(130), "{}", text(&output));
            assert!(text(&output).contains("stopping; what is under way"), "{}", text(&output));
            assert!(text(&output).contains("run the same command again to go on"), "{}", text(&output));
            let (new, unchanged) = counts(&output);
            assert_eq!((count(&mut Caller::new(server.address)), unchanged), (new, 0));
            Some(new)
        } else {
            None
        };
        let again = import(server.address, directory.path()).wait_with_output().unwrap();
        assert!(again.status.success(), "{}", text(&again));
        let (new, unchanged) = counts(&again);
        assert_eq!(new + unchanged, ROWS);
        assert!(unchanged > 0 && new > 0, "{signal}: {new} new, {unchanged} unchanged");
        assert!(imported.is_none_or(|imported| imported == unchanged), "{imported:?} {unchanged}");
        check_rows(server.address);
    }
}

/// The server names the record that it refuses; the others of its transaction are imported all the same.
#[test]
fn a_refused_record_does_not_take_others_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("blaze://{}", cli_client::start());
    let mut text = String::new();
    for row in 0..2_500 {
        let field = if row % 1_000 == 7 { REFUSED } else { "n" };
        writeln!(text, "{{\"{field}\":{row}}}").unwrap();
    }
    let mut command = blazedb(&["import", "rows", "-", "--url", &url]);
    let output = run(command.current_dir(directory.path()), text.as_bytes());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{told}");
    for (line, told) in
        ["line 8: ", "line 1008: ", "line 2008: ", "3 record(s) were rejected"].iter().zip(told.lines())
    {
        assert!(told.contains(line), "{told}");
    }
    let kept = std::fs::read_to_string(directory.path().join("stdin.rejects.ndjson")).unwrap();
    assert_eq!(kept, "{\"refused\":7}\n{\"refused\":1007}\n{\"refused\":2007}\n");
    let scan = blazedb(&["scan", "rows", "--url", &url]).output().unwrap();
    assert_eq!(scan.stdout.iter().filter(|byte| **byte == b'\n').count(), 2_497);
}
