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
    let detail = detail(refusal.item, refusal.offset.map(u64::from));
    RefusalText { detail, ..RefusalText::new(refusal.code) }
}

/// A payload that is not what its type says.
pub(super) fn of_payload(error: &MessageError) -> RefusalText {
    let code = error.code();
    let offset = u64::try_from(error.offset).ok();
    RefusalText { code, message: error.to_string(), detail: detail(error.item, offset) }
}

/// The same as the engine keeps it.
pub(super) fn decided_of(error: &MessageError) -> Refusal {
    let offset = u32::try_from(error.offset).ok();
    Refusal { code: error.code(), item: error.item, offset, version: None }
}

fn detail(item: Option<u32>, offset: Option<u64>) -> EncodedDict<'static> {
    let item = item.map(|item| ("item", i64::from(item)));
    let offset = offset.and_then(|offset| i64::try_from(offset).ok()).map(|offset| ("offset", offset));
    let dict = Dict::from_iter(item.into_iter().chain(offset));
    EncodedDict::new(dict).unwrap_or_default()
}
