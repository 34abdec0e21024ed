//! What handles and driver say to each other.

use tokio::sync::{mpsc, oneshot};

use super::error::Error;
use super::outcome::Receipt;
use super::pages::Page;
use super::questions::Question;
use super::watches::Watched;
use crate::proto::Cost;
use crate::wire::message::OperationBody;

/// Operations and questions that wait for the driver, each: enough that it finds a batch when it looks, few enough
/// that back-pressure is felt soon. What it took is bounded by the protocol's own windows.
pub(super) const QUEUE: usize = 64;

pub(super) type Reply = oneshot::Sender<Result<Receipt, Error>>;
/// Unbounded, yet bounded: the answer's credit limits how many parts the server may send before some are consumed.
pub(super) type Parts = mpsc::UnboundedSender<Result<(Page, Cost), Error>>;

/// An operation to send.
#[derive(Debug)]
pub(super) struct Submit {
    pub(super) body: OperationBody,
    pub(super) reply: Reply,
}

/// A question to ask.
#[derive(Debug)]
pub(super) struct Ask {
    /// Names the question over all connections.
    pub(super) ticket: u64,
    pub(super) question: Question,
    pub(super) parts: Parts,
}

/// What cannot wait behind operations and questions.
#[derive(Debug)]
pub(super) enum Signal {
    /// The reader took a part of an answer.
    Consumed { ticket: u64, cost: Cost },
    /// The reader went away.
    Abandoned { ticket: u64 },
    /// A subscription begins.
    Subscribed(Box<Watched>),
    /// Its reader took an event, which came over the connection of this number.
    Taken { ticket: u64, link: u64, cost: Cost },
    /// Finish, say Goodbye, then answer.
    Close(oneshot::Sender<()>),
}
