//! Decisions as the log carries them, both ways.

use std::sync::Arc;

use super::decision::{CatalogueEntry, DecidedEffect, Decision, RecordWrite};
use super::error::EngineError;
use super::outcome::{LedgerEntry, Outcome, Verdict};
use super::record::{Content, Envelope, FieldStamp, StoredRecord};
use crate::log::effect::{Checked, Effect, FieldClock, RecordEffect, Stamp};
use crate::log::{Piece, TransactionHead};

/// The bytes of what is no record, kept while the log's effects borrow from them; one for each effect.
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    pub(super) fn of(decision: &Decision) -> Self {
        let bytes = decision.effects.iter().map(|effect| match effect {
            DecidedEffect::Catalogue(entry) => entry.to_bytes(),
            DecidedEffect::Outcome(outcome) => outcome.detail().to_vec(),
            DecidedEffect::Write(_) | DecidedEffect::Delete(_) => Vec::new(),
        });
        Self(bytes.collect())
    }
}

/// The head of a decision's transaction.
pub(super) fn head<'a>(
    decision: &Decision,
    principal: &'a str,
    trace: Option<[u8; 16]>,
) -> TransactionHead<'a> {
    let (operation, body_hash) = decision.ledger.map_or((0, 0), |entry| (entry.number, entry.body_hash));
    TransactionHead { node: decision.node, operation, body_hash, principal, trace }
}

/// The effects of a decision's transaction.
pub(super) fn effects<'a>(decision: &'a Decision, buffers: &'a Buffers) -> Vec<Effect<'a>> {
    let pairs = decision.effects.iter().zip(&buffers.0);
    pairs.map(|(effect, bytes)| encode(effect, bytes)).collect()
}

fn encode<'a>(effect: &'a DecidedEffect, bytes: &'a [u8]) -> Effect<'a> {
    match effect {
        DecidedEffect::Write(write) if write.is_patch => Effect::Patch(record(write)),
        DecidedEffect::Write(write) => Effect::Put(record(write)),
        DecidedEffect::Delete(write) => Effect::Delete(stamp(write)),
        DecidedEffect::Catalogue(_) => Effect::Catalogue(Checked { bytes, crc: crc32fast::hash(bytes) }),
        DecidedEffect::Outcome(outcome) => Effect::Outcome { code: outcome.code(), detail: bytes },
    }
}

fn stamp(write: &RecordWrite) -> Stamp {
    let Envelope { clock, node, .. } = write.new.envelope;
    Stamp { collection: write.collection, id: write.id, clock, node }
}

fn record(write: &RecordWrite) -> RecordEffect<'_> {
    let fields = write.new.envelope.fields.iter();
    let field_clocks =
        fields.map(|field| FieldClock { name: &field.name, clock: field.clock, node: field.node });
    let content = write.new.content.as_ref();
    RecordEffect {
        stamp: stamp(write),
        field_clocks: field_clocks.collect(),
        changed: write.changed.iter().map(|name| &**name).collect(),
        record: Checked {
            bytes: content.map_or(&[], |content| &content.bytes),
            crc: content.map_or(0, |content| content.crc),
        },
    }
}

/// Collects the pieces of transactions read from the log.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    open: Option<Decision>,
}

impl Assembler {
    /// Takes the next piece; a decision once its last piece is there. What was before each change is not known, and
    /// neither is the node's index.
    ///
    /// # Errors
    /// [`EngineError::Corrupted`]: an effect that this release cannot read, or a record whose checksum is wrong.
    pub(super) fn take(&mut self, piece: &Piece<'_>) -> Result<Option<Decision>, EngineError> {
        let mut decision = self.open.take().unwrap_or_else(|| Decision {
            node: piece.head.node,
            node_index: 0,
            ledger: None,
            first_sequence: piece.first_sequence,
            clock: 0,
            effects: Vec::new(),
        });
        for (sequence, effect) in (piece.first_sequence..).zip(piece.effects()) {
            let unreadable = || EngineError::Corrupted(format!("effect {sequence} of the log"));
            let effect = effect.and_then(|effect| decode(sequence, &effect)).ok_or_else(unreadable)?;
            decision.clock = decision.clock.max(latest_clock(&effect));
            decision.effects.push(effect);
        }
        if piece.continues {
            self.open = Some(decision);
            return Ok(None);
        }
        decision.ledger = ledger(&decision, &piece.head);
        Ok(Some(decision))
    }
}

/// The latest clock that an effect names.
fn latest_clock(effect: &DecidedEffect) -> u64 {
    match effect {
        DecidedEffect::Write(change) | DecidedEffect::Delete(change) => {
            let Envelope { clock, fields, .. } = &change.new.envelope;
            fields.iter().fold(*clock, |latest, field| latest.max(field.clock))
        }
        DecidedEffect::Catalogue(CatalogueEntry::Dropped { clock, .. }) => *clock,
        DecidedEffect::Catalogue(_) | DecidedEffect::Outcome(_) => 0,
    }
}

/// The entry of the ledger that a transaction stands for; the database's own have none.
fn ledger(decision: &Decision, head: &TransactionHead<'_>) -> Option<LedgerEntry> {
    let last_change = decision.numbered().filter(|(_, effect)| effect.is_change()).last();
    let said = decision.effects.iter().find_map(|effect| match effect {
        DecidedEffect::Outcome(outcome) => Some(*outcome),
        _ => None,
    });
    let outcome = said.or_else(|| {
        let (sequence, _) = last_change?;
        Some(Outcome { verdict: Verdict::Applied { unchanged: 0 }, sequence })
    })?;
    (head.operation > 0).then_some(LedgerEntry { number: head.operation, body_hash: head.body_hash, outcome })
}

/// `None` for what this release cannot read.
fn decode(sequence: u64, effect: &Effect<'_>) -> Option<DecidedEffect> {
    Some(match effect {
        Effect::Put(record) => DecidedEffect::Write(write(sequence, record, false)?),
        Effect::Patch(record) => DecidedEffect::Write(write(sequence, record, true)?),
        Effect::Delete(stamp) => {
            let envelope = Envelope { clock: stamp.clock, node: stamp.node, fields: Vec::new() };
            DecidedEffect::Delete(change(stamp, StoredRecord { sequence, envelope, content: None }))
        }
        Effect::Catalogue(entry) => DecidedEffect::Catalogue(CatalogueEntry::parse(entry.bytes)?),
        Effect::Outcome { code, detail } => DecidedEffect::Outcome(Outcome::parse(*code, detail)?),
    })
}

fn write(sequence: u64, effect: &RecordEffect<'_>, is_patch: bool) -> Option<RecordWrite> {
    let Checked { bytes, crc } = effect.record;
    if crc32fast::hash(bytes) != crc {
        return None;
    }
    let fields = effect.field_clocks.iter().map(|field| FieldStamp {
        name: field.name.into(),
        clock: field.clock,
        node: field.node,
    });
    let envelope = Envelope { clock: effect.stamp.clock, node: effect.stamp.node, fields: fields.collect() };
    let content = Some(Content { bytes: bytes.into(), crc });
    let changed = effect.changed.iter().map(|&name| name.into()).collect();
    let write = change(&effect.stamp, StoredRecord { sequence, envelope, content });
    Some(RecordWrite { is_patch, changed, ..write })
}

fn change(stamp: &Stamp, new: StoredRecord) -> RecordWrite {
    RecordWrite {
        collection: stamp.collection,
        id: stamp.id,
        is_patch: false,
        changed: Vec::new(),
        old: None,
        new: Arc::new(new),
    }
}
