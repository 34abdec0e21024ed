//! One subscription: a position, and what it is told next.
//!
//! ```text
//!   begin ──▶ waiting ──told────────────▶ following ◀──snapshot reached── catching up
//!     │                                     │    └──────memory left behind─────▲
//!     ├──from a snapshot, latest of old─────┼──────────────────────────────────┘  (latest only)
//!     └──position not held──▶ over ◀────────┘ log trimmed (all only), collection dropped (latest only)
//! ```

use std::sync::Arc;

use super::catching_up::{CatchingUp, Way};
use super::following::{Following, Reached};
use super::hub::{CATALOGUE, Hold, Source, Wake, Watch};
use super::limits::UNTOLD_NUMBERS;
use super::name::Name;
use crate::engine::{Database, EngineError, Named, Next};
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
    /// No collection has or had the name; that is to be told.
    Waiting,
    CatchingUp(Box<CatchingUp>),
    Following(Following),
    Over {
        code: ErrorCode,
        oldest: Position,
        position: Position,
    },
}

/// A subscription.
#[derive(Debug)]
pub struct Subscription {
    name: Name,
    mode: Mode,
    source: Arc<Source>,
    watch: Watch,
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
        let reader = database.reader();
        let after = match start {
            Start::Now | Start::Snapshot => reader.position().seq,
            Start::After(position) => position.seq,
        };
        let named = reader.named_since(&collection, after);
        let mut this = Self {
            name: Name::new(collection, &named),
            mode,
            source: source.clone(),
            watch,
            after,
            told: after,
            stage: Stage::Waiting,
            owes_end: true,
            is_idle: false,
            hold: None,
        };
        let over = match start {
            Start::After(position) => refusal(database, mode, position, &named)?,
            Start::Now | Start::Snapshot => None,
        };
        match over {
            Some(over) => this.stage = over,
            None => this.choose(database, start == Start::Snapshot, &named),
        }
        Ok(this)
    }

    /// Where to begin, now that the position is known to be held.
    fn choose(&mut self, database: &Database, is_snapshot: bool, named: &Named) {
        self.watch.turn_to(self.name.now());
        let exists = named.now.is_some();
        if is_snapshot && exists {
            (self.after, self.told) = (0, 0);
            self.stage = Stage::CatchingUp(Box::new(CatchingUp::new(true)));
        } else if exists && self.mode == Mode::Latest && database.recent_after(self.after) == Next::Forgotten
        {
            self.stage = Stage::CatchingUp(Box::new(CatchingUp::new(false)));
        } else if exists || !named.before.is_empty() {
            self.stage = Stage::Following(Following::default());
        }
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
            Stage::Waiting => self.wait(database),
            Stage::CatchingUp(_) => self.catch_up(database, page)?,
            Stage::Following(_) => self.follow(database, page)?,
        };
        self.is_idle = step == Step::Idle;
        if matches!(step, Step::Tell(..)) {
            self.told = self.after;
        }
        Ok(step)
    }

    /// Nothing up to where it began concerns a name that no collection had; it is told so once.
    fn wait(&mut self, database: &Database) -> Step {
        self.stage = Stage::Following(Following::default());
        Step::Tell(Tidings::Waiting, database.position_of(self.after))
    }

    fn catch_up(&mut self, database: &Database, page: &mut ChangesBuilder) -> Result<Step, EngineError> {
        let Stage::CatchingUp(way) = &mut self.stage else { return Ok(Step::More) };
        match way.fill(database, self.name.now(), &mut self.after, page) {
            Ok(Way::On) => {}
            Ok(Way::There) => {
                self.owes_end = true;
                self.stage = Stage::Following(Following::default());
            }
            Ok(Way::Gone) => self.begin_anew(database),
            Err(error) => self.give_up(database, error)?,
        }
        Ok(self.tell_or(page, database, Step::More))
    }

    /// Begins with a snapshot again, of which nothing was told: the collection was dropped meanwhile.
    fn begin_anew(&mut self, database: &Database) {
        let reader = database.reader();
        let after = reader.position().seq;
        let named = reader.named_since(self.name.text(), after);
        self.name = Name::new(self.name.text().into(), &named);
        (self.after, self.told, self.stage) = (after, after, Stage::Waiting);
        self.choose(database, true, &named);
    }

    fn follow(&mut self, database: &Database, page: &mut ChangesBuilder) -> Result<Step, EngineError> {
        let Stage::Following(following) = &mut self.stage else { return Ok(Step::More) };
        let mut otherwise = Step::More;
        match following.fill(database, &mut self.name, self.mode, &mut self.after, page) {
            Ok(Reached::PageFull | Reached::TurnOver) => {}
            Ok(Reached::Behind) => self.stage = Stage::CatchingUp(Box::new(CatchingUp::new(false))),
            Ok(Reached::Dropped(sequence)) => {
                let oldest = database.position_of(sequence);
                self.give_up(database, EngineError::PositionExpired { oldest })?;
            }
            // Whoever watches another collection than it read of looks again.
            Ok(Reached::End) if page.changes().is_some() || self.watch.turn_to(self.name.now()) => {}
            Ok(Reached::End) => otherwise = self.end(database.position_of(self.after)),
            Err(error) => self.give_up(database, error)?,
        }
        Ok(self.tell_or(page, database, otherwise))
    }

    /// Ends with a reset if the error is one of positions.
    fn give_up(&mut self, database: &Database, error: EngineError) -> Result<(), EngineError> {
        let EngineError::PositionExpired { oldest } = error else { return Err(error) };
        let position = database.position_of(self.after);
        self.stage = Stage::Over { code: ErrorCode::PositionExpired, oldest, position };
        Ok(())
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

    /// Its subscriber may not come back: it keeps no snapshot, which would hold what is overwritten meanwhile.
    pub fn park(&mut self) {
        if let Stage::CatchingUp(way) = &mut self.stage {
            way.forget();
        }
        self.rest();
    }

    /// It will not go on at once: it keeps what it read ahead if there is room for it, and its position in any case.
    pub fn rest(&mut self) {
        self.hold = None;
        let bytes = match &self.stage {
            Stage::Following(following) => following.held_bytes(),
            Stage::CatchingUp(way) => way.held_bytes(),
            Stage::Waiting | Stage::Over { .. } => 0,
        };
        if bytes == 0 {
            return;
        }
        self.hold = self.source.hold(bytes);
        if self.hold.is_none() {
            match &mut self.stage {
                Stage::Following(following) => *following = Following::default(),
                Stage::CatchingUp(way) => way.forget(),
                Stage::Waiting | Stage::Over { .. } => {}
            }
        }
    }
}

/// Why a subscription cannot go on after a position, if it cannot.
fn refusal(
    database: &Database,
    mode: Mode,
    position: Position,
    named: &Named,
) -> Result<Option<Stage>, EngineError> {
    let expired = |number: Option<u64>| match number {
        Some(number) => Err(EngineError::PositionExpired { oldest: database.position_of(number) }),
        None => Ok(()),
    };
    let found = database.check_position(position).and_then(|()| match mode {
        // Which changes before a drop that is forgotten were of the name is not known.
        Mode::All => expired((named.forgotten > position.seq).then_some(named.forgotten))
            .and_then(|()| database.all_changes(position).map(drop)),
        Mode::Latest => expired(named.last_drop),
    });
    let over = |code, oldest| Ok(Some(Stage::Over { code, oldest, position }));
    match found {
        Ok(()) => Ok(None),
        Err(EngineError::PositionExpired { oldest }) => over(ErrorCode::PositionExpired, oldest),
        Err(EngineError::PositionUnknown(_)) => over(ErrorCode::PositionUnknown, database.oldest_position()?),
        Err(error) => Err(error),
    }
}
