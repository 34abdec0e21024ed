//! The most recent transactions, in memory: what subscribers who are nearly up to date are fed from, with the record
//! before and after each change.

use std::collections::VecDeque;
use std::sync::Arc;

use super::decision::Decision;

/// What one effect holds in memory beside the bytes of its records, roughly.
const EFFECT_BYTES: usize = 256;

/// A run of whole transactions that ends with the last published one, bounded in bytes.
#[derive(Debug)]
pub(super) struct Feed {
    transactions: VecDeque<(Arc<Decision>, usize)>,
    /// The number before the first effect held.
    after: u64,
    bytes: usize,
    max_bytes: usize,
}

/// What comes after a number.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// This transaction.
    Transaction(Arc<Decision>),
    /// Nothing yet.
    Nothing,
    /// Something that is no longer held here.
    Forgotten,
}

impl Feed {
    /// An empty feed that goes on after the effect numbered `after`.
    pub(super) const fn new(after: u64, max_bytes: usize) -> Self {
        Self { transactions: VecDeque::new(), after, bytes: 0, max_bytes }
    }

    /// Adds what was published. The newest transaction is held whatever its size.
    pub(super) fn push(&mut self, decision: Arc<Decision>) {
        let bytes = held_bytes(&decision);
        self.bytes = self.bytes.saturating_add(bytes);
        self.transactions.push_back((decision, bytes));
        while self.bytes > self.max_bytes && self.transactions.len() > 1 {
            let Some((oldest, bytes)) = self.transactions.pop_front() else { break };
            self.after = oldest.last_sequence();
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// The first transaction with an effect numbered above `after`.
    pub(super) fn next(&self, after: u64) -> Next {
        if after < self.after {
            return Next::Forgotten;
        }
        let at = self.transactions.partition_point(|(decision, _)| decision.last_sequence() <= after);
        match self.transactions.get(at) {
            Some((decision, _)) => Next::Transaction(decision.clone()),
            None => Next::Nothing,
        }
    }
}

fn held_bytes(decision: &Decision) -> usize {
    let changes = decision.effects.iter().filter_map(|effect| effect.change());
    let records = changes.flat_map(|change| [change.old.as_ref(), Some(&change.new)]).flatten();
    let bytes =
        records.fold(0, |sum: usize, record| sum.saturating_add(record.bytes().map_or(0, <[u8]>::len)));
    bytes.saturating_add(decision.effects.len().saturating_mul(EFFECT_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::DecidedEffect;
    use crate::engine::outcome::{Outcome, Verdict};

    fn decision(first_sequence: u64, effects: usize) -> Arc<Decision> {
        let outcome = Outcome { verdict: Verdict::Applied { unchanged: 0 }, sequence: 0 };
        let effects = vec![DecidedEffect::Outcome(outcome); effects];
        Arc::new(Decision { node: [0; 16], node_index: 0, ledger: None, first_sequence, clock: 0, effects })
    }

    #[test]
    fn what_comes_next_is_held_or_known_to_be_forgotten() {
        let mut feed = Feed::new(4, 3 * EFFECT_BYTES);
        assert_eq!((feed.next(4), feed.next(3)), (Next::Nothing, Next::Forgotten));
        let [a, b] = [decision(5, 2), decision(7, 1)];
        feed.push(a.clone());
        feed.push(b.clone());
        assert_eq!(feed.next(4), Next::Transaction(a.clone()));
        assert_eq!(feed.next(5), Next::Transaction(a), "a transaction of which a part is wanted");
        assert_eq!(feed.next(6), Next::Transaction(b.clone()));
        assert_eq!(feed.next(7), Next::Nothing);
        feed.push(decision(8, 1));
        assert_eq!((feed.next(5), feed.next(6)), (Next::Forgotten, Next::Transaction(b)));
        let large = decision(9, 9);
        feed.push(large.clone());
        assert_eq!((feed.next(7), feed.next(8)), (Next::Forgotten, Next::Transaction(large)));
    }
}
