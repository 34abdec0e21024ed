//! `completion`: what a shell needs to complete the commands and their options.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Failure};

const EXAMPLES: &str = "\
Examples:
  blazedb completion bash > ~/.local/share/bash-completion/completions/blazedb
  blazedb completion zsh > \"${fpath[1]}/_blazedb\"
  blazedb completion fish > ~/.config/fish/completions/blazedb.fish
  source <(blazedb completion bash)

A shell that runs already reads the file when it is started anew; the last line is for this shell alone.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    // Into memory first: the generator panics where its sink fails, as a closed pipe does.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "blazedb", &mut script);
    let mut stdout = io::stdout().lock();
    stdout.write_all(&script).and_then(|()| stdout.flush()).map_err(|error| Failure::writing(&error))
}
