//! `watch`: the changes of a collection, as they happen.

use std::fmt::Write as _;

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch::Receiver;

use super::connect::{Target, with_lasting_client};
use super::output::{Form, Output};
use super::{ExitStatus, Failure, tell};
use crate::blazebinary::{RecordView, json};
use crate::client::{ChangeSet, State, Subscription, Tidings};
use crate::wire::message::{ChangeKind, Mode, Start};
use crate::wire::{ErrorCode, Position};

const EXAMPLES: &str = "\
Examples:
  blazedb watch notes
  blazedb watch notes --from 1.3020934112.42
  blazedb watch notes --snapshot --mode latest
  blazedb watch notes | jq -c 'select(.kind == \"put\") | .record.title'

One line a change, the oldest first: {\"position\":\"1.3020934112.42\",\"kind\":\"put\",\"id\":\"…\",\"record\":{…}}, where kind is put, \
delete, which has no record, or dropped, which has no id either: the collection is gone with all of its records. The record \
is typed JSON as get prints it. What a position consists of is the server's business; --from with the position of a line \
goes on with the next one.

It waits for a collection that does not exist yet, and comes back by itself when the server does: each change is printed \
once. Mode all prints every change; the server holds them for a time (7 days or 1 GiB of log). Mode latest prints the \
newest state of each record that changed and can go on from any position, however old, that lies behind the last drop of the \
collection. With --snapshot in mode all the \
lines before the newest change are in no transaction's order; to go on from one of them use --mode latest.

Exit status:
  0  it was asked to stop (Ctrl-C), and did
  6  it cannot go on from that position: the changes after it are no longer held, or it is not one of this database
Others are those of every command.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The collection, which need not exist yet
    collection: String,
    /// Begin behind this position, as a line carried it [default: with the next change]
    #[arg(long, value_name = "POSITION")]
    from: Option<Position>,
    /// Begin with all records as they are
    #[arg(long, conflicts_with = "from")]
    snapshot: bool,
    /// Which changes are printed
    #[arg(long, value_enum, default_value = "all")]
    mode: Which,
}

/// Which changes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Every change
    All,
    /// The newest state of each record that changed
    Latest,
}

pub(super) fn run(target: &Target, args: Args) -> Result<(), Failure> {
    let Args { collection, from, snapshot, mode } = args;
    let mode = match mode {
        Which::All => Mode::All,
        Which::Latest => Mode::Latest,
    };
    let start = match from {
        Some(position) => Start::After(position),
        None if snapshot => Start::Snapshot,
        None => Start::Now,
    };
    let mut lines = Lines { output: Output::stdout(Form::Ndjson), text: String::new() };
    with_lasting_client(target, async |client| {
        let interrupt = signal(SignalKind::interrupt()).map_err(Failure::new)?;
        let terminate = signal(SignalKind::terminate()).map_err(Failure::new)?;
        let state = client.state();
        let subscription = client.subscribe(&collection, mode, start)?;
        let mut watch = Watch { collection: &collection, subscription, state };
        let stop = Stop { interrupt, terminate };
        watch.run(&mut lines, stop).await
    })
}

struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

struct Watch<'a> {
    collection: &'a str,
    subscription: Subscription,
    state: Receiver<State>,
}

impl Watch<'_> {
    async fn run(&mut self, lines: &mut Lines, mut stop: Stop) -> Result<(), Failure> {
        let mut is_lost = false;
        loop {
            while let Some(tidings) = self.subscription.try_next()? {
                self.handle(tidings, lines)?;
            }
            // Nothing more has come: whoever reads the lines gets them now.
            lines.output.flush()?;
            tokio::select! {
                tidings = self.subscription.next() => match tidings? {
                    Some(tidings) => self.handle(tidings, lines)?,
                    None => return Ok(()),
                },
                Ok(()) = self.state.changed() => is_lost = self.tell_state(is_lost),
                _ = stop.interrupt.recv() => break,
                _ = stop.terminate.recv() => break,
            }
        }
        lines.output.flush()?;
        if let Some(position) = self.subscription.position() {
            tell(format_args!("stopped; --from {position} goes on from here"));
        }
        Ok(())
    }

    fn handle(&self, tidings: Tidings, lines: &mut Lines) -> Result<(), Failure> {
        match tidings {
            Tidings::Changes(changes) => lines.print(&changes),
            Tidings::CaughtUp { .. } | Tidings::Heartbeat { .. } => Ok(()),
            Tidings::Waiting { .. } => {
                let collection = self.collection;
                tell(format_args!("there is no collection '{collection}' yet; waiting for its first record"));
                Ok(())
            }
            Tidings::Reset { position, code, oldest } => {
                lines.output.flush()?;
                Err(reset(self.collection, position, code, oldest))
            }
        }
    }

    /// Says that the connection was lost, once a loss, and that it is back.
    fn tell_state(&mut self, was_lost: bool) -> bool {
        match &*self.state.borrow_and_update() {
            State::Waiting { error, .. } if !was_lost => {
                let lost = error.while_retrying();
                tell(format_args!("{lost} Trying again until it is back; Ctrl-C ends."));
                true
            }
            State::Connected { .. } if was_lost => {
                match self.subscription.position() {
                    Some(position) => tell(format_args!("connected again; going on after {position}")),
                    None => tell("connected again"),
                }
                false
            }
            _ => was_lost,
        }
    }
}

/// What a reset means to whoever watches.
fn reset(collection: &str, position: Position, code: u16, oldest: Position) -> Failure {
    let line = match ErrorCode::from_number(code) {
        Some(ErrorCode::PositionExpired) => format!(
            "the changes after {position} are no longer held, or went with a collection that was dropped; the oldest \
             position held is {oldest}; begin anew with --snapshot"
        ),
        Some(ErrorCode::PositionUnknown) => format!(
            "{position} is no position of this database, or one from before damage was accepted; begin anew with \
             --snapshot, or with --from {oldest} for all changes that are held"
        ),
        Some(code) => format!("{} {}", code.text(), code.advice()),
        None => {
            format!("the server cannot go on with '{collection}' (code {code}); begin anew with --snapshot")
        }
    };
    Failure::Status(ExitStatus::CannotGoOn, line)
}

struct Lines {
    output: Output,
    text: String,
}

impl Lines {
    fn print(&mut self, changes: &ChangeSet) -> Result<(), Failure> {
        for change in changes.iter() {
            let position = changes.position_of(&change);
            self.text.clear();
            // Writing to a string does not fail.
            let _ = match change.kind {
                ChangeKind::Dropped => write!(self.text, r#"{{"position":"{position}","kind":"dropped"}}"#),
                ChangeKind::Delete(id) => {
                    write!(self.text, r#"{{"position":"{position}","kind":"delete","id":"{id}"}}"#)
                }
                ChangeKind::Put(record) => {
                    let record = RecordView::canonical(record.bytes()).map_err(|error| {
                        Failure::new(format_args!("the server sent a record that is wrong: {error}"))
                    })?;
                    let id = record.id().unwrap_or_default();
                    let head =
                        write!(self.text, r#"{{"position":"{position}","kind":"put","id":"{id}","record":"#);
                    json::write_record(record, &mut self.text);
                    self.text.push('}');
                    head
                }
            };
            self.output.line(&self.text)?;
        }
        Ok(())
    }
}
