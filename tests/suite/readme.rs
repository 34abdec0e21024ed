//! The README's transcripts are what the binary does.

use crate::command::{blazedb, run};
use crate::server_kit::Process;

/// What the binary prints over `input`.
fn printed(args: &[&str], input: &str) -> String {
    let output = run(&mut blazedb(args), input.as_bytes());
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of the README's block that holds `command`.
fn block(command: &str) -> Vec<&'static str> {
    let readme = include_str!("../../README.md");
    readme.split("```").find(|block| block.contains(command)).unwrap().trim().lines().collect()
}

/// The words of a line as a shell splits them, as far as the README needs it: blanks, and single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn the_served_transcript_holds() {
    let directory = tempfile::tempdir().unwrap();
    let server = Process::start(directory.path());
    let url = format!("blaze://{}/main", server.address);
    let mut commands = 0;
    let mut found = String::new();
    let mut expected = Vec::new();
    for line in block("$ blazedb put notes") {
        let Some(command) = line.strip_prefix("$ blazedb ") else {
            expected.push(line);
            continue;
        };
        let mut args = words(command);
        args.extend(["--url".to_owned(), url.clone()]);
        found.push_str(&printed(&args.iter().map(String::as_str).collect::<Vec<_>>(), ""));
        commands += 1;
    }
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    assert_eq!(commands, 4);
    server.stop();
}

#[test]
fn the_encoding_transcript_holds() {
    let transcript = block("$ echo");
    let after = |command: &str| {
        let at = transcript.iter().position(|line| line.starts_with(command)).unwrap();
        transcript[at + 1]
    };
    let echo = transcript.iter().find(|line| line.starts_with("$ echo '")).unwrap();
    let json = echo.trim_start_matches("$ echo '").split('\'').next().unwrap();
    let hex = printed(&["record", "encode"], json);
    assert_eq!(hex.trim_end(), after("$ blazedb record encode"));
    assert_eq!(printed(&["record", "decode"], &hex).trim_end(), after("$ blazedb record decode"));
}
