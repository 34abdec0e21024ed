//! `conformance`: holds a server, or a client, against the specification.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;

use clap::Subcommand;

use super::connect::{Target, dialer, runtime};
use super::{ExitStatus, Failure};
use crate::conformance::{self, ClientStage, Exclusions, Listen, Report, Restart, Selection, Title};
use crate::transport::Url;

/// Arguments of `conformance`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Play clients against a server, and report clause by clause
    Server(ServerArgs),
    /// Play servers against a client, which a program drives, and report clause by clause
    Client(ClientArgs),
}

/// What both roles are told.
#[derive(Debug, clap::Args)]
struct Choices {
    /// Print the cases and their clauses, and run none
    #[arg(long)]
    list: bool,
    /// Run this case alone, or, with a dot at its end, all that begin so; may be given several times
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// A file of cases that need not pass: one a line, the id, a tab, the reason
    #[arg(long, value_name = "FILE")]
    exclude: Option<PathBuf>,
    /// Write the results as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print the cases that passed, too
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = SERVER_EXAMPLES)]
struct ServerArgs {
    /// The server and the database; it writes only into collections that begin with conformance_, and drops them
    #[arg(long, value_name = "URL", default_value = "blaze://127.0.0.1:25293/main")]
    target: String,
    /// Run the cases that take half a minute and more, too
    #[arg(long)]
    slow: bool,
    /// A command for the shell that kills the server (kill -9) and starts it again at the same address; runs the cases
    /// of what must survive that
    #[arg(long, value_name = "COMMAND")]
    restart: Option<String>,
    #[command(flatten)]
    choices: Choices,
}

#[derive(Debug, clap::Args)]
#[command(after_help = CLIENT_EXAMPLES)]
struct ClientArgs {
    /// Where to listen: ADDRESS:PORT, ws:ADDRESS:PORT or unix:PATH; with port 0 each case has a port of its own and several
    /// run at once, else one after another
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: Listen,
    /// Run the cases that take half a minute and more, too
    #[arg(long)]
    slow: bool,
    #[command(flatten)]
    choices: Choices,
    /// The program that drives the client, as conformance/client-contract.md says, and its arguments
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "list")]
    command: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  blazedb conformance server --target blaze://127.0.0.1:25293/main
  blazedb conformance client -- python3 driver.py

Exit status: 0 when nothing failed that is not excluded, 1 when something did.";

const SERVER_EXAMPLES: &str = "\
Examples:
  blazedb conformance server --target blaze://127.0.0.1:25293/main
  blazedb conformance server --target 'wss://db.example.org/blaze?db=test' --ca authority.pem
  blazedb conformance server --list
  blazedb conformance server --only frame. --only credit.work.returns --verbose
  blazedb conformance server --exclude known.tsv --junit results.xml --slow
  blazedb conformance server --restart 'systemctl kill -s KILL blazedb; systemctl start blazedb'

Exit status: 0 when nothing failed that is not excluded, 1 when something did.";

const CLIENT_EXAMPLES: &str = "\
Examples:
  blazedb conformance client -- python3 driver.py
  blazedb conformance client --only client.resume. --verbose -- node driver.mjs
  blazedb conformance client --listen ws:127.0.0.1:0 -- node driver.mjs
  blazedb conformance client --list

Exit status: 0 when nothing failed that is not excluded, 1 when something did.";

/// Runs the command.
pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    match args.role {
        Role::Server(args) => check_server(target, args),
        Role::Client(args) => check_client(args),
    }
}

fn check_server(global: &Target, args: ServerArgs) -> Result<(), Failure> {
    if args.choices.list {
        return list(conformance::server_cases());
    }
    let url: Url = args.target.parse().map_err(|error| Failure::usage(format_args!("--target: {error}")))?;
    let server = dialer(global, &url);
    let selection = selection(&args.choices, args.slow, conformance::server_cases())?;
    let report =
        runtime()?.block_on(conformance::check_server(&server, args.restart.map(restart), &selection));
    tell(&report.map_err(|error| Failure::Status(ExitStatus::Unreachable, error.to_string()))?, &args.choices)
}

fn check_client(args: ClientArgs) -> Result<(), Failure> {
    if args.choices.list {
        return list(conformance::client_cases());
    }
    let selection = selection(&args.choices, args.slow, conformance::client_cases())?;
    let stage = ClientStage { listen: args.listen, command: args.command };
    tell(&runtime()?.block_on(conformance::check_client(&stage, &selection)), &args.choices)
}

fn list(cases: impl Iterator<Item = Title>) -> Result<(), Failure> {
    let rows: Vec<String> = cases.map(|case| [case.id, case.title, case.clauses].join("\t")).collect();
    print(&rows.join("\n"))
}

fn selection(
    choices: &Choices,
    slow: bool,
    cases: impl Iterator<Item = Title>,
) -> Result<Selection, Failure> {
    let ids: Vec<&str> = cases.map(|case| case.id).collect();
    let only = known(choices.only.clone(), &ids)?;
    Ok(Selection { only, slow, exclusions: exclusions(choices.exclude.as_deref(), &ids)? })
}

/// The ids that are to run; one that names no case is a mistake.
fn known(only: Vec<String>, ids: &[&str]) -> Result<Vec<String>, Failure> {
    let names_one = |name: &String| {
        ids.iter().any(|id| id == name || (name.ends_with('.') && id.starts_with(name.as_str())))
    };
    match only.iter().find(|name| !names_one(name)) {
        Some(name) => Err(Failure::usage(format_args!("--only: there is no case '{name}'; see --list"))),
        None => Ok(only),
    }
}

fn exclusions(file: Option<&Path>, ids: &[&str]) -> Result<Exclusions, Failure> {
    let Some(path) = file else { return Ok(Exclusions::default()) };
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(format_args!("cannot read {}: {error}", path.display())))?;
    Exclusions::parse(&text, |id| ids.contains(&id))
        .map_err(|error| Failure::new(format_args!("{}: {error}", path.display())))
}

fn restart(command: String) -> Restart {
    Arc::new(move || {
        let status = Process::new("sh").args(["-c", &command]).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("'{command}' ended with {status}")))
        }
    })
}

fn print(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{}", text.trim_end()).map_err(|error| Failure::writing(&error))
}

fn tell(report: &Report, choices: &Choices) -> Result<(), Failure> {
    if let Some(path) = &choices.junit {
        fs::write(path, report.junit())
            .map_err(|error| Failure::new(format_args!("cannot write {}: {error}", path.display())))?;
    }
    print(&report.text(choices.verbose))?;
    if report.is_clean() {
        return Ok(());
    }
    Err(Failure::new(format_args!("the {} is not as the specification says; see above", report.role)))
}
