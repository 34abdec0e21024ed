//! An oracle on the wire: reads what each side writes, by itself, and says where a rule of `spec/connection.md`
//! is broken.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use crate::wire::message::{CreditScope, EventKind};
use crate::wire::{CreditLimit, FrameBuffer, Lane, Message, MessageType, Subject, decompress};

#[derive(Debug, Default)]
struct Account {
    sent: CreditLimit,
    limit: CreditLimit,
    cancelled: bool,
}

impl Account {
    /// Counts a frame; `false` if it was sent without credit.
    fn spend(&mut self, bytes: u64) -> bool {
        let allowed = self.sent.frames < self.limit.frames && self.sent.bytes < self.limit.bytes;
        self.sent.frames += 1;
        self.sent.bytes += bytes;
        allowed
    }
}

/// What was written on one connection.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    up: FrameBuffer,
    down: FrameBuffer,
    work: Account,
    requests: BTreeMap<u64, Account>,
    refused: BTreeSet<u64>,
    acked: u64,
    acked_by_level: [u64; 3],
    /// Control frames that the server wrote.
    pub(crate) control_down: u64,
    pub(crate) failures: Vec<String>,
}

impl Monitor {
    pub(crate) fn client_wrote(&mut self, bytes: &[u8]) {
        for (message_type, payload) in frames(&mut self.up, bytes) {
            let cost = payload.len() as u64 + 19;
            match Message::decode(message_type, &payload).unwrap() {
                Message::Hello(hello) => {
                    self.acked = hello.oldest_unacked - 1;
                    self.acked_by_level = [self.acked; 3];
                }
                Message::Operation(_) => self.spend_work(cost),
                Message::Query(query) => self.open(query.id, query.credit, cost),
                Message::Subscribe(subscribe) => self.open(subscribe.id, subscribe.credit, cost),
                Message::Credit(credit) => {
                    let CreditScope::Request(id) = credit.scope else { panic!("a client's lane") };
                    let account = self.requests.get_mut(&id).unwrap();
                    assert!(credit.limit.is_no_lower_than(account.limit));
                    account.limit = credit.limit;
                }
                Message::Cancel(cancel) => self.requests.get_mut(&cancel.id).unwrap().cancelled = true,
                Message::Unsubscribe(ended) => self.requests.get_mut(&ended.id).unwrap().cancelled = true,
                _ => {}
            }
        }
    }

    fn open(&mut self, id: u64, limit: CreditLimit, cost: u64) {
        self.requests.insert(id, Account { limit, ..Account::default() });
        self.spend_work(cost);
    }

    fn spend_work(&mut self, cost: u64) {
        if !self.work.spend(cost) {
            self.failures.push("the client sent work without credit".to_owned());
        }
    }

    pub(crate) fn server_wrote(&mut self, bytes: &[u8], engine: &Engine) {
        for (message_type, payload) in frames(&mut self.down, bytes) {
            self.control_down += u64::from(!matches!(message_type, 1 | 4 | 0x10));
            let cost = payload.len() as u64 + 19;
            match Message::decode(message_type, &payload).unwrap() {
                Message::Welcome(welcome) => self.work.limit = welcome.work,
                Message::Credit(credit) if credit.scope == CreditScope::Lane(Lane::Work) => {
                    assert!(credit.limit.is_no_lower_than(self.work.limit));
                    self.work.limit = credit.limit;
                }
                Message::QueryResponse(response) => self.spend_request(response.id, cost, false),
                Message::Event(event) => {
                    self.spend_request(event.id, cost, event.kind == EventKind::Ended);
                }
                Message::Error(error) => {
                    if let Subject::Operation(number) = error.subject {
                        self.check_error(number);
                    }
                }
                Message::Ack(ack) => self.check_ack(ack.level as usize, ack.number, engine),
                _ => {}
            }
        }
    }

    fn spend_request(&mut self, id: u64, cost: u64, ended: bool) {
        let account = self.requests.get_mut(&id).unwrap();
        let free = ended && account.cancelled;
        if !free && !account.spend(cost) {
            self.failures.push(format!("the server answered {id} without credit"));
        }
    }

    fn check_error(&mut self, number: u64) {
        if number <= self.acked || !self.refused.insert(number) {
            self.failures.push(format!("the Error of {number} came behind the Ack of {}", self.acked));
        }
    }

    fn check_ack(&mut self, level: usize, number: u64, engine: &Engine) {
        if number <= self.acked_by_level[level] {
            self.failures.push(format!("Ack {number} of level {level} does not rise"));
        }
        self.acked_by_level[level] = number;
        for covered in self.acked + 1..=number {
            let (refused, told) = (engine.refused_number(covered), self.refused.contains(&covered));
            if refused != Some(told) {
                self.failures.push(format!("Ack {number}: {covered} is {refused:?}, told {told}"));
            }
        }
        self.acked = self.acked.max(number);
    }
}

fn frames(buffer: &mut FrameBuffer, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    buffer.extend(bytes);
    let mut found = Vec::new();
    while let Some(frame) = buffer.next_frame().unwrap() {
        let mut payload = frame.payload.to_vec();
        if frame.header.flags.byte() & 1 != 0 {
            decompress(frame.payload, &mut payload).unwrap();
        }
        found.push((frame.header.message_type, payload));
    }
    assert!(found.iter().all(|(message_type, _)| MessageType::from_byte(*message_type).is_some()));
    found
}
