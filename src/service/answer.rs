//! The answer to one query, made page by page from one snapshot.
//!
//! ```text
//!   page ──▶ rows from the mark on ──taken──▶ the mark moves behind them
//!                                 └─dropped─▶ what was read ahead is forgotten, the mark stays
//! ```

use std::collections::VecDeque;
use std::ops::Bound;

use super::limits::{MAX_READ_AHEAD_ROWS, MIN_READ_AHEAD_ROWS, READ_AHEAD_BYTES};
use crate::engine::{Database, EngineError, Id, Range, Reader, StoredRecord};
use crate::wire::message::{Row, RowsBuilder};
use crate::wire::{FramedRecord, Position};

/// Where an answer's rows come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Records by id.
    Get {
        collection: u32,
        ids: Vec<Id>,
    },
    Scan(Scanning),
    /// Rows made up for the purpose, as encoded records.
    MadeUp(Vec<Vec<u8>>),
}

/// A scan and what was read ahead of its mark.
#[derive(Debug)]
pub(super) struct Scanning {
    collection: u32,
    /// What is left of it, from the mark on.
    rest: Range,
    ahead: VecDeque<(Id, StoredRecord)>,
    /// Nothing comes behind `ahead`.
    is_exhausted: bool,
    /// How many records to read at a time.
    rows: u64,
}

/// An answer that is being given.
#[derive(Debug)]
pub(super) struct Answer {
    reader: Reader,
    source: Source,
    /// The first row of a get or of made-up rows that is not delivered.
    mark: usize,
    /// How many rows of the source the page in hand covers.
    covered: usize,
}

impl Answer {
    pub(super) const fn new(reader: Reader, source: Source) -> Self {
        Self { reader, source, mark: 0, covered: 0 }
    }

    /// Where the answer is taken.
    pub(super) const fn position(&self) -> Position {
        self.reader.position()
    }

    /// Fills a page from the mark on. Returns whether it is the last.
    pub(super) fn page(&mut self, database: &Database, page: &mut RowsBuilder) -> Result<bool, EngineError> {
        self.covered = 0;
        loop {
            let at = self.mark.saturating_add(self.covered);
            let is_full = match &mut self.source {
                Source::Get { collection, ids } => {
                    let Some(id) = ids.get(at) else { return Ok(true) };
                    self.reader.get(*collection, id)?.is_some_and(|record| !push(page, &record))
                }
                Source::MadeUp(rows) => {
                    let Some(bytes) = rows.get(at) else { return Ok(true) };
                    let record = FramedRecord::new(bytes);
                    record.is_some_and(|record| page.push(Row { seq: 0, record }).is_err())
                }
                Source::Scan(scan) => {
                    let Some(record) = scan.row(self.covered, &self.reader, database)? else {
                        return Ok(true);
                    };
                    !push(page, record)
                }
            };
            if is_full {
                return Ok(false);
            }
            self.covered = self.covered.saturating_add(1);
        }
    }

    /// The page was taken: go on behind it.
    pub(super) fn taken(&mut self) {
        let covered = std::mem::take(&mut self.covered);
        match &mut self.source {
            Source::Scan(scan) => scan.pass(covered),
            Source::Get { .. } | Source::MadeUp(_) => self.mark = self.mark.saturating_add(covered),
        }
    }

    /// The page was not taken: it will be made again.
    pub(super) fn dropped(&mut self) {
        self.covered = 0;
        if let Source::Scan(scan) = &mut self.source {
            scan.forget();
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
        Self {
            collection,
            rest: range,
            ahead: VecDeque::new(),
            is_exhausted: false,
            rows: MIN_READ_AHEAD_ROWS * 4,
        }
    }

    /// The row at `index` behind the mark; none at the end.
    fn row(
        &mut self,
        index: usize,
        reader: &Reader,
        database: &Database,
    ) -> Result<Option<&StoredRecord>, EngineError> {
        if index >= self.ahead.len() && !self.is_exhausted {
            self.read(reader, database)?;
        }
        Ok(self.ahead.get(index).map(|(_, record)| record))
    }

    /// Reads on behind what was read ahead.
    fn read(&mut self, reader: &Reader, database: &Database) -> Result<(), EngineError> {
        let held = u64::try_from(self.ahead.len()).unwrap_or(u64::MAX);
        let limit = self.rest.limit.saturating_sub(held).min(self.rows);
        let mut range = Range { limit, ..self.rest };
        if let Some((last, _)) = self.ahead.back() {
            pass(&mut range, *last);
        }
        let mut chunk = Vec::new();
        if limit > 0 {
            chunk = reader.scan(self.collection, range).next_chunk(database)?;
        }
        self.is_exhausted = chunk.is_empty();
        let bytes = chunk.iter().fold(0, |sum: usize, (_, record)| sum.saturating_add(length(record)));
        if let Some(mean) = bytes.checked_div(chunk.len()) {
            let rows = READ_AHEAD_BYTES.checked_div(mean).unwrap_or(READ_AHEAD_BYTES);
            let rows = u64::try_from(rows).unwrap_or(u64::MAX);
            self.rows = rows.clamp(MIN_READ_AHEAD_ROWS, MAX_READ_AHEAD_ROWS);
        }
        self.ahead.extend(chunk);
        Ok(())
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

    fn forget(&mut self) {
        self.ahead = VecDeque::new();
        self.is_exhausted = false;
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
