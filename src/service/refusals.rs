//! Errors of the engine in the words of the protocol.

use crate::blazebinary::Dict;
use crate::engine::{EngineError, Refusal};
use crate::proto::RefusalText;
use crate::wire::{EncodedDict, MessageError};

/// A request that the engine could not answer.
pub(super) fn of_error(error: &EngineError) -> RefusalText {
    RefusalText { message: error.to_string(), ..RefusalText::new(error.code()) }
}

/// An operation that the engine refused: the text of its code, the detail says where.
pub(super) fn of_operation(refusal: &Refusal) -> RefusalText {
    let facts = [
        ("item", refusal.item.map(i64::from)),
        ("offset", refusal.offset.map(i64::from)),
        ("version", refusal.version.and_then(|version| i64::try_from(version).ok())),
    ];
    let facts = facts.into_iter().filter_map(|(name, fact)| Some((name, fact?)));
    let detail = EncodedDict::new(Dict::from_iter(facts)).unwrap_or_default();
    RefusalText { detail, ..RefusalText::new(refusal.code) }
}

/// A payload that is not what its type says.
pub(super) fn of_payload(error: &MessageError) -> RefusalText {
    RefusalText { code: error.code(), message: error.to_string(), detail: error.detail() }
}

/// The same as the engine keeps it.
pub(super) fn decided_of(error: &MessageError) -> Refusal {
    let offset = u32::try_from(error.offset).ok();
    Refusal { code: error.code(), item: error.item, offset, version: None }
}
