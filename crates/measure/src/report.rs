//! What a bench says at its end: one line in one form, so that people and programs find it.

use crate::stats::{self, Ratio};

/// What a figure has to reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// What is added to a line of a smoke run.
pub const SMOKE: &str = " (smoke: it works; the figures mean nothing)";

/// The closing line of a comparison. The goal is what the ratio of ours to the peer's has to reach, and the worse end of
/// the interval has to reach it: a lucky median is no pass.
pub fn line(name: &str, unit: &str, ours: f64, peer: f64, ratio: Ratio, goal: Goal) -> String {
    format!(
        "{name}: ours={}{unit} peer={}{unit} ratio={:.3} ci95=[{:.3},{:.3}] goal={}",
        number(ours),
        number(peer),
        ratio.median,
        ratio.ci95.0,
        ratio.ci95.1,
        judged(ratio, goal, ""),
    )
}

/// The same for what the rounds of both sides found: the medians of each, and the ratio round by round.
pub fn compared(name: &str, unit: &str, ours: &[f64], peer: &[f64], goal: Goal) -> String {
    line(name, unit, stats::median(ours), stats::median(peer), stats::compare(ours, peer), goal)
}

/// The closing line of a bound on our own figure, which no peer enters; `of_rounds` is the median of the rounds with its
/// interval.
pub fn bound_line(name: &str, unit: &str, of_rounds: Ratio, goal: Goal) -> String {
    let (low, high) = of_rounds.ci95;
    format!(
        "{name}: ours={}{unit} peer=- ratio=- ci95=[{},{}] goal={}",
        number(of_rounds.median),
        number(low),
        number(high),
        judged(of_rounds, goal, unit),
    )
}

/// The closing line of a figure that has neither a peer nor a goal: it is there to reckon with. `ci95` where there were rounds.
pub fn figure_line(name: &str, unit: &str, ours: f64, ci95: Option<(f64, f64)>) -> String {
    let interval =
        ci95.map_or_else(|| "-,-".to_owned(), |(low, high)| format!("{},{}", number(low), number(high)));
    format!("{name}: ours={}{unit} peer=- ratio=- ci95=[{interval}] goal=-", number(ours))
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

/// The goal, and whether the worse end of the interval reaches it.
fn judged(found: Ratio, goal: Goal, unit: &str) -> String {
    match goal {
        Goal::AtLeast(least) => format!(">={least}{unit} {}", verdict(found.ci95.0 >= least)),
        Goal::AtMost(most) => format!("<={most}{unit} {}", verdict(found.ci95.1 <= most)),
    }
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
            line("P5", "/s", 5400.4, 1000.0, RATIO, Goal::AtLeast(4.5)),
            "P5: ours=5400/s peer=1000/s ratio=5.400 ci95=[4.900,5.900] goal=>=4.5 pass"
        );
        assert_eq!(
            bound_line("P4-p99", "ms", RATIO, Goal::AtMost(15.0)),
            "P4-p99: ours=5.40ms peer=- ratio=- ci95=[4.90,5.90] goal=<=15ms pass"
        );
        assert_eq!(
            size_line("P10-signin", 40_001, 40_000),
            "P10-signin: ours=40.0KB peer=- ratio=- ci95=[-,-] goal=<=40.0KB short"
        );
        assert_eq!(
            figure_line("footprint-commits", "", 12.25, None),
            "footprint-commits: ours=12.25 peer=- ratio=- ci95=[-,-] goal=-"
        );
        assert_eq!(
            figure_line("pgvector-p50", "ms", RATIO.median, Some(RATIO.ci95)),
            "pgvector-p50: ours=5.40ms peer=- ratio=- ci95=[4.90,5.90] goal=-"
        );
    }

    #[test]
    fn rounds_are_told_by_their_medians_and_the_ratio_of_each_two() {
        assert_eq!(
            compared("P2", "ms", &[1.0, 2.0, 4.0], &[2.0, 4.0, 8.0], Goal::AtMost(0.5)),
            "P2: ours=2.00ms peer=4.00ms ratio=0.500 ci95=[0.500,0.500] goal=<=0.5 pass"
        );
    }

    #[test]
    fn the_worse_end_of_the_interval_decides() {
        for (goal, verdict) in [
            (Goal::AtLeast(5.0), "short"),
            (Goal::AtLeast(4.9), "pass"),
            (Goal::AtMost(5.5), "short"),
            (Goal::AtMost(5.9), "pass"),
        ] {
            assert!(line("P5", "", 1.0, 1.0, RATIO, goal).ends_with(verdict), "{goal:?}");
            assert!(bound_line("P5", "", RATIO, goal).ends_with(verdict), "{goal:?}");
        }
    }
}
