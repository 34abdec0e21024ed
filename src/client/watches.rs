//! The subscriptions of a client, over all its connections: each goes on from the last position that it was told.
//!
//! ```text
//!   subscribe ──▶ unasked ──subscribe──▶ asked ──events──▶ handed out ──reset, refusal──▶ over
//!                    ▲                     │
//!                    └── connection lost ──┘   once everything handed out was taken: what waits stays bounded
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::mpsc;

use super::error::{Error, InputError};
use super::subscription::Tidings;
use super::work::Link;
use crate::proto::{Cost, RequestError};
use crate::wire::message::{Mode, Start};
use crate::wire::{CollectionName, CreditLimit, Position};

/// How much of a subscription may wait for its reader: frames, for single changes that come a thousand a second; bytes,
/// for sixteen full ones.
const EVENT_WINDOW: CreditLimit = CreditLimit { frames: 256, bytes: 512 << 10 };

/// What came, and what to give back for it: the number of the connection, and the credit.
pub(super) type Told = Result<(Tidings, u64, Cost), Error>;

/// A subscription as the driver holds it.
#[derive(Debug)]
pub(super) struct Watched {
    ticket: u64,
    collection: String,
    mode: Mode,
    /// Where it goes on.
    start: Start,
    /// It began with a snapshot that is not told to its end.
    is_in_snapshot: bool,
    asked: Option<Asked>,
    /// Events that the reader did not take.
    waiting: usize,
    tidings: mpsc::UnboundedSender<Told>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    id: u64,
    /// What was published when it was asked: "now" does not lie before it.
    published: Position,
    /// The rest of a snapshot is asked for as the latest of each record; then all changes are.
    is_detour: bool,
}

#[derive(Debug, Default)]
pub(super) struct Watches {
    watched: BTreeMap<u64, Watched>,
    /// Tickets of those that are not asked for on this connection.
    unasked: BTreeSet<u64>,
    /// From ids to tickets.
    tickets: HashMap<u64, u64>,
    /// The number of the connection.
    link: u64,
    /// Of this connection, a position that was published: the newest that was told to all of it.
    published: Position,
}

impl Watched {
    pub(super) fn new(
        ticket: u64,
        collection: String,
        mode: Mode,
        start: Start,
        tidings: mpsc::UnboundedSender<Told>,
    ) -> Self {
        let is_in_snapshot = start == Start::Snapshot;
        Self { ticket, collection, mode, start, is_in_snapshot, asked: None, waiting: 0, tidings }
    }

    /// Asks the server. Where a snapshot was told in part, the rest is asked for as what changed since: a snapshot of its own
    /// would repeat it, and all changes since may no longer be held.
    fn ask(&mut self, link: &mut Link, published: Position) -> Result<u64, AskError> {
        let is_detour = self.is_in_snapshot && self.mode == Mode::All && self.start != Start::Snapshot;
        let mode = if is_detour { Mode::Latest } else { self.mode };
        let name = CollectionName::new(&self.collection).map_err(InputError::from)?;
        let id = link.subscribe(name, mode, self.start, EVENT_WINDOW)?;
        self.asked = Some(Asked { id, published, is_detour });
        Ok(id)
    }

    /// The connection is gone. Who began now and was not told where that was goes on from before it, so that no change is
    /// left out (L-6.3).
    fn handle_loss(&mut self) {
        if let Some(asked) = self.asked.take()
            && self.start == Start::Now
        {
            self.start = Start::After(asked.published);
        }
    }

    /// Notes what is told. Whether the server is to be asked anew.
    fn note(&mut self, tidings: &Tidings) -> bool {
        self.start = Start::After(tidings.position());
        if !matches!(tidings, Tidings::CaughtUp { .. }) {
            return false;
        }
        self.is_in_snapshot = false;
        self.asked.is_some_and(|asked| asked.is_detour)
    }
}

#[derive(Debug)]
enum AskError {
    Later,
    TooMany(u16),
    Input(InputError),
}

impl From<RequestError> for AskError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::TooMany(limit) => Self::TooMany(limit),
            RequestError::Misuse(_) => Self::Later,
        }
    }
}

impl From<InputError> for AskError {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl Watches {
    pub(super) fn subscribe(&mut self, watched: Watched) {
        self.unasked.insert(watched.ticket);
        self.watched.insert(watched.ticket, watched);
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.tickets.contains_key(&id)
    }

