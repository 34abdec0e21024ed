//! `completion`: the scripts are what the shells take.

use std::process::Command;

use super::command::{blazedb, run};

fn script(shell: &str) -> String {
    let output = run(&mut blazedb(&["completion", shell]), b"");
    assert!(output.status.success(), "{shell}");
    String::from_utf8(output.stdout).unwrap()
}

/// What bash offers for the last word of a line.
fn offered(words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let last = words.len() - 1;
    let program = format!(
        "set -eu; eval \"$1\"; COMP_WORDS=({}); COMP_CWORD={last}; \
         _blazedb blazedb \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        last - 1
    );
    let output = Command::new("bash").args(["-c", &program, "bash", &script("bash")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(offered(&["blazedb", "dem"]), ["demo"]);
    assert_eq!(offered(&["blazedb", "bench", "ins"]), ["insert"]);
    assert_eq!(offered(&["blazedb", "scan", "--rev"]), ["--reverse"]);
    let all = offered(&["blazedb", ""]);
    for command in ["put", "scan", "serve", "bench", "completion"] {
        assert!(all.iter().any(|word| word == command), "{command} in {all:?}");
    }
}

/// Where a shell is not installed its script can only be looked at.
#[test]
fn every_shell_gets_a_script_that_names_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = script(shell);
        for word in ["blazedb", "bench", "--window", "insert"] {
            // Fish names options without their hyphens.
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let output = run(&mut blazedb(&["completion", "tcsh"]), b"");
    assert_eq!(output.status.code(), Some(2));
}
