//! The handle: what an application calls.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::dial::Dial;
use super::driver::Driver;
use super::error::{Error, InputError};
use super::options::Options;
use super::outcome::{Pending, Receipt};
use super::pages::{Pages, Stored};
use super::questions::{Question, Range, Subject};
use super::records::{self, Put, Write, with_id};
use super::shared::{Ask, QUEUE, Signal, Submit};
use super::state::State;
use super::subscription::Subscription;
use super::watches::Watched;
use crate::blazebinary::Record;
use crate::transport::{Dialer, Url};
use crate::wire::message::{Mode, OperationBody, OperationBuilder, Start};
use crate::wire::{CollectionName, Position};

/// A client of one database. Clones are handles of the same connection and cost a reference count.
///
/// Calls may be dropped at any time; an operation that was taken takes effect all the same. When the last handle
/// goes, what was taken is finished if there is a connection, and the client says Goodbye.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Option<Duration>,
    at_least: Option<Position>,
}

#[derive(Debug)]
struct Shared {
    submits: mpsc::Sender<Submit>,
    asks: mpsc::Sender<Ask>,
    signals: mpsc::UnboundedSender<Signal>,
    state: watch::Receiver<State>,
    tickets: AtomicU64,
    unchanged: Arc<AtomicU64>,
}

impl Client {
    /// Connects to the database of `url` in the way that it says, and waits for the server's welcome. Must be called inside a tokio
    /// runtime with IO and time.
    ///
    /// # Errors
    /// Of the first attempt: [`Error::Unreachable`], or [`Error::Ended`] if the server refused or what answers is no
    /// BlazeDB.
    pub async fn connect(url: &Url, options: Options) -> Result<Self, Error> {
        Self::connect_over(Dialer::new(url.clone(), options.ca.clone()), url.database(), options).await
    }

