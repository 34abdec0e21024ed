//! Each numbered clause of the specification is bound to what tests it: the tables in `conformance/clauses` name a test,
//! a vector or a case of the tester for it. A clause that says MUST or MUST NOT has to be bound.
//!
//! What is bound to nothing is printed by `cargo test --test suite clauses -- --nocapture`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Documents that hold no rules of their own: they may not say MUST.
const WITHOUT_CLAUSES: &[&str] = &["algorithms", "errors"];

/// Of what the tables must hold at least, so that a scanner that sees nothing does not pass.
const LEAST_DOCUMENTS: usize = 16;
const LEAST_CLAUSES: usize = 450;
const LEAST_MUSTS: usize = 100;
const LEAST_BINDINGS: usize = 680;

/// A numbered clause: its text goes on to the next one, or to a heading.
#[derive(Debug, Clone, PartialEq)]
struct Clause {
    number: String,
    text: String,
}

impl Clause {
    fn is_must(&self) -> bool {
        self.text.contains("MUST")
    }
}

/// A line of a table.
#[derive(Debug, Clone, PartialEq)]
struct Binding {
    clause: String,
    kind: String,
    place: String,
}

/// A document or its table, by its name.
type ByDocument<T> = BTreeMap<String, Vec<T>>;

/// The number with which a line begins a clause: `- **P-1.2** …`, `| **C-9.1** | …`, `### P-4.1 …`, `E-1.1 …`, `5.11 …`.
fn number(line: &str) -> Option<&str> {
    let marked = ["- **", "| **"].iter().find_map(|mark| line.strip_prefix(mark)?.split_once("**"));
    let number = match marked {
        Some((number, _)) => number,
        None => line.strip_prefix("### ").unwrap_or(line).split_once(' ')?.0,
    };
    let (letters, digits) = match number.split_once('-') {
        Some((letters, digits)) => (letters, digits),
        None => ("", number),
    };
    let is_numbered =
        digits.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let is_dotted = digits.contains('.') || (marked.is_some() && !letters.is_empty());
    let is_right = is_numbered && is_dotted && letters.bytes().all(|b| b.is_ascii_uppercase());
    is_right.then_some(number)
}

/// The clauses of a document, and the lines that say MUST outside of any.
fn clauses(document: &str) -> (Vec<Clause>, Vec<String>) {
    let (mut clauses, mut stray) = (Vec::<Clause>::new(), Vec::new());
    let (mut is_inside, mut is_code) = (false, false);
    for paragraph in document.split("\n\n") {
        // The sentence that says what the words mean is none of the rules.
        let explains = paragraph.contains("RFC 2119");
        for (at, line) in paragraph.lines().enumerate() {
            is_code ^= line.starts_with("```");
            // A line of running text may begin with the number of another clause.
            let number = number(line).filter(|_| !is_code && (at == 0 || line.contains("**")));
            if let Some(number) = number {
                is_inside = true;
                clauses.push(Clause { number: number.to_owned(), text: line.to_owned() });
            } else if line.starts_with('#') && !is_code {
                is_inside = false;
            } else if let Some(clause) = clauses.last_mut().filter(|_| is_inside) {
                clause.text.push('\n');
                clause.text.push_str(line);
            } else if line.contains("MUST") && !explains {
                stray.push(line.to_owned());
            }
        }
    }
    (clauses, stray)
}

fn bindings(table: &str) -> Vec<Binding> {
    let line = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        let mut next = || columns.next().unwrap_or_default();
        let binding = Binding { clause: next(), kind: next(), place: next() };
        assert!(columns.next().is_none(), "{line:?} has more than three columns");
        binding
    };
    table.lines().map(line).collect()
}

/// Whether the source text has a function of this name that is run as a test.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let plain = format!("fn {name}(");
    let found = |at: &usize| lines[*at].trim_start_matches("async ").starts_with(&plain);
    (0..lines.len()).filter(found).any(|at| {
        let above = lines[..at].iter().rev();
        let attributes: Vec<&&str> =
            above.take_while(|line| line.starts_with("#[") || line.starts_with("//")).collect();
        let is_test = |line: &&&str| **line == "#[test]" || line.starts_with("#[tokio::test");
        attributes.iter().any(is_test) && !attributes.iter().any(|line| line.starts_with("#[ignore"))
    })
}

