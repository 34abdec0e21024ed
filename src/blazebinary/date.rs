//! The date value: a number of seconds since 2001-01-01T00:00:00Z, kept as the bits of a double.

use std::fmt;

use jiff::Timestamp;
use thiserror::Error;

/// Seconds from the Unix epoch to the epoch of dates, 2001-01-01T00:00:00Z.
const EPOCH_UNIX_SECONDS: i128 = 978_307_200;
const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// RFC 3339 texts carry at most this many digits of a second here; more could not be kept exactly.
const MAX_FRACTION_DIGITS: usize = 9;

/// A point in time: seconds since 2001-01-01T00:00:00Z as an IEEE double.
///
/// The bits are kept as they were written, infinities and NaN included, because a record that passes through
/// must leave as it came. Equality is equality of bits; for the order of dates see [`super::order`].
#[derive(Clone, Copy)]
pub struct Date(f64);

/// Why a text is not a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DateError {
    /// The text does not follow RFC 3339.
    #[error("not an RFC 3339 date such as 2013-01-01T10:00:00Z")]
    Malformed,
    /// More digits of a second than nine.
    #[error("a second has at most nine digits after the point")]
    TooPrecise,
}

impl Date {
    /// From seconds since 2001-01-01T00:00:00Z; any bits are kept.
    pub const fn from_seconds(seconds: f64) -> Self {
        Self(seconds)
    }

    /// Seconds since 2001-01-01T00:00:00Z.
    pub const fn seconds(self) -> f64 {
        self.0
    }

    /// From milliseconds since the Unix epoch, rounded to the nearest double.
    pub fn from_unix_millis(millis: i64) -> Self {
        Self(nearest_seconds(i128::from(millis).saturating_mul(1_000_000)))
    }

    /// The RFC 3339 text in UTC, if there is one that [`Date::parse`] reads back to the same bits: years 0 to
    /// 9999 and at most nine digits of a second.
    ///
    /// ```
    /// use blazedb::blazebinary::Date;
    /// assert_eq!(Date::from_seconds(0.5).to_rfc3339().as_deref(), Some("2001-01-01T00:00:00.5Z"));
    /// assert_eq!(Date::from_seconds(f64::NAN).to_rfc3339(), None);
    /// ```
    pub fn to_rfc3339(self) -> Option<String> {
        // Beyond ±2^53 seconds no calendar year has four digits; the bound also makes the casts exact.
        if !self.0.is_finite() || self.0.abs() >= 9_007_199_254_740_992.0 {
            return None;
        }
        let whole = self.0.floor();
        #[expect(clippy::cast_possible_truncation, reason = "bounded above; the fraction is below 1e9")]
        let (whole, fraction) = (whole as i128, ((self.0 - whole) * 1e9).round() as i128);
        let nanos =
            whole.checked_add(EPOCH_UNIX_SECONDS)?.checked_mul(NANOS_PER_SECOND)?.checked_add(fraction)?;
        let time = Timestamp::from_nanosecond(nanos).ok()?;
        let text = time.to_string();
        let starts_with_year = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let exact = Self::parse(&text).is_ok_and(|back| back == self);
        (starts_with_year && exact).then_some(text)
    }

    /// Reads an RFC 3339 date with any offset, to the nearest double.
    ///
    /// # Errors
    /// [`DateError`] if the text is something else, or names a second more finely than nine digits do.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let fraction_digits =
            text.split_once('.').map_or(0, |(_, after)| after.bytes().take_while(u8::is_ascii_digit).count());
        if fraction_digits > MAX_FRACTION_DIGITS {
            return Err(DateError::TooPrecise);
        }
        if !has_rfc3339_shape(text) {
            return Err(DateError::Malformed);
        }
        let time: Timestamp = text.parse().map_err(|_| DateError::Malformed)?;
        Ok(Self(nearest_seconds(time.as_nanosecond())))
    }
}

