//! What a well-behaved client does over a [`Peer`]: operations, queries, subscriptions.

use super::failure::{Failure, Verdict, ensure, same};
use super::fields::{Fields, kind};
use super::items::{DURABLE, Item, operation};
use super::limits::PLENTY;
use super::peer::{Peer, unexpected};
use super::said::{Change, Complaint, Part, Row, Said, Tiding, What};
use crate::wire::message::Ack;
use crate::wire::{ErrorCode, Position, Subject};

/// What became of an operation.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) refusal: Option<Complaint>,
    /// The Ack of level durable that covers it.
    pub(super) ack: Ack,
}

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) position: Position,
    pub(super) rows: Vec<Row>,
}

/// How much of an answer may be sent at first.
pub(super) const ALL: (u64, u64) = (PLENTY, PLENTY);
/// Nothing of it.
pub(super) const NONE: (u64, u64) = (0, 0);

/// The bytes behind the credit of a Query that gets records.
pub(super) fn get(collection: &str, ids: &[uuid::Uuid]) -> Fields {
    let head = Fields::new().u8(1).u8(0).str(collection).u16(super::fields::count_of(ids));
    ids.iter().fold(head, |fields, id| fields.id(*id))
}

/// The same of one that scans a collection.
pub(super) fn scan(collection: &str) -> Fields {
    Fields::new().u8(2).u8(0).str(collection).u8(0).u64(0).u8(0).u8(0)
}

/// The bytes behind the credit of a Subscribe: the mode, the start, the collection.
pub(super) fn watch(mode: u8, start: u8, collection: &str) -> Fields {
    Fields::new().u8(mode).u8(start).str(collection)
}

/// The same, after a position.
pub(super) fn watch_after(mode: u8, position: Position, collection: &str) -> Fields {
    Fields::new().u8(mode).u8(2).position(position).str(collection)
}

/// The modes of a subscription.
pub(super) const EVERY: u8 = 1;
pub(super) const LATEST: u8 = 2;
/// Its starts.
pub(super) const NOW: u8 = 0;
pub(super) const SNAPSHOT: u8 = 1;

impl Peer {
    /// Sends an operation of level durable when there is room for it; answers its number.
    pub(super) async fn submit(&mut self, groups: &[(&str, Vec<Item>)]) -> Result<u64, Failure> {
        self.submit_at(DURABLE, groups).await
    }

    /// The same at a level.
    pub(super) async fn submit_at(
        &mut self,
        level: u8,
        groups: &[(&str, Vec<Item>)],
    ) -> Result<u64, Failure> {
        let payload = operation(self.next_operation, level, groups);
        self.submit_bytes(&payload).await
    }

    /// Sends the payload of an operation, whose number must be the next.
    pub(super) async fn submit_bytes(&mut self, payload: &[u8]) -> Result<u64, Failure> {
        self.wait_for_room().await?;
        let number = self.next_operation;
        self.send(kind::OPERATION, payload).await?;
        self.next_operation = number.saturating_add(1);
        Ok(number)
    }

    /// Waits until an operation is durable.
    pub(super) async fn outcome(&mut self, number: u64) -> Result<Outcome, Failure> {
        loop {
            if let Some(ack) = self.durable.iter().find(|ack| ack.number >= number) {
                return Ok(Outcome { refusal: self.refusals.get(&number).cloned(), ack: *ack });
            }
            let what = format!("the outcome of operation {number}");
            // One of level accepted comes first, where that was asked for.
            self.wait(&what, |said| matches!(said, Said::Ack(ack) if ack.number >= number).then_some(()))
                .await?;
        }
    }

    /// Sends one operation on one collection, which must take effect.
    pub(super) async fn done(&mut self, collection: &str, items: Vec<Item>) -> Result<Ack, Failure> {
        self.done_in(&[(collection, items)]).await
    }

    /// The same on several collections.
    pub(super) async fn done_in(&mut self, groups: &[(&str, Vec<Item>)]) -> Result<Ack, Failure> {
        let number = self.submit(groups).await?;
        let outcome = self.outcome(number).await?;
        match outcome.refusal {
            None => Ok(outcome.ack),
            Some(complaint) => Err(Failure::new(format_args!(
                "operation {number} must take effect, it is refused: {}: {}",
                complaint.name(),
                complaint.message
            ))),
        }
    }

    /// Sends one operation on one collection, which must be refused by this code.
    pub(super) async fn refused(
        &mut self,
        collection: &str,
        items: Vec<Item>,
        code: ErrorCode,
    ) -> Result<Complaint, Failure> {
        let payload = operation(self.next_operation, DURABLE, &[(collection, items)]);
        self.refused_bytes(&payload, code).await
    }

    /// The same of a payload.
    pub(super) async fn refused_bytes(
        &mut self,
        payload: &[u8],
        code: ErrorCode,
    ) -> Result<Complaint, Failure> {
        let number = self.submit_bytes(payload).await?;
        let outcome = self.outcome(number).await?;
        let complaint = outcome.refusal.ok_or_else(|| {
            Failure::new(format_args!(
                "operation {number} must be refused by {}, it took effect",
                code.name()
            ))
        })?;
        same(format_args!("the code of operation {number}"), &complaint.name(), &code.name().to_owned())?;
        Ok(complaint)
    }

