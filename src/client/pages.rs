//! Answers, page by page.

use tokio::sync::mpsc;
use uuid::Uuid;

use super::error::Error;
use super::handle::Client;
use super::shared::Signal;
use crate::blazebinary::{DecodeError, Record, RecordView};
use crate::proto::Cost;
use crate::wire::message::{QueryResponse, Row, Rows};
use crate::wire::{Message, MessageError, MessageType, Position};

/// A record as the server holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its version: the place of the change that made it what it is.
    pub seq: u64,
    /// Its bytes, as they were sent when it was written.
    pub bytes: Vec<u8>,
}

impl Stored {
    /// The record, read in place.
    ///
    /// # Errors
    /// [`DecodeError`]: the bytes were changed since; what a server sends was checked when it came.
    pub fn view(&self) -> Result<RecordView<'_>, DecodeError> {
        RecordView::canonical(&self.bytes)
    }

    /// An owned copy of the record.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub fn record(&self) -> Result<Record, DecodeError> {
        Ok(self.view()?.to_record())
    }

    /// Its id, if it can be read.
    pub fn id(&self) -> Option<Uuid> {
        self.view().ok()?.id()
    }
}

impl From<Row<'_>> for Stored {
    fn from(row: Row<'_>) -> Self {
        Self { seq: row.seq, bytes: row.record.bytes().to_vec() }
    }
}

/// A part of an answer: the payload of one frame, which was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    payload: Vec<u8>,
    last: bool,
    position: Position,
}

impl Page {
    /// Checks a payload, its records included: what is handed out is canonical (P-3.8).
    pub(super) fn read(payload: Vec<u8>) -> Result<Self, MessageError> {
        let (last, position) = match Message::decode_strict(MessageType::QueryResponse as u8, &payload)? {
            Message::QueryResponse(QueryResponse { last, position, .. }) => (last, position),
            _ => (true, Position::default()),
        };
        Ok(Self { payload, last, position })
    }

    /// Where the answer was taken: the same in all its pages.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Whether the answer ends with this page.
    pub const fn is_last(&self) -> bool {
        self.last
    }

    /// The rows, in place. There may be none.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let rows = match Message::decode(MessageType::QueryResponse as u8, &self.payload) {
            Ok(Message::QueryResponse(response)) => response.rows,
            // It was decoded before.
            _ => Rows::default(),
        };
        rows.iter()
    }
}

/// The pages of an answer. Each page that is taken lets the server send more; dropping it cancels the question.
///
/// While nothing is taken the server keeps its place and sends nothing; after some time it may give up the answer
/// (`snapshot_expired`).
#[derive(Debug)]
pub struct Pages {
    pub(super) client: Client,
    pub(super) ticket: u64,
    pub(super) parts: mpsc::UnboundedReceiver<Result<(Page, Cost), Error>>,
    pub(super) over: bool,
}

impl Pages {
    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Interrupted`] if the connection was lost behind the first page,
    /// [`Error::Deadline`] if this page took longer than the client's deadline. An error is the end.
    pub async fn next(&mut self) -> Result<Option<Page>, Error> {
        if self.over {
            return Ok(None);
        }
        let part = self.client.within(async { Ok(self.parts.recv().await) }).await;
        let taken = part.and_then(|part| part.unwrap_or_else(|| Err(self.client.ended())));
        match taken {
            Ok((page, cost)) => {
                self.over = page.last;
                if !page.last {
                    self.client.signal(Signal::Consumed { ticket: self.ticket, cost });
                }
                Ok(Some(page))
            }
            Err(error) => {
                self.over = true;
                self.client.signal(Signal::Abandoned { ticket: self.ticket });
                Err(error)
            }
        }
    }

    /// All rows that are left, in memory.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn collect(mut self) -> Result<Vec<Stored>, Error> {
        let mut found = Vec::new();
        while let Some(page) = self.next().await? {
            found.extend(page.rows().map(Stored::from));
        }
        Ok(found)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if !self.over {
            self.client.signal(Signal::Abandoned { ticket: self.ticket });
        }
    }
}
