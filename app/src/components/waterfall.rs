//! Work as bars over time: which took how long, and what overlapped. The bars can be drawn out to several widths; the
//! same figures stand in the timelines.

use super::{use_now, words};
use crate::view;
use domain::{
    PhaseDetail, PhaseStatus, Timestamp,
    event::{FileProgress, StepStatus},
};
use leptos::prelude::*;

/// How far the bars can be drawn out, as parts of what is seen at once.
const ZOOMS: [u32; 3] = [1, 3, 10];

/// The height of a line: words, a bar, and room below it.
const LINE: usize = 40;

/// The steps of a document. `steps`: of one attempt.
#[component]
pub fn Waterfall(#[prop(into)] steps: Signal<Vec<FileProgress>>) -> impl IntoView {
    let now = use_now();
    let bars = Memo::new(move |_| steps.with(|steps| bars(steps, now.at.get())));
    view! { <Drawing bars label="Steps over time" /> }
}

/// A job: its phases, and below them its documents, each with its steps side by side.
#[component]
pub fn JobWaterfall(
    #[prop(into)] phases: Signal<Vec<PhaseDetail>>,
    #[prop(into)] steps: Signal<Vec<FileProgress>>,
) -> impl IntoView {
    let now = use_now();
    let bars =
        Memo::new(move |_| phases.with(|phases| steps.with(|steps| job_bars(phases, steps, now.at.get()))));
    view! { <Drawing bars label="The job over time" /> }
}

#[component]
fn Drawing(bars: Memo<Vec<Bar>>, label: &'static str) -> impl IntoView {
    let zoom = RwSignal::new(ZOOMS[0]);
    let whole = Memo::new(move |_| bars.with(|bars| bars.iter().map(Bar::end).max().unwrap_or(0)));
    view! {
        <div class="waterfall">
            <div class="row justify-end" role="group" aria-label="Zoom" data-scripted="">
                {ZOOMS
                    .map(|factor| {
                        view! {
                            <button
                                type="button"
                                class="chip"
                                aria-pressed=move || (zoom.get() == factor).to_string()
                                on:click=move |_| zoom.set(factor)
                            >
                                {format!("{factor}×")}
                            </button>
                        }
                    })
                    .collect_view()}
            </div>
            <div class="waterfall-box" tabindex="0" role="region" aria-label=label>
                <svg
                    class="chart"
                    role="img"
                    aria-label=move || bars.with(|bars| sentence(bars))
                    width=move || format!("{}%", zoom.get() * 100)
                    height=move || bars.with(Vec::len) * LINE + 4
                >
                    {move || {
                        let whole = whole.get().max(1) as f64;
                        bars.get().into_iter().enumerate().map(|(n, bar)| drawn(n, &bar, whole)).collect_view()
                    }}
                </svg>
            </div>
        </div>
    }
}

/// One line of the drawing: parts that follow one another.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    name: String,
    parts: Vec<Part>,
}

/// In micros from the begin of all.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    status: StepStatus,
    start: i64,
    length: i64,
}

impl Bar {
    fn start(&self) -> i64 {
        self.parts.iter().map(|p| p.start).min().unwrap_or(0)
    }

    fn end(&self) -> i64 {
        self.parts.iter().map(|p| p.start + p.length).max().unwrap_or(0)
    }

    fn length(&self) -> i64 {
        self.end() - self.start()
    }
}

/// From its start to its end, or, while it is at it, to the present or what was told last.
fn span(
    (start, told): (Timestamp, Timestamp),
    status: StepStatus,
    (first, now): (i64, Option<Timestamp>),
) -> Part {
    let told = told.micros();
    let end = match status {
        StepStatus::InProgress => now.map_or(told, |now| now.micros().max(told)),
        _ => told,
    };
    Part {
        status,
        start: start.micros().saturating_sub(first),
        length: end.saturating_sub(start.micros()).max(0),
    }
}

fn bars(steps: &[FileProgress], now: Option<Timestamp>) -> Vec<Bar> {
    let newest = steps.iter().map(|s| s.attempt).max().unwrap_or_default();
    let mut steps: Vec<_> = steps.iter().filter(|s| s.attempt == newest).collect();
    steps.sort_by_key(|s| (s.started_at, s.rev));
    let Some(first) = steps.first().map(|s| s.started_at.micros()) else { return vec![] };
    let bar = |s: &&FileProgress| Bar {
        name: s.step.as_str().replace('_', " "),
        parts: vec![span((s.started_at, s.timestamp), s.status, (first, now))],
    };
    steps.iter().map(bar).collect()
}

fn job_bars(phases: &[PhaseDetail], steps: &[FileProgress], now: Option<Timestamp>) -> Vec<Bar> {
    let began = phases.iter().filter_map(|p| p.started_at).chain(steps.iter().map(|s| s.started_at));
    let Some(first) = began.map(Timestamp::micros).min() else { return vec![] };
    let mut all: Vec<Bar> = phases
        .iter()
        .filter_map(|phase| {
            let start = phase.started_at?;
            let status = match phase.status {
                PhaseStatus::Running => StepStatus::InProgress,
                PhaseStatus::Failed | PhaseStatus::Cancelled => StepStatus::Error,
                _ => StepStatus::Complete,
            };
            let told = phase.completed_at.unwrap_or(start);
            let parts = vec![span((start, told), status, (first, now))];
            Some(Bar { name: phase.name.title().to_owned(), parts })
        })
        .collect();
    let mut last = None;
    for step in steps {
        let part = span((step.started_at, step.timestamp), step.status, (first, now));
        // Two files may have one name.
        match all.last_mut().filter(|_| last == Some(step.document_id)) {
            Some(bar) => bar.parts.push(part),
            None => all.push(Bar { name: step.filename.clone(), parts: vec![part] }),
        }
        last = Some(step.document_id);
    }
    all
}

