//! The README's transcript is what the binary does.

use std::io::Write;
use std::process::{Command, Stdio};

fn blazedb(args: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_blazedb"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_transcript_holds() {
    let readme = include_str!("../../README.md");
    let transcript: Vec<&str> =
        readme.split("```").find(|block| block.contains("$ echo")).unwrap().lines().collect();
    let after = |command: &str| {
        let at = transcript.iter().position(|line| line.starts_with(command)).unwrap();
        transcript[at + 1]
    };
    let echo = transcript.iter().find(|line| line.starts_with("$ echo '")).unwrap();
    let json = echo.trim_start_matches("$ echo '").split('\'').next().unwrap();
    let hex = blazedb(&["record", "encode"], json);
    assert_eq!(hex.trim_end(), after("$ blazedb record encode"));
    assert_eq!(blazedb(&["record", "decode"], &hex).trim_end(), after("$ blazedb record decode"));
}
