//! The columns of a file of CSV: their names, what is seen of their cells, and the types that follow.

use crate::blazebinary::keys_are_equivalent;
use crate::blazebinary::limits::{MAX_ENTRIES, MAX_KEY_BYTES};
use crate::blazebinary::{Key, Value, compare_keys};

use super::column_type::{Candidates, ColumnType};
use super::csv_rows::{Cell, CsvRows, Next, Row};

/// Texts that often stand for a missing value. A column that would be of a better type without them is pointed out.
const SUSPECTS: [&str; 12] =
    ["NA", "N/A", "n/a", "NULL", "Null", "null", "\\N", "NaN", "nan", "None", "none", "-"];

/// The columns, with a type each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// In the order of the file.
    pub(super) columns: Vec<Column>,
    /// Their places in the canonical order of their names, so that records are built in order.
    order: Vec<usize>,
    /// The first row as it stands in the file.
    pub(super) header: Vec<u8>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: Key,
    pub(super) kind: ColumnType,
    /// A text for which the column is of strings and, without it, of another type.
    pub(super) suspect: Option<(&'static str, ColumnType)>,
}

/// What was seen of a column's cells.
#[derive(Debug, Clone, Copy)]
struct Seen {
    candidates: Candidates,
    /// The same without the suspects.
    without: Candidates,
    values: u64,
    suspect: Option<&'static str>,
}

/// Looks at the rows of a file, to decide the types of its columns.
pub(super) struct Survey {
    names: Vec<String>,
    header: Vec<u8>,
    seen: Vec<Seen>,
}

impl Survey {
    /// From the first row.
    ///
    /// # Errors
    /// What is wrong with the names.
    pub(super) fn new(header: Row<'_>) -> Result<Self, String> {
        let names = names(header)?;
        let fresh = Seen { candidates: Candidates::ALL, without: Candidates::ALL, values: 0, suspect: None };
        Ok(Self { seen: vec![fresh; names.len()], names, header: header.raw.to_vec() })
    }

    /// Takes another row into account; one of the wrong length says nothing.
    pub(super) fn see(&mut self, row: Row<'_>, nulls: &[String]) {
        if row.len() != self.names.len() {
            return;
        }
        for (seen, cell) in self.seen.iter_mut().zip(row.cells()) {
            seen.see(cell, nulls);
        }
    }

    /// The columns, with the types that were asked for and else those decided.
    ///
    /// # Errors
    /// A type for a column that is not there.
    pub(super) fn finish(self, asked: &[(String, ColumnType)]) -> Result<Columns, String> {
        for (name, _) in asked {
            if !self.names.iter().any(|known| known == name) {
                return Err(format!(
                    "--types: there is no column '{name}'; there are {}",
                    self.names.join(", ")
                ));
            }
        }
        let column = |(name, seen): (&String, &Seen)| {
            let given = asked.iter().rfind(|(asked, _)| asked == name).map(|(_, kind)| *kind);
            let (kind, suspect) = match given {
                Some(kind) => (kind, None),
                None => (seen.kind(), seen.suspicion()),
            };
            Column { name: Key::from(name.as_str()), kind, suspect }
        };
        let columns = self.names.iter().zip(&self.seen).map(column).collect();
        Ok(Columns { columns, order: Vec::new(), header: self.header }.sorted())
    }
}

impl Seen {
    fn see(&mut self, cell: Cell<'_>, nulls: &[String]) {
        if (self.candidates, self.without) == (Candidates::NONE, Candidates::NONE) {
            // Strings, whatever follows.
            return;
        }
        if cell.text.is_empty() || nulls.iter().any(|null| null.as_bytes() == cell.text) {
            return;
        }
        let Ok(text) = std::str::from_utf8(cell.text) else {
            (self.candidates, self.without) = (Candidates::NONE, Candidates::NONE);
            return;
        };
        self.candidates = self.candidates.narrowed(text);
        match suspect(text) {
            Some(suspect) if self.suspect.is_none_or(|seen| seen == suspect) => self.suspect = Some(suspect),
            _ => {
                self.without = self.without.narrowed(text);
                self.values = self.values.saturating_add(1);
            }
        }
    }

    fn kind(&self) -> ColumnType {
        if self.values == 0 { ColumnType::String } else { self.candidates.decided() }
    }

    fn suspicion(&self) -> Option<(&'static str, ColumnType)> {
        let better = self.without.decided();
        let suspicious = self.values > 0 && self.kind() == ColumnType::String && better != ColumnType::String;
        self.suspect.filter(|_| suspicious).map(|suspect| (suspect, better))
    }
}

/// The text, if it is one that often stands for a missing value. Most cells begin with a digit and are none.
fn suspect(text: &str) -> Option<&'static str> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    SUSPECTS.into_iter().find(|suspect| *suspect == text)
}

impl Columns {
    /// Computes the order of the names.
    fn sorted(mut self) -> Self {
        let mut order: Vec<(usize, &Column)> = self.columns.iter().enumerate().collect();
        order.sort_by(|(_, a), (_, b)| compare_keys(a.name.as_str(), b.name.as_str()));
        self.order = order.into_iter().map(|(at, _)| at).collect();
        self
    }

