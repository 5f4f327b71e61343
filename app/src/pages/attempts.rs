//! The attempts of a job or a document before the present one, read when somebody looks.

use crate::{AppError, effect::effect, view};
use leptos::{html, prelude::*, task::spawn_local};
use std::{future::Future, pin::Pin};

/// What reads them. The call is made in the browser alone, so what it answers may stay on one thread.
pub type Read<T> = Callback<(), Reading<T>>;
pub type Reading<T> = Pin<Box<dyn Future<Output = Result<Vec<T>, AppError>>>>;

/// `attempt`: the present one; `number`: which attempt something is of; `show`: how it is told.
#[component]
pub fn EarlierAttempts<T: Clone + Send + Sync + 'static>(
    attempt: Memo<u32>,
    read: Read<T>,
    show: fn(T) -> AnyView,
    number: fn(&T) -> u32,
) -> impl IntoView {
    let node = NodeRef::<html::Details>::new();
    let is_open = RwSignal::new(false);
    let known = RwSignal::new(Vec::<T>::new());
    let failed = RwSignal::new(None::<String>);
    effect(move || {
        attempt.track();
        if !is_open.get() {
            return;
        }
        let reading = read.run(());
        spawn_local(async move {
            match reading.await {
                Ok(attempts) => {
                    failed.try_set(None);
                    known.try_set(attempts);
                }
                Err(error) => {
                    failed.try_set(Some(error.0.detail));
                }
            }
        });
    });
    let lines = move || {
        let now = attempt.get();
        let earlier = known.get().into_iter().filter(move |one| number(one) < now);
        earlier.map(|one| view! { <li>{show(one)}</li> }).collect_view()
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
                    <ul class="stack">{lines}</ul>
                    <p class="text-status-failed" role="status">{move || failed.get()}</p>
                </details>
            }
        })
    }
}
