//! The date value: a number of seconds since 2001-01-01T00:00:00Z, kept as the bits of a double.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use thiserror::Error;

/// The epoch of dates, in UTC. Calendar arithmetic uses the library's clock without zones, since its instants end
/// a day before the year 9999 does.
const EPOCH: DateTime = DateTime::constant(2001, 1, 1, 0, 0, 0, 0);
/// Seconds from the Unix epoch to the epoch of dates.
const EPOCH_UNIX_SECONDS: i128 = 978_307_200;
const NANOS_PER_SECOND: i128 = 1_000_000_000;
/// Every whole number up to this is a double.
const MAX_EXACT_SECONDS: u128 = 1 << 53;
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
        let unix_nanos = i128::from(millis).saturating_mul(1_000_000);
        Self(nearest_seconds(unix_nanos.saturating_sub(EPOCH_UNIX_SECONDS.saturating_mul(NANOS_PER_SECOND))))
    }

    /// The RFC 3339 text in UTC with the fewest digits of a second that [`Date::parse`] reads back to the same bits,
    /// if there is one: years 0 to 9999 and at most nine digits.
    ///
    /// ```
    /// use blazedb::blazebinary::Date;
    /// assert_eq!(Date::from_seconds(0.5).to_rfc3339().as_deref(), Some("2001-01-01T00:00:00.5Z"));
    /// assert_eq!(Date::from_seconds(f64::NAN).to_rfc3339(), None);
    /// ```
    pub fn to_rfc3339(self) -> Option<String> {
        let time = EPOCH.checked_add(shortest_decimal(self.0)?).ok().filter(|time| time.year() >= 0)?;
        let text = format!("{time}Z");
        // −0 is what remains: its text reads back as +0.
        let exact = Self::parse(&text).is_ok_and(|back| back == self);
        exact.then_some(text)
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
        let (local, offset_seconds) = split_rfc3339(text).ok_or(DateError::Malformed)?;
        let local: DateTime = local.parse().map_err(|_| DateError::Malformed)?;
        let offset = i128::from(offset_seconds).saturating_mul(NANOS_PER_SECOND);
        Ok(Self(nearest_seconds(local.duration_since(EPOCH).as_nanos().saturating_sub(offset))))
    }
}

/// The local date and time, and how many seconds it is ahead of UTC.
///
/// The library reads more shapes than RFC 3339 has (blanks, missing seconds); this keeps to
/// `YYYY-MM-DDThh:mm:ss[.f…](Z|±hh:mm)` and leaves the ranges of the calendar to it. A leap second is refused: a
/// count of seconds has none.
fn split_rfc3339(text: &str) -> Option<(&str, i32)> {
    const PATTERN: &[u8; 19] = b"0000-00-00T00:00:00";
    let (head, tail) = text.as_bytes().split_first_chunk::<19>()?;
    let head_fits = head.iter().zip(PATTERN).all(|(byte, pattern)| match pattern {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        _ => byte == pattern,
    });
    let fraction = match tail.strip_prefix(b".") {
        Some(rest) => rest.iter().take_while(|byte| byte.is_ascii_digit()).count().checked_add(1)?,
        None => 0,
    };
    let local = text.get(..head.len().checked_add(fraction)?)?;
    let leap_second = text.get(17..19) == Some("60");
    if !head_fits || fraction == 1 || leap_second {
        return None;
    }
    Some((local, offset_seconds(tail.get(fraction..)?)?))
}

