//! `watch` as a user runs it: lines that carry positions, a server that goes away and comes back, the end.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::command::{blazedb, run};
use super::server_kit::{PATIENCE, Process};

/// A watcher under way; killed when it is dropped.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Watch {
    fn start(url: &str, args: &[&str]) -> Self {
        let mut child = blazedb(&[&["--url", url, "watch"], args].concat()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    fn line(&self) -> Json {
        let line = self.lines.recv_timeout(PATIENCE).expect("no line comes");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// What it did in the end: its status and what it said on stderr.
    fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(self.lines.try_iter().count(), 0, "lines are left");
        (status.code(), said)
    }

    fn interrupt(self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
        self.end()
    }
}

const ID: &str = "01900000-0000-7000-8000-000000000001";

fn put(url: &str, title: &str) {
    let record = format!(r#"{{"id":{{"$uuid":"{ID}"}},"title":"{title}"}}"#);
    assert!(run(&mut blazedb(&["--url", url, "put", "notes", "--record", &record]), b"").status.success());
}

fn title(line: &Json) -> &str {
    line["record"]["title"].as_str().unwrap()
}

#[test]
fn lines_come_once_over_a_restart_and_their_positions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    let address = server.address.to_string();
    let url = format!("blaze://{address}");
    put(&url, "before");
    let watch = Watch::start(&url, &["notes", "--snapshot"]);
    let first = watch.line();
    assert_eq!((title(&first), &first["kind"], &first["id"]), ("before", &"put".into(), &ID.into()));
    put(&url, "one");
    let one = watch.line();
    assert_eq!(title(&one), "one");
    server.kill();
    let server = Process::start_at(&address, &["--data-dir", folder.path().to_str().unwrap()]);
    put(&url, "two");
    assert!(run(&mut blazedb(&["--url", &url, "delete", "notes", ID]), b"").status.success());
    assert_eq!(title(&watch.line()), "two");
    let gone = watch.line();
    assert_eq!((&gone["kind"], &gone["id"], gone.get("record")), (&"delete".into(), &ID.into(), None));
    assert!(run(&mut blazedb(&["--url", &url, "drop", "notes", "--yes"]), b"").status.success());
    assert_eq!(watch.line()["kind"], "dropped");
    let (status, said) = watch.interrupt();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains(". Trying again until it is back; Ctrl-C ends.\n"), "{said}");
    assert!(!said.contains("Connect again"), "a person has nothing to do: {said}");
    assert!(said.contains("connected again; going on after"), "{said}");
    let resumed = Watch::start(&url, &["notes", "--from", one["position"].as_str().unwrap()]);
    assert_eq!(title(&resumed.line()), "two");
    assert_eq!(resumed.line(), gone);
    assert_eq!(resumed.line()["kind"], "dropped");
    assert_eq!(resumed.interrupt().0, Some(0));
    server.stop();
}

#[test]
fn it_waits_for_a_collection_and_ends_where_it_cannot_go_on() {
    let server = Process::start_with(&["--memory"]);
    let url = format!("blaze://{}", server.address);
    let watch = Watch::start(&url, &["notes", "--mode", "latest"]);
    // It begins now: what is put before it began is not told, so that a thing is put until one is.
    let deadline = Instant::now() + PATIENCE;
    while watch.child.id() > 0 && Instant::now() < deadline {
        put(&url, "late");
        if let Ok(line) = watch.lines.recv_timeout(Duration::from_millis(200)) {
            assert_eq!(title(&serde_json::from_str(&line).unwrap()), "late");
            break;
        }
    }
    assert_eq!(watch.interrupt().0, Some(0));
    let lost = Watch::start(&url, &["notes", "--from", "7.0.1"]);
    let (status, said) = lost.end();
    assert_eq!(status, Some(6), "{said}");
    assert!(said.contains("7.0.1 is no position of this database") && said.lines().count() == 1, "{said}");
    let other = Watch::start(&url, &["never"]);
    std::thread::sleep(Duration::from_millis(300));
    let (_, said) = other.interrupt();
    assert!(said.contains("there is no collection 'never' yet"), "{said}");
    for (args, status) in [
        (&["notes", "--from", "x"][..], 2),
        (&["no-name"], 2),
        (&["notes", "--from", "1.0.1", "--snapshot"], 2),
    ] {
        assert_eq!(Watch::start(&url, args).end().0, Some(status), "{args:?}");
    }
    server.stop();
}
