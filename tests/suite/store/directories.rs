//! FORMAT and LOCK.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use blazedb::store::directory::{DirectoryError, Format, Lock, STORE_FORMAT};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store").join(name)
}

#[test]
fn an_empty_directory_gets_its_format_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("FORMAT.tmp"), "blaz").unwrap();
    let _lock = Lock::acquire(&path).unwrap();
    assert_eq!(STORE_FORMAT.open(&path).unwrap(), 1);
    assert_eq!(fs::read_to_string(path.join("FORMAT")).unwrap(), "blazedb store 1\n");
    assert_eq!(STORE_FORMAT.open(&path).unwrap(), 1);
    assert_eq!(Format { what: "store", number: 7 }.open(&path).unwrap(), 1, "older formats are opened");
    assert_eq!(STORE_FORMAT.open(&folder.path().join("new")).unwrap(), 1);
}

/// The fixtures were written by hand; what they hold stays as it is.
#[test]
fn other_formats_are_refused_by_name() {
    let newer = STORE_FORMAT.open(&fixture("newer")).unwrap_err();
    assert!(matches!(newer, DirectoryError::Newer { found: 1_000, known: 1, .. }), "{newer:?}");
    assert!(newer.to_string().contains("written by a newer blazedb"), "{newer}");
    assert!(newer.to_string().contains("fixtures/store/newer"), "{newer}");
    for name in ["foreign", "garbled", "zero", "log"] {
        let refused = STORE_FORMAT.open(&fixture(name)).unwrap_err();
        assert!(matches!(refused, DirectoryError::Foreign { .. }), "{name}: {refused:?}");
    }
    assert_eq!(fs::read_dir(fixture("foreign")).unwrap().count(), 1, "nothing was added");
}

#[test]
fn a_directory_has_one_owner_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let lock = Lock::acquire(folder.path()).unwrap();
    let refused = Lock::acquire(folder.path()).unwrap_err();
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    assert!(matches!(refused, DirectoryError::Locked { pid: Some(pid), .. } if pid == std::process::id()));
    drop(lock);
    Lock::acquire(folder.path()).unwrap();
}

#[test]
fn a_claim_creates_locks_and_checks_but_leaves_other_peoples_directories_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c");
    let (lock, number) = STORE_FORMAT.claim(&path).unwrap();
    assert_eq!(number, 1);
    assert!(matches!(STORE_FORMAT.claim(&path), Err(DirectoryError::Locked { .. })));
    drop(lock);
    STORE_FORMAT.claim(&path).unwrap();
    assert!(matches!(STORE_FORMAT.claim(&fixture("foreign")), Err(DirectoryError::Foreign { .. })));
    assert!(matches!(STORE_FORMAT.claim(&fixture("newer")), Err(DirectoryError::Newer { .. })));
    for name in ["foreign", "newer"] {
        assert_eq!(fs::read_dir(fixture(name)).unwrap().count(), 1, "nothing was added to {name}");
    }
}

/// The other process is util-linux's `flock`, which takes the same lock.
#[test]
fn another_process_is_kept_out_and_its_end_frees_the_directory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("LOCK");
    let try_lock = || Command::new("flock").arg("-n").arg(&file).arg("true").status().unwrap().success();
    let lock = Lock::acquire(folder.path()).unwrap();
    assert!(!try_lock(), "a second process got in");
    drop(lock);
    assert!(try_lock());
    let mut other = Command::new("flock").arg("-o").arg(&file).args(["sleep", "60"]).spawn().unwrap();
    while Lock::acquire(folder.path()).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    fs::write(&file, "4242\n").unwrap();
    assert!(matches!(Lock::acquire(folder.path()), Err(DirectoryError::Locked { pid: Some(4242), .. })));
    other.kill().unwrap();
    other.wait().unwrap();
    Lock::acquire(folder.path()).unwrap();
}
