//! A stand-in for a client's application: acts by a plan, consumes slowly or not at all, and keeps a history.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use uuid::Uuid;

use crate::proto::{
    Client, ClientEvent, CloseReason, Connection, Cost, Parting, RequestError, RequestKind, Time,
};
use crate::wire::message::{
    AckLevel, Action, EventKind, Mode, OperationBody, OperationBuilder, QueryKind, RecordOperation, Start,
};
use crate::wire::{CollectionName, CreditLimit, FramedRecord, Message, Position};

/// What the application does at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An operation that carries `bytes` more than its tag.
    Submit {
        level: AckLevel,
        bytes: usize,
    },
    /// A query whose answer has `frames` frames.
    Query {
        frames: u64,
        large: bool,
        window: CreditLimit,
    },
    /// A subscription from the beginning.
    Subscribe {
        window: CreditLimit,
        reads: bool,
    },
    /// Cancels the oldest request that is open.
    Cancel,
    Ping,
    Close,
}

/// How a request ended, or that it did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Open,
    Complete,
    Cancelled,
    Refused(u16),
    Lost,
}

#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) kind: RequestKind,
    pub(crate) fate: Fate,
    /// Of a query: how many frames came, in order. Of a subscription: the tags.
    pub(crate) frames: u64,
    pub(crate) expected: u64,
    pub(crate) tags: Vec<u64>,
    reads: bool,
    window: CreditLimit,
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) plan: VecDeque<(Time, Step)>,
    /// How long it takes to consume a frame.
    pub(crate) consume_after: Duration,
    to_consume: VecDeque<(Time, u64, Cost)>,
    /// Requests of this connection, by id; those of earlier ones.
    pub(crate) asked: BTreeMap<u64, Asked>,
    pub(crate) past: Vec<Asked>,
    next_tag: u64,
    /// Tags of what was submitted, by number.
    pub(crate) submitted: BTreeMap<u64, u64>,
    /// What was told of each number, in the order of telling: whether it was refused.
    pub(crate) outcomes: Vec<(u64, bool)>,
    pub(crate) levels: BTreeMap<u64, AckLevel>,
    pub(crate) closed: Vec<CloseReason>,
    pub(crate) welcomes: u64,
    pub(crate) notices: Vec<u16>,
    pub(crate) echoes: u64,
    pub(crate) failures: Vec<String>,
}

impl App {
    pub(crate) fn new(plan: Vec<(Time, Step)>) -> Self {
        Self {
            plan: plan.into(),
            consume_after: Duration::ZERO,
            to_consume: VecDeque::new(),
            asked: BTreeMap::new(),
            past: Vec::new(),
            next_tag: 1,
            submitted: BTreeMap::new(),
            outcomes: Vec::new(),
            levels: BTreeMap::new(),
            closed: Vec::new(),
            welcomes: 0,
            notices: Vec::new(),
            echoes: 0,
            failures: Vec::new(),
        }
    }

    pub(crate) fn due(&self) -> Option<Time> {
        let plan = self.plan.front().map(|(time, _)| *time);
        let consume = self.to_consume.front().map(|(time, ..)| *time);
        [plan, consume].into_iter().flatten().min()
    }

    /// Does what is due. A step that the connection cannot take now stays.
    pub(crate) fn handle_time(&mut self, now: Time, client: &mut Connection<Client>) {
        while self.to_consume.front().is_some_and(|(time, ..)| *time <= now) {
            let (_, id, cost) = self.to_consume.pop_front().unwrap();
            client.consume(id, cost);
        }
        while let Some((time, step)) = self.plan.front().copied()
            && time <= now
        {
            let done = self.act(now, client, step);
            let (_, step) = self.plan.pop_front().unwrap();
            if !done {
                self.plan.push_front((now.after(Duration::from_millis(20)), step));
                return;
            }
        }
    }

    fn act(&mut self, now: Time, client: &mut Connection<Client>, step: Step) -> bool {
        match step {
            Step::Submit { level, bytes } => self.submit(client, level, bytes),
            Step::Query { frames, large, window } => {
                let lower = if large { Bound::Included(Uuid::nil()) } else { Bound::Unbounded };
                let (upper, collection) = (Bound::Unbounded, collection());
                let kind = QueryKind::Scan { collection, reverse: false, limit: frames, lower, upper };
                let asked = client.query(kind, None, window).or_else(|error| self.make_room(client, error));
                self.begun(asked, RequestKind::Query, frames, window, true)
            }
            Step::Subscribe { window, reads } => {
                let start = Start::After(Position { epoch: 1, partition: 0, seq: 0 });
                let asked = client.subscribe(collection(), Mode::All, start, window);
                let asked = asked.or_else(|error| self.make_room(client, error));
                self.begun(asked, RequestKind::Subscription, 0, window, reads)
            }
            Step::Cancel => {
                let open = self.asked.iter().find(|(_, asked)| asked.fate == Fate::Open);
                if let Some((&id, _)) = open {
                    let _ = client.cancel(id);
                }
                true
            }
            Step::Ping => {
                client.ping();
                true
            }
            Step::Close => {
                let _ = client.close(now, Parting::default());
                true
            }
        }
    }

    fn submit(&mut self, client: &mut Connection<Client>, level: AckLevel, bytes: usize) -> bool {
        let tag = self.next_tag;
        match client.submit(level, body(tag, bytes).groups()) {
            Ok(number) => {
                self.next_tag += 1;
                self.submitted.insert(number, tag);
                self.levels.insert(number, level);
                true
            }
            Err(_) => false,
        }
    }

