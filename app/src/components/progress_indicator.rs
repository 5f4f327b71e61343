//! A piece of work in a few named steps, such as the making of a workspace.

use super::{Each, Icon, IconName, LiveIcon, LoadingSpinner, Size, key_of};
use crate::view;
use leptos::prelude::*;

/// One step; the first that is not completed is the one in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressStep {
    pub label: String,
    pub completed: bool,
}

impl ProgressStep {
    pub fn new(label: impl Into<String>, completed: bool) -> Self {
        Self { label: label.into(), completed }
    }
}

/// `title`: what is being done; `description`: how long it may take, or what comes after; `steps`: live. Once all are
/// completed the spinner gives way to a check.
#[component]
pub fn ProgressIndicator(
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] description: MaybeProp<String>,
    #[prop(into)] steps: Signal<Vec<ProgressStep>>,
) -> impl IntoView {
    let done = Memo::new(move |_| steps.with(|s| !s.is_empty() && s.iter().all(|s| s.completed)));
    let current = Memo::new(move |_| steps.with(|s| s.iter().position(|s| !s.completed)));
    view! {
        <div class="indicator" role="status" aria-busy=move || (!done.get()).to_string()>
            {move || {
                if done.get() {
                    view! { <Icon name=IconName::CheckCircle /> }
                } else {
                    view! { <LoadingSpinner size=Size::Md /> }
                }
            }} <p class="indicator-title">{move || title.get()}</p>
            {move || description.get().map(|text| view! { <p class="indicator-text">{text}</p> })}
            <ol class="indicator-steps">
                <Each
                    each=move || {
                        let all = steps.get().into_iter().enumerate();
                        all.map(|(at, step)| Row { at, label: step.label, steps, current }).collect()
                    }
                    key=|row: &Row| key_of(row.at as u64, &row.label)
                    show=|row| view! { <Line row /> }
                />
            </ol>
        </div>
    }
}

/// A step in the list.
struct Row {
    at: usize,
    label: String,
    steps: Signal<Vec<ProgressStep>>,
    current: Memo<Option<usize>>,
}

#[component]
fn Line(row: Row) -> impl IntoView {
    let Row { at, label, steps, current } = row;
    let completed = Memo::new(move |_| steps.with(|s| s.get(at).is_some_and(|s| s.completed)));
    let now = Memo::new(move |_| current.get() == Some(at));
    view! {
        <li
            class="indicator-step"
            data-state=move || match (completed.get(), now.get()) {
                (true, _) => "done",
                (_, true) => "now",
                _ => "later",
            }
            aria-current=move || now.get().then_some("step")
        >
            <LiveIcon name=Signal::derive(move || {
                if completed.get() { IconName::CheckCircle } else { IconName::Circle }
            }) />
            {label}
            <span class="sr-only">{move || completed.get().then_some(", done")}</span>
        </li>
    }
}
