//! The commands of the binary.

pub mod frames;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One database for an application's records, its live queries and its telemetry.
#[derive(Debug, Parser)]
#[command(name = "blazedb", version, arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the frames of a capture
    Frames(frames::FramesArgs),
}

/// Runs a command and tells a failure on stderr.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Frames(args) => frames::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("blazedb: {error}");
            ExitCode::FAILURE
        }
    }
}
