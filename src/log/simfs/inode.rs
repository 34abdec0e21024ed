//! A file of the simulated disk: what is on the disk, what is in the cache, and what a crash makes of the two.

use std::collections::BTreeMap;

use super::{Choose, Lies, Tear};

#[derive(Clone, Default)]
pub(super) struct Inode {
    pub(super) cache: Vec<u8>,
    pub(super) disk: Vec<u8>,
    /// What was written to each sector since the last sync, oldest first.
    pub(super) pending: BTreeMap<usize, Vec<Vec<u8>>>,
    /// What was written before a sync that failed: some of it may be on disk, no sync will write it.
    pub(super) doubtful: BTreeMap<usize, Vec<Vec<u8>>>,
    pub(super) unreadable: Vec<usize>,
}

impl Inode {
    pub(super) fn write(&mut self, sector: usize, offset: usize, bytes: &[u8], lies: Lies) {
        let end = offset + bytes.len();
        if lies.identical_writes && self.cache.get(offset..end) == Some(bytes) {
            return;
        }
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[offset..end].copy_from_slice(bytes);
        for index in offset / sector..end.div_ceil(sector) {
            let version = self.cache[index * sector..((index + 1) * sector).min(self.cache.len())].to_vec();
            self.unreadable.retain(|&lost| lost != index);
            let versions = self.pending.entry(index).or_default();
            if versions.last() != Some(&version) {
                versions.push(version);
            }
        }
    }

    pub(super) fn sync(&mut self, sector: usize) {
        self.disk.resize(self.cache.len(), 0);
        for (index, versions) in std::mem::take(&mut self.pending) {
            if let Some(version) = versions.last() {
                put(&mut self.disk, index * sector, version);
            }
            self.doubtful.remove(&index);
        }
    }

    pub(super) fn fail_to_sync(&mut self) {
        for (index, versions) in std::mem::take(&mut self.pending) {
            self.doubtful.entry(index).or_default().extend(versions);
        }
    }

    fn candidates(&self, sector: usize, index: usize) -> Vec<Vec<u8>> {
        let mut old = self.disk.get(index * sector..).unwrap_or_default().to_vec();
        old.resize(sector, 0);
        let mut candidates = vec![old];
        for versions in [&self.doubtful, &self.pending] {
            for version in versions.get(&index).into_iter().flatten() {
                let mut version = version.clone();
                version.resize(sector, 0);
                if !candidates.contains(&version) {
                    candidates.push(version);
                }
            }
        }
        candidates
    }

    pub(super) fn cut(&mut self, sector: usize, chooser: &mut dyn Choose, tear: Tear) {
        let grows = self.disk.len() < self.cache.len() && chooser.choose(2) == 1;
        let length = if grows { self.cache.len() } else { self.disk.len() };
        let mut sectors: Vec<usize> = self.pending.keys().chain(self.doubtful.keys()).copied().collect();
        sectors.sort_unstable();
        sectors.dedup();
        let mut disk = self.disk.clone();
        disk.resize(length, 0);
        for index in sectors {
            let candidates = self.candidates(sector, index);
            // Even a write of what is there already may tear.
            let extra = if tear == Tear::Any { 3 } else { 0 };
            if candidates.len() + extra == 1 {
                continue;
            }
            let choice = chooser.choose(candidates.len() + extra);
            let kept = match choice.checked_sub(candidates.len()) {
                None => candidates[choice].clone(),
                Some(0) => {
                    let (old, new) = (&candidates[0], &candidates[candidates.len() - 1]);
                    [&new[..sector / 2], &old[sector / 2..]].concat()
                }
                Some(1) => {
                    self.unreadable.push(index);
                    candidates[0].clone()
                }
                Some(_) => (0..sector).map(|at| ((at * 7 + index * 13) % 251) as u8).collect(),
            };
            put(&mut disk, index * sector, &kept);
        }
        self.cache.clone_from(&disk);
        self.disk = disk;
        self.pending.clear();
        self.doubtful.clear();
    }

    /// Of a file whose sync failed the cache may be dropped: then readers see what is on disk.
    pub(super) fn evict(&mut self, sector: usize, chooser: &mut dyn Choose) {
        if self.doubtful.is_empty() || chooser.choose(2) == 0 {
            return;
        }
        for index in self.doubtful.keys().copied().collect::<Vec<_>>() {
            if self.pending.contains_key(&index) {
                continue;
            }
            let candidates = self.candidates(sector, index);
            let kept = &candidates[chooser.choose(candidates.len())];
            put(&mut self.disk, index * sector, kept);
            put(&mut self.cache, index * sector, kept);
            self.doubtful.remove(&index);
        }
    }
}

/// Writes as much of `bytes` at `offset` as `file` has room for.
fn put(file: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(place) = file.get_mut(offset..) {
        let count = place.len().min(bytes.len());
        place[..count].copy_from_slice(&bytes[..count]);
    }
}
