//! What the port says to HTTP, and to web pages that want a WebSocket.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::server_attacks::{hello, last_words, types};
use super::server_crowds::resident_kib;
use super::server_kit::{Act, Caller, PATIENCE, Process, body, command, record};

/// An answer: its status, its headers in small letters, its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Sends a request as it is, and reads until the server hangs up.
fn ask(address: SocketAddr, request: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() })
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).unwrap()
}

#[test]
fn health_is_told_and_everything_else_is_refused_in_one_line() {
    let server = Process::start_with(&["--memory"]);
    let address = server.address;
    for (path, status, body) in [
        ("/livez", 200, "ok\n"),
        ("/healthz", 200, "ok\n"),
        ("/readyz", 200, "ok\n"),
        ("/readyz?verbose", 200, "main: ok\n"),
        ("/", 404, "there is /livez, /readyz, /metrics, and a WebSocket at /blaze\n"),
        ("/livez/", 404, "there is /livez, /readyz, /metrics, and a WebSocket at /blaze\n"),
    ] {
        let answer = get(address, path);
        assert_eq!((answer.status, &*answer.body), (status, body), "{path}");
        assert!(answer.head.contains("connection: close"), "{}", answer.head);
        assert!(answer.head.contains("cache-control: no-store"), "{}", answer.head);
    }
    let head = ask(address, "HEAD /livez HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((head.status, &*head.body), (200, ""));
    let posted = ask(address, "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}").unwrap();
    assert_eq!((posted.status, posted.body.lines().count()), (405, 1));
    assert!(posted.head.contains("allow: get, head"), "{}", posted.head);
    for (request, status) in [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        (format!("GET /livez HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65)), 431),
        (format!("GET /livez HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(9_000)), 431),
    ] {
        assert_eq!(ask(address, &request).unwrap().status, status, "{request:.40}");
    }
    let anonymous = ask(address, "GET /livez HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!((anonymous.status, anonymous.body.lines().count()), (400, 1), "{anonymous:?}");
    assert!(Caller::new(address).is_well());
    server.stop();
}

/// One request a connection: what is sent behind it is not answered, and nothing stays open.
#[test]
fn a_connection_carries_one_request() {
    let server = Process::start_with(&["--memory"]);
    let request = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
    for version in ["1.1", "1.0"] {
        let answer = ask(server.address, &request.replace("1.1", version).repeat(2)).unwrap();
        assert_eq!(answer.body, "ok\n");
        let said = answer.head.lines().filter(|line| line.starts_with("connection:"));
        assert_eq!(said.collect::<Vec<_>>(), ["connection: close"], "{}", answer.head);
    }
}

/// The rules of Prometheus' text format 0.0.4, and of its names: `promtool check metrics` asks for the same.
/// A page whose name was made to point to this machine (DNS rebinding) asks by that name.
#[test]
fn a_server_of_the_loopback_answers_to_names_of_this_machine_alone() {
    let server = Process::start_with(&["--memory", "--allow-origin", "https://db.example.org"]);
    let port = server.address.port();
    for path in ["/livez", "/healthz", "/readyz", "/metrics"] {
        for (hosts, status) in [
            ("Host: localhost\r\n".to_owned(), 200),
            (format!("Host: LOCALHOST:{port}\r\n"), 200),
            (format!("Host: 127.0.0.1:{port}\r\n"), 200),
            ("Host: [::1]\r\n".to_owned(), 200),
            ("Host: db.example.org:8443\r\n".to_owned(), 200),
            (format!("Host: evil.example:{port}\r\n"), 403),
            ("Host: localhost.evil.example\r\n".to_owned(), 403),
            ("Host: localhost\r\nHost: evil.example\r\n".to_owned(), 403),
            ("Host:\r\n".to_owned(), 403),
        ] {
            let answer = ask(server.address, &format!("GET {path} HTTP/1.1\r\n{hosts}\r\n")).unwrap();
            assert_eq!(answer.status, status, "{path} {hosts:?}");
            assert_eq!(answer.body.contains("none of"), status == 403, "{}", answer.body);
        }
        assert_eq!(ask(server.address, &format!("GET {path} HTTP/1.0\r\n\r\n")).unwrap().status, 200);
    }
    let found = families(&get(server.address, "/metrics").body);
    // Four refusals for each of four paths.
    assert_eq!(found["blazedb_connections_refused_total"]["reason=\"host\"}"], 16.0);
}

fn families(text: &str) -> BTreeMap<String, BTreeMap<String, f64>> {
    let mut families: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    let mut current = (String::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(!families.contains_key(name), "{name} comes twice");
            assert!(!text.is_empty());
            current = (name.to_owned(), String::new());
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current.0);
            assert!(["counter", "gauge"].contains(&kind), "{kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            current.1 = kind.to_owned();
            families.insert(name.to_owned(), BTreeMap::new());
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        assert_eq!(name, current.0, "a sample stands under its own family");
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.starts_with("blazedb_") && name.chars().all(legal), "{name}");
        for unit in ["_ms", "_milliseconds", "_kb", "_kib", "_mb", "_percent"] {
            assert!(!name.contains(unit), "{name} is in no base unit");
        }
        for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once('=').unwrap();
            assert!(key.chars().all(legal) && value.starts_with('"') && value.ends_with('"'), "{label}");
        }
        let samples = families.get_mut(name).unwrap();
        assert!(samples.insert(labels.to_owned(), value.parse().unwrap()).is_none(), "{line} comes twice");
    }
    assert!(families.values().all(|samples| !samples.is_empty()));
    families
}

#[test]
fn metrics_follow_the_rules_and_count() {
    let server = Process::start_with(&["--memory"]);
    let mut caller = Caller::new(server.address);
    let put = |number: u128| Act::Insert(record(uuid::Uuid::from_u128(number), &[]));
    caller.run(&body("a", &[put(1), put(2), put(3)])).unwrap();
    let answer = get(server.address, "/metrics");
    assert_eq!(answer.status, 200);
    assert!(
        answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    let found = families(&answer.body);
    for (family, labels, value) in [
        ("blazedb_ready", "", 1.0),
        ("blazedb_connections", "transport=\"tcp\"}", 1.0),
        ("blazedb_connections", "transport=\"tls\"}", 0.0),
        ("blazedb_connections_opened_total", "transport=\"tcp\"}", 1.0),
        ("blazedb_database_records", "database=\"main\"}", 3.0),
        ("blazedb_database_writable", "database=\"main\"}", 1.0),
        ("blazedb_http_requests_total", "", 0.0),
    ] {
        assert_eq!(found[family].get(labels), Some(&value), "{family} {labels}\n{}", answer.body);
    }
    assert!(found["blazedb_database_effects_total"]["database=\"main\"}"] >= 3.0, "{}", answer.body);
    drop(caller);
    let deadline = Instant::now() + PATIENCE;
    while families(&get(server.address, "/metrics").body)["blazedb_connections"]["transport=\"tcp\"}"] > 0.0 {
        assert!(Instant::now() < deadline, "a connection that is gone is counted");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Only who was welcome counts as a client; who stops before it, wherever, did not come in (D-4.3).
#[test]
fn who_stops_in_its_handshake_is_no_client() {
    let server = Process::start_with(&["--memory"]);
    let mut caller = Caller::new(server.address);
    let offer = upgrade("Sec-WebSocket-Protocol: blaze.v1\r\n");
    let mut damaged = hello();
    *damaged.last_mut().unwrap() ^= 1;
    for begun in [&b""[..], b"BLAZE", b"G", b"\x16\x03\x01", offer.as_bytes(), &damaged] {
        TcpStream::connect(server.address).unwrap().write_all(begun).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = families(&get(server.address, "/metrics").body);
        let refused = found["blazedb_connections_refused_total"]["reason=\"handshake\"}"];
        for (transport, count) in [("tcp", 1.0), ("tls", 0.0), ("unix", 0.0), ("websocket", 0.0)] {
            let label = format!("transport=\"{transport}\"}}");
            assert_eq!(found["blazedb_connections_opened_total"][&label], count, "{transport}");
            assert_eq!(found["blazedb_connections"][&label], count, "{transport}");
        }
        assert!(refused <= 6.0, "{refused}");
        if refused == 6.0 {
            break;
        }
        assert!(Instant::now() < deadline, "{refused} of 6 are counted");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(caller.is_well());
}

/// While databases are being opened the process lives and is not ready, and clients who come wait.
#[test]
fn a_server_that_recovers_lives_and_is_not_ready() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let server = Process::start_with(&["--data-dir", data, "--store", "memory"]);
    let mut caller = Caller::new(server.address);
    for batch in 0..60_u128 {
        let put = |number: u128| Act::Insert(record(uuid::Uuid::from_u128(batch << 32 | number), &[]));
        caller.run(&body("a", &(0..1_000).map(put).collect::<Vec<_>>())).unwrap();
    }
    server.kill();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut restarted = command(&["--listen", &free.to_string(), "--data-dir", data, "--store", "memory"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let deadline = Instant::now() + PATIENCE;
    let mut waiting = None;
    let mut statuses = Vec::new();
    while statuses.last() != Some(&200) {
        assert!(Instant::now() < deadline, "it does not become ready: {statuses:?}");
        let Some(answer) = ask(free, &request("/readyz")) else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        statuses.push(answer.status);
        if answer.status == 503 && waiting.is_none() {
            assert!(answer.body.contains("being opened"), "{}", answer.body);
            assert_eq!(ask(free, &request("/livez")).unwrap().status, 200);
            let found = families(&ask(free, &request("/metrics")).unwrap().body);
            assert!(found.contains_key("blazedb_ready") && !found.contains_key("blazedb_database_records"));
            let mut stream = TcpStream::connect(free).unwrap();
            stream.write_all(&hello()).unwrap();
            waiting = Some(stream);
        }
    }
    let mut welcome = [0; 12];
    let mut waiting = waiting.expect("it was ready at once");
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    waiting.read_exact(&mut welcome).unwrap();
    assert_eq!(&welcome[..7], b"BLAZE\x01\x01");
    restarted.kill().unwrap();
    restarted.wait().unwrap();
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn upgrade(headers: &str) -> String {
    format!(
        "GET /blaze HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
}

/// Asks for a WebSocket; the connection, and the head of what the server says.
fn upgraded(address: SocketAddr, request: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap().to_ascii_lowercase())
}

fn try_upgrade(address: SocketAddr, request: &str) -> String {
    upgraded(address, request).1
}

#[test]
fn only_pages_that_may_get_a_websocket() {
    let server = Process::start_with(&["--memory", "--allow-origin", "https://app.example.org"]);
    let offer = "Sec-WebSocket-Protocol: chat, blaze.v1\r\n";
    for (origin, status) in [
        ("", 101),
        ("Origin: http://localhost:5173\r\n", 101),
        ("Origin: http://127.0.0.1\r\n", 101),
        ("Origin: https://app.example.org\r\n", 101),
        ("Origin: null\r\n", 403),
        ("Origin: https://evil.example\r\n", 403),
        ("Origin: http://localhost.evil.example\r\n", 403),
        ("Origin: https://app.example.org.evil.example\r\n", 403),
        ("Origin: https://app.example.org:8443\r\n", 403),
        ("Origin: https://app.example.org\r\nOrigin: https://evil.example\r\n", 403),
    ] {
        let head = try_upgrade(server.address, &upgrade(&format!("{offer}{origin}")));
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{origin}: {head}");
        // RFC 6455, section 1.3: the answer to its own example of a key; and one of the subprotocols that were offered.
        let accepts = head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=")
            && head.contains("sec-websocket-protocol: blaze.v1\r\n");
        assert_eq!(accepts, status == 101, "{head}");
        assert!(head.contains("cache-control: no-store\r\n"), "{head}");
    }
    for (what, request) in [
        ("no subprotocol", upgrade("")),
        ("another subprotocol", upgrade("Sec-WebSocket-Protocol: blaze.v2\r\n")),
        ("no upgrade", "GET /blaze HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("an older version", upgrade(offer).replace("Version: 13", "Version: 8")),
        ("no key", upgrade(offer).replace(KEY, "short")),
        ("no host", upgrade(offer).replace("Host: a\r\n", "")),
        ("a body", upgrade(&format!("{offer}Content-Length: 5\r\n")) + "frame"),
        ("a body in pieces", upgrade(&format!("{offer}Transfer-Encoding: chunked\r\n")) + "0\r\n\r\n"),
    ] {
        let answer = ask(server.address, &request).unwrap();
        assert_eq!((answer.status, answer.body.lines().count()), (400, 1), "{what}: {answer:?}");
    }
    let head = try_upgrade(server.address, &upgrade(&format!("{offer}Content-Length: 0\r\n")));
    assert!(head.starts_with("http/1.1 101"), "{head}");
    let counted = families(&get(server.address, "/metrics").body);
    assert_eq!(counted["blazedb_connections_refused_total"]["reason=\"origin\"}"], 6.0);
    server.stop();
}

/// A masked frame, as a browser sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 126];
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([1, 2, 3, 4]);
    frame.extend(payload.iter().zip([1, 2, 3, 4].iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// What misbehaves inside of a WebSocket is told why, in the words of WebSocket.
#[test]
fn faults_inside_a_websocket_have_their_close_codes() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    let text = [&masked(0x81, &[b'a'; 200])[..], b"more"].concat();
    let unmasked = b"\x82\x03abc".to_vec();
    let endless = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    for (what, bytes, close) in [
        ("text", text, Some(1003_u16)),
        ("an unmasked frame", unmasked, Some(1002)),
        ("a message without end", endless, Some(1009)),
        ("garbage in a message", masked(0x82, &[7; 300]), None),
    ] {
        let (mut stream, _) = upgraded(server.address, &upgrade("Sec-WebSocket-Protocol: blaze.v1\r\n"));
        stream.write_all(&bytes).unwrap();
        let start = Instant::now();
        let (words, _) = last_words(stream);
        assert!(start.elapsed() < Duration::from_secs(4), "{what}");
        match close {
            Some(code) => {
                let expected = [&[0x88, 2][..], &code.to_be_bytes()].concat();
                assert_eq!(words, expected, "{what}");
            }
            // A message with the Error of the protocol, then a normal close.
            None => {
                assert_eq!(words[..2], [0x82, 126], "{what}");
                let length = usize::from(u16::from_be_bytes([words[2], words[3]]));
                assert_eq!(types(&words[4..4 + length]), [8], "{what}: {words:?}");
                assert_eq!(words[4 + length..], [0x88, 2, 3, 232], "{what}");
            }
        }
        assert!(honest.is_well(), "{what}");
    }
}

/// Pings are answered by the last one's Pong, however many come at once. 1,024 may come in a row (D-5.7).
#[test]
fn many_pings_get_few_pongs() {
    let server = Process::start_with(&["--memory"]);
    let (mut stream, _) = upgraded(server.address, &upgrade("Sec-WebSocket-Protocol: blaze.v1\r\n"));
    let mut pings = [0x89, 0x80 | 4, 0, 0, 0, 0, b'p', b'i', b'n', b'g'].repeat(1_023);
    pings.extend([0x89, 0x80 | 4, 0, 0, 0, 0, b'l', b'a', b's', b't']);
    stream.write_all(&pings).unwrap();
    let mut pongs = 0;
    loop {
        let mut pong = [0; 6];
        stream.read_exact(&mut pong).unwrap();
        assert_eq!(pong[..2], [0x8a, 4]);
        pongs += 1;
        if &pong[2..] == b"last" {
            break;
        }
        assert_eq!(&pong[2..], b"ping");
    }
    // One for what a read brought.
    assert!(pongs < 100, "{pongs}");
}

/// What carries nothing and would be charged by nothing ends the connection: told by its code where all of it was read, and
/// soon in any case, however much comes.
#[test]
fn a_flood_of_pings_or_empty_frames_ends_at_once() {
    let server = Process::start_with(&["--memory"]);
    let mut honest = Caller::new(server.address);
    // 125 bytes each, the most that a ping may have.
    let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[b'p'; 125]].concat();
    let empty = [0x82, 0x80, 0, 0, 0, 0];
    let (begin, fragment) = ([0x02, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0]);
    let before = resident_kib(&server);
    for (what, first, frame) in [
        ("pings", &empty[..], &ping[..]),
        ("empty messages", &empty, &empty),
        ("empty fragments", &begin, &fragment),
    ] {
        let open = || upgraded(server.address, &upgrade("Sec-WebSocket-Protocol: blaze.v1\r\n")).0;
        let mut stream = open();
        stream.write_all(&[first, &frame.repeat(1_024)].concat()).unwrap();
        let (words, _) = last_words(stream);
        assert!(words.ends_with(&[0x88, 2, 0x03, 0xf0]), "{what}: {words:?}");
        let mut stream = open();
        let start = Instant::now();
        stream.write_all(first).unwrap();
        while stream.write_all(&frame.repeat(10_000)).is_ok() {
            assert!(start.elapsed() < PATIENCE, "{what} go on");
        }
        // It has not even said Hello, for which it has 5 s.
        assert!(start.elapsed() < Duration::from_secs(4), "{what}: {:?}", start.elapsed());
        assert!(honest.is_well(), "{what}");
    }
    let grown = resident_kib(&server).saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB");
}

/// An address of this machine that others can reach; it is the one that a packet to elsewhere would come from.
fn own_address() -> std::net::IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent.
    socket.connect("192.0.2.1:9").expect("this test needs an address beside the loopback");
    socket.local_addr().unwrap().ip()
}

#[test]
fn plaintext_from_other_machines_is_refused_unless_it_was_asked_for() {
    let own = own_address();
    let listen = format!("{own}:0");
    let output = command(&["--memory", "--listen", &listen]).stdout(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("--insecure-no-auth") && told.lines().count() == 1, "{told}");
    for allowed in [false, true] {
        let flags = if allowed {
            &["--memory", "--insecure-no-auth", "--allow-plaintext"][..]
        } else {
            &["--memory", "--insecure-no-auth"]
        };
        let server = Process::start_at(&listen, flags);
        let answer = get(server.address, "/livez");
        assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{answer:?}");
        // Beyond the loopback it is asked for by whatever name others know it by.
        let named = ask(server.address, "GET /metrics HTTP/1.1\r\nHost: db1.lan\r\n\r\n").unwrap();
        assert_eq!(named.status, answer.status);
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&hello()).unwrap();
        let mut first = [0; 7];
        stream.read_exact(&mut first).unwrap();
        // The Welcome is a Handshake, type 1; a refusal is an Error, type 8.
        assert_eq!(first[6], if allowed { 1 } else { 8 });
        let line = server.banner.iter().find(|line| line.contains("pin=")).unwrap();
        let url = line.split_whitespace().last().unwrap();
        let put = ["--url", url, "put", "notes", "--record", "{}"];
        let put = super::command::run(&mut super::command::blazedb(&put), b"");
        assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
        // A page of the machine's own is a page of somebody else's machine for this server.
        let head = upgrade("Sec-WebSocket-Protocol: blaze.v1\r\nOrigin: http://localhost:1\r\n");
        assert!(try_upgrade(server.address, &head).starts_with("http/1.1 403"));
    }
}
