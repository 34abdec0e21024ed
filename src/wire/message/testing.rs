//! The checks that every message passes, so that each file holds only its bytes.

use super::{Message, MessageError};
use crate::wire::{EncodedDict, MessageErrorKind as Kind};

/// A record without fields, as it travels: length 8, its CRC-32 (zlib's), `BLAZE`, layout 1, no fields.
pub(super) const EMPTY_RECORD: &str = "00000008 969ec96f 424c415a45 01 0000";
/// The bytes of that record alone.
pub(super) const EMPTY_RECORD_BYTES: &[u8] = b"BLAZE\x01\x00\x00";

/// Bytes written as hex, with spaces where it helps reading.
pub(super) fn unhex(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap()
}

/// `hex` is `message` in both directions; every cut is refused, and what may and may not follow is told apart.
#[track_caller]
pub(super) fn check(hex: &str, message: Message<'_>) {
    let bytes = unhex(hex);
    let message_type = message.message_type() as u8;
    assert_eq!(Message::decode(message_type, &bytes), Ok(message.clone()));
    let mut out = vec![0xEE];
    message.encode(&mut out);
    assert_eq!(data_encoding::HEXLOWER.encode(&out[1..]), data_encoding::HEXLOWER.encode(&bytes));
    for end in 0..bytes.len() {
        let error = Message::decode(message_type, &bytes[..end]).expect_err("cut");
        assert_eq!(error.code(), crate::wire::ErrorCode::Truncated, "cut at {end}");
    }

    let follow = |suffix: &str| {
        let followed = [bytes.clone(), unhex(suffix)].concat();
        Message::decode_extended(message_type, &followed).map(|(message, extension)| {
            let mut out = Vec::new();
            message.encode(&mut out);
            extension.append_to(&mut out);
            assert_eq!(out, followed);
        })
    };
    let error = |suffix| {
        let error: MessageError = follow(suffix).expect_err(suffix);
        (error.kind, error.offset - bytes.len())
    };
    assert_eq!(error("00"), (Kind::TrailingBytes, 0));
    assert_eq!(error("19"), (Kind::TrailingBytes, 0), "an empty dict is no extension");
    assert_eq!(follow("09 0001 0001 78 0b"), Ok(()), "a key that need not be understood: x");
    assert_eq!(error("09 0001 0001 78 0b 0b"), (Kind::TrailingBytes, 7));
    assert_eq!(error("09 0001 0002 2178 0b"), (Kind::UnsupportedExtension, 0), "!x");
    assert_eq!(Message::decode_extended(message_type, &bytes), Ok((message, EncodedDict::NONE)));
}

/// `hex` is refused for `kind` at `offset`.
#[track_caller]
pub(super) fn rejects(message_type: u8, hex: &str, offset: usize, kind: Kind) -> MessageError {
    let bytes = unhex(hex);
    let error = Message::decode(message_type, &bytes).expect_err(hex);
    assert_eq!((error.offset, error.kind), (offset, kind), "{hex}");
    error
}

/// What is written is read again, and written again to the same bytes.
#[track_caller]
pub(super) fn round_trip(message: &Message<'_>) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    let read = Message::decode(message.message_type() as u8, &bytes).unwrap();
    assert_eq!(&read, message);
    let mut again = Vec::new();
    read.encode(&mut again);
    assert_eq!(again, bytes);
}

/// Generators of parts of messages.
pub(super) mod any {
    use proptest::prelude::*;
    use uuid::Uuid;

    use crate::wire::{CreditLimit, Position};

    pub(in crate::wire::message) fn credit() -> impl Strategy<Value = CreditLimit> {
        any::<(u64, u64)>().prop_map(|(frames, bytes)| CreditLimit { frames, bytes })
    }

    pub(in crate::wire::message) fn position() -> impl Strategy<Value = Position> {
        any::<(u32, u32, u64)>().prop_map(|(epoch, partition, seq)| Position { epoch, partition, seq })
    }

    pub(in crate::wire::message) fn id() -> impl Strategy<Value = Uuid> {
        any::<u128>().prop_map(Uuid::from_u128)
    }

    /// Bytes in the place of a record: their form is not looked at here.
    pub(in crate::wire::message) fn record() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..60)
    }

    pub(in crate::wire::message) fn collection() -> impl Strategy<Value = String> {
        "[A-Za-z_][A-Za-z0-9_]{0,63}"
    }
}
