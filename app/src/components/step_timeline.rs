//! What happened to a document, a line a step. A switch turns every line into its technical form in place; it is plain
//! CSS, so it works without a script.

use super::{Each, key_of, use_now, words};
use crate::view;
use domain::{
    Step, Timestamp,
    event::{FileProgress, StepStatus},
    message::{Facts, friendly},
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
        friendly(&step.step, &Facts::file(&step.filename))
    } else {
        step.message.clone()
    }
}

/// Key, state, percentage, place in the log, and whatever else came along.
fn technical(step: &FileProgress) -> String {
    let mut out =
        format!("{} {} {} rev={}", step.step, step.status, words::percent(step.progress, true), step.rev);
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
