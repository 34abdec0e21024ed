//! One client of the load: keeps its window full, or sends what is due, and counts what comes back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::Notify;

use super::link::{Link, ended};
use super::random::Random;
use super::run::Run;
use super::tally::Side;
use crate::cli::Failure;
use crate::proto::{ClientEvent, Parting, Refusal, RequestError, SubmitError, Time};
use crate::transport::Dialer;
use crate::wire::message::{Action, Ids, OperationBuilder, QueryKind, RecordOperation};
use crate::wire::{CollectionName, CreditLimit, FramedRecord, Message, MessageType};

/// What an answer without all of its records is counted as.
pub(super) const MISSING: &str = "missing";

/// How much of an answer may wait for its reader: all of any answer that is asked for here, in the usual case.
const ANSWER_WINDOW: CreditLimit = CreditLimit { frames: 1 << 10, bytes: 4 << 20 };

/// Operations that are due at times of their own, for one client.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// When each is due, the earliest first.
    pub(super) due: RefCell<VecDeque<Time>>,
    /// Told when there is something new, and at the end.
    pub(super) call: Notify,
}

/// An operation on its way.
#[derive(Debug)]
struct Sent {
    /// The request's id, of a read.
    id: u64,
    start: Time,
    records: u64,
}

/// One client.
#[derive(Debug)]
pub(super) struct Worker {
    run: Rc<Run>,
    agenda: Option<Rc<Agenda>>,
    random: Random,
    builder: OperationBuilder,
    ids: Vec<[u8; 16]>,
    /// Outcomes come in order.
    writes: VecDeque<Sent>,
    /// Answers mostly do.
    reads: VecDeque<Sent>,
    /// An operation that found no room, with its kind.
    held: Option<(Time, Side)>,
}

impl Worker {
    pub(super) fn new(run: Rc<Run>, number: u16, agenda: Option<Rc<Agenda>>) -> Self {
        // Each client's own order of reads; the multiplier spreads neighbouring seeds.
        let seed = run.plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(number);
        Self {
            run,
            agenda,
            random: Random::new(seed),
            builder: OperationBuilder::new(),
            ids: Vec::new(),
            writes: VecDeque::new(),
            reads: VecDeque::new(),
            held: None,
        }
    }

