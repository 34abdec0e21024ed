//! The server as its users see it: the real binary over loopback.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use blazedb::blazebinary::Value;
use blazedb::proto::Outbox;
use blazedb::wire::message::QueryKind;
use blazedb::wire::{CollectionName, ErrorCode};
use uuid::Uuid;

use super::server_kit::{Act, Caller, PATIENCE, Process, body, command, record};

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn numbered(number: u128, fill: usize) -> blazedb::blazebinary::Record {
    let text = format!("{number:0>fill$}");
    record(id(number), &[("n", Value::Int(number as i64)), ("text", Value::from(text.as_str()))])
}

#[test]
fn what_is_put_is_read_and_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let expected: Vec<_> = (1..=500).map(|number| numbered(number, 300)).collect();
    let server = Process::start(&directory);
    assert!(server.banner.iter().any(|line| line.contains("main: new")), "{:?}", server.banner);
    let mut caller = Caller::new(server.address);
    let refusal = caller.get("things", &[id(1)]).unwrap_err();
    assert_eq!(refusal.known(), Some(ErrorCode::UnknownCollection));
    for chunk in expected.chunks(100) {
        let acts: Vec<Act> = chunk.iter().cloned().map(Act::Insert).collect();
        caller.run(&body("things", &acts)).unwrap();
    }
    let check = |caller: &mut Caller| {
        // 500 records of some 340 bytes take several pages, more than the caller grants at once.
        let rows: Vec<_> = caller.scan("things").into_iter().map(|(_, record)| record).collect();
        assert_eq!(rows, expected);
        let rows = caller.get("things", &[id(7), id(501), id(3)]).unwrap();
        let rows: Vec<_> = rows.into_iter().map(|(_, record)| record).collect();
        assert_eq!(rows, [expected[6].clone(), expected[2].clone()]);
    };
    check(&mut caller);
    drop(caller);
    server.stop();
    let server = Process::start(&directory);
    assert!(server.banner.iter().any(|line| line.contains("main: as it was left")), "{:?}", server.banner);
    check(&mut Caller::new(server.address));
    server.kill();
    check(&mut Caller::new(Process::start(&directory).address));
}

