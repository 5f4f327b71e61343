//! Charts as SVG. Colours come from the style sheet, by class, so a chart follows the theme; every number also stands in
//! a table beside it.

use super::{Chart, Figures};
use crate::components::words;
use domain::{
    Analytics, FileKind, PhaseName,
    analytics::{Day, PhaseTime},
    message::number,
};
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 180.0;
/// Room for the numbers at the left, and for the words below.
const LEFT: f64 = 44.0;
const BELOW: f64 = 22.0;
/// Height of one line of bars that lie.
const LINE: f64 = 30.0;

pub fn figures(name: String, days: u32, of: &Analytics) -> Figures {
    let rate = of.failure_rate.map_or_else(|| "–".to_owned(), |rate| words::percent(rate * 100.0, true));
    let added: u64 = of.days.iter().map(|d| d.added).sum();
    let fact = |name: &str, value: String| (name.to_owned(), value);
    Figures {
        name,
        days,
        facts: vec![
            fact("Added", number(added)),
            fact("Ready", number(of.ready)),
            fact("Failed", number(of.failed)),
            fact("Failure rate", rate),
        ],
        charts: vec![per_day(&of.days), failure_rate(&of.days), phases(&of.phases)],
        is_part: of.is_part,
    }
}

/// Charts of three days, for the gallery of components.
#[cfg(debug_assertions)]
pub fn sample_charts() -> Vec<Chart> {
    let day = |date: &str, ready, failed| Day { date: date.into(), added: ready + failed, ready, failed };
    let days = vec![day("2026-11-20", 12, 1), day("2026-11-21", 0, 0), day("2026-11-22", 31, 4)];
    vec![per_day(&days), failure_rate(&days)]
}

fn legend(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(class, name)| ((*class).to_owned(), (*name).to_owned())).collect()
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

fn per_day(days: &[Day]) -> Chart {
    let most = days.iter().map(|d| d.ready + d.failed).max().unwrap_or_default().max(1);
    let columns: Vec<Vec<(&str, f64)>> =
        days.iter().map(|d| vec![("ready", d.ready as f64), ("failed", d.failed as f64)]).collect();
    let label = |value: f64| number(value.round() as u64);
    Chart {
        title: "Documents per day".into(),
        about: "How many documents became ready, and how many failed, on each day (UTC).".into(),
        svg: standing(days, &columns, nice(most as f64), &label),
        legend: legend(&[("ready", "Ready"), ("failed", "Failed")]),
        columns: texts(&["Day", "Added", "Ready", "Failed"]),
        rows: days
            .iter()
            .filter(|d| d.added + d.ready + d.failed > 0)
            .map(|d| vec![d.date.clone(), number(d.added), number(d.ready), number(d.failed)])
            .collect(),
    }
}

fn failure_rate(days: &[Day]) -> Chart {
    let rate = |d: &Day| match d.ready + d.failed {
        0 => None,
        ended => Some(100.0 * d.failed as f64 / ended as f64),
    };
    let columns: Vec<Vec<(&str, f64)>> =
        days.iter().map(|d| vec![("failed", rate(d).unwrap_or_default())]).collect();
    let label = |value: f64| format!("{} %", value.round());
    Chart {
        title: "Failure rate".into(),
        about: "The share of the documents that ended on a day and failed.".into(),
        svg: standing(days, &columns, 100.0, &label),
        legend: legend(&[("failed", "Failed")]),
        columns: texts(&["Day", "Ended", "Failure rate"]),
        rows: days
            .iter()
            .filter_map(|d| {
                let rate = rate(d)?;
                Some(vec![d.date.clone(), number(d.ready + d.failed), words::percent(rate, true)])
            })
            .collect(),
    }
}

/// A bound at or above the value that reads well: 1, 2 or 5 and zeros.
fn nice(value: f64) -> f64 {
    let tens = 10f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * tens).find(|bound| *bound >= value).unwrap_or(value)
}

