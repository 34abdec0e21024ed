//! Every system call of a scripted run over the real disk and the store `lsm` fails once, or is where the process is
//! killed. `strace` injects the faults at the n-th call of a kind.
//!
//! The script is cut into the lives of a process, with rotation, checkpoints, trimming, retries, clean and unclean ends. A
//! clean run of each life leaves the image that the next begins with, and a list of its calls. Then, for every call and
//! fault, a life is run anew from its image; afterwards everything acknowledged must be there, what is there must be the
//! state after some whole number of operations, and the script must go on. After a sync of the log failed, nothing may be
//! acknowledged.
//!
//! `BLAZEDB_SYSCALL_STRIDE=1` runs all, `BLAZEDB_SYSCALL_OFFSET` says where to begin: with a stride of n, n processes
//! with the offsets 0 to n - 1 share the work.

use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use blazedb::engine::{Database, EngineError};
use blazedb::log::disk::Disk;
use blazedb::log::{File, Filesystem};
use blazedb::store::directory::STORE_FORMAT;
use blazedb::store::{Lsm, LsmSettings};

use super::faults::{NODE, SEGMENT_BYTES, Script};
use super::kit::{World, count, open, run, submit};
use crate::store::copy;

const NAME: &str = "engine::syscalls::every_system_call_fails_once";
/// The directory that the child works in, which life it lives, and how.
const CHILD: &str = "BLAZEDB_SYSCALL_CHILD";
const LIFE: &str = "BLAZEDB_SYSCALL_LIFE";
const MANNER: &str = "BLAZEDB_SYSCALL_MANNER";
const SEED: u64 = 8;
const OPERATIONS: usize = 216;
const LIVES: usize = 9;
const PER_LIFE: usize = OPERATIONS / LIVES;
/// How often an operation is sent again that found no room or could not be read for.
const TRIES: usize = 3;
/// No such files: where the part of a trace begins and ends that is the script's.
const BEGIN: &str = "/blazedb-script-begins";
const END: &str = "/blazedb-script-ends";
/// Without this the engine has a thread for its syncs.
const NO_THREADS: &str = "inject=?clone,?clone3:error=EAGAIN";

/// Calls that read, which can only fail; and those that change something.
const READS: &[&str] = &["read", "pread64", "lseek", "statx", "newfstatat", "fstat", "getdents64"];
const WRITES: &[&str] = &[
    "openat",
    "write",
    "pwrite64",
    "writev",
    "fsync",
    "fdatasync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "ftruncate",
    "fallocate",
    "mkdir",
    "mkdirat",
    "rmdir",
    "flock",
    "copy_file_range",
    "sync_file_range",
];
const READ_FAULTS: &[&str] = &["error=EIO"];
const WRITE_FAULTS: &[&str] = &["error=EIO", "error=ENOSPC", "signal=KILL"];

/// What a child does otherwise than it should, so that it can be seen that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Acknowledges what is not durable.
    Early,
    /// Takes a failed sync for a good one.
    Deaf,
}

/// A call to fail.
#[derive(Debug, Clone)]
struct Point {
    life: usize,
    call: String,
    nth: usize,
    fault: &'static str,
    /// Whether the engine has its thread for syncs.
    threads: bool,
}

// The child.

/// A disk whose syncs never fail.
struct DeafDisk(Disk);
struct DeafFile(Arc<dyn File>);

impl Filesystem for DeafDisk {
    fn create(&self, name: &str) -> std::io::Result<Arc<dyn File>> {
        Ok(Arc::new(DeafFile(self.0.create(name)?)))
    }
    fn open(&self, name: &str) -> std::io::Result<Arc<dyn File>> {
        Ok(Arc::new(DeafFile(self.0.open(name)?)))
    }
    fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
        self.0.rename(from, to)
    }
    fn unlink(&self, name: &str) -> std::io::Result<()> {
        self.0.unlink(name)
    }
    fn set_aside(&self, from: &str, folder: &str, to: &str) -> std::io::Result<()> {
        self.0.set_aside(from, folder, to)
    }
    fn sync_dir(&self) -> std::io::Result<()> {
        self.0.sync_dir()
    }
    fn list(&self) -> std::io::Result<Vec<String>> {
        self.0.list()
    }
}