/// One line: its name and time, and the bar below them. A bar may be as long as the drawing is wide, so beside it there may
/// be no room; above it the words begin with the bar, or end with one that begins late.
fn drawn(n: usize, bar: &Bar, whole: f64) -> impl IntoView + use<> {
    let percent = |micros: i64| micros as f64 * 100.0 / whole;
    let (x, width) = (percent(bar.start()), percent(bar.length()).max(0.4));
    let top = n * LINE;
    let y = top + 20;
    let (at, anchor) = if x > 50.0 { ((x + width).min(100.0), "end") } else { (x, "start") };
    let text = format!("{} · {}", short(&bar.name), words::duration(bar.length()));
    let parts = bar.parts.iter().map(|p| {
        view! {
            <rect
                class=format!("tone-{}", p.status)
                x=part(percent(p.start))
                y=y
                width=part(percent(p.length).max(0.4))
                height="12"
                rx="3"
            ></rect>
        }
    });
    view! {
        {parts.collect_view()}
        <text class="chart-text" x=part(at) y=top + 14 text-anchor=anchor>
            {text}
        </text>
    }
}

/// A long name loses its middle, so that its end and the time are seen on a phone too.
fn short(name: &str) -> String {
    let characters = name.chars().count();
    if characters <= 40 {
        return name.to_owned();
    }
    let start: String = name.chars().take(28).collect();
    let end: String = name.chars().skip(characters - 11).collect();
    format!("{start}…{end}")
}

fn part(percent: f64) -> String {
    format!("{}%", words::hundredths(percent))
}

fn sentence(bars: &[Bar]) -> String {
    let parts: Vec<_> = bars.iter().map(|b| format!("{} {}", b.name, words::duration(b.length()))).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::step;
    use domain::Step;

    #[test]
    fn a_long_name_keeps_its_begin_and_its_end() {
        assert_eq!(short("notes.md"), "notes.md");
        let name = "a-report-with-a-rather-long-name-of-the-year-2025-final.txt";
        assert_eq!(short(name), "a-report-with-a-rather-long-…5-final.txt");
    }

    #[test]
    fn bars_begin_at_the_first_step_of_the_newest_attempt_and_a_running_one_grows() {
        let mut old = step(1, 1, 10.0);
        old.attempt = 1;
        let told = |attempt, name: &str, start: i64, end: i64, status| {
            let mut step = step(1, 2, 10.0);
            (step.attempt, step.status) = (attempt, status);
            step.step = Step::from(name.to_owned());
            step.started_at = Timestamp::from_micros(start);
            step.timestamp = Timestamp::from_micros(end);
            step
        };
        let steps = [
            old,
            told(2, "chunking_text", 3_000, 3_500, StepStatus::InProgress),
            told(2, "extracting_text", 1_000, 3_000, StepStatus::Complete),
        ];
        let spans = |now: Option<i64>| -> Vec<(String, i64, i64)> {
            let bars = bars(&steps, now.map(Timestamp::from_micros));
            bars.into_iter().map(|b| (b.name.clone(), b.start(), b.length())).collect()
        };
        let first = ("extracting text".to_owned(), 0, 2_000);
        assert_eq!(spans(None), [first.clone(), ("chunking text".into(), 2_000, 500)]);
        assert_eq!(spans(Some(9_000)), [first, ("chunking text".into(), 2_000, 6_000)]);
        assert_eq!(bars(&[], None), []);
    }

    #[test]
    fn a_job_shows_its_phases_and_below_them_each_document_in_one_line() {
        use domain::PhaseName;
        let at = |micros| Some(Timestamp::from_micros(micros));
        let phase = |name, start, end, status| PhaseDetail {
            status,
            started_at: start,
            completed_at: end,
            ..PhaseDetail::pending(name)
        };
        let phases = [
            phase(PhaseName::Loading, at(1_000), at(4_000), PhaseStatus::Completed),
            phase(PhaseName::Chunking, at(2_000), None, PhaseStatus::Running),
            phase(PhaseName::Embedding, None, None, PhaseStatus::Pending),
        ];
        let told = |id: u64, name: &str, start: i64, end: i64, status| {
            let mut step = step(id, 2, 10.0);
            (step.filename, step.status) = (name.to_owned(), status);
            step.started_at = Timestamp::from_micros(start);
            step.timestamp = Timestamp::from_micros(end);
            step
        };
        let steps = [
            told(1, "a.txt", 1_000, 2_000, StepStatus::Complete),
            told(1, "a.txt", 2_000, 2_500, StepStatus::InProgress),
            told(2, "a.txt", 2_000, 4_000, StepStatus::Error),
        ];
        let bars = job_bars(&phases, &steps, at(6_000));
        let lines: Vec<_> =
            bars.iter().map(|b| (b.name.as_str(), b.start(), b.length(), b.parts.len())).collect();
        assert_eq!(
            lines,
            [
                ("Loading", 0, 3_000, 1),
                ("Chunking", 1_000, 4_000, 1),
                ("a.txt", 0, 5_000, 2),
                ("a.txt", 1_000, 2_000, 1)
            ]
        );
        assert_eq!(job_bars(&[], &[], None), []);
    }
}
