//! How much a server takes of its disk and its memory.

use super::limits::{
    CACHE_PART, CHECKPOINT_BYTES, CHECKPOINT_PART, MAX_CACHE_BYTES, MEMTABLE_PART, MIN_CACHE_BYTES,
    MIN_CHECKPOINT_BYTES, MIN_MEMTABLE_BYTES, RETENTION_PART,
};
use crate::engine::Retention;
use crate::log::Space;
use crate::store::LsmSettings;

/// What depends on how large the disk is, and the memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) retention: Retention,
    pub(super) store: LsmSettings,
    /// After how many bytes of changes a checkpoint is made at the latest.
    pub(super) checkpoint_bytes: u64,
}

impl Sizes {
    /// Those for a disk of this size, or the defaults if it is not known, and for so many bytes of memory.
    pub(super) fn of(space: Option<Space>, memory: u64) -> Self {
        let total = space.map_or(u64::MAX, |space| space.total);
        let (retention, store) = (Retention::default(), LsmSettings::default());
        let table = (total / MEMTABLE_PART).max(MIN_MEMTABLE_BYTES);
        Self {
            retention: Retention { bytes: retention.bytes.min(total / RETENTION_PART), ..retention },
            store: LsmSettings {
                memtable_bytes: store.memtable_bytes.min(table),
                table_bytes: store.table_bytes.min(table),
                cache_bytes: (memory / CACHE_PART).clamp(MIN_CACHE_BYTES, MAX_CACHE_BYTES),
                ..store
            },
            checkpoint_bytes: CHECKPOINT_BYTES.min(total / CHECKPOINT_PART).max(MIN_CHECKPOINT_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_disk_gets_small_files_and_a_short_log() {
        const MIB: u64 = 1 << 20;
        let sizes = |mebibytes: u64| {
            let sizes = Sizes::of(Some(Space { total: mebibytes * MIB, free: 0 }), 0);
            let Sizes { retention, store, checkpoint_bytes } = sizes;
            [retention.bytes, store.memtable_bytes, store.table_bytes, checkpoint_bytes]
                .map(|bytes| bytes / MIB)
        };
        assert_eq!(sizes(64), [6, 2, 2, 2]);
        assert_eq!(sizes(1 << 20), [1024, 64, 32, 64]);
        let unknown = Sizes::of(None, 0);
        assert_eq!((unknown.retention, unknown.store), (Retention::default(), LsmSettings::default()));
    }

    #[test]
    fn the_cache_is_a_64th_of_the_memory_within_bounds() {
        for (memory, cache) in [(0, 32), (1 << 30, 32), (8 << 30, 128), (64 << 30, 256)] {
            assert_eq!(Sizes::of(None, memory).store.cache_bytes, cache << 20, "{memory}");
        }
    }
}
