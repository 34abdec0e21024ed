//! The files of a log: their names, and how a new one comes to be without ever being half there.

use std::io;
use std::sync::Arc;

use super::bytes::{to_u32, to_usize};
use super::error::LogError;
use super::format::{Seal, SegmentHeader};
use super::fs::{File, Filesystem, sync, sync_dir, write_all};
use super::limits::{MAX_SEGMENT_BYTES, SEAL_OFFSET, ZERO_CHUNK_BYTES};

/// Digits of a segment's number in its name: those of the largest u32, so that names sort as numbers do.
const NAME_DIGITS: usize = 10;

/// The name of a segment.
pub(crate) fn name(segment: u32) -> String {
    format!("{segment:0NAME_DIGITS$}.log")
}

/// The name of a segment that the log is making for itself.
pub(crate) const HASTY_NAME: &str = "next.tmp";
/// The name of one that was asked for beforehand: the log may meanwhile make one for itself.
pub(crate) const REQUESTED_NAME: &str = "spare.tmp";

/// The number of the segment with this name.
pub(crate) fn number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log")?;
    let is_canonical = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_canonical { digits.parse().ok() } else { None }
}

/// The numbers of all segments, ascending, and the names of all files that a crash left half made.
pub(crate) fn list(fs: &dyn Filesystem) -> Result<(Vec<u32>, Vec<String>), LogError> {
    let names = fs.list().map_err(|error| LogError::io("listing", "", error))?;
    let mut segments: Vec<u32> = names.iter().filter_map(|name| number(name)).collect();
    segments.sort_unstable();
    let temporary = names.into_iter().filter(|name| name.ends_with(".tmp")).collect();
    Ok((segments, temporary))
}

/// Removes what crashes left half made and makes the directory's state durable.
pub(crate) fn clean(fs: &dyn Filesystem, temporary: &[String]) -> Result<(), LogError> {
    for name in temporary {
        fs.unlink(name).map_err(|error| LogError::io("removal", name, error))?;
    }
    sync_dir(fs)
}

/// A file of zeros under a temporary name, on stable storage, waiting to become the next segment.
pub struct Spare {
    bytes: u32,
    name: String,
    file: Arc<dyn File>,
}

/// A spare segment that the log wants; [`SpareRequest::make`] may run on any thread while the log goes on.
#[must_use = "the log asks for no other before it hears of this one"]
pub struct SpareRequest {
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) bytes: u32,
}

impl std::fmt::Debug for SpareRequest {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "SpareRequest({} bytes)", self.bytes)
    }
}

impl SpareRequest {
    /// Makes it, to be handed to [`super::Log::take_spare`] however it went.
    ///
    /// # Errors
    /// [`LogError::DiskFull`], [`LogError::Io`].
    pub fn make(self) -> Result<Spare, LogError> {
        Spare::make(&*self.fs, self.bytes, REQUESTED_NAME)
    }
}

impl std::fmt::Debug for Spare {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Spare({:?}, {} bytes)", self.name, self.bytes)
    }
}

impl Spare {
    /// Makes one. It may run beside the log: it touches nothing that the log uses.
    ///
    /// # Errors
    /// [`LogError::DiskFull`], after which nothing is left behind; else [`LogError::Io`].
    pub(crate) fn make(fs: &dyn Filesystem, bytes: u32, name: &str) -> Result<Self, LogError> {
        let bytes = bytes.min(MAX_SEGMENT_BYTES);
        match fs.unlink(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LogError::io("removal", name, error));
            }
            _ => {}
        }
        match Self::fill(fs, bytes, name) {
            Err(LogError::Io { source, .. })
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                // What was begun is in the way of the next attempt only if it stays, which costs space, not truth.
                let _ = fs.unlink(name);
                Err(LogError::DiskFull)
            }
            made => made,
        }
    }

    fn fill(fs: &dyn Filesystem, bytes: u32, name: &str) -> Result<Self, LogError> {
        let file = fs.create(name).map_err(|error| LogError::io("creation", name, error))?;
        let zeros = vec![0; ZERO_CHUNK_BYTES.min(to_usize(bytes))];
        let mut offset = 0;
        while offset < bytes {
            let count = zeros.len().min(to_usize(bytes.saturating_sub(offset)));
            write_all(&*file, name, offset, zeros.get(..count).unwrap_or_default())?;
            // Chunk by chunk, so that commits which sync beside it wait for one chunk and not for all.
            sync(&*file, name)?;
            offset = offset.saturating_add(to_u32(count));
        }
        Ok(Self { bytes, name: name.to_owned(), file })
    }

    pub(crate) const fn bytes(&self) -> u32 {
        self.bytes
    }

    /// Removes it: it is not wanted.
    pub(crate) fn discard(self, fs: &dyn Filesystem) -> Result<(), LogError> {
        fs.unlink(&self.name).map_err(|error| LogError::io("removal", &self.name, error))
    }

    /// Writes `bytes` at `offset`, before it has its name.
    pub(crate) fn write(&self, offset: u32, bytes: &[u8]) -> Result<(), LogError> {
        write_all(&*self.file, &self.name, offset, bytes)
    }

    /// Gives it its header and its name. When this returns it is the log's last segment, whatever happens.
    pub(crate) fn install(
        self,
        fs: &dyn Filesystem,
        header: &SegmentHeader,
    ) -> Result<Arc<dyn File>, LogError> {
        self.write(0, &header.to_block())?;
        sync(&*self.file, &self.name)?;
        fs.rename(&self.name, &name(header.segment))
            .map_err(|error| LogError::io("rename", &self.name, error))?;
        sync_dir(fs)?;
        Ok(self.file)
    }
}

/// Writes the Seal of a segment and makes it durable. Repeating it writes the same bytes.
pub(crate) fn seal(file: &dyn File, segment: u32, seal: Seal) -> Result<(), LogError> {
    let name = name(segment);
    write_all(file, &name, SEAL_OFFSET, &seal.to_block())?;
    sync(file, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers_of_ten_digits() {
        assert_eq!(name(7), "0000000007.log");
        assert_eq!(number("4294967295.log"), Some(u32::MAX));
        for other in ["4294967296.log", "7.log", "0000000007.tmp", "+000000007.log", "FORMAT", ".log"] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
