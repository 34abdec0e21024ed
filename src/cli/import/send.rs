//! Sending batches and hearing of their outcomes.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::batch::Batch;
use super::read::{Message, ReadSummary};
use super::rejects::Rejects;
use crate::cli::progress::Progress;
use crate::cli::{Failure, tell};
use crate::client::{Client, Error, Pending, Receipt, Refused};
use crate::wire::ErrorCode;

/// Batches under way: with those the connection's window is full, and a few wait to follow at once.
const MAX_IN_FLIGHT: usize = 20;

/// What became of a file.
pub(super) struct Sent {
    /// Records that are on the server's stable storage.
    pub(super) accepted: u64,
    pub(super) end: End,
}

/// Why sending ended.
pub(super) enum End {
    /// All was read and sent.
    Complete(ReadSummary),
    /// The user asked for it; what was under way was waited for.
    Interrupted,
    /// The user asked for it twice.
    Abandoned,
    Failed(Failure),
}

/// A batch under way.
struct Under {
    batch: Batch,
    outcome: Pending,
}

struct Sender<'a> {
    client: &'a Client,
    rejects: &'a mut Rejects,
    progress: &'a Progress,
    in_flight: VecDeque<Under>,
    accepted: u64,
}

/// Sends what comes until it ends, the user interrupts, or it cannot go on. What is under way is waited for unless the
/// user interrupts again.
pub(super) async fn send_all(
    client: &Client,
    messages: &mut mpsc::Receiver<Message>,
    rejects: &mut Rejects,
    progress: &Progress,
) -> Sent {
    let mut sender = Sender { client, rejects, progress, in_flight: VecDeque::new(), accepted: 0 };
    let end = sender.run(messages).await.unwrap_or_else(End::Failed);
    messages.close();
    Sent { accepted: sender.accepted, end }
}

impl Sender<'_> {
    async fn run(&mut self, messages: &mut mpsc::Receiver<Message>) -> Result<End, Failure> {
        let mut end = None;
        let mut interrupt = pin!(interrupted());
        while end.is_none() || !self.in_flight.is_empty() {
            tokio::select! {
                biased;
                () = &mut interrupt => {
                    if matches!(end, Some(End::Interrupted)) {
                        return Ok(End::Abandoned);
                    }
                    tell("stopping; what is under way is waited for (Ctrl-C again stops at once)");
                    end = Some(End::Interrupted);
                    interrupt.set(interrupted());
                }
                outcome = Front(&mut self.in_flight) => {
                    if let Some(Under { batch, .. }) = self.in_flight.pop_front() {
                        self.settle(batch, outcome).await?;
                    }
                }
                message = messages.recv(), if end.is_none() && self.in_flight.len() < MAX_IN_FLIGHT => {
                    end = self.take(message).await?;
                }
            }
        }
        Ok(end.unwrap_or(End::Interrupted))
    }

    /// Takes what the reader says; the end, if it is one.
    async fn take(&mut self, message: Option<Message>) -> Result<Option<End>, Failure> {
        match message {
            Some(Message::Batch(batch)) => self.send(batch).await?,
            Some(Message::Bad { line, raw, why }) => self.rejects.add(line, raw.as_deref(), &why)?,
            Some(Message::End(Ok(summary))) => return Ok(Some(End::Complete(summary))),
            Some(Message::End(Err(failure))) => return Ok(Some(End::Failed(failure))),
            None => return Ok(Some(End::Failed(Failure::new("the reader of the file ended early")))),
        }
        Ok(None)
    }

    async fn send(&mut self, batch: Batch) -> Result<(), Failure> {
        let outcome = self.client.submit(batch.body.clone()).await?;
        self.in_flight.push_back(Under { batch, outcome });
        Ok(())
    }

    async fn settle(&mut self, batch: Batch, outcome: Result<Receipt, Error>) -> Result<(), Failure> {
        match outcome {
            Ok(_) => {
                let records = u64::try_from(batch.items.len()).unwrap_or(0);
                self.accepted = self.accepted.saturating_add(records);
                self.progress.set(batch.position, self.accepted);
                Ok(())
            }
            Err(Error::Refused(why)) => self.refused(batch, why).await,
            // Sending it again does no harm: what is there already stays as it is.
            Err(Error::OutcomeUnknown) => self.send(batch).await,
            Err(error) => Err(error.into()),
        }
    }

    /// A transaction is refused as a whole: what is wrong with it is taken out, and the others go again.
    async fn refused(&mut self, batch: Batch, why: Refused) -> Result<(), Failure> {
        if why.code == Some(ErrorCode::TransactionTooLarge) && batch.items.len() > 1 {
            for half in batch.halves().into_iter().flatten() {
                self.send(half).await?;
            }
            return Ok(());
        }
        // That a database takes no further collection is the fault of no record.
        let of_record = why.code != Some(ErrorCode::NotSupported);
        let item = why.item().filter(|_| of_record).and_then(|item| usize::try_from(item).ok());
        if let Some(at) = item
            && let Some((line, raw)) = batch.items.get(at)
        {
            self.rejects.add(line, Some(raw), &why.to_string())?;
            return match batch.filtered(|other| other != at) {
                Some(rest) => self.send(rest).await,
                None => Ok(()),
            };
        }
        Err(Error::Refused(why).into())
    }
}

/// Ready when the user interrupts.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Where the signal cannot be heard it ends the process by itself.
        std::future::pending().await
    }
}

/// The outcome of the first batch under way; never ready if there is none.
struct Front<'a>(&'a mut VecDeque<Under>);

impl Future for Front<'_> {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.front_mut() {
            Some(under) => Pin::new(&mut under.outcome).poll(cx),
            None => Poll::Pending,
        }
    }
}
