//! Files that are rendered from `spec/errors.json` and committed: they must be what the table renders to now.
//! `BLAZEDB_BLESS=1 cargo test --test suite generated` rewrites them.

use std::fmt::Write as _;
use std::path::Path;

use blazedb::wire::ErrorCode;
use serde_json::Value;

/// One row of the table.
struct Row {
    number: u64,
    name: String,
    fault: String,
    scopes: Vec<String>,
    retryable: bool,
    text: String,
    advice: String,
}

impl Row {
    fn from_json(row: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(row.as_object().unwrap().len(), 7, "{row}");
        Self {
            number: row["number"].as_u64().unwrap(),
            name: text(&row["name"]),
            fault: text(&row["fault"]),
            scopes: row["scopes"].as_array().unwrap().iter().map(text).collect(),
            retryable: row["retryable"].as_bool().unwrap(),
            text: text(&row["text"]),
            advice: text(&row["advice"]),
        }
    }

    fn variant(&self) -> String {
        self.name.split('_').map(capitalised).collect()
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

fn path(relative: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn table() -> Vec<Row> {
    let text = std::fs::read_to_string(path("spec/errors.json")).unwrap();
    let rows: Value = serde_json::from_str(&text).unwrap();
    rows.as_array().unwrap().iter().map(Row::from_json).collect()
}

fn compare_or_bless(relative: &str, rendered: &str) {
    let path = path(relative);
    if std::env::var_os("BLAZEDB_BLESS").is_some() {
        std::fs::write(&path, rendered).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == rendered,
        "{relative} is not what spec/errors.json renders to; see this file's head"
    );
}

/// The same for what stands between the lines that hold `begin` and `end`.
fn compare_or_bless_part(relative: &str, (begin, end): (&str, &str), rendered: &str) {
    let committed = std::fs::read_to_string(path(relative)).unwrap();
    let start = committed.find(begin).unwrap() + begin.len();
    let length = if end.is_empty() { committed.len() - start } else { committed[start..].find(end).unwrap() };
    let whole = format!("{}{rendered}{}", &committed[..start], &committed[start + length..]);
    compare_or_bless(relative, &whole);
}

fn render_code(rows: &[Row]) -> String {
    let mut out = String::from(
        "//! Every error code of the protocol. Generated from `spec/errors.json` (see `tests/suite/generated.rs`): \
         edit that.\n\nuse super::error_table::Entry;\nuse super::scope::{Fault, Scope};\n\n\
         /// What went wrong, as it travels in an Error or a Goodbye.\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]\n#[non_exhaustive]\n#[repr(u16)]\n\
         pub enum ErrorCode {\n",
    );
    for row in rows {
        writeln!(out, "    /// {}\n    {} = {},", row.text, row.variant(), row.number).unwrap();
    }
    out += "}\n\nimpl ErrorCode {\n    /// All codes, in rising order of their numbers.\n";
    writeln!(out, "    pub const ALL: [Self; {}] = [", rows.len()).unwrap();
    for row in rows {
        writeln!(out, "        Self::{},", row.variant()).unwrap();
    }
    out += "    ];\n\n    pub(super) const fn entry(self) -> &'static Entry {\n        match self {\n";
    for row in rows {
        let scopes: Vec<String> =
            row.scopes.iter().map(|scope| format!("Scope::{}", capitalised(scope))).collect();
        writeln!(out, "            Self::{} => &Entry {{", row.variant()).unwrap();
        writeln!(
            out,
            "                name: {:?}, fault: Fault::{}, scopes: &[{}], retryable: {},",
            row.name,
            capitalised(&row.fault),
            scopes.join(", "),
            row.retryable
        )
        .unwrap();
        writeln!(out, "                text: {:?},", row.text).unwrap();
        writeln!(out, "                advice: {:?},\n            }},", row.advice).unwrap();
    }
    out + "        }\n    }\n}\n"
}

const RANGES: [(u64, u64, &str); 6] = [
    (1, 99, "Framing and connection"),
    (100, 199, "Operations"),
    (200, 299, "Requests and queries"),
    (300, 399, "Subscriptions"),
    (400, 499, "Identity and authorisation"),
    (500, 599, "The server's state"),
];

fn render_document(rows: &[Row]) -> String {
    let mut out = String::from(
        "# Errors\n\nGenerated from `errors.json` (see `tests/suite/generated.rs`): edit that.\n\n\
         A code travels in an Error or a Goodbye (`protocol.md`, P-8). *Fault* says who has to change something, \
         *scope* what an Error of this code may be about, *retry* whether the same thing may succeed when it is tried \
         again. Numbers and names never change their meaning; new ones are added inside their range.\n",
    );
    for (first, last, title) in RANGES {
        write!(out, "\n## {title} ({first}–{last})\n\n| code | name | fault | scope | retry | what happened, what to do |\n|--|--|--|--|--|--|\n").unwrap();
        for row in rows.iter().filter(|row| (first..=last).contains(&row.number)) {
            let (scopes, retry) = (row.scopes.join(", "), if row.retryable { "yes" } else { "no" });
            let Row { number, name, fault, text, advice, .. } = row;
            writeln!(out, "| {number} | `{name}` | {fault} | {scopes} | {retry} | {text} *{advice}* |")
                .unwrap();
        }
    }
    out
}

#[test]
fn the_error_code_is_what_the_table_renders_to() {
    compare_or_bless("src/wire/error_code.rs", &render_code(&table()));
}

#[test]
fn the_error_document_is_what_the_table_renders_to() {
    compare_or_bless("spec/errors.md", &render_document(&table()));
}

#[test]
fn what_reads_the_wire_knows_every_code() {
    let rows = table();
    let lua: String = rows.iter().map(|row| format!("  [{}] = \"{}\",\n", row.number, row.name)).collect();
    let lua = format!("local ERRORS = {{\n{lua}}}\n");
    let between = ("-- errors.json begin\n", "-- errors.json end\n");
    compare_or_bless_part("spec/wireshark/blaze.lua", between, &lua);
    let kaitai: String = rows.iter().map(|row| format!("    {}: {}\n", row.number, row.name)).collect();
    compare_or_bless_part("spec/blaze.ksy", ("  error_code:\n    0: none\n", ""), &kaitai);
}

#[test]
fn the_table_is_in_order_and_what_the_crate_knows() {
    let rows = table();
    assert!(rows.is_sorted_by(|a, b| a.number < b.number), "numbers rise, each once");
    assert_eq!(rows.len(), ErrorCode::ALL.len());
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    for row in &rows {
        let code = ErrorCode::from_number(u16::try_from(row.number).unwrap()).unwrap();
        assert_eq!(code.name(), row.name);
        assert_eq!(code.fault().name(), row.fault);
        assert_eq!(code.scopes().iter().map(|scope| scope.name()).collect::<Vec<_>>(), row.scopes);
        assert_eq!(
            (code.is_retryable(), code.text(), code.advice()),
            (row.retryable, &*row.text, &*row.advice)
        );
        assert!(RANGES.iter().any(|(first, last, _)| (*first..=*last).contains(&row.number)), "{}", row.name);
        assert!(row.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", row.name);
        assert!(row.text.ends_with('.') && row.advice.ends_with('.'), "{}", row.name);
    }
    names.sort_unstable();
    assert!(names.is_sorted_by(|a, b| a < b), "names are unique");
}
