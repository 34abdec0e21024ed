//! Our client, asked to do what the script's client does.

use blazedb::proto::{
    Client, ClientEvent, CloseReason, Connection, Cost, Outbox, Parting, RequestKind, Time,
};
use blazedb::wire::message::{CreditScope, Hello};
use blazedb::wire::{Message, MessageType};

use super::super::handshakes::client_of;
use super::{Outcomes, Side, Step};

pub(super) struct Asked {
    connection: Connection<Client>,
    /// Answers that the application has not taken yet.
    costs: Vec<(u64, Cost)>,
    next_request: u64,
    pub(super) outcomes: Outcomes,
}

impl Asked {
    /// A client that says the Hello with which `steps` begin, and whether it can. What `outbox` holds it
    /// resumes; without one it has no operations.
    pub(super) fn new(steps: &[Step], outbox: Option<Outbox>, first_sequence: u32) -> (Self, bool) {
        let hello = match steps.first().and_then(Step::message) {
            Some(Message::Hello(hello)) => Some(hello),
            _ => None,
        };
        let possible = hello.as_ref().is_some_and(|hello| {
            (hello.min_version, hello.max_version) == (1, 1)
                && (outbox.is_some() || hello.oldest_unacked == hello.next_operation)
        });
        let hello = hello.unwrap_or_else(any_hello);
        let outbox = outbox.unwrap_or_else(|| Outbox::resuming(hello.node, hello.next_operation));
        let connection = client_of(&hello, outbox, first_sequence);
        (Self { connection, costs: Vec::new(), next_request: 1, outcomes: Outcomes::new() }, possible)
    }

    /// What it keeps for its next connection.
    pub(super) fn into_outbox(mut self, cut: bool) -> Outbox {
        if cut {
            self.connection.handle_eof();
        }
        self.connection.into_outbox()
    }

    /// Reads an answer as an application does: it alone sees what is wrong with it.
    fn read(&mut self, kind: RequestKind, payload: &[u8]) {
        let message_type = match kind {
            RequestKind::Query => MessageType::QueryResponse,
            RequestKind::Subscription => MessageType::Event,
        };
        if let Err(error) = Message::decode_strict(message_type as u8, payload) {
            self.connection.handle_malformed(error);
        }
    }

    /// Whether the next request would have this id; then it is taken.
    fn takes(&mut self, id: u64) -> bool {
        let fits = id == self.next_request;
        self.next_request += u64::from(fits);
        fits
    }
}

/// For a client whose script is spoken for it.
fn any_hello<'a>() -> Hello<'a> {
    Hello {
        min_version: 1,
        max_version: 1,
        next_operation: 1,
        oldest_unacked: 1,
        heartbeat_ms: 15_000,
        database: blazedb::wire::DatabaseName::new("main").unwrap(),
        agent: "",
        node: None,
        capabilities: blazedb::wire::EncodedStrings::EMPTY,
    }
}

impl Side for Asked {
    fn act(&mut self, message: &Message<'_>, _: &[Step]) {
        match message {
            Message::Operation(operation) => {
                self.connection.submit(operation.ack_level, operation.groups).unwrap();
            }
            Message::Query(query) if self.takes(query.id) => {
                // Beyond the limit of requests our client does not ask.
                _ = self.connection.query(query.kind, query.at_least, query.credit);
            }
            Message::Subscribe(wish) if self.takes(wish.id) => {
                let (collection, mode, start) = (wish.collection, wish.mode, wish.start);
                self.connection.subscribe(collection, mode, start, wish.credit).unwrap();
            }
            // Of what has ended our client sends neither.
            Message::Cancel(cancel) => _ = self.connection.cancel(cancel.id),
            Message::Unsubscribe(unsubscribe) => _ = self.connection.cancel(unsubscribe.id),
            Message::Ping(_) => self.connection.ping(),
            Message::Credit(credit) => {
                for (id, cost) in std::mem::take(&mut self.costs) {
                    if credit.scope == CreditScope::Request(id) {
                        self.connection.consume(id, cost);
                    }
                }
            }
            Message::Goodbye(goodbye) => self.connection.close(Time::ZERO, Parting::from(goodbye)).unwrap(),
            _ => {}
        }
    }

    fn hear(&mut self, raw: &[u8]) {
        self.connection.handle_bytes(Time::ZERO, raw);
        while let Some(event) = self.connection.poll_event() {
            match event {
                ClientEvent::Answer { id, cost, kind, payload, .. } => {
                    self.costs.push((id, cost));
                    self.read(kind, &payload);
                }
                ClientEvent::Outcome(outcome) => {
                    let refusal = outcome.result.err().map(|refusal| refusal.code);
                    assert!(self.outcomes.insert(outcome.number, refusal).is_none(), "{}", outcome.number);
                }
                _ => {}
            }
        }
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        while self.connection.poll_transmit(Time::ZERO, out) > 0 {}
    }

    fn close_reason(&self) -> Option<&CloseReason> {
        self.connection.close_reason()
    }
}
