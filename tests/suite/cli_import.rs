//! `import` and `export`, run as a user runs them, against the real server.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};

use blazedb::blazebinary::{Record, json, keys_are_equivalent};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::command::{blazedb, run};
use super::server_kit::Process;
use super::values;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/flights.csv");
/// As its README and header say it, and a look at the columns.
const SAMPLE_TYPES: &str = "types: --types year=int,month=int,day=int,dep_time=int,sched_dep_time=int,dep_delay=int,\
    arr_time=int,sched_arr_time=int,arr_delay=int,carrier=string,flight=int,tailnum=string,origin=string,dest=string,\
    air_time=int,distance=int,hour=int,minute=int,time_hour=date";

/// A server, and a directory in which the commands run.
pub(crate) struct Bench {
    pub(crate) server: Process,
    pub(crate) directory: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn start() -> Self {
        Self { server: Process::start_with(&["--memory"]), directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("blaze://{}", self.server.address)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = blazedb(args);
        command.env("BLAZEDB_URL", self.url()).current_dir(self.directory.path());
        command
    }

    fn run(&self, args: &[&str], input: &[u8]) -> Output {
        run(&mut self.command(args), input)
    }

    /// Writes a file of the test.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_else(|error| error.to_string())
    }

    /// Runs a command; checks its status, that stdout has `said`, and that stderr has `told`, line by line.
    #[track_caller]
    pub(crate) fn check(&self, args: &[&str], input: &[u8], status: i32, said: &[&str], told: &[&str]) {
        let output = self.run(args, input);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{args:?}: {out}{err}");
        for part in said {
            assert!(out.contains(part), "{args:?}: {part:?} in {out}");
        }
        assert_eq!(err.lines().count(), told.len(), "{args:?}: {err}");
        for (line, part) in err.lines().zip(told) {
            assert!(line.starts_with("blazedb: ") && line.contains(part), "{args:?}: {part:?} in {line:?}");
        }
    }

