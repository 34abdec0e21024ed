//! Positions (which transaction) and locations (which byte of which file).

use std::fmt;

/// A place in the log's order that any node of a database understands. Callers treat its bytes as opaque.
///
/// The sequence counts effects from 1; a transaction of n effects takes n numbers and its position is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// How often an operator has accepted the loss of a part of this log.
    pub epoch: u32,
    /// The partition; today there is one, 0.
    pub partition: u32,
    /// The sequence number of an effect; 0 is before the first.
    pub sequence: u64,
}

impl Position {
    /// Bytes of a position.
    pub const BYTES: usize = 16;

    /// The sixteen bytes: epoch, partition, sequence, big-endian, so that they order as the position does.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let high = u64::from(self.epoch) << 32 | u64::from(self.partition);
        (u128::from(high) << 64 | u128::from(self.sequence)).to_be_bytes()
    }

    /// The position that [`Position::to_bytes`] wrote. Every sixteen bytes are one.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [e3, e2, e1, e0, p3, p2, p1, p0, s7, s6, s5, s4, s3, s2, s1, s0] = bytes;
        Self {
            epoch: u32::from_be_bytes([e3, e2, e1, e0]),
            partition: u32::from_be_bytes([p3, p2, p1, p0]),
            sequence: u64::from_be_bytes([s7, s6, s5, s4, s3, s2, s1, s0]),
        }
    }
}

/// A byte offset in a segment; orders as the log does. On disk `segment << 32 | offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The segment's number, from 1.
    pub segment: u32,
    /// The offset from the start of its file, in bytes.
    pub offset: u32,
}

impl Location {
    /// Before the first segment.
    pub const NONE: Self = Self { segment: 0, offset: 0 };

    /// As it stands on disk.
    pub const fn to_u64(self) -> u64 {
        (self.segment as u64) << 32 | self.offset as u64
    }

    /// As it was before [`Location::to_u64`].
    pub const fn from_u64(packed: u64) -> Self {
        let [s3, s2, s1, s0, o3, o2, o1, o0] = packed.to_be_bytes();
        Self { segment: u32::from_be_bytes([s3, s2, s1, s0]), offset: u32::from_be_bytes([o3, o2, o1, o0]) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "segment {} byte {}", self.segment, self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_locations_are_their_bytes() {
        let position = Position { epoch: 1, partition: 2, sequence: 0x0304 };
        assert_eq!(position.to_bytes(), [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3, 4]);
        assert_eq!(Position::from_bytes(position.to_bytes()), position);
        let location = Location { segment: 3, offset: 0x2000 };
        assert_eq!(location.to_u64(), 0x0000_0003_0000_2000);
        assert_eq!(Location::from_u64(location.to_u64()), location);
    }
}