    pub(super) fn is_ticket(&self, ticket: u64) -> bool {
        self.watched.contains_key(&ticket)
    }

    /// Asks for those that are not asked for, as far as the connection has room.
    pub(super) fn feed(&mut self, link: &mut Link) {
        if self.unasked.is_empty() || !link.is_open() {
            return;
        }
        for ticket in self.unasked.clone() {
            let Some(watched) = self.watched.get_mut(&ticket) else { continue };
            if watched.waiting > 0 {
                continue;
            }
            match watched.ask(link, self.published) {
                Ok(id) => {
                    self.tickets.insert(id, ticket);
                    self.unasked.remove(&ticket);
                }
                // Questions make room when they are answered.
                Err(AskError::TooMany(limit)) if self.tickets.len() < usize::from(limit) => return,
                Err(AskError::TooMany(limit)) => self.end(ticket, InputError::Subscriptions { limit }.into()),
                Err(AskError::Input(error)) => self.end(ticket, error.into()),
                Err(AskError::Later) => return,
            }
        }
    }

    /// An event came.
    pub(super) fn handle(&mut self, link: &mut Link, id: u64, payload: Vec<u8>, cost: Cost) {
        let tidings = match Tidings::read(payload) {
            Ok(Some(tidings)) => tidings,
            // It ended as was asked.
            Ok(None) => return,
            Err(error) => return link.handle_malformed(error),
        };
        let Some(ticket) = self.tickets.get(&id).copied() else { return };
        let Some(watched) = self.watched.get_mut(&ticket) else { return };
        let asks_anew = watched.note(&tidings);
        let is_over = matches!(tidings, Tidings::Reset { .. });
        watched.waiting = watched.waiting.saturating_add(1);
        let is_gone = watched.tidings.send(Ok((tidings, self.link, cost))).is_err();
        if is_over {
            self.forget(ticket);
        } else if is_gone {
            self.abandon(Some(link), ticket);
        } else if asks_anew {
            // That it ended meanwhile is no fault.
            let _ = link.cancel(id);
            watched.asked = None;
            self.tickets.remove(&id);
            self.unasked.insert(ticket);
        }
    }

    /// The reader took an event that came over the connection `number`.
    pub(super) fn take(&mut self, link: Option<&mut Link>, ticket: u64, number: u64, cost: Cost) {
        let Some(watched) = self.watched.get_mut(&ticket) else { return };
        watched.waiting = watched.waiting.saturating_sub(1);
        if let (Some(link), Some(asked)) = (link, watched.asked.filter(|_| number == self.link)) {
            link.consume(asked.id, cost);
        }
    }

    /// The reader went away.
    pub(super) fn abandon(&mut self, link: Option<&mut Link>, ticket: u64) {
        if let Some(id) = self.forget(ticket).and_then(|watched| watched.asked)
            && let Some(link) = link
        {
            // That it ended meanwhile is no fault.
            let _ = link.cancel(id.id);
        }
    }

    /// The server refused.
    pub(super) fn refuse(&mut self, id: u64, error: Error) {
        if let Some(ticket) = self.tickets.get(&id).copied() {
            self.end(ticket, error);
        }
    }

    fn end(&mut self, ticket: u64, error: Error) {
        if let Some(watched) = self.forget(ticket) {
            // A reader that went away is no fault.
            let _ = watched.tidings.send(Err(error));
        }
    }

    fn forget(&mut self, ticket: u64) -> Option<Watched> {
        let watched = self.watched.remove(&ticket)?;
        self.unasked.remove(&ticket);
        if let Some(asked) = watched.asked {
            self.tickets.remove(&asked.id);
        }
        Some(watched)
    }

    /// The connection is gone.
    pub(super) fn handle_loss(&mut self) {
        self.link = self.link.saturating_add(1);
        self.tickets.clear();
        for (ticket, watched) in &mut self.watched {
            watched.handle_loss();
            self.unasked.insert(*ticket);
        }
    }

    /// This was published, as the server says.
    pub(super) const fn note_published(&mut self, position: Position) {
        self.published = position;
    }

    /// Ends all of them.
    pub(super) fn fail(&mut self, error: &Error) {
        let tickets: Vec<u64> = self.watched.keys().copied().collect();
        for ticket in tickets {
            self.end(ticket, error.clone());
        }
    }
}
