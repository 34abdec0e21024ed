//! The records of a file of JSON, each as the text it is: the lines of NDJSON, the items of one array. Nothing of the
//! file is held but the item itself.

use std::io::{self, Read};

use super::csv_rows::Next;
use super::window::{Window, line_feeds};
use crate::cli::input::MAX_LINE_BYTES;

/// A record's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    /// Where it begins, from 1.
    pub(super) line: u64,
    /// Without the blanks around it.
    pub(super) raw: &'a [u8],
}

/// Reads items.
pub(super) struct JsonItems<R> {
    window: Window<R>,
    shape: Shape,
    line: u64,
    /// Bytes of the window that the last item takes, its end included.
    taken: usize,
    place: Place,
}

/// How the records follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Lines,
    Array,
}

/// Where in an array reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    Inside,
    Behind,
}

impl<R: Read> JsonItems<R> {
    pub(super) fn new(source: R, shape: Shape) -> io::Result<Self> {
        let mut window = Window::new(source);
        window.skip_byte_order_mark()?;
        Ok(Self { window, shape, line: 1, taken: 0, place: Place::Before })
    }

    /// Bytes of the file before the last item.
    pub(super) fn position(&self) -> u64 {
        self.window.position()
    }

    /// The next item; blank lines are none.
    ///
    /// # Errors
    /// What reading says; `InvalidData` of a file that is no array, or an array that does not end.
    pub(super) fn next(&mut self) -> io::Result<Next<Item<'_>>> {
        self.pass(self.taken);
        self.taken = 0;
        self.skip_blanks()?;
        match self.shape {
            Shape::Lines => self.next_line(),
            Shape::Array => self.next_in_array(),
        }
    }

    fn pass(&mut self, bytes: usize) {
        let passed = line_feeds(self.window.held().get(..bytes).unwrap_or_default());
        self.line = self.line.saturating_add(passed);
        self.window.release(bytes);
    }

    fn skip_blanks(&mut self) -> io::Result<()> {
        loop {
            let held = self.window.held();
            let blanks = held.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
            self.pass(blanks);
            if !self.window.held().is_empty() || self.window.has_ended() {
                return Ok(());
            }
            self.window.fill()?;
        }
    }

    fn found(&self, length: usize) -> Next<Item<'_>> {
        let raw = self.window.held().get(..length).unwrap_or_default();
        Next::Found(Item { line: self.line, raw: raw.trim_ascii() })
    }

    fn next_line(&mut self) -> io::Result<Next<Item<'_>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.window.behind(searched).iter().position(|byte| *byte == b'\n') {
                let length = searched.saturating_add(at);
                self.taken = length.saturating_add(1);
                return Ok(self.found(length));
            }
            searched = self.window.held().len();
            if self.window.has_ended() {
                self.taken = searched;
                return Ok(if searched == 0 { Next::End } else { self.found(searched) });
            }
            if searched > MAX_LINE_BYTES {
                let line = self.line;
                self.window.skip_line()?;
                self.line = line.saturating_add(1);
                return Ok(Next::TooLong { line });
            }
            self.window.fill()?;
        }
    }

    fn next_in_array(&mut self) -> io::Result<Next<Item<'_>>> {
        if self.place == Place::Before {
            if self.window.held().first() != Some(&b'[') {
                return Err(
                    self.wrong("an array begins with [; is it one record a line? then say --format ndjson")
                );
            }
            self.pass(1);
            self.skip_blanks()?;
            self.place = Place::Inside;
            if self.window.held().first() == Some(&b']') {
                self.end_array();
                self.skip_blanks()?;
            }
        }
        if self.place == Place::Behind {
            let clean = self.window.held().is_empty();
            return if clean { Ok(Next::End) } else { Err(self.wrong("there is more behind the array")) };
        }
        self.next_item()
    }

    fn end_array(&mut self) {
        self.pass(1);
        self.place = Place::Behind;
    }

    /// Finds the comma or bracket that ends the item which begins here.
    fn next_item(&mut self) -> io::Result<Next<Item<'_>>> {
        let (mut scan, mut searched, mut too_long, line) = (Scan::default(), 0, false, self.line);
        loop {
            if let Some(at) = self.window.behind(searched).iter().position(|byte| scan.ends_before(*byte)) {
                let length = searched.saturating_add(at);
                if self.window.behind(length).first() == Some(&b']') {
                    self.place = Place::Behind;
                }
                self.taken = length.saturating_add(1);
                return Ok(if too_long { Next::TooLong { line } } else { self.found(length) });
            }
            searched = self.window.held().len();
            if self.window.has_ended() {
                let what =
                    format!("the array does not end: the record that begins in line {line} is cut off");
                return Err(self.wrong(&what));
            }
            if searched > MAX_LINE_BYTES {
                too_long = true;
                self.pass(searched);
                searched = 0;
            }
            self.window.fill()?;
        }
    }

    fn wrong(&self, what: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {what}", self.line))
    }
}

