//! What every frame of a client is held to, over all its connections, whatever the case is about.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::conformance::failure::{Failure, Verdict, ensure, same};
use crate::conformance::fields::{FRAME_BYTES, SEQUENCES};
use crate::wire::message::{Credit, CreditScope, Hello, Operation};
use crate::wire::{CreditLimit, ErrorCode, Header, Lane, Message, MessageType, Scope, check_flags};

/// What a client has shown of itself, over its connections.
#[derive(Debug, Default)]
pub(in crate::conformance) struct Memory {
    /// The node of the Welcome, which it must name from then on.
    pub(in crate::conformance) node: Option<Uuid>,
    /// Payloads of operations by number: what is sent again is the same, byte for byte.
    pub(in crate::conformance) operations: BTreeMap<u64, Vec<u8>>,
    /// The highest number that was acknowledged as durable.
    pub(in crate::conformance) acknowledged: u64,
}

/// The rules of one connection.
#[derive(Debug, Default)]
pub(super) struct Rules {
    sequence: Option<u32>,
    has_greeted: bool,
    /// The node that the Hello named.
    pub(super) named: Option<Uuid>,
    pub(super) is_welcome: bool,
    pub(super) is_compressing: bool,
    pub(super) offers_lz4: bool,
    oldest: u64,
    next_number: u64,
    pub(super) window: u64,
    pub(super) acknowledged: u64,
    pub(super) work: CreditLimit,
    pub(super) worked: CreditLimit,
    pub(super) request_limit: u16,
    last_request: u64,
    /// The limits of requests that run.
    pub(super) running: BTreeMap<u64, CreditLimit>,
    ended: BTreeSet<u64>,
    is_over: bool,
    has_parted: bool,
}

impl Rules {
    /// Judges a frame before its payload is read.
    pub(super) fn judge_header(&mut self, header: &Header) -> Verdict {
        if let Some(last) = self.sequence {
            let due = last.wrapping_add(1) % SEQUENCES;
            same("the sequence of the client's frame (P-6.1)", &header.sequence, &due)?;
        }
        self.sequence = Some(header.sequence);
        let found = MessageType::from_byte(header.message_type).filter(|found| found.is_sent_by_peers());
        let Some(message_type) = found else {
            return Err(Failure::new(format_args!(
                "the client sent the type {:#04x} (P-2.7)",
                header.message_type
            )));
        };
        check_flags(Some(message_type), header.flags, self.is_compressing)
            .map_err(|error| Failure::new(format_args!("a {message_type:?} of the client: {error} (P-2.6)")))
    }

    /// Judges a message.
    pub(super) fn judge(&mut self, memory: &mut Memory, message: &Message<'_>, payload: &[u8]) -> Verdict {
        let name = message.message_type();
        ensure(!self.has_parted || is_last_word(message), || {
            format!("a {name:?} follows the client's Goodbye (C-11.1)")
        })?;
        ensure(!self.is_over || matches!(message, Message::Goodbye(_)), || {
            format!("a {name:?} follows the Error by which the client ended the connection (C-1.3)")
        })?;
        let may_come_early = matches!(message, Message::Hello(_) | Message::Goodbye(_) | Message::Error(_));
        ensure(self.is_welcome || may_come_early, || format!("a {name:?} precedes the Welcome (C-2.2)"))?;
        match message {
            Message::Hello(hello) => self.judge_hello(memory, hello),
            Message::Operation(operation) => {
                self.spend(payload.len())?;
                self.judge_operation(memory, operation, payload)
            }
            Message::Query(query) => {
                self.spend(payload.len())?;
                self.judge_request(query.id, query.credit)
            }
            Message::Subscribe(subscribe) => {
                self.spend(payload.len())?;
                self.judge_request(subscribe.id, subscribe.credit)
            }
            Message::Credit(credit) => self.judge_credit(credit),
            Message::Cancel(cancel) => self.knows(cancel.id, "Cancel"),
            Message::Unsubscribe(unsubscribe) => self.knows(unsubscribe.id, "Unsubscribe"),
            Message::Error(error) => {
                ensure(error.subject.scope() == Scope::Connection, || {
                    format!("the client sent an Error about {:?} (P-8.2)", error.subject)
                })?;
                self.is_over = is_last_word(message);
                Ok(())
            }
            Message::Goodbye(_) => {
                self.has_parted = true;
                Ok(())
            }
            Message::Ping(_) | Message::Pong(_) => Ok(()),
            _ => Err(Failure::new(format_args!("the client sent a {name:?}, which is a server's (P-2)"))),
        }
    }

