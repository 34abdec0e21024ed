//! BlazeBinary, the encoding of every record on disk and on the wire; the normative text is
//! `spec/blazebinary.md`.
//!
//! | task | use |
//! |---|---|
//! | build a record and write its bytes | [`Record`], [`encode_record`] |
//! | check bytes once and read them in place | [`RecordView::canonical`] |
//! | read what Swift's decoders accept | [`decode_lenient`] |
//! | compare values, make a key for an ordered store | [`order`] |
//! | read and write typed JSON | [`json`] |
//!
//! This module knows nothing of frames, sockets, files or clocks.

mod date;
mod dictionary;
mod encode;
mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod json;
mod key;
mod key_order;
mod layout;
mod lenient;
pub mod limits;
mod measure;
pub mod order;
mod reader;
mod token;
mod validate;
mod value;
mod value_ref;
mod view;
mod walk;

pub use date::{Date, DateError};
pub use dictionary::{COMMON_FIELD_COUNT, FieldId};
pub use encode::{encode_record, encode_value, put};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use key::Key;
pub use key_order::{UNICODE_VERSION, compare_keys, keys_are_equivalent};
pub use layout::Layout;
pub use lenient::decode_lenient;
pub use measure::encoded_length;
pub use reader::Reader;
pub use validate::read_canonical_value;
pub use value::{Dict, Record, Value, Vector};
pub use value_ref::{EntriesRef, ItemsRef, NumbersRef, ValueRef};
pub use view::{ArrayView, DictView, Entries, Items, RecordView, Text, ValueView, VectorView};
pub use walk::Step;
