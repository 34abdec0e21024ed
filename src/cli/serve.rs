//! `serve`: runs a server until it is told to stop.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;

use super::connect::{program, url_option};
use super::{ExitStatus, Failure};
use crate::log::Tail;
use crate::server::limits::{CHECKPOINT_BYTES, DEFAULT_DATA_DIR, DEFAULT_LISTEN, MIN_CHECKPOINT_BYTES};
use crate::server::{Config, Ending, Finding, Place, Server, ServerError, StoreKind};
use crate::store::directory::DirectoryError;
use crate::transport::Url;
use crate::wire::DatabaseName;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where to listen; only addresses of this machine, until clients can be authenticated
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Where data lies; made if it is not there
    #[arg(long, value_name = "DIRECTORY", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// What keeps the view of the log
    #[arg(long, value_enum, default_value_t = Store::Lsm)]
    store: Store,
    /// Keep everything in memory: it is gone when the server stops
    #[arg(long, conflicts_with_all = ["data_dir", "store"])]
    memory: bool,
    /// Make this database if it is not there (an empty directory gets `main` by itself)
    #[arg(long, value_name = "NAME")]
    create: Option<String>,
    /// Make a checkpoint after so many bytes of changes: fewer let a restart replay less, and the disk write more
    #[arg(long, value_name = "BYTES", default_value_t = CHECKPOINT_BYTES, value_parser = clap::value_parser!(u64).range(MIN_CHECKPOINT_BYTES..))]
    checkpoint_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// On disk
    Lsm,
    /// In memory, rebuilt from the log at each start
    Memory,
}

const EXAMPLES: &str = "\
Examples:
  blazedb serve
  blazedb serve --data-dir /var/lib/blazedb --create shop
  blazedb serve --memory --listen 127.0.0.1:0

SIGINT and SIGTERM stop it: clients are told, a checkpoint is made. A second one stops it at once; nothing that was
acknowledged is lost.

Exit status: 0 when it was stopped, 1 when it could not start, 2 for a wrong command line or an address beyond this
machine, 10 when the address is in use, 11 when another process has the data directory, 12 when the directory was
written by a newer release or is none of BlazeDB's, 13 when storage failed while it ran, 14 when it was stopped at
once.";

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let place = if args.memory {
        Place::Memory
    } else {
        let kind = match args.store {
            Store::Lsm => StoreKind::Lsm,
            Store::Memory => StoreKind::Memory,
        };
        Place::Directory(args.data_dir, kind)
    };
    let config = Config::new(args.listen, place.clone(), args.create).map_err(|error| failure(&error))?;
    let config = config.with_checkpoint_bytes(args.checkpoint_bytes);
    let server = Server::start(&config).map_err(|error| failure(&error))?;
    let address = server.address().map_err(Failure::new)?;
    // Whoever started it without a terminal does without the banner.
    let _ = banner(&mut io::stdout().lock(), address, &place, server.findings());
    ended(server.run())
}

/// How the end of a server is told.
pub(super) fn ended(outcome: Result<Ending, ServerError>) -> Result<(), Failure> {
    match outcome.map_err(|error| failure(&error))? {
        Ending::Graceful => Ok(()),
        Ending::AtOnce => {
            let line = "stopped at once; what was acknowledged is in the log".to_owned();
            Err(Failure::Status(ExitStatus::StoppedAtOnce, line))
        }
    }
}

/// Why a server did not start, with its status.
pub(super) fn failure(error: &ServerError) -> Failure {
    use crate::engine::EngineError;
    let status = match error {
        ServerError::NotLoopback(_) | ServerError::InvalidName { .. } => ExitStatus::Usage,
        ServerError::AddressInUse(_) => ExitStatus::AddressInUse,
        ServerError::Directory(DirectoryError::Locked { .. }) => ExitStatus::DirectoryLocked,
        ServerError::Directory(DirectoryError::Newer { .. } | DirectoryError::Foreign { .. })
        | ServerError::OtherStore(_)
        | ServerError::Database { error: EngineError::Unusable(_), .. } => ExitStatus::DirectoryUnusable,
        ServerError::Storage(_) => ExitStatus::StorageFailed,
        _ => ExitStatus::Failed,
    };
    Failure::Status(status, error.to_string())
}

fn banner<'a>(
    out: &mut impl Write,
    address: SocketAddr,
    place: &Place,
    findings: impl Iterator<Item = Finding<'a>>,
) -> io::Result<()> {
    writeln!(out, "BlazeDB {} is listening on {address}", env!("CARGO_PKG_VERSION"))?;
    match place {
        Place::Directory(path, kind) => writeln!(out, "  data      {} ({kind:?})", path.display())?,
        Place::Memory => writeln!(out, "  data      in memory, gone when this stops")?,
    }
    let mut first = None;
    for finding in findings {
        writeln!(out, "  database  {}: {}", finding.name, what_was_found(&finding))?;
        first.get_or_insert(finding.name);
    }
    let url = Url::from(address);
    let url = match first.map(DatabaseName::new) {
        Some(Ok(name)) => url.with_database(name),
        _ => url,
    };
    let (program, url) = (program(), url_option(&url));
    writeln!(out, "  try       {program} put notes --record '{{\"title\":\"Hello\"}}'{url}")?;
    writeln!(out, "            {program} scan notes{url}")?;
    writeln!(out, "            {program} stats{url}")?;
    writeln!(out, "  stop      Ctrl-C")?;
    out.flush()
}

fn what_was_found(finding: &Finding<'_>) -> String {
    if let Some(reason) = finding.read_only {
        return format!("READ-ONLY, {reason}");
    }
    if finding.opening.is_new {
        return "new".to_owned();
    }
    let replayed = finding.opening.replayed;
    let room = if finding.lacks_room {
        "; THE DISK IS FULL: it reads, and takes writes again when there is room"
    } else {
        ""
    };
    let end = match finding.opening.log.as_ref().map(|report| &report.tail) {
        Some(Tail::Unvouched { file, from, to }) if to > from => {
            format!("; {file} ends in a write that was never acknowledged (bytes {from} to {to}), ignored")
        }
        _ => String::new(),
    };
    match replayed {
        0 => format!("as it was left{end}{room}"),
        1 => format!("recovered, 1 transaction from the log{end}{room}"),
        _ => format!("recovered, {replayed} transactions from the log{end}{room}"),
    }
}
