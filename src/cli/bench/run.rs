//! What the clients of a load share. All of them are tasks of one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Barrier, Semaphore};
use uuid::Uuid;

use super::args::Plan;
use super::link::Clock;
use super::records::{NewIds, Template};
use super::tally::Tally;
use crate::proto::Time;

/// Handshakes at a time: a herd of connections is not what is measured.
const CONNECTING: usize = 128;

/// How long operations that were due while it was measured may still be sent after it.
const GRACE: Duration = Duration::from_secs(1);

/// When the load is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// Operations that begin earlier are not counted.
    pub(super) from: Time,
    /// No operation begins at or after this, if time ends the load.
    pub(super) until: Option<Time>,
}

/// A load under way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) plan: Plan,
    pub(super) clock: Clock,
    /// The ids that are read; none if nothing is.
    pub(super) known: Vec<Uuid>,
    pub(super) template: RefCell<Template>,
    pub(super) new_ids: RefCell<NewIds>,
    pub(super) tally: RefCell<Tally>,
    /// Set once all are connected.
    schedule: Cell<Option<Schedule>>,
    /// Records that may yet be written while it is measured.
    budget: Cell<u64>,
    /// Places among those who connect.
    pub(super) connecting: Semaphore,
    /// Where the clients wait for one another, and then for the schedule.
    pub(super) start: Barrier,
}

impl Run {
    pub(super) fn new(
        plan: Plan,
        template: Template,
        new_ids: NewIds,
        known: Vec<Uuid>,
        tally: Tally,
    ) -> Rc<Self> {
        let parties = usize::from(plan.clients).saturating_add(1);
        Rc::new(Self {
            clock: Clock::start(),
            known,
            template: RefCell::new(template),
            new_ids: RefCell::new(new_ids),
            tally: RefCell::new(tally),
            schedule: Cell::new(None),
            budget: Cell::new(plan.limit.unwrap_or(u64::MAX)),
            connecting: Semaphore::new(CONNECTING),
            start: Barrier::new(parties),
            plan,
        })
    }

    /// All are connected: the load begins.
    pub(super) fn begin(&self) -> Schedule {
        let from = self.clock.now().after(self.plan.warm_up);
        let until = self.plan.duration.map(|duration| from.after(duration));
        let schedule = Schedule { from, until };
        self.schedule.set(Some(schedule));
        schedule
    }

    pub(super) fn schedule(&self) -> Option<Schedule> {
        self.schedule.get()
    }

    /// Whether an operation that starts at `start` is counted.
    pub(super) fn counts(&self, start: Time) -> bool {
        self.schedule().is_some_and(|schedule| start >= schedule.from)
    }

    /// Whether nothing begins any more at `now`.
    pub(super) fn is_over(&self, now: Time) -> bool {
        let late = self.schedule().and_then(|schedule| schedule.until).is_some_and(|until| now >= until);
        late || self.budget.get() == 0
    }

    /// Whether operations that were due in time are given up at `now`: the server does not keep up.
    pub(super) fn gives_up(&self, now: Time) -> bool {
        let until = self.schedule().and_then(|schedule| schedule.until);
        self.budget.get() == 0 || until.is_some_and(|until| now >= until.after(GRACE))
    }

    /// Nothing more begins.
    pub(super) fn stop(&self) {
        self.budget.set(0);
    }

    /// How many records an operation that starts at `start` may write: a whole batch, but for the last.
    pub(super) fn take_records(&self, start: Time) -> u64 {
        let batch = u64::from(self.plan.batch);
        if !self.counts(start) || self.plan.limit.is_none() {
            return batch;
        }
        let taken = batch.min(self.budget.get());
        self.budget.set(self.budget.get().saturating_sub(taken));
        taken
    }

    /// How much of the measurement is done, from 0 to 1, and how long it has lasted.
    pub(super) fn progress(&self, now: Time) -> (f64, Duration) {
        let Some(schedule) = self.schedule() else { return (0.0, Duration::ZERO) };
        let lasted = now.since(schedule.from);
        let by_time = self.plan.duration.map_or(0.0, |whole| lasted.as_secs_f64() / whole.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a display")]
        let by_count = self
            .plan
            .limit
            .map_or(0.0, |limit| limit.saturating_sub(self.budget.get()) as f64 / limit as f64);
        (by_time.max(by_count).min(1.0), lasted)
    }
}
