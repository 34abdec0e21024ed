//! One subscription: a position, and what it is told next.
//!
//! ```text
//!   begin ──▶ waiting ──collection made──▶ following ◀──snapshot reached── catching up
//!     │                                     │    └──────memory left behind─────▲
//!     ├──from a snapshot, latest of old─────┼──────────────────────────────────┘  (latest only)
//!     └──position not held──▶ over ◀────────┘ log trimmed (all only)
//! ```

use std::sync::Arc;

use super::catching_up::CatchingUp;
use super::following::{Following, Reached};
use super::hub::{CATALOGUE, Hold, Source, Wake, Watch};
use super::limits::UNTOLD_NUMBERS;
use crate::engine::{Database, EngineError, Next};
use crate::wire::message::{ChangesBuilder, Mode, Start};
use crate::wire::{ErrorCode, Position};

/// What is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The collection's name, which need not exist.
    pub collection: Box<str>,
    /// Each change, or each record's newest.
    pub mode: Mode,
    /// From where on.
    pub start: Start,
}

/// What a subscription is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tidings {
    /// The changes in the page.
    Changes,
    /// The subscriber holds a consistent state.
    CaughtUp,
    /// There is no such collection yet.
    Waiting,
    /// Nothing concerned it up to the position.
    Heartbeat,
    /// It cannot go on and is over.
    Reset {
        /// Why.
        code: ErrorCode,
        /// The oldest position from which all changes are held.
        oldest: Position,
    },
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To be told, with the position up to which everything is told then. There may be more.
    Tell(Tidings, Position),
    /// Nothing to tell yet, and more to look at.
    More,
    /// Nothing to do until there is news.
    Idle,
}

#[derive(Debug)]
enum Stage {
    Waiting { is_told: bool },
    CatchingUp(Box<CatchingUp>),
    Following(Following),
    Over { code: ErrorCode, oldest: Position, position: Position },
}

/// A subscription.
#[derive(Debug)]
pub struct Subscription {
    collection: Box<str>,
    mode: Mode,
    source: Arc<Source>,
    watch: Watch,
    /// The collection's number, once it exists.
    number: u32,
    /// Everything up to this number is told or does not concern it.
    after: u64,
    /// The last number told as a position.
    told: u64,
    stage: Stage,
    /// It is to be told when it has caught up.
    owes_end: bool,
    /// The last step found nothing more.
    is_idle: bool,
    hold: Option<Hold>,
}

impl Subscription {
    /// Begins a subscription. `wake` is called when there is something new after a step that found nothing.
    ///
    /// # Errors
    /// Those of reading the log; a position that is not held is told by the first step instead.
    pub fn begin(
        database: &Database,
        source: &Arc<Source>,
        wake: Wake,
        wish: Wish,
    ) -> Result<Self, EngineError> {
        let Wish { collection, mode, start } = wish;
        let watch = source.watch(CATALOGUE, wake);
        let after = match start {
            Start::Now | Start::Snapshot => database.position().seq,
            Start::After(position) => position.seq,
        };
        let mut this = Self {
            collection,
            mode,
            source: source.clone(),
            watch,
            number: CATALOGUE,
            after,
            told: after,
            stage: Stage::Waiting { is_told: false },
            owes_end: true,
            is_idle: false,
            hold: None,
        };
        if let Start::After(position) = start
            && let Some(over) = refusal(database, mode, position)?
        {
            this.stage = over;
        } else if this.look_up(database, start == Start::Snapshot) && start == Start::Snapshot {
            (this.after, this.told) = (0, 0);
        }
        Ok(this)
    }

    /// Looks whether the collection exists, and then where to begin.
    fn look_up(&mut self, database: &Database, begins_empty: bool) -> bool {
        let Ok(number) = database.reader().collection(&self.collection) else { return false };
        self.number = number;
        self.watch.turn_to(number);
        let is_behind = self.mode == Mode::Latest && database.recent_after(self.after) == Next::Forgotten;
        self.stage = if begins_empty || is_behind {
            Stage::CatchingUp(Box::new(CatchingUp::new(begins_empty)))
        } else {
            Stage::Following(Following::default())
        };
        true
    }

    /// Goes on. Changes that are to be told are added to `page`, which is empty. Call it only when what it says can be
    /// delivered: it counts as told.
    ///
    /// # Errors
    /// Those of reading the store and the log.
    pub fn step(&mut self, database: &Database, page: &mut ChangesBuilder) -> Result<Step, EngineError> {
        let news = self.watch.take();
        if let Some(first) = news.filter(|_| self.is_idle) {
            // Nothing between where it fell idle and the first news concerns it.
            self.after = self.after.max(first.saturating_sub(1));
        }
        self.is_idle = false;
        let step = match &mut self.stage {
            Stage::Over { code, oldest, position } => {
                return Ok(Step::Tell(Tidings::Reset { code: *code, oldest: *oldest }, *position));
            }
            Stage::Waiting { .. } => self.wait(database),
            Stage::CatchingUp(_) => self.catch_up(database, page)?,
            Stage::Following(_) => self.follow(database, page)?,
        };
        self.is_idle = step == Step::Idle;
        if matches!(step, Step::Tell(..)) {
            self.told = self.after;
        }
        Ok(step)
    }

