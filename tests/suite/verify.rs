//! Damage as an operator meets it: a server that was stopped, a byte that flips, the banner, `verify`, what it lists,
//! what is there afterwards.

#![allow(clippy::disallowed_methods, reason = "the outside of a real server is what is tested")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use blazedb::server::offline::Offline;

use crate::command::{blazedb, run};
use crate::random::Random;
use crate::server_kit::Process;

const BLOCK: usize = 4096;
/// Batches that are written, each of so many records: of one, so that each is one commit.
const BATCHES: usize = 8;
const RECORDS: usize = 1;

/// What a command said: its status, stdout, stderr.
struct Said(i32, String, String);

fn say(arguments: &[&str], input: &str) -> Said {
    let output = run(&mut blazedb(arguments), input.as_bytes());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Said(output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn verify(directory: &Path, more: &[&str]) -> Said {
    say(&[&["verify", "--data-dir", directory.to_str().unwrap()], more].concat(), "")
}

fn url(server: &Process) -> String {
    format!("blaze://{}/main", server.address)
}

/// Writes the batches, each a commit of its own.
fn write(server: &Process) {
    let url = url(server);
    for batch in 0..BATCHES {
        let lines: String = (0..RECORDS).map(|n| format!("{{\"batch\":{batch},\"n\":{n}}}\n")).collect();
        let said = say(&["--url", &url, "put", "notes"], &lines);
        assert_eq!(said.0, 0, "{}", said.2);
    }
}

fn batches_there(server: &Process) -> BTreeMap<String, usize> {
    let Said(status, out, error) = say(&["--url", &url(server), "scan", "notes"], "");
    assert_eq!(status, 0, "{error}");
    let mut counts = BTreeMap::new();
    for line in out.lines() {
        let batch = line.split("\"batch\":").nth(1).unwrap().split([',', '}']).next().unwrap();
        *counts.entry(batch.to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Every file below a directory with its bytes.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn flip(path: &Path, byte: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn segment(directory: &Path) -> PathBuf {
    directory.join("main/log/0000000001.log")
}

/// The blocks in which a commit with transactions begins.
fn commits(path: &Path) -> Vec<usize> {
    let bytes = fs::read(path).unwrap();
    let begins = |block: &usize| {
        let head = &bytes[block * BLOCK..];
        // Frame header 15, head 36, checksum 4: an empty commit has a payload of the head alone.
        head.starts_with(b"BLAZE") && head[6] == 0x21 && head[7..11] != [0, 0, 0, 36]
    };
    (2..bytes.len() / BLOCK).filter(begins).collect()
}

/// The server says that it only reads, reads, and refuses to write.
fn serves_for_reading_only(directory: &Path) -> BTreeMap<String, usize> {
    let server = Process::start(directory);
    let banner = server.banner.join("\n");
    let command = format!("blazedb verify --data-dir {} --database main", directory.display());
    assert!(banner.contains("READ-ONLY") && banner.contains(&command), "{banner}");
    let there = batches_there(&server);
    // Damage does not go by itself: the client waits for nobody, and says what an operator has to do.
    let Said(status, _, error) =
        say(&["--url", &url(&server), "put", "notes", "--record", "{\"batch\":99}"], "");
    assert_eq!(status, 4, "{error}");
    assert!(error.contains("read_only") && error.contains(&command) && error.lines().count() == 1, "{error}");
    server.stop();
    there
}

/// The damage is reported, nothing is changed by that, and accepting it must be asked for.
fn is_reported(directory: &Path) -> String {
    let before = files(directory);
    let Said(status, out, error) = verify(directory, &[]);
    assert_eq!(status, 20, "{out}{error}");
    assert!(out.contains("DAMAGED") && error.contains("--accept-loss"), "{out}{error}");
    assert!(!out.contains("verify"), "it advises what is being done: {out}");
    assert_eq!(verify(directory, &["--accept-loss"]).0, 2, "it asks, and nobody is there");
    assert!(before == files(directory), "verify changed something");
    out
}

#[test]
fn damage_below_the_checkpoint_loses_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let server = Process::start(&directory);
    write(&server);
    assert_eq!(verify(&directory, &[]).0, 11, "a server has it");
    server.stop();
    assert_eq!(verify(&directory, &["--accept-loss", "--yes"]).0, 0, "nothing is wrong");
    let sound = files(&directory);
    flip(&segment(&directory), commits(&segment(&directory))[2] * BLOCK + 200);
    assert_eq!(serves_for_reading_only(&directory).len(), BATCHES);
    let out = is_reported(&directory);
    assert!(out.contains("the history of what is kept"), "{out}");
    let Said(status, _, error) = verify(&directory, &["--accept-loss", "--yes"]);
    assert_eq!(status, 0, "{error}");
    let name = segment(&directory).file_name().unwrap().to_owned();
    let aside = fs::read(directory.join("main/log/lost-2").join(name)).unwrap();
    assert_eq!(aside.len(), sound[&segment(&directory)].len());
    goes_on(&directory, BATCHES);
}

#[test]
fn damage_above_the_checkpoint_loses_what_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let server = Process::start(&directory);
    write(&server);
    std::thread::sleep(std::time::Duration::from_millis(300));
    server.kill();
    let commits = commits(&segment(&directory));
    assert_eq!(commits.len(), BATCHES);
    flip(&segment(&directory), commits[5] * BLOCK + 200);
    assert_eq!(serves_for_reading_only(&directory).len(), 5);
    is_reported(&directory);
    let Said(_, lines, _) = verify(&directory, &["-o", "ndjson"]);
    let lost = lines.lines().filter(|line| line.contains("\"lost\"")).count();
    assert_eq!(lost, 2 * RECORDS, "of batches 5, 6 and 7 the last two can be read: {lines}");
    assert_eq!(verify(&directory, &["--accept-loss", "--yes"]).0, 0);
    goes_on(&directory, 5);
}

#[test]
fn a_damaged_table_is_made_anew_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("data");
    let server = Process::start(&directory);
    write(&server);
    server.stop();
    let table = fs::read_dir(directory.join("main/store/tables")).unwrap().next().unwrap().unwrap().path();
    flip(&table, 60);
    let out = is_reported(&directory);
    assert!(out.contains("made anew"), "{out}");
    assert_eq!(verify(&directory, &["--accept-loss", "--yes"]).0, 0);
    assert!(directory.join("main/store.damaged-1/tables").is_dir());
    goes_on(&directory, BATCHES);
}

/// What was kept is there, the database takes writes, and is sound.
fn goes_on(directory: &Path, kept: usize) {
    for round in 0..2 {
        let server = Process::start(directory);
        let banner = server.banner.join("\n");
        assert!(!banner.contains("READ-ONLY"), "{banner}");
        let there = batches_there(&server);
        assert_eq!(there.len(), kept + round, "{there:?}");
        let line = format!("{{\"batch\":{}}}\n", 100 + round);
        assert_eq!(say(&["--url", &url(&server), "put", "notes"], &line).0, 0);
        if round == 0 { server.kill() } else { server.stop() }
    }
    let Said(status, out, error) = verify(directory, &[]);
    assert_eq!(status, 0, "{out}{error}");
}

#[test]
fn a_directory_that_holds_nothing_is_refused_and_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("none");
    let Said(status, _, error) = verify(&directory, &[]);
    assert!(status == 12 && error.contains("no blazedb data"), "{status} {error}");
    assert!(!directory.exists());
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for (path, bytes) in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
}

/// Any single bit of a directory that was closed: it is noticed or harmless, and what is accepted loses no record.
#[test]
fn any_flipped_bit_of_a_closed_directory_is_mended_without_loss() {
    let trials = std::env::var("BLAZEDB_VERIFY_FLIPS").ok().map_or(40, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (original, damaged) = (folder.path().join("original"), folder.path().join("damaged"));
    let server = Process::start(&original);
    write(&server);
    server.stop();
    let held = files(&original);
    let expected = statistics(&original).unwrap();
    assert!(expected.contains("live: 8"), "{expected}");
    let mut random =
        Random(std::env::var("BLAZEDB_VERIFY_SEED").ok().map_or(1, |text| text.parse().unwrap()));
    let (mut harmless, mut mended, mut refused) = (0, 0, 0);
    for trial in 0..trials {
        let (path, bytes) = held.iter().nth(random.index(held.len())).unwrap();
        // Where the file holds something: most of a segment is zeros.
        let used = bytes.iter().rposition(|&byte| byte != 0).map_or(1, |last| last + 1);
        let (byte, bit) = (random.index(used), random.index(8));
        copy(&original, &damaged);
        let target = damaged.join(path.strip_prefix(&original).unwrap());
        let mut now = bytes.clone();
        now[byte] ^= 1 << bit;
        fs::write(&target, now).unwrap();
        let told = format!("trial {trial}: bit {bit} of byte {byte} of {}", target.display());
        let name = target.file_name().unwrap().to_str().unwrap();
        match verify(&damaged, &[]) {
            Said(0, ..) => harmless += 1,
            // A marker says whose files these are: nothing is done before that is known.
            Said(..) if name == "FORMAT" => {
                refused += 1;
                continue;
            }
            Said(20, ..) => {
                let Said(status, out, error) = verify(&damaged, &["--accept-loss", "--yes"]);
                assert_eq!(status, 0, "{told}: {out}{error}");
                mended += 1;
            }
            Said(status, out, error) => panic!("{told}: {status} {out}{error}"),
        }
        assert_eq!(statistics(&damaged).as_ref(), Ok(&expected), "{told}");
    }
    println!("{trials} flipped bits: {harmless} harmless, {mended} mended, {refused} refused by the marker");
    assert!(mended * 5 > trials, "{mended} of {trials} hit something");
}

/// Counts and digests of a database that takes writes.
fn statistics(directory: &Path) -> Result<String, String> {
    let failed = |error: blazedb::server::ServerError| error.to_string();
    let offline = Offline::look(directory, None).map_err(failed)?;
    let looked = offline.look_at("main").map_err(failed)?;
    let database = looked.database().map_err(failed)?;
    if let Some(reason) = database.read_only() {
        return Err(reason.to_owned());
    }
    let report = database.verify().map_err(|error| error.to_string())?;
    if report.wrong > 0 {
        return Err(report.findings.join("; "));
    }
    Ok(format!("{:?}", database.reader().statistics().unwrap()))
}