    fn judge_hello(&mut self, memory: &Memory, hello: &Hello<'_>) -> Verdict {
        ensure(!self.has_greeted, || "a second Hello (C-2.1)".to_owned())?;
        self.has_greeted = true;
        self.named = hello.node;
        ensure((hello.min_version..=hello.max_version).contains(&1), || {
            "the client does not offer version 1".to_owned()
        })?;
        if memory.node.is_some() {
            same("the node of the Hello (C-10, 2.)", &hello.node, &memory.node)?;
        }
        let sent = memory.operations.keys().next_back().copied().unwrap_or_default();
        ensure(hello.next_operation > sent, || {
            format!("next_operation is {}, {sent} was sent before (P-7.1)", hello.next_operation)
        })?;
        let oldest = memory.acknowledged.saturating_add(1);
        ensure(hello.oldest_unacked <= oldest, || {
            format!(
                "oldest_unacked is {}, up to {} was acknowledged (C-5.7)",
                hello.oldest_unacked, memory.acknowledged
            )
        })?;
        self.offers_lz4 = hello.capabilities.contains("lz4");
        (self.oldest, self.next_number) = (hello.oldest_unacked, hello.oldest_unacked);
        Ok(())
    }

    fn spend(&mut self, plain_bytes: usize) -> Verdict {
        let (worked, work) = (self.worked, self.work);
        ensure(work.allows_one_more(worked), || {
            format!("a frame without credit: {worked:?} sent of {work:?} (P-9.4)")
        })?;
        let bytes = u64::try_from(plain_bytes).unwrap_or(u64::MAX).saturating_add(FRAME_BYTES);
        self.worked.frames = worked.frames.saturating_add(1);
        self.worked.bytes = worked.bytes.saturating_add(bytes);
        Ok(())
    }

    fn judge_operation(&mut self, memory: &mut Memory, operation: &Operation<'_>, payload: &[u8]) -> Verdict {
        let number = operation.number;
        same("the number of the operation (C-5.1)", &number, &self.next_number)?;
        self.next_number = number.saturating_add(1);
        let last = self.acknowledged.max(self.oldest.saturating_sub(1)).saturating_add(self.window);
        ensure(number <= last, || {
            format!("operation {number} is sent, {last} is the last of the window (C-5.2)")
        })?;
        match memory.operations.get(&number) {
            Some(known) => ensure(known == payload, || {
                format!("operation {number} is sent again with other bytes (C-5.7)")
            }),
            None => {
                memory.operations.insert(number, payload.to_vec());
                Ok(())
            }
        }
    }

    fn judge_request(&mut self, id: u64, limit: CreditLimit) -> Verdict {
        let last = self.last_request;
        ensure(id > last, || format!("request {id} follows request {last} (P-7.6)"))?;
        self.last_request = id;
        self.running.insert(id, limit);
        let (running, most) = (self.running.len(), usize::from(self.request_limit));
        ensure(running <= most, || format!("{running} requests run, {most} is the limit (C-6.4)"))
    }

    fn judge_credit(&mut self, credit: &Credit) -> Verdict {
        let CreditScope::Request(id) = credit.scope else {
            let is_work = credit.scope == CreditScope::Lane(Lane::Work);
            let lane = if is_work { "work" } else { "telemetry" };
            return Err(Failure::new(format_args!(
                "the client raises the {lane} lane, which is the server's (P-9.3)"
            )));
        };
        self.knows(id, "Credit")?;
        let Some(limit) = self.running.get_mut(&id) else { return Ok(()) };
        ensure(credit.limit.is_no_lower_than(*limit), || {
            format!("the limit of {id} fell from {limit:?} to {:?} (P-9.3)", credit.limit)
        })?;
        *limit = credit.limit;
        Ok(())
    }

    /// A request that runs, or ran.
    fn knows(&self, id: u64, what: &str) -> Verdict {
        let is_known = self.running.contains_key(&id) || self.ended.contains(&id);
        ensure(is_known, || format!("a {what} for request {id}, which the client did not send"))
    }

    /// The server ended a request.
    pub(super) fn end(&mut self, id: u64) {
        self.running.remove(&id);
        self.ended.insert(id);
    }
}

/// The Error by which its sender ends the connection (C-1.3).
fn is_last_word(message: &Message<'_>) -> bool {
    let ends = |code: u16| !ErrorCode::from_number(code).is_some_and(ErrorCode::is_notice);
    matches!(message, Message::Error(error) if ends(error.code))
}
