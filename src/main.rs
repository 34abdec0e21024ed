//! The binary: parses the command line and hands over to [`blazedb::cli`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

use blazedb::cli::{self, Cli};
use clap::Parser;

fn main() -> ExitCode {
    cli::run(Cli::parse()).into()
}
