//! Bars. A length that changes is a `<progress>`, which needs no style.

use super::words;
use crate::view;
use leptos::prelude::*;

/// `value`: 0–100, or `None` when the total is unknown: then the label alone is shown, as a count, and no bar pretends
/// to know. `label`: what is counted ("105 of 150 documents"). `tenths`: one decimal, for work of more than a minute.
#[component]
pub fn ProgressBar(
    #[prop(into)] value: Signal<Option<f64>>,
    #[prop(into)] label: Signal<String>,
    #[prop(optional, into)] tenths: Signal<bool>,
) -> impl IntoView {
    let known = Memo::new(move |_| value.get().is_some());
    view! {
        <div class="bar-line">
            <span class="bar-label">{move || label.get()}</span>
            {move || {
                known
                    .get()
                    .then(|| {
                        view! {
                            <progress
                                class="bar grow"
                                max="100"
                                value=move || value.get().map(words::share)
                                aria-label=move || label.get()
                            ></progress>
                            <span class="bar-percent">
                                {move || value.get().map(|v| words::percent(v, tenths.get()))}
                            </span>
                        }
                    })
            }}
        </div>
    }
}

/// The line along the lower edge of a document's row. The badge says the percentage, so it is hidden from screen
/// readers.
#[component]
pub fn DocumentProgress(#[prop(into)] value: Signal<f64>) -> impl IntoView {
    view! {
        <progress
            class="doc-progress"
            max="100"
            value=move || words::share(value.get())
            aria-hidden="true"
        ></progress>
    }
}
