//! The rows of CSV, with what `csv-core` does not tell: which fields were quoted, and the row as it stands in the file.

use std::io::{self, Read};

use csv_core::ReadFieldResult;

use super::window::{Window, line_feeds};
use crate::cli::input::MAX_LINE_BYTES;

/// Reads rows.
pub(super) struct CsvRows<R> {
    window: Window<R>,
    parser: csv_core::Reader,
    delimiter: u8,
    /// Room for the row's fields without quotes, one behind the other.
    text: Vec<u8>,
    /// Bytes of it that are filled.
    written: usize,
    fields: Vec<Field>,
    /// Of a field that has begun and not ended, whether it began with a quote.
    open: Option<bool>,
    /// The line of the next row, from 1.
    line: u64,
    /// Bytes of the window that the last row takes.
    taken: usize,
}

#[derive(Debug, Clone, Copy)]
struct Field {
    end: usize,
    quoted: bool,
}

/// What stands next in the file.
pub(super) enum Next<T> {
    Found(T),
    /// Longer than [`MAX_LINE_BYTES`]; for CSV probably a quote that is never closed. Reading goes on in the next line.
    TooLong {
        line: u64,
    },
    End,
}

/// A row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// Where it begins, from 1.
    pub(super) line: u64,
    /// As it stands in the file, without its end of line.
    pub(super) raw: &'a [u8],
    text: &'a [u8],
    fields: &'a [Field],
}

/// A field of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell<'a> {
    pub(super) text: &'a [u8],
    pub(super) quoted: bool,
}

impl<'a> Row<'a> {
    /// How many fields there are.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The field `at`, from 0.
    pub(super) fn cell(&self, at: usize) -> Option<Cell<'a>> {
        let field = self.fields.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.fields.get(before)).map_or(0, |field| field.end);
        Some(Cell { text: self.text.get(start..field.end).unwrap_or_default(), quoted: field.quoted })
    }

    /// The fields in order.
    pub(super) fn cells(self) -> impl Iterator<Item = Cell<'a>> {
        let mut start = 0;
        self.fields.iter().map(move |field| {
            let text = self.text.get(start..field.end).unwrap_or_default();
            start = field.end;
            Cell { text, quoted: field.quoted }
        })
    }
}

/// How far reading a row came.
enum Reading {
    Row,
    /// The window ends inside the row.
    More,
    /// The file has ended.
    End,
}

/// Room for the fields of a row at first; it doubles as needed.
const TEXT_BYTES: usize = 4 << 10;

impl<R: Read> CsvRows<R> {
    pub(super) fn new(source: R, delimiter: u8) -> io::Result<Self> {
        let mut window = Window::new(source);
        window.skip_byte_order_mark()?;
        Ok(Self {
            window,
            parser: parser(delimiter),
            delimiter,
            text: vec![0; TEXT_BYTES],
            written: 0,
            fields: Vec::new(),
            open: None,
            line: 1,
            taken: 0,
        })
    }

    /// Bytes of the file before the last row.
    pub(super) fn position(&self) -> u64 {
        self.window.position()
    }

