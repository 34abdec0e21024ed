//! What reads the wire beside us: the Wireshark dissector and the Kaitai description, over bytes put together by hand
//! (`conformance/wire`). The checks themselves are written in Python and JavaScript: they share no code with `src`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn wire_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/wire")
}

/// Runs a program to its end; what it prints. What is missing is named, and what installs it.
fn run(command: &mut Command, package: &str) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap_or_else(|error| {
        panic!("cannot run {program} ({error}); install it, as by: apt-get install {package}")
    });
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} fails:\n{printed}{said}");
    printed.into_owned()
}

/// Runs `conformance/wire/check.py`.
pub(crate) fn check(arguments: &[&str]) -> String {
    run(Command::new("tshark").arg("--version"), "tshark");
    run(Command::new("python3").arg(wire_folder().join("check.py")).args(arguments), "python3")
}

/// The folder with the Kaitai compiler and its runtime, installed from their lock file when that is another than last
/// time: it takes the network then.
pub(crate) fn kaitai_tools() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let (from, to) =
            (wire_folder().join("kaitai"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("kaitai"));
        std::fs::create_dir_all(&to).unwrap();
        let lock = std::fs::read(from.join("package-lock.json")).unwrap();
        let done = to.join("installed");
        if std::fs::read(&done).ok().as_ref() != Some(&lock) {
            for file in ["package.json", "package-lock.json"] {
                std::fs::copy(from.join(file), to.join(file)).unwrap();
            }
            let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            run(Command::new("npm").args(options).current_dir(&to), "npm");
            std::fs::write(&done, &lock).unwrap();
        }
        to.to_str().unwrap().to_owned()
    })
}

#[test]
fn wireshark_shows_every_field_and_warns_of_every_fault() {
    let printed = check(&["tshark"]);
    assert!(printed.ends_with("121 frames as they should be\n"), "{printed}");
}

#[test]
fn kaitai_reads_the_same_bytes_to_the_same_fields() {
    let printed = check(&["kaitai", kaitai_tools()]);
    assert!(printed.ends_with("33 frames as they should be\n"), "{printed}");
}

#[test]
fn both_take_every_message_of_the_vectors() {
    let printed = check(&["vectors", kaitai_tools()]);
    let frames =
        printed.trim_end().rsplit('\n').next().and_then(|line| line.split(' ').next()?.parse::<u32>().ok());
    assert!(frames.is_some_and(|frames| frames >= 400), "{printed}");
}
