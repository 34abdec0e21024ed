//! Input read line by line, from a file or stdin, with a bound on the length of a line.

#![expect(clippy::disallowed_types, reason = "the command line is where files are opened")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use super::{Failure, tell};
use crate::blazebinary::limits::MAX_RECORD_BYTES;

/// The longest line, in bytes.
///
/// Typed JSON takes at most nine times the bytes of a record (a vector of NaN is the worst), hexadecimal twice; the
/// rest is room for blanks. A line is held in memory whole.
pub(super) const MAX_LINE_BYTES: usize = 16 * MAX_RECORD_BYTES;

/// The name that means stdin.
const STDIN: &str = "-";

/// The lines of a file or of stdin.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
}

/// A line that is not blank, without its end.
pub(super) struct Line<'a> {
    /// Counted from 1, blank lines included.
    pub(super) number: u64,
    pub(super) text: &'a str,
}

impl Line<'_> {
    /// A failure that this line is the cause of.
    pub(super) fn failure(&self, what: impl std::fmt::Display) -> Failure {
        at_line(self.number, what)
    }
}

fn at_line(number: u64, what: impl std::fmt::Display) -> Failure {
    Failure::new(format_args!("line {number}: {what}"))
}

impl Lines {
    /// Opens `path`, or stdin where it is `-`. At a terminal says on stderr what is awaited.
    pub(super) fn open(path: &Path, awaited: &str) -> Result<Self, Failure> {
        let source: Box<dyn BufRead> = if path.as_os_str() == STDIN {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                tell(format_args!("reading {awaited} from the terminal; Ctrl-D ends"));
            }
            Box::new(stdin.lock())
        } else {
            let file = File::open(path)
                .map_err(|error| Failure::new(format_args!("cannot open '{}': {error}", path.display())))?;
            Box::new(BufReader::new(file))
        };
        Ok(Self::new(source))
    }

    fn new(source: Box<dyn BufRead>) -> Self {
        Self { source, buffer: Vec::new(), number: 0 }
    }

    /// The next line that is not blank, without its line feed or CR LF; none at the end of the input.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, Failure> {
        loop {
            self.number = self.number.saturating_add(1);
            if !self.fill()? {
                return Ok(None);
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        let (number, line) = (self.number, self.buffer.as_slice());
        let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let text = std::str::from_utf8(line).map_err(|error| {
            let at = error.valid_up_to().saturating_add(1);
            at_line(number, format_args!("byte {at} is not UTF-8; convert the input, as with iconv"))
        })?;
        Ok(Some(Line { number, text }))
    }

    /// Reads one line into the buffer, its end included; false at the end of the input.
    fn fill(&mut self) -> Result<bool, Failure> {
        // Room for a line of the greatest length, its CR LF, and a byte that shows that it is longer.
        const READ_LIMIT: u64 = MAX_LINE_BYTES as u64 + 3;
        self.buffer.clear();
        let mut bounded = (&mut self.source).take(READ_LIMIT);
        let read = bounded.read_until(b'\n', &mut self.buffer);
        read.map_err(|error| at_line(self.number, format_args!("cannot read: {error}")))?;
        let length = self.buffer.trim_ascii_end().len();
        if length > MAX_LINE_BYTES || self.buffer.len() as u64 == READ_LIMIT {
            let advice = "a record has at most 1 MiB; is this one record a line?";
            return Err(at_line(self.number, format_args!("longer than {MAX_LINE_BYTES} bytes; {advice}")));
        }
        Ok(!self.buffer.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers and texts of all lines, or the first failure's message.
    fn read(input: Vec<u8>) -> Result<Vec<(u64, String)>, String> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(input)));
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(line)) => found.push((line.number, line.text.to_owned())),
                Ok(None) => return Ok(found),
                Err(Failure::Message(message)) => return Err(message),
                Err(other) => panic!("reading fails otherwise: {other:?}"),
            }
        }
    }

    #[test]
    fn line_ends_and_blank_lines_are_taken_off() {
        let expected = vec![(1, "a".to_owned()), (4, " b ".to_owned()), (5, "c".to_owned())];
        assert_eq!(read(b"a\r\n\n \t\r\n b \nc".to_vec()), Ok(expected));
        assert_eq!(read(vec![]), Ok(vec![]));
    }

    #[test]
    fn what_is_not_utf8_is_named_by_line_and_byte() {
        let message = read(b"a\nb\xFF\n".to_vec()).unwrap_err();
        assert!(message.starts_with("line 2: byte 2 is not UTF-8"), "{message}");
    }

    #[test]
    fn a_line_has_a_greatest_length() {
        let longest = [vec![b'x'; MAX_LINE_BYTES], b"\r\ny".to_vec()].concat();
        assert_eq!(read(longest).unwrap().len(), 2);
        for too_long in [MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES] {
            let message = read([b"a\n".to_vec(), vec![b'x'; too_long]].concat()).unwrap_err();
            assert!(message.starts_with("line 2: longer than 16777216 bytes"), "{message}");
        }
    }
}
