//! The queries of one session: each is charged until it is finished, its pages are made as its credit allows.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::answer::{Answer, Page, Scanning, Source};
use super::databases::{Databases, Served};
use super::limits::{MAX_ANSWER_AGE, POSITION_PATIENCE, SMALL_REQUEST_BYTES};
use super::refusals;
use super::statistics::Statistics;
use crate::engine::{EngineError, Range};
use crate::proto::{Connection, Cost, Delivery, RefusalText, RequestKind, Server, Time};
use crate::wire::message::{Query, QueryKind, QueryResponse, RowsBuilder};
use crate::wire::{ErrorCode, Message, MessageType, Position};

/// A query that runs.
#[derive(Debug)]
struct Running {
    state: State,
    /// When it is given up.
    until: Time,
    /// What returns to the client when it is finished.
    cost: Option<Cost>,
    /// There is more to look at, and room to tell it.
    has_work: bool,
}

#[derive(Debug)]
enum State {
    /// The position it asks for is not reached; its payload.
    Waiting(Vec<u8>, Position),
    Answering(Box<Answer>),
}

/// The queries of a session.
#[derive(Debug)]
pub(super) struct Queries {
    /// Those that statistics are of; everything else is asked of the session's own.
    databases: Arc<Databases>,
    running: BTreeMap<u64, Running>,
    page: RowsBuilder,
    /// The first whose turn it is.
    turn: u64,
}

impl Queries {
    /// No queries yet.
    pub(super) fn new(databases: Arc<Databases>) -> Self {
        Self { databases, running: BTreeMap::new(), page: RowsBuilder::default(), turn: 0 }
    }

    /// Begins a query, whose payload was found to be right.
    pub(super) fn begin(
        &mut self,
        now: Time,
        connection: &mut Connection<Server>,
        served: &Served,
        id: u64,
        payload: Vec<u8>,
        cost: Cost,
    ) {
        let cost = if payload.len() <= SMALL_REQUEST_BYTES {
            connection.admit(cost);
            None
        } else {
            Some(cost)
        };
        let (state, until) = match begin(now, &self.databases, served, payload) {
            Ok(begun) => begun,
            Err(refusal) => {
                // Whether the client still waits for it does not matter.
                let _ = connection.fail(id, &refusal);
                return admit(connection, cost);
            }
        };
        self.running.insert(id, Running { state, until, cost, has_work: false });
        self.go_on(now, connection, served, id);
    }

    /// Makes the next page of a query, if its client and the writer would take it.
    pub(super) fn go_on(&mut self, now: Time, connection: &mut Connection<Server>, served: &Served, id: u64) {
        let Some(running) = self.running.get_mut(&id) else { return };
        running.has_work = false;
        if let State::Waiting(payload, position) = &mut running.state {
            if served.database.check_position(*position).is_err() {
                return;
            }
            match begin(now, &self.databases, served, std::mem::take(payload)) {
                Ok((state, until)) => (running.state, running.until) = (state, until),
                Err(refusal) => return self.fail(connection, id, &refusal),
            }
        }
        let State::Answering(answer) = &mut running.state else { return };
        // Before anything is read for it: who gives no credit costs nothing.
        match connection.room(id, RequestKind::Query) {
            Ok(Delivery::Taken) => {}
            Ok(Delivery::Parked | Delivery::Busy) => return answer.dropped(),
            // Word of it comes by itself.
            Ok(Delivery::Cancelled) => return,
            Err(_) => return self.end(connection, id),
        }
        self.page.clear();
        let last = match answer.page(&served.database, &mut self.page) {
            Ok(page) => page == Page::Last,
            Err(error) => return self.fail(connection, id, &refusals::of_error(&error)),
        };
        if !last && self.page.is_empty() {
            answer.taken();
            running.has_work = true;
            return;
        }
        let position = answer.position();
        let response = QueryResponse { id, last, position, rows: self.page.rows() };
        match connection.respond(&response) {
            Ok(Delivery::Taken) if last => self.end(connection, id),
            Ok(Delivery::Taken) => {
                answer.taken();
                // Asks to be told when the writer took the page: as long as it waits nothing else is taken.
                let _ = connection.room(id, RequestKind::Query);
            }
            Ok(Delivery::Parked | Delivery::Busy) => answer.dropped(),
            Ok(Delivery::Cancelled) => {}
            Err(_) => self.end(connection, id),
        }
    }

    /// The client no longer wants the answer.
    pub(super) fn cancel(&mut self, connection: &mut Connection<Server>, id: u64, position: Position) {
        self.end(connection, id);
        // A request that ended meanwhile needs no end.
        let _ = connection.finish(id, position);
    }

