//! The two layouts of a record: without a checksum of its own, and with one.

/// The layout of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Layout 1: no checksum. The default, since frames, logs and stores carry one of their own.
    #[default]
    V1,
    /// Layout 2: a CRC-32 of all bytes before it closes the record.
    V2,
}

impl Layout {
    /// The byte that names the layout.
    pub const fn byte(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}
