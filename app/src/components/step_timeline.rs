//! What happened to a document, a line a step. A switch turns every line into its technical form in place; it is plain
//! CSS, so it works without a script.

use super::{Each, key_of, use_now, words};
use crate::view;
use domain::{
    Step, Timestamp,
    event::{FileProgress, StepStatus},
    message::{Facts, WRITTEN, friendly},
};
use leptos::prelude::*;
use serde_json::Value;

/// `steps`: as they come, of one attempt; they are shown by the time they began. The newest one that is in progress is
/// the current one.
#[component]
pub fn StepTimeline(#[prop(into)] steps: Signal<Vec<FileProgress>>) -> impl IntoView {
    let ordered = Memo::new(move |_| {
        let mut steps = steps.get();
        steps.sort_by_key(|s| (s.attempt, s.started_at, s.rev));
        steps
    });
    let current = Memo::new(move |_| ordered.with(|all| all.iter().rev().find_map(in_progress_key)));
    view! {
        <div class="steps-view">
            <div class="steps-head">
                <label class="check meta">
                    <input type="checkbox" class="steps-switch" autocomplete="off" />
                    "Technical view"
                </label>
            </div>
            <ol class="steps" aria-label="Steps">
                <Each
                    each=move || ordered.get().into_iter().map(|first| Row { first, ordered, current }).collect()
                    key=|row: &Row| key_of(row.first.attempt.into(), row.first.step.as_str())
                    show=|row| view! { <Line row /> }
                />
            </ol>
        </div>
    }
}

type Key = (u32, Step);

fn in_progress_key(step: &FileProgress) -> Option<Key> {
    (step.status == StepStatus::InProgress).then(|| (step.attempt, step.step.clone()))
}

/// A line of the list.
struct Row {
    /// The step as it was when its line was made; it names the line, and its successors replace it in place.
    first: FileProgress,
    ordered: Memo<Vec<FileProgress>>,
    current: Memo<Option<Key>>,
}

#[component]
fn Line(row: Row) -> impl IntoView {
    let Row { first, ordered, current } = row;
    let now = use_now();
    let key = (first.attempt, first.step.clone());
    let is_current = {
        let key = key.clone();
        Memo::new(move |_| current.with(|c| c.as_ref() == Some(&key)))
    };
    let step = Memo::new(move |before: Option<&FileProgress>| {
        ordered.with(|all| {
            all.iter()
                .find(|s| s.attempt == key.0 && s.step == key.1)
                .or(before)
                .cloned()
                .unwrap_or_else(|| first.clone())
        })
    });
    view! {
        <li
            class="step"
            data-status=move || step.with(|s| s.status.as_str())
            aria-current=move || is_current.get().then_some("step")
        >
            <time
                class="step-time"
                datetime=move || step.with(|s| s.started_at.to_string())
                title=move || step.with(|s| words::exact(s.started_at, now.offset(s.started_at)))
            >
                {move || {
                    step.with(|s| words::clock_seconds(s.started_at, now.offset(s.started_at).unwrap_or(0)))
                }}
            </time>
            <span class="step-dot" aria-hidden="true"></span>
            <span class="step-say">{move || step.with(say)}</span>
            <code class="step-code">{move || step.with(technical)}</code>
            <span class="step-took">{move || step.with(|s| took(s, now.at.get()))}</span>
        </li>
    }
}

/// The sentence for people: what was said, or, should that be blank, what the step's name says.
fn say(step: &FileProgress) -> String {
    if step.message.trim().is_empty() {
        friendly(WRITTEN, &step.step, &Facts::of_extra(&step.filename, &step.extra))
    } else {
        step.message.clone()
    }
}