    /// Subscriptions do not end by themselves: the oldest goes when the limit is reached.
    fn make_room(
        &mut self,
        client: &mut Connection<Client>,
        error: RequestError,
    ) -> Result<u64, RequestError> {
        let endless = |asked: &Asked| asked.fate == Fate::Open && asked.kind == RequestKind::Subscription;
        let oldest = self.asked.iter().find(|(_, asked)| endless(asked));
        if let (RequestError::TooMany(_), Some((&id, _))) = (error, oldest) {
            let _ = client.cancel(id);
        }
        Err(error)
    }

    fn begun(
        &mut self,
        id: Result<u64, RequestError>,
        kind: RequestKind,
        expected: u64,
        window: CreditLimit,
        reads: bool,
    ) -> bool {
        let Ok(id) = id else { return false };
        let (fate, tags) = (Fate::Open, Vec::new());
        self.asked.insert(id, Asked { kind, fate, frames: 0, expected, tags, reads, window });
        true
    }

    pub(crate) fn handle(&mut self, now: Time, client: &mut Connection<Client>, event: ClientEvent) {
        match event {
            ClientEvent::Welcome(_) => self.welcomes += 1,
            ClientEvent::Outcome(outcome) => self.outcomes.push((outcome.number, outcome.result.is_err())),
            ClientEvent::Answer { id, payload, last, cost, .. } => {
                self.handle_answer(id, &payload, last);
                if self.asked[&id].reads {
                    self.to_consume.push_back((now.after(self.consume_after), id, cost));
                }
                let _ = client;
            }
            ClientEvent::Refused { id, refusal } => self.end(id, Fate::Refused(refusal.code)),
            ClientEvent::Cancelled { id } => self.end(id, Fate::Cancelled),
            ClientEvent::Notice(refusal) => self.notices.push(refusal.code),
            ClientEvent::Echo { .. } => self.echoes += 1,
            ClientEvent::Closed(reason) => self.closed.push(reason),
            ClientEvent::Acknowledged(_) | ClientEvent::Goodbye(_) => {}
        }
    }

    fn end(&mut self, id: u64, fate: Fate) {
        let asked = self.asked.get_mut(&id).unwrap();
        if asked.fate != Fate::Open {
            self.failures.push(format!("request {id} ended twice: {:?} and {fate:?}", asked.fate));
        }
        asked.fate = fate;
    }

    fn handle_answer(&mut self, id: u64, payload: &[u8], last: bool) {
        let asked = self.asked.get_mut(&id).unwrap();
        let message_type = asked.kind.message_type() as u8;
        match Message::decode(message_type, payload).unwrap() {
            Message::QueryResponse(response) => {
                let row = response.rows.iter().next().unwrap();
                let index = u64::from_be_bytes(*row.record.bytes().first_chunk().unwrap());
                if index != asked.frames {
                    self.failures.push(format!("query {id}: frame {index} came as {}", asked.frames));
                }
                asked.frames += 1;
            }
            Message::Event(event) => match event.kind {
                EventKind::Changes(changes) => {
                    for change in changes.iter() {
                        let crate::wire::message::ChangeKind::Delete(tag) = change.kind else { panic!() };
                        asked.tags.push(tag.as_u128() as u64);
                    }
                }
                other => self.failures.push(format!("subscription {id}: {other:?}")),
            },
            other => panic!("no answer: {other:?}"),
        }
        if last {
            self.end(id, Fate::Complete);
        }
    }

    /// The connection is gone: what was open is lost.
    pub(crate) fn disconnect(&mut self) {
        self.to_consume.clear();
        for (_, mut asked) in std::mem::take(&mut self.asked) {
            if asked.fate == Fate::Open {
                asked.fate = Fate::Lost;
            }
            self.past.push(asked);
        }
    }

    /// Whether everything that can end has ended: subscriptions do not by themselves, queries without credit
    /// cannot.
    pub(crate) fn is_done(&self) -> bool {
        let waits = |asked: &Asked| {
            asked.fate == Fate::Open && asked.kind == RequestKind::Query && asked.window.frames > 0
        };
        self.plan.is_empty()
            && self.to_consume.is_empty()
            && self.outcomes.len() == self.submitted.len()
            && !self.asked.values().any(waits)
    }

    /// All requests, past ones first.
    pub(crate) fn all_asked(&self) -> impl Iterator<Item = &Asked> {
        self.past.iter().chain(self.asked.values())
    }
}

pub(crate) fn collection() -> CollectionName<'static> {
    CollectionName::new("things").unwrap()
}

/// An operation that says its tag in the id of a delete, and carries ballast.
pub(crate) fn body(tag: u64, bytes: usize) -> OperationBody {
    let mut builder = OperationBuilder::new();
    let delete = Action::Delete { id: Uuid::from_u128(tag.into()) };
    builder.push(collection(), &RecordOperation { base: None, action: delete }).unwrap();
    let mut left = bytes;
    while left > 0 {
        let ballast: Vec<u8> = (0..left.min(1 << 20)).map(|at| (at as u64 * 31 + tag) as u8).collect();
        let insert = Action::Insert(FramedRecord::new(&ballast).unwrap());
        if builder.push(collection(), &RecordOperation { base: None, action: insert }).is_err() {
            break;
        }
        left -= ballast.len();
    }
    builder.finish().unwrap()
}
