//! The tester of conformance against our own: every case is bound to clauses that exist, the server passes all of them,
//! killed or not, and so does the client.

#![allow(clippy::disallowed_methods, reason = "the outside of real programs is what is tested")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use blazedb::blazebinary::Value;
use blazedb::client::{Client, Options};
use blazedb::conformance::{
    self, ClientStage, Exclusions, Finding, Report, Restart, Selection, check_client, check_server,
};
use blazedb::transport::{Dialer, Url};
use tokio::runtime::Builder;

use super::command;
use super::doors::{House, Way};
use super::server_kit::Process;

pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Runs on a thread of its own: the server and the client under test are other processes.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What connects to a server of the tests.
pub(crate) fn to(url: Url) -> Dialer {
    Dialer::new(url, None)
}

pub(crate) fn only(ids: &[&str]) -> Selection {
    Selection { only: ids.iter().map(ToString::to_string).collect(), ..Selection::default() }
}

fn is_clean(report: &Report) {
    assert!(report.is_clean() && !report.lines.is_empty(), "{}", report.text(false));
}

#[test]
fn the_table_of_cases_is_what_is_committed() {
    let (path, table) = (path("conformance/cases.tsv"), conformance::table());
    if std::env::var_os("BLAZEDB_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed == table,
        "BLAZEDB_BLESS=1 cargo test --test suite conformance writes conformance/cases.tsv"
    );
}

