//! The answer to one query, made page by page from one snapshot.
//!
//! ```text
//!   page ──▶ rows from the mark on ──taken──▶ the mark moves behind them
//!                                 └─dropped─▶ what was read ahead is forgotten, the mark stays
//! ```

use std::collections::VecDeque;
use std::ops::Bound;

use super::limits::{LOOKUPS_IN_TURN, MAX_READ_AHEAD_ROWS, MIN_READ_AHEAD_ROWS, READ_AHEAD_BYTES};
use super::statistics::Statistics;
use crate::engine::{Database, EngineError, Id, Range, Reader, Scan, StoredRecord};
use crate::wire::message::{Row, RowsBuilder};
use crate::wire::{FramedRecord, Position};

/// Where an answer's rows come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Records by id.
    Get {
        collection: u32,
        ids: Vec<Id>,
        /// The first id that is not passed.
        mark: usize,
    },
    Scan(Scanning),
    /// Rows made up for the purpose.
    Statistics(Statistics),
}

/// How a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// With the last row of the answer.
    Last,
    /// It is full, or others should have their turn. It may be empty: what was looked at had no rows.
    More,
}

/// A scan and what was read ahead of its mark.
#[derive(Debug)]
pub(super) struct Scanning {
    collection: u32,
    /// What is left of it, from the mark on.
    rest: Range,
    ahead: VecDeque<(Id, StoredRecord)>,
    /// Reads on behind `ahead`; nothing as long as nothing is read ahead.
    reading: Option<Scan>,
    /// How many rows to look at at a time.
    rows: usize,
}

/// What stands behind the mark of a scan.
enum Found<'a> {
    Row(&'a StoredRecord),
    /// Nothing.
    End,
    /// Nothing that was looked at so far.
    Later,
}

/// An answer that is being given.
#[derive(Debug)]
pub(super) struct Answer {
    reader: Reader,
    source: Source,
    /// How many rows of the source the page in hand covers.
    covered: usize,
}

impl Answer {
    pub(super) const fn new(reader: Reader, source: Source) -> Self {
        Self { reader, source, covered: 0 }
    }

    /// Where the answer is taken.
    pub(super) const fn position(&self) -> Position {
        self.reader.position()
    }

    /// Fills a page from the mark on, and looks at a bounded number of rows for it.
    pub(super) fn page(&mut self, database: &Database, page: &mut RowsBuilder) -> Result<Page, EngineError> {
        self.covered = 0;
        loop {
            let is_full = match &mut self.source {
                Source::Get { collection, ids, mark } => {
                    let Some(id) = ids.get(mark.saturating_add(self.covered)) else { return Ok(Page::Last) };
                    self.covered >= LOOKUPS_IN_TURN
                        || self.reader.get(*collection, id)?.is_some_and(|record| !push(page, &record))
                }
                Source::Statistics(statistics) => {
                    let Some(bytes) = statistics.row(self.covered)? else { return Ok(Page::Last) };
                    let record = FramedRecord::new(bytes);
                    record.is_some_and(|record| page.push(Row { seq: 0, record }).is_err())
                }
                Source::Scan(scan) => match scan.row(self.covered, &self.reader, database)? {
                    Found::Row(record) => !push(page, record),
                    Found::End => return Ok(Page::Last),
                    Found::Later => return Ok(Page::More),
                },
            };
            if is_full {
                return Ok(Page::More);
            }
            self.covered = self.covered.saturating_add(1);
        }
    }

    /// The page was taken, or had no rows: go on behind it.
    pub(super) fn taken(&mut self) {
        let covered = std::mem::take(&mut self.covered);
        match &mut self.source {
            Source::Scan(scan) => scan.pass(covered),
            Source::Statistics(statistics) => statistics.pass(covered),
            Source::Get { mark, .. } => *mark = mark.saturating_add(covered),
        }
    }

    /// Nobody takes a page now: it will be made again.
    pub(super) fn dropped(&mut self) {
        self.covered = 0;
        match &mut self.source {
            Source::Scan(scan) => scan.forget(),
            Source::Statistics(statistics) => statistics.forget(),
            Source::Get { .. } => {}
        }
    }
}

/// Adds a record to the page; whether it fitted.
fn push(page: &mut RowsBuilder, record: &StoredRecord) -> bool {
    let Some(content) = &record.content else { return true };
    // Nothing longer was ever stored.
    let Some(framed) = FramedRecord::with_checksum(&content.bytes, content.crc) else { return true };
    page.push(Row { seq: record.sequence, record: framed }).is_ok()
}

impl Scanning {
    pub(super) const fn new(collection: u32, range: Range) -> Self {
        Self { collection, rest: range, ahead: VecDeque::new(), reading: None, rows: MIN_READ_AHEAD_ROWS * 4 }
    }

    /// The row at `index` behind the mark, for which some more are read if need be.
    fn row(&mut self, index: usize, reader: &Reader, database: &Database) -> Result<Found<'_>, EngineError> {
        let mut is_exhausted = false;
        if index >= self.ahead.len() {
            is_exhausted = self.read(reader, database)?;
        }
        Ok(match self.ahead.get(index) {
            Some((_, record)) => Found::Row(record),
            None if is_exhausted => Found::End,
            None => Found::Later,
        })
    }

    /// Reads on behind what was read ahead. Returns whether nothing comes behind it.
    fn read(&mut self, reader: &Reader, database: &Database) -> Result<bool, EngineError> {
        let scan = self.reading.get_or_insert_with(|| reader.scan(self.collection, self.rest));
        let chunk = scan.step(database, self.rows)?;
        let bytes = chunk.iter().fold(0, |sum: usize, (_, record)| sum.saturating_add(length(record)));
        // Deletions have no bytes, and do not say how long records are.
        let rows = match bytes.checked_div(chunk.len()) {
            Some(mean) => READ_AHEAD_BYTES.checked_div(mean).unwrap_or(READ_AHEAD_BYTES),
            None => MAX_READ_AHEAD_ROWS,
        };
        self.rows = rows.clamp(MIN_READ_AHEAD_ROWS, MAX_READ_AHEAD_ROWS);
        self.ahead.extend(chunk);
        Ok(scan.is_done())
    }

    /// Moves the mark behind the first `count` rows.
    fn pass(&mut self, count: usize) {
        let count = count.min(self.ahead.len());
        if let Some((last, _)) = self.ahead.drain(..count).next_back() {
            pass(&mut self.rest, last);
        }
        self.rest.limit = self.rest.limit.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        let held = self.ahead.iter().fold(0, |sum: usize, (_, record)| sum.saturating_add(length(record)));
        if held > READ_AHEAD_BYTES {
            self.forget();
        }
    }

    /// Keeps the mark alone; where nothing is read ahead it is as far as reading came.
    fn forget(&mut self) {
        match self.reading.take() {
            Some(scan) if self.ahead.is_empty() => self.rest = scan.rest(),
            _ => self.ahead = VecDeque::new(),
        }
    }
}

fn length(record: &StoredRecord) -> usize {
    record.content.as_ref().map_or(0, |content| content.bytes.len())
}

/// Lets a range begin behind `id`.
const fn pass(range: &mut Range, id: Id) {
    let bound = if range.is_reverse { &mut range.upper } else { &mut range.lower };
    *bound = Bound::Excluded(id);
}
