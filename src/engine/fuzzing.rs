//! The bodies of the fuzz targets: what the engine reads back from the log and from its store.

use super::codec::{Assembler, Buffers, effects, head};
use super::decision::CatalogueEntry;
use super::drops::Dropped;
use super::marker::Marker;
use super::outcome::LedgerEntry;
use super::record::Envelope;
use super::retention::Mark;
use crate::log::effect::Effect;
use crate::log::fuzzing::pieces;

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[("decisions", decisions), ("rows", rows)];

/// The body of a commit: decisions that can be read of it are read the same after they were written.
pub fn decisions(data: &[u8]) {
    let mut assembler = Assembler::default();
    let mut next = None;
    for piece in pieces(data) {
        // The log sees to it that pieces follow one another.
        if next.is_some_and(|next| next != piece.first_sequence) {
            return;
        }
        next = piece.last_sequence().checked_add(1);
        // A piece that cannot be read is damage, and the end.
        let Ok(taken) = assembler.take(&piece) else { return };
        let Some(decision) = taken else { continue };
        let buffers = Buffers::of(&decision);
        let written = effects(&decision, &buffers);
        assert_eq!(head(&decision, "", None).node, decision.node);
        assert_eq!(written.len(), decision.effects.len(), "each effect is written");
        for ((sequence, told), effect) in (decision.first_sequence..).zip(&decision.effects).zip(&written) {
            let mut bytes = Vec::new();
            effect.encode(&mut bytes);
            let again = Effect::parse(&bytes).and_then(|effect| super::codec::decode(sequence, &effect));
            assert_eq!(again.as_ref(), Some(told), "effect {sequence}");
        }
    }
}

/// A row of the store, or the marker of a directory, of the kind that the first byte says: what can be read is the same
/// after it was written.
pub fn rows(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else { return };
    match kind % 6 {
        0 => same(bytes, Envelope::parse, Envelope::to_bytes, true),
        1 => same(bytes, LedgerEntry::parse, |entry| entry.to_bytes(), false),
        2 => same(bytes, |bytes| Mark::parse(7, bytes), |mark| mark.to_bytes(), true),
        3 => same(bytes, |bytes| Dropped::parse(7, bytes), Dropped::to_bytes, true),
        4 => same(bytes, CatalogueEntry::parse, CatalogueEntry::to_bytes, true),
        _ => {
            // Its checksum keeps mutations from what lies behind it.
            let crc = format!("crc32 {:08x}\n", crc32fast::hash(bytes));
            let text = [bytes, crc.as_bytes()].concat();
            let parse = |bytes: &[u8]| Marker::parse(bytes).ok();
            same(&text, parse, |marker| marker.to_text().into_bytes(), false);
        }
    }
}

/// Holds a reader against its writer; `whole` where no two texts mean the same.
fn same<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Option<T>,
    write: impl Fn(&T) -> Vec<u8>,
    whole: bool,
) {
    let Some(found) = parse(bytes) else { return };
    let written = write(&found);
    assert_eq!(parse(&written).as_ref(), Some(&found), "what was written reads the same");
    if whole {
        assert_eq!(written, bytes, "what was read is written the same");
    }
}
