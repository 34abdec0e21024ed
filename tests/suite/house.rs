//! The rules of the house, checked on the source text: which module may use which, what the core must not reach
//! for, and what every file looks like. `ARCHITECTURE.md` explains them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and the modules it may name. A module not listed here does not belong to the crate.
const ARROWS: &[(&str, &[&str])] = &[
    ("blazebinary", &[]),
    ("wire", &["blazebinary"]),
    ("proto", &["wire", "blazebinary"]),
    ("log", &["wire", "blazebinary"]),
    ("store", &["blazebinary"]),
    ("engine", &["store", "log", "wire", "blazebinary"]),
    ("live", &["engine", "wire", "blazebinary"]),
    ("service", &["live", "engine", "proto", "wire", "blazebinary"]),
    ("transport", &["proto", "wire", "blazebinary"]),
    ("server", &["service", "live", "engine", "store", "log", "transport", "proto", "wire", "blazebinary"]),
    ("client", &["transport", "proto", "wire", "blazebinary"]),
    ("conformance", &["transport", "proto", "wire", "blazebinary"]),
    (
        "cli",
        &[
            "conformance",
            "client",
            "server",
            "engine",
            "store",
            "transport",
            "proto",
            "log",
            "wire",
            "blazebinary",
        ],
    ),
];

/// What the core does not do by itself: it reads no clock, disk, socket or randomness.
const OUTSIDE_WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::io::std",
    "Instant::now",
    "SystemTime",
    "tokio::",
    "thread::sleep",
    "rand::",
    // A list in braces would hide the names above.
    "use std::{",
];

/// The modules that are the outside world, and the files of inner modules that are.
const OUTER: &[&str] = &["transport", "server", "client", "conformance", "cli"];
const OUTER_FILES: &[&str] = &[
    "src/log/disk.rs",
    "src/main.rs",
    "src/store/directory.rs",
    "src/store/lsm/disk.rs",
    "src/store/sled/disk.rs",
];

/// A file longer than this hides a concept that wants a file of its own.
const MAX_LINES: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(under: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                _ if path.is_dir() => collect(&path, found),
                Some(extension) if extension == "rs" => found.push(path),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    collect(&root().join(under), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{under} holds no source");
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

/// The code of a file without its comments, so that prose may name what code may not.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The module of the crate that a file belongs to: `src/wire/frame.rs` belongs to `wire`.
fn module(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.iter().next()?.to_string_lossy();
    let name = first.trim_end_matches(".rs").to_owned();
    (name != "lib" && name != "main").then_some(name)
}

/// The modules that `code` names after `prefix`, lists in braces included.
fn named_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let ident =
        |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = &list[..list.find(';').unwrap_or(list.len())];
                found.extend(list.split(['{', '}', ',']).map(|part| ident(part.trim())));
            }
            None => {
                found.insert(ident(rest));
            }
        }
    }
    found.retain(|name| ARROWS.iter().any(|(module, _)| module == name));
    found
}

#[test]
fn arrows_point_down_only() {
    let mut seen = BTreeSet::new();
    for path in sources("src") {
        let Some(module) = module(&path) else { continue };
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == module) else {
            panic!("{}: module {module} is not in the table of arrows", relative(&path));
        };
        let code = code(&path);
        let named = ["crate::", "super::"].iter().flat_map(|prefix| named_after(&code, prefix));
        for used in named {
            assert!(
                used == module || allowed.contains(&used.as_str()),
                "{}: {module} may not use {used}",
                relative(&path)
            );
        }
        seen.insert(module);
    }
    assert!(seen.contains("blazebinary") && seen.contains("wire"));
}

#[test]
fn the_table_of_arrows_has_no_cycle() {
    for (at, (module, allowed)) in ARROWS.iter().enumerate() {
        for used in *allowed {
            let below = ARROWS[..at].iter().any(|(name, _)| name == used);
            assert!(below, "{module} uses {used}, which does not stand below it");
        }
    }
}

/// What `code` names of the outside world. Tests may name it: they stand at the end of a file.
fn reaches(code: &str) -> Vec<&'static str> {
    let production = code.split("\nmod tests {").next().unwrap_or_default();
    OUTSIDE_WORLD.iter().copied().filter(|reach| production.contains(reach)).collect()
}

/// Whether a file below `src` is compiled into tests only: `tests.rs`, or anything in a folder `tests`.
fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs")
}

#[test]
fn the_core_reaches_for_nothing_outside() {
    for path in sources("src") {
        let name = relative(&path);
        let outer = module(&path).is_some_and(|module| OUTER.contains(&module.as_str()));
        if outer || OUTER_FILES.contains(&name.as_str()) || is_test(&path) {
            continue;
        }
        assert_eq!(reaches(&code(&path)), [""; 0], "{name}: the core names what is outside");
    }
}

#[test]
fn every_file_opens_with_what_lives_there_and_stays_small() {
    for path in ["src", "tests"].iter().flat_map(|folder| sources(folder)) {
        let text = fs::read_to_string(&path).unwrap();
        let name = relative(&path);
        assert!(text.starts_with("//! "), "{name} does not open with a //! line");
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{name} has {lines} lines, over {MAX_LINES}");
    }
}

#[test]
fn the_crate_forbids_unsafe_code() {
    for file in ["src/lib.rs", "src/main.rs"] {
        assert!(fs::read_to_string(root().join(file)).unwrap().contains("#![forbid(unsafe_code)]"), "{file}");
    }
}

/// The checks above can fail: the scanner finds what it looks for.
#[test]
fn the_scanner_sees_both_ways_of_naming_a_module() {
    let found = named_after("use crate::{wire::Header, log};\nlet x = crate::proto::Connection;", "crate::");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["log", "proto", "wire"]);
    assert_eq!(
        named_after("use super::super::cli::run;", "super::").into_iter().collect::<Vec<_>>(),
        ["cli"]
    );
}

/// A test-only item in the middle of a file does not hide what follows it.
#[test]
fn the_scanner_reads_production_code_to_its_end() {
    let file =
        "#[cfg(test)]\nmod testing;\nlet at = Instant::now();\n#[cfg(test)]\nmod tests {\nstd::fs::read(p);";
    assert_eq!(reaches(file), ["Instant::now"]);
    assert_eq!(reaches("use std::{fs, io};"), ["use std::{"]);
}
