//! `demo` as a user runs it: the printed commands work when pasted, the second start goes on with what is there.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::command::{blazedb, run};
use super::server_kit::PATIENCE;

/// A demo under way; killed when it is dropped.
pub(crate) struct Demo {
    child: Child,
    /// Its lines, as they were printed.
    pub(crate) banner: Vec<String>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    pub(crate) fn start(directory: &Path) -> Self {
        let directory = directory.to_str().unwrap();
        let mut child =
            blazedb(&["demo", "--listen", "127.0.0.1:0", "--data-dir", directory]).spawn().unwrap();
        let mut banner: Vec<String> = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while banner.last().is_none_or(|line| !line.contains("Ctrl-C")) {
            banner.push(lines.next().expect("the demo ended before its banner").unwrap());
        }
        Self { child, banner }
    }

    fn said(&self, part: &str) -> bool {
        self.banner.iter().any(|line| line.contains(part))
    }

    /// The printed commands, as a person copies them.
    fn commands(&self) -> Vec<String> {
        let from = self.banner.iter().position(|line| line.starts_with("  try ")).unwrap();
        self.banner[from..from + 3].iter().map(|line| line[12..].to_owned()).collect()
    }

    pub(crate) fn url(&self) -> String {
        format!("blaze://{}", self.banner[0].rsplit(' ').next().unwrap())
    }

    pub(crate) fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the demo does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

/// What a shell prints of a command line.
fn pasted(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn board(url: &str) -> String {
    let output = run(&mut blazedb(&["scan", "board", "--url", url]), b"");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_demo_shows_something_and_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    assert!(demo.said("1,000 that departed New York City in 2013, loaded over TCP"), "{:?}", demo.banner);
    let [scan, watch, stats] = demo.commands().try_into().unwrap();
    assert_eq!(pasted(&scan).lines().count(), 5);
    assert!(pasted(&scan).contains(r#""carrier":"UA""#));
    // What is loaded is what an import of the file gives, ids included: another implementation of the same reading.
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/flights.csv");
    let output = run(&mut blazedb(&["import", "flights", sample, "--null", "NA", "--url", &demo.url()]), b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("0 new or changed, 1000 unchanged, 0 rejected"), "{text}");
    // Something is going on: the board changes.
    let (url, deadline) = (demo.url(), Instant::now() + PATIENCE);
    let before = board(&url);
    while board(&url) == before {
        assert!(Instant::now() < deadline, "the board stands still");
        std::thread::sleep(Duration::from_millis(50));
    }
    let change = pasted(&format!("timeout {} {watch} | head -n 1", PATIENCE.as_secs()));
    assert!(change.contains(r#""position":"#), "{change}");
    let counts = pasted(&stats);
    assert!(counts.contains("flights") && counts.contains("board"), "{counts}");
    // What a person changes stays.
    let id = pasted(&scan).split(r#""$uuid":""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(run(&mut blazedb(&["delete", "flights", &id, "--url", &url]), b"").status.success());
    demo.stop();
    let demo = Demo::start(directory.path());
    assert!(demo.said("999 of an earlier start; nothing was loaded again"), "{:?}", demo.banner);
    demo.stop();
}

#[test]
fn a_used_port_has_a_way_out_that_can_be_pasted() {
    let directory = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = directory.path().join("data");
    let args = ["demo", "--listen", &address, "--data-dir", data.to_str().unwrap()];
    let output = run(&mut blazedb(&args), b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(10), "{text}");
    assert!(
        text.contains(&format!("{address} is in use")) && text.contains("demo --listen 127.0.0.1:0"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
    assert!(!data.exists(), "nothing is made for a server that cannot listen");
}
