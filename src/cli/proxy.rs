//! `proxy`: carries connections on to a server, untouched, and records them.

mod carry;
mod recorder;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use super::connect::{Target, dialer, program, runtime};
use super::{ExitStatus, Failure, tell};
use crate::transport::{Url, UrlError};
use carry::{Way, carry};
use recorder::{RecordError, Recorder};

/// Connections that are carried at once; further ones wait in the system's backlog. Each takes two buffers of 64 KiB.
const MAX_CONNECTIONS: usize = 64;
/// How large a capture becomes unless asked otherwise: a proxy that was forgotten must not fill the disk.
const DEFAULT_CAPTURE_BYTES: u64 = 1 << 30;
/// How long to wait after an accept that failed, as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  blazedb proxy 127.0.0.1:25294 127.0.0.1:25293 --capture session.capture
  blazedb --url blaze://127.0.0.1:25294 scan notes
  blazedb frames session.capture
  blazedb proxy 127.0.0.1:0 db.example.org:25293 --capture one.capture --connections 1
  blazedb proxy 127.0.0.1:0 unix:/run/blazedb.sock --capture local.capture
  blazedb proxy 127.0.0.1:0 'wss://db.example.org/blaze?pin=sha256:HEX' --capture web.capture

To a host and a port bytes are carried on as they come, whatever they are. To a URL they are carried in its way (TLS, a WebSocket, a \
Unix socket), and clients speak to the proxy in the clear: the capture holds the frames. The database that a URL names is not \
looked at, since each client names its own.

Bytes are carried on as they come; what they mean is not looked at, so that broken ones can be recorded too. Each piece is in \
the capture before it is carried on: however the proxy ends, what a side has seen is there. Of connections under TLS the \
capture holds what TLS made of them. The format is spec/capture.md.

The capture holds everything that passes, secrets too; only its owner can read it. Ctrl-C ends the proxy and the connections \
that it carries.

Exit status: 0 when it was stopped or reached what it was asked for, 1 when the capture could not be written, 2 for a wrong \
command line or an address beyond this machine, 10 when the address is in use.";

/// Arguments of `proxy`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where to listen; port 0 for any that is free
    #[arg(value_name = "LISTEN")]
    listen: SocketAddr,
    /// Host and port, or a URL, to carry connections on to
    #[arg(value_name = "TARGET", value_parser = Onward::read)]
    target: Onward,
    /// The file to record into, which must not exist yet
    #[arg(long, value_name = "FILE")]
    capture: PathBuf,
    /// End after so many connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// End when the capture would become larger than this
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_CAPTURE_BYTES)]
    bytes: u64,
    /// Listen on an address that other machines reach: whoever connects there gets through to the target
    #[arg(long)]
    beyond_loopback: bool,
}

/// To whom connections are carried on, as the user wrote it.
#[derive(Debug, Clone)]
struct Onward {
    text: String,
    /// Of a URL; else the text is a host and a port, and bytes pass as they are.
    url: Option<Url>,
}

impl Onward {
    fn read(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or_default();
        let is_plain =
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0);
        let url = if is_plain {
            None
        } else {
            Some(text.parse().map_err(|error: UrlError| {
                format!("{error}; or write a host and a port, as in 127.0.0.1:25293")
            })?)
        };
        Ok(Self { text: text.to_owned(), url })
    }

    /// What connects to it.
    fn way(&self, target: &Target) -> Way {
        match &self.url {
            Some(url) => Way::Url(Box::new(dialer(target, url))),
            None => Way::Plain(self.text.clone()),
        }
    }
}

impl fmt::Display for Onward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why the proxy ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    /// It was told to, or carried as many connections as it was asked for.
    Done,
    /// The capture is as large as it may become.
    Full,
    /// The capture cannot be written.
    Failed(String),
}

/// Runs the command.
pub(super) fn run(args: &Args, target: &Target) -> Result<(), Failure> {
    if !args.listen.ip().is_loopback() && !args.beyond_loopback {
        return Err(Failure::usage(format_args!(
            "{} can be reached from other machines; listen on 127.0.0.1, or say --beyond-loopback",
            args.listen
        )));
    }
    let local = LocalSet::new();
    runtime()?.block_on(local.run_until(proxy(args, args.target.way(target))))
}