/// The seconds of `Z` or `±hh:mm`.
fn offset_seconds(zone: &[u8]) -> Option<i32> {
    let (sign, [h1, h2, b':', m1, m2]) = (match zone {
        [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    }) else {
        return None;
    };
    let two_digits = |tens: u8, ones: u8, below: i32| {
        let (tens, ones) = (char::from(tens).to_digit(10)?, char::from(ones).to_digit(10)?);
        let number = tens.checked_mul(10)?.checked_add(ones)?;
        i32::try_from(number).ok().filter(|&number| number < below)
    };
    let minutes = two_digits(*h1, *h2, 24)?.checked_mul(60)?.checked_add(two_digits(*m1, *m2, 60)?)?;
    minutes.checked_mul(60)?.checked_mul(sign)
}

/// The double nearest to a number of nanoseconds, in seconds. Written as a decimal and parsed, because the parser
/// rounds once and correctly where a division would round twice.
fn nearest_seconds(nanos: i128) -> f64 {
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let per_second = NANOS_PER_SECOND.unsigned_abs();
    let whole = magnitude.checked_div(per_second).unwrap_or(0);
    let fraction = magnitude.checked_rem(per_second).unwrap_or(0);
    if fraction == 0 && whole <= MAX_EXACT_SECONDS {
        // Most dates: exact without a detour.
        let seconds = whole as f64;
        return if nanos < 0 { -seconds } else { seconds };
    }
    format!("{sign}{whole}.{fraction:09}").parse().unwrap_or(f64::NAN)
}

/// The decimal of fewest digits that reads back to `seconds`, which is how the standard library writes a double; none
/// if nine digits behind the point are too few for it, or if it is no number that a calendar could hold.
fn shortest_decimal(seconds: f64) -> Option<SignedDuration> {
    let text = seconds.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    if fraction.len() > MAX_FRACTION_DIGITS {
        return None;
    }
    let nanos = format!("{fraction:0<MAX_FRACTION_DIGITS$}");
    let magnitude = SignedDuration::new(whole.parse().ok()?, nanos.parse().ok()?);
    if seconds.is_sign_negative() { magnitude.checked_neg() } else { Some(magnitude) }
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
        assert_eq!(Date::parse("2013-01-01t10:00:00z").unwrap(), noon, "J-3.8");
        assert_eq!(Date::parse("2000-12-31T23:59:59.75Z").unwrap().seconds(), -0.25);
        assert_eq!(noon.to_rfc3339().unwrap(), "2013-01-01T10:00:00Z");
    }

    #[test]
    fn the_calendar_goes_from_the_year_0_to_the_end_of_9999() {
        // 719,162 days from 0001-01-01 to the Unix epoch and 366 of the year 0; 2,932,897 days to 10000-01-01.
        let first = -978_307_200.0 - 86_400.0 * (719_162.0 + 366.0);
        let last = -978_307_200.0 + 86_400.0 * 2_932_897.0 - 1.0;
        for (text, seconds) in [("0000-01-01T00:00:00Z", first), ("9999-12-31T23:59:59Z", last)] {
            assert_eq!(Date::parse(text).unwrap().seconds(), seconds);
            assert_eq!(Date::from_seconds(seconds).to_rfc3339().as_deref(), Some(text));
        }
        assert_eq!(Date::from_seconds(first - 1.0).to_rfc3339(), None);
        assert_eq!(Date::from_seconds(last + 1.0).to_rfc3339(), None);
        assert_eq!(Date::parse("9999-12-31T23:59:59-23:59").unwrap().seconds(), last + 86_340.0);
    }

    #[test]
    fn a_fraction_is_written_with_the_fewest_digits_that_read_back() {
        for text in [
            "2013-01-01T10:00:00.1Z",
            "2013-01-01T10:00:00.123Z",
            "2026-12-01T09:00:00.123456Z",
            "1999-12-31T23:59:59.9Z",
            "2001-01-01T00:00:00.000000001Z",
            "9999-12-31T23:59:59.999Z",
        ] {
            assert_eq!(Date::parse(text).unwrap().to_rfc3339().as_deref(), Some(text));
        }
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
            "2013-01-01T10:00:00+24:00",
            "2013-01-01T10:00:00-00:60",
            "2013-01-01T24:00:00Z",
            "2013-02-29T10:00:00Z",
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
