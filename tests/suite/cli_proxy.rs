//! `proxy` as a user runs it: between the real client and the real server, over bytes that are no frames, and ended in
//! every way; what it recorded is printed by `frames` and read by Wireshark and Kaitai.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::command::{blazedb, run};
use super::doors::{House, WAYS};
use super::server_kit::{PATIENCE, Process};
use super::wire_tools::{check, kaitai_tools};

/// A proxy that runs; killed when it is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    fn start(target: SocketAddr, capture: &Path, options: &[&str]) -> Self {
        Self::start_to(&target.to_string(), capture, options)
    }

    fn start_to(target: &str, capture: &Path, options: &[&str]) -> Self {
        let arguments = ["proxy", "127.0.0.1:0", target, "--capture", capture.to_str().unwrap()];
        let mut child = blazedb(&[&arguments, options].concat()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the proxy ended before its banner").unwrap();
        let address = first.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(first.ends_with(&format!("on to {target}")), "{first}");
        while !lines.next().unwrap().unwrap().contains("Ctrl-C") {}
        Self { child, address }
    }

    fn url(&self) -> String {
        format!("blaze://{}", self.address)
    }

    /// Waits for its end: its status and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let status = ended(&mut self.child);
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status, said)
    }

    fn stop(self) -> (Option<i32>, String) {
        signal(&self.child, "INT");
        self.end()
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

fn ended(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn capture_in(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("session.capture")
}

#[track_caller]
fn succeed(arguments: &[&str]) -> String {
    let output = run(&mut blazedb(arguments), b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The lines that `frames` prints of a capture, and its status.
fn frames(capture: &Path) -> (Vec<Json>, Option<i32>) {
    let output = run(&mut blazedb(&["frames", "-o", "json", capture.to_str().unwrap()]), b"");
    let lines = String::from_utf8(output.stdout).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), output.status.code())
}

const ID: &str = "01900000-0000-7000-8000-000000000001";

fn put(url: &str, title: &str) -> String {
    let record = format!(r#"{{"id":{{"$uuid":"{ID}"}},"title":"{title}"}}"#);
    succeed(&["--url", url, "put", "notes", "--record", &record])
}

/// What one side of a connection sent, by the types' names, as `frames` found it.
fn types<'l>(lines: &'l [Json], connection: u64, side: &str) -> Vec<&'l str> {
    let of = |line: &&Json| line["connection"] == connection && line["from"] == side;
    lines.iter().filter(of).map(|line| line["type"].as_str().unwrap()).collect()
}

/// To a URL bytes go on in its way, and the capture holds the frames.
#[test]
fn a_server_is_reached_in_each_way_and_its_frames_are_recorded() {
    let house = House::open();
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let capture = capture_in(&folder);
        let target = house.url(way).to_string();
        let proxy = Proxy::start_to(&target, &capture, &["--connections", "1"]);
        put(&proxy.url(), "one");
        let (status, said) = proxy.end();
        assert_eq!(status, Some(0), "{way:?}: {said}");
        let (lines, status) = frames(&capture);
        assert_eq!((&lines[0]["target"], status), (&Json::from(target), Some(0)), "{way:?}");
        assert_eq!(types(&lines, 1, "client"), ["Handshake", "Operation", "Goodbye"], "{way:?}");
        assert!(types(&lines, 1, "server").contains(&"Ack"), "{way:?}");
    }
}

