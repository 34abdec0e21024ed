//! The file that says what a log's directory is: the format, whose log it is, and whether it was ever complete.
//!
//! It is text, so that a person who finds the directory can read it:
//!
//! ```text
//! BlazeDB database
//! format 1
//! id 00112233445566778899aabbccddeeff
//! epoch 1
//! state ready
//! crc32 01234567
//! ```
//!
//! `state creating` is what a crash leaves of a database that never took a write.

use std::io;

use super::error::EngineError;
use super::record::Id;
use crate::log::Filesystem;

/// The file's name.
pub const FORMAT_FILE: &str = "FORMAT";
/// What it is called until it is whole and on stable storage.
const PART_FILE: &str = "FORMAT.part";
/// The format that this release writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// The longest marker that is read: a later format may say more.
const MAX_MARKER_BYTES: usize = 4096;

/// What the marker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) database: Id,
    pub(super) epoch: u32,
    pub(super) is_ready: bool,
}

impl Marker {
    /// Reads the marker; `None` if there is none.
    pub(super) fn read(fs: &dyn Filesystem) -> Result<Option<Self>, EngineError> {
        let io = |error: io::Error| EngineError::Read(format!("{FORMAT_FILE}: {error}"));
        if !fs.list().map_err(io)?.iter().any(|name| name == FORMAT_FILE) {
            return Ok(None);
        }
        let file = fs.open(FORMAT_FILE).map_err(io)?;
        let mut bytes = vec![0; MAX_MARKER_BYTES];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            let at = u64::try_from(length).unwrap_or(u64::MAX);
            match file.read_at(at, rest).map_err(io)? {
                0 => break,
                count => length = length.saturating_add(count),
            }
        }
        bytes.truncate(length);
        Self::parse(&bytes).map(Some)
    }

    /// Replaces the marker; it is on stable storage when this returns.
    pub(super) fn write(&self, fs: &dyn Filesystem) -> Result<(), EngineError> {
        self.try_write(fs).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => EngineError::DiskFull,
            _ => EngineError::Read(format!("writing {FORMAT_FILE}: {error}")),
        })
    }

    fn try_write(&self, fs: &dyn Filesystem) -> io::Result<()> {
        if fs.list()?.iter().any(|name| name == PART_FILE) {
            fs.unlink(PART_FILE)?;
        }
        let file = fs.create(PART_FILE)?;
        let text = self.to_text();
        let mut written = 0;
        while let Some(rest) = text.as_bytes().get(written..).filter(|rest| !rest.is_empty()) {
            match file.write_at(u64::try_from(written).unwrap_or(u64::MAX), rest)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => written = written.saturating_add(count),
            }
        }
        file.sync()?;
        fs.rename(PART_FILE, FORMAT_FILE)?;
        fs.sync_dir()
    }

    pub(super) fn to_text(self) -> String {
        let id = data_encoding::HEXLOWER.encode(&self.database);
        let state = if self.is_ready { "ready" } else { "creating" };
        let text =
            format!("BlazeDB database\nformat {FORMAT}\nid {id}\nepoch {}\nstate {state}\n", self.epoch);
        let crc = crc32fast::hash(text.as_bytes());
        format!("{text}crc32 {crc:08x}\n")
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, EngineError> {
        let damaged = || EngineError::Corrupted(format!("the file {FORMAT_FILE} in the log's directory"));
        let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
        let (checked, crc) = text.rsplit_once("crc32 ").ok_or_else(damaged)?;
        if crc != format!("{:08x}\n", crc32fast::hash(checked.as_bytes())) {
            return Err(damaged());
        }
        let mut fields = checked.lines();
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix(' ');
        field("BlazeDB").filter(|rest| *rest == "database").ok_or_else(damaged)?;
        let format = field("format").and_then(|format| format.parse::<u32>().ok()).ok_or_else(damaged)?;
        if format > FORMAT {
            return Err(EngineError::Unusable(format!(
                "the database has format {format}, this binary reads up to {FORMAT}: use the newer one"
            )));
        }
        let mut parse = || {
            let id = data_encoding::HEXLOWER.decode(field("id")?.as_bytes()).ok()?;
            let epoch = field("epoch")?.parse().ok()?;
            let is_ready = match field("state")? {
                "ready" => true,
                "creating" => false,
                _ => return None,
            };
            Some(Self { database: id.try_into().ok()?, epoch, is_ready })
        };
        parse().ok_or_else(damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::simfs::SimFs;

    const MARKER: Marker = Marker { database: *b"0123456789abcdef", epoch: 1, is_ready: true };
    /// The checksum is zlib's.
    const TEXT: &str =
        "BlazeDB database\nformat 1\nid 30313233343536373839616263646566\nepoch 1\nstate ready\n";

    #[test]
    fn a_marker_is_its_text_and_replaces_the_one_before() {
        let fs = SimFs::new(512);
        assert_eq!(Marker::read(&fs).unwrap(), None);
        Marker { is_ready: false, ..MARKER }.write(&fs).unwrap();
        assert_eq!(Marker::read(&fs).unwrap(), Some(Marker { is_ready: false, ..MARKER }));
        MARKER.write(&fs).unwrap();
        assert_eq!(Marker::read(&fs).unwrap(), Some(MARKER));
        assert!(fs.bytes(FORMAT_FILE).starts_with(TEXT.as_bytes()));
    }

    #[test]
    fn damage_is_told_from_a_newer_format() {
        let text = MARKER.to_text();
        for bit in 0..text.len() * 8 {
            let mut damaged = text.clone().into_bytes();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Marker::parse(&damaged), Err(EngineError::Corrupted(_))), "bit {bit}");
        }
        let newer = TEXT.replace("format 1", "format 2");
        let newer = format!("{newer}crc32 {:08x}\n", crc32fast::hash(newer.as_bytes()));
        let Err(EngineError::Unusable(why)) = Marker::parse(newer.as_bytes()) else { panic!() };
        assert!(why.contains("format 2"), "{why}");
    }
}
