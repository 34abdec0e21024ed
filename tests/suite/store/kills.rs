//! A process that is killed at random moments, most of them inside a checkpoint.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use blazedb::store::{Direction, Lsm, Store, verify};

use super::history::{at, history, replay, rows_at};
use super::{SMALL, count_from_env, rows_of};
use crate::random::Random;

const CHILD: &str = "BLAZEDB_STORE_CHILD";
const NAME: &str = "store::kills::killed_inside_checkpoints_it_opens_at_a_durable_position";
const SEED: u64 = 31;
const BATCHES: usize = 3_000;

/// The child: applies the history and checkpoints after every few batches, while another thread compacts. Says what
/// is durable before it is used, and when a checkpoint begins and ends.
fn child(path: &Path) {
    let history = history(SEED, BATCHES);
    let store = Lsm::open(path, SMALL).unwrap();
    let mut out = std::io::stdout();
    let mut say = |what: &str, seq: u64| {
        writeln!(out, "{what} {seq}").unwrap();
        out.flush().unwrap();
    };
    say("ready", 0);
    let applied = store.applied();
    thread::scope(|scope| {
        scope.spawn(|| {
            while store.applied() < history[BATCHES - 1].position() {
                store.maintain().unwrap();
                thread::yield_now();
            }
        });
        for (number, batch) in history.iter().filter(|batch| batch.position() > applied).enumerate() {
            let position = batch.position();
            store.apply(batch.clone()).unwrap();
            if number % 3 > 0 {
                say("durable", position.seq);
                store.set_durable(position);
                store.publish(position).unwrap();
            }
            if number % 10 == 5 {
                say("checkpoint", 0);
                store.checkpoint().unwrap();
                say("checkpointed", store.checkpointed().seq);
            }
        }
    });
}

/// Starts a child and kills it after `delay`; the last durable position it said, the last checkpointed one, and
/// whether it died inside a checkpoint.
fn run_and_kill(path: &Path, delay: Duration) -> (u64, u64, bool) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", NAME, "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|line| line.ends_with("ready 0")), "the child did not start");
    thread::sleep(delay);
    child.kill().unwrap();
    let (mut durable, mut checkpointed, mut is_inside) = (0, 0, false);
    for line in lines {
        match line.split_once(' ') {
            Some(("durable", seq)) => durable = seq.parse().unwrap_or(durable),
            Some(("checkpoint", _)) => is_inside = true,
            Some(("checkpointed", seq)) => (checkpointed, is_inside) = (seq.parse().unwrap(), false),
            _ => {}
        }
    }
    child.wait().unwrap();
    (durable, checkpointed, is_inside)
}

#[test]
fn killed_inside_checkpoints_it_opens_at_a_durable_position() {
    if let Some(path) = std::env::var_os(CHILD) {
        return child(Path::new(&path));
    }
    let kills = count_from_env("BLAZEDB_STORE_KILLS", 20);
    let history = history(SEED, BATCHES);
    let end = history.last().unwrap().position();
    let mut random = Random(77);
    let mut inside = 0;
    let mut durable_before = 0;
    let mut folder = tempfile::tempdir().unwrap();
    for kill in 0..kills {
        let (durable, checkpointed, is_inside) =
            run_and_kill(folder.path(), Duration::from_micros(2_000 + random.index(150_000) as u64));
        inside += usize::from(is_inside);
        let durable = durable.max(durable_before);
        let store = Lsm::open(folder.path(), SMALL).unwrap();
        let applied = store.applied();
        assert!(applied <= at(durable), "kill {kill}: {applied:?} is above the durable {durable}");
        assert!(
            applied >= at(checkpointed),
            "kill {kill}: {applied:?} is below the checkpointed {checkpointed}"
        );
        assert_eq!(rows_of(&*store.snapshot(), Direction::Ascending).unwrap(), rows_at(&history, applied));
        store.check().unwrap();
        durable_before = durable;
        if applied.seq * 2 > end.seq || kill % 5 == 4 {
            replay(&store, &history);
            assert_eq!(rows_of(&*store.snapshot(), Direction::Ascending).unwrap(), rows_at(&history, end));
            assert_eq!(verify(&*store.snapshot()).unwrap().findings, [""; 0]);
            (folder, durable_before) = (tempfile::tempdir().unwrap(), 0);
        }
    }
    println!("{kills} kills, {inside} of them inside a checkpoint");
    assert!(inside * 4 >= kills, "too few kills hit a checkpoint");
}
