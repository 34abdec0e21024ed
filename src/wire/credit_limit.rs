//! Credit: how much a sender may have sent since the start of a lane or request.

use super::message_error::MessageError;
use super::payload::PayloadReader;

/// Absolute cumulative limits, counted from the start of a lane or request. They never fall.
///
/// A frame may be sent while fewer frames *and* fewer bytes than these were sent before it; its own size does
/// not matter, so that at most one frame stands beyond the limit of bytes and any limit above what was sent
/// lets one more frame through (`spec/protocol.md`, "Credit").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CreditLimit {
    /// Frames.
    pub frames: u64,
    /// Bytes of whole frames, header and trailer included, their payloads uncompressed.
    pub bytes: u64,
}

impl CreditLimit {
    /// Nothing may be sent.
    pub const NONE: Self = Self { frames: 0, bytes: 0 };

    /// Whether one more frame may be sent after `sent`.
    pub const fn allows_one_more(self, sent: Self) -> bool {
        sent.frames < self.frames && sent.bytes < self.bytes
    }

    /// Whether neither limit lies below that of `earlier`.
    pub const fn is_no_lower_than(self, earlier: Self) -> bool {
        self.frames >= earlier.frames && self.bytes >= earlier.bytes
    }

    pub(super) fn read(reader: &mut PayloadReader<'_>) -> Result<Self, MessageError> {
        Ok(Self { frames: reader.u64()?, bytes: reader.u64()? })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.frames.to_be_bytes());
        out.extend_from_slice(&self.bytes.to_be_bytes());
    }
}

/// One of the two lanes in which a client sends work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Lane {
    /// Operations, queries and subscriptions.
    Work = 0,
    /// Telemetry.
    Telemetry = 1,
}

impl Lane {
    /// The lane that `byte` names.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Work),
            1 => Some(Self::Telemetry),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_may_overdraw_the_bytes_and_none_the_frames() {
        let limit = CreditLimit { frames: 2, bytes: 1 };
        let sent = |frames, bytes| CreditLimit { frames, bytes };
        assert!(limit.allows_one_more(sent(0, 0)));
        assert!(limit.allows_one_more(sent(1, 0)));
        assert!(!limit.allows_one_more(sent(2, 0)));
        assert!(!limit.allows_one_more(sent(1, 1)));
        assert!(!CreditLimit::NONE.allows_one_more(sent(0, 0)));
    }
}
