//! What happened to a document, a line a step. A switch turns every line into its technical form in place; it is plain
//! CSS, so it works without a script.

use super::{use_now, words};
use domain::{
    Step, Timestamp,
    event::{FileProgress, StepStatus},
    message::{Facts, friendly},
};
use leptos::prelude::*;

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
                <For each=move || ordered.get() key=|s| (s.attempt, s.step.clone()) let(first)>
                    <Line ordered current first />
                </For>
            </ol>
        </div>
    }
}

type Key = (u32, Step);

fn in_progress_key(step: &FileProgress) -> Option<Key> {
    (step.status == StepStatus::InProgress).then(|| (step.attempt, step.step.clone()))
}

/// `first`: the step as it was when its line was made; it names the line, and its successors replace it in place.
#[component]
fn Line(ordered: Memo<Vec<FileProgress>>, current: Memo<Option<Key>>, first: FileProgress) -> impl IntoView {
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
                title=move || step.with(|s| words::exact(s.started_at, now.offset_minutes.get()))
            >
                {move || {
                    step.with(|s| words::clock_seconds(s.started_at, now.offset_minutes.get().unwrap_or(0)))
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
    if let serde_json::Value::Object(extra) = &step.extra {
        for (name, value) in extra {
            out.push_str(&format!(" {name}={value}"));
        }
    }
    out
}

fn took(step: &FileProgress, now: Option<Timestamp>) -> Option<String> {
    match step.status {
        StepStatus::InProgress => {
            now.map(|now| words::duration(now.seconds_since(step.started_at) * 1_000_000))
        }
        _ => Some(words::duration(step.timestamp.micros().saturating_sub(step.started_at.micros()))),
    }
}
