//! Which flags go with which message.

use thiserror::Error;

use super::header::{Flags, MessageType};

/// A flag that is set or missing against the rules: the peer's fault, answered by `unexpected_flag`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FlagError {
    /// Compressed, though it was not negotiated or the message is a Handshake.
    #[error("the payload is compressed, which was not negotiated or is not allowed here")]
    Compressed,
    /// Encrypted: no capability for it exists in this version.
    #[error("the payload is marked as encrypted, which was not negotiated")]
    Encrypted,
    /// Wants an Ack that this type does not have.
    #[error("this message type has no Ack to ask for")]
    RequiresAck,
    /// An Operation that does not ask for the Ack that it always gets.
    #[error("an Operation always asks for its Ack")]
    MissingRequiresAck,
}

/// Checks the flags of a frame from a peer (P-2.6). `None` is a type that the protocol does not have: it has no Ack, and is
/// held to the rules before it is passed over (P-2.12). `compression` says whether both sides named `lz4`.
///
/// # Errors
/// [`FlagError`], the first in the order of the bits.
pub fn check_flags(
    message_type: Option<MessageType>,
    flags: Flags,
    compression: bool,
) -> Result<(), FlagError> {
    let compressible = compression && !matches!(message_type, Some(MessageType::Handshake));
    if flags.contains(Flags::COMPRESSED) && !compressible {
        return Err(FlagError::Compressed);
    }
    if flags.contains(Flags::ENCRYPTED) {
        return Err(FlagError::Encrypted);
    }
    match (message_type, flags.contains(Flags::REQUIRES_ACK)) {
        (Some(MessageType::Operation), false) => Err(FlagError::MissingRequiresAck),
        (Some(MessageType::Operation | MessageType::Telemetry), _) | (_, false) => Ok(()),
        (_, true) => Err(FlagError::RequiresAck),
    }
}

/// The flags of a frame that is sent, compression aside.
pub const fn flags_to_send(message_type: MessageType) -> Flags {
    match message_type {
        MessageType::Operation => Flags::REQUIRES_ACK,
        _ => Flags::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_with_every_flag() {
        let unknown = std::iter::once(None);
        let types = (0..=u8::MAX).filter_map(MessageType::from_byte).map(Some).chain(unknown);
        for message_type in types {
            for byte in 0..=0b111 {
                let flags = Flags::from_byte(byte).unwrap();
                for compression in [false, true] {
                    let handshake = message_type == Some(MessageType::Handshake);
                    let operation = message_type == Some(MessageType::Operation);
                    let telemetry = message_type == Some(MessageType::Telemetry);
                    let compressed_ok = byte & 1 == 0 || (compression && !handshake);
                    let ack_ok = if operation { byte & 4 != 0 } else { byte & 4 == 0 || telemetry };
                    let expected = compressed_ok && byte & 2 == 0 && ack_ok;
                    let found = check_flags(message_type, flags, compression);
                    assert_eq!(found.is_ok(), expected, "{message_type:?} {byte:#05b} {compression}");
                }
            }
            let sent = message_type.map_or(Flags::NONE, flags_to_send);
            assert_eq!(check_flags(message_type, sent, false), Ok(()));
        }
    }
}
