//! A moment in UTC, to the microsecond: what the databases keep (BIGINT) and what JSON shows (RFC 3339).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, ops::RangeInclusive};

const DAY: i64 = 86_400;

/// From 1 March of year 0, where the count of days begins, to 1970.
const BEFORE_1970: i64 = 719_468;

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This moment, `micros` later (earlier when negative).
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_micros(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds from `earlier` until this moment; 0 when it lies in the future.
    pub const fn seconds_since(self, earlier: Timestamp) -> i64 {
        let d = self.0.saturating_sub(earlier.0);
        if d < 0 { 0 } else { d / 1_000_000 }
    }

    /// Reads RFC 3339, with any number of digits of a second's part.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Reader(text.as_bytes());
        let (year, month, day) =
            (rest.number(4, 0..=9_999)?, rest.after(b"-", 1..=12)?, rest.after(b"-", 1..=31)?);
        let days = days_since_1970(year, month, day)?;
        let (hour, minute) = (rest.after(b"Tt", 0..=23)?, rest.after(b":", 0..=59)?);
        let second = rest.after(b":", 0..=59)?;
        let micros = rest.part_of_second()?;
        let offset = match rest.one()? {
            b'Z' | b'z' => 0,
            sign @ (b'+' | b'-') => {
                let minutes = rest.number(2, 0..=23)? * 60 + rest.after(b":", 0..=59)?;
                if sign == b'+' { minutes } else { -minutes }
            }
            _ => return None,
        };
        let seconds = days * DAY + hour * 3_600 + (minute - offset) * 60 + second;
        rest.0.is_empty().then_some(Self(seconds * 1_000_000 + micros))
    }

    /// The date and the time of day in a zone that is `offset_minutes` east of UTC.
    pub const fn civil(self, offset_minutes: i32) -> Civil {
        let seconds = self.0.div_euclid(1_000_000) + offset_minutes as i64 * 60;
        // The days are counted from 1 March of year 0, so that the leap day is the last of its year; 146,097 days make
        // the 400 years after which the calendar repeats.
        let days = seconds.div_euclid(DAY) + BEFORE_1970;
        let of_day = seconds.rem_euclid(DAY);
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Civil {
            year: year_of_era + era * 400 + (month <= 2) as i64,
            month: month as u8,
            day: (of_year - (153 * from_march + 2) / 5 + 1) as u8,
            hour: (of_day / 3_600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
        }
    }
}

/// A moment as a calendar and a clock show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// From 1.
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
}

/// `None` for a day that its month does not have.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    // January and February belong to the year before, as in `civil`.
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leap_days + (153 * from_march + 2) / 5 + day - 1 - BEFORE_1970;
    (day <= length).then_some(days)
}

/// What is left to read of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn one(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number of so many digits within bounds.
    fn number(&mut self, digits: usize, bounds: RangeInclusive<i64>) -> Option<i64> {
        let mut n = 0;
        for _ in 0..digits {
            let digit = self.one().filter(u8::is_ascii_digit)?;
            n = n * 10 + i64::from(digit - b'0');
        }
        bounds.contains(&n).then_some(n)
    }

    /// A number of two digits after one of some signs.
    fn after(&mut self, signs: &[u8], bounds: RangeInclusive<i64>) -> Option<i64> {
        self.one().filter(|sign| signs.contains(sign))?;
        self.number(2, bounds)
    }

    /// Microseconds, where the text has any; further digits are dropped.
    fn part_of_second(&mut self) -> Option<i64> {
        let Some(digits) = self.0.strip_prefix(b".") else { return Some(0) };
        let count = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
        let digit = |at: usize| digits[..count].get(at).map_or(0, |digit| i64::from(digit - b'0'));
        self.0 = &digits[count..];
        (count > 0).then(|| (0..6).fold(0, |micros, at| micros * 10 + digit(at)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second } = self.civil(0);
        if !(0..=9_999).contains(&year) {
            return Err(fmt::Error);
        }
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        let micros = self.0.rem_euclid(1_000_000);
        if micros > 0 {
            f.write_str(".")?;
            f.write_str(format!("{micros:06}").trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not an RFC 3339 time"))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;
    use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

    #[test]
    fn a_time_reads_back_as_it_was_written() {
        let t = Timestamp::from_micros(1_737_714_645_123_456);
        assert_eq!(t.to_string(), "2025-01-24T10:30:45.123456Z");
        assert_eq!(Timestamp::parse(&t.to_string()), Some(t));
        assert_eq!(Timestamp::parse("2025-01-24T11:30:45.123456+01:00"), Some(t));
        assert_eq!(Timestamp::parse("2025-01-24t10:30:45.1234567z").map(Timestamp::micros), Some(t.micros()));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "yesterday",
            "",
            "2025-01-24",
            "2025-01-24T10:30:45",
            "2025-01-24T10:30:45.Z",
            "2025-01-24T10:30Z",
            "2025-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2025-04-31T00:00:00Z",
            "2025-01-24T24:00:00Z",
            "2025-01-24T10:30:45+1:00",
            "2025-01-24T10:30:45Z ",
            "+025-01-24T10:30:45Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert!(Timestamp::parse("2000-02-29T23:59:59-23:59").is_some());
    }

    proptest::proptest! {
        /// The years 0 to 9999.
        #[test]
        fn every_moment_is_written_and_read_as_a_calendar_of_the_trade_does_it(
            micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000,
            offset in -1_439_i32..1_440,
        ) {
            let t = Timestamp::from_micros(micros);
            let theirs = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap();
            proptest::prop_assert_eq!(t.to_string(), theirs.format(&Rfc3339).unwrap());
            let zone = UtcOffset::from_whole_seconds(offset * 60).unwrap();
            if let Some(there) = theirs.checked_to_offset(zone).filter(|there| (0..=9_999).contains(&there.year())) {
                proptest::prop_assert_eq!(Timestamp::parse(&there.format(&Rfc3339).unwrap()), Some(t));
            }
        }
    }
}