    /// A collection as NDJSON.
    pub(crate) fn export(&self, collection: &str) -> String {
        let output = self.run(&["export", collection], b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

fn tail(new: u64, unchanged: u64, rejected: u64) -> String {
    format!(": {new} new or changed, {unchanged} unchanged, {rejected} rejected")
}

/// The rows of the sample by a reader of its own: no field of it is quoted.
fn sample_rows() -> Vec<serde_json::Map<String, serde_json::Value>> {
    let text = std::fs::read_to_string(SAMPLE).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        let cell = |(name, cell): (&&str, &str)| {
            let value = match (*name, cell) {
                (_, "NA") => serde_json::Value::Null,
                ("carrier" | "tailnum" | "origin" | "dest", text) => text.into(),
                ("time_hour", text) => serde_json::json!({ "$date": text }),
                (_, number) => number.parse::<i64>().unwrap().into(),
            };
            ((*name).to_owned(), value)
        };
        names.iter().zip(line.split(',')).map(cell).collect()
    };
    lines.map(row).collect()
}

#[test]
fn the_flights_are_imported_once() {
    let bench = Bench::start();
    let import = |file: &str| ["import", "flights", "--null", "NA", file].join(" ");
    let check = |file: &str, input: &[u8], tail: &str| {
        let line = import(file);
        let args: Vec<&str> = line.split(' ').collect();
        let said = [SAMPLE_TYPES, "\nids: of the file and the row\n", "flights: 1000 records in ", tail];
        bench.check(&args, input, 0, &said, &[]);
    };
    check(SAMPLE, b"", &tail(1000, 0, 0));
    // In the order of the rows, each field as it stands in the file.
    let found: Vec<serde_json::Map<_, _>> = bench
        .export("flights")
        .lines()
        .map(|line| {
            let mut record: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
            record.remove("id").unwrap();
            record
        })
        .collect();
    assert_eq!(found, sample_rows());
    // The same file in any wrapping is the same file.
    check(SAMPLE, b"", &tail(0, 1000, 0));
    let bytes = std::fs::read(SAMPLE).unwrap();
    let packed = bench.file("packed", gzip(&bytes));
    check(packed.to_str().unwrap(), b"", &tail(0, 1000, 0));
    check("-", &gzip(&bytes), &tail(0, 1000, 0));
    let members = [gzip(&bytes[..50_000]), gzip(&bytes[50_000..])].concat();
    let members = bench.file("members.csv.gz", members);
    check(members.to_str().unwrap(), b"", &tail(0, 1000, 0));
    assert_eq!(bench.export("flights").lines().count(), 1000);
}

#[test]
fn a_column_that_one_text_makes_strings_is_pointed_out() {
    let bench = Bench::start();
    let told =
        ["strings only because of 'NA': dep_time (int), dep_delay (int), arr_time (int), arr_delay (int), \
                 air_time (int); --null NA makes it null"];
    bench.check(
        &["import", "flights", SAMPLE, "--dry-run"],
        b"",
        0,
        &["1000 records would be imported"],
        &told,
    );
    bench.check(&["scan", "flights"], b"", 4, &[], &["(unknown_collection)"]);
}

#[test]
fn bad_rows_are_named_and_kept_and_the_others_imported() {
    let bench = Bench::start();
    let csv = "n,s\n1,a\n2\nx,\"b\nb\"\n3,c\n";
    let csv = bench.file("rows.csv", csv);
    let told = [
        "line 3: 1 field(s) where the header has 2",
        "line 4: column n: \"x\" is no int",
        "2 record(s) were rejected: see rows.rejects.csv and .txt beside it",
    ];
    let csv = csv.to_str().unwrap();
    bench.check(&["import", "rows", csv, "--types", "n=int"], b"", 5, &[&tail(2, 0, 2)], &told);
    assert_eq!(bench.read("rows.rejects.csv"), "n,s\n2\nx,\"b\nb\"\n");
    assert!(bench.read("rows.rejects.csv.txt").starts_with("line 3: 1 field(s)"));
    // What an earlier run kept is not lost; a file that is named is written anew.
    bench.check(
        &["import", "rows", csv, "--types", "n=int"],
        b"",
        5,
        &[],
        &["line 3", "line 4", "rejects-2.csv"],
    );
    for _ in 0..2 {
        let args = ["import", "rows", csv, "--types", "n=int", "--rejects", "bad"];
        bench.check(&args, b"", 5, &[], &["line 3", "line 4", "see bad and"]);
    }
    let lines = b"{\"n\":1}\n{\"n\":1,\"n\":2}\n\n\xFF\n5\n";
    let told = ["line 2: column 8: ", "line 4: not UTF-8", "line 5: column 1: ", "see stdin.rejects.ndjson"];
    bench.check(&["import", "lines", "-"], lines, 5, &[&tail(1, 0, 3)], &told);
    let array = "[{\"n\":1},\n{\"n\":},\n{\"n\":\n2}]";
    let told = ["line 2: column 6: ", "see stdin.rejects.json"];
    bench.check(&["import", "array", "-"], array.as_bytes(), 5, &[&tail(2, 0, 1)], &told);
    assert_eq!(bench.read("stdin.rejects.json"), "[\n{\"n\":}\n]\n");
    let large = format!("{{\"s\":\"{}\"}}\n{{}}\n", "x".repeat(1 << 20));
    bench.check(
        &["import", "large", "-"],
        large.as_bytes(),
        5,
        &[&tail(1, 0, 1)],
        &["line 1: ", "see stdin"],
    );
    // Many are not told one by one.
    let many = "[\n".repeat(100);
    let output = bench.run(&["import", "many", "-", "--format", "ndjson"], many.as_bytes());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(5), 22), "{text}");
}

#[test]
fn a_cut_file_is_told_before_anything_is_imported() {
    let bench = Bench::start();
    let told =
        ["standard input: line 2: the array does not end: the record that begins in line 2 is cut off"];
    bench.check(&["import", "cut", "-"], b"[{\"n\":1},\n{\"n\":", 1, &[], &told);
    let packed = gzip(&std::fs::read(SAMPLE).unwrap());
    let args = ["import", "cut", "-", "--format", "csv"];
    bench.check(&args, &packed[..packed.len() / 2], 1, &[], &["cannot read standard input: "]);
    bench.check(&["scan", "cut"], b"", 4, &[], &["(unknown_collection)"]);
}

