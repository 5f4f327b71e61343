//! Steps as bars over time: which took how long, and what overlapped. The bars can be drawn out to several widths; the
//! same figures stand in the step timeline.

use super::{use_now, words};
use crate::view;
use domain::{
    Timestamp,
    event::{FileProgress, StepStatus},
};
use leptos::prelude::*;

/// How far the bars can be drawn out, as parts of what is seen at once.
const ZOOMS: [u32; 3] = [1, 3, 10];

/// `steps`: of one attempt.
#[component]
pub fn Waterfall(#[prop(into)] steps: Signal<Vec<FileProgress>>) -> impl IntoView {
    let now = use_now();
    let zoom = RwSignal::new(ZOOMS[0]);
    let bars = Memo::new(move |_| steps.with(|steps| bars(steps, now.at.get())));
    let whole =
        Memo::new(move |_| bars.with(|bars| bars.iter().map(|b| b.start + b.length).max().unwrap_or(0)));
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
            <div class="waterfall-box" tabindex="0" role="region" aria-label="Steps over time">
                <svg
                    class="chart"
                    role="img"
                    aria-label=move || bars.with(|bars| sentence(bars))
                    width=move || format!("{}%", zoom.get() * 100)
                    height=move || bars.with(Vec::len) * 24 + 4
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

/// A step, in micros from the first step's begin.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    step: String,
    status: StepStatus,
    start: i64,
    length: i64,
}

fn bars(steps: &[FileProgress], now: Option<Timestamp>) -> Vec<Bar> {
    let newest = steps.iter().map(|s| s.attempt).max().unwrap_or_default();
    let mut steps: Vec<_> = steps.iter().filter(|s| s.attempt == newest).collect();
    steps.sort_by_key(|s| (s.started_at, s.rev));
    let Some(first) = steps.first().map(|s| s.started_at.micros()) else { return vec![] };
    let bar = |s: &&FileProgress| {
        let told = s.timestamp.micros();
        let end = match s.status {
            StepStatus::InProgress => now.map_or(told, |now| now.micros().max(told)),
            _ => told,
        };
        Bar {
            step: s.step.as_str().replace('_', " "),
            status: s.status,
            start: s.started_at.micros().saturating_sub(first),
            length: end.saturating_sub(s.started_at.micros()).max(0),
        }
    };
    steps.iter().map(bar).collect()
}

/// One bar with its name and time: beside it where there is room, else before it.
fn drawn(n: usize, bar: &Bar, whole: f64) -> impl IntoView + use<> {
    let percent = |micros: i64| micros as f64 * 100.0 / whole;
    let (x, width) = (percent(bar.start), percent(bar.length).max(0.4));
    let y = n * 24 + 4;
    let is_late = x + width > 60.0;
    let (at, anchor, shift) = if is_late { (x, "end", -6) } else { (x + width, "start", 6) };
    let text = format!("{} · {}", bar.step, words::duration(bar.length));
    view! {
        <rect
            class=format!("tone-{}", bar.status)
            x=part(x)
            y=y
            width=part(width)
            height="16"
            rx="3"
        ></rect>
        <text class="chart-text" x=part(at) dx=shift y=y + 12 text-anchor=anchor>
            {text}
        </text>
    }
}

fn part(percent: f64) -> String {
    format!("{}%", words::hundredths(percent))
}

fn sentence(bars: &[Bar]) -> String {
    let parts: Vec<_> = bars.iter().map(|b| format!("{} {}", b.step, words::duration(b.length))).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::step;
    use domain::Step;

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
            bars.into_iter().map(|b| (b.step, b.start, b.length)).collect()
        };
        let first = ("extracting text".to_owned(), 0, 2_000);
        assert_eq!(spans(None), [first.clone(), ("chunking text".into(), 2_000, 500)]);
        assert_eq!(spans(Some(9_000)), [first, ("chunking text".into(), 2_000, 6_000)]);
        assert_eq!(bars(&[], None), []);
    }
}