/// Whatever the operator's umask lets through; and a key that was opened to everybody is warned of.
#[test]
fn what_is_made_on_the_disk_is_the_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("made/data");
    let start = || Process::start_by("umask 0; exec \"$@\"", &["--data-dir", data.to_str().unwrap()]);
    let server = start();
    Caller::new(server.address).run(&body("things", &[Act::Insert(numbered(1, 300))])).unwrap();
    assert!(!server.banner.iter().any(|line| line.contains("WARNING")), "{:?}", server.banner);
    server.stop();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut log = 0;
    for entry in std::fs::read_dir(data.join("main/log")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        log += 1;
    }
    assert!(log > 1, "a FORMAT and a segment");
    for path in ["..", ".", "main", "main/log", "main/store"] {
        assert_eq!(mode(&data.join(path)), 0o700, "{path}");
    }
    for path in ["FORMAT", "LOCK", "tls-key.pem", "main/store/FORMAT"] {
        assert_eq!(mode(&data.join(path)), 0o600, "{path}");
    }
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o750)).unwrap();
    std::fs::set_permissions(data.join("tls-key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let server = start();
    let warnings: Vec<_> = server.banner.iter().filter(|line| line.contains("WARNING")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("tls-key.pem"), "{:?}", server.banner);
    assert_eq!(
        (mode(&data), mode(&data.join("tls-key.pem"))),
        (0o750, 0o644),
        "they stay as they were given"
    );
    server.stop();
}

#[test]
fn refusals_and_counts_are_told() {
    let server = Process::start_with(&["--memory"]);
    let mut caller = Caller::new(server.address);
    let insert = body("a", &[Act::Insert(numbered(1, 1))]);
    caller.run(&insert).unwrap();
    assert_eq!(caller.run(&insert).unwrap_err().known(), Some(ErrorCode::AlreadyExists));
    let patch = body("a", &[Act::Patch(id(2), blazedb::blazebinary::Record::from_iter([("n", 5_i64)]))]);
    assert_eq!(caller.run(&patch).unwrap_err().known(), Some(ErrorCode::NotFound));
    caller.run(&body("b", &[Act::Insert(numbered(1, 1)), Act::Insert(numbered(2, 1))])).unwrap();
    caller.run(&body("b", &[Act::Delete(id(1))])).unwrap();
    let stats = |caller: &mut Caller, collection: Option<&str>| {
        let collection = collection.map(|name| CollectionName::new(name).unwrap());
        let rows = caller.ask(QueryKind::Stats { collection }).map(|(_, rows)| rows)?;
        let text = |record: &blazedb::blazebinary::Record, name| format!("{:?}", record.get(name).unwrap());
        Ok::<_, blazedb::proto::Refusal>(
            rows.iter().map(|(_, row)| (text(row, "collection"), text(row, "records"))).collect::<Vec<_>>(),
        )
    };
    let row = |name: &str, count| (format!("{:?}", Value::from(name)), format!("{:?}", Value::Int(count)));
    assert_eq!(stats(&mut caller, None).unwrap(), [row("a", 1), row("b", 1)]);
    assert_eq!(stats(&mut caller, Some("b")).unwrap(), [row("b", 1)]);
    assert_eq!(stats(&mut caller, Some("c")).unwrap_err().known(), Some(ErrorCode::UnknownCollection));
}

#[test]
fn a_node_resumes_and_fences_its_older_connection() {
    let server = Process::start_with(&["--memory"]);
    let node = Some(id(0x4E0DE));
    let mut first = Caller::connect(server.address, "main", Outbox::new(node)).unwrap();
    first.run(&body("a", &[Act::Insert(numbered(1, 1))])).unwrap();
    // The same node with older numbers is a restored copy.
    let copy = Caller::connect(server.address, "main", Outbox::new(node)).err().unwrap();
    assert!(copy.0.contains("older numbers"), "{}", copy.0);
    let mut second = Caller::connect(server.address, "main", Outbox::resuming(node, 2)).unwrap();
    let fenced = first.end();
    assert!(fenced.0.contains("took over"), "{}", fenced.0);
    second.run(&body("a", &[Act::Insert(numbered(2, 1))])).unwrap();
    let unknown = Caller::connect(server.address, "shop", Outbox::new(None)).err().unwrap();
    assert!(unknown.0.contains("--create"), "{}", unknown.0);
}

#[test]
fn stopping_says_goodbye_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    let mut caller = Caller::new(server.address);
    let bodies: Vec<_> = (1..=200).map(|number| body("a", &[Act::Insert(numbered(number, 1))])).collect();
    for body in &bodies {
        caller.submit(body);
    }
    caller.flush().unwrap();
    server.signal("TERM");
    let mut durable = 0;
    while let Ok(outcome) = caller.outcome() {
        assert_eq!(outcome.result, Ok(()));
        durable = outcome.number;
    }
    assert_eq!(server.wait().code(), Some(0));
    let server = Process::start(folder.path());
    let held = Caller::new(server.address).scan("a").len() as u64;
    assert!(held >= durable, "{durable} were acknowledged, {held} are there");
    // A second signal does not wait for a client that never says goodbye.
    let _silent = std::net::TcpStream::connect(server.address).unwrap();
    let mut deaf = Caller::new(server.address);
    deaf.flush().unwrap();
    server.signal("INT");
    thread::sleep(Duration::from_millis(300));
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(14));
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let _holder = Process::start(&folder.path().join("locked"));
    for (file, text) in [("newer", "blazedb data 2\n"), ("foreign", "someone else's\n")] {
        std::fs::create_dir(folder.path().join(file)).unwrap();
        std::fs::write(folder.path().join(file).join("FORMAT"), text).unwrap();
    }
    for (listen, directory, create, status, words) in [
        (&*taken, "a", None, 10, "--listen"),
        ("127.0.0.1:0", "locked", None, 11, "in use by process"),
        ("127.0.0.1:0", "newer", None, 12, "newer blazedb"),
        ("127.0.0.1:0", "foreign", None, 12, "no blazedb data"),
        ("0.0.0.0:0", "a", None, 2, "ssh -L"),
        ("127.0.0.1:0", "a", Some("../etc"), 2, "can be named"),
    ] {
        let mut command = command(&["--listen", listen, "--data-dir", &path(directory)]);
        command.args(create.iter().flat_map(|name| ["--create", name]));
        let output = command.stdout(Stdio::piped()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{error}");
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn other_databases_are_made_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().to_str().unwrap();
    Process::start(folder.path()).stop();
    let server = Process::start_with(&["--data-dir", directory, "--create", "shop"]);
    let mut shop = Caller::connect(server.address, "shop", Outbox::new(None)).unwrap();
    shop.run(&body("a", &[Act::Insert(numbered(1, 1))])).unwrap();
    let mut main = Caller::new(server.address);
    assert_eq!(main.get("a", &[id(1)]).unwrap_err().known(), Some(ErrorCode::UnknownCollection));
    // Whichever database is asked, all are told of, also one without collections.
    let row = |database, collection, records: i64| {
        blazedb::blazebinary::Record::from_iter([
            ("database", Value::from(database)),
            ("collection", collection),
            ("records", Value::Int(records)),
            ("deletions", Value::Int(0)),
        ])
    };
    for caller in [&mut main, &mut shop] {
        let (_, rows) = caller.ask(QueryKind::Stats { collection: None }).unwrap();
        let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
        assert_eq!(rows, [row("main", Value::Null, 0), row("shop", Value::from("a"), 1)]);
    }
    let of_one = QueryKind::Stats { collection: Some(CollectionName::new("a").unwrap()) };
    assert_eq!(main.ask(of_one).unwrap_err().known(), Some(ErrorCode::UnknownCollection));
    drop((shop, main));
    server.stop();
    let server = Process::start(folder.path());
    let mut shop = Caller::connect(server.address, "shop", Outbox::new(None)).unwrap();
    assert_eq!(shop.scan("a").len(), 1);
}

/// What sled keeps is closed by a clean stop and rebuilt after a kill; stores are not mixed up.
#[test]
fn a_directory_belongs_to_one_kind_of_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let expected: Vec<_> = (1..=300).map(|number| numbered(number, 300)).collect();
    let acts: Vec<Act> = expected.iter().cloned().map(Act::Insert).collect();
    for store in ["sled", "lsm", "memory"] {
        let server = Process::start_with(&["--data-dir", &path(store), "--store", store]);
        let place = format!("  data      {} ({store})", path(store));
        assert!(server.banner.contains(&place), "{:?}", server.banner);
        Caller::new(server.address).run(&body("things", &acts)).unwrap();
        server.stop();
    }
    for (ending, found) in [("TERM", "as it was left"), ("KILL", "as it was left"), ("TERM", "recovered, 1 ")]
    {
        let server = Process::start_with(&["--data-dir", &path("sled"), "--store", "sled"]);
        assert!(server.banner.iter().any(|line| line.contains(found)), "{:?}", server.banner);
        let rows: Vec<_> =
            Caller::new(server.address).scan("things").into_iter().map(|(_, row)| row).collect();
        assert_eq!(rows, expected);
        server.signal(ending);
        server.wait();
    }
    for (directory, store, words) in [
        ("sled", "lsm", "--store sled"),
        ("sled", "memory", "--store sled"),
        ("lsm", "sled", "--store lsm"),
        ("lsm", "memory", "--store lsm"),
    ] {
        let mut command = command(&["--data-dir", &path(directory), "--store", store]);
        let output = command.stdout(Stdio::piped()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(12), "{error}");
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
    // The log of a database in memory has everything.
    let server = Process::start_with(&["--data-dir", &path("memory"), "--store", "sled"]);
    assert_eq!(Caller::new(server.address).scan("things").len(), 300);
}

/// The blocks of a log's segments at which a commit begins, with the bytes of its payload (`spec/log.md`, 2).
fn commits(log: &Path) -> Vec<u32> {
    let mut files: Vec<_> = std::fs::read_dir(log).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    let blocks = files.iter().flat_map(|path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.chunks(4096).map(|block| block[..11].to_vec()).collect::<Vec<_>>()
    });
    let commits = blocks.filter(|head| head.starts_with(b"BLAZE\x01\x21"));
    commits.map(|head| u32::from_be_bytes(head[7..].try_into().unwrap())).collect()
}

/// Who waits for nothing else is vouched for by an empty commit, of 36 bytes, which the log makes when it is asked; and
/// nothing follows that.
#[test]
fn a_log_that_became_idle_vouches_for_its_last_batch_once() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let server = Process::start(&directory);
    let mut caller = Caller::new(server.address);
    caller.run(&body("notes", &[Act::Insert(record(Uuid::from_u128(1), &[]))])).unwrap();
    let log = directory.join("main/log");
    let deadline = Instant::now() + PATIENCE;
    let vouched = loop {
        let found = commits(&log);
        if found.last() == Some(&36) {
            break found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        thread::sleep(Duration::from_millis(10));
    };
    assert!(vouched[vouched.len() - 2] > 36, "{vouched:?}");
    // Ten times the 40 ms after which it is asked again.
    thread::sleep(Duration::from_millis(400));
    assert_eq!(commits(&log), vouched);
    server.stop();
}
