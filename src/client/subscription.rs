//! What a subscription tells its reader.

use tokio::sync::mpsc;

use super::error::Error;
use super::handle::Client;
use super::shared::Signal;
use super::watches::Told;
use crate::wire::message::{Change, Event, EventKind};
use crate::wire::{Message, MessageError, MessageType, Position};

/// Changes in order, at least one, as they travelled in one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    payload: Vec<u8>,
    position: Position,
}

/// What a subscription is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tidings {
    /// Changes.
    Changes(ChangeSet),
    /// Everything that was published up to the position has been told: what the subscriber holds is consistent.
    CaughtUp {
        /// Where it stands.
        position: Position,
    },
    /// There is no such collection yet; its changes follow once there is.
    Waiting {
        /// Where it stands.
        position: Position,
    },
    /// Nothing of the collection changed up to the position.
    Heartbeat {
        /// Where it stands.
        position: Position,
    },
    /// The subscription cannot go on, and is over: changes after its position are no longer held, or the position is
    /// not one of this database.
    Reset {
        /// Where it stood.
        position: Position,
        /// Why: the number of an [`ErrorCode`](crate::wire::ErrorCode).
        code: u16,
        /// The oldest position from which all changes are held.
        oldest: Position,
    },
}

impl ChangeSet {
    /// The changes, in place.
    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        let changes = match Message::decode(MessageType::Event as u8, &self.payload) {
            Ok(Message::Event(Event { kind: EventKind::Changes(changes), .. })) => Some(changes),
            // It was decoded before.
            _ => None,
        };
        changes.into_iter().flat_map(|changes| changes.iter())
    }

    /// Where the subscription stands behind a change of this set: a subscription after it begins with the next.
    pub const fn position_of(&self, change: &Change<'_>) -> Position {
        Position { seq: change.seq, ..self.position }
    }

    /// Where the subscription stands behind all of them.
    pub const fn position(&self) -> Position {
        self.position
    }
}

impl Tidings {
    /// Reads an event; `None` of the last one of a subscription that was ended.
    pub(super) fn read(payload: Vec<u8>) -> Result<Option<Self>, MessageError> {
        let Message::Event(Event { position, kind, .. }) =
            Message::decode_strict(MessageType::Event as u8, &payload)?
        else {
            return Ok(None);
        };
        Ok(Some(match kind {
            EventKind::Changes(_) => Self::Changes(ChangeSet { payload, position }),
            EventKind::CaughtUp => Self::CaughtUp { position },
            EventKind::Waiting => Self::Waiting { position },
            EventKind::Heartbeat => Self::Heartbeat { position },
            EventKind::Reset { code, oldest } => Self::Reset { position, code, oldest },
            EventKind::Ended => return Ok(None),
        }))
    }

    /// Where the subscription stands: everything up to there has been told.
    pub const fn position(&self) -> Position {
        match self {
            Self::Changes(changes) => changes.position,
            Self::CaughtUp { position }
            | Self::Waiting { position }
            | Self::Heartbeat { position }
            | Self::Reset { position, .. } => *position,
        }
    }
}

/// The changes of a collection, from where it was begun on; dropping it ends it.
///
/// It outlives connections: on the next it goes on from the last position that it was told, so that each change comes once
/// and in order. One from now that was told nothing yet goes on after what was published before it began, and may then be told
/// changes from before. One that began with a snapshot and lost its connection meanwhile goes on with what changed since; it may then
/// be told of records that are gone, of which it was told nothing before.
///
/// A reader that does not read is sent no more than a window's worth; the server keeps its position and nothing else.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
    ticket: u64,
    told: mpsc::UnboundedReceiver<Told>,
    position: Option<Position>,
    is_over: bool,
}

impl Subscription {
    pub(super) const fn new(client: Client, ticket: u64, told: mpsc::UnboundedReceiver<Told>) -> Self {
        Self { client, ticket, told, position: None, is_over: false }
    }

    /// What comes next; `None` after a reset or an error. May be dropped while it waits, without loss.
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::Ended`], [`Error::Unreachable`] or [`Error::Closed`] when there will be no other
    /// connection. An error is the end.
    pub async fn next(&mut self) -> Result<Option<Tidings>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let told = self.told.recv().await.unwrap_or_else(|| Err(self.client.ended()));
        self.take(told).map(Some)
    }

    /// What has come already; `None` if nothing has.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn try_next(&mut self) -> Result<Option<Tidings>, Error> {
        match self.told.try_recv() {
            Ok(told) if !self.is_over => self.take(told).map(Some),
            _ => Ok(None),
        }
    }

    fn take(&mut self, told: Told) -> Result<Tidings, Error> {
        let (tidings, link, cost) = told.inspect_err(|_| self.is_over = true)?;
        self.is_over = matches!(tidings, Tidings::Reset { .. });
        self.position = Some(tidings.position());
        self.client.signal(Signal::Taken { ticket: self.ticket, link, cost });
        Ok(tidings)
    }

    /// Where it stands: everything up to there was handed out. `None` before the first event.
    pub const fn position(&self) -> Option<Position> {
        self.position
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if !self.is_over {
            self.client.signal(Signal::Abandoned { ticket: self.ticket });
        }
    }
}