/// Clauses as the specifications number them: `**P-1.1**`, `E-1.1 …` at the beginning of a line, `## L-2 …`.
fn clauses() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(path("spec")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let is_code = |word: &&str| {
            let mut letters = word.chars();
            letters.next().is_some_and(|letter| letter.is_ascii_uppercase()) && letters.next() == Some('-')
        };
        found.extend(text.split("**").filter(is_code).map(str::to_owned));
        for line in text.lines() {
            let line = line.trim_start_matches('#').trim_start();
            found.extend(line.split(' ').next().filter(is_code).map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_case_names_clauses_that_exist() {
    let clauses = clauses();
    let mut ids = BTreeSet::new();
    for case in conformance::server_cases().chain(conformance::client_cases()) {
        assert!(ids.insert(case.id), "{} is there twice", case.id);
        assert!(!case.title.contains(['\t', '\n']) && !case.title.ends_with('.'), "{}", case.id);
        for clause in case.clauses.split(' ') {
            assert!(clauses.contains(clause), "{} names {clause}, which no specification has", case.id);
        }
    }
    let count = |prefix| ids.iter().filter(|id| id.starts_with(prefix)).count();
    assert!(ids.len() - count("client.") >= 150 && count("client.") >= 60, "{} cases", ids.len());
}

/// Every case over one of the ways in, against the real binary; what the cases wrote is dropped.
fn our_server_passes(way: Way) {
    let house = House::open();
    let url = house.url(way);
    is_clean(&block_on(check_server(&to(url.clone()), None, &Selection::default())).unwrap());
    let left = block_on(async {
        let client = Client::connect(&url, Options::default()).await.unwrap();
        client.stats(None).await.unwrap()
    });
    let names: Vec<Value> =
        left.iter().map(|row| row.record().unwrap().get("collection").unwrap().clone()).collect();
    assert_eq!(names, [Value::Null], "what it wrote is not dropped");
}

#[test]
fn our_server_passes_over_tcp() {
    our_server_passes(Way::Tcp);
}

#[test]
fn our_server_passes_over_tls() {
    our_server_passes(Way::Tls);
}

#[test]
fn our_server_passes_over_a_unix_socket() {
    our_server_passes(Way::Unix);
}

#[test]
fn our_server_passes_over_websocket() {
    our_server_passes(Way::Web);
}

#[test]
fn our_server_passes_over_websocket_under_tls() {
    our_server_passes(Way::WebTls);
}

/// The operations of a node that comes back wait for nobody: they are durable already, and nothing else wakes their
/// connection.
#[test]
fn repeated_operations_are_acknowledged_at_once() {
    let server = Process::start_with(&["--memory"]);
    let cases =
        only(&["resume.repeated", "resume.unsent", "resume.level", "resume.window", "operation.visible"]);
    for _ in 0..3 {
        is_clean(&block_on(check_server(&to(Url::from(server.address)), None, &cases)).unwrap());
    }
}

#[test]
fn our_server_passes_when_it_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap().to_owned();
    let server = Process::start(directory.path());
    let address = server.address;
    let running = Arc::new(Mutex::new(Some(server)));
    let restart: Restart = Arc::new(move || {
        let mut running = running.lock().unwrap();
        running.take().unwrap().kill();
        *running = Some(Process::start_at(&address.to_string(), &["--data-dir", &data]));
        Ok(())
    });
    let report =
        block_on(check_server(&to(Url::from(address)), Some(restart), &only(&["durable."]))).unwrap();
    is_clean(&report);
    assert!(report.lines.iter().all(|line| line.finding == Finding::Passed), "{}", report.text(true));
}

#[test]
fn exclusions_are_held_to_what_they_say() {
    let server = Process::start_with(&["--memory"]);
    let exclusions = Exclusions::parse("ping.nonce\tit is said to fail", |_| true).unwrap();
    let selection = Selection { exclusions, ..only(&["ping."]) };
    let report = block_on(check_server(&to(Url::from(server.address)), None, &selection)).unwrap();
    assert!(!report.is_clean());
    assert!(report.text(false).contains("is excluded, but passes"), "{}", report.text(false));
}

/// Builds the driver, unless it is built, and says where it is.
fn driver() -> PathBuf {
    let built = std::process::Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--example", "conformance_client"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(built.unwrap().success());
    Path::new(env!("CARGO_BIN_EXE_blazedb")).with_file_name("examples").join("conformance_client")
}

#[test]
fn our_client_passes() {
    our_client_passes_over("127.0.0.1:0", &Selection::default());
}

fn our_client_passes_over(listen: &str, selection: &Selection) {
    let command = vec![driver().to_str().unwrap().to_owned()];
    let stage = ClientStage { listen: listen.parse().unwrap(), command };
    is_clean(&block_on(check_client(&stage, selection)));
}

#[test]
fn our_client_passes_what_takes_time() {
    our_client_passes_over("127.0.0.1:0", &Selection { slow: true, ..only(&["client.time."]) });
}

#[test]
fn our_client_passes_over_websocket() {
    our_client_passes_over("ws:127.0.0.1:0", &Selection::default());
}

/// One after another at one place: whoever was there before leaves nothing behind.
#[test]
fn our_client_passes_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listen = format!("unix:{}", socket.display());
    our_client_passes_over(
        &listen,
        &only(&["client.operation.", "client.resume.", "client.close", "client.lost"]),
    );
    assert!(!socket.exists());
}

/// What a driver wrote to stderr before it fell is shown below the case, as text that harms no terminal.
#[test]
fn what_a_driver_said_on_stderr_is_shown_when_its_case_fails() {
    let script = r"for n in 1 2 3; do echo line $n >&2; done; printf '\033[31mred' >&2; exit 7";
    let output = blazedb(&["client", "--only", "client.hello", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let shown = "\n          stderr: line 1\n          stderr: line 2\n          stderr: line 3\n          stderr: \\u{1b}[31mred\n";
    assert!(text.contains(shown), "{text}");
}

fn blazedb(arguments: &[&str]) -> std::process::Output {
    command::run(command::blazedb(&["conformance"]).args(arguments), b"")
}

#[test]
fn the_command_lists_runs_and_writes_what_it_found() {
    let listed =
        [blazedb(&["server", "--list"]), blazedb(&["client", "--list"])].map(|output| output.stdout).concat();
    assert_eq!(String::from_utf8(listed).unwrap(), conformance::table());

    let server = Process::start_with(&["--memory"]);
    let url = Url::from(server.address).to_string();
    let directory = tempfile::tempdir().unwrap();
    let (junit, exclude) = (directory.path().join("junit.xml"), directory.path().join("exclude.tsv"));
    let (junit, exclude) = (junit.to_str().unwrap(), exclude.to_str().unwrap());
    let run =
        |more: &[&str]| blazedb(&[&["server", "--target", &url, "--only", "hello.agent"], more].concat());
    let output = run(&["--junit", junit, "--verbose"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("passed    hello.agent  An agent has at most 128 bytes (P-3.6;"), "{text}");
    assert!(
        std::fs::read_to_string(junit)
            .unwrap()
            .contains("name=\"hello.agent: An agent has at most 128 bytes (P-3.6)\"")
    );

    std::fs::write(exclude, "hello.agent\tit does not fail\n").unwrap();
    assert_eq!(run(&["--exclude", exclude]).status.code(), Some(1));
    std::fs::write(exclude, "hello.nobody\tno such case\n").unwrap();
    let output = run(&["--exclude", exclude]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("line 1 excludes 'hello.nobody', and there is no such case")
    );
    assert_eq!(blazedb(&["server", "--target", &url, "--only", "hello.nobody"]).status.code(), Some(2));
    server.stop();
    assert_eq!(blazedb(&["server", "--target", &url]).status.code(), Some(3));
}