#[test]
fn a_session_is_recorded_and_everyone_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture_in(&folder);
    let server = Process::start_with(&["--memory"]);
    let target = server.address.to_string();
    let proxy = Proxy::start(server.address, &capture, &[]);
    let url = proxy.url();
    put(&url, "one");
    assert!(succeed(&["--url", &url, "scan", "notes"]).contains(r#""title":"one""#));
    let mut watch = blazedb(&["--url", &url, "watch", "notes", "--snapshot"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains(r#""title":"one""#));
    put(&url, "two");
    assert!(lines.next().unwrap().unwrap().contains(r#""title":"two""#));
    signal(&watch, "INT");
    assert_eq!(ended(&mut watch), Some(0));
    let (status, said) = proxy.stop();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("4 connection(s), ") && said.lines().count() == 1, "{said}");
    server.stop();

    let (lines, status) = frames(&capture);
    assert_eq!(status, Some(0));
    assert_eq!(lines[0]["target"], target);
    assert!(lines[0]["capture"].as_str().unwrap().starts_with("blazedb/"), "{}", lines[0]);
    assert!(lines[0]["started"].as_str().unwrap().starts_with("20"), "{}", lines[0]);
    assert_eq!(types(&lines, 1, "client"), ["Handshake", "Operation", "Goodbye"]);
    let answered: Vec<&str> =
        types(&lines, 1, "server").into_iter().filter(|name| *name != "Credit").collect();
    assert_eq!(answered, ["Handshake", "Ack", "Goodbye"]);
    assert_eq!(types(&lines, 2, "client")[..2], ["Handshake", "Query"]);
    assert!(types(&lines, 2, "server").contains(&"QueryResponse"));
    assert_eq!(types(&lines, 3, "client")[..2], ["Handshake", "Subscribe"]);
    let told: Vec<&Json> = lines.iter().filter(|line| line["message"]["kind"] == "changes").collect();
    let titles: Vec<&Json> = told
        .iter()
        .flat_map(|line| line["message"]["changes"].as_array().unwrap())
        .map(|change| &change["record"]["title"])
        .collect();
    assert_eq!(titles, ["one", "two"]);
    assert!(lines.iter().all(|line| line.get("crc").is_none_or(|crc| crc == "ok")));
    let events: Vec<&Json> = lines.iter().filter_map(|line| line.get("event")).collect();
    assert_eq!(events.iter().filter(|event| **event == "opened").count(), 4);
    assert_eq!(events.iter().filter(|event| **event == "closed").count(), 4);
    let times: Vec<f64> =
        lines[1..].iter().map(|line| line["time"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted() && times[0] >= 0.0 && times.len() > 20, "{times:?}");

    // The types of each side's frames, as frames says and as Kaitai and tshark find, which also agree on all fields.
    let printed = check(&["capture", capture.to_str().unwrap(), kaitai_tools()]);
    for connection in 1..=4 {
        for side in ["client", "server"] {
            let names = types(&lines, connection, side);
            let numbers: Vec<String> =
                names.iter().map(|name| format!("{:02x}", type_number(name))).collect();
            let line = format!("connection {connection} {side} {}\n", numbers.join(" "));
            assert!(printed.contains(&line), "{line}{printed}");
        }
    }
}

fn type_number(name: &str) -> u8 {
    use blazedb::wire::MessageType;
    let known = (0..=u8::MAX).filter_map(MessageType::from_byte);
    known.map(|found| (format!("{found:?}"), found as u8)).find(|(found, _)| found == name).unwrap().1
}

#[test]
fn a_proxy_that_is_killed_leaves_all_that_a_side_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture_in(&folder);
    let server = Process::start_with(&["--memory"]);
    let mut proxy = Proxy::start(server.address, &capture, &[]);
    let mut told = 0;
    for at in 0..20 {
        put(&proxy.url(), &format!("note {at}"));
        told += 1;
    }
    proxy.child.kill().unwrap();
    proxy.child.wait().unwrap();
    let (lines, _) = frames(&capture);
    for connection in 1..=told {
        assert!(types(&lines, connection, "client").contains(&"Operation"), "{connection}");
        assert!(types(&lines, connection, "server").contains(&"Ack"), "{connection}");
    }
    // However much of its last frame is missing, what stands before counts.
    let bytes = std::fs::read(&capture).unwrap();
    std::fs::write(&capture, &bytes[..bytes.len() - 5]).unwrap();
    let (torn, status) = frames(&capture);
    assert_eq!(status, Some(1));
    let end = torn.last().unwrap()["end"].as_str().unwrap();
    assert!(end.starts_with("the capture ends inside a frame"), "{end}");
    assert_eq!(torn[..torn.len() - 1], lines[..torn.len() - 1]);
    server.stop();
}

/// A server that sends back what it gets, until the client ends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut out = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut &stream, &mut out);
                let _ = out.write_all(b"bye");
                let _ = out.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

/// Sends this, ends, and returns what comes back.
fn exchange(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut out, bytes) = (stream.try_clone().unwrap(), sent.to_vec());
    let writer = std::thread::spawn(move || {
        out.write_all(&bytes).unwrap();
        out.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    writer.join().unwrap();
    back
}

#[test]
fn whatever_the_bytes_are_they_pass_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture_in(&folder);
    let proxy = Proxy::start(echo(), &capture, &["--connections", "3"]);
    let large: Vec<u8> = (0..1_000_003u32).map(|at| (at % 251) as u8).collect();
    for sent in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"", &large] {
        assert!(exchange(proxy.address, sent) == [sent, b"bye"].concat());
    }
    let (status, said) = proxy.end();
    assert_eq!(status, Some(0), "{said}");
    let (lines, status) = frames(&capture);
    assert_eq!(status, Some(1), "these are no frames");
    let lost = lines.iter().find(|line| line.get("reason").is_some()).unwrap();
    assert_eq!((&lost["from"], &lost["at"], &lost["skipped"]), (&"client".into(), &0.into(), &18.into()));
    let skipped: u64 = lines.iter().filter_map(|line| line.get("skipped")?.as_u64()).sum();
    let short: u64 = lines.iter().filter_map(|line| line.get("cut_off")?.as_u64()).sum();
    assert_eq!(skipped + short, 2 * (18 + 1_000_003) + 3 * 3);
    assert_eq!(lines.iter().filter(|line| line["event"] == "server_ended").count(), 3);
}

#[test]
fn a_capture_has_a_greatest_size() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture_in(&folder);
    let proxy = Proxy::start(echo(), &capture, &["--bytes", "20000"]);
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut back = [0; 1_000];
    let mut passed = 0;
    while stream.write_all(&back).is_ok() && stream.read_exact(&mut back).is_ok() {
        passed += 1;
    }
    let (status, said) = proxy.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("as large as --bytes allows"), "{said}");
    let length = std::fs::metadata(&capture).unwrap().len();
    assert!(passed > 5 && (17_000..=20_000).contains(&length), "{passed} {length}");
    let (lines, _) = frames(&capture);
    assert_eq!(lines.iter().filter(|line| line["event"] == "opened").count(), 1);
    assert!(lines.iter().all(|line| line.get("end").is_none()), "the capture is not torn");
}

#[test]
fn what_cannot_be_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture_in(&folder);
    let path = capture.to_str().unwrap();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    std::fs::write(folder.path().join("there"), "kept").unwrap();
    let there = folder.path().join("there");
    for (arguments, status, part) in [
        (["0.0.0.0:0", &address, path], 2, "--beyond-loopback"),
        ([&address, &address, path], 10, "choose another address or port"),
        (["127.0.0.1:0", "127.0.0.1", path], 2, "write a host and a port"),
        (["127.0.0.1:0", "http://127.0.0.1:1", path], 2, "is no scheme of BlazeDB"),
        (["127.0.0.1:0", &address, there.to_str().unwrap()], 1, "cannot make"),
    ] {
        let [listen, target, file] = arguments;
        let output = run(&mut blazedb(&["proxy", listen, target, "--capture", file]), b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(std::fs::read(&there).unwrap(), b"kept");
    assert!(!capture.exists());

    // A target that is not there ends the client's connection, and that is in the capture.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nobody, &capture, &["--connections", "1"]);
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let (status, said) = proxy.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
    let (lines, status) = frames(&capture);
    assert_eq!((lines.len(), status), (3, Some(0)));
    assert!(lines[2]["reason"].as_str().unwrap().contains("Connection refused"), "{}", lines[2]);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&capture).unwrap().permissions().mode() & 0o777, 0o600);
}
