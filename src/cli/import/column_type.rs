//! The types of a column of CSV, and what a cell's text means under each; the normative text is `spec/import.md`, I-3.

use std::fmt;

use uuid::Uuid;

use crate::blazebinary::{Date, Value, json};

/// What all cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Bool,
    Int,
    Double,
    Date,
    Uuid,
    String,
    /// Each cell holds a value as typed JSON.
    Json,
}

/// In the order in which they are tried; what none of the others takes is a string. `json` is never decided, only
/// asked for.
const NAMES: [(ColumnType, &str); 7] = [
    (ColumnType::Bool, "bool"),
    (ColumnType::Int, "int"),
    (ColumnType::Double, "double"),
    (ColumnType::Date, "date"),
    (ColumnType::Uuid, "uuid"),
    (ColumnType::String, "string"),
    (ColumnType::Json, "json"),
];

/// The greatest magnitude of an integer that every double of its size can hold, as text without a point.
const MAX_EXACT_DOUBLE: u64 = 1 << 53;
/// The length of a UUID with hyphens.
const UUID_CHARACTERS: usize = 36;
/// The length of a date without a time.
const DAY_CHARACTERS: usize = 10;

impl ColumnType {
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// All names, for messages.
    pub(crate) fn names() -> String {
        NAMES.map(|(_, name)| name).join(", ")
    }

    /// The value that `text` means, if it is of this type. More is read than is decided by itself: who says that a
    /// column is of integers means 7 by `007`.
    pub(crate) fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Bool => read_bool(text).map(Value::Bool),
            Self::Int => text.parse().ok().map(Value::Int),
            Self::Double => read_double(text).map(Value::Double),
            Self::Date => bits(text).map(Date::from_seconds).or_else(|| read_date(text)).map(Value::Date),
            Self::Uuid => read_uuid(text).map(Value::Uuid),
            Self::String => Some(Value::from(text)),
            Self::Json => json::read_value(text).ok(),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The types that every cell seen so far is of; strings aside, which every cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidates(u8);

impl Candidates {
    /// Before the first cell.
    pub(super) const ALL: Self = Self(0b1_1111);
    const INT: u8 = 0b10;
    const DOUBLE: u8 = 0b100;
    /// Nothing but a string.
    pub(super) const NONE: Self = Self(0);

    /// Without the types that `text` is not of.
    pub(super) fn narrowed(self, text: &str) -> Self {
        if is_integer(text) {
            // Most cells: looked at once for both types that it can be of.
            let int = if is_plainly(ColumnType::Int, text) { Self::INT } else { 0 };
            let double = if is_exact_double(text) { Self::DOUBLE } else { 0 };
            return Self(self.0 & (int | double));
        }
        let mut left = 0;
        for (kind, bit) in Self::bits() {
            if self.0 & bit != 0 && is_plainly(kind, text) {
                left |= bit;
            }
        }
        Self(left)
    }

    /// The type of a column of such cells.
    pub(super) fn decided(self) -> ColumnType {
        Self::bits().find(|(_, bit)| self.0 & bit != 0).map_or(ColumnType::String, |(kind, _)| kind)
    }

    fn bits() -> impl Iterator<Item = (ColumnType, u8)> {
        let decidable = NAMES.into_iter().take(5).map(|(kind, _)| kind);
        decidable.zip(std::iter::successors(Some(1u8), |bit| bit.checked_mul(2)))
    }
}

/// Whether a text is of a type beyond doubt.
fn is_plainly(kind: ColumnType, text: &str) -> bool {
    match kind {
        ColumnType::Bool => matches!(text, "true" | "false" | "True" | "False" | "TRUE" | "FALSE"),
        ColumnType::Int => is_integer(text) && text.parse::<i64>().is_ok(),
        ColumnType::Double => is_plainly_double(text),
        ColumnType::Date => read_date(text).is_some(),
        ColumnType::Uuid => read_uuid(text).is_some(),
        ColumnType::String | ColumnType::Json => false,
    }
}

/// Digits without a leading zero, behind a minus or nothing: `+49` is a telephone number and `007` an agent.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
        && (digits.first() != Some(&b'0') || digits.len() == 1)
}

/// A number with a point or exponent, or an integer that a double holds exactly.
fn is_plainly_double(text: &str) -> bool {
    if is_integer(text) {
        return is_exact_double(text);
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let leading_zero =
        unsigned.starts_with('0') && !matches!(unsigned.as_bytes().get(1), Some(b'.' | b'e' | b'E'));
    let numeric = unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let begins = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    numeric && begins && !leading_zero && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Whether a double holds an integer exactly, as all do up to 2^53.
fn is_exact_double(integer: &str) -> bool {
    let magnitude = integer.strip_prefix('-').unwrap_or(integer).parse::<u64>();
    magnitude.is_ok_and(|magnitude| magnitude <= MAX_EXACT_DOUBLE)
}

fn read_bool(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text {
        _ if is(&["true", "t", "yes", "y", "1"]) => Some(true),
        _ if is(&["false", "f", "no", "n", "0"]) => Some(false),
        _ => None,
    }
}

/// Also what is not finite, by its name or its bits, as typed JSON writes it.
fn read_double(text: &str) -> Option<f64> {
    let named = match text {
        "NaN" => Some(f64::from_bits(0x7FF8_0000_0000_0000)),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => bits(text),
    };
    let number = || {
        let numeric = text.bytes().all(|byte| !byte.is_ascii_alphabetic() || matches!(byte, b'e' | b'E'));
        text.parse::<f64>().ok().filter(|number| numeric && number.is_finite())
    };
    named.or_else(number)
}

/// The double whose bits are `0x` and 16 hexadecimal digits.
fn bits(text: &str) -> Option<f64> {
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 16)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| all).map(f64::from_bits)
}

