//! The binary, run as a user runs it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// The binary with these arguments, its three streams in the test's hands.
pub(crate) fn blazedb(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blazedb"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end over `input`, which it need not read: it may be gone before.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}
