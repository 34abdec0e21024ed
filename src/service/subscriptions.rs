//! The subscriptions of one session: each is a position; events are made when the client's credit and the writer have
//! room, and a step at a time, so that who catches up does not hold up others (`spec/live.md`).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::databases::Served;
use super::limits::HEARTBEAT;
use super::refusals;
use crate::live::{Step, Subscription, Tidings, Wake, Wish};
use crate::proto::{Connection, Delivery, RefusalText, RequestKind, Server, Time};
use crate::wire::message::{ChangesBuilder, Event, EventKind};
use crate::wire::{ErrorCode, Message, MessageType, Position};

#[derive(Debug)]
struct Running {
    subscription: Subscription,
    /// There is more to look at, and room to tell it.
    has_work: bool,
    /// There was no room: word follows when there is, and until then news can wait.
    is_parked: bool,
}

impl Running {
    fn wants_turn(&self) -> bool {
        !self.is_parked && (self.has_work || self.subscription.has_news())
    }
}

/// The subscriptions of a session.
pub(super) struct Subscriptions {
    running: BTreeMap<u64, Running>,
    wake: Wake,
    page: ChangesBuilder,
    /// When positions are told next.
    heartbeat_at: Time,
    /// The first whose turn it is.
    turn: u64,
    /// Some did not have their turn.
    is_behind: bool,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_map().entries(&self.running).finish()
    }
}

impl Subscriptions {
    pub(super) fn new(wake: Wake) -> Self {
        Self {
            running: BTreeMap::new(),
            wake,
            page: ChangesBuilder::new(),
            heartbeat_at: Time::ZERO,
            turn: 0,
            is_behind: false,
        }
    }

    /// Whether a subscription of this id runs.
    pub(super) fn has(&self, id: u64) -> bool {
        self.running.contains_key(&id)
    }

    /// Begins a subscription, whose payload was found to be right.
    pub(super) fn begin(
        &mut self,
        now: Time,
        connection: &mut Connection<Server>,
        served: &Arc<Served>,
        id: u64,
        payload: &[u8],
    ) {
        let wish = match Message::decode(MessageType::Subscribe as u8, payload) {
            Ok(Message::Subscribe(wish)) => {
                Wish { collection: wish.collection.as_str().into(), mode: wish.mode, start: wish.start }
            }
            Ok(_) => return refuse(connection, id, &RefusalText::new(ErrorCode::Internal)),
            Err(error) => return refuse(connection, id, &refusals::of_payload(&error)),
        };
        let live = served.publication.live();
        match Subscription::begin(&served.database, live, self.wake.clone(), wish) {
            Ok(subscription) => {
                if self.running.is_empty() {
                    self.heartbeat_at = now.after(HEARTBEAT);
                }
                self.running.insert(id, Running { subscription, has_work: true, is_parked: false });
                self.go_on(connection, served, id);
            }
            Err(error) => refuse(connection, id, &refusals::of_error(&error)),
        }
    }

    /// Makes a step of a subscription, if what it says would be taken.
    pub(super) fn go_on(&mut self, connection: &mut Connection<Server>, served: &Served, id: u64) {
        let Some(running) = self.running.get_mut(&id) else { return };
        running.has_work = false;
        let room = connection.room(id, RequestKind::Subscription);
        running.is_parked = !matches!(room, Ok(Delivery::Taken));
        match room {
            Ok(Delivery::Taken) => {}
            Ok(Delivery::Parked) => return running.subscription.park(),
            Ok(Delivery::Busy | Delivery::Cancelled) => return running.subscription.rest(),
            Err(_) => return drop(self.running.remove(&id)),
        }
        self.page.clear();
        let step = match running.subscription.step(&served.database, &mut self.page) {
            Ok(step) => step,
            Err(error) => {
                self.running.remove(&id);
                return refuse(connection, id, &refusals::of_error(&error));
            }
        };
        match step {
            Step::Idle => running.subscription.rest(),
            Step::More => {
                running.has_work = true;
                running.subscription.rest();
            }
            Step::Tell(tidings, position) => self.tell(connection, id, tidings, position),
        }
    }

