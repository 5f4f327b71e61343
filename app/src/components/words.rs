//! Figures as people read them: percentages, durations, sizes, times of day. Pure; no clock and no locale is asked.

use domain::{Civil, Timestamp, message::number};

/// Within 0–100.
pub fn bounded(percent: f64) -> f64 {
    if percent.is_nan() { 0.0 } else { percent.clamp(0.0, 100.0) }
}

/// "62 %", or "62.4 %" with `tenths`. Rounded down, so that 100 means done.
pub fn percent(percent: f64, tenths: bool) -> String {
    let percent = bounded(percent);
    if tenths && percent < 100.0 {
        format!("{} %", with_tenth((percent * 10.0) as u64))
    } else {
        format!("{} %", percent as u64)
    }
}

/// As an attribute of a bar has it: to a tenth.
pub fn share(percent: f64) -> String {
    with_tenth(rounded(bounded(percent) * 10.0))
}

/// Figures are written as whole numbers: what writes a float brings tables that every visitor would download.
fn with_tenth(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// "0.73", "-2.50".
pub fn hundredths(n: f64) -> String {
    let n = (n * 100.0).round() as i64;
    let sign = if n < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", n.unsigned_abs() / 100, n.unsigned_abs() % 100)
}

fn rounded(n: f64) -> u64 {
    (n + 0.5) as u64
}

/// "40 ms", "0.4 s", "12 s", "2 min 5 s", "1 h 3 min", "2 d 4 h".
pub fn duration(micros: i64) -> String {
    let micros = micros.max(0);
    let seconds = micros / 1_000_000;
    match seconds {
        0 if micros < 100_000 => format!("{} ms", micros / 1_000),
        0..10 => format!("{}.{} s", seconds, micros / 100_000 % 10),
        10..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 {
        format!("{large} {large_unit}")
    } else {
        format!("{large} {large_unit} {small} {small_unit}")
    }
}

/// What is left: "about 8 s left", "about 3 min left". No more exact than an estimate can be.
pub fn time_left(seconds: u64) -> String {
    match seconds {
        0..5 => "a few seconds left".into(),
        5..60 => format!("about {} s left", seconds.div_ceil(5) * 5),
        60..3_600 => format!("about {} min left", seconds.div_ceil(60)),
        _ => format!("about {} left", two((seconds / 3_600) as i64, "h", (seconds / 60 % 60) as i64, "min")),
    }
}

/// "31 chunks/s", "0.8 chunks/s".
pub fn rate(a_second: f64, unit: &str) -> String {
    format!("{} {unit}/s", short(a_second, 10.0))
}

/// Whole from `whole` on, and with a tenth below.
fn short(n: f64, whole: f64) -> String {
    if n >= whole { number(rounded(n)) } else { with_tenth(rounded(n * 10.0)) }
}

/// "512 B", "1.4 MB": powers of 1000, as file managers and drives count.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if n < 1_000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1_000.0;
    let mut unit = 0;
    // 999.5 and more would be written "1000".
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{} {}", short(value, 9.95), UNITS[unit])
}

/// "just now", "2 min ago", "3 h ago", "yesterday", "5 d ago"; a date beyond a month.
pub fn ago(at: Timestamp, now: Timestamp, offset_minutes: i32) -> String {
    match now.seconds_since(at) {
        0..45 => "just now".into(),
        s @ 45..3_600 => format!("{} min ago", ((s + 15) / 60).clamp(1, 59)),
        s @ 3_600..86_400 => format!("{} h ago", s / 3_600),
        86_400..172_800 => "yesterday".into(),
        s @ 172_800..2_592_000 => format!("{} d ago", s / 86_400),
        _ => date(at, offset_minutes),
    }
}

/// "24 Jan 2025".
pub fn date(at: Timestamp, offset_minutes: i32) -> String {
    let Civil { year, month, day, .. } = at.civil(offset_minutes);
    format!("{day} {} {year}", MONTHS[usize::from(month) - 1])
}

/// "10:30".
pub fn clock(at: Timestamp, offset_minutes: i32) -> String {
    let Civil { hour, minute, .. } = at.civil(offset_minutes);
    format!("{hour:02}:{minute:02}")
}

/// "10:30:45".
pub fn clock_seconds(at: Timestamp, offset_minutes: i32) -> String {
    let Civil { hour, minute, second, .. } = at.civil(offset_minutes);
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// "24 Jan 2025, 10:30:45", with "UTC" when no other zone is known.
pub fn exact(at: Timestamp, offset_minutes: Option<i32>) -> String {
    let offset = offset_minutes.unwrap_or(0);
    let zone = if offset_minutes.is_none() { " UTC" } else { "" };
    format!("{}, {}{zone}", date(at, offset), clock_seconds(at, offset))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_percentage_is_rounded_down_and_bounded() {
        assert_eq!(percent(99.99, false), "99 %");
        assert_eq!(percent(62.48, true), "62.4 %");
        assert_eq!(percent(100.0, true), "100 %");
        assert_eq!(percent(-4.0, false), "0 %");
        assert_eq!(percent(f64::NAN, false), "0 %");
        assert_eq!(percent(250.0, false), "100 %");
        assert_eq!([62.47, 100.0, -1.0, 0.04].map(share), ["62.5", "100.0", "0.0", "0.0"]);
        assert_eq!([0.734, -2.5, 12.0].map(hundredths), ["0.73", "-2.50", "12.00"]);
    }

    #[test]
    fn a_rate_has_a_tenth_while_it_is_slow() {
        let words = [0.0, 0.84, 9.96, 31.5, 1_200.2].map(|n| rate(n, "chunks"));
        assert_eq!(words, ["0.0 chunks/s", "0.8 chunks/s", "10.0 chunks/s", "32 chunks/s", "1,200 chunks/s"]);
    }

    #[test]
    fn a_duration_has_at_most_two_units() {
        let words = [0, 40_000, 400_000, 9_960_000, 12_000_000, 125_000_000, 3_780_000_000, 187_200_000_000]
            .map(duration);
        assert_eq!(words, ["0 ms", "40 ms", "0.4 s", "9.9 s", "12 s", "2 min 5 s", "1 h 3 min", "2 d 4 h"]);
        assert_eq!(duration(-1), "0 ms");
        assert_eq!(duration(120_000_000), "2 min");
    }

    #[test]
    fn an_estimate_claims_no_more_than_it_knows() {
        let words = [2, 8, 59, 61, 3_661].map(time_left);
        assert_eq!(
            words,
            [
                "a few seconds left",
                "about 10 s left",
                "about 60 s left",
                "about 2 min left",
                "about 1 h 1 min left"
            ]
        );
    }

    #[test]
    fn sizes_never_read_a_thousand_of_a_unit() {
        let words = [0, 999, 1_000, 1_440_000, 9_949_000, 9_999_999, 999_600, 104_857_600].map(bytes);
        assert_eq!(words, ["0 B", "999 B", "1.0 kB", "1.4 MB", "9.9 MB", "10 MB", "1.0 MB", "105 MB"]);
    }

    #[test]
    fn times_read_as_people_say_them() {
        let now = at("2025-01-24T10:30:45Z");
        let times = ["10:30:30", "10:28:40", "09:30:50", "07:00:00"];
        let words = times.map(|t| ago(at(&format!("2025-01-24T{t}Z")), now, 0));
        assert_eq!(words, ["just now", "2 min ago", "59 min ago", "3 h ago"]);
        assert_eq!(ago(at("2025-01-23T09:00:00Z"), now, 0), "yesterday");
        assert_eq!(ago(at("2024-02-29T09:00:00Z"), now, 0), "29 Feb 2024");
        assert_eq!(ago(at("2025-01-24T10:31:00Z"), now, 0), "just now", "a clock that is ahead");
    }

    #[test]
    fn a_zone_moves_the_day_as_well() {
        let t = at("2024-12-31T23:30:05Z");
        assert_eq!(exact(t, Some(60)), "1 Jan 2025, 00:30:05");
        assert_eq!(exact(t, None), "31 Dec 2024, 23:30:05 UTC");
        assert_eq!(clock(t, -330), "18:00");
        assert_eq!(date(at("1969-12-31T23:59:59Z"), 0), "31 Dec 1969");
        assert_eq!(date(at("2000-02-29T00:00:00Z"), 0), "29 Feb 2000");
    }
}
