//! What a bench says at its end: one line in one form, so that people and programs find it.

use measure::stats::Ratio;

/// The closing line of a comparison. The goal is the least ratio of ours to the peer's that will do, and the worse end
/// of the interval has to reach it: a lucky median is no pass.
pub fn line(name: &str, unit: &str, ours: f64, peer: f64, ratio: Ratio, goal: f64) -> String {
    format!(
        "{name}: ours={}{unit} peer={}{unit} ratio={:.3} ci95=[{:.3},{:.3}] goal=>={goal} {}",
        number(ours),
        number(peer),
        ratio.median,
        ratio.ci95.0,
        ratio.ci95.1,
        verdict(ratio.ci95.0 >= goal),
    )
}

/// The closing line of a size in bytes, which needs no rounds and has no peer.
pub fn size_line(name: &str, ours: u64, goal: u64) -> String {
    format!(
        "{name}: ours={} peer=- ratio=- ci95=[-,-] goal=<={} {}",
        kilobytes(ours),
        kilobytes(goal),
        verdict(ours <= goal)
    )
}

fn verdict(met: bool) -> &'static str {
    if met { "pass" } else { "short" }
}

/// Thousands of bytes.
fn kilobytes(bytes: u64) -> String {
    format!("{:.1}KB", bytes as f64 / 1000.0)
}

/// Three or more figures that mean something, and no more.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATIO: Ratio = Ratio { median: 5.4, ci95: (4.9, 5.9) };

    #[test]
    fn the_closing_line_has_the_one_form() {
        assert_eq!(
            line("P5", "/s", 5400.4, 1000.0, RATIO, 4.5),
            "P5: ours=5400/s peer=1000/s ratio=5.400 ci95=[4.900,5.900] goal=>=4.5 pass"
        );
        assert_eq!(
            size_line("P10-signin", 40_001, 40_000),
            "P10-signin: ours=40.0KB peer=- ratio=- ci95=[-,-] goal=<=40.0KB short"
        );
    }

    #[test]
    fn the_worse_end_of_the_interval_decides() {
        assert!(line("P5", "", 1.0, 1.0, RATIO, 5.0).ends_with("short"));
        assert!(line("P5", "", 1.0, 1.0, RATIO, 4.9).ends_with("pass"));
    }
}