    /// The same columns with one name changed.
    pub(super) fn renamed(mut self, from: &str, to: &str) -> Self {
        for column in self.columns.iter_mut().filter(|column| column.name.as_str() == from) {
            column.name = Key::from(to);
        }
        self.sorted()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.as_str() == name)
    }

    /// The names, for messages.
    pub(super) fn names(&self) -> String {
        self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The fields of a row, in canonical order.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn fields(&self, row: Row<'_>, nulls: &[String]) -> Result<Vec<(Key, Value)>, String> {
        let (expected, found) = (self.columns.len(), row.len());
        if found != expected {
            return Err(format!("{found} field(s) where the header has {expected}"));
        }
        let mut fields = Vec::with_capacity(expected.saturating_add(1));
        for at in &self.order {
            let (Some(column), Some(cell)) = (self.columns.get(*at), row.cell(*at)) else { continue };
            if let Some(value) = column.value(cell, nulls)? {
                fields.push((column.name.clone(), value));
            }
        }
        Ok(fields)
    }

    /// The types as `--types` takes them.
    pub(super) fn as_option(&self) -> String {
        let types = self.columns.iter().map(|column| (column.name.as_str(), column.kind));
        types_option(types)
    }
}

impl Column {
    /// The value of a cell; none where there is none.
    fn value(&self, cell: Cell<'_>, nulls: &[String]) -> Result<Option<Value>, String> {
        // Among strings a quoted text is always itself.
        let literal = cell.quoted && self.kind == ColumnType::String;
        if !literal && nulls.iter().any(|null| null.as_bytes() == cell.text) {
            return Ok(Some(Value::Null));
        }
        if cell.text.is_empty() && !literal {
            return Ok(None);
        }
        let text = std::str::from_utf8(cell.text)
            .map_err(|_| format!("column {}: not UTF-8; convert the file, as with iconv", self.name))?;
        match self.kind.read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(format!("column {}: {} is no {}", self.name, shown(text), self.kind)),
        }
    }
}

/// A text for a message: quoted, and cut where it is long.
fn shown(text: &str) -> String {
    const MAX_CHARACTERS: usize = 40;
    let head: String = text.chars().take(MAX_CHARACTERS).collect();
    let rest = if head.len() < text.len() { "…" } else { "" };
    format!("{head:?}{rest}")
}

