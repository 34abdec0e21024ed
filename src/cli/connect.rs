//! What the commands that need a server share: the URL, the connection, and what a failure means to the shell.

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::{ExitStatus, Failure, tell};
use crate::client::{Client, Error, InputError, Options, State};
use crate::transport::url::Scheme;
use crate::transport::{Dialer, Url};
use crate::wire::{ErrorCode, Fault};

/// How long a command goes on without a connection: a person waits for it, and a server that restarts is back sooner.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection that lasted so long was one: its loss is told.
const HELD: Duration = Duration::from_secs(1);

/// The variable that names the server where the option does not.
const URL_VARIABLE: &str = "BLAZEDB_URL";

/// The variable that names the file of certificates where the option does not.
const CA_VARIABLE: &str = "BLAZEDB_CA";

/// The options that name the server, and who vouches for it.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The server and its database, for commands that ask one; each part of the URL may be left out
    #[arg(long, global = true, env = URL_VARIABLE, value_name = "URL", help_heading = "Global options")]
    #[arg(default_value = "blaze://127.0.0.1:25293/main")]
    url: String,
    /// A file of certificates in PEM, one of which vouches for the server's; else those that the system trusts do
    #[arg(long, global = true, env = CA_VARIABLE, value_name = "FILE", help_heading = "Global options")]
    ca: Option<PathBuf>,
}

/// Connects, runs `job`, and says Goodbye. All of it on this thread: a command is one connection.
pub(super) fn with_client<T>(
    target: &Target,
    job: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connected(target, Some(PATIENCE), async |client| {
        tokio::spawn(tell_losses(client.state()));
        job(client).await
    })
}

/// The same for a command that goes on however long the server is away, and tells of it by itself.
pub(super) fn with_lasting_client<T>(
    target: &Target,
    job: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    connected(target, None, job)
}

fn connected<T>(
    target: &Target,
    patience: Option<Duration>,
    job: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let url = url_of(target)?;
    runtime()?.block_on(async {
        let options = Options { patience, ca: target.ca.clone(), ..options_for(&url) };
        let client = Client::connect(&url, options).await?;
        let done = job(client.clone()).await?;
        client.close().await;
        Ok(done)
    })
}

/// Whether a URL's server is this machine's beyond doubt.
fn is_this_machine(url: &Url) -> bool {
    let address = url.host().parse::<std::net::IpAddr>();
    url.scheme() == Scheme::Unix
        || url.host() == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

/// What connects to the server, for a command that drives connections by itself.
pub(super) fn dialer(target: &Target, url: &Url) -> Dialer {
    Dialer::new(url.clone(), target.ca.clone())
}

/// The URL of the server, checked.
pub(super) fn url_of(target: &Target) -> Result<Url, Failure> {
    target.url.parse().map_err(|error| Failure::usage(format_args!("--url: {error}")))
}

/// How a command's connection to `url` behaves.
pub(super) fn options_for(url: &Url) -> Options {
    // Memory is faster than LZ4.
    Options { compression: !is_this_machine(url), ..Options::default() }
}

/// What a command that is printed for pasting needs to reach `url`, with a blank before it; nothing where the command
/// goes there by itself.
pub(super) fn url_option(url: &Url) -> String {
    let is_usual = *url == Url::default() && std::env::var_os(URL_VARIABLE).is_none();
    match (is_usual, url.to_string()) {
        (true, _) => String::new(),
        // A shell reads a question mark in its own way, and a path may hold anything.
        (_, text) if text.contains(|c: char| "?& '\"\\$`*;()<>|".contains(c)) => {
            format!(" --url '{}'", text.replace('\'', r"'\''"))
        }
        (_, text) => format!(" --url {text}"),
    }
}

/// This program as it was called, so that a command that is printed for pasting works beside it.
pub(super) fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match called.as_str() {
        "" => "blazedb".to_owned(),
        plain if plain.chars().all(is_plain) => called,
        _ => format!("'{}'", called.replace('\'', r"'\''")),
    }
}

/// What a command's connections run on: this thread alone.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(|error| Failure::new(format_args!("cannot start: {error}")))
}

/// Says on stderr that the connection was lost, once a loss; a connection that is over at once makes no new one.
async fn tell_losses(mut state: tokio::sync::watch::Receiver<State>) {
    let mut told = false;
    let mut connected = None;
    while state.changed().await.is_ok() {
        match &*state.borrow_and_update() {
            State::Waiting { error, .. } => {
                let held = connected.take().is_some_and(|since: Instant| since.elapsed() >= HELD);
                if !told || held {
                    let lost = error.while_retrying();
                    tell(format_args!("{lost} Trying again for {} s.", PATIENCE.as_secs()));
                }
                told = true;
            }
            State::Connected { .. } => connected = Some(Instant::now()),
            _ => {}
        }
    }
}

impl Failure {
    pub(super) fn usage(message: impl std::fmt::Display) -> Self {
        Self::Status(ExitStatus::Usage, message.to_string())
    }
}

/// The status of a failure of the client.
pub(super) fn status_of(error: &Error) -> ExitStatus {
    match error {
        Error::Input(InputError::Name(_) | InputError::EmptyPatch | InputError::SetAndRemoved(_)) => {
            ExitStatus::Usage
        }
        Error::Input(_) | Error::OutcomeUnknown => ExitStatus::Failed,
        Error::Refused(_) => ExitStatus::Refused,
        Error::Ended(ending) if is_refusal(ending.code()) => ExitStatus::Refused,
        _ => ExitStatus::Unreachable,
    }
}

/// Whether a server that speaks the protocol said no: what breaks a connection is another thing.
fn is_refusal(code: Option<ErrorCode>) -> bool {
    code.is_some_and(|code| !matches!(code.fault(), Fault::Peer | Fault::Network))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Status(status_of(&error), error.to_string())
    }
}