#[test]
fn keys_give_ids_that_other_files_share() {
    let bench = Bench::start();
    // From spec/import.md, I-4.6.
    let file = "carrier,flight\nUA,1545\nUA,\n,\n";
    let told = ["line 4: it has no value in its key (carrier, flight)", "1 record(s) were rejected"];
    let args = ["import", "flights", "-", "--key", "carrier,flight"];
    bench.check(&args, file.as_bytes(), 5, &["ids: of the key carrier, flight\n", &tail(2, 0, 1)], &told);
    let found = bench.export("flights");
    assert!(found.contains("cbe942a2-9628-840e-b4c7-da2c44b6b15c"), "{found}");
    assert!(found.contains("43660f71-3da3-8664-994f-d0e37e4e7f6e"), "{found}");
    // Another file, in another form, with the same keys.
    let array = br#"[{"carrier":"UA","flight":1545,"x":1}]"#;
    bench.check(&args, array, 0, &[&tail(1, 0, 0)], &[]);
    assert_eq!(bench.export("flights").lines().count(), 2);
    // The last record of a key wins, the first time and every time.
    let repeated = b"k,v\n1,a\n2,b\n1,c\n1,d\n";
    for (new, unchanged) in [(2, 0), (0, 2)] {
        let tail = format!("{}, 2 superseded by a later one of the same key", tail(new, unchanged, 0));
        bench.check(&["import", "repeated", "-", "--key", "k"], repeated, 0, &[&tail], &[]);
    }
    let found = bench.export("repeated");
    assert!(
        found.contains(r#""v":"d""#) && found.contains(r#""v":"b""#) && found.lines().count() == 2,
        "{found}"
    );
}

#[test]
fn an_id_that_names_nothing_becomes_source_id() {
    let bench = Bench::start();
    let said = ["types: --types source_id=int,n=int\n", "source_id, which is the column id", &tail(2, 0, 0)];
    bench.check(&["import", "a", "-"], b"id,n\n7,1\n8,2\n", 0, &said, &[]);
    let said = ["source_id, which is the field id", &tail(0, 2, 0)];
    bench.check(&["import", "a", "-"], b"{\"n\":1,\"id\":7}\n{\"n\":2,\"id\":8}", 0, &said, &[]);
    let id = "018f3c7a-0000-7000-8000-00000000000a";
    let file = format!("id,n\n{id},1\n,2\n");
    bench.check(
        &["import", "b", "-"],
        file.as_bytes(),
        0,
        &["ids: their own (1); of the file and the row (1)\n", &tail(2, 0, 0)],
        &[],
    );
    assert!(bench.export("b").contains(&format!(r#"{{"id":{{"$uuid":"{id}"}},"n":1}}"#)));
    bench.check(
        &["import", "c", "-", "--key", "id"],
        file.as_bytes(),
        5,
        &["ids: of the key source_id"],
        &["line 3: it has no value in its key", "rejected"],
    );
    let both = b"id,source_id\n1,2\n";
    bench.check(&["import", "d", "-"], both, 2, &[], &["both id and source_id"]);
}

#[test]
fn a_wrong_command_line_is_one_line_of_advice() {
    let bench = Bench::start();
    let check = |args: &[&str], status, told: &str| {
        bench.check(&[&["import"], args].concat(), b"", status, &[], &[told]);
    };
    check(&["1x", SAMPLE], 2, "the first not a digit");
    check(&["x", "/does/not/exist"], 1, "cannot open '/does/not/exist'");
    check(&["x", "/"], 1, "is a directory");
    check(&["x", SAMPLE, "--types", "nope=int"], 2, "there is no column 'nope'; there are year, month");
    check(&["x", SAMPLE, "--types", "year=number"], 2, "there is no type 'number'");
    check(&["x", SAMPLE, "--key", "nope"], 2, "--key: there is no column 'nope'");
    check(&["x", "-"], 2, "the file has no header");
    check(&["x", "-", "--format", "json", "--null", "NA"], 2, "are for CSV");
    let nobody = blazedb(&["--url", "blaze://127.0.0.1:1", "import", "x", SAMPLE]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(3));
}

/// As many records of every kind of value as a property test would make cases.
fn records(count: usize) -> Vec<Record> {
    let mut runner = TestRunner::new(values::config(1));
    let strategy = values::records();
    (0..count)
        .map(|at| {
            let mut record: Record = strategy.new_tree(&mut runner).unwrap().current();
            record.insert("id", Uuid::from_u128(at as u128 + 1));
            record
        })
        .collect()
}

fn lines(records: &[Record]) -> String {
    let mut text = String::new();
    for record in records {
        json::write_record(record, &mut text);
        text.push('\n');
    }
    text
}

#[test]
fn what_is_exported_as_ndjson_is_imported_the_same() {
    let bench = Bench::start();
    let text = lines(&records(300));
    bench.check(&["import", "first", "-"], text.as_bytes(), 0, &["ids: their own", &tail(300, 0, 0)], &[]);
    let exported = bench.export("first");
    assert_eq!(exported, text);
    let array = format!("[{}]", exported.lines().collect::<Vec<_>>().join(" ,\n"));
    bench.check(&["import", "second", "-"], array.as_bytes(), 0, &[&tail(300, 0, 0)], &[]);
    assert_eq!(bench.export("second"), text);
    let packed = bench.directory.path().join("first.ndjson.gz");
    bench.check(&["export", "first", "--output", packed.to_str().unwrap()], b"", 0, &[], &[]);
    bench.check(&["import", "second", packed.to_str().unwrap()], b"", 0, &[&tail(0, 300, 0)], &[]);
}

/// Exports as CSV, imports what came with the options that came with it, through a shell, and compares.
#[track_caller]
fn check_csv(bench: &Bench, name: &str, records: &[Record]) {
    let text = lines(records);
    bench.check(&["import", name, "-", "--format", "ndjson"], text.as_bytes(), 0, &[], &[]);
    let output = bench.run(&["export", name, "-o", "csv"], b"");
    assert!(output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    let options = told.split_once("COLLECTION FILE ").unwrap().1.trim_end();
    let binary = env!("CARGO_BIN_EXE_blazedb");
    let line = format!("exec '{binary}' import {name}_again - --format csv {options}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).env("BLAZEDB_URL", bench.url()).current_dir(bench.directory.path());
    shell.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let import = run(shell.stderr(std::process::Stdio::piped()), &output.stdout);
    let said = String::from_utf8_lossy(&import.stdout).into_owned();
    assert!(import.status.success(), "{said}{}", String::from_utf8_lossy(&import.stderr));
    assert_eq!(bench.export(&format!("{name}_again")), text, "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_is_exported_as_csv_is_imported_the_same() {
    let bench = Bench::start();
    // One spelling of each name (spec/import.md, I-6.3), and none that no shell can pass on.
    let mut names: Vec<String> = Vec::new();
    let mut all = records(200);
    for record in &mut all {
        let fields: Vec<String> = record.iter().map(|(name, _)| name.as_str().to_owned()).collect();
        for field in fields {
            let known = names.iter().find(|name| keys_are_equivalent(name, &field));
            if field.contains('\0') || known.is_some_and(|name| *name != field) {
                record.remove(&field);
            } else if known.is_none() {
                names.push(field);
            }
        }
    }
    check_csv(&bench, "everything", &all);
    // Columns of one scalar type each, with what is absent and what is null.
    let scalar =
        |lines: &str| -> Vec<Record> { lines.lines().map(|line| json::read_record(line).unwrap()).collect() };
    let id = |at: u32| format!(r#""id":{{"$uuid":"00000000-0000-8000-8000-00000000000{at}"}}"#);
    let rows = [
        format!(
            r#"{{{},"b":true,"d":{{"$double":"NaN"}},"i":{{"$int":"-9223372036854775808"}},"s":"007","t":{{"$date":"2013-01-01T00:00:00.5Z"}},"u":{{"$uuid":"018f3c7a-0000-7000-8000-00000000000a"}}}}"#,
            id(1)
        ),
        format!(r#"{{{},"b":null,"d":-0.0,"i":null,"s":"","t":{{"$date":"0x8000000000000000"}}}}"#, id(2)),
        format!(r#"{{{},"d":{{"$double":"0xfff8000000000001"}},"s":"NULL","t":null,"u":null}}"#, id(3)),
        format!(r#"{{{},"b":false,"d":1e300,"i":0,"s":" a, \"b\"\r\n"}}"#, id(4)),
        format!(r#"{{{}}}"#, id(5)),
    ];
    let scalars = scalar(&rows.join("\n"));
    check_csv(&bench, "scalars", &scalars);
    let output = bench.run(&["export", "scalars", "-o", "csv"], b"");
    let told = String::from_utf8(output.stderr).unwrap();
    let types = "--types id=uuid,b=bool,d=double,i=int,s=string,t=date,u=uuid --null NULL\n";
    assert!(told.ends_with(types), "{told}");
}

#[test]
fn an_export_is_complete_or_not_there() {
    let bench = Bench::start();
    bench.check(&["import", "a", "-"], b"n\n1\n", 0, &[], &[]);
    let place = |name: &str| bench.directory.path().join(name);
    bench.check(&["export", "nothing", "--output", place("x").to_str().unwrap()], b"", 4, &[], &["unknown"]);
    assert!(!place("x").exists() && !place("x.partial").exists());
    bench.check(
        &["export", "a", "-o", "csv", "--output", place("y").to_str().unwrap()],
        b"",
        0,
        &[],
        &["n=int"],
    );
    assert!(place("y").exists() && !place("y.partial").exists());
}