/// Follows the nesting of a value, no more: what is wrong inside it the reader of records says.
#[derive(Debug, Default)]
struct Scan {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Takes the next byte; whether the value ends before it.
    fn ends_before(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth = self.depth.saturating_add(1),
            b',' => return self.depth == 0,
            b']' | b'}' => match self.depth.checked_sub(1) {
                Some(depth) => self.depth = depth,
                None => return byte == b']',
            },
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items with their lines, and how it ended.
    fn items(file: &[u8], shape: Shape) -> (Vec<(u64, String)>, String) {
        let mut items = JsonItems::new(file, shape).unwrap();
        let mut found = Vec::new();
        loop {
            match items.next() {
                Ok(Next::Found(item)) => {
                    found.push((item.line, String::from_utf8(item.raw.to_vec()).unwrap()));
                }
                Ok(Next::TooLong { line }) => found.push((line, "too long".to_owned())),
                Ok(Next::End) => return (found, String::new()),
                Err(error) => return (found, error.to_string()),
            }
        }
    }

    #[track_caller]
    fn check(shape: Shape, file: &str, expected: &[(u64, &str)], end: &str) {
        let (found, ended) = items(file.as_bytes(), shape);
        let found: Vec<(u64, &str)> = found.iter().map(|(line, raw)| (*line, raw.as_str())).collect();
        assert_eq!(found, expected, "{file:?}");
        assert!(if end.is_empty() { ended.is_empty() } else { ended.contains(end) }, "{file:?}: {ended}");
    }

    #[test]
    fn lines_are_items() {
        check(Shape::Lines, "", &[], "");
        check(
            Shape::Lines,
            "\u{FEFF}{}\r\n\n \n {\"a\":1} \n[",
            &[(1, "{}"), (4, "{\"a\":1}"), (5, "[")],
            "",
        );
    }

    #[test]
    fn an_array_is_its_items() {
        check(Shape::Array, " []\n", &[], "");
        check(
            Shape::Array,
            "[\n  {\"a\":[1,{\"b\":\"],\\\"}\"}]},\n  5 ,\"x\"\n]\n",
            &[(2, "{\"a\":[1,{\"b\":\"],\\\"}\"}]}"), (3, "5"), (3, "\"x\"")],
            "",
        );
        // What is no record is for who reads it to say.
        check(Shape::Array, "[{},,}]", &[(1, "{}"), (1, ""), (1, "}")], "");
        check(Shape::Array, "{}", &[], "line 1: an array begins with [");
        check(Shape::Array, "[{}]\n\n[", &[(1, "{}")], "line 3: there is more behind the array");
        check(Shape::Array, "[{},\n{\"a\":", &[(1, "{}")], "begins in line 2 is cut off");
        check(Shape::Array, "[{}", &[], "begins in line 1 is cut off");
    }

    #[test]
    fn what_is_too_long_is_passed_over() {
        let long = "x".repeat(MAX_LINE_BYTES + (1 << 20));
        let (found, end) = items(format!("{{}}\n{long}\n{{}}").as_bytes(), Shape::Lines);
        assert_eq!((found.len(), &found[1], end), (3, &(2, "too long".to_owned()), String::new()));
        let (found, end) = items(format!("[{{}},\n\"{long}\",\n5]").as_bytes(), Shape::Array);
        assert_eq!(found[1..], [(2, "too long".to_owned()), (3, "5".to_owned())], "{end}");
    }

    /// An array of 32 MiB that exists nowhere as a whole.
    #[test]
    fn an_array_is_not_held_in_memory() {
        const ITEMS: u64 = 320_000;
        let item = format!("{{\"text\":\"{}\"}},\n", "x".repeat(90));
        let array = b"[".chain(Repeated { item: item.as_bytes(), at: 0, left: ITEMS }).chain(&b"5]"[..]);
        let mut found = 0u64;
        let used = allocation_counter::measure(|| {
            let mut items = JsonItems::new(array, Shape::Array).unwrap();
            while let Next::Found(_) = items.next().unwrap() {
                found += 1;
            }
        });
        assert_eq!(found, ITEMS + 1);
        assert!(used.bytes_max < 2 << 20, "{} bytes were held", used.bytes_max);
    }

    struct Repeated<'a> {
        item: &'a [u8],
        at: usize,
        left: u64,
    }

    impl Read for Repeated<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                return Ok(0);
            }
            let rest = &self.item[self.at..];
            let count = rest.len().min(into.len());
            into[..count].copy_from_slice(&rest[..count]);
            self.at += count;
            if self.at == self.item.len() {
                (self.at, self.left) = (0, self.left - 1);
            }
            Ok(count)
        }
    }
}