impl File for DeafFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write_at(offset, bytes)
    }
    fn sync(&self) -> std::io::Result<()> {
        let _ = self.0.sync();
        Ok(())
    }
    fn length(&self) -> std::io::Result<u64> {
        self.0.length()
    }
}

fn open_real(directory: &Path, world: &Arc<World>, manner: Manner) -> Result<Database, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let settings = LsmSettings { memtable_bytes: 8 << 10, table_bytes: 8 << 10, ..LsmSettings::default() };
    let disk = Disk::open(directory.join("log")).map_err(|error| text(&error))?;
    let disk: Arc<dyn Filesystem> =
        if manner == Manner::Deaf { Arc::new(DeafDisk(disk)) } else { Arc::new(disk) };
    STORE_FORMAT.open(&directory.join("store")).map_err(|error| text(&error))?;
    let store = Lsm::open(&directory.join("store"), settings).map_err(|error| text(&error))?;
    let (database, _) = open(disk, Arc::new(store), world, SEGMENT_BYTES).map_err(|error| text(&error))?;
    database.read_only().map_or(Ok(()), |why| Err(why.to_owned()))?;
    Ok(database)
}

fn say(what: &str, number: usize) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{what} {number}").and_then(|()| out.flush());
}

fn is_passing(error: &EngineError) -> bool {
    let is_known = matches!(
        error,
        EngineError::Stopped(_) | EngineError::DiskFull | EngineError::Read(_) | EngineError::Corrupted(_)
    );
    assert!(is_known, "{error}");
    matches!(error, EngineError::DiskFull | EngineError::Read(_))
}

/// Does what passes once more, a few times.
fn again<T>(mut work: impl FnMut() -> Result<T, EngineError>) -> Result<T, EngineError> {
    for _ in 1..TRIES {
        match work() {
            Err(error) if is_passing(&error) => {}
            other => return other,
        }
    }
    work()
}

/// One life: opens, goes on with the script where it stands, ends by a close or just so.
fn live(script: &Script, directory: &Path, life: usize, manner: Manner) -> Result<(), EngineError> {
    let world = World::new(1_000 * (life as u64 + 1));
    let opened = open_real(directory, &world, manner).or_else(|_| open_real(directory, &world, manner));
    let Ok(database) = opened else { return Ok(()) };
    say("open", 0);
    let mut next = again(|| database.highest_operation(&NODE))? as usize;
    let end = (life + 1) * PER_LIFE;
    while next < end {
        let batch = [1, 1, 2, 6, 1, 3, 1][next % 7].min(end - next);
        let mut tickets = Vec::new();
        for at in next..next + batch {
            let (ops, expected) = &script.operations[at];
            let ticket = again(|| submit(&database, NODE, at as u64 + 1, ops))?;
            assert_eq!(ticket.outcome, *expected, "operation {at}");
            tickets.push(ticket);
            if manner == Manner::Early {
                say("ack", at + 1);
            }
        }
        for ticket in tickets {
            database.wait(&ticket)?;
            next += 1;
            say("ack", next);
        }
        world.pass(std::time::Duration::from_millis(100));
        database.tick()?;
        if next % 5 < batch {
            for outcome in [database.checkpoint().map(drop), database.maintain().map(drop)] {
                outcome.or_else(|error| if is_passing(&error) { Ok(()) } else { Err(error) })?;
            }
        }
    }
    if life % 2 == 1 { database.close() } else { Ok(()) }
}

// The parent.

/// What became of a life.
struct Lived {
    acknowledged: usize,
    trace: String,
    was_killed: bool,
    /// Ended by itself, with nothing to complain of.
    has_ended: bool,
    errors: String,
}

