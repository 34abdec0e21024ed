//! Walking a segment commit by commit, each checked against the one before it.

use super::bytes::{round_to_block, to_u32, to_usize};
use super::commit::{CommitHead, check_frame, find_head, next_chain};
use super::error::LogError;
use super::format::SegmentHeader;
use super::limits::{BLOCK_BYTES, COMMIT_PREFIX_BYTES, FIRST_COMMIT_OFFSET};
use super::position::Location;
use super::transaction::{Order, Whole};
use super::window::Window;
use crate::wire::header::TRAILER_BYTES;

/// A commit that is whole and the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Where it begins.
    pub(crate) offset: u32,
    /// Bytes of its frame.
    pub(crate) frame_bytes: usize,
    pub(crate) head: CommitHead,
    /// Where its whole transactions end; none if it holds only parts, or nothing.
    pub(crate) whole: Option<Whole>,
    /// Whether it holds any part of a transaction.
    pub(crate) is_empty: bool,
}

/// What a walk meets at a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Commit(Walked),
    /// No whole commit is here: zeros, a torn one, or the end of the file.
    Nothing,
    /// A whole commit of this segment that does not follow the one before it.
    OutOfPlace,
}

/// How far a walk has come: everything that the next commit must agree with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walk {
    segment: u32,
    salt: u64,
    bytes: u32,
    offset: u32,
    chain: u64,
    durable_to: u32,
    hlc: u64,
    order: Order,
}

impl Walk {
    /// A walk that stands at the first commit of a segment.
    pub(crate) const fn new(header: &SegmentHeader) -> Self {
        Self {
            segment: header.segment,
            salt: header.salt,
            bytes: header.bytes,
            offset: FIRST_COMMIT_OFFSET,
            chain: header.chain,
            durable_to: FIRST_COMMIT_OFFSET,
            hlc: 0,
            order: Order::at(header.first_sequence),
        }
    }

    /// Where the next commit begins.
    pub(crate) const fn offset(&self) -> u32 {
        self.offset
    }

    /// The chain that the next commit must carry.
    pub(crate) const fn chain(&self) -> u64 {
        self.chain
    }

    /// The highest clock of the commits so far, 0 before any.
    pub(crate) const fn hlc(&self) -> u64 {
        self.hlc
    }

    pub(crate) const fn next_sequence(&self) -> u64 {
        self.order.next_sequence()
    }

    pub(crate) const fn is_between_transactions(&self) -> bool {
        self.order.is_between_transactions()
    }

    /// Goes on by one commit, or stays where it is.
    pub(crate) fn step(&mut self, window: &mut Window) -> Result<Step, LogError> {
        let Some(found) = find_head(window.get(self.offset, COMMIT_PREFIX_BYTES)?, self.salt) else {
            return Ok(Step::Nothing);
        };
        let frame = window.get(self.offset, found.frame_bytes)?;
        let Some((body, frame_crc)) = check_frame(frame).filter(|_| frame.len() == found.frame_bytes) else {
            return Ok(Step::Nothing);
        };
        let end = to_u32(round_to_block(found.frame_bytes)).saturating_add(self.offset);
        let durable_to = found.head.durable_to;
        let is_next = end <= self.bytes
            && found.block == self.offset / BLOCK_BYTES
            && found.head.chain == self.chain
            && durable_to.segment == self.segment
            && (self.durable_to..=self.offset).contains(&durable_to.offset);
        let Some(whole) = self.order.take(body, durable_to.to_u64()).filter(|_| is_next) else {
            return Ok(Step::OutOfPlace);
        };
        let is_empty = body.is_empty();
        let offset = std::mem::replace(&mut self.offset, end);
        self.chain = next_chain(self.chain, frame_crc);
        self.durable_to = durable_to.offset;
        self.hlc = self.hlc.max(found.head.hlc);
        Ok(Step::Commit(Walked { offset, frame_bytes: found.frame_bytes, head: found.head, whole, is_empty }))
    }
}

/// The body of a commit that a walk has met and checked; what is held of it is not checked again.
pub(crate) fn body<'w>(window: &'w mut Window, commit: &Walked) -> Result<&'w [u8], LogError> {
    let count = commit.frame_bytes.saturating_sub(COMMIT_PREFIX_BYTES + TRAILER_BYTES);
    window.get(commit.offset.saturating_add(to_u32(COMMIT_PREFIX_BYTES)), count)
}

