//! The settings of sled, each named, with its reason.

use std::path::Path;

/// What may be set when a store is opened. None of it is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SledSettings {
    /// Bytes of pages that sled keeps in memory, by its own count.
    pub cache_bytes: u64,
    /// Bytes of a segment of its file: it writes that much at once, and its file grows by as much. A power of two.
    pub segment_bytes: usize,
}

impl Default for SledSettings {
    /// 64 MiB, where sled's own default is 1 GiB; segments of 512 KiB, which is sled's.
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, segment_bytes: 512 << 10 }
    }
}

impl SledSettings {
    pub(super) fn config(&self, path: &Path) -> ::sled::Config {
        ::sled::Config::new()
            .path(path)
            .cache_capacity(self.cache_bytes)
            .segment_size(self.segment_bytes)
            // Its flush is no sync: ours comes at checkpoints.
            .flush_every_ms(None)
            .mode(::sled::Mode::LowSpace)
            .use_compression(false)
            .temporary(false)
            .create_new(false)
            .print_profile_on_drop(false)
    }
}
