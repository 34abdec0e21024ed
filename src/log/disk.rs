//! The log's real disk: the one place beneath `service` that opens files.

#![expect(clippy::disallowed_types, reason = "this is the filesystem that the log is given in production")]

use std::fs::{self, DirBuilder, File as OsFile, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fs::{File, Filesystem, Space};

/// The rights on directories that are made: other users of the machine are strangers (`spec/security.md`, Y-1.1). One that
/// is there keeps what its operator gave it.
const DIRECTORY_MODE: u32 = 0o700;
/// The rights on files that are made.
const FILE_MODE: u32 = 0o600;

/// A directory of the operating system.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    directory: OsFile,
}

impl Disk {
    /// The directory at `path`, made with its parents if it is not there; the new entries are on stable storage when
    /// this returns.
    ///
    /// # Errors
    /// Any of the system's.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        make_directories(&path)?;
        let directory = OsFile::open(&path)?;
        Ok(Self { path, directory })
    }
}

/// Makes `path` and syncs each directory that gains an entry: a log is not durable in a directory that is not.
fn make_directories(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    make_directories(parent)?;
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    OsFile::open(parent)?.sync_all()
}

impl Filesystem for Disk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        let file = options.open(self.path.join(name))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
        Ok(Arc::new(DiskFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn set_aside(&self, from: &str, folder: &str, to: &str) -> io::Result<()> {
        let folder = self.path.join(folder);
        make_directories(&folder)?;
        fs::rename(self.path.join(from), folder.join(to))?;
        OsFile::open(folder)?.sync_all()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                continue;
            }
            if let Ok(name) = entry.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn space(&self) -> Option<Space> {
        let found = rustix::fs::fstatvfs(&self.directory).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        // Some file systems do not say.
        (found.f_blocks > 0).then(|| Space { total: bytes(found.f_blocks), free: bytes(found.f_bavail) })
    }
}

#[derive(Debug)]
struct DiskFile(OsFile);

impl File for DiskFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_made_written_renamed_read_and_removed() {
        let path = std::env::temp_dir().join(format!("blazedb-log-disk-{}", std::process::id()));
        let disk = Disk::open(path.join("a/b")).unwrap();
        let file = disk.create("1.tmp").unwrap();
        assert_eq!(file.write_at(3, b"abc").unwrap(), 3);
        file.sync().unwrap();
        assert_eq!(file.length().unwrap(), 6);
        assert_eq!(disk.create("1.tmp").err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        disk.rename("1.tmp", "1.log").unwrap();
        disk.sync_dir().unwrap();
        assert_eq!(disk.list().unwrap(), ["1.log"]);
        let space = disk.space().unwrap();
        assert!(0 < space.free && space.free <= space.total, "{space:?}");
        let mut bytes = [9; 8];
        assert_eq!(disk.open("1.log").unwrap().read_at(1, &mut bytes).unwrap(), 5);
        assert_eq!(bytes, *b"\0\0abc\x09\x09\x09");
        disk.set_aside("1.log", "kept", "one").unwrap();
        assert!(disk.list().unwrap().is_empty());
        assert_eq!(fs::read(path.join("a/b/kept/one")).unwrap(), *b"\0\0\0abc");
        drop(disk.create("2.log").unwrap());
        disk.unlink("2.log").unwrap();
        assert!(disk.list().unwrap().is_empty());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_is_made_is_the_owners_and_what_is_there_keeps_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        let shared = folder.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o750)).unwrap();
        let disk = Disk::open(shared.join("main/log")).unwrap();
        drop(disk.create("1.log").unwrap());
        disk.set_aside("1.log", "kept", "one").unwrap();
        assert_eq!(
            ["shared", "shared/main", "shared/main/log", "shared/main/log/kept", "shared/main/log/kept/one"]
                .map(mode),
            [0o750, 0o700, 0o700, 0o700, 0o600]
        );
    }
}
