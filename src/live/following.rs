//! Transactions in order: from memory while it reaches, else from the log.

use std::sync::Arc;

use super::limits::{READER_BYTES, TURN_EFFECTS};
use super::name::Name;
use crate::engine::{AllChanges, Database, Decision, EngineError, Next, RecordWrite, StoredRecord};
use crate::wire::FramedRecord;
use crate::wire::message::{Change, ChangeKind, ChangesBuilder, Mode};

/// How far reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// The page is full.
    PageFull,
    /// The turn is over.
    TurnOver,
    /// Nothing more is published.
    End,
    /// Memory does not reach back to where it would go on, and the log was not wanted.
    Behind,
    /// The collection was dropped by the effect of this number, which the mode does not tell.
    Dropped(u64),
}

/// What became of a transaction.
enum Told {
    Whole,
    InPart,
    UntilDrop(u64),
}

/// What reading holds between steps. Without it, it begins again from its position.
#[derive(Debug, Default)]
pub(super) struct Following {
    log: Option<Box<AllChanges>>,
    /// The transaction that is told in part.
    current: Option<Arc<Decision>>,
}

impl Following {
    /// Adds the changes of what has the name behind the number `after`, which moves behind them, to the page.
    ///
    /// # Errors
    /// Those of [`AllChanges::next`].
    pub(super) fn fill(
        &mut self,
        database: &Database,
        name: &mut Name,
        mode: Mode,
        after: &mut u64,
        page: &mut ChangesBuilder,
    ) -> Result<Reached, EngineError> {
        let mut looked_at = 0_usize;
        loop {
            let decision = match self.current.take() {
                Some(decision) => decision,
                None if looked_at >= TURN_EFFECTS => return Ok(Reached::TurnOver),
                None => match self.next(database, mode, *after)? {
                    Ok(decision) => decision,
                    Err(reached) => return Ok(reached),
                },
            };
            looked_at = looked_at.saturating_add(decision.effects.len());
            match tell(&decision, name, mode, after, page) {
                Told::Whole => name.settle(),
                Told::InPart => {
                    self.current = Some(decision);
                    return Ok(Reached::PageFull);
                }
                Told::UntilDrop(sequence) => return Ok(Reached::Dropped(sequence)),
            }
        }
    }

    /// The next transaction, or why there is none.
    fn next(
        &mut self,
        database: &Database,
        mode: Mode,
        after: u64,
    ) -> Result<Result<Arc<Decision>, Reached>, EngineError> {
        if self.log.is_none() {
            match database.recent_after(after) {
                Next::Transaction(decision) => return Ok(Ok(decision)),
                Next::Nothing => return Ok(Err(Reached::End)),
                Next::Forgotten if mode == Mode::Latest => return Ok(Err(Reached::Behind)),
                Next::Forgotten => {}
            }
        }
        let log = match self.log.take() {
            Some(log) => log,
            None => Box::new(database.all_changes(database.position_of(after))?),
        };
        if let Some(decision) = self.log.insert(log).next(database)? {
            return Ok(Ok(decision));
        }
        // Memory knows whether it was the end.
        self.log = None;
        Ok(Err(Reached::TurnOver))
    }

    /// What it holds, roughly, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        let log = self.log.as_ref().map_or(0, |log| log.held_bytes().max(READER_BYTES));
        let effects = self.current.as_ref().map(|decision| decision.effects.as_slice()).unwrap_or_default();
        effects.iter().fold(log, |sum, effect| {
            let bytes = effect.change().and_then(|change| change.new.bytes()).map_or(0, <[u8]>::len);
            sum.saturating_add(bytes).saturating_add(size_of::<RecordWrite>())
        })
    }
}

/// Adds the changes of a transaction that are not told.
fn tell(
    decision: &Decision,
    name: &mut Name,
    mode: Mode,
    after: &mut u64,
    page: &mut ChangesBuilder,
) -> Told {
    let told = after.saturating_add(1).saturating_sub(decision.first_sequence);
    let told = usize::try_from(told).unwrap_or(usize::MAX);
    let rest = decision.numbered().skip(told);
    let mut changes = rest.filter_map(|(sequence, effect)| Some((sequence, name.take(effect)?)));
    let mut next = changes.next();
    while let Some((seq, kind)) = next {
        if kind == ChangeKind::Dropped && mode == Mode::Latest {
            return Told::UntilDrop(seq);
        }
        next = changes.next();
        if page.push(Change { seq, last: next.is_none(), kind }).is_err() {
            *after = seq.saturating_sub(1);
            return Told::InPart;
        }
        *after = seq;
    }
    *after = decision.last_sequence().max(*after);
    Told::Whole
}

/// What a record is now, as it is told.
pub(super) fn image(record: &StoredRecord, id: [u8; 16]) -> ChangeKind<'_> {
    let content = record.content.as_ref();
    // Nothing longer was ever stored.
    let framed = content.and_then(|content| FramedRecord::with_checksum(&content.bytes, content.crc));
    framed.map_or(ChangeKind::Delete(uuid::Uuid::from_bytes(id)), ChangeKind::Put)
}
