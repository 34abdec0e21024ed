//! The commands of the binary: the command tree, exit statuses, and how a failure is told.
//!
//! Each command is a module with its arguments (a clap type) and a `run` that returns `Result<(), Failure>`; a new
//! one is added as a module, a variant of `Command` and an arm of [`run`].

mod frames;
mod input;
mod record;
mod serve;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One database for an application's records, its live queries and its telemetry.
#[derive(Debug, Parser)]
#[command(name = "blazedb", version, arg_required_else_help = true, subcommand_required = true)]
#[command(after_help = EXAMPLES, max_term_width = HELP_COLUMNS)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Lines of prose are hard to read when they are longer.
const HELP_COLUMNS: usize = 100;

const EXAMPLES: &str = "\
Examples:
  echo '{\"title\":\"Hello\",\"priority\":1}' | blazedb record encode
  blazedb record decode records.hex
  blazedb frames session.blaze
  blazedb serve
  blazedb record --help

Exit status: 0 when done, 1 when something could not be done, 2 for a wrong command line; others are named by the help
of the command that has them.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn records into bytes and back
    Record(record::Args),
    /// Print the frames of a capture
    Frames(frames::FramesArgs),
    /// Run a server
    Serve(serve::Args),
}

/// How a run ended, as the status that the shell sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done, or the reader of the output wanted no more.
    Done = 0,
    /// Something could not be done; one line on stderr says what, and what to do.
    Failed = 1,
    /// The command line is wrong. Clap ends the process with it before [`run`] is reached.
    Usage = 2,
    /// Someone listens on the address already.
    AddressInUse = 10,
    /// Another process has the data directory.
    DirectoryLocked = 11,
    /// The data directory is not what this binary can open.
    DirectoryUnusable = 12,
    /// A write or a sync failed while the server ran; it must be started again.
    StorageFailed = 13,
    /// The server was told twice to stop.
    StoppedAtOnce = 14,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command ended early.
#[derive(Debug)]
enum Failure {
    /// What could not be done, in one line.
    Message(String),
    /// The same, with a status of its own.
    Status(ExitStatus, String),
    /// Nobody reads the output any more, as behind `| head`: no fault.
    OutputClosed,
}

impl Failure {
    fn new(message: impl Display) -> Self {
        Self::Message(message.to_string())
    }

    /// What a failed write to stdout means.
    fn writing(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::new(format_args!("cannot write the output: {error}")),
        }
    }
}

/// Writes a line to stderr. Where that is closed too there is nobody left to tell.
fn tell(line: impl Display) {
    let _ = writeln!(io::stderr(), "blazedb: {line}");
}

/// Runs a command and tells a failure on stderr.
pub fn run(cli: Cli) -> ExitStatus {
    let outcome = match cli.command {
        Command::Record(args) => record::run(args),
        Command::Frames(args) => frames::run(&args),
        Command::Serve(args) => serve::run(args),
    };
    match outcome {
        Ok(()) | Err(Failure::OutputClosed) => ExitStatus::Done,
        Err(Failure::Message(message)) => {
            tell(message);
            ExitStatus::Failed
        }
        Err(Failure::Status(status, message)) => {
            tell(message);
            status
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{}", command.get_name());
            command.get_subcommands().filter(|sub| sub.get_name() != "help").for_each(check);
        }
        check(&Cli::command());
    }
}