fn strace(directory: &Path, life: usize, manner: Manner, threads: bool, fault: Option<String>) -> Lived {
    let trace = directory.with_extension("trace");
    let calls: Vec<String> = READS.iter().chain(WRITES).map(|call| format!("?{call}")).collect();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-s", "12", "-e", "signal=none", "-o"]).arg(&trace);
    // Calls that are not watched run at full speed with it; on some kernels strace then delivers no signals.
    if fault.as_ref().is_none_or(|fault| !fault.contains("signal=")) {
        command.arg("--seccomp-bpf");
    }
    command.arg("-e").arg(format!("trace=?clone,?clone3,{}", calls.join(",")));
    if !threads {
        command.args(["-e", NO_THREADS]);
    }
    command.args(fault.iter().flat_map(|fault| ["-e", fault]));
    command.arg(std::env::current_exe().unwrap()).args(["--exact", NAME, "--nocapture"]);
    command.env(CHILD, directory).env(LIFE, life.to_string()).env(MANNER, format!("{manner:?}"));
    let output = command.stdin(Stdio::null()).output().expect("strace is needed: apt-get install strace");
    let told = String::from_utf8_lossy(&output.stdout);
    let acknowledged = told.lines().filter_map(|line| line.split_once("ack ")?.1.parse().ok());
    let was_killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
    Lived {
        acknowledged: acknowledged.max().unwrap_or(0),
        trace: std::fs::read_to_string(trace).unwrap_or_default(),
        was_killed,
        has_ended: output.status.success(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The calls of the script in a trace: per kind and thread, the first and the last, counted from the thread's beginning.
/// What is said on standard output is none of them.
fn calls(trace: &str, threads: bool) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut found = std::collections::BTreeSet::new();
    let (mut is_script, main) = (false, trace.split_whitespace().next().unwrap_or_default());
    for line in trace.lines().filter(|line| !line.contains("resumed>")) {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        let nth = counts.entry((thread, call)).or_default();
        *nth += 1;
        let is_mark = arguments.contains(BEGIN) || arguments.contains(END);
        is_script = is_script && !arguments.contains(END) || arguments.contains(BEGIN);
        // With threads only the syncs of the others matter: all else is met without.
        let is_wanted = is_script && !is_mark && (!threads || thread != main && call == "fdatasync");
        if is_wanted && !call.starts_with("clone") && !arguments.starts_with("1<") {
            found.insert((call.to_owned(), *nth));
        }
    }
    found.into_iter().collect()
}

/// Runs the script without faults; an image for each life, and the calls of each.
fn images(folder: &Path, script: &Script) -> (Vec<PathBuf>, Vec<Point>) {
    let mut images = vec![folder.join("image-0")];
    std::fs::create_dir(&images[0]).unwrap();
    let mut points = Vec::new();
    for life in 0..LIVES {
        for threads in [true, false] {
            let directory = folder.join(format!("image-{}", life + 1));
            copy(&images[life], &directory);
            std::fs::create_dir_all(&directory).unwrap();
            let lived = strace(&directory, life, Manner::Honest, threads, None);
            assert!(lived.has_ended, "{}", lived.errors);
            assert_eq!(lived.acknowledged, (life + 1) * PER_LIFE, "{}", lived.errors);
            for (call, nth) in calls(&lived.trace, threads) {
                let faults = if READS.contains(&&*call) { READ_FAULTS } else { WRITE_FAULTS };
                points.extend(faults.iter().map(|fault| Point {
                    life,
                    call: call.clone(),
                    nth,
                    fault,
                    threads,
                }));
            }
        }
        images.push(folder.join(format!("image-{}", life + 1)));
        recover(script, &copied(&images[life + 1]), (life + 1) * PER_LIFE, life).unwrap();
    }
    (images, points)
}

fn copied(image: &Path) -> PathBuf {
    let directory = image.with_file_name("run");
    copy(image, &directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Opens what a life left, without faults, and holds it against the script; goes on with it.
fn recover(script: &Script, directory: &Path, acknowledged: usize, life: usize) -> Result<(), String> {
    let world = World::new(77);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let database = open_real(directory, &world, Manner::Honest)?;
        let decided = database.highest_operation(&NODE).map_err(|error| error.to_string())? as usize;
        if decided < acknowledged {
            return Err(format!("{acknowledged} were acknowledged, {decided} are there"));
        }
        assert!(decided <= (life + 1) * PER_LIFE, "{decided} were never sent");
        script.states[decided].compare(&database);
        assert_eq!(database.verify().unwrap().findings, Vec::<String>::new());
        let reached = (decided + 8).min(OPERATIONS);
        for at in decided.saturating_sub(2)..reached {
            let (ops, expected) = &script.operations[at];
            assert_eq!(run(&database, NODE, at as u64 + 1, ops), Ok(*expected), "operation {at}");
        }
        script.states[reached].compare(&database);
        database.close().map_err(|error| error.to_string())
    }));
    checked.unwrap_or_else(|panic| {
        Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "the check panicked".to_owned()))
    })
}

