//! A stand-in for the engine: decides operations in order, refuses some, makes them durable later, remembers
//! what it decided across connections, and answers queries and subscriptions by position.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use super::Rng;
use crate::proto::{
    Acceptance, Connection, Cost, Delivery, RefusalText, RequestKind, Server, ServerEvent, Time, Verdict,
};
use crate::wire::message::{
    Action, Change, ChangeKind, ChangesBuilder, Event, EventKind, QueryKind, QueryResponse, Row, RowsBuilder,
    Start,
};
use crate::wire::{Clock, CreditLimit, ErrorCode, FramedRecord, Message, Position};

/// The node that every client of the harness is.
pub(crate) const NODE: Uuid = Uuid::from_u128(0x4E0DE);

/// How the engine behaves, defects included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// How long a decision takes.
    pub(crate) decide: Duration,
    /// How long a sync takes.
    pub(crate) sync: Duration,
    /// Operations whose tag is a multiple of this are refused; 0 for none.
    pub(crate) refuse_every: u64,
    /// How often the work window is resized: once in so many moments; 0 for never.
    pub(crate) resize_one_in: u64,
    /// A defect: verdicts of this and the next number are swapped.
    pub(crate) swap_at: Option<u64>,
}

impl Rules {
    pub(crate) const USUAL: Self = Self {
        decide: Duration::from_micros(200),
        sync: Duration::from_millis(3),
        refuse_every: 7,
        resize_one_in: 0,
        swap_at: None,
    };
}

#[derive(Debug)]
struct Waiting {
    ready: Time,
    number: u64,
    payload: Vec<u8>,
    cost: Cost,
}

/// A query or subscription that runs: where it stands is a number.
#[derive(Debug)]
struct Running {
    kind: RequestKind,
    next: u64,
    frames: u64,
    record_bytes: usize,
}

/// What is decided about a number, for good.
#[derive(Debug, Clone)]
struct Decided {
    body: Vec<u8>,
    verdict: Verdict,
}

#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) rules: Rules,
    /// By operation number.
    ledger: BTreeMap<u64, Decided>,
    durable: u64,
    /// Tags of the operations that had an effect, in order.
    pub(crate) effects: Vec<u64>,
    waiting: VecDeque<Waiting>,
    syncing: Option<(Time, u64)>,
    /// The last number decided on this connection.
    answered: u64,
    running: BTreeMap<u64, Running>,
    /// How often deliveries were parked.
    pub(crate) parked: u64,
    pub(crate) accepted: u64,
    pub(crate) failures: Vec<String>,
}

