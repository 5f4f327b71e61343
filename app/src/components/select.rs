//! A choice of one among a few, in the browser's own list.

use super::{
    Icon, IconName,
    field::{Label, Note, takes_cursor},
};
use crate::view;
use leptos::prelude::*;

/// One of the choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectOption {
    pub value: String,
    pub words: String,
    /// It is told that there is such a thing, but it cannot be chosen.
    pub disabled: bool,
}

impl SelectOption {
    pub fn new(value: impl Into<String>, words: impl Into<String>) -> Self {
        Self { value: value.into(), words: words.into(), disabled: false }
    }
}

/// `value`: the one chosen at the start; the rest as in [`Field`](super::Field).
#[component]
pub fn Select(
    #[prop(into)] label: String,
    name: &'static str,
    #[prop(into)] options: Vec<SelectOption>,
    #[prop(optional, into)] value: MaybeProp<String>,
    #[prop(optional, into)] error: MaybeProp<String>,
    #[prop(optional, into)] help: MaybeProp<String>,
    #[prop(optional, into)] disabled: Signal<bool>,
    #[prop(optional, into)] on_change: Option<Callback<String>>,
) -> impl IntoView {
    let note = format!("{name}-note");
    let named = label.clone();
    let autofocus = takes_cursor(error);
    let options = options.into_iter().map(|SelectOption { value: key, words, disabled }| {
        let chosen = key.clone();
        let selected = move || value.with(|v| v.as_ref() == Some(&chosen));
        view! {
            <option value=key selected=selected disabled=disabled>
                {words}
            </option>
        }
    });
    view! {
        <div class="field" data-field=named>
            <Label target=name.to_owned() label optional=false />
            <div class="field-box">
                <select
                    class="input"
                    id=name
                    name=name
                    autofocus=autofocus
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
