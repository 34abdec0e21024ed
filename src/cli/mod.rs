//! The commands of the binary: the command tree, exit statuses, and how a failure is told.
//!
//! Each command is a module with its arguments (a clap type) and a `run` that returns `Result<(), Failure>`; a new
//! one is added as a module, a variant of `Command` and an arm of [`run`].

mod bench;
mod completion;
mod conformance;
mod connect;
mod delete;
mod demo;
mod drop;
mod export;
mod frames;
mod get;
mod import;
mod input;
mod output;
mod patch;
mod progress;
mod proxy;
mod put;
mod record;
mod scan;
mod serve;
mod stats;
mod verify;
mod watch;

pub use import::fuzzing;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A self-hosted database of records: the server and its command line in one program.
#[derive(Debug, Parser)]
#[command(name = "blazedb", version, arg_required_else_help = true, subcommand_required = true)]
#[command(after_help = EXAMPLES, max_term_width = HELP_COLUMNS)]
pub struct Cli {
    #[command(flatten)]
    target: connect::Target,
    #[command(subcommand)]
    command: Command,
}

/// Lines of prose are hard to read when they are longer.
const HELP_COLUMNS: usize = 100;

const EXAMPLES: &str = "\
Examples:
  blazedb demo
  blazedb serve
  echo '{\"title\":\"Hello\",\"priority\":1}' | blazedb put notes
  blazedb scan notes --limit 10
  blazedb watch notes
  blazedb import flights flights.csv.gz --null NA
  blazedb --url blaze://db.example.org/app stats
  echo '{\"title\":\"Hello\",\"priority\":1}' | blazedb record encode
  blazedb bench insert --clients 64

Exit status:
  0  done
  1  something could not be done
  2  the command line is wrong
  3  there is no connection to a server
  4  the server refused
Others are named by the help of the command that has them. \
Every failure is told in one line on stderr, with what to do about it.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write records: create them, or replace those that have their ids
    Put(put::Args),
    /// Print records by their ids
    Get(get::Args),
    /// Set and remove fields of a record
    Patch(patch::Args),
    /// Delete records by their ids
    Delete(delete::Args),
    /// Remove a collection with all its records
    Drop(drop::Args),
    /// Print the records of a collection in the order of their ids
    Scan(scan::Args),
    /// Print the changes of a collection as they happen
    Watch(watch::Args),
    /// Read the records of a file into a collection
    Import(import::Args),
    /// Write the records of a collection into a file
    Export(export::Args),
    /// Print how many records each collection has
    Stats(stats::Args),
    /// Turn records into their bytes and back, without a server
    Record(record::Args),
    /// Print the protocol's frames from a capture or a log file
    Frames(frames::FramesArgs),
    /// Carry connections on to a server and record them
    Proxy(proxy::Args),
    /// Put a server under load and print its throughput and latencies
    Bench(bench::Args),
    /// Hold a server or a client of any make against the specification
    Conformance(conformance::Args),
    /// Run a server
    Serve(serve::Args),
    /// Read everything in a data directory again, and accept damage to it
    Verify(verify::Args),
    /// Run a server with sample data that changes, to try things on
    Demo(demo::Args),
    /// Print the script with which a shell completes commands
    Completion(completion::Args),
}

/// How a run ended, as the status that the shell sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done, or the reader of the output wanted no more.
    Done = 0,
    /// Something could not be done; one line on stderr says what, and what to do.
    Failed = 1,
    /// The command line is wrong; mostly clap ends the process with it before [`run`] is reached.
    Usage = 2,
    /// There is no connection to a server: none listens, something else does, or the network broke.
    Unreachable = 3,
    /// The server refused: there is no such database or collection, or an operation was refused.
    Refused = 4,
    /// Records of a file could not be imported; the others are.
    Rejected = 5,
    /// The changes that were asked for are not held.
    CannotGoOn = 6,
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
    /// What is stored is damaged.
    Damaged = 20,
    /// The user interrupted it (128 and the number of SIGINT, as shells have it).
    Interrupted = 130,
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
    /// The same with a status of its own.
    Status(ExitStatus, String),
    /// Nobody reads the output any more, as behind `| head`: no fault.
    OutputClosed,
}

impl Failure {
    fn new(message: impl Display) -> Self {
        Self::Message(message.to_string())
    }

    /// The same failure, with a sentence behind it.
    fn with_advice(self, advice: &str) -> Self {
        let with = |message: String| format!("{} {advice}", message.trim_end());
        match self {
            Self::Message(message) => Self::Message(with(message)),
            Self::Status(status, message) => Self::Status(status, with(message)),
            Self::OutputClosed => Self::OutputClosed,
        }
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
    progress::around(|| {
        let _ = writeln!(io::stderr(), "blazedb: {line}");
    });
}

/// Runs a command and tells a failure on stderr.
pub fn run(cli: Cli) -> ExitStatus {
    let outcome = match cli.command {
        Command::Put(args) => put::run(&cli.target, args),
        Command::Get(args) => get::run(&cli.target, args),
        Command::Patch(args) => patch::run(&cli.target, args),
        Command::Delete(args) => delete::run(&cli.target, args),
        Command::Drop(args) => drop::run(&cli.target, args),
        Command::Scan(args) => scan::run(&cli.target, args),
        Command::Watch(args) => watch::run(&cli.target, args),
        Command::Import(args) => import::run(&cli.target, args),
        Command::Export(args) => export::run(&cli.target, args),
        Command::Stats(args) => stats::run(&cli.target, args),
        Command::Record(args) => record::run(args),
        Command::Frames(args) => frames::run(&args),
        Command::Proxy(args) => proxy::run(&args, &cli.target),
        Command::Bench(args) => bench::run(&cli.target, args),
        Command::Conformance(args) => conformance::run(&cli.target, args),
        Command::Serve(args) => serve::run(args),
        Command::Verify(args) => verify::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::Completion(args) => completion::run(&args),
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

    /// The terminal wraps prose; a line break of the source's in its midst would be a second one.
    #[test]
    fn prose_is_one_line_a_paragraph() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
            for (line, next) in help.lines().zip(help.lines().skip(1)) {
                assert!(!is_prose(line) || next.is_empty(), "{}: {line}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
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