fn is_injected(line: &str) -> bool {
    line.ends_with("(INJECTED)")
}

/// The acknowledgement that came after a sync of the log had failed, if one did. A sync that fails while the database is
/// being opened, which is then tried once more, is none of those.
fn acknowledged_after_a_failed_sync(trace: &str) -> Option<&str> {
    let says = |line: &str, what: &str| line.contains("write(1<") && line.contains(what);
    let is_failed_sync =
        |line: &str| is_injected(line) && line.contains("fdatasync(") && line.contains(".log>");
    let since = trace.lines().skip_while(|line| !says(line, "\"open "));
    since.skip_while(|line| !is_failed_sync(line)).find(|line| says(line, "\"ack "))
}

/// Runs one life with one fault. Whether the fault was met; what is wrong, if anything is.
fn check(script: &Script, images: &[PathBuf], point: &Point, manner: Manner) -> (bool, Result<(), String>) {
    let directory = copied(&images[point.life]);
    let fault = format!("inject={}:{}:when={}", point.call, point.fault, point.nth);
    let lived = strace(&directory, point.life, manner, point.threads, Some(fault));
    let was_met =
        lived.was_killed || lived.trace.lines().any(|line| is_injected(line) && !line.contains("clone"));
    if let Some(line) = acknowledged_after_a_failed_sync(&lived.trace) {
        return (was_met, Err(format!("acknowledged after a sync had failed: {line}")));
    }
    if !lived.has_ended && !lived.was_killed {
        return (was_met, Err(format!("the process failed: {}", lived.errors)));
    }
    (was_met, recover(script, &directory, lived.acknowledged, point.life))
}

fn script() -> Script {
    Script::new(SEED, OPERATIONS as u64)
}

/// A disk in memory, where there is one: what a power cut would take is not what is tested.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

#[test]
fn every_system_call_fails_once() {
    if let Some(directory) = std::env::var_os(CHILD) {
        let manner = match &*std::env::var(MANNER).unwrap() {
            "Early" => Manner::Early,
            "Deaf" => Manner::Deaf,
            _ => Manner::Honest,
        };
        let (script, life) = (script(), count(LIFE, 0) as usize);
        let _ = std::fs::File::open(BEGIN);
        let _ = live(&script, Path::new(&directory), life, manner);
        let _ = std::fs::File::open(END);
        return;
    }
    let (script, folder) = (script(), folder());
    let (images, points) = images(folder.path(), &script);
    let stride = count("BLAZEDB_SYSCALL_STRIDE", 101) as usize;
    let offset = count("BLAZEDB_SYSCALL_OFFSET", 0) as usize;
    let mut places: Vec<_> =
        points.iter().map(|point| (point.life, &point.call, point.nth, point.threads)).collect();
    places.dedup();
    assert!(places.len() >= 2_000, "{} system calls", places.len());
    let (mut runs, mut met) = (0, 0);
    for point in points.iter().skip(offset).step_by(stride) {
        let (was_met, outcome) = check(&script, &images, point, Manner::Honest);
        outcome.unwrap_or_else(|why| panic!("{point:?}: {why}"));
        runs += 1;
        met += usize::from(was_met);
    }
    assert!(met * 10 >= runs * 9, "only {met} of {runs} faults were met");
    println!("{} system calls, {} faults, {runs} runs, {met} of them met theirs", places.len(), points.len());
    controls(&script, &images, &points);
}

/// Processes that acknowledge too early, or do not hear that a sync failed, are found out.
fn controls(script: &Script, images: &[PathBuf], points: &[Point]) {
    for (manner, call, fault) in
        [(Manner::Early, "pwrite64", "signal=KILL"), (Manner::Deaf, "fdatasync", "error=EIO")]
    {
        let of_kind =
            |point: &&Point| point.life == 3 && point.call == call && point.fault == fault && !point.threads;
        let wrong = points.iter().filter(of_kind).step_by(3).find_map(|point| {
            check(script, images, point, manner).1.err().filter(|why| why.contains("acknowledged"))
        });
        println!("{manner:?}: {}", wrong.as_deref().unwrap_or("not found out"));
        assert!(wrong.is_some(), "{manner:?} is not found out");
    }
}