/// The names of the columns; one without a name gets one.
fn names(header: Row<'_>) -> Result<Vec<String>, String> {
    if header.len() > MAX_ENTRIES {
        return Err(format!(
            "the header has {} columns, a record at most {MAX_ENTRIES} fields",
            header.len()
        ));
    }
    let mut names: Vec<String> = Vec::new();
    for (cell, number) in header.cells().zip(1u32..) {
        let text = std::str::from_utf8(cell.text);
        let name = text.map_err(|_| "the header is not UTF-8; convert the file, as with iconv".to_owned())?;
        if name.len() > MAX_KEY_BYTES {
            return Err(format!("the name of column {number} is longer than {MAX_KEY_BYTES} bytes"));
        }
        let nameless = name.is_empty() && !cell.quoted;
        names.push(if nameless { format!("column_{number}") } else { name.to_owned() });
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_by(|a, b| compare_keys(a, b));
    let twice = sorted.iter().zip(sorted.iter().skip(1)).find(|(a, b)| keys_are_equivalent(a, b));
    match twice {
        Some((name, _)) => Err(format!("two columns are named '{name}'; rename one in the header")),
        None => Ok(names),
    }
}

/// Reads `name=type,…`, which is a row of CSV, so that any name can be written.
pub(super) fn parse_types(text: &str) -> Result<Vec<(String, ColumnType)>, String> {
    let wrong = || format!("--types: '{text}' is not NAME=TYPE,…");
    let mut rows = CsvRows::new(text.as_bytes(), b',').map_err(|_| wrong())?;
    let Ok(Next::Found(row)) = rows.next() else { return Err(wrong()) };
    let mut types = Vec::new();
    for cell in row.cells() {
        let cell = std::str::from_utf8(cell.text).map_err(|_| wrong())?;
        let (name, kind) = cell.rsplit_once('=').ok_or_else(wrong)?;
        let kind = ColumnType::named(kind).ok_or_else(|| {
            format!("--types: there is no type '{kind}'; there are {}", ColumnType::names())
        })?;
        types.push((name.to_owned(), kind));
    }
    Ok(types)
}

/// The option that says these types, as a shell takes it.
pub(crate) fn types_option<'a>(types: impl Iterator<Item = (&'a str, ColumnType)>) -> String {
    let cells = types.map(|(name, kind)| {
        let cell = format!("{name}={kind}");
        let plain = !cell.contains(['"', ',', '\n', '\r']);
        if plain { cell } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    });
    let list = cells.collect::<Vec<_>>().join(",");
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_=,.-".contains(&byte);
    if list.bytes().all(bare) {
        format!("--types {list}")
    } else {
        format!("--types '{}'", list.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(file: &str, nulls: &[&str], asked: &str) -> Result<Columns, String> {
        let nulls: Vec<String> = nulls.iter().map(ToString::to_string).collect();
        let asked = if asked.is_empty() { vec![] } else { parse_types(asked)? };
        let mut rows = CsvRows::new(file.as_bytes(), b',').unwrap();
        let Next::Found(header) = rows.next().unwrap() else { panic!("no header") };
        let mut survey = Survey::new(header)?;
        while let Next::Found(row) = rows.next().unwrap() {
            survey.see(row, &nulls);
        }
        survey.finish(&asked)
    }

    #[track_caller]
    fn check(file: &str, nulls: &[&str], asked: &str, expected: &str) {
        let found = columns(file, nulls, asked);
        assert_eq!(found.map_or_else(|error| error, |found| found.as_option()), expected, "{file:?}");
    }

    #[test]
    fn types_are_decided_by_all_rows() {
        check("a,b,c\n1,x,\n2.5,y,\n", &[], "", "--types a=double,b=string,c=string");
        check("a,b\nNA,5\n3,NA\n", &["NA"], "", "--types a=int,b=int");
        check("a,b\nNA,5\n3,NA\n", &[], "", "--types a=string,b=string");
        // Where everything is quoted an empty field says nothing.
        check("\"a\",\"b\"\n\"1\",\"\"\n\"\",\"2\"\n", &[], "", "--types a=int,b=int");
        check("a,b\n1,2\n1,2,x\ny\n", &[], "", "--types a=int,b=int");
        check("a,b\n1,2\n", &[], "b=string", "--types a=int,b=string");
        check("a,\"x, y\"\n1,2\n", &[], "", "--types 'a=int,\"x, y=int\"'");
        check("a,\"x, y\"\n1,2\n", &[], "\"x, y=string\"", "--types 'a=int,\"x, y=string\"'");
        check(",b,\"\"\n1,2,3\n", &[], "", "--types column_1=int,b=int,=int");
    }

    #[test]
    fn what_is_wrong_with_a_header_or_an_option_is_said() {
        check("a,b,a\n", &[], "", "two columns are named 'a'; rename one in the header");
        check("\u{E9},e\u{301}\n", &[], "", "two columns are named '\u{E9}'; rename one in the header");
        check("a\n", &[], "b=int", "--types: there is no column 'b'; there are a");
        let none =
            "--types: there is no type 'number'; there are bool, int, double, date, uuid, string, json";
        check("a\n", &[], "a=number", none);
        check("a\n", &[], "a", "--types: 'a' is not NAME=TYPE,…");
    }

    #[test]
    fn a_text_that_spoils_a_type_is_pointed_out() {
        let suspects = |file: &str| {
            let found = columns(file, &[], "").unwrap().columns;
            found.iter().map(|column| column.suspect).collect::<Vec<_>>()
        };
        assert_eq!(suspects("a,b\n1,x\nNA,NA\n"), [Some(("NA", ColumnType::Int)), None]);
        assert_eq!(suspects("a\n1.5\nNaN\n"), [Some(("NaN", ColumnType::Double))]);
        assert_eq!(suspects("a\nNA\n"), [None], "nothing but NA");
        assert_eq!(suspects("a\n1\nNA\n-\n"), [None], "two of them");
    }

    #[test]
    fn cells_become_fields() {
        let check = |file: &str, nulls: &[&str], asked: &str, expected: Result<&str, &str>| {
            let columns = columns(file, nulls, asked).unwrap();
            let nulls: Vec<String> = nulls.iter().map(ToString::to_string).collect();
            let mut rows = CsvRows::new(file.as_bytes(), b',').unwrap();
            rows.next().unwrap();
            let Next::Found(row) = rows.next().unwrap() else { panic!("no row") };
            let found = columns.fields(row, &nulls).map(|fields| {
                let mut text = String::new();
                crate::blazebinary::json::write_record(&fields.into_iter().collect(), &mut text);
                text
            });
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{file:?}");
        };
        check("b,a\n1,x\n", &[], "", Ok(r#"{"a":"x","b":1}"#));
        check("a,b,c\n,\"\",NA\n", &["NA"], "", Ok(r#"{"b":"","c":null}"#));
        check("a,b\n\"NA\",\"\"\n", &["NA"], "", Ok(r#"{"a":"NA","b":""}"#));
        check("a,b\n\"NA\",\"\"\n", &["NA"], "a=int,b=int", Ok(r#"{"a":null}"#));
        check("a,b\n,1\n", &[""], "", Ok(r#"{"a":null,"b":1}"#));
        check("a\n\"[1,\"\"x\"\"]\"\n", &[], "a=json", Ok(r#"{"a":[1,"x"]}"#));
        check("a,b\n1\n", &[], "", Err("1 field(s) where the header has 2"));
        check("a\nx\n", &[], "a=int", Err("column a: \"x\" is no int"));
    }
}
