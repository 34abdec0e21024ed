//! The operations of one session: decided in order as they are read, told as durable when they are.

use std::collections::VecDeque;

use super::databases::Served;
use super::publication::StorageFailure;
use super::refusals;
use crate::engine::{EngineError, Id, Outcome, Refusal, Submission, Ticket, Verdict as Decided};
use crate::proto::{Connection, RefusalText, Server, Verdict};
use crate::wire::message::{AckLevel, Operation};
use crate::wire::{ErrorCode, Message, MessageType};

/// Bytes of an Operation's payload before its body: number and level.
const HEAD_BYTES: usize = 9;

/// The operations that are decided and not told as durable.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// Their numbers, and how far the log must be durable for each; both rise.
    pending: VecDeque<(u64, u64)>,
}

impl Operations {
    /// Decides an operation. What is not an outcome ends the connection: its number stays free, and the client
    /// sends it again over the next one.
    pub(super) fn decide(
        &mut self,
        connection: &mut Connection<Server>,
        served: &Served,
        node: Id,
        number: u64,
        payload: &[u8],
    ) -> Result<(), StorageFailure> {
        let decided = match Message::decode(MessageType::Operation as u8, payload) {
            Ok(Message::Operation(Operation { ack_level: AckLevel::Replicated, groups, .. })) => {
                let message = "this server has no replicas: ask for durable".to_owned();
                let text = RefusalText { message, ..RefusalText::new(ErrorCode::NotSupported) };
                let refusal = Refusal::of_all(ErrorCode::NotSupported);
                refuse(served, node, number, groups.as_bytes(), refusal, text)
            }
            Ok(Message::Operation(operation)) => {
                let submission =
                    Submission { node, number, groups: operation.groups, principal: "", trace: None };
                submit(served, &submission).map(|ticket| (ticket, refusal_of(&ticket.outcome)))
            }
            Ok(_) => {
                give_up(connection, ErrorCode::Internal, "an operation that is none");
                return Ok(());
            }
            Err(error) => {
                let body = payload.get(HEAD_BYTES..).unwrap_or_default();
                let (refusal, text) = (refusals::decided_of(&error), refusals::of_payload(&error));
                refuse(served, node, number, body, refusal, text)
            }
        };
        match decided {
            Ok((ticket, refusal)) => self.tell(connection, served, number, &ticket, refusal),
            Err(EngineError::Stopped(reason)) => return Err(served.publication.fail(&*reason)),
            Err(error) => give_up(connection, error.code(), &error.to_string()),
        }
        Ok(())
    }

    fn tell(
        &mut self,
        connection: &mut Connection<Server>,
        served: &Served,
        number: u64,
        ticket: &Ticket,
        refusal: Option<RefusalText>,
    ) {
        let unchanged = match ticket.outcome.verdict {
            Decided::Applied { unchanged } => unchanged.into(),
            Decided::Refused(_) => 0,
        };
        let position = served.database.position_of(ticket.outcome.sequence);
        if let Err(misuse) = connection.decided(number, &Verdict { position, unchanged, refusal }) {
            return give_up(connection, ErrorCode::Internal, &misuse.to_string());
        }
        let through = self.pending.back().map_or(0, |(_, through)| *through).max(ticket.through);
        self.pending.push_back((number, through));
    }

    /// Tells what became durable.
    pub(super) fn settle(&mut self, connection: &mut Connection<Server>, served: &Served) {
        let published = served.publication.sequence();
        let mut last = None;
        while let Some((number, _)) = self.pending.pop_front_if(|(_, through)| *through <= published) {
            last = Some(number);
        }
        if let Some(number) = last
            && let Err(misuse) = connection.durable(number)
        {
            give_up(connection, ErrorCode::Internal, &misuse.to_string());
        }
    }

    /// Whether something that is decided is not told as durable, though it may be by now.
    pub(super) fn are_untold(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether something that is ordered is not durable.
    pub(super) fn wait_for_commit(&self, served: &Served) -> bool {
        self.pending.back().is_some_and(|(_, through)| *through > served.publication.sequence())
    }

    /// The connection ended: what is decided stays.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
    }
}

fn submit(served: &Served, submission: &Submission<'_>) -> Result<Ticket, EngineError> {
    let _guard = served.publication.guard();
    served.database.submit(submission)
}

/// Uses the number up. The client is told `text`, which says more than the ledger keeps, unless the number was decided
/// otherwise before.
fn refuse(
    served: &Served,
    node: Id,
    number: u64,
    body: &[u8],
    refusal: Refusal,
    text: RefusalText,
) -> Result<(Ticket, Option<RefusalText>), EngineError> {
    let _guard = served.publication.guard();
    let ticket = served.database.refuse(node, number, body, refusal)?;
    let is_this = ticket.outcome.verdict == Decided::Refused(refusal);
    Ok((ticket, if is_this { Some(text) } else { refusal_of(&ticket.outcome) }))
}

fn refusal_of(outcome: &Outcome) -> Option<RefusalText> {
    match &outcome.verdict {
        Decided::Applied { .. } => None,
        Decided::Refused(refusal) => Some(refusals::of_operation(refusal)),
    }
}

fn give_up(connection: &mut Connection<Server>, code: ErrorCode, message: &str) {
    // A connection that ended by itself needs no end.
    let _ = connection.refuse(code, message);
}