    /// Goes on with queries that wait for a position, gives up those whose time has come, and looks on for one of those that
    /// found no row yet, in turns.
    pub(super) fn advance(&mut self, now: Time, connection: &mut Connection<Server>, served: &Served) {
        if self.running.is_empty() {
            return;
        }
        let (mut ready, mut late) = (Vec::new(), Vec::new());
        for (id, running) in &self.running {
            match &running.state {
                State::Waiting(_, wanted) if served.database.check_position(*wanted).is_ok() => {
                    ready.push(*id)
                }
                State::Waiting(..) if running.until <= now => late.push((*id, ErrorCode::PositionNotReached)),
                State::Answering(_) if running.until <= now => late.push((*id, ErrorCode::SnapshotExpired)),
                _ => {}
            }
        }
        for id in ready {
            self.go_on(now, connection, served, id);
        }
        for (id, code) in late {
            self.fail(connection, id, &RefusalText::new(code));
        }
        let has_work = |(id, running): (&u64, &Running)| running.has_work.then_some(*id);
        let later = self.running.range(self.turn..).find_map(has_work);
        if let Some(id) = later.or_else(|| self.running.range(..self.turn).find_map(has_work)) {
            self.turn = id.saturating_add(1);
            self.go_on(now, connection, served, id);
        }
    }

    /// Whether [`Queries::advance`] has more to do at once.
    pub(super) fn has_work(&self) -> bool {
        self.running.values().any(|running| running.has_work)
    }

    /// Whether one waits for a position.
    pub(super) fn wait_for_position(&self) -> bool {
        self.running.values().any(|running| matches!(running.state, State::Waiting(..)))
    }

    /// When [`Queries::advance`] is to be called at the latest.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.running.values().map(|running| running.until).min()
    }

    /// The connection ended.
    pub(super) fn clear(&mut self) {
        self.running.clear();
    }

    fn fail(&mut self, connection: &mut Connection<Server>, id: u64, refusal: &RefusalText) {
        let _ = connection.fail(id, refusal);
        self.end(connection, id);
    }

    fn end(&mut self, connection: &mut Connection<Server>, id: u64) {
        if let Some(running) = self.running.remove(&id) {
            admit(connection, running.cost);
        }
    }
}

fn admit(connection: &mut Connection<Server>, cost: Option<Cost>) {
    if let Some(cost) = cost {
        connection.admit(cost);
    }
}

/// Begins to answer, or to wait for the position that the query asks for.
fn begin(
    now: Time,
    databases: &Databases,
    served: &Served,
    payload: Vec<u8>,
) -> Result<(State, Time), RefusalText> {
    let query = match Message::decode(MessageType::Query as u8, &payload) {
        Ok(Message::Query(query)) => query,
        Ok(_) => return Err(RefusalText::new(ErrorCode::Internal)),
        Err(error) => return Err(refusals::of_payload(&error)),
    };
    // What is reached may lie above the last change: an outcome without one has a number, too, which subscriptions tell.
    if let Some(wanted) = query.at_least.filter(|wanted| served.database.check_position(*wanted).is_err()) {
        let here = served.database.position();
        if (wanted.epoch, wanted.partition) != (here.epoch, here.partition) {
            return Err(RefusalText::new(ErrorCode::PositionUnknown));
        }
        return Ok((State::Waiting(payload, wanted), now.after(POSITION_PATIENCE)));
    }
    let answer = answer(databases, served, &query).map_err(|error| refusals::of_error(&error))?;
    Ok((State::Answering(Box::new(answer)), now.after(MAX_ANSWER_AGE)))
}

fn answer(databases: &Databases, served: &Served, query: &Query<'_>) -> Result<Answer, EngineError> {
    let reader = served.database.reader();
    let source = match query.kind {
        QueryKind::Get { collection, ids } => Source::Get {
            collection: reader.collection(collection.as_str())?,
            ids: ids.iter().map(uuid::Uuid::into_bytes).collect(),
            mark: 0,
        },
        QueryKind::Scan { collection, reverse, limit, lower, upper } => {
            let id = |bound: Bound<uuid::Uuid>| bound.map(uuid::Uuid::into_bytes);
            let limit = if limit == 0 { u64::MAX } else { limit };
            let range = Range { lower: id(lower), upper: id(upper), is_reverse: reverse, limit };
            Source::Scan(Scanning::new(reader.collection(collection.as_str())?, range))
        }
        QueryKind::Stats { collection: Some(name) } => {
            Source::Statistics(Statistics::of_collection(&served.name, name.as_str(), &reader)?)
        }
        QueryKind::Stats { collection: None } => {
            Source::Statistics(Statistics::of_all(databases, &served.name, &reader))
        }
    };
    Ok(Answer::new(reader, source))
}
