//! The present time, and dates as text: RFC 3339 timestamps and ISO 8601 calendar dates in UTC.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

const MILLISECONDS_PER_DAY: i64 = 86_400_000;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z. Displays as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(i64);

/// A day of the Gregorian calendar, from 0001-01-01 to 9999-12-31. Displays as `2026-11-30`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// A text is not a date of the calendar in the form `2026-11-30`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DateError;

/// The present time.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Timestamp {
    /// The time that is so many milliseconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn from_milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        self.0
    }

    /// The day in UTC; the nearest day that a [`Date`] can be, for times far away.
    #[must_use]
    pub fn date(self) -> Date {
        Date::from_days(self.0.div_euclid(MILLISECONDS_PER_DAY))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within_day = self.0.rem_euclid(MILLISECONDS_PER_DAY);
        let (seconds, milliseconds) = (within_day / 1_000, within_day % 1_000);
        write!(
            f,
            "{}T{:02}:{:02}:{:02}.{milliseconds:03}Z",
            self.date(),
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60,
        )
    }
}

impl Date {
    /// The day that is so many days later, or earlier for a negative number; at most the last and
    /// at least the first day that a date can be.
    #[must_use]
    pub fn plus_days(self, days: i32) -> Self {
        Self::from_days(self.days() + i64::from(days))
    }

    /// Days since 1970-01-01 in the proleptic Gregorian calendar, counted in eras of 400 years
    /// that begin in March, so that the leap day is the last day of a year.
    fn days(self) -> i64 {
        let month = i64::from(self.month);
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    fn from_days(days: i64) -> Self {
        const FIRST: i64 = -719_162;
        const LAST: i64 = 2_932_896;
        let days = days.clamp(FIRST, LAST) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = (march_month + 2) % 12 + 1;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        // Within the clamped range every part fits its type.
        Self {
            year: year as u16,
            month: month as u8,
            day: day as u8,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let bytes = text.as_bytes();
        let digits_at = |range: std::ops::Range<usize>| bytes[range].iter().all(u8::is_ascii_digit);
        let well_formed = bytes.len() == 10
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && digits_at(0..4)
            && digits_at(5..7)
            && digits_at(8..10);
        if !well_formed {
            return Err(DateError);
        }
        let date = Self {
            year: text[..4].parse().map_err(|_| DateError)?,
            month: text[5..7].parse().map_err(|_| DateError)?,
            day: text[8..].parse().map_err(|_| DateError)?,
        };
        // A day that does not exist comes back as another one.
        let exists = date.year >= 1
            && (1..=12).contains(&date.month)
            && date.day >= 1
            && Self::from_days(date.days()) == date;
        if exists { Ok(date) } else { Err(DateError) }
    }
}

impl fmt::Display for DateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a date of the form 2026-11-30")
    }
}

impl std::error::Error for DateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_timestamps_as_text() {
        let text = |ms| Timestamp::from_milliseconds(ms).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn days_follow_each_other_and_survive_text() {
        let mut date: Date = "0001-01-01".parse().unwrap();
        let last: Date = "9999-12-31".parse().unwrap();
        let mut days = 0;
        while date < last {
            let next = date.plus_days(1);
            assert!(next > date);
            // Every day of the week and of the year has its turn.
            if days % 11 == 0 {
                assert_eq!(date.to_string().parse(), Ok(date));
            }
            date = next;
            days += 1;
        }
        assert_eq!(days, 3_652_058);
        assert_eq!(date.plus_days(1), date, "the last day is the last");
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in [
            "2026-02-29",
            "1900-02-29",
            "2026-00-10",
            "2026-13-01",
            "2026-04-31",
            "2026-4-01",
            "0000-01-01",
            "2026/04/01",
            "+026-04-01",
            "2026-04-011",
            "",
            "２０２６-04-01",
        ] {
            assert_eq!(text.parse::<Date>(), Err(DateError), "{text}");
        }
        assert!("2000-02-29".parse::<Date>().is_ok());
    }
}