/// An RFC 3339 date, also with a blank for its `T`, or a day, which means its beginning in UTC. A time without a zone
/// is none: whose noon it is would be a guess.
fn read_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    let shaped = bytes.first().is_some_and(u8::is_ascii_digit) && bytes.get(4) == Some(&b'-');
    if !shaped || bytes.len() < DAY_CHARACTERS {
        return None;
    }
    if bytes.len() == DAY_CHARACTERS {
        return Date::parse(&format!("{text}T00:00:00Z")).ok();
    }
    match text.split_at_checked(DAY_CHARACTERS) {
        Some((day, rest)) if rest.starts_with(' ') => Date::parse(&format!("{day}T{}", rest.get(1..)?)).ok(),
        _ => Date::parse(text).ok(),
    }
}

fn read_uuid(text: &str) -> Option<Uuid> {
    if text.len() != UUID_CHARACTERS {
        return None;
    }
    Uuid::try_parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The type that is decided for a column of these cells.
    fn decided(cells: &[&str]) -> &'static str {
        cells.iter().fold(Candidates::ALL, |left, cell| left.narrowed(cell)).decided().name()
    }

    #[test]
    fn a_column_is_of_the_first_type_that_takes_all_its_cells() {
        // By hand from spec/import.md, I-3.
        for (cells, expected) in [
            (&["true", "FALSE", "True"][..], "bool"),
            (&["0", "-5", "9223372036854775807", "-9223372036854775808"], "int"),
            (&["1", "2.5"], "double"),
            (&["1e5", "-0.5", "5.", ".5", "1E-7"], "double"),
            (&["9007199254740992", "0.5"], "double"),
            (&["2013-01-01T10:00:00Z", "2013-01-01", "2013-01-01 10:00:00.5+01:00"], "date"),
            (&["018F3C7A-5b2f-7abc-8def-0123456789ab"], "uuid"),
            (&["007"], "string"),
            (&["1", "-01"], "string"),
            (&["+5"], "string"),
            (&["00.5"], "string"),
            (&["9223372036854775808"], "string"),
            (&["9007199254740993", "0.5"], "string"),
            (&["1e400"], "string"),
            (&["NaN"], "string"),
            (&["inf"], "string"),
            (&["1", "true"], "string"),
            (&["t"], "string"),
            (&[" 5"], "string"),
            (&["1,000"], "string"),
            (&["-"], "string"),
            (&["."], "string"),
            (&["1e"], "string"),
            (&["2013-02-29"], "string"),
            (&["2013-01-01T10:00:00"], "string"),
            (&["2013-01-01", "5"], "string"),
            (&["018f3c7a5b2f7abc8def0123456789ab"], "string"),
        ] {
            assert_eq!(decided(cells), expected, "{cells:?}");
        }
    }

    #[test]
    fn a_cell_is_read_as_its_column_says() {
        let date = |text| Value::Date(Date::parse(text).unwrap());
        for (kind, text, expected) in [
            ("bool", "yes", Some(Value::Bool(true))),
            ("bool", "0", Some(Value::Bool(false))),
            ("bool", "maybe", None),
            ("int", "007", Some(Value::Int(7))),
            ("int", "+5", Some(Value::Int(5))),
            ("int", "5.0", None),
            ("int", "9223372036854775808", None),
            ("double", "5", Some(Value::Double(5.0))),
            ("double", "NaN", Some(Value::Double(f64::from_bits(0x7ff8 << 48)))),
            ("double", "0x8000000000000000", Some(Value::Double(-0.0))),
            ("double", "-Infinity", Some(Value::Double(f64::NEG_INFINITY))),
            ("double", "1e400", None),
            ("double", "nan", None),
            ("date", "2013-01-01", Some(date("2013-01-01T00:00:00Z"))),
            ("date", "2013-01-01 10:00:00Z", Some(date("2013-01-01T10:00:00Z"))),
            ("date", "0x3fe0000000000000", Some(date("2001-01-01T00:00:00.5Z"))),
            ("date", "yesterday", None),
            ("date", "2013-01-0é", None),
            ("string", "", Some(Value::from(""))),
            ("json", "[1,{\"$uuid\":\"00000000-0000-0000-0000-000000000000\"}]", {
                Some(Value::Array(vec![Value::Int(1), Value::Uuid(Uuid::nil())]))
            }),
            ("json", "[", None),
        ] {
            assert_eq!(ColumnType::named(kind).unwrap().read(text), expected, "{kind} {text}");
        }
        assert_eq!(ColumnType::named("number"), None);
    }

    proptest::proptest! {
        /// What is decided by itself can be read.
        #[test]
        fn what_is_plainly_of_a_type_is_of_it(text in "[-+.0-9eE:TZ truefals]{0,20}") {
            for (kind, _) in NAMES {
                proptest::prop_assert!(!is_plainly(kind, &text) || kind.read(&text).is_some(), "{} {}", kind, text);
            }
        }
    }
}
