//! A small ext4 file system in a file, mounted through a loop device: a disk that can be full, and that can be copied
//! as a power cut would leave it.
//!
//! It needs root, loop devices, `mount` and `mkfs.ext4`. A machine without them fails these tests, unless
//! `BLAZEDB_WITHOUT_DISKS` says that they are to be left out; then each says that it was.

#![allow(clippy::disallowed_methods, reason = "disks are the outside world")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

/// The folders of these disks begin so; then come the process that made them and a number.
const PREFIX: &str = "blazedb-test-disk-";

/// A mounted disk. It is unmounted, and its image removed, when it is dropped.
#[derive(Debug)]
pub(crate) struct LoopDisk {
    folder: PathBuf,
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}; see the head of tests/suite/loop_disk.rs"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{program} {arguments:?}: {errors}; see the head of tests/suite/loop_disk.rs"))
    }
}

/// Whether tests that need such a disk are left out; says so.
pub(crate) fn left_out() -> bool {
    let is_left_out = std::env::var_os("BLAZEDB_WITHOUT_DISKS").is_some();
    if is_left_out {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "CI has disks");
        eprintln!("not run: BLAZEDB_WITHOUT_DISKS is set");
    }
    is_left_out
}

/// Unmounts and removes what test processes that were killed have left.
fn remove_stale() {
    for entry in fs::read_dir(std::env::temp_dir()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let mount = entry.path().join("mnt");
            // Unless it was not mounted.
            let _ = run("umount", &["-l", mount.to_str().unwrap()]);
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl LoopDisk {
    /// A new folder with a place to mount at.
    fn folder() -> PathBuf {
        static STALE: Once = Once::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        STALE.call_once(remove_stale);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("mnt")).unwrap();
        folder
    }

    /// A new file system of so many MiB.
    pub(crate) fn new(mebibytes: u64) -> Self {
        let folder = Self::folder();
        let image = folder.join("image");
        fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
        // All of it is laid out now, so that the kernel writes nothing of its own in the background.
        let options = "lazy_itable_init=0,lazy_journal_init=0";
        run("mkfs.ext4", &["-q", "-F", "-m", "0", "-E", options, image.to_str().unwrap()]).unwrap();
        Self::mount(folder)
    }

    fn mount(folder: PathBuf) -> Self {
        let disk = Self { folder };
        let (image, path) = (disk.folder.join("image"), disk.path());
        run("mount", &["-o", "loop", image.to_str().unwrap(), path.to_str().unwrap()]).unwrap();
        disk
    }

    /// Where its files are.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("mnt")
    }

    /// The image as it is now, copied under another folder without a sync: what was not written through to the disk
    /// is not in it.
    pub(crate) fn cut(&self) -> Cut {
        let cut = Cut(Self::folder());
        let (from, to) = (self.folder.join("image"), cut.0.join("image"));
        run("cp", &["--sparse=always", "--reflink=never", from.to_str().unwrap(), to.to_str().unwrap()])
            .unwrap();
        cut
    }
}

/// A disk after a power cut.
pub(crate) struct Cut(PathBuf);

impl Cut {
    /// The power is back: the file system's journal is replayed.
    pub(crate) fn mount(self) -> LoopDisk {
        LoopDisk::mount(self.0)
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let path = self.path();
        if run("umount", &[path.to_str().unwrap()]).is_err() {
            // Someone still has a file open: it goes with the last of them.
            let _ = run("umount", &["-l", path.to_str().unwrap()]);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_cut_keeps_what_was_synced_and_loses_what_was_not() {
    if left_out() {
        return;
    }
    let disk = LoopDisk::new(16);
    let (synced, unsynced) = (disk.path().join("synced"), disk.path().join("unsynced"));
    fs::write(&synced, b"here").unwrap();
    fs::File::open(&synced).unwrap().sync_all().unwrap();
    fs::File::open(disk.path()).unwrap().sync_all().unwrap();
    fs::write(&unsynced, b"gone").unwrap();
    let after = disk.cut().mount();
    assert_eq!(fs::read(after.path().join("synced")).unwrap(), b"here");
    assert!(fs::read(after.path().join("unsynced")).unwrap_or_default().is_empty());
    assert_eq!(fs::read(unsynced).unwrap(), b"gone");
}
