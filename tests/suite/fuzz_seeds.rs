//! Every fuzz target's body over its committed seeds and over thousands of changed ones, the same on every run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use blazedb::{blazebinary, cli, engine, log, proto, server, store, transport, wire};

/// Changed inputs for each target.
const MUTATIONS: usize = 5_000;
/// Longer inputs than this come from splicing only, and would make the run slow.
const MAX_INPUT_BYTES: usize = 1 << 16;
/// The target whose bug is planted, so that fuzzing which finds nothing is noticed; it is none of the crate's.
const CANARY: &str = "canary";

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder)
}

/// Every target of every module.
fn targets() -> impl Iterator<Item = (&'static str, fn(&[u8]))> {
    [
        blazebinary::fuzzing::TARGETS,
        wire::fuzzing::TARGETS,
        proto::fuzzing::TARGETS,
        log::fuzzing::TARGETS,
        store::fuzzing::TARGETS,
        engine::fuzzing::TARGETS,
        transport::fuzzing::TARGETS,
        server::fuzzing::TARGETS,
        cli::fuzzing::TARGETS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The names in a folder of `fuzz/`, without extension.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

/// The seeds of a target, in the order of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(fuzz("seeds").join(target)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A generator of the xorshift family; small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Flips, overwrites, cuts or splices `input`, once to four times.
fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(input.len());
        match random.below(5) {
            0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            1 if !input.is_empty() => input[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5)],
            2 => input.truncate(at),
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => {
                let end = input.len().min(at + 1 + random.below(8));
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
        }
    }
    input.truncate(MAX_INPUT_BYTES);
}

#[test]
fn targets_seeds_and_programs_belong_together() {
    let targets: BTreeSet<String> = targets().map(|(name, _)| name.to_owned()).collect();
    let mut programs = names("fuzz_targets");
    assert!(programs.remove(CANARY), "the target with a planted bug");
    assert_eq!(targets, programs, "bodies and fuzz/fuzz_targets");
    assert_eq!(targets, names("seeds"), "bodies and fuzz/seeds");
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for target in &targets {
        assert!(seeds(target).len() >= 8, "{target} has too few seeds");
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")),
            "{target} in fuzz/Cargo.toml"
        );
        let program = fs::read_to_string(fuzz("fuzz_targets").join(format!("{target}.rs"))).unwrap();
        assert!(program.contains(&format!("fuzzing::{target})")), "{target} runs its own body");
    }
}

#[test]
fn no_seed_and_no_change_of_one_breaks_a_promise() {
    for (target, body) in targets() {
        let seeds = seeds(target);
        seeds.iter().for_each(|seed| body(seed));
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for _ in 0..MUTATIONS {
            let mut input = seeds[random.below(seeds.len())].clone();
            mutate(&mut input, &seeds, &mut random);
            // A panic that follows is this input's.
            let shown = String::from_utf8_lossy(&input[..input.len().min(200)]).into_owned();
            let outcome = std::panic::catch_unwind(|| body(&input));
            assert!(outcome.is_ok(), "{target} breaks on {shown:?}, in all {:02x?}", input);
        }
    }
}