/// What a look at every block of a segment's commit area finds, whatever a walk makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The highest offset that some surviving head proves to have been durable.
    pub(crate) durable: u32,
    /// The end of the last block that is not all zeros.
    pub(crate) last_used: u32,
}

/// Looks at every block. Lengths in frames do not steer it: a head counts wherever it lies on a block's start.
pub(crate) fn scan(window: &mut Window, header: &SegmentHeader) -> Result<Scan, LogError> {
    let mut scan = Scan { durable: header.durable_end, last_used: FIRST_COMMIT_OFFSET };
    let zeros = vec![0; to_usize(BLOCK_BYTES)];
    let mut offset = FIRST_COMMIT_OFFSET;
    while offset < window.length() {
        let block = window.block(offset)?;
        if let Some(found) = find_head(block, header.salt) {
            let Location { segment, offset: durable } = found.head.durable_to;
            if segment == header.segment {
                scan.durable = scan.durable.max(durable);
            }
        }
        let end = offset.saturating_add(BLOCK_BYTES);
        if zeros.get(..block.len()) != Some(block) {
            scan.last_used = end;
        }
        offset = end;
    }
    Ok(scan)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "small numbers")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::commit::complete;
    use crate::log::format::Identity;
    use crate::log::fs::Filesystem;
    use crate::log::simfs::SimFs;
    use crate::log::{Batch, Effect, TransactionHead};

    const HEADER: SegmentHeader = SegmentHeader {
        identity: Identity { database: [1; 16], partition: 0, epoch: 1 },
        first_sequence: 7,
        segment: 3,
        bytes: 6 * BLOCK_BYTES,
        salt: 0x5A17,
        prev: Location { segment: 2, offset: 0x2000 },
        chain: 0xC4A1,
        durable_end: FIRST_COMMIT_OFFSET,
    };

    type Change = fn(&mut Written);

    /// A commit of one transaction, whole in itself, whatever it claims.
    struct Written {
        block: u32,
        first_sequence: u64,
        head: CommitHead,
    }

    fn next() -> Written {
        let durable_to = Location { segment: 3, offset: FIRST_COMMIT_OFFSET };
        Written {
            block: 2,
            first_sequence: 7,
            head: CommitHead { salt: 0x5A17, durable_to, chain: 0xC4A1, hlc: 1 },
        }
    }

    /// The first step over a segment that holds this commit in block 2.
    fn step(written: &Written) -> Step {
        let transaction =
            TransactionHead { node: [1; 16], operation: 1, body_hash: 1, principal: "", trace: None };
        let mut batch = Batch::new(written.first_sequence);
        batch.push(&transaction, &[Effect::Outcome { code: 0, detail: b"" }]).unwrap();
        let mut commit = batch.into_commits().remove(0);
        complete(&mut commit, written.block * BLOCK_BYTES, &written.head);
        let mut bytes = vec![0; 2 * BLOCK_BYTES as usize];
        bytes.extend(commit);
        bytes.resize(HEADER.bytes as usize, 0);
        let fs = SimFs::new(512);
        fs.replace("file", bytes);
        let mut window = Window::new(Arc::clone(&fs.open("file").unwrap()), "file".to_owned()).unwrap();
        Walk::new(&HEADER).step(&mut window).unwrap()
    }

    #[test]
    fn a_whole_commit_that_is_not_the_next_one_is_out_of_place() {
        assert!(matches!(step(&next()), Step::Commit(_)));
        let wrong: [(&str, Change); 7] = [
            ("another chain", |written| written.head.chain ^= 1),
            ("another block's", |written| written.block = 3),
            ("durable in another segment", |written| written.head.durable_to.segment = 2),
            ("durable beyond itself", |written| written.head.durable_to.offset = 0x3000),
            ("durable before the first commit", |written| written.head.durable_to.offset = 0x1000),
            ("a sequence number too early", |written| written.first_sequence = 6),
            ("a sequence number too late", |written| written.first_sequence = 8),
        ];
        for (name, change) in wrong {
            let mut written = next();
            change(&mut written);
            assert_eq!(step(&written), Step::OutOfPlace, "{name}");
        }
        let mut salted = next();
        salted.head.salt ^= 1;
        assert_eq!(step(&salted), Step::Nothing, "another salt is no commit of this segment");
    }
}
