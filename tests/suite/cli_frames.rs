//! `frames`, run as a user runs it, over the session of `spec/protocol.md`.

use super::command::{blazedb, run};
use super::protocol::session;

/// The run ends with `status`; stdout and stderr hold these parts (stderr nothing if none are named).
#[track_caller]
fn check(args: &[&str], input: &[u8], status: i32, printed: &[&str], said: &[&str]) -> String {
    let output = run(blazedb(&["frames"]).args(args), input);
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    for part in printed {
        assert!(stdout.contains(part), "{part:?} in {stdout}");
    }
    for part in said {
        assert!(stderr.contains(part), "{part:?} in {stderr}");
    }
    assert_eq!(said.is_empty(), stderr.is_empty(), "{stderr}");
    stdout
}

const INSERT: &str = r#"record: {"id":{"$uuid":"018f3c7a-5b2f-7abc-8def-0123456789ab"},"title":"Hi"}"#;

#[test]
fn a_session_is_printed_with_its_messages() {
    let capture = session().concat();
    let printed = [
        "0  Handshake  payload 42  flags none  sequence 0  crc ok\n    kind: hello\n    min_version: 1\n",
        "    database: main\n    agent: \"doc/1\"\n    node: null\n    capabilities:\n        [0] \"lz4\"\n61  Handshake",
        "\n209  Operation  payload 58  flags requires_ack  sequence 1  crc ok\n    number: 1\n    ack_level: durable\n",
        INSERT,
        "    level: durable\n    number: 1\n    unchanged: 0\n    position: 1.0.42\n",
    ];
    check(&["-"], &capture, 0, &printed, &[]);

    let file = std::env::temp_dir().join(format!("blazedb-frames-{}", std::process::id()));
    std::fs::write(&file, &capture).unwrap();
    let path = file.to_str().unwrap();
    check(&[path], b"", 0, &printed, &[]);
    let lines = check(&["-o", "json", path], b"", 0, &[], &[]);
    std::fs::remove_file(&file).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    let record = &lines[2]["message"]["groups"][0]["operations"][0]["record"];
    assert_eq!(record["title"], "Hi");
    assert_eq!(lines[1]["message"]["work"]["frames"], 256);
}

#[test]
fn damage_is_told_and_gives_a_status() {
    let mut capture = session().concat();
    capture[61] = b'?';
    check(
        &["-"],
        &capture,
        1,
        &["61  skipped 148  reason \"a frame begins", INSERT],
        &["1 place(s), 148 byte(s)"],
    );
    capture.truncate(capture.len() - 1);
    check(&["-"], &capture, 1, &["cut_off 52  wanted 53"], &["2 place(s), 200 byte(s)"]);
    check(&["/does/not/exist"], b"", 1, &[], &["cannot open '/does/not/exist'"]);
    check(&[], b"", 2, &[], &["<FILE>"]);
    check(&["-"], b"", 0, &[], &[]);
}
