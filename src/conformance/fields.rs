//! Payloads and frames written field by field, right or wrong: nothing here is checked.

use uuid::Uuid;

use crate::wire::Position;

/// The type of each message, as `spec/protocol.md` P-2 lists them.
pub(super) mod kind {
    pub(in crate::conformance) const HANDSHAKE: u8 = 0x01;
    pub(in crate::conformance) const OPERATION: u8 = 0x02;
    pub(in crate::conformance) const QUERY: u8 = 0x03;
    pub(in crate::conformance) const QUERY_RESPONSE: u8 = 0x04;
    pub(in crate::conformance) const SUBSCRIBE: u8 = 0x05;
    pub(in crate::conformance) const TELEMETRY: u8 = 0x06;
    pub(in crate::conformance) const ACK: u8 = 0x07;
    pub(in crate::conformance) const ERROR: u8 = 0x08;
    pub(in crate::conformance) const EVENT: u8 = 0x10;
    pub(in crate::conformance) const UNSUBSCRIBE: u8 = 0x11;
    pub(in crate::conformance) const PING: u8 = 0x12;
    pub(in crate::conformance) const PONG: u8 = 0x13;
    pub(in crate::conformance) const AUTH: u8 = 0x14;
    pub(in crate::conformance) const GOODBYE: u8 = 0x15;
    pub(in crate::conformance) const CREDIT: u8 = 0x16;
    pub(in crate::conformance) const CANCEL: u8 = 0x17;
}

/// The flag of a payload that is compressed.
pub(super) const COMPRESSED: u8 = 1;
/// The flag that every Operation has.
pub(super) const REQUIRES_ACK: u8 = 4;
/// Sequences are counted modulo this.
pub(super) const SEQUENCES: u32 = 1 << 24;
/// Bytes of a frame beside its payload.
pub(super) const FRAME_BYTES: u64 = 19;

/// A payload in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<u8>);

impl Fields {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A str: empty, short or long.
    pub(super) fn str(self, text: &str) -> Self {
        match u8::try_from(text.len()) {
            Ok(0) => self.u8(0x11),
            Ok(length @ 1..=15) => self.u8(0x20 | length).bytes(text.as_bytes()),
            _ => self.u8(0x01).u32(length_of(text.as_bytes())).bytes(text.as_bytes()),
        }
    }

    /// An array of str, in the order given.
    pub(super) fn strs(self, items: &[&str]) -> Self {
        if items.is_empty() {
            return self.u8(0x18);
        }
        let head = self.u8(0x08).u16(count_of(items));
        items.iter().fold(head, |fields, item| fields.str(item))
    }

    pub(super) fn null(self) -> Self {
        self.u8(0x0B)
    }

    /// A uuid with its tag, or null.
    pub(super) fn uuid(self, id: Option<Uuid>) -> Self {
        match id {
            Some(id) => self.u8(0x05).id(id),
            None => self.null(),
        }
    }

    /// A dict of one key and a small int.
    pub(super) fn dict(self, key: &str, value: u8) -> Self {
        self.u8(0x09).u16(1).u16(count_of(key.as_bytes())).bytes(key.as_bytes()).u8(0x12).u8(value)
    }

    /// An id: a UUID without a tag.
    pub(super) fn id(self, id: Uuid) -> Self {
        self.bytes(id.as_bytes())
    }

    pub(super) fn position(self, position: Position) -> Self {
        self.u32(position.epoch).u32(position.partition).u64(position.seq)
    }

    /// A record with its length and CRC.
    pub(super) fn record(self, record: &[u8]) -> Self {
        self.u32(length_of(record)).u32(crc32fast::hash(record)).bytes(record)
    }
}

/// How many there are, where a u16 says it; cases stay below.
pub(super) fn count_of<T>(items: &[T]) -> u16 {
    u16::try_from(items.len()).unwrap_or(u16::MAX)
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// The 15 bytes that open a frame.
pub(super) fn header(message_type: u8, length: u32, flags: u8, sequence: u32) -> Vec<u8> {
    let [_, high, middle, low] = sequence.to_be_bytes();
    let head = Fields::new().bytes(b"BLAZE").u8(1).u8(message_type).u32(length).u8(flags);
    head.bytes(&[high, middle, low]).done()
}

/// Closes a frame by its CRC, whatever its header says.
pub(super) fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    let checksum = crc32fast::hash(&frame);
    frame.extend_from_slice(&checksum.to_be_bytes());
    frame
}

/// A whole frame.
pub(super) fn frame(message_type: u8, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(message_type, length_of(payload), flags, sequence);
    frame.extend_from_slice(payload);
    sealed(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Operation of `spec/protocol.md` P-11.
    #[test]
    fn a_frame_is_the_specifications() {
        let record = Fields::new()
            .bytes(b"BLAZE\x01\x00\x02\x01\x05")
            .id("018f3c7a-5b2f-7abc-8def-0123456789ab".parse().unwrap())
            .bytes(b"\x06\x22Hi")
            .done();
        let payload = Fields::new().u64(1).u8(1).u16(1).str("notes").u16(1).u8(1).record(&record).done();
        let hex = "424c415a4501020000003a0400000100000000000000010100012\
                   56e6f7465730001010000001e68c5adc3424c415a450100020105018f3c7a5b2f7abc8def0123456789ab06224869d0732b1e";
        let bytes = frame(kind::OPERATION, REQUIRES_ACK, 1, &payload);
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), hex);
    }

    #[test]
    fn strings_take_their_shortest_form() {
        assert_eq!(Fields::new().str("").done(), [0x11]);
        assert_eq!(Fields::new().str("a").done(), [0x21, b'a']);
        assert_eq!(Fields::new().str("0123456789abcdef").done()[..5], [1, 0, 0, 0, 16]);
        assert_eq!(Fields::new().strs(&["lz4"]).done(), [8, 0, 1, 0x23, b'l', b'z', b'4']);
    }
}