    /// The next row; empty lines are none.
    pub(super) fn next(&mut self) -> io::Result<Next<Row<'_>>> {
        self.pass(self.taken);
        self.begin_row();
        self.skip_line_ends()?;
        loop {
            match self.read_row() {
                Reading::Row => break,
                Reading::End => return Ok(Next::End),
                Reading::More if self.taken > MAX_LINE_BYTES => return self.resynchronise(),
                Reading::More => self.window.fill()?,
            }
        }
        let held = self.window.held().get(..self.taken).unwrap_or_default();
        let raw = held.strip_suffix(b"\n").or_else(|| held.strip_suffix(b"\r")).unwrap_or(held);
        let text = self.text.get(..self.written).unwrap_or_default();
        Ok(Next::Found(Row { line: self.line, raw, text, fields: &self.fields }))
    }

    fn begin_row(&mut self) {
        self.taken = 0;
        self.written = 0;
        self.fields.clear();
        self.open = None;
    }

    /// Lets go of the first bytes of the window, and counts their lines.
    fn pass(&mut self, bytes: usize) {
        let passed = line_feeds(self.window.held().get(..bytes).unwrap_or_default());
        self.line = self.line.saturating_add(passed);
        self.window.release(bytes);
    }

    /// Passes over the rest of the last line's end, and over empty lines.
    fn skip_line_ends(&mut self) -> io::Result<()> {
        loop {
            let ends = self.window.held().iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            self.pass(ends);
            if !self.window.held().is_empty() || self.window.has_ended() {
                return Ok(());
            }
            self.window.fill()?;
        }
    }

    /// Reads on in the row until it ends or the window does.
    fn read_row(&mut self) -> Reading {
        loop {
            let input = self.window.behind(self.taken);
            if input.is_empty() && !self.window.has_ended() {
                return Reading::More;
            }
            let quoted = *self.open.get_or_insert(input.first() == Some(&b'"'));
            let room = self.text.get_mut(self.written..).unwrap_or_default();
            let (result, read, written) = self.parser.read_field(input, room);
            self.taken = self.taken.saturating_add(read);
            self.written = self.written.saturating_add(written);
            match result {
                ReadFieldResult::InputEmpty => {}
                ReadFieldResult::OutputFull => self.text.resize(self.text.len().saturating_mul(2), 0),
                ReadFieldResult::Field { record_end } => {
                    self.fields.push(Field { end: self.written, quoted });
                    self.open = None;
                    if record_end {
                        return Reading::Row;
                    }
                }
                ReadFieldResult::End => return Reading::End,
            }
        }
    }

    /// Gives up a row that is too long, and begins anew behind its first line.
    fn resynchronise(&mut self) -> io::Result<Next<Row<'_>>> {
        let line = self.line;
        self.begin_row();
        self.parser = parser(self.delimiter);
        self.window.skip_line()?;
        self.line = line.saturating_add(1);
        Ok(Next::TooLong { line })
    }
}

fn parser(delimiter: u8) -> csv_core::Reader {
    csv_core::ReaderBuilder::new().delimiter(delimiter).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, so that everything is cut everywhere.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(into.len()).min(self.0.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    /// Each row's line, raw text, and its cells, quoted ones in angle brackets.
    fn rows(file: &[u8]) -> Vec<(u64, String, Vec<String>)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut rows = CsvRows::new(Drip(file, 3), b',').unwrap();
        let mut found = Vec::new();
        loop {
            match rows.next().unwrap() {
                Next::End => return found,
                Next::TooLong { line } => found.push((line, "too long".to_owned(), vec![])),
                Next::Found(row) => {
                    let cell = |cell: Cell<'_>| match cell.quoted {
                        true => format!("<{}>", text(cell.text)),
                        false => text(cell.text),
                    };
                    found.push((row.line, text(row.raw), row.cells().map(cell).collect()));
                }
            }
        }
    }

    #[track_caller]
    fn check(file: &str, expected: &[(u64, &str, &[&str])]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(line, raw, cells)| {
                (*line, (*raw).to_owned(), cells.iter().map(ToString::to_string).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(rows(file.as_bytes()), expected, "{file:?}");
    }

    #[test]
    fn rows_come_with_their_lines_and_quotes() {
        check("", &[]);
        check("\u{FEFF}a,b\n1,2", &[(1, "a,b", &["a", "b"]), (2, "1,2", &["1", "2"])]);
        check("a\r\n\r\n\nb\r\n", &[(1, "a", &["a"]), (4, "b", &["b"])]);
        check(",\"\",\n", &[(1, ",\"\",", &["", "<>", ""])]);
        check(
            "\"a\nb\",\"say \"\"hi\"\"\"\nc,5\" pipe\n",
            &[
                (1, "\"a\nb\",\"say \"\"hi\"\"\"", &["<a\nb>", "<say \"hi\">"]),
                (3, "c,5\" pipe", &["c", "5\" pipe"]),
            ],
        );
        check("a\rb", &[(1, "a", &["a"]), (1, "b", &["b"])]);
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_line() {
        let mut file = b"a\n\"oops\nb\n".to_vec();
        file.resize(MAX_LINE_BYTES + (1 << 20), b'x');
        let found = rows(&file);
        let heads: Vec<(u64, &str)> = found.iter().map(|(line, raw, _)| (*line, raw.as_str())).collect();
        assert_eq!(heads[..3], [(1, "a"), (2, "too long"), (3, "b")]);
    }
}
