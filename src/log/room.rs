//! How much of its disk a log takes, and what it leaves to those who free space.

use super::effect::Effect;
use super::fs::Filesystem;
use super::limits::{BLOCK_BYTES, MAX_RESERVE_BYTES, RESERVE_PART, SEGMENT_PART, SMALL_SEGMENT_BYTES};

/// What room is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// More is to be stored: the reserve is not touched.
    Growth,
    /// Deletions, outcomes without changes, marks of the log itself: they may use the reserve.
    Relief,
}

impl Need {
    /// What these effects are.
    pub fn of(effects: &[Effect<'_>]) -> Self {
        let grows = effects.iter().any(|effect| matches!(effect, Effect::Put(_) | Effect::Patch(_)));
        if grows { Self::Growth } else { Self::Relief }
    }
}

/// The rule by which a log takes room on its disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    reserve: u64,
    /// Less than the reserve was free when a file was made last.
    is_in_reserve: bool,
}

impl Room {
    /// The rule for the disk that `fs` is on, as it is now.
    pub(crate) fn of(fs: &dyn Filesystem) -> Self {
        let total = fs.space().map_or(0, |space| space.total);
        let mut room = Self { reserve: (total / RESERVE_PART).min(MAX_RESERVE_BYTES), is_in_reserve: false };
        room.note(fs);
        room
    }

    /// Whether a file of so many bytes may be made.
    pub(crate) fn allows(&self, fs: &dyn Filesystem, bytes: u32, need: Need) -> bool {
        let left = if need == Need::Growth { self.reserve } else { 0 };
        fs.space().is_none_or(|space| space.free >= u64::from(bytes).saturating_add(left))
    }

    /// Takes note that a file was made.
    pub(crate) fn note(&mut self, fs: &dyn Filesystem) {
        self.is_in_reserve = fs.space().is_some_and(|space| space.free < self.reserve);
    }

    /// Whether growth must ask before it uses room that is there already, since that is of the reserve.
    pub(crate) const fn is_in_reserve(&self) -> bool {
        self.is_in_reserve
    }
}

/// Bytes of a segment on the disk that `fs` is on: whole blocks, `wanted` at most.
pub(crate) fn segment_bytes(fs: &dyn Filesystem, wanted: u32) -> u32 {
    let Some(space) = fs.space() else { return wanted };
    let part = u32::try_from(space.total / SEGMENT_PART).unwrap_or(u32::MAX).max(SMALL_SEGMENT_BYTES);
    wanted.min(part.saturating_sub(part % BLOCK_BYTES))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::fs::{File, Space};

    struct Of(Space);

    impl Filesystem for Of {
        fn create(&self, _: &str) -> std::io::Result<Arc<dyn File>> {
            Err(std::io::ErrorKind::Unsupported.into())
        }
        fn open(&self, name: &str) -> std::io::Result<Arc<dyn File>> {
            self.create(name)
        }
        fn rename(&self, _: &str, _: &str) -> std::io::Result<()> {
            Ok(())
        }
        fn unlink(&self, _: &str) -> std::io::Result<()> {
            Ok(())
        }
        fn sync_dir(&self) -> std::io::Result<()> {
            Ok(())
        }
        fn list(&self) -> std::io::Result<Vec<String>> {
            Ok(Vec::new())
        }
        fn space(&self) -> Option<Space> {
            Some(self.0)
        }
    }

    /// A 64th of the disk, from 1 MiB to what was wanted; a 16th of it in reserve, up to 256 MiB.
    #[test]
    fn segments_and_reserve_follow_the_disk() {
        const MIB: u64 = 1 << 20;
        for (total, segment, reserve) in [
            (64 * MIB, MIB, 4 * MIB),
            (96 * MIB, 3 * MIB / 2, 6 * MIB),
            (90 * MIB + 4096, 1440 << 10, 90 * MIB / 16 + 256),
            (4096 * MIB, 64 * MIB, 256 * MIB),
            (1 << 40, 64 * MIB, 256 * MIB),
        ] {
            let disk = |free| Of(Space { total, free });
            assert_eq!(u64::from(segment_bytes(&disk(0), 64 << 20)), segment, "{total}");
            let room = Room::of(&disk(reserve));
            assert!(!room.is_in_reserve() && Room::of(&disk(reserve - 1)).is_in_reserve(), "{total}");
            for (free, need, allowed) in [
                (reserve + 4096, Need::Growth, true),
                (reserve + 4095, Need::Growth, false),
                (4096, Need::Relief, true),
                (4095, Need::Relief, false),
            ] {
                assert_eq!(room.allows(&disk(free), 4096, need), allowed, "{total} {free} {need:?}");
            }
        }
    }
}
