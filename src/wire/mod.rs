//! Frames and messages over plain buffers; the normative text is `spec/protocol.md`.
//!
//! This module knows nothing of sockets, clocks or connections: bytes in, messages out, and back.

mod clock;
mod compression;
mod credit_limit;
mod encoded;
#[rustfmt::skip] // Generated.
mod error_code;
mod error_table;
mod flag_rules;
mod frame;
mod frame_buffer;
#[doc(hidden)]
pub mod fuzzing;
pub mod header;
pub mod limits;
pub mod message;
mod message_error;
mod name;
mod payload;
mod position;
mod record;
mod scope;

pub use clock::{Clock, MAX_CLOCK_MS};
pub use compression::{CompressionError, compress, decompress};
pub use credit_limit::{CreditLimit, Lane};
pub use encoded::{EncodedDict, EncodedStrings};
pub use error_code::ErrorCode;
pub use flag_rules::{FlagError, check_flags, flags_to_send};
pub use frame::{FRAME_OVERHEAD_BYTES, Frame, FrameDecoder, FrameError, encode_frame, encode_frame_with};
pub use frame_buffer::FrameBuffer;
pub use header::{Flags, Header, HeaderError, MessageType, PayloadTooLong};
pub use message::Message;
pub use message_error::{MessageError, MessageErrorKind};
pub use name::{CollectionName, DatabaseName, InvalidName, MAX_NAME_BYTES};
pub use position::{POSITION_BYTES, ParsePositionError, Position};
pub use record::{FramedRecord, RECORD_OVERHEAD_BYTES};
pub use scope::{Fault, Scope, Subject};
