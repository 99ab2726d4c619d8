//! Dates for `strftime_now`.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Seconds since 1970-01-01 00:00 UTC, by the clock of the system; 0 where that clock is before 1970.
pub(super) fn system_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A moment in the proleptic Gregorian calendar, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    year: i64,
    /// 1 to 12.
    month: i64,
    /// 1 to 31.
    day: i64,
    /// Days since the year began, from 1.
    day_of_year: i64,
    /// 0 is Sunday.
    weekday: i64,
    /// Second of the day.
    second: i64,
}

impl Moment {
    /// The moment `seconds` after 1970-01-01 00:00 UTC, which was a Thursday.
    ///
    /// Years are counted from 1 March, so that the day that comes and goes is the last of the year. 400 years are 146 097
    /// days; the months from March have 153 days in every five.
    fn of(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * from_march + 2) / 153;
        let day = from_march - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let day_of_year = if month > 2 { from_march + 60 + i64::from(leap) } else { from_march - 305 };
        Self { year, month, day, day_of_year, weekday: (days + 4).rem_euclid(7), second: seconds.rem_euclid(86_400) }
    }

    fn month_name(self) -> &'static str {
        usize::try_from(self.month - 1).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default()
    }

    fn day_name(self) -> &'static str {
        usize::try_from(self.weekday).ok().and_then(|day| DAYS.get(day)).copied().unwrap_or_default()
    }
}

/// The time in words, by the directives of `strftime` that C and Python share, in English.
///
/// `%-d` and the like leave the padding out. A directive that is not known is written as it stands.
pub(super) fn strftime(seconds: i64, format: &str) -> String {
    let moment = Moment::of(seconds);
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let rest = characters.as_str();
        let (bare, directive) = match rest.strip_prefix('-') {
            Some(after) => (true, after.chars().next()),
            None => (false, rest.chars().next()),
        };
        let written = directive.is_some_and(|directive| write_directive(&mut out, moment, seconds, directive, bare));
        if written {
            characters.nth(usize::from(bare));
        } else {
            out.push('%');
        }
    }
    out
}

/// Writes one directive; false where it is not known.
fn write_directive(out: &mut String, moment: Moment, seconds: i64, directive: char, bare: bool) -> bool {
    let (hour, minute, second) = (moment.second / 3_600, moment.second / 60 % 60, moment.second % 60);
    let hour12 = (hour + 11) % 12 + 1;
    let (value, width) = match directive {
        'Y' => (moment.year, 0),
        'y' => (moment.year.rem_euclid(100), 2),
        'm' => (moment.month, 2),
        'd' => (moment.day, 2),
        'j' => (moment.day_of_year, 3),
        'H' => (hour, 2),
        'I' => (hour12, 2),
        'M' => (minute, 2),
        'S' => (second, 2),
        'f' => (0, 6),
        's' => (seconds, 0),
        'w' => (moment.weekday, 0),
        'u' => ((moment.weekday + 6) % 7 + 1, 0),
        _ => return write_words(out, moment, seconds, directive),
    };
    let width = if bare { 0 } else { width };
    write!(out, "{value:0width$}").is_ok()
}

/// Writes a directive of several parts or of words.
fn write_words(out: &mut String, moment: Moment, seconds: i64, directive: char) -> bool {
    let composed = match directive {
        'B' => moment.month_name().to_owned(),
        'b' | 'h' => moment.month_name()[..3].to_owned(),
        'A' => moment.day_name().to_owned(),
        'a' => moment.day_name()[..3].to_owned(),
        'p' => if moment.second < 43_200 { "AM" } else { "PM" }.to_owned(),
        'e' => format!("{:2}", moment.day),
        'F' => strftime(seconds, "%Y-%m-%d"),
        'T' | 'X' => strftime(seconds, "%H:%M:%S"),
        'R' => strftime(seconds, "%H:%M"),
        'D' | 'x' => strftime(seconds, "%m/%d/%y"),
        'c' => strftime(seconds, "%a %b %e %H:%M:%S %Y"),
        'Z' | 'z' => String::new(),
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        '%' => "%".to_owned(),
        _ => return false,
    };
    out.push_str(&composed);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(strftime(0, "%A %d %B %Y %H:%M:%S %j"), "Thursday 01 January 1970 00:00:00 001");
        // 2024 is a leap year; 1_709_210_096 is 2024-02-29 12:34:56 UTC.
        assert_eq!(strftime(1_709_210_096, "%d %b %Y %I:%M %p %a %j"), "29 Feb 2024 12:34 PM Thu 060");
        assert_eq!(strftime(1_735_603_200, "%F %y %-d %j %q %%"), "2024-12-31 24 31 366 %q %");
        assert_eq!(strftime(-1, "%F %T"), "1969-12-31 23:59:59");
        assert_eq!(strftime(4_107_542_400, "%F"), "2100-03-01");
    }

    #[test]
    fn no_time_overflows() {
        for seconds in [i64::MIN, i64::MAX] {
            assert!(!strftime(seconds, "%c %j %u").is_empty());
        }
    }
}
