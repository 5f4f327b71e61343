//! A choice of one among a few, in the browser's own list.

use super::{
    Icon, IconName,
    field::{Label, Note},
};
use leptos::prelude::*;

/// `options`: value and words; `value`: the one chosen at the start; the rest as in [`Field`](super::Field).
#[component]
pub fn Select(
    #[prop(into)] label: String,
    name: &'static str,
    #[prop(into)] options: Vec<(String, String)>,
    #[prop(optional, into)] value: MaybeProp<String>,
    #[prop(optional, into)] error: MaybeProp<String>,
    #[prop(optional, into)] help: Option<String>,
    #[prop(optional, into)] disabled: Signal<bool>,
    #[prop(optional, into)] on_change: Option<Callback<String>>,
) -> impl IntoView {
    let note = format!("{name}-note");
    let options = options.into_iter().map(|(key, words)| {
        let chosen = key.clone();
        let selected = move || value.with(|v| v.as_ref() == Some(&chosen));
        view! {
            <option value=key selected=selected>
                {words}
            </option>
        }
    });
    view! {
        <div class="field">
            <Label target=name.to_owned() label optional=false />
            <div class="field-box">
                <select
                    class="input"
                    id=name
                    name=name
                    disabled=move || disabled.get()
                    aria-invalid=move || error.get().map(|_| "true")
                    aria-describedby=note.clone()
                    on:change=move |ev| {
                        if let Some(callback) = on_change {
                            callback.run(event_target_value(&ev));
                        }
                    }
                >
                    {options.collect_view()}
                </select>
                <Icon name=IconName::ChevronDown />
            </div>
            <Note id=note error help />
        </div>
    }
}