/// The cases of a file of vectors: the name of each, and the clauses that it says it follows from.
fn cases(vectors: &str) -> Vec<(String, Vec<String>)> {
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let cases = list(&vectors["cases"]);
    cases
        .iter()
        .map(|case| (text(&case["name"]), list(&case["clauses"]).iter().map(text).collect()))
        .collect()
}

/// What bindings may name: whether a place of a kind is there.
type IsThere<'a> = &'a dyn Fn(&str, &str) -> bool;

/// The clauses that cases of vectors and of the tester say they follow from, each with one of these cases.
fn named_by_cases(vectors: &BTreeMap<String, String>, tester: &str) -> BTreeMap<String, String> {
    let files = vectors.iter().flat_map(|(file, text)| cases(text).into_iter().map(move |case| (file, case)));
    let of_vectors = files.flat_map(|(file, (case, numbers))| {
        numbers.into_iter().map(move |number| (number, format!("{file}.json#{case}")))
    });
    // Three columns: the case, what it is about, the clauses with blanks between them.
    let of_tester = tester.lines().flat_map(|line| {
        let case = line.split('\t').next().unwrap_or_default();
        let numbers = line.split('\t').nth(2).unwrap_or_default().split_whitespace();
        numbers.map(move |number| (number.to_owned(), case.to_owned()))
    });
    of_vectors.chain(of_tester).collect()
}

/// The cases of the conformance tester.
fn tester() -> String {
    fs::read_to_string(root().join("conformance/cases.tsv")).unwrap_or_default()
}

/// What the specification and its tables come to.
#[derive(Debug, Default)]
struct Findings {
    faults: Vec<String>,
    unbound: Vec<String>,
    clauses: usize,
    musts: usize,
    bindings: usize,
}

/// Holds tables and what cases name against documents. `excused` are clauses that may be bound to nothing for the time
/// being.
fn check(
    documents: &BTreeMap<String, String>,
    tables: &ByDocument<Binding>,
    named: &BTreeMap<String, String>,
    excused: &BTreeSet<String>,
    is_there: IsThere<'_>,
) -> Findings {
    let mut findings = Findings::default();
    let (mut left, mut strange) = (excused.clone(), named.clone());
    for name in tables.keys().filter(|name| !documents.contains_key(*name)) {
        findings.faults.push(format!("{name}.tsv is of no document"));
    }
    for (name, text) in documents {
        let (clauses, stray) = clauses(text);
        findings.faults.extend(stray.iter().map(|line| format!("{name}: MUST outside of a clause: {line}")));
        if clauses.is_empty() != WITHOUT_CLAUSES.contains(&name.as_str()) {
            findings.faults.push(format!("{name}: {} clauses", clauses.len()));
        }
        let mut numbers = BTreeSet::new();
        for clause in &clauses {
            if !numbers.insert(clause.number.as_str()) {
                findings.faults.push(format!("{name}: {} is there twice", clause.number));
            }
        }
        let table = tables.get(name).map(Vec::as_slice).unwrap_or_default();
        for (at, Binding { clause, kind, place }) in table.iter().enumerate() {
            if !numbers.contains(clause.as_str()) {
                findings.faults.push(format!("{name}.tsv: there is no clause {clause}"));
            }
            if !is_there(kind, place) {
                findings.faults.push(format!("{name}.tsv: {clause}: there is no {kind} {place}"));
            }
            if table[..at].contains(&table[at]) {
                findings.faults.push(format!("{name}.tsv: {clause} {place} is there twice"));
            }
        }
        findings.clauses += clauses.len();
        findings.bindings += table.len();
        for clause in &clauses {
            findings.musts += usize::from(clause.is_must());
            let is_named = strange.remove(&clause.number).is_some();
            let is_bound = is_named || table.iter().any(|binding| binding.clause == clause.number);
            let is_excused = left.remove(&format!("{name} {}", clause.number));
            match (is_bound, clause.is_must(), is_excused) {
                (true, _, false) | (false, true, true) => {}
                (false, false, false) => findings.unbound.push(format!("{name} {}", clause.number)),
                (false, true, false) => findings.faults.push(format!(
                    "{name}: {} says MUST and is bound to nothing: bind it in conformance/clauses/{name}.tsv",
                    clause.number
                )),
                (_, _, true) => findings.faults.push(format!("{name} {} needs no excuse", clause.number)),
            }
        }
    }
    findings.faults.extend(left.iter().map(|clause| format!("{clause} is excused and not there")));
    // A case may name a whole section, which binds none of its clauses.
    let is_section = |number: &str| documents.values().any(|text| text.contains(&format!("\n## {number} ")));
    strange.retain(|number, _| !is_section(number));
    let unknown = strange.iter().map(|(clause, case)| format!("{case} names {clause}, which is no clause"));
    findings.faults.extend(unknown);
    findings
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder with this ending, by their names without it.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.filter(|path| path.extension().is_some_and(|found| found == ending));
    named.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), read(&path))).collect()
}

