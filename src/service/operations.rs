//! The operations of one session: decided in order as they are read, told as durable when they are.

use std::collections::VecDeque;

use super::databases::Served;
use super::publication::StorageFailure;
use super::refusals;
use crate::engine::{EngineError, Id, Outcome, Submission, Ticket, Verdict as Decided};
use crate::proto::{Connection, RefusalText, Server, Verdict};
use crate::wire::message::{AckLevel, Action, Operation, OperationBuilder, RecordOperation};
use crate::wire::{CollectionName, ErrorCode, Message, MessageType};

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
            Ok(Message::Operation(Operation { ack_level: AckLevel::Replicated, .. })) => {
                let message = "this server has no replicas: ask for durable".to_owned();
                let refusal = RefusalText { message, ..RefusalText::new(ErrorCode::NotSupported) };
                use_up(served, node, number).map(|ticket| (ticket, Some(refusal)))
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
                let refusal = refusals::of_payload(&error);
                use_up(served, node, number).map(|ticket| (ticket, Some(refusal)))
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

/// Lets the engine use a number up for an operation that it cannot read: a transaction that is always refused, for no
/// record has that version, stands in the ledger for it. The client is told the real reason, now and when it
/// repeats the number.
fn use_up(served: &Served, node: Id, number: u64) -> Result<Ticket, EngineError> {
    let defect = || EngineError::Read("no stand-in for an operation that cannot be read".to_owned());
    let collection = CollectionName::new("unreadable").map_err(|_| defect())?;
    let action = Action::Check { id: uuid::Uuid::nil() };
    let mut builder = OperationBuilder::new();
    let check = RecordOperation { base: Some(u64::MAX), action };
    builder.push(collection, &check).map_err(|_| defect())?;
    let body = builder.finish().map_err(|_| defect())?;
    let groups = body.groups();
    submit(served, &Submission { node, number, groups, principal: "", trace: None })
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