    /// Sends a request with this credit; answers its id.
    pub(super) async fn request(
        &mut self,
        message_type: u8,
        (frames, bytes): (u64, u64),
        body: Fields,
    ) -> Result<u64, Failure> {
        self.wait_for_room().await?;
        let id = self.next_request;
        self.next_request = id.saturating_add(1);
        let payload = Fields::new().u64(id).u64(frames).u64(bytes).bytes(&body.done()).done();
        self.send(message_type, &payload).await?;
        Ok(id)
    }

    /// Asks a query.
    pub(super) async fn ask(&mut self, credit: (u64, u64), body: Fields) -> Result<u64, Failure> {
        self.request(kind::QUERY, credit, body).await
    }

    /// Subscribes.
    pub(super) async fn subscribe(&mut self, credit: (u64, u64), body: Fields) -> Result<u64, Failure> {
        self.request(kind::SUBSCRIBE, credit, body).await
    }

    /// Raises a request's limits.
    pub(super) async fn grant(&mut self, id: u64, (frames, bytes): (u64, u64)) -> Verdict {
        self.send(kind::CREDIT, &Fields::new().u8(2).u64(id).u64(frames).u64(bytes).done()).await
    }

    /// The next frame of an answer.
    pub(super) async fn part_of(&mut self, id: u64) -> Result<Part, Failure> {
        let what = format!("a frame of the answer to {id}");
        let picked = self.wait(&what, |said| match said {
            Said::Answer(part) if part.id == id => Some(Ok(part.clone())),
            Said::Error(complaint) if complaint.subject == Subject::Request(id) => {
                Some(Err(unexpected(&what, said)))
            }
            _ => None,
        });
        picked.await?
    }

    /// An answer to its end.
    pub(super) async fn answer(&mut self, id: u64) -> Result<Answered, Failure> {
        let mut rows = Vec::new();
        loop {
            let part = self.part_of(id).await?;
            rows.extend(part.rows);
            if part.last {
                return Ok(Answered { position: part.position, rows });
            }
        }
    }

    /// Asks a query without limits and reads the answer.
    pub(super) async fn query(&mut self, body: Fields) -> Result<Answered, Failure> {
        let id = self.ask(ALL, body).await?;
        self.answer(id).await
    }

    /// The records of a collection by its scan.
    pub(super) async fn records(&mut self, collection: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let answered = self.query(scan(collection)).await?;
        Ok(answered.rows.into_iter().map(|row| row.record).collect())
    }

    /// A request must be refused by this code.
    pub(super) async fn request_refused(&mut self, id: u64, code: ErrorCode) -> Result<Complaint, Failure> {
        let what = format!("the Error {} of request {id}", code.name());
        let complaint = self.wait(&what, |said| match said {
            Said::Error(complaint) if complaint.subject == Subject::Request(id) => {
                Some(Ok(complaint.clone()))
            }
            Said::Answer(part) if part.id == id => Some(Err(unexpected(&what, said))),
            Said::Event(tiding) if tiding.id == id => Some(Err(unexpected(&what, said))),
            _ => None,
        });
        let complaint = complaint.await??;
        same(format_args!("the code of request {id}"), &complaint.name(), &code.name().to_owned())?;
        Ok(complaint)
    }

    /// The next event of a subscription.
    pub(super) async fn event(&mut self, id: u64) -> Result<Tiding, Failure> {
        let what = format!("an event of subscription {id}");
        let picked = self.wait(&what, |said| match said {
            Said::Event(tiding) if tiding.id == id => Some(Ok(tiding.clone())),
            Said::Error(complaint) if complaint.subject == Subject::Request(id) => {
                Some(Err(unexpected(&what, said)))
            }
            _ => None,
        });
        picked.await?
    }

    /// The next event that is no heartbeat must be this.
    pub(super) async fn hears(&mut self, id: u64, expected: &What) -> Result<Position, Failure> {
        loop {
            let tiding = self.event(id).await?;
            if tiding.what == What::Heartbeat {
                continue;
            }
            same(format_args!("the event of {id}"), &tiding.what, expected)?;
            return Ok(tiding.position);
        }
    }

    /// Changes until there are so many; where `caught_up` comes before, that is a failure.
    pub(super) async fn changes(&mut self, id: u64, count: usize) -> Result<Vec<Change>, Failure> {
        let mut found = Vec::new();
        while found.len() < count {
            let tiding = self.event(id).await?;
            match tiding.what {
                What::Changes(changes) => found.extend(changes),
                What::Heartbeat => {}
                other => {
                    let got = found.len();
                    return Err(Failure::new(format_args!(
                        "{count} changes were due, behind {got} came {other:?}"
                    )));
                }
            }
        }
        ensure(found.len() == count, || format!("{count} changes were due, there came {}", found.len()))?;
        Ok(found)
    }

    /// Changes up to `caught_up`, and its position.
    pub(super) async fn changes_to_caught_up(&mut self, id: u64) -> Result<(Vec<Change>, Position), Failure> {
        let mut found = Vec::new();
        loop {
            let tiding = self.event(id).await?;
            match tiding.what {
                What::Changes(changes) => found.extend(changes),
                What::CaughtUp => return Ok((found, tiding.position)),
                What::Heartbeat => {}
                other => return Err(Failure::new(format_args!("caught_up was due, there came {other:?}"))),
            }
        }
    }

    /// Ends a subscription, and the server says so.
    pub(super) async fn unsubscribe(&mut self, id: u64) -> Verdict {
        self.send(kind::UNSUBSCRIBE, &Fields::new().u64(id).done()).await?;
        loop {
            if self.event(id).await?.what == What::Ended {
                return Ok(());
            }
        }
    }
}