    /// As [`Self::connect`], over streams of another kind.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_over(dial: impl Dial, database: &str, options: Options) -> Result<Self, Error> {
        let (submits, submitted) = mpsc::channel(QUEUE);
        let (asks, asked) = mpsc::channel(QUEUE);
        let (signals, signalled) = mpsc::unbounded_channel();
        let (state, watched) = watch::channel(State::Connecting);
        let unchanged = Arc::new(AtomicU64::new(0));
        let (greeted, greeting) = oneshot::channel();
        let driver = Driver::new(
            dial,
            options.config(database),
            options.patience,
            (submitted, asked, signalled),
            state,
            Arc::clone(&unchanged),
        );
        tokio::spawn(driver.run(greeted));
        greeting.await.unwrap_or(Err(Error::Closed))?;
        let tickets = AtomicU64::new(0);
        let shared = Shared { submits, asks, signals, state: watched, tickets, unchanged };
        Ok(Self { shared: Arc::new(shared), deadline: options.deadline, at_least: None })
    }

    /// A handle whose calls each take at most this long; `None` for as long as they take.
    #[must_use]
    pub fn with_deadline(&self, deadline: Option<Duration>) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// A handle whose questions are answered at `position` or later: with a [`Receipt`]'s position, reads see the
    /// write.
    #[must_use]
    pub fn at_least(&self, position: Position) -> Self {
        Self { at_least: Some(position), ..self.clone() }
    }

    /// Creates a record, with a new id if it has none (UUID version 7).
    ///
    /// # Errors
    /// [`Error`]; `already_exists` if there is a record of this id.
    pub async fn insert(&self, collection: &str, record: Record) -> Result<Put, Error> {
        self.write(collection, record, Write::Insert).await
    }

    /// Creates a record or replaces the whole of it; with a new id if it has none (UUID version 7).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn put(&self, collection: &str, record: Record) -> Result<Put, Error> {
        self.write(collection, record, Write::Upsert { skip_unchanged: false }).await
    }

    /// As [`Self::put`], but where the same bytes are stored already nothing is changed: [`Receipt::unchanged`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn upsert(&self, collection: &str, record: Record) -> Result<Put, Error> {
        self.write(collection, record, Write::Upsert { skip_unchanged: true }).await
    }

    async fn write(&self, collection: &str, mut record: Record, how: Write) -> Result<Put, Error> {
        let id = with_id(&mut record)?;
        let receipt = self.transaction(records::write(collection, &record, how)?).await?;
        Ok(Put { id, receipt })
    }

    /// As [`Self::put`], without waiting for the outcome: the record's id, and its outcome to come. Waits while the window
    /// of unacknowledged operations is full.
    ///
    /// # Errors
    /// [`Error`]: it was not taken.
    pub async fn begin_put(&self, collection: &str, record: Record) -> Result<(Uuid, Pending), Error> {
        self.begin(collection, record, Write::Upsert { skip_unchanged: false }).await
    }

    /// As [`Self::insert`], without waiting for the outcome.
    ///
    /// # Errors
    /// As [`Self::begin_put`].
    pub async fn begin_insert(&self, collection: &str, record: Record) -> Result<(Uuid, Pending), Error> {
        self.begin(collection, record, Write::Insert).await
    }

    async fn begin(
        &self,
        collection: &str,
        mut record: Record,
        how: Write,
    ) -> Result<(Uuid, Pending), Error> {
        let id = with_id(&mut record)?;
        Ok((id, self.submit(records::write(collection, &record, how)?).await?))
    }

    /// As [`Self::delete`], without waiting for the outcome.
    ///
    /// # Errors
    /// As [`Self::begin_put`].
    pub async fn begin_delete(&self, collection: &str, id: Uuid) -> Result<Pending, Error> {
        self.submit(records::delete(collection, id)?).await
    }

    /// Sets and removes top-level fields of a record.
    ///
    /// # Errors
    /// [`Error`]; `not_found` if there is no record of this id.
    pub async fn patch(
        &self,
        collection: &str,
        id: Uuid,
        set: &Record,
        removed: &[String],
    ) -> Result<Receipt, Error> {
        self.transaction(records::patch(collection, id, set, removed)?).await
    }

    /// Deletes a record. Where there is none nothing changes: [`Receipt::unchanged`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete(&self, collection: &str, id: Uuid) -> Result<Receipt, Error> {
        self.transaction(records::delete(collection, id)?).await
    }

    /// Drops a collection with all its records. Where there is none nothing changes: [`Receipt::unchanged`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drop_collection(&self, collection: &str) -> Result<Receipt, Error> {
        self.transaction(records::drop_collection(collection)?).await
    }

    /// Sends one atomic transaction and waits for its outcome.
    ///
    /// # Errors
    /// [`Error::Refused`] if any part was refused: then nothing of it took effect.
    pub async fn transaction(&self, body: OperationBody) -> Result<Receipt, Error> {
        self.within(async { self.take(body).await?.await }).await
    }

    /// As [`Self::transaction`], from a builder.
    ///
    /// # Errors
    /// As [`Self::transaction`]; [`InputError::Transaction`] of an empty one.
    pub async fn commit(&self, builder: OperationBuilder) -> Result<Receipt, Error> {
        self.transaction(builder.finish().map_err(InputError::from)?).await
    }

    /// Hands in one atomic transaction; its outcome is told by what is returned. Waits while the window of
    /// unacknowledged operations is full.
    ///
    /// # Errors
    /// [`Error::Deadline`], [`Error::Ended`] or [`Error::Closed`]: it was not taken.
    pub async fn submit(&self, body: OperationBody) -> Result<Pending, Error> {
        self.within(self.take(body)).await
    }

    async fn take(&self, body: OperationBody) -> Result<Pending, Error> {
        let (reply, outcome) = oneshot::channel();
        self.shared.submits.send(Submit { body, reply }).await.map_err(|_| self.ended())?;
        Ok(Pending { outcome })
    }

    /// The record of this id, if it exists.
    ///
    /// # Errors
    /// [`Error`]; `unknown_collection` if no record was ever written to the collection.
    pub async fn get(&self, collection: &str, id: Uuid) -> Result<Option<Stored>, Error> {
        Ok(self.get_many(collection, &[id]).await?.pop())
    }

    /// The records of these ids that exist, in the order of `ids`.
    ///
    /// # Errors
    /// As [`Self::get`]; [`InputError::Ids`] of none or more than 65,535.
    pub async fn get_many(&self, collection: &str, ids: &[Uuid]) -> Result<Vec<Stored>, Error> {
        if ids.is_empty() || ids.len() > usize::from(u16::MAX) {
            return Err(InputError::Ids { found: ids.len() }.into());
        }
        let ids = ids.iter().map(|id| *id.as_bytes()).collect();
        let collection = checked(collection)?;
        self.ask(Subject::Get { collection, ids }).await?.collect().await
    }

    /// Reads a range of a collection, page by page.
    ///
    /// # Errors
    /// As [`Self::get`]; what the server says comes with the first page.
    pub async fn scan(&self, collection: &str, range: Range) -> Result<Pages, Error> {
        let collection = checked(collection)?;
        self.ask(Subject::Scan { collection, range }).await
    }

    /// What the server counts, of one collection or of all of all its databases: records that it makes up.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn stats(&self, collection: Option<&str>) -> Result<Vec<Stored>, Error> {
        let collection = collection.map(checked).transpose()?;
        self.ask(Subject::Stats { collection }).await?.collect().await
    }

    /// Subscribes to a collection, which need not exist yet. What comes is told by what is returned, over as many
    /// connections as it takes; see [`Subscription`].
    ///
    /// # Errors
    /// [`InputError::Name`]; what the server says comes with the first event.
    pub fn subscribe(&self, collection: &str, mode: Mode, start: Start) -> Result<Subscription, Error> {
        let collection = checked(collection)?;
        let (tidings, told) = mpsc::unbounded_channel();
        let ticket = self.shared.tickets.fetch_add(1, Ordering::Relaxed);
        self.signal(Signal::Subscribed(Box::new(Watched::new(ticket, collection, mode, start, tidings))));
        Ok(Subscription::new(self.clone(), ticket, told))
    }

    async fn ask(&self, subject: Subject) -> Result<Pages, Error> {
        let (parts, answer) = mpsc::unbounded_channel();
        let ticket = self.shared.tickets.fetch_add(1, Ordering::Relaxed);
        let question = Question { subject, at_least: self.at_least };
        let sent = async {
            let ask = Ask { ticket, question, parts };
            self.shared.asks.send(ask).await.map_err(|_| self.ended())
        };
        self.within(sent).await?;
        Ok(Pages { client: self.clone(), ticket, parts: answer, over: false })
    }

    /// The state of the connection, and every change of it.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    /// How many single operations were acknowledged as unchanged since the client began.
    pub fn unchanged(&self) -> u64 {
        self.shared.unchanged.load(Ordering::Relaxed)
    }

    /// Finishes what was taken, says Goodbye and ends the connection; other handles are closed with it. Where there is
    /// no connection, what was taken ends with [`Error::Closed`].
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        self.signal(Signal::Close(done));
        // Without an answer it was closed before.
        let _ = closed.await;
    }

    /// Tells the driver something; after its end there is nobody to tell.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = self.shared.signals.send(signal);
    }

    /// Why the driver takes nothing any more.
    pub(super) fn ended(&self) -> Error {
        match &*self.shared.state.borrow() {
            State::Ended(error) => error.clone(),
            _ => Error::Closed,
        }
    }

    /// Holds a call to the deadline.
    pub(super) async fn within<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(deadline) = self.deadline else { return call.await };
        tokio::time::timeout(deadline, call).await.unwrap_or(Err(Error::Deadline(deadline)))
    }
}

fn checked(collection: &str) -> Result<String, InputError> {
    Ok(CollectionName::new(collection)?.as_str().to_owned())
}
