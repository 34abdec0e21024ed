//! The binary: parses the command line and hands over to [`blazedb::cli`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

use blazedb::cli::{self, Cli};
use clap::Parser;

/// An operation makes some twenty small allocations that live for milliseconds (`spec/adr/0024-one-busy-core.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Cli::parse()).into()
}
