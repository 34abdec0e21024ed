//! The file that is imported: opened, spooled where it cannot be read twice, decompressed, hashed.

#![expect(clippy::disallowed_types, reason = "the command line is where files are opened")]

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::ids::FileHash;
use crate::cli::{Failure, tell};

/// How a gzip file begins (RFC 1952).
const GZIP_MAGIC: &[u8] = &[0x1F, 0x8B];
/// How much of a file is looked at to see what it is: blanks may stand before the first record.
const HEAD_BYTES: u64 = 4 << 10;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values with a header
    Csv,
    /// Typed JSON, one record a line
    Ndjson,
    /// One array of typed JSON
    Json,
}

/// A file that can be read from its beginning as often as needed.
pub(super) struct Source {
    file: File,
    /// For messages.
    name: String,
    gzip: bool,
    /// Bytes on disk.
    bytes: u64,
}

impl Source {
    /// Opens `path`; `-` and what is no ordinary file are copied into a temporary one.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let from_stdin = path.as_os_str() == "-";
        let name = if from_stdin { "standard input".to_owned() } else { format!("'{}'", path.display()) };
        let failed =
            |what: &str, error: io::Error| Failure::new(format_args!("cannot {what} {name}: {error}"));
        let file = if from_stdin {
            if io::stdin().is_terminal() {
                tell("reading records from the terminal; Ctrl-D ends");
            }
            spool(io::stdin().lock()).map_err(|error| failed("copy", error))?
        } else {
            let file = File::open(path).map_err(|error| failed("open", error))?;
            let kind = file.metadata().map_err(|error| failed("open", error))?;
            if kind.is_dir() {
                return Err(Failure::new(format_args!("{name} is a directory; name a file in it")));
            }
            if kind.is_file() { file } else { spool(file).map_err(|error| failed("copy", error))? }
        };
        let mut source = Self { file, name, gzip: false, bytes: 0 };
        let looked = source.look();
        looked.map_err(|error| source.failure(&error))?;
        Ok(source)
    }

    fn look(&mut self) -> io::Result<()> {
        self.bytes = self.file.metadata()?.len();
        self.gzip = self.head()?.starts_with(GZIP_MAGIC);
        Ok(())
    }

    /// What a failed read means.
    pub(super) fn failure(&self, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::InvalidData if !self.gzip => Failure::new(format_args!("{}: {error}", self.name)),
            _ => Failure::new(format_args!("cannot read {}: {error}; is it complete?", self.name)),
        }
    }

    /// The bytes to read, where they are known beforehand.
    pub(super) fn known_bytes(&self) -> Option<u64> {
        (!self.gzip).then_some(self.bytes)
    }

    /// The decompressed file from its beginning. One reader at a time.
    pub(super) fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(if self.gzip { Box::new(MultiGzDecoder::new(io::BufReader::new(file))) } else { Box::new(file) })
    }

    fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.reader()?.take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(head)
    }

    /// What the file holds, by the name's ending or else by how it begins.
    pub(super) fn format(&self, path: &Path) -> Result<Format, Failure> {
        let head = self.head().map_err(|error| self.failure(&error))?;
        Ok(match by_name(path) {
            Some(Format::Json) => {
                by_content(&head).filter(|found| *found != Format::Csv).unwrap_or(Format::Json)
            }
            Some(format) => format,
            None => by_content(&head).unwrap_or(Format::Csv),
        })
    }
}

fn spool(mut from: impl Read) -> io::Result<File> {
    // It has no name, so that nothing of it is left however the command ends.
    let mut file = tempfile::tempfile()?;
    io::copy(&mut from, &mut file)?;
    Ok(file)
}

/// The format that a name's ending says, `.gz` aside.
fn by_name(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "csv" | "tsv" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        "json" => Some(Format::Json),
        _ => None,
    }
}

/// The format that the first byte says; none of an empty file.
fn by_content(head: &[u8]) -> Option<Format> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    Some(match head.trim_ascii_start().first()? {
        b'[' => Format::Json,
        b'{' => Format::Ndjson,
        _ => Format::Csv,
    })
}

/// Whether the fields of such a file are separated by tabs.
pub(super) fn is_tab_separated(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).ends_with(".tsv")
}

/// Hashes what is read, and counts it for whoever shows it.
pub(super) struct Hashing<R> {
    source: R,
    hash: Sha256,
    counted: Arc<AtomicU64>,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(source: R, counted: Arc<AtomicU64>) -> Self {
        counted.store(0, Ordering::Relaxed);
        Self { source, hash: Sha256::new(), counted }
    }

    /// Reads what is left, and answers the hash of all.
    pub(super) fn finish(mut self) -> io::Result<(FileHash, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hash.finalize().into(), self.counted.load(Ordering::Relaxed)))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        self.hash.update(into.get(..count).unwrap_or_default());
        self.counted.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_in_the_name_or_in_the_first_byte() {
        for (name, expected) in [
            ("a.csv", Some(Format::Csv)),
            ("a.CSV.gz", Some(Format::Csv)),
            ("a.tsv", Some(Format::Csv)),
            ("a.b/a.jsonl.gz", Some(Format::Ndjson)),
            ("a.ndjson", Some(Format::Ndjson)),
            ("a.json", Some(Format::Json)),
            ("a.txt", None),
            ("-", None),
        ] {
            assert_eq!(by_name(Path::new(name)), expected, "{name}");
        }
        for (head, expected) in [
            (&b" \n[{}]"[..], Some(Format::Json)),
            (b"\xEF\xBB\xBF{\"a\":1}", Some(Format::Ndjson)),
            (b"a,b\n", Some(Format::Csv)),
            (b"", None),
        ] {
            assert_eq!(by_content(head), expected);
        }
    }
}