/// Whether the repository has the test, vector or case.
fn is_there(kind: &str, place: &str) -> bool {
    match kind {
        "test" => place.split_once("::").is_some_and(|(file, name)| {
            let source = fs::read_to_string(root().join(file)).unwrap_or_default();
            has_test(&source, name)
        }),
        "vector" => place.split_once('#').is_some_and(|(file, name)| {
            let path = root().join("conformance/vectors").join(file);
            let text = fs::read_to_string(path).unwrap_or_else(|_| "{}".to_owned());
            cases(&text).iter().any(|(found, _)| found == name)
        }),
        "case" => tester().lines().any(|line| line.split('\t').next() == Some(place)),
        _ => false,
    }
}

#[test]
fn every_must_of_the_specification_is_bound() {
    let documents = files("spec", "md");
    let mut tables: BTreeMap<String, String> = files("conformance/clauses", "tsv");
    let excuses = tables.remove("unbound").unwrap_or_default();
    let excused: BTreeSet<String> = excuses
        .lines()
        .map(|line| line.split_once('\t').expect("clause, tab, reason"))
        .inspect(|(clause, reason)| println!("excused: {clause}: {reason}"))
        .map(|(clause, _)| clause.to_owned())
        .collect();
    let tables = tables.into_iter().map(|(name, table)| (name, bindings(&table))).collect();
    let named = named_by_cases(&files("conformance/vectors", "json"), &tester());
    let findings = check(&documents, &tables, &named, &excused, &is_there);
    for clause in &findings.unbound {
        println!("bound to nothing: {clause}");
    }
    let Findings { faults, unbound, clauses, musts, bindings } = findings;
    println!(
        "{} documents, {clauses} clauses, {musts} of them with MUST, {bindings} bindings in tables, {} clauses named by \
         cases; {} without MUST are bound to nothing, {} with MUST are excused",
        documents.len(),
        named.len(),
        unbound.len(),
        excused.len()
    );
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(documents.len() >= LEAST_DOCUMENTS && clauses >= LEAST_CLAUSES && musts >= LEAST_MUSTS);
    assert!(bindings >= LEAST_BINDINGS);
}

/// A made-up document `made` with its table.
fn checked(document: &str, table: &str, excused: &[&str]) -> Findings {
    let documents = BTreeMap::from([("made".to_owned(), document.to_owned())]);
    let tables = BTreeMap::from([("made".to_owned(), bindings(table))]);
    let excused = excused.iter().map(|clause| (*clause).to_owned()).collect();
    let is_there = |kind: &str, place: &str| kind == "test" && place == "tests/a.rs::good";
    check(&documents, &tables, &BTreeMap::new(), &excused, &is_there)
}