/// The library reads more shapes than RFC 3339 has (blanks, missing seconds, zones in brackets); this keeps to
/// `YYYY-MM-DDThh:mm:ss[.f…](Z|±hh:mm)` and leaves the ranges to it. A leap second is refused: Unix time has none.
fn has_rfc3339_shape(text: &str) -> bool {
    const PATTERN: &[u8; 19] = b"0000-00-00T00:00:00";
    let Some((head, tail)) = text.as_bytes().split_first_chunk::<19>() else { return false };
    let head_fits = head.iter().zip(PATTERN).all(|(byte, pattern)| match pattern {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        _ => byte == pattern,
    });
    let zone = match tail.split_first() {
        Some((b'.', rest)) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            rest.get(digits..).unwrap_or_default()
        }
        _ => tail,
    };
    let zone_fits = match zone {
        [b'Z' | b'z'] => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    let leap_second = text.get(17..19) == Some("60");
    head_fits && zone_fits && !leap_second
}

/// The double nearest to a number of nanoseconds since the Unix epoch, counted from 2001. Written as a decimal
/// and parsed, because the parser rounds once and correctly where a division would round twice.
fn nearest_seconds(unix_nanos: i128) -> f64 {
    let nanos = unix_nanos.saturating_sub(EPOCH_UNIX_SECONDS.saturating_mul(NANOS_PER_SECOND));
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let per_second = NANOS_PER_SECOND.unsigned_abs();
    let whole = magnitude.checked_div(per_second).unwrap_or(0);
    let fraction = magnitude.checked_rem(per_second).unwrap_or(0);
    format!("{sign}{whole}.{fraction:09}").parse().unwrap_or(f64::NAN)
}

impl PartialEq for Date {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Date {}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_rfc3339() {
            Some(text) => f.write_str(&text),
            None => write!(f, "Date({:?} s)", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_and_unix_epoch_are_where_the_format_puts_them() {
        assert_eq!(Date::parse("2001-01-01T00:00:00Z").unwrap().seconds(), 0.0);
        assert_eq!(Date::parse("1970-01-01T00:00:00Z").unwrap().seconds(), -978_307_200.0);
        assert_eq!(Date::from_unix_millis(0).seconds(), -978_307_200.0);
        assert_eq!(Date::from_unix_millis(978_307_200_500).seconds(), 0.5);
    }

    #[test]
    fn offsets_and_fractions_are_read() {
        let noon = Date::parse("2013-01-01T10:00:00Z").unwrap();
        assert_eq!(Date::parse("2013-01-01T12:30:00+02:30").unwrap(), noon);
        assert_eq!(Date::parse("2000-12-31T23:59:59.75Z").unwrap().seconds(), -0.25);
        assert_eq!(noon.to_rfc3339().unwrap(), "2013-01-01T10:00:00Z");
    }

    #[test]
    fn what_is_not_rfc3339_is_refused() {
        for text in [
            "",
            "2013-01-01",
            "2013-01-01 10:00:00Z",
            "2013-01-01T10:00Z",
            "2013-01-01T10:00:00",
            "2013-01-01T10:00:60Z",
            "2013-13-01T10:00:00Z",
            "2013-01-01T10:00:00.Z",
            "2013-01-01T10:00:00Z[UTC]",
            "2013-01-01T10:00:00+0230",
            "+002013-01-01T10:00:00Z",
        ] {
            assert_eq!(Date::parse(text), Err(DateError::Malformed), "{text}");
        }
        assert_eq!(Date::parse("2013-01-01T10:00:00.0123456789Z"), Err(DateError::TooPrecise));
    }

    #[test]
    fn only_exact_texts_are_written() {
        // 2^-40 s needs forty binary digits, which nine decimal ones do not hold.
        assert_eq!(Date::from_seconds(2f64.powi(-40)).to_rfc3339(), None);
        assert_eq!(Date::from_seconds(-0.0).to_rfc3339(), None, "the text would read back as +0");
        assert_eq!(Date::from_seconds(1e300).to_rfc3339(), None);
        assert_eq!(Date::from_seconds(f64::INFINITY).to_rfc3339(), None);
    }
}