async fn proxy(args: &Args, way: Way) -> Result<(), Failure> {
    let listener =
        TcpListener::bind(args.listen).await.map_err(|error| cannot_listen(args.listen, &error))?;
    let address = listener.local_addr().map_err(Failure::new)?;
    let file = args.capture.display();
    let recorder = Recorder::create(&args.capture, &args.target.text, args.bytes)
        .map_err(|error| Failure::new(format_args!("cannot make '{file}': {error}")))?;
    let recorder = Rc::new(RefCell::new(recorder));
    // Whoever started it without a terminal does without the banner.
    let _ = banner(&mut io::stdout().lock(), address, args);
    let ending = Proxy::new(args, way, listener, Rc::clone(&recorder)).run().await?;
    let (connections, bytes) = recorder.borrow_mut().finish();
    let made = format!("{connections} connection(s), {bytes} bytes in '{file}'");
    match ending {
        Ending::Done => tell(made),
        Ending::Full => tell(format_args!("{made}: as large as --bytes allows, so nothing more is carried")),
        Ending::Failed(error) => {
            return Err(Failure::new(format_args!(
                "cannot write '{file}': {error}; nothing passes unrecorded, so the proxy ends"
            )));
        }
    }
    Ok(())
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let status = match error.kind() {
        io::ErrorKind::AddrInUse => ExitStatus::AddressInUse,
        _ => ExitStatus::Failed,
    };
    Failure::Status(status, format!("cannot listen on {address}: {error}; choose another address or port"))
}

fn banner(out: &mut impl Write, address: SocketAddr, args: &Args) -> io::Result<()> {
    writeln!(out, "carrying {address} on to {}", args.target)?;
    writeln!(out, "  capture   {}", args.capture.display())?;
    writeln!(out, "  try       {} stats --url blaze://{address}", program())?;
    writeln!(out, "  stop      Ctrl-C")?;
    out.flush()
}

/// The listener and the connections that are carried.
struct Proxy<'a> {
    args: &'a Args,
    way: Way,
    listener: TcpListener,
    recorder: Rc<RefCell<Recorder>>,
    carried: JoinSet<Result<(), RecordError>>,
    accepted: u32,
}

impl<'a> Proxy<'a> {
    fn new(args: &'a Args, way: Way, listener: TcpListener, recorder: Rc<RefCell<Recorder>>) -> Self {
        Self { args, way, listener, recorder, carried: JoinSet::new(), accepted: 0 }
    }

    async fn run(mut self) -> Result<Ending, Failure> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::new)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::new)?;
        let (stop, stopping) = watch::channel(false);
        let ending = tokio::select! {
            _ = interrupt.recv() => Ending::Done,
            _ = terminate.recv() => Ending::Done,
            ending = self.carry_all(&stopping) => ending,
        };
        // What is under way is cut, and that is recorded where it still can be.
        let _ = stop.send(true);
        while self.carried.join_next().await.is_some() {}
        Ok(ending)
    }

    /// Carries connections until one cannot be recorded, or as many as were asked for have ended.
    async fn carry_all(&mut self, stopping: &watch::Receiver<bool>) -> Ending {
        loop {
            let may_accept = self.args.connections.is_none_or(|most| self.accepted < most)
                && self.carried.len() < MAX_CONNECTIONS;
            if !may_accept && self.carried.is_empty() {
                return Ending::Done;
            }
            tokio::select! {
                biased;
                Some(ended) = self.carried.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(RecordError::Full)) => return Ending::Full,
                    Ok(Err(RecordError::Io(error))) => return Ending::Failed(error.to_string()),
                    Err(error) => return Ending::Failed(error.to_string()),
                },
                accepted = self.listener.accept(), if may_accept => match accepted {
                    Ok((client, address)) => self.begin(client, address, stopping.clone()),
                    Err(error) => {
                        tell(format_args!("cannot accept a connection: {error}; trying again"));
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn begin(&mut self, client: TcpStream, address: SocketAddr, stopping: watch::Receiver<bool>) {
        self.accepted = self.accepted.saturating_add(1);
        let work = carry(client, address, self.way.clone(), Rc::clone(&self.recorder), stopping);
        self.carried.spawn_local(work);
    }
}