#[test]
fn the_checker_finds_what_it_looks_for() {
    let document = "# Made\n\nMUST is as in RFC 2119.\n\n- **M-1.1** It MUST\n  hold.\n- **M-1.2** It may.\n";
    let bound = "M-1.1\ttest\ttests/a.rs::good\n";
    let clean = checked(document, bound, &[]);
    assert_eq!((clean.faults.len(), clean.unbound.as_slice()), (0, ["made M-1.2".to_owned()].as_slice()));
    assert_eq!((clean.clauses, clean.musts, clean.bindings), (2, 1, 1));
    for (table, excused, fault) in [
        ("", &[][..], "M-1.1 says MUST and is bound to nothing"),
        ("M-1.1\ttest\ttests/a.rs::bad\n", &[], "there is no test tests/a.rs::bad"),
        ("M-1.1\trumour\ttests/a.rs::good\n", &[], "there is no rumour"),
        ("M-1.1\ttest\ttests/a.rs::good\nM-1.3\ttest\ttests/a.rs::good\n", &[], "there is no clause M-1.3"),
        ("M-1.1\ttest\ttests/a.rs::good\nM-1.1\ttest\ttests/a.rs::good\n", &[], "is there twice"),
        (bound, &["made M-1.1"], "made M-1.1 needs no excuse"),
        (bound, &["made M-1.2"], "made M-1.2 needs no excuse"),
        (bound, &["made M-9.9"], "is excused and not there"),
    ] {
        let found = checked(document, table, excused).faults;
        assert!(found.len() == 1 && found[0].contains(fault), "{fault}: {found:?}");
    }
    assert!(checked(document, "", &["made M-1.1"]).faults.is_empty());
    let stray = "- **M-1.1** One.\n\n## Next\n\nIt MUST be in a clause.\n";
    assert!(checked(stray, "", &[]).faults[0].contains("MUST outside of a clause"));
    let twice = "- **M-1.1** One.\n- **M-1.1** Two.\n";
    assert!(checked(twice, "", &[]).faults[0].contains("M-1.1 is there twice"));
    assert!(checked("# Empty\n", "", &[]).faults[0].contains("0 clauses"));
}

#[test]
fn cases_bind_the_clauses_that_they_name() {
    let vectors = r#"{"cases":[{"name":"y_a","clauses":["M-1.1","M-1.2"]},{"name":"n_b"}]}"#;
    let tester = "a.case\tIt holds\tM-1.3 M-1.4\nanother.case\tIt names nothing\n";
    let named = named_by_cases(&BTreeMap::from([("v".to_owned(), vectors.to_owned())]), tester);
    let expected =
        [("M-1.1", "v.json#y_a"), ("M-1.2", "v.json#y_a"), ("M-1.3", "a.case"), ("M-1.4", "a.case")];
    assert_eq!(named, expected.map(|(number, case)| (number.to_owned(), case.to_owned())).into());
    let documents = BTreeMap::from([("made".to_owned(), "- **M-1.1** It MUST hold.\n".to_owned())]);
    let findings = check(&documents, &ByDocument::new(), &named, &BTreeSet::new(), &|_, _| false);
    let strangers = [("v.json#y_a", "M-1.2"), ("a.case", "M-1.3"), ("a.case", "M-1.4")];
    assert_eq!(
        findings.faults,
        strangers.map(|(case, number)| format!("{case} names {number}, which is no clause"))
    );
}

#[test]
fn clauses_are_found_in_each_of_the_forms() {
    let document = "- **P-4.1.1** a\n\n| **C-9.1** | b |\n| **B-5.1** c | d |\n\nE-1.1 e\nmore\n\n4.12 f\n\n- **SL-3** g\n\
                    P-7.7 no\n\n### P-4.3 h\n\n## P-4 no\n\n1. no\n12 no\nRFC 2119 no\n\n```text\n9.9 no\n```\n";
    let numbers: Vec<String> = clauses(document).0.into_iter().map(|clause| clause.number).collect();
    assert_eq!(numbers, ["P-4.1.1", "C-9.1", "B-5.1", "E-1.1", "4.12", "SL-3", "P-4.3"]);
}

#[test]
fn only_functions_that_are_run_are_tests() {
    let source = "#[test]\n/// Why.\nfn a() {}\n\nfn b() {}\n\n#[tokio::test(start_paused = true)]\nasync fn c() {}\n\n\
                  #[test]\n#[ignore = \"slow\"]\nfn d() {}\n\n    #[test]\n    fn e(x in 0..3) {}\n\n// fn f() {}\n";
    let tests = ["a", "b", "c", "d", "e", "f", "g"].map(|name| has_test(source, name));
    assert_eq!(tests, [true, false, true, false, true, false, false]);
    assert!(is_there("test", "tests/suite/clauses.rs::only_functions_that_are_run_are_tests"));
    assert!(!is_there("test", "tests/suite/clauses.rs::has_test"));
    assert!(!is_there("test", "tests/suite/none.rs::has_test"));
    assert!(!is_there("vector", "none.json#y_none") && !is_there("case", "none"));
}
