//! The README's transcripts are what the binary does.

use crate::cli_demo::Demo;
use crate::command::{blazedb, run};

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

/// The demo's banner is the README's, but for where it listens, where its data lies and how it was called.
#[test]
fn the_demo_is_what_the_readme_shows() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    let address = demo.url().trim_start_matches("blaze://").to_owned();
    let as_shown = |line: &String| {
        let line = line.split(" --url ").next().unwrap();
        let line = line.replace(env!("CARGO_BIN_EXE_blazedb"), "target/release/blazedb");
        line.replace(&address, "127.0.0.1:25293")
            .replace(directory.path().to_str().unwrap(), "./blazedb-demo")
    };
    let shown = block("$ cargo run --release -- demo");
    assert_eq!(demo.banner.iter().map(as_shown).collect::<Vec<_>>(), shown[1..]);
    let commands = check_transcript("$ blazedb scan flights", &demo.url());
    assert_eq!(commands, 6);
    demo.stop();
}

/// Runs the commands of the README's block that holds `command`, and checks what they print. Answers how many there were.
#[track_caller]
fn check_transcript(command: &str, url: &str) -> usize {
    let mut commands = 0;
    let mut found = String::new();
    let mut expected = Vec::new();
    for line in block(command) {
        let Some(command) = line.strip_prefix("$ blazedb ") else {
            expected.push(line);
            continue;
        };
        let mut args = words(command);
        args.extend(["--url".to_owned(), url.to_owned()]);
        found.push_str(&printed(&args.iter().map(String::as_str).collect::<Vec<_>>(), ""));
        commands += 1;
    }
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    commands
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