    /// Connects, waits for the others, and works until the end.
    pub(super) async fn work(mut self, mut dialer: Dialer) -> Result<(), Failure> {
        let mut link = {
            let _place = self.run.connecting.acquire().await;
            Link::connect(&mut dialer, self.run.clock).await?.0
        };
        let agenda = self.agenda.clone().unwrap_or_default();
        self.run.start.wait().await;
        // The schedule is set between the two.
        self.run.start.wait().await;
        let mut parted = false;
        loop {
            let now = self.run.clock.now();
            if !parted {
                self.fill(now, &mut link)?;
                if self.in_flight() == 0 && self.run.is_over(now) && self.has_nothing_due(now) {
                    parted = true;
                    // Said by the server first, it stays said.
                    let _ = link.connection.close(now, Parting::default());
                }
            }
            link.turn(&agenda.call).await;
            let now = self.run.clock.now();
            while let Some(event) = link.connection.poll_event() {
                if let ClientEvent::Closed(reason) = event {
                    return if parted { Ok(()) } else { Err(ended(reason)) };
                }
                self.handle(now, &mut link, event)?;
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.writes.len().saturating_add(self.reads.len())
    }

    fn has_nothing_due(&self, now: Time) -> bool {
        let due = self.agenda.as_ref().is_some_and(|agenda| !agenda.due.borrow().is_empty());
        self.run.gives_up(now) || !due && self.held.is_none()
    }

    /// Sends what there is room for.
    fn fill(&mut self, now: Time, link: &mut Link) -> Result<(), Failure> {
        while self.in_flight() < usize::from(self.run.plan.window) {
            let Some((start, side)) = self.held.take().or_else(|| self.next(now)) else { break };
            let begun = match side {
                Side::Write => self.write(start, link)?,
                Side::Read => self.read(start, link)?,
            };
            if !begun {
                self.held = Some((start, side));
                break;
            }
        }
        Ok(())
    }

    /// The next operation: when it starts, and what it is.
    fn next(&mut self, now: Time) -> Option<(Time, Side)> {
        let start = match &self.agenda {
            Some(_) if self.run.gives_up(now) => return None,
            Some(agenda) => agenda.due.borrow_mut().pop_front()?,
            None if self.run.is_over(now) => return None,
            None => now,
        };
        let side = if self.random.chance(self.run.plan.reads) { Side::Read } else { Side::Write };
        Some((start, side))
    }

    /// Submits an operation; false if there is no room.
    fn write(&mut self, start: Time, link: &mut Link) -> Result<bool, Failure> {
        let Self { run, builder, random, .. } = self;
        let name = CollectionName::new(&run.plan.collection).map_err(Failure::usage)?;
        if builder.is_empty() {
            let mut template = run.template.borrow_mut();
            for _ in 0..run.take_records(start) {
                let (id, is_new) = match random.index(run.known.len()) {
                    _ if run.known.is_empty() => (run.new_ids.borrow_mut().next(), true),
                    index => (run.known.get(index).copied().unwrap_or_default(), false),
                };
                let record = FramedRecord::new(template.fill(id)).ok_or_else(too_large)?;
                let action = if is_new {
                    Action::Insert(record)
                } else {
                    Action::Upsert { record, skip_unchanged: false }
                };
                builder.push(name, &RecordOperation { base: None, action }).map_err(Failure::new)?;
            }
        }
        let records = u64::try_from(builder.len()).unwrap_or(u64::MAX);
        let Ok(groups) = builder.groups() else { return Ok(true) };
        match link.connection.submit(run.plan.level, groups) {
            Ok(_) => {
                builder.clear();
                self.writes.push_back(Sent { id: 0, start, records });
                Ok(true)
            }
            // After a Goodbye the end follows, which says why.
            Err(SubmitError::Full | SubmitError::Misuse(_)) => Ok(false),
        }
    }

    /// Asks a question; false if there is no room.
    fn read(&mut self, start: Time, link: &mut Link) -> Result<bool, Failure> {
        let Self { run, random, ids, .. } = self;
        let collection = CollectionName::new(&run.plan.collection).map_err(Failure::usage)?;
        ids.clear();
        for _ in 0..run.plan.batch {
            let id = run.known.get(random.index(run.known.len())).copied().unwrap_or_default();
            ids.push(id.into_bytes());
        }
        let Some(asked) = Ids::new(ids) else { return Ok(true) };
        let kind = QueryKind::Get { collection, ids: asked };
        match link.connection.query(kind, None, ANSWER_WINDOW) {
            Ok(id) => {
                self.reads.push_back(Sent { id, start, records: 0 });
                Ok(true)
            }
            Err(RequestError::TooMany(_) | RequestError::Misuse(_)) => Ok(false),
        }
    }

    fn handle(&mut self, now: Time, link: &mut Link, event: ClientEvent) -> Result<(), Failure> {
        match event {
            ClientEvent::Outcome(outcome) => {
                if let Some(sent) = self.writes.pop_front() {
                    let result = outcome.result.map(|()| sent.records).map_err(|refusal| name_of(&refusal));
                    self.settle(Side::Write, &sent, now, result);
                }
            }
            ClientEvent::Refused { id, refusal } => {
                if let Some(sent) = self.take_read(id) {
                    self.settle(Side::Read, &sent, now, Err(name_of(&refusal)));
                }
            }
            ClientEvent::Answer { id, payload, last, cost, .. } => {
                let rows = rows(&payload)?;
                if let Some(sent) = self.reads.iter_mut().find(|sent| sent.id == id) {
                    sent.records = sent.records.saturating_add(rows);
                }
                if !last {
                    link.connection.consume(id, cost);
                } else if let Some(sent) = self.take_read(id) {
                    let is_whole = sent.records == u64::from(self.run.plan.batch);
                    let result = if is_whole { Ok(sent.records) } else { Err(MISSING.to_owned()) };
                    self.settle(Side::Read, &sent, now, result);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_read(&mut self, id: u64) -> Option<Sent> {
        let index = self.reads.iter().position(|sent| sent.id == id)?;
        self.reads.remove(index)
    }

    fn settle(&self, side: Side, sent: &Sent, now: Time, result: Result<u64, String>) {
        let mut tally = self.run.tally.borrow_mut();
        tally.answered = tally.answered.saturating_add(1);
        if self.run.counts(sent.start) {
            tally.count(side, sent.start, now, result);
        }
    }
}

/// The rows of an answer's frame, whose bytes are checked as any client would.
fn rows(payload: &[u8]) -> Result<u64, Failure> {
    match Message::decode(MessageType::QueryResponse as u8, payload) {
        Ok(Message::QueryResponse(response)) => {
            Ok(u64::try_from(response.rows.iter().count()).unwrap_or(u64::MAX))
        }
        Ok(_) => Ok(0),
        Err(error) => Err(Failure::new(format_args!("the server sent an answer that is wrong: {error}"))),
    }
}

/// The name that an error is counted by.
fn name_of(refusal: &Refusal) -> String {
    refusal.known().map_or_else(|| format!("error {}", refusal.code), |code| code.name().to_owned())
}

fn too_large() -> Failure {
    Failure::usage("--size: no record is as long")
}
