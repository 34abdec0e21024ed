//! A cursor over bytes and the writing of counted fields: every read is checked, none allocates.

use super::error::LogError;

/// A cursor over a byte slice. A read that does not fit returns `None` and moves nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// As many bytes as the u32 in front of them says.
    pub(crate) fn counted_u32(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let count = usize::try_from(ahead.u32()?).ok()?;
        let bytes = ahead.bytes(count)?;
        *self = ahead;
        Some(bytes)
    }

    /// As much UTF-8 as the u16 in front of it says.
    pub(crate) fn text_u16(&mut self) -> Option<&'a str> {
        let mut ahead = *self;
        let count = usize::from(ahead.u16()?);
        let text = std::str::from_utf8(ahead.bytes(count)?).ok()?;
        *self = ahead;
        Some(text)
    }
}

/// `length` as a u16, or the error that names the field.
pub(crate) fn length_u16(what: &'static str, length: usize) -> Result<u16, LogError> {
    let max = usize::from(u16::MAX);
    u16::try_from(length).map_err(|_| LogError::FieldTooLong { what, found: length, max })
}

/// `value` as a usize; on the platforms that exist it always fits.
pub(crate) fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// `value` as a u32; callers have bounded it by a limit far below.
pub(crate) fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The blocks that `bytes` take, in bytes.
pub(crate) fn round_to_block(bytes: usize) -> usize {
    bytes.checked_next_multiple_of(to_usize(super::limits::BLOCK_BYTES)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_does_not_fit_moves_nothing() {
        let mut reader = Reader::new(&[0, 0, 0, 9, 1]);
        assert_eq!(reader.counted_u32(), None);
        assert_eq!(reader.u64(), None);
        assert_eq!(reader.rest(), [0, 0, 0, 9, 1]);
        assert_eq!(reader.u32(), Some(9));
        assert_eq!(reader.u8(), Some(1));
        assert!(reader.is_empty());
    }
}
