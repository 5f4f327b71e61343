//! What became of the earlier attempts of a job.

use crate::{effect::effect, server_fns::jobs::list_attempts, view, wire::Wire};
use domain::{Job, JobId, resource::Attempt};
use leptos::{html, prelude::*, task::spawn_local};

/// The attempts before the present one, read when somebody looks.
#[component]
pub fn Attempts(id: JobId, job: RwSignal<Option<Job>>) -> impl IntoView {
    let attempt = Memo::new(move |_| job.with(|j| j.as_ref().map_or(1, |j| j.attempt)));
    let node = NodeRef::<html::Details>::new();
    let is_open = RwSignal::new(false);
    let read = RwSignal::new(Vec::<Attempt>::new());
    let failed = RwSignal::new(None::<String>);
    effect(move || {
        attempt.track();
        if !is_open.get() {
            return;
        }
        spawn_local(async move {
            match list_attempts(id).await {
                Ok(Wire(attempts)) => {
                    failed.try_set(None);
                    read.try_set(attempts);
                }
                Err(error) => {
                    failed.try_set(Some(error.0.detail));
                }
            }
        });
    });
    let lines = move || {
        let now = attempt.get();
        let earlier = read.get().into_iter().filter(move |a| a.attempt < now);
        earlier
            .map(|a| {
                let errors = a.errors.into_iter();
                let errors = errors.map(|e| view! { <li>{format!("{}: {}", e.filename, e.error)}</li> });
                view! {
                    <li>
                        {format!("Attempt {}: {}", a.attempt, a.message)}
                        <ul class="muted">{errors.collect_view()}</ul>
                    </li>
                }
            })
            .collect_view()
    };
    move || {
        (attempt.get() > 1).then(|| {
            view! {
                <details
                    class="details"
                    data-scripted=""
                    data-attempts=""
                    node_ref=node
                    on:toggle=move |_| is_open.set(node.get_untracked().is_some_and(|details| details.open()))
                >
                    <summary class="meta">"Earlier attempts"</summary>
                    <ul>{lines}</ul>
                    <p class="text-status-failed" role="status">{move || failed.get()}</p>
                </details>
            }
        })
    }
}