/// Key, state, percentage, place in the log, the ids of the very event, and whatever else came along.
fn technical(step: &FileProgress) -> String {
    let mut out =
        format!("{} {} {} rev={}", step.step, step.status, words::percent(step.progress, true), step.rev);
    out.push_str(&format!(" document={}", step.document_id));
    if let Some(job) = step.job_id {
        out.push_str(&format!(" job={job}"));
    }
    out.push_str(&format!(" attempt={}", step.attempt));
    if let Value::Object(extra) = &step.extra {
        for (name, value) in extra {
            out.push_str(&format!(" {name}={}", figure(value)));
        }
    }
    out
}

/// A value as JSON has it. `serde_json` would bring its tables for floats along.
fn figure(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(yes) => yes.to_string(),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => n.to_string(),
            (None, n) => words::hundredths(n.unwrap_or_default()),
        },
        Value::String(text) => format!("\"{text}\""),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(figure).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("\"{name}\":{}", figure(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
    }
}

fn took(step: &FileProgress, now: Option<Timestamp>) -> Option<String> {
    match step.status {
        StepStatus::InProgress => {
            now.map(|now| words::duration(now.seconds_since(step.started_at) * 1_000_000))
        }
        _ => Some(words::duration(step.timestamp.micros().saturating_sub(step.started_at.micros()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::Now;
    use crate::samples::{at, step};

    /// The list as a browser gets it, at that second; `None`: before there is a clock.
    fn drawn(steps: Vec<FileProgress>, second: Option<u64>) -> String {
        let owner = Owner::new();
        owner.with(|| {
            let now = second.map(|second| at(second * 1_000_000));
            provide_context(Now { at: RwSignal::new(now), zone: RwSignal::new(None) });
            view! { <StepTimeline steps=Signal::stored(steps) /> }.to_html()
        })
    }

    fn two() -> Vec<FileProgress> {
        let mut read = step(1, 3, 25.0);
        read.status = StepStatus::Complete;
        (read.started_at, read.timestamp) = (at(1_000_000), at(3_000_000));
        let mut cut = step(1, 4, 50.0);
        cut.step = Step::ChunkingText;
        cut.message = "Splitting the text into chunks…".into();
        cut.extra = serde_json::json!({ "phase": "chunking", "chunks": 7, "embedded": 0 });
        (cut.started_at, cut.timestamp) = (at(3_000_000), at(3_000_000));
        vec![cut, read]
    }

    #[test]
    fn the_technical_half_of_a_line_tells_key_ids_and_counts_of_the_event_that_the_friendly_half_words() {
        let cut = &two()[0];
        assert_eq!(say(cut), "Splitting the text into chunks…");
        assert_eq!(
            technical(cut),
            "chunking_text in_progress 50.0 % rev=4 document=00000000-0000-0000-0000-000000000001 \
             job=00000000-0000-0000-0000-000000000050 attempt=1 chunks=7 embedded=0 phase=\"chunking\""
        );
        let html = drawn(two(), None);
        let line = html.split("<li").find(|line| line.contains("chunking_text")).expect("the line");
        assert!(line.contains("Splitting the text into chunks…") && line.contains("rev=4"), "{line}");
    }

    #[test]
    fn only_the_step_that_runs_is_the_current_one_and_its_time_goes_on() {
        let lines = |second| {
            let html = drawn(two(), second);
            html.split("<li").skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let now = lines(Some(8));
        assert_eq!(now.len(), 2);
        assert!(now[0].contains("extracting_text") && !now[0].contains("aria-current"), "{}", now[0]);
        assert!(now[0].contains(">2.0 s<"), "{}", now[0]);
        assert!(now[1].contains("aria-current=\"step\"") && now[1].contains(">5.0 s<"), "{}", now[1]);
        assert!(lines(Some(70))[1].contains(">1 min 7 s<"), "{}", lines(Some(70))[1]);
        // Before there is a clock nothing pretends to know.
        assert!(!lines(None)[1].contains("s</span>"), "{}", lines(None)[1]);
    }

    #[test]
    fn a_step_that_came_without_words_is_worded_by_what_came_along() {
        let mut cut = two()[0].clone();
        cut.message = " ".into();
        assert_eq!(say(&cut), "Split the text into 7 chunks");
    }
}
