//! A batch: the commits that one write and one sync make durable together.

use super::bytes::round_to_block;
use super::effect::Effect;
use super::error::LogError;
use super::limits::{
    COMMIT_PREFIX_BYTES, MAX_BODY_BYTES, MAX_COMMIT_BYTES, MAX_PIECE_HEAD_BYTES, MAX_TRANSACTION_BYTES,
};
use super::transaction::{PieceWriter, TransactionHead};
use crate::wire::header::TRAILER_BYTES;

/// Transactions in the order in which they were decided, encoded and packed into commits, not yet in the log.
#[derive(Debug)]
pub struct Batch {
    /// Full commits; each begins with [`COMMIT_PREFIX_BYTES`] reserved.
    closed: Vec<Vec<u8>>,
    /// The blocks of the full commits, in bytes.
    closed_bytes: usize,
    /// The commit that is being filled.
    open: Vec<u8>,
    first_sequence: u64,
    next_sequence: u64,
    transactions: u64,
    /// The most bytes of a commit: [`MAX_COMMIT_BYTES`], less in tests that want many.
    commit_bytes: usize,
}

/// The sequence numbers of a transaction's effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sequences {
    /// The first effect's.
    pub first: u64,
    /// The last effect's: the transaction's position.
    pub last: u64,
}

impl Batch {
    /// An empty batch whose first effect will have the number `next_sequence`.
    pub fn new(next_sequence: u64) -> Self {
        Self {
            closed: Vec::new(),
            closed_bytes: 0,
            open: vec![0; COMMIT_PREFIX_BYTES],
            first_sequence: next_sequence,
            next_sequence,
            transactions: 0,
            commit_bytes: MAX_COMMIT_BYTES,
        }
    }

    /// An empty batch of shorter commits, so that a test's small transactions span several.
    #[cfg(test)]
    pub(crate) fn with_commits_of(next_sequence: u64, commit_bytes: usize) -> Self {
        Self { commit_bytes, ..Self::new(next_sequence) }
    }

    /// Whether it holds no transaction.
    pub const fn is_empty(&self) -> bool {
        self.transactions == 0
    }

    /// How many transactions it holds.
    pub const fn transactions(&self) -> u64 {
        self.transactions
    }

    /// The number that its first effect has or will have.
    pub const fn first_sequence(&self) -> u64 {
        self.first_sequence
    }

    /// The number that the next effect will have.
    pub const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Bytes that it takes in a segment, each commit rounded up to its blocks. An empty one is written as one empty
    /// commit, which takes a block.
    pub fn segment_bytes(&self) -> usize {
        self.closed_bytes.saturating_add(round_to_block(self.open.len().saturating_add(TRAILER_BYTES)))
    }

    /// The numbers of its effects; of an empty batch, none.
    pub(crate) const fn sequences(&self) -> Sequences {
        Sequences { first: self.first_sequence, last: self.next_sequence.saturating_sub(1) }
    }

    /// The most bytes that it takes in a segment once this transaction is added.
    ///
    /// # Errors
    /// As of [`Batch::push`].
    pub(crate) fn segment_bytes_with(
        &self,
        head: &TransactionHead<'_>,
        effects: &[Effect<'_>],
    ) -> Result<usize, LogError> {
        head.check()?;
        let frames = check_sizes(effects)?
            .iter()
            .fold(0, |sum: usize, &bytes| sum.saturating_add(bytes).saturating_add(4));
        // Two neighbouring commits hold more than one full body: else the second would have gone into the first.
        let commits = (frames / MAX_BODY_BYTES).saturating_mul(2).saturating_add(2);
        let per_commit =
            round_to_block(1).saturating_add(MAX_PIECE_HEAD_BYTES + COMMIT_PREFIX_BYTES + TRAILER_BYTES);
        let added = frames.saturating_add(commits.saturating_mul(per_commit));
        Ok(self.segment_bytes().saturating_add(round_to_block(added)))
    }

    /// Adds a transaction. Nothing is added when it is refused.
    ///
    /// # Errors
    /// The caller's: [`LogError::EmptyTransaction`], [`LogError::EffectTooLarge`],
    /// [`LogError::TransactionTooLarge`], [`LogError::FieldTooLong`].
    pub fn push(
        &mut self,
        head: &TransactionHead<'_>,
        effects: &[Effect<'_>],
    ) -> Result<Sequences, LogError> {
        head.check()?;
        let sizes = check_sizes(effects)?;
        let first = self.next_sequence;
        let first_bytes = sizes.first().copied().unwrap_or(0).saturating_add(4);
        let is_begun = self.open.len() > COMMIT_PREFIX_BYTES;
        if is_begun && self.room() < head.piece_bytes().saturating_add(first_bytes) {
            self.begin_commit();
        }
        let mut piece = PieceWriter::begin(&mut self.open, head, first, false);
        for (effect, &bytes) in effects.iter().zip(&sizes) {
            if !piece.is_empty() && self.room() < bytes.saturating_add(4) {
                piece.finish(&mut self.open, true);
                self.begin_commit();
                let next = self.next_sequence;
                piece = PieceWriter::begin(&mut self.open, head, next, true);
            }
            piece.push(&mut self.open, effect, bytes);
            self.next_sequence = self.next_sequence.saturating_add(1);
        }
        piece.finish(&mut self.open, false);
        self.transactions = self.transactions.saturating_add(1);
        Ok(Sequences { first, last: self.next_sequence.saturating_sub(1) })
    }

    /// The commits, each with its reserved prefix; at least one.
    pub(crate) fn into_commits(mut self) -> Vec<Vec<u8>> {
        self.closed.push(self.open);
        self.closed
    }

    fn room(&self) -> usize {
        self.commit_bytes.saturating_sub(self.open.len()).saturating_sub(TRAILER_BYTES)
    }

    fn begin_commit(&mut self) {
        self.closed_bytes = self.segment_bytes();
        self.closed.push(std::mem::replace(&mut self.open, vec![0; COMMIT_PREFIX_BYTES]));
    }
}

/// The encoded size of each effect.
fn check_sizes(effects: &[Effect<'_>]) -> Result<Vec<usize>, LogError> {
    if effects.is_empty() {
        return Err(LogError::EmptyTransaction);
    }
    let mut total = 0_usize;
    let mut sizes = Vec::with_capacity(effects.len());
    for effect in effects {
        let bytes = effect.encoded_bytes()?;
        total = total.saturating_add(bytes).saturating_add(4);
        if total > MAX_TRANSACTION_BYTES {
            return Err(LogError::TransactionTooLarge(total));
        }
        sizes.push(bytes);
    }
    Ok(sizes)
}