    fn tell(&mut self, connection: &mut Connection<Server>, id: u64, tidings: Tidings, position: Position) {
        let kind = match (tidings, self.page.changes()) {
            (Tidings::Changes, Some(changes)) => EventKind::Changes(changes),
            (Tidings::Changes, None) | (Tidings::Heartbeat, _) => EventKind::Heartbeat,
            (Tidings::CaughtUp, _) => EventKind::CaughtUp,
            (Tidings::Waiting, _) => EventKind::Waiting,
            (Tidings::Reset { code, oldest }, _) => EventKind::Reset { code: code as u16, oldest },
        };
        let delivered = connection.deliver(&Event { id, position, kind });
        let goes_on = matches!(delivered, Ok(Delivery::Taken)) && !matches!(tidings, Tidings::Reset { .. });
        if goes_on && let Some(running) = self.running.get_mut(&id) {
            // Asks to be told when the writer took it: then there may be more.
            let room = connection.room(id, RequestKind::Subscription);
            running.is_parked = !matches!(room, Ok(Delivery::Taken));
            match room {
                Ok(Delivery::Parked) => running.subscription.park(),
                _ => running.subscription.rest(),
            }
        } else {
            self.running.remove(&id);
        }
    }

    /// The client no longer wants it.
    pub(super) fn cancel(&mut self, connection: &mut Connection<Server>, served: &Served, id: u64) {
        if let Some(running) = self.running.remove(&id) {
            // A request that ended meanwhile needs no end.
            let _ = connection.finish(id, running.subscription.position(&served.database));
        }
    }

    /// Makes one step of one that has something to look at, in turns, and tells positions that moved. A step may fill a page,
    /// look at a thousand effects, or read a transaction of the log, however long: whoever calls this knows the time.
    pub(super) fn advance(&mut self, now: Time, connection: &mut Connection<Server>, served: &Served) {
        if self.running.is_empty() {
            return;
        }
        let wants = |(id, running): (&u64, &Running)| running.wants_turn().then_some(*id);
        let later = self.running.range((Bound::Included(self.turn), Bound::Unbounded)).filter_map(wants);
        let earlier = self.running.range(..self.turn).filter_map(wants);
        let mut waiting = later.chain(earlier);
        let (next, behind) = (waiting.next(), waiting.next());
        self.is_behind = behind.is_some();
        if let Some(id) = next {
            self.turn = id.saturating_add(1);
            self.go_on(connection, served, id);
        }
        if self.heartbeat_at <= now {
            self.heartbeat_at = now.after(HEARTBEAT);
            self.tell_positions(connection, served);
        }
    }

    fn tell_positions(&mut self, connection: &mut Connection<Server>, served: &Served) {
        for (id, running) in &mut self.running {
            if !running.is_parked
                && matches!(connection.room(*id, RequestKind::Subscription), Ok(Delivery::Taken))
                && let Some(position) = running.subscription.heartbeat(&served.database)
            {
                let _ = connection.deliver(&Event { id: *id, position, kind: EventKind::Heartbeat });
            }
        }
    }

    /// Whether [`Subscriptions::advance`] has more to do at once.
    pub(super) fn has_work(&self) -> bool {
        self.is_behind || self.running.values().any(|running| running.has_work)
    }

    /// When [`Subscriptions::advance`] is to be called at the latest.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        (!self.running.is_empty()).then_some(self.heartbeat_at)
    }

    /// The connection ended.
    pub(super) fn clear(&mut self) {
        self.running.clear();
        self.is_behind = false;
    }
}

fn refuse(connection: &mut Connection<Server>, id: u64, refusal: &RefusalText) {
    // Whether the client still waits for it does not matter.
    let _ = connection.fail(id, refusal);
}
