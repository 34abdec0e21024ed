//! The lexical level of JSON (RFC 8259): blanks, punctuation, strings and numbers.

use std::borrow::Cow;

use super::error::{JsonError, JsonErrorKind as Kind};

/// A place in a text. What is wrong is reported with the byte offset at which the item begins.
pub(super) struct Cursor<'t> {
    text: &'t str,
    offset: usize,
}

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Literal<'t> {
    pub(super) text: &'t str,
    /// Whether there is neither point nor exponent.
    pub(super) is_integer: bool,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, offset: 0 }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// An error about what begins at byte `offset`.
    #[cold]
    pub(super) fn error_at(&self, offset: usize, kind: Kind) -> JsonError {
        kind.at(self.text, offset)
    }

    /// An error about what stands here: `expected` should.
    #[cold]
    pub(super) fn expected(&self, expected: &'static str) -> JsonError {
        let kind =
            if self.rest().is_empty() { Kind::UnexpectedEnd(expected) } else { Kind::Expected(expected) };
        self.error_at(self.offset, kind)
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn advance(&mut self, bytes: usize) {
        self.offset = self.offset.saturating_add(bytes);
    }

    pub(super) fn skip_blanks(&mut self) {
        let blanks = self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.advance(blanks.count());
    }

    /// Moves past `byte` if it stands here.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.advance(1);
        }
        found
    }

    /// Moves past `word` if it stands here.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.advance(word.len());
        }
        found
    }

    /// Reads a string, borrowed where it holds no escape. The cursor stands on its opening quote.
    pub(super) fn string(&mut self) -> Result<Cow<'t, str>, JsonError> {
        if !self.eat(b'"') {
            return Err(self.expected("a string in double quotes"));
        }
        let plain = self.plain_run();
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.advance(1);
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(self.error_at(self.offset, Kind::ControlCharacter)),
                None => return Err(self.expected("the closing quote of a string")),
            }
            text.push_str(self.plain_run());
        }
    }

    /// Reads up to a quote, a backslash, a control character or the end, all of which lie between characters.
    fn plain_run(&mut self) -> &'t str {
        let rest = self.rest();
        let length = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
        let run = length.and_then(|length| rest.get(..length)).unwrap_or(rest);
        self.advance(run.len());
        run
    }

    /// Reads an escape. The cursor stands on its backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.offset;
        self.advance(1);
        let letter = self.peek();
        self.advance(1);
        Ok(match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            Some(_) => return Err(self.error_at(start, Kind::BadEscape)),
            None => return Err(self.error_at(start, Kind::UnexpectedEnd("the rest of an escape"))),
        })
    }

    /// Reads the four digits of an escape that began at `start`, and the pair's other half.
    fn unicode_escape(&mut self, start: usize) -> Result<char, JsonError> {
        let first = self.four_digits(start)?;
        let opens_pair = matches!(first, 0xD800..=0xDBFF) && self.eat_word("\\u");
        let second = if opens_pair { Some(self.four_digits(start)?) } else { None };
        // Half of a pair is no character, nor is an opening half with anything but a closing half behind it.
        let mut decoded = char::decode_utf16([first].into_iter().chain(second));
        match decoded.next() {
            Some(Ok(character)) => Ok(character),
            _ => Err(self.error_at(start, Kind::LoneSurrogate)),
        }
    }

    fn four_digits(&mut self, start: usize) -> Result<u16, JsonError> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.error_at(start, Kind::BadEscape))?;
        self.advance(4);
        Ok(code)
    }

    /// Reads a number. The cursor stands on its minus or first digit.
    pub(super) fn number(&mut self) -> Result<Literal<'t>, JsonError> {
        let start = self.offset;
        self.eat(b'-');
        let begins_with_zero = self.peek() == Some(b'0');
        if self.digits("a digit")? > 1 && begins_with_zero {
            return Err(self.error_at(start, Kind::LeadingZero));
        }
        let mut is_integer = true;
        if self.eat(b'.') {
            is_integer = false;
            self.digits("a digit after the point")?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            is_integer = false;
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits("a digit of the exponent")?;
        }
        Ok(Literal { text: self.text.get(start..self.offset).unwrap_or_default(), is_integer })
    }

    /// Reads one digit or more and says how many.
    fn digits(&mut self, expected: &'static str) -> Result<usize, JsonError> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            return Err(self.expected(expected));
        }
        self.advance(count);
        Ok(count)
    }
}
