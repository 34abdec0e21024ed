//! `serve`: runs a server until it is told to stop.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;

use super::connect::{program, url_option};
use super::{ExitStatus, Failure};
use crate::log::Tail;
use crate::server::limits::{CHECKPOINT_BYTES, DEFAULT_DATA_DIR, DEFAULT_LISTEN, MIN_CHECKPOINT_BYTES};
use crate::server::{
    Admission, Config, Ending, Finding, Listen, Origin, Place, Server, ServerError, StoreKind,
};
use crate::store::directory::DirectoryError;
use crate::transport::Url;
use crate::transport::url::Scheme;
use crate::wire::DatabaseName;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where to listen: an address of this machine, or a Unix socket that its owner can reach; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT|unix:PATH", default_value = DEFAULT_LISTEN)]
    listen: Vec<Listen>,
    /// The certificate to show under TLS, and those that vouch for it, in PEM; without it the server makes its own and
    /// prints its fingerprint
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Let web pages of this origin connect, beside those of http://localhost and http://127.0.0.1 in a browser on this
    /// machine; the port may be *
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<Origin>,
    /// Speak with other machines without TLS, too: everybody on the way can read and change what travels
    #[arg(long)]
    allow_plaintext: bool,
    /// Listen on addresses that other machines can reach: everybody who reaches them can read and change everything
    #[arg(long)]
    insecure_no_auth: bool,
    /// Where data lies; made if it is not there
    #[arg(long, value_name = "DIRECTORY", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// Where the records are kept beside the log
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
    /// On disk: the fastest to start, and the only one whose log is trimmed
    Lsm,
    /// In memory, rebuilt from the log at each start, which keeps everything
    Memory,
    /// On disk by the crate sled, for comparison: after a kill or a power cut it is rebuilt from the log, which keeps
    /// everything; each start reads all of it; it loads some seven times slower than lsm, on twice the disk
    #[cfg(feature = "sled")]
    Sled,
}

const EXAMPLES: &str = "\
Examples:
  blazedb serve
  blazedb serve --data-dir /var/lib/blazedb --create shop
  blazedb serve --memory --listen 127.0.0.1:0
  blazedb serve --listen 127.0.0.1:25293 --listen unix:/run/blazedb.sock
  blazedb serve --tls-cert chain.pem --tls-key key.pem --allow-origin https://app.example.org

One port takes them all: blaze:// and ws://, blazes:// and wss:// under TLS, and http:// for /livez, /readyz and /metrics. \
SIGHUP has the certificate read again by a server that was not started at a terminal.

SIGINT and SIGTERM stop it: clients are told, a checkpoint is made. A second one stops it at once; nothing that was \
acknowledged is lost.

Exit status: 0 when it was stopped, 1 when it could not start, 2 for a wrong command line or an address beyond this \
machine, 10 when the address is in use, 11 when another process has the data directory, 12 when the directory was \
written by a newer release or is none of BlazeDB's, 13 when storage failed while it ran, 14 when it was stopped at \
once.";

/// Runs the command.
pub(super) fn run(args: Args) -> Result<(), Failure> {
    let place = if args.memory {
        Place::Memory
    } else {
        let kind = match args.store {
            Store::Lsm => StoreKind::Lsm,
            Store::Memory => StoreKind::Memory,
            #[cfg(feature = "sled")]
            Store::Sled => StoreKind::Sled,
        };
        Place::Directory(args.data_dir, kind)
    };
    let admission = Admission {
        insecure_no_auth: args.insecure_no_auth,
        allow_plaintext: args.allow_plaintext,
        origins: args.allow_origin,
        certificate: args.tls_cert.zip(args.tls_key),
    };
    let config = Config::listening(args.listen, admission, place.clone(), args.create);
    let config = config.map_err(|error| failure(&error))?;
    let config = config.with_checkpoint_bytes(args.checkpoint_bytes);
    let server = Server::start(&config).map_err(|error| failure(&error))?;
    // Whoever started it without a terminal does without the banner.
    let _ = banner(&mut io::stdout().lock(), &server, &place);
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
        | ServerError::KeptByLsm { .. }
        | ServerError::KeptBySled { .. }
        | ServerError::Database { error: EngineError::Unusable(_), .. } => ExitStatus::DirectoryUnusable,
        ServerError::Storage(_) => ExitStatus::StorageFailed,
        _ => ExitStatus::Failed,
    };
    Failure::Status(status, error.to_string())
}

fn banner(out: &mut impl Write, server: &Server, place: &Place) -> io::Result<()> {
    let (first, others) = server.urls().split_first().ok_or(io::ErrorKind::NotFound)?;
    writeln!(out, "BlazeDB {} is listening on {}", env!("CARGO_PKG_VERSION"), first.address())?;
    match place {
        Place::Directory(path, kind) => writeln!(out, "  data      {} ({})", path.display(), kind.name())?,
        Place::Memory => writeln!(out, "  data      in memory, gone when this stops")?,
    }
    let mut database = None;
    for finding in server.findings() {
        writeln!(out, "  database  {}: {}", finding.name, what_was_found(&finding))?;
        database.get_or_insert(finding.name);
    }
    let of_database = |url: &Url| match database.map(DatabaseName::new) {
        Some(Ok(name)) => url.clone().with_database(name),
        _ => url.clone(),
    };
    for other in others {
        writeln!(out, "  also on   {}", of_database(other))?;
    }
    let reached_by_tls = server.urls().iter().find(|url| url.scheme() == Scheme::Blaze);
    if let (Some(url), Some(pin)) = (reached_by_tls, server.pin()) {
        writeln!(out, "  tls       {}", of_database(url).with_tls(pin))?;
    }
    if let Some(key) = server.exposed_key() {
        let key = key.display();
        writeln!(
            out,
            "  WARNING   every user of this machine can read or change {key}: chmod 600 it, or make a new one"
        )?;
    }
    let url = of_database(first);
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
