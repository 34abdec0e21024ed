//! Where in a database's order of changes something stands.

use std::fmt;

/// Bytes of a position, on the wire and in files.
pub const POSITION_BYTES: usize = 16;

/// A place in a database's order of changes. Clients keep it, compare it for equality and send it back; what is
/// inside is the server's business.
///
/// Positions are ordered by epoch, partition, sequence; the order means something within one partition only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Rises when an operator accepts damage: positions of an earlier epoch may name changes that are gone.
    pub epoch: u32,
    /// The partition: which order `seq` counts in, a number that is drawn from the database's id.
    pub partition: u32,
    /// The last change covered, counted from 1; 0 is before the first.
    pub seq: u64,
}

impl Position {
    /// The sixteen bytes: epoch u32, partition u32, seq u64, all big-endian, so that bytes order as positions do.
    pub const fn to_bytes(self) -> [u8; POSITION_BYTES] {
        let [a, b, c, d] = self.epoch.to_be_bytes();
        let [e, f, g, h] = self.partition.to_be_bytes();
        let [i, j, k, l, m, n, o, p] = self.seq.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The position that sixteen bytes name; all are valid.
    pub const fn from_bytes(bytes: &[u8; POSITION_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        Self {
            epoch: u32::from_be_bytes([a, b, c, d]),
            partition: u32::from_be_bytes([e, f, g, h]),
            seq: u64::from_be_bytes([i, j, k, l, m, n, o, p]),
        }
    }
}

/// The text form that commands print and take: `epoch.partition.seq`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.epoch, self.partition, self.seq)
    }
}

/// Text that is not `epoch.partition.seq`: the caller's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is written epoch.partition.seq, three decimal numbers, as a command printed it")]
pub struct ParsePositionError;

impl std::str::FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let mut parts = text.split('.');
        let mut part = || parts.next().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let (epoch, partition, seq) = (part(), part(), part());
        let number = |digits: Option<&str>| digits.and_then(|digits| digits.parse::<u64>().ok());
        let narrow = |digits| number(digits).and_then(|number| u32::try_from(number).ok());
        match (narrow(epoch), narrow(partition), number(seq), parts.next()) {
            (Some(epoch), Some(partition), Some(seq), None) => Ok(Self { epoch, partition, seq }),
            _ => Err(ParsePositionError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: Position = Position { epoch: 1, partition: 0x0203, seq: 0x0102_0304_0506_0708 };

    #[test]
    fn bytes_are_big_endian_in_order_of_the_fields() {
        let bytes = [0, 0, 0, 1, 0, 0, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(POSITION.to_bytes(), bytes);
        assert_eq!(Position::from_bytes(&bytes), POSITION);
    }

    #[test]
    fn text_is_read_as_it_is_written() {
        assert_eq!(POSITION.to_string(), "1.515.72623859790382856");
        assert_eq!("1.515.72623859790382856".parse(), Ok(POSITION));
        for wrong in
            ["", "1", "1.2", "1.2.3.4", "1.2.+3", "4294967296.0.0", "1.2.18446744073709551616", "a.b.c"]
        {
            assert_eq!(wrong.parse::<Position>(), Err(ParsePositionError), "{wrong}");
        }
    }
}