/// Bars that stand, one a day, each of parts on top of one another.
fn standing(days: &[Day], columns: &[Vec<(&str, f64)>], most: f64, label: &dyn Fn(f64) -> String) -> String {
    let (inner, tall) = (WIDTH - LEFT - 4.0, HEIGHT - BELOW - 8.0);
    let step = inner / days.len().max(1) as f64;
    let bar = (step * 0.7).min(28.0);
    let mut out = format!(r#"<svg class="chart by-day" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">"#);
    for share in [0.0, 0.5, 1.0] {
        let y = 8.0 + tall * (1.0 - share);
        out.push_str(&format!(
            r#"<line class="chart-line" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1}" y2="{y:.1}"/>"#
        ));
        // Half a document would be no help.
        if share != 0.5 || (most / 2.0).fract() == 0.0 {
            let (x, y) = (LEFT - 8.0, y + 4.0);
            let text = label(most * share);
            out.push_str(&format!(
                r#"<text class="chart-text" x="{x}" y="{y:.1}" text-anchor="end">{text}</text>"#
            ));
        }
    }
    for (n, (day, parts)) in days.iter().zip(columns).enumerate() {
        let x = LEFT + step * n as f64 + (step - bar) / 2.0;
        let mut y = 8.0 + tall;
        for (class, value) in parts.iter().filter(|(_, value)| *value > 0.0) {
            let height = (tall * value / most).max(1.5);
            y -= height;
            out.push_str(&format!(
                r#"<rect class="tone-{class}" x="{x:.1}" y="{y:.1}" width="{bar:.1}" height="{height:.1}"/>"#
            ));
        }
        // Not every day has room for its name.
        if n % days.len().div_ceil(6).max(1) == 0 {
            let (x, y) = (x + bar / 2.0, HEIGHT - 4.0);
            let name = day.date.get(5..).unwrap_or_default();
            out.push_str(&format!(
                r#"<text class="chart-text" x="{x:.1}" y="{y}" text-anchor="middle">{name}</text>"#
            ));
        }
    }
    out.push_str("</svg>");
    out
}

/// Bars that lie, one a kind of file, each of its phases.
fn phases(times: &[PhaseTime]) -> Chart {
    let mut kinds: Vec<&str> = times.iter().map(|t| t.kind.as_str()).collect();
    kinds.dedup();
    let of = |kind: &str, phase: PhaseName| times.iter().find(|t| t.kind == kind && t.phase == phase);
    let time = |kind: &str, phase: PhaseName| of(kind, phase).map_or(0, |t| t.median_ms);
    let whole = |kind: &str| PhaseName::ALL.iter().map(|&phase| time(kind, phase)).sum::<u64>();
    let most = kinds.iter().map(|kind| whole(kind)).max().unwrap_or_default().max(1) as f64;
    let (left, right) = (64.0, 70.0);
    let height = LINE * kinds.len() as f64 + 4.0;
    let mut out = format!(r#"<svg class="chart" viewBox="0 0 {WIDTH} {height}" aria-hidden="true">"#);
    for (n, kind) in kinds.iter().enumerate() {
        let y = LINE * n as f64 + 6.0;
        let (middle, mut x) = (y + 15.0, left);
        let (at, name) = (left - 8.0, kind_name(kind));
        out.push_str(&format!(
            r#"<text class="chart-text" x="{at}" y="{middle}" text-anchor="end">{name}</text>"#
        ));
        for &phase in PhaseName::ALL {
            let width = (WIDTH - left - right) * time(kind, phase) as f64 / most;
            if width > 0.0 {
                let class = phase.as_str();
                let width = width.max(1.5);
                out.push_str(&format!(
                    r#"<rect class="tone-{class}" x="{x:.1}" y="{y}" width="{width:.1}" height="20"/>"#
                ));
                x += width;
            }
        }
        let (x, text) = (x + 8.0, millis(whole(kind)));
        out.push_str(&format!(r#"<text class="chart-text" x="{x:.1}" y="{middle}">{text}</text>"#));
    }
    out.push_str("</svg>");
    let phase_titles = PhaseName::ALL.iter().map(|p| (p.as_str().to_owned(), p.title().to_owned()));
    Chart {
        title: "Median time per phase".into(),
        about: "How long a document of each kind usually takes in each phase, the time from step to step."
            .into(),
        svg: out,
        legend: phase_titles.collect(),
        columns: texts(&["Kind", "Phase", "Documents", "Median"]),
        rows: times
            .iter()
            .map(|t| {
                vec![
                    kind_name(&t.kind).to_owned(),
                    t.phase.title().to_owned(),
                    number(t.documents),
                    millis(t.median_ms),
                ]
            })
            .collect(),
    }
}

fn kind_name(kind: &str) -> &'static str {
    FileKind::ALL.into_iter().find(|k| k.as_str() == kind).map_or("Other", FileKind::label)
}

fn millis(ms: u64) -> String {
    words::duration(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_read_well() {
        let bounds = [0.0, 1.0, 3.0, 5.0, 7.0, 12.0, 99.0, 101.0].map(nice);
        assert_eq!(bounds, [1.0, 1.0, 5.0, 5.0, 10.0, 20.0, 100.0, 200.0]);
    }

    #[test]
    fn a_chart_has_a_bar_for_each_figure_and_a_row_for_each_day_that_has_any() {
        let day = |date: &str, ready, failed| Day { date: date.into(), added: 0, ready, failed };
        let days = [day("2026-11-20", 3, 1), day("2026-11-21", 0, 0), day("2026-11-22", 2, 0)];
        let chart = per_day(&days);
        assert_eq!(chart.svg.matches("<rect").count(), 3);
        assert_eq!(chart.svg.matches("tone-failed").count(), 1);
        assert_eq!(chart.rows.len(), 2);
        assert!(chart.svg.ends_with("</svg>"));
        let times = [
            ("pdf", PhaseName::Loading, 900),
            ("pdf", PhaseName::Embedding, 2_100),
            ("text", PhaseName::Loading, 40),
        ]
        .map(|(kind, phase, median_ms)| PhaseTime {
            kind: kind.into(),
            phase,
            documents: 1,
            median_ms,
        });
        let chart = phases(&times);
        assert_eq!(chart.svg.matches("<rect").count(), 3);
        assert!(
            chart.svg.contains(">PDF<") && chart.svg.contains(">TXT<") && chart.svg.contains("3.0 s"),
            "{}",
            chart.svg
        );
    }
}
