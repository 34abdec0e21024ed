//! The scalars of typed JSON: plain numbers, and what the objects with one `$` key hold.

use std::str::FromStr;

use data_encoding::BASE64;
use uuid::Uuid;

use super::super::date::{Date, DateError};
use super::super::value::{Value, Vector};
use super::cursor::{Cursor, Literal};
use super::error::{JsonError, JsonErrorKind as Kind};
use super::{BITS_PREFIX, INFINITY, NAMED_NAN, NAN, NEGATIVE_INFINITY, scalar_key};

/// The digits of a double's bits in hexadecimal.
const BITS_DIGITS: usize = 16;
/// The length of a UUID with hyphens; the library's other forms differ in it.
const UUID_CHARACTERS: usize = 36;

/// Reads a number literal: with a point or exponent a double, else an integer.
pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Value, JsonError> {
    let at = cursor.offset();
    let literal = cursor.number()?;
    if literal.is_integer {
        let int = i64::from_str(literal.text).map_err(|_| cursor.error_at(at, Kind::IntOutOfRange))?;
        return Ok(Value::Int(int));
    }
    nearest_double(literal, at, cursor).map(Value::Double)
}

/// The double nearest to a literal of either kind.
fn nearest_double(literal: Literal<'_>, at: usize, cursor: &Cursor<'_>) -> Result<f64, JsonError> {
    let double = f64::from_str(literal.text).ok().filter(|double| double.is_finite());
    double.ok_or_else(|| cursor.error_at(at, Kind::DoubleOutOfRange))
}

/// Reads what stands behind the reserved key `key`, which begins at `key_at`, and the end of its object.
pub(super) fn content(key: &str, key_at: usize, cursor: &mut Cursor<'_>) -> Result<Value, JsonError> {
    let value = match key {
        scalar_key::INT => int(cursor).map(Value::Int)?,
        scalar_key::DOUBLE => double(cursor).map(Value::Double)?,
        scalar_key::DATE => date(cursor).map(Value::Date)?,
        scalar_key::UUID => uuid(cursor).map(Value::Uuid)?,
        scalar_key::DATA => data(cursor).map(Value::Data)?,
        scalar_key::VECTOR => vector(cursor).map(Value::Vector)?,
        _ => return Err(cursor.error_at(key_at, Kind::ReservedKey)),
    };
    close(key_at, cursor)?;
    Ok(value)
}

/// Reads the brace that ends the object of a reserved key.
fn close(key_at: usize, cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
    cursor.skip_blanks();
    match cursor.peek() {
        Some(b'}') => {
            cursor.eat(b'}');
            Ok(())
        }
        Some(b',') => Err(cursor.error_at(key_at, Kind::ReservedKey)),
        _ => Err(cursor.expected("}")),
    }
}

/// Reads a string and what `meaning` makes of it; `otherwise` if it is no string or means nothing.
fn from_string<T>(
    cursor: &mut Cursor<'_>,
    otherwise: Kind,
    meaning: impl FnOnce(&str) -> Option<T>,
) -> Result<T, JsonError> {
    let at = cursor.offset();
    let text = match cursor.peek() {
        Some(b'"') => cursor.string()?,
        Some(_) => return Err(cursor.error_at(at, otherwise)),
        None => return Err(cursor.expected("a value")),
    };
    meaning(&text).ok_or_else(|| cursor.error_at(at, otherwise))
}

fn starts_number(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.peek(), Some(b'-' | b'0'..=b'9'))
}

fn int(cursor: &mut Cursor<'_>) -> Result<i64, JsonError> {
    if starts_number(cursor) {
        let at = cursor.offset();
        return match number(cursor)? {
            Value::Int(int) => Ok(int),
            _ => Err(cursor.error_at(at, Kind::BadInt)),
        };
    }
    from_string(cursor, Kind::BadInt, |text| {
        // The digits are those of a literal: no plus sign, no leading zero, no blank.
        let mut digits = Cursor::new(text);
        let literal = digits.number().ok().filter(|literal| literal.is_integer && literal.text == text)?;
        i64::from_str(literal.text).ok()
    })
}

fn double(cursor: &mut Cursor<'_>) -> Result<f64, JsonError> {
    if starts_number(cursor) {
        let at = cursor.offset();
        let literal = cursor.number()?;
        return nearest_double(literal, at, cursor);
    }
    from_string(cursor, Kind::BadDouble, |text| match text {
        NAN => Some(f64::from_bits(NAMED_NAN)),
        INFINITY => Some(f64::INFINITY),
        NEGATIVE_INFINITY => Some(f64::NEG_INFINITY),
        _ => bits(text),
    })
}

/// The double whose bits are written as `0x` and 16 hexadecimal digits of either case.
fn bits(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(BITS_PREFIX)?;
    let all_digits = digits.len() == BITS_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bits = u64::from_str_radix(digits, 16).ok().filter(|_| all_digits)?;
    Some(f64::from_bits(bits))
}

fn date(cursor: &mut Cursor<'_>) -> Result<Date, JsonError> {
    let at = cursor.offset();
    let read = from_string(cursor, Kind::BadDate(DateError::Malformed), |text| {
        Some(bits(text).map(Date::from_seconds).map_or_else(|| Date::parse(text), Ok))
    })?;
    read.map_err(|cause| cursor.error_at(at, Kind::BadDate(cause)))
}

fn uuid(cursor: &mut Cursor<'_>) -> Result<Uuid, JsonError> {
    from_string(cursor, Kind::BadUuid, |text| {
        Uuid::try_parse(text).ok().filter(|_| text.len() == UUID_CHARACTERS)
    })
}

fn data(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, JsonError> {
    from_string(cursor, Kind::BadData, |text| BASE64.decode(text.as_bytes()).ok())
}

fn vector(cursor: &mut Cursor<'_>) -> Result<Vector, JsonError> {
    let mut items = Vec::new();
    open(b'[', cursor)?;
    cursor.skip_blanks();
    if cursor.eat(b']') {
        return Ok(Vector::default());
    }
    loop {
        cursor.skip_blanks();
        items.push(vector_item(cursor)?);
        cursor.skip_blanks();
        if cursor.eat(b']') {
            return Ok(items.into_iter().collect());
        }
        if !cursor.eat(b',') {
            return Err(cursor.expected("a comma or ]"));
        }
    }
}

/// Moves past what opens a vector or an item of one.
fn open(bracket: u8, cursor: &mut Cursor<'_>) -> Result<(), JsonError> {
    if cursor.eat(bracket) {
        return Ok(());
    }
    match cursor.peek() {
        Some(_) => Err(cursor.error_at(cursor.offset(), Kind::BadVector)),
        None => Err(cursor.expected("a value")),
    }
}

fn vector_item(cursor: &mut Cursor<'_>) -> Result<f64, JsonError> {
    let at = cursor.offset();
    if starts_number(cursor) {
        return double(cursor);
    }
    open(b'{', cursor)?;
    cursor.skip_blanks();
    let key_at = cursor.offset();
    if cursor.string()? != scalar_key::DOUBLE {
        return Err(cursor.error_at(at, Kind::BadVector));
    }
    cursor.skip_blanks();
    if !cursor.eat(b':') {
        return Err(cursor.expected("a colon"));
    }
    cursor.skip_blanks();
    let number = double(cursor)?;
    let whole_upper_half = number.to_bits().trailing_zeros() >= u32::BITS;
    if number.is_nan() && !whole_upper_half {
        return Err(cursor.error_at(at, Kind::InexactVectorItem));
    }
    close(key_at, cursor)?;
    Ok(number)
}
