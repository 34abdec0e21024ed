//! The settings of the tree, each with its reason; the figures behind them are in `spec/adr/0010-lsm-store.md`.

use std::path::Path;
use std::sync::Arc;

use lsm_tree::compaction::{CompactionStrategy, Leveled};
use lsm_tree::config::{
    BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry,
    HashRatioPolicy, PartitioningPolicy, PinningPolicy, RestartIntervalPolicy,
};
use lsm_tree::{Cache, CompressionType, Config, DescriptorTable, SequenceNumberCounter};

/// Table files kept open: far below the usual limit of 1,024 descriptors a process.
const OPEN_FILES: usize = 256;
/// Bits of the filter a key: about 1 % of lookups of absent keys read a block.
const FILTER_BITS: f32 = 10.0;
/// Entries between whole keys in a block; those between are stored as what differs.
const RESTART_INTERVAL: u8 = 16;
/// Buckets of a block's hash index for each entry: a point read finds its entry without a search. A byte a bucket.
const HASH_RATIO: f32 = 0.75;
/// Runs in level 0 that are merged into the next level.
const LEVEL_0_RUNS: u8 = 4;
/// Times as many runs make commits wait: each is one more file to ask in every read.
const STALL_FACTOR: usize = 4;

/// What may be set when a store is opened. None of it is part of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LsmSettings {
    /// Bytes of rows in memory before they are written out. There may be twice as many: one memtable is filled
    /// while the other is written.
    pub memtable_bytes: u64,
    /// Bytes of blocks kept in memory.
    pub cache_bytes: u64,
    /// Bytes of a table file.
    pub table_bytes: u64,
    /// Bytes of a block before compression: what one point read decodes.
    pub block_bytes: u32,
    /// Whether blocks are compressed with LZ4 below level 0.
    pub is_compressed: bool,
}

impl Default for LsmSettings {
    fn default() -> Self {
        Self {
            memtable_bytes: 64 << 20,
            cache_bytes: 32 << 20,
            table_bytes: 32 << 20,
            block_bytes: 4 << 10,
            is_compressed: true,
        }
    }
}

impl LsmSettings {
    /// The crate's configuration. Every setting that matters is named, whatever the crate's default.
    pub(super) fn config(
        &self,
        path: &Path,
        counter: SequenceNumberCounter,
        visible: SequenceNumberCounter,
    ) -> Config {
        let plain = CompressionType::None;
        // Level 0 is rewritten soon, and written while commits wait.
        let data = if self.is_compressed { vec![plain, CompressionType::Lz4] } else { vec![plain] };
        let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(FILTER_BITS));
        Config::new(path, counter, visible)
            .use_cache(Arc::new(Cache::with_capacity_bytes(self.cache_bytes)))
            .use_descriptor_table(Some(Arc::new(DescriptorTable::new(OPEN_FILES))))
            .data_block_size_policy(BlockSizePolicy::all(self.block_bytes))
            .data_block_restart_interval_policy(RestartIntervalPolicy::all(RESTART_INTERVAL))
            .data_block_hash_ratio_policy(HashRatioPolicy::all(HASH_RATIO))
            .data_block_compression_policy(CompressionPolicy::new(data))
            .index_block_compression_policy(CompressionPolicy::all(plain))
            // The whole index of a table is read and checked at once in the upper levels, in parts in the lower.
            .index_block_partitioning_policy(PartitioningPolicy::new([false, false, false, true]))
            .filter_block_partitioning_policy(PartitioningPolicy::new([false, false, false, true]))
            .index_block_pinning_policy(PinningPolicy::new([true, true, false]))
            .filter_block_pinning_policy(PinningPolicy::new([true, false]))
            // New records are looked up before they are written: absent keys are the common case at every level.
            .filter_policy(FilterPolicy::all(filter))
            .expect_point_read_hits(false)
            .with_kv_separation(None)
            .with_compaction_filter_factory(None)
    }

    pub(super) fn strategy(&self) -> Arc<dyn CompactionStrategy> {
        Arc::new(Leveled::default().with_l0_threshold(LEVEL_0_RUNS).with_table_target_size(self.table_bytes))
    }

    /// Runs in level 0 at which commits must wait.
    pub(super) fn stall_runs(&self) -> usize {
        usize::from(LEVEL_0_RUNS).saturating_mul(STALL_FACTOR)
    }
}
