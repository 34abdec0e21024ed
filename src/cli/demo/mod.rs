//! `demo`: a server with a sample in it and something going on, to be looked at.
//!
//! The sample and the changes go over TCP like any client's.

mod board;
mod sample;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;

use tokio::sync::oneshot;

use super::connect::{options_for, program, runtime, url_option};
use super::output::grouped;
use super::serve::{ended, failure};
use super::{ExitStatus, Failure};
use crate::client::{Client, Options};
use crate::engine::Environment;
use crate::server::limits::DEFAULT_LISTEN;
use crate::server::{Config, Listen, Machine, Place, Server, ServerError, StoreKind};
use crate::transport::Url;
use board::{BOARD, Board, INTERVAL};
use sample::{FLIGHTS, Loaded};

/// Where the demo's data lies unless told otherwise: not where a server's does.
const DEFAULT_DATA_DIR: &str = "./blazedb-demo";
const EXAMPLES: &str = "\
Examples:
  blazedb demo
  blazedb demo --listen 127.0.0.1:0
  blazedb demo --data-dir /tmp/blazedb-demo

It holds 1,000 flights that departed New York City in 2013 (collection flights) and a departures board that changes about \
three times a second (collection board). The data stays; the next start goes on with it and loads nothing twice. To begin \
anew, remove the directory.

It is a server like that of 'blazedb serve', and stops like it: with Ctrl-C. Its exit statuses are the same.";

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Where data lies; made if it is not there
    #[arg(long, value_name = "DIRECTORY", default_value = DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    let Args { listen, data_dir } = args;
    let place = Place::Directory(data_dir.clone(), StoreKind::Lsm);
    let config = Config::new(listen, place, None).map_err(|error| failure(&error))?;
    let server = Server::start(&config).map_err(|error| not_started(&error))?;
    let url = server.urls().first().cloned().ok_or_else(|| Failure::new("the server listens nowhere"))?;
    let (report, stopped) = oneshot::channel();
    let (told, outcome) = sync_channel(1);
    std::thread::spawn(move || {
        // Whoever is told may be gone by then.
        let _ = told.send(server.run());
        let _ = report.send(());
    });
    runtime()?.block_on(async {
        tokio::select! {
            failed = live(&url, &data_dir) => failed,
            _ = stopped => Ok(()),
        }
    })?;
    let outcome = outcome.recv().map_err(|_| Failure::new("the server ended without a word"))?;
    ended(outcome)
}

/// Loads the sample, says what to do next, and keeps the board going until the server stops.
async fn live(url: &Url, data_dir: &std::path::Path) -> Result<(), Failure> {
    // It ends with the server, which is of the same process.
    let client = Client::connect(url, Options { patience: None, ..options_for(url) }).await?;
    let flights = sample::flights()?;
    let loaded = sample::load(&client, &flights).await?;
    // Whoever started it without a terminal does without the banner.
    let _ = banner(&mut io::stdout().lock(), url, data_dir, loaded);
    let machine = Machine::new();
    let mut board = Board::open(&client, flights).await?;
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let now = i64::try_from(machine.unix_ms()).unwrap_or(i64::MAX);
        // A person may have changed the board, or the disk is full: it is looked at again and gone on with.
        if board.turn(&client, now, machine.random()).await.is_err()
            && let Ok(anew) = Board::open(&client, sample::flights()?).await
        {
            board = anew;
        }
    }
}

fn banner(out: &mut impl Write, url: &Url, data_dir: &std::path::Path, loaded: Loaded) -> io::Result<()> {
    let (program, option) = (program(), url_option(url));
    writeln!(out, "BlazeDB {} demo is listening on {}", env!("CARGO_PKG_VERSION"), url.address())?;
    writeln!(out, "  data      {}", data_dir.display())?;
    match loaded {
        Loaded::Now(count) => {
            writeln!(
                out,
                "  {FLIGHTS}   {} that departed New York City in 2013, loaded over TCP",
                grouped(count)
            )?;
        }
        Loaded::Before(count) => {
            writeln!(out, "  {FLIGHTS}   {} of an earlier start; nothing was loaded again", grouped(count))?;
        }
    }
    writeln!(out, "  {BOARD}     departures, which change about three times a second")?;
    writeln!(out, "  try       {program} scan {FLIGHTS} --limit 5{option}")?;
    writeln!(out, "            {program} watch {BOARD}{option}")?;
    writeln!(out, "            {program} stats{option}")?;
    writeln!(out, "  stop      Ctrl-C")?;
    out.flush()
}

/// As of a server; a used port has a way out that can be pasted.
fn not_started(error: &ServerError) -> Failure {
    let ServerError::AddressInUse(Listen::Tcp(address)) = error else { return failure(error) };
    let line = format!(
        "{address} is in use, perhaps by a server that runs already: stop that, or try '{} demo --listen {}:0', which \
         takes a free port",
        program(),
        address.ip()
    );
    Failure::Status(ExitStatus::AddressInUse, line)
}
