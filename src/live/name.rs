//! A collection's name over time: whoever follows it follows each collection that has it.

use super::following::image;
use super::hub::CATALOGUE;
use crate::engine::{CatalogueEntry, DecidedEffect, Named};
use crate::wire::message::ChangeKind;

/// A name and the collections that have or had it, as far as the changes that are still to be told reach back.
#[derive(Debug)]
pub(super) struct Name {
    text: Box<str>,
    numbers: Vec<u32>,
    /// Those of `numbers` that were dropped in the transaction at hand.
    gone: Vec<u32>,
    now: u32,
}

impl Name {
    pub(super) fn new(text: Box<str>, named: &Named) -> Self {
        let numbers = named.before.iter().copied().chain(named.now).collect();
        Self { text, numbers, gone: Vec::new(), now: named.now.unwrap_or(CATALOGUE) }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The number of the collection that has the name; [`CATALOGUE`] if none has.
    pub(super) const fn now(&self) -> u32 {
        self.now
    }

    /// Takes note of an effect; what is to be told of it, if it concerns the name. It may be called again from any effect
    /// of the transaction on.
    pub(super) fn take<'a>(&mut self, effect: &'a DecidedEffect) -> Option<ChangeKind<'a>> {
        match effect {
            DecidedEffect::Write(change) if self.numbers.contains(&change.collection) => {
                Some(image(&change.new, change.id))
            }
            DecidedEffect::Delete(change) if self.numbers.contains(&change.collection) => {
                Some(ChangeKind::Delete(uuid::Uuid::from_bytes(change.id)))
            }
            DecidedEffect::Catalogue(CatalogueEntry::Collection { number, name }) if *name == self.text => {
                if !self.numbers.contains(number) {
                    self.numbers.push(*number);
                }
                self.now = *number;
                None
            }
            DecidedEffect::Catalogue(CatalogueEntry::Dropped { number, .. })
                if self.numbers.contains(number) =>
            {
                self.gone.push(*number);
                if self.now == *number {
                    self.now = CATALOGUE;
                }
                Some(ChangeKind::Dropped)
            }
            _ => None,
        }
    }

    /// A transaction was told to its end.
    pub(super) fn settle(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            self.numbers.retain(|number| !gone.contains(number));
        }
    }
}
