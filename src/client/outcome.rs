//! What became of an operation.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use thiserror::Error as ThisError;
use tokio::sync::oneshot;

use super::error::{Error, sentence};
use crate::blazebinary::{Dict, ValueView};
use crate::proto::Refusal;
use crate::wire::{ErrorCode, Message, MessageType, Position};

/// An operation that took effect and is on stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// A position at which the effect can be seen: its own, or that of a later operation acknowledged with it. A
    /// question asked `at_least` there sees it.
    pub position: Position,
    /// How many of its single operations found their record as it should be (`skip_unchanged`) and changed
    /// nothing; `None` where it was acknowledged together with others and the server told only their sum.
    /// [`Client::unchanged`](super::Client::unchanged) always has the sum.
    pub unchanged: Option<u64>,
}

/// What the server said when it refused.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[error("{}", self.text())]
pub struct Refused {
    /// Why, if this release knows the code.
    pub code: Option<ErrorCode>,
    /// The code as it travelled.
    pub number: u16,
    /// The server's words.
    pub message: String,
    /// Facts for programs; empty if there are none. `item` is the operation of the transaction, from 0.
    pub detail: Dict,
}

impl Refused {
    /// Which operation of the transaction was refused, from 0, if the server said so.
    pub fn item(&self) -> Option<u64> {
        match self.detail.get("item")? {
            crate::blazebinary::Value::Int(item) => u64::try_from(*item).ok(),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self.code {
            Some(code) => {
                sentence(&format!("{} ({code})", self.message.trim_end_matches('.')), code.advice())
            }
            None => {
                let advice = "The server is newer than this client: see its errors.md.";
                sentence(&format!("{} (code {})", self.message.trim_end_matches('.'), self.number), advice)
            }
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let detail = match Message::decode(MessageType::Error as u8, &refusal.payload) {
            Ok(Message::Error(error)) => error.detail.view().map(|detail| detail.to_dict()),
            _ => None,
        };
        Self {
            code: refusal.known(),
            number: refusal.code,
            message: refusal.message,
            detail: detail.unwrap_or_default(),
        }
    }
}

/// The time after which the server asks to be tried again, in milliseconds; 0 for none.
pub(super) fn retry_after_ms(refusal: &Refusal) -> u64 {
    let Ok(Message::Error(error)) = Message::decode(MessageType::Error as u8, &refusal.payload) else {
        return 0;
    };
    match error.detail.get("retry_after_ms") {
        Some(ValueView::Int(milliseconds)) => u64::try_from(milliseconds).unwrap_or(0),
        _ => 0,
    }
}

/// An operation that was taken: a future of its outcome. Dropping it does not take the operation back.
#[derive(Debug)]
#[must_use = "the outcome of the operation is told here only"]
pub struct Pending {
    pub(super) outcome: oneshot::Receiver<Result<Receipt, Error>>,
}

impl Future for Pending {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.outcome).poll(cx));
        Poll::Ready(outcome.unwrap_or(Err(Error::Closed)))
    }
}