impl Engine {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            ledger: BTreeMap::new(),
            durable: 0,
            effects: Vec::new(),
            waiting: VecDeque::new(),
            syncing: None,
            answered: 0,
            running: BTreeMap::new(),
            parked: 0,
            accepted: 0,
            failures: Vec::new(),
        }
    }

    pub(crate) fn is_refused(&self, tag: u64) -> bool {
        self.rules.refuse_every > 0 && tag.is_multiple_of(self.rules.refuse_every)
    }

    /// Whether the engine refused a number that it decided.
    pub(crate) fn refused_number(&self, number: u64) -> Option<bool> {
        self.ledger.get(&number).map(|decided| decided.verdict.refusal.is_some())
    }

    /// The connection is gone; what is decided stays.
    pub(crate) fn disconnect(&mut self) {
        self.waiting.clear();
        self.running.clear();
        self.answered = 0;
    }

    /// The process is gone too: what was not durable never happened.
    pub(crate) fn crash(&mut self) {
        self.disconnect();
        self.syncing = None;
        let lost = self.ledger.split_off(&(self.durable + 1));
        let effects = lost.values().filter(|decided| decided.verdict.refusal.is_none()).count();
        self.effects.truncate(self.effects.len() - effects);
    }

    pub(crate) fn handle(&mut self, now: Time, server: &mut Connection<Server>, event: ServerEvent) {
        match event {
            ServerEvent::Hello(hello) => {
                self.answered = hello.oldest_unacked - 1;
                let node_decided = self.ledger.keys().next_back().copied().unwrap_or(0);
                let clock = Clock::new(1_700_000_000_000, 0).unwrap();
                let position = self.position(self.effects.len() as u64);
                let connection = Uuid::from_u128(1);
                let acceptance = Acceptance { node: NODE, node_decided, connection, position, clock };
                match server.accept(now, acceptance) {
                    Ok(()) => self.accepted += 1,
                    Err(error) => self.failures.push(format!("accept: {error}")),
                }
            }
            ServerEvent::Operation { number, payload, cost, .. } => {
                let ready = now.after(self.rules.decide);
                self.waiting.push_back(Waiting { ready, number, payload, cost });
            }
            ServerEvent::Request { id, kind, payload, cost } => {
                let message = if kind == RequestKind::Query { 3 } else { 5 };
                let running = self.start(Message::decode(message, &payload).unwrap());
                self.running.insert(id, running);
                server.admit(cost);
                self.feed(server, id);
            }
            ServerEvent::Writable { id } => self.feed(server, id),
            ServerEvent::Cancelled { id } => {
                self.running.remove(&id);
                let position = self.position(0);
                server.finish(id, position).unwrap();
            }
            ServerEvent::Goodbye(_) => {}
            ServerEvent::Closed(_) => self.disconnect(),
        }
    }

    fn position(&self, seq: u64) -> Position {
        Position { epoch: 1, partition: 0, seq }
    }

    /// A scan's `limit` is how many frames its answer has, a range that begins anywhere makes them large.
    fn start(&self, message: Message<'_>) -> Running {
        match message {
            Message::Query(query) => {
                let QueryKind::Scan { limit, lower, .. } = query.kind else { panic!("scans only") };
                let large = lower != std::ops::Bound::Unbounded;
                let record_bytes = if large { 40_000 } else { 100 };
                Running { kind: RequestKind::Query, next: 0, frames: limit.max(1), record_bytes }
            }
            Message::Subscribe(subscribe) => {
                let next = match subscribe.start {
                    Start::After(position) => position.seq,
                    Start::Snapshot => 0,
                    Start::Now => self.published(),
                };
                Running { kind: RequestKind::Subscription, next, frames: 0, record_bytes: 0 }
            }
            other => panic!("no request: {other:?}"),
        }
    }

    /// How many effects are durable.
    fn published(&self) -> u64 {
        let durable = self.ledger.range(..=self.durable);
        durable.filter(|(_, decided)| decided.verdict.refusal.is_none()).count() as u64
    }

    /// Delivers to one request until it is parked, busy or done.
    fn feed(&mut self, server: &mut Connection<Server>, id: u64) {
        loop {
            let Some(running) = self.running.get(&id) else { return };
            let (delivery, done) = match running.kind {
                RequestKind::Query => (respond(server, id, running), running.next + 1 == running.frames),
                RequestKind::Subscription if running.next >= self.published() => return,
                RequestKind::Subscription => {
                    let tag = self.effects[running.next as usize];
                    (deliver(server, id, running.next + 1, tag), false)
                }
            };
            match delivery {
                Delivery::Taken if done => drop(self.running.remove(&id)),
                Delivery::Taken => self.running.get_mut(&id).unwrap().next += 1,
                Delivery::Parked => {
                    self.parked += 1;
                    return;
                }
                Delivery::Busy | Delivery::Cancelled => return,
            }
        }
    }

    /// When something is due.
    pub(crate) fn due(&self) -> Option<Time> {
        let decide = self.waiting.front().map(|waiting| waiting.ready);
        [decide, self.syncing.map(|(due, _)| due)].into_iter().flatten().min()
    }

    pub(crate) fn handle_time(&mut self, now: Time, server: Option<&mut Connection<Server>>, rng: &mut Rng) {
        if let Some((due, number)) = self.syncing
            && due <= now
        {
            self.durable = number;
            self.syncing = None;
        }
        let Some(server) = server.filter(|server| !server.is_closed()) else { return };
        if self.rules.resize_one_in > 0 && rng.one_in(self.rules.resize_one_in) {
            server.set_work_window(CreditLimit { frames: rng.below(30), bytes: rng.below(50_000) });
        }
        while self.waiting.front().is_some_and(|waiting| waiting.ready <= now) {
            let waiting = self.waiting.pop_front().unwrap();
            server.admit(waiting.cost);
            let Some(verdict) = self.decide(waiting.number, waiting.payload) else {
                server.refuse(ErrorCode::IdentityReused, "another body").unwrap();
                return;
            };
            self.answered = waiting.number;
            server.decided(waiting.number, &verdict).unwrap();
        }
        server.durable(self.durable.min(self.answered)).unwrap();
        let decided = self.ledger.keys().next_back().copied().unwrap_or(0);
        if self.syncing.is_none() && decided > self.durable {
            let jitter = Duration::from_micros(rng.below(1_000));
            self.syncing = Some((now.after(self.rules.sync + jitter), decided));
        }
        for id in self.running.keys().copied().collect::<Vec<_>>() {
            if self.running[&id].kind == RequestKind::Subscription {
                self.feed(server, id);
            }
        }
    }

    /// The verdict of a number: its first, if it has one and the body is the same.
    fn decide(&mut self, number: u64, payload: Vec<u8>) -> Option<Verdict> {
        if let Some(decided) = self.ledger.get(&number) {
            return (decided.body == payload).then(|| decided.verdict.clone());
        }
        let Ok(Message::Operation(operation)) = Message::decode(2, &payload) else { panic!("an operation") };
        let (_, first) = operation.groups.operations().next().unwrap();
        let Action::Delete { id } = first.action else { panic!("a delete comes first") };
        let mut tag = id.as_u128() as u64;
        match self.rules.swap_at {
            Some(at) if number == at => tag += 1,
            Some(at) if number == at + 1 => tag -= 1,
            _ => {}
        }
        let refusal = self.is_refused(tag).then(|| RefusalText::new(ErrorCode::NotFound));
        if refusal.is_none() {
            self.effects.push(tag);
        }
        let verdict = Verdict { position: self.position(self.effects.len() as u64), unchanged: 0, refusal };
        self.ledger.insert(number, Decided { body: payload, verdict: verdict.clone() });
        Some(verdict)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.syncing.is_none()
    }
}

fn respond(server: &mut Connection<Server>, id: u64, running: &Running) -> Delivery {
    let mut record = vec![0; running.record_bytes];
    record[..8].copy_from_slice(&running.next.to_be_bytes());
    let mut rows = RowsBuilder::new();
    rows.push(Row { seq: 0, record: FramedRecord::new(&record).unwrap() }).unwrap();
    let last = running.next + 1 == running.frames;
    server
        .respond(&QueryResponse { id, last, position: Position::default(), rows: rows.rows() })
        .unwrap_or(Delivery::Cancelled)
}

fn deliver(server: &mut Connection<Server>, id: u64, seq: u64, tag: u64) -> Delivery {
    let mut changes = ChangesBuilder::new();
    changes.push(Change { seq, last: true, kind: ChangeKind::Delete(Uuid::from_u128(tag.into())) }).unwrap();
    let position = Position { epoch: 1, partition: 0, seq };
    let kind = EventKind::Changes(changes.changes().unwrap());
    server.deliver(&Event { id, position, kind }).unwrap_or(Delivery::Cancelled)
}
