//! Every case of `conformance/vectors`, which an implementation of its own wrote from the specification, held against
//! this crate. `conformance/README.md` says what the members mean.

mod codec;
mod compression;
mod describe;
mod frames;
mod handshakes;
mod messages;
mod sessions;

use std::collections::BTreeSet;
use std::fs;
use std::panic;

use serde_json::{Map, Value as Json};

fn path(inside: &str) -> String {
    format!("{}/{inside}", env!("CARGO_MANIFEST_DIR"))
}

/// One case. Members are taken out of it, and none may be left: what a test does not know it does not check.
struct Case {
    name: String,
    members: Map<String, Json>,
}

impl Case {
    fn new(json: Json) -> Self {
        let Json::Object(mut members) = json else { panic!("a case is an object") };
        let name = members.remove("name").expect("a name").as_str().unwrap().to_owned();
        Self { name, members }
    }

    fn is_valid(&self) -> bool {
        self.name.starts_with("y_")
    }

    fn is_refused(&self) -> bool {
        self.name.starts_with("n_")
    }

    fn optional(&mut self, member: &str) -> Option<Json> {
        self.members.remove(member)
    }

    #[track_caller]
    fn take(&mut self, member: &str) -> Json {
        self.optional(member).unwrap_or_else(|| panic!("{}: no {member}", self.name))
    }

    #[track_caller]
    fn text(&mut self, member: &str) -> String {
        self.take(member).as_str().unwrap_or_else(|| panic!("{}: {member} is no text", self.name)).to_owned()
    }

    #[track_caller]
    fn number(&mut self, member: &str) -> u64 {
        self.take(member).as_u64().unwrap_or_else(|| panic!("{}: {member} is no number", self.name))
    }

    #[track_caller]
    fn bytes(&mut self, member: &str) -> Vec<u8> {
        bytes(&self.take(member))
    }

    #[track_caller]
    fn done(self) {
        assert!(self.members.is_empty(), "{}: unknown members {:?}", self.name, self.members.keys());
    }
}

/// The bytes of hexadecimal digits with groups: `00(ff*3)01`.
#[track_caller]
fn bytes(digits: &Json) -> Vec<u8> {
    let digits = digits.as_str().expect("digits");
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let mut parts = digits.split('(');
    let mut out = hex(parts.next().unwrap());
    for part in parts {
        let (group, rest) = part.split_once(')').expect("a group ends");
        let (unit, times) = group.split_once('*').expect("a group has a count");
        out.extend(hex(unit).repeat(times.parse().unwrap()));
        out.extend(hex(rest));
    }
    out
}

fn cases(file: &str) -> Vec<Case> {
    let text = fs::read_to_string(path(&format!("conformance/vectors/{file}"))).unwrap();
    let Json::Object(mut whole) = serde_json::from_str(&text).unwrap() else { panic!("{file} is no object") };
    assert!(whole.remove("description").is_some_and(|text| text.is_string()), "{file}");
    let Some(Json::Array(cases)) = whole.remove("cases") else { panic!("{file} has no cases") };
    assert!(whole.is_empty(), "{file}: unknown members {:?}", whole.keys());
    cases.into_iter().map(Case::new).collect()
}

/// Runs `check` on each case of a file, with the members that all cases have taken out. All of them are run, and
/// those that failed are named.
fn for_each(file: &str, least: usize, check: impl Fn(&mut Case)) {
    let (mut checked, mut failed) = (0, Vec::new());
    for mut case in cases(file) {
        let name = case.name.clone();
        let checks = || {
            case.take("clauses");
            check_unicode(&mut case);
            check(&mut case);
            case.done();
        };
        if panic::catch_unwind(panic::AssertUnwindSafe(checks)).is_err() {
            failed.push(name);
        }
        checked += 1;
    }
    println!("{file}: {checked} cases");
    assert!(failed.is_empty(), "{file}: {} of {checked} cases failed: {failed:?}", failed.len());
    assert!(checked >= least, "{file}: {checked} cases, at least {least} are known");
}

/// Our data are of a later version than any that a case names.
fn check_unicode(case: &mut Case) {
    let (ours, ..) = blazedb::blazebinary::UNICODE_VERSION;
    let version = case.optional("unicode");
    let major = version.as_ref().and_then(|version| version.as_str()?.split('.').next()?.parse::<u8>().ok());
    assert_eq!(version.is_some(), major.is_some(), "{}", case.name);
    assert!(major <= Some(ours), "{}", case.name);
}

/// The files.
const FILES: &[&str] = &[
    "compression.json",
    "frames.json",
    "handshakes.json",
    "json.json",
    "messages.json",
    "order.json",
    "records.json",
    "sessions.json",
    "values.json",
];

#[test]
fn every_file_is_checked_and_every_case_is_well_named() {
    let found: BTreeSet<String> = fs::read_dir(path("conformance/vectors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    assert!(found.iter().eq(FILES), "{found:?}");
    let specification = specification();
    for file in FILES {
        let mut names = BTreeSet::new();
        for mut case in cases(file) {
            let kind = case.name.get(..2);
            assert!(matches!(kind, Some("y_" | "n_" | "i_")), "{file}: {}", case.name);
            let name = case.name.clone();
            for clause in case.take("clauses").as_array().unwrap() {
                let clause = clause.as_str().unwrap();
                assert!(is_a_clause(&specification, clause), "{file}: {name} names {clause}");
            }
            assert!(names.insert(case.name), "{file}: {name} twice");
        }
    }
}

fn specification() -> String {
    let files = fs::read_dir(path("spec")).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    texts.map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>().join("\n")
}

/// A clause begins its paragraph, in bold or not, or is the heading over a table of fields.
fn is_a_clause(specification: &str, clause: &str) -> bool {
    specification.contains(&format!("**{clause}**"))
        || specification.contains(&format!("\n{clause} "))
        || specification.contains(&format!("\n### {clause} "))
}