    fn wait(&mut self, database: &Database) -> Step {
        // Taken before the look: what is published in between is looked at when it is news.
        let published = database.position().seq;
        if self.look_up(database, false) {
            return Step::More;
        }
        self.after = self.after.max(published);
        let position = database.position_of(self.after);
        if matches!(self.stage, Stage::Waiting { is_told: false }) {
            self.stage = Stage::Waiting { is_told: true };
            return Step::Tell(Tidings::Waiting, position);
        }
        self.end(position)
    }

    fn catch_up(&mut self, database: &Database, page: &mut ChangesBuilder) -> Result<Step, EngineError> {
        let Stage::CatchingUp(way) = &mut self.stage else { return Ok(Step::More) };
        if way.fill(database, self.number, &mut self.after, page)? {
            self.owes_end = true;
            self.stage = Stage::Following(Following::default());
        }
        Ok(self.tell_or(page, database, Step::More))
    }

    fn follow(&mut self, database: &Database, page: &mut ChangesBuilder) -> Result<Step, EngineError> {
        let Stage::Following(following) = &mut self.stage else { return Ok(Step::More) };
        let from_log = self.mode == Mode::All;
        let reached = match following.fill(database, self.number, from_log, &mut self.after, page) {
            Ok(reached) => reached,
            Err(EngineError::PositionExpired { oldest }) => {
                let position = database.position_of(self.after);
                self.stage = Stage::Over { code: ErrorCode::PositionExpired, oldest, position };
                Reached::TurnOver
            }
            Err(error) => return Err(error),
        };
        if reached == Reached::Behind {
            self.stage = Stage::CatchingUp(Box::new(CatchingUp::new(false)));
        }
        let position = database.position_of(self.after);
        let otherwise = match reached {
            Reached::End if page.changes().is_none() => self.end(position),
            _ => Step::More,
        };
        Ok(self.tell_or(page, database, otherwise))
    }

    /// What is said at the end of what is published.
    const fn end(&mut self, position: Position) -> Step {
        if std::mem::replace(&mut self.owes_end, false) {
            Step::Tell(Tidings::CaughtUp, position)
        } else {
            Step::Idle
        }
    }

    /// Tells the page if something is in it, or the position if it went far, or else this.
    fn tell_or(&self, page: &ChangesBuilder, database: &Database, otherwise: Step) -> Step {
        let position = database.position_of(self.after);
        if page.changes().is_some() {
            Step::Tell(Tidings::Changes, position)
        } else if otherwise == Step::More && self.after.saturating_sub(self.told) >= UNTOLD_NUMBERS {
            Step::Tell(Tidings::Heartbeat, position)
        } else {
            otherwise
        }
    }

    /// Whether a step would find something new.
    pub fn has_news(&self) -> bool {
        self.watch.is_raised()
    }

    /// The position up to which everything is told, if it moved since it was told and nothing is left to tell. It counts
    /// as told.
    pub fn heartbeat(&mut self, database: &Database) -> Option<Position> {
        // In this order: what is published later raises the signal before it moves the position.
        let published = self.source.position();
        if !self.is_idle || self.watch.is_raised() {
            return None;
        }
        self.after = self.after.max(published);
        if self.after <= self.told {
            return None;
        }
        self.told = self.after;
        Some(database.position_of(self.after))
    }

    /// The position up to which everything is told.
    pub fn position(&self, database: &Database) -> Position {
        database.position_of(self.told)
    }

    /// It will not go on at once: it keeps what it read ahead if there is room for it, and its position in any case.
    pub fn rest(&mut self) {
        self.hold = None;
        let bytes = match &self.stage {
            Stage::Following(following) => following.held_bytes(),
            Stage::CatchingUp(way) => way.held_bytes(),
            Stage::Waiting { .. } | Stage::Over { .. } => 0,
        };
        if bytes == 0 {
            return;
        }
        self.hold = self.source.hold(bytes);
        if self.hold.is_none() {
            match &mut self.stage {
                Stage::Following(following) => *following = Following::default(),
                Stage::CatchingUp(way) => way.forget(),
                Stage::Waiting { .. } | Stage::Over { .. } => {}
            }
        }
    }
}

/// Why a subscription cannot go on after a position, if it cannot.
fn refusal(database: &Database, mode: Mode, position: Position) -> Result<Option<Stage>, EngineError> {
    let found = match mode {
        Mode::All => database.all_changes(position).map(drop),
        Mode::Latest => database.latest_changes(position, None).map(drop),
    };
    let over = |code, oldest| Ok(Some(Stage::Over { code, oldest, position }));
    match found {
        Ok(()) => Ok(None),
        Err(EngineError::PositionExpired { oldest }) => over(ErrorCode::PositionExpired, oldest),
        Err(EngineError::PositionUnknown(_)) => over(ErrorCode::PositionUnknown, database.oldest_position()?),
        Err(error) => Err(error),
    }
}
