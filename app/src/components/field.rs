//! Fields of forms: label above, help below, the error in place of the help. They work without a script: what they
//! hold travels by `name`.

use super::{Icon, IconName};
use leptos::prelude::*;

/// The line below a field, which keeps its place when it has nothing to say.
#[component]
pub(super) fn Note(id: String, error: MaybeProp<String>, help: Option<String>) -> impl IntoView {
    let text = move || error.get().or_else(|| help.clone());
    view! {
        <p class="field-note" id=id data-error=move || error.get().map(|_| "") aria-live="polite">
            {move || error.get().map(|_| view! { <Icon name=IconName::Warning /> })}
            {text}
        </p>
    }
}

#[component]
pub(super) fn Label(target: String, label: String, optional: bool) -> impl IntoView {
    view! {
        <label class="field-label" for=target>
            {label}
            {optional.then(|| view! { <span class="field-optional">" (optional)"</span> })}
        </label>
    }
}

/// `name`: of the value, and the id of the input; `kind`: the input's type; `value`: what it starts with; `error`
/// replaces `help`; `unit` stands inside the field ("characters"); `optional` says so beside the label.
/// `on:input` and `attr:…` given to this component would go to the whole field: use `on_input` and `node`.
#[component]
pub fn Field(
    #[prop(into)] label: String,
    name: &'static str,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional, into)] value: MaybeProp<String>,
    #[prop(optional, into)] error: MaybeProp<String>,
    #[prop(optional, into)] help: Option<String>,
    #[prop(optional)] unit: Option<&'static str>,
    #[prop(optional)] placeholder: Option<&'static str>,
    #[prop(optional)] autocomplete: Option<&'static str>,
    #[prop(optional)] maxlength: Option<u32>,
    #[prop(optional)] optional: bool,
    #[prop(optional)] autofocus: bool,
    #[prop(optional, into)] disabled: Signal<bool>,
    #[prop(optional, into)] on_input: Option<Callback<String>>,
    #[prop(optional)] node: NodeRef<leptos::html::Input>,
) -> impl IntoView {
    let note = format!("{name}-note");
    view! {
        <div class="field">
            <Label target=name.to_owned() label optional />
            <div class="field-box">
                <input
                    class="input"
                    id=name
                    name=name
                    type=kind
                    value=move || value.get()
                    placeholder=placeholder
                    autocomplete=autocomplete
                    maxlength=maxlength.map(|n| n.to_string())
                    required=!optional
                    autofocus=autofocus
                    disabled=move || disabled.get()
                    spellcheck=(kind != "text").then_some("false")
                    autocapitalize=(kind != "text").then_some("none")
                    aria-invalid=move || error.get().map(|_| "true")
                    aria-describedby=note.clone()
                    on:input=move |ev| {
                        if let Some(callback) = on_input {
                            callback.run(event_target_value(&ev));
                        }
                    }
                    node_ref=node
                />
                {unit.map(|unit| view! { <span class="unit">{unit}</span> })}
            </div>
            <Note id=note error help />
        </div>
    }
}

/// A field of several lines, which grows with its text.
#[component]
pub fn TextArea(
    #[prop(into)] label: String,
    name: &'static str,
    #[prop(optional, into)] value: MaybeProp<String>,
    #[prop(optional, into)] error: MaybeProp<String>,
    #[prop(optional, into)] help: Option<String>,
    #[prop(optional)] maxlength: Option<u32>,
    #[prop(optional)] optional: bool,
    #[prop(optional, into)] on_input: Option<Callback<String>>,
) -> impl IntoView {
    // What it starts with is its text, in which nothing can be kept alive; a change comes as the text to reset to.
    let area = NodeRef::<leptos::html::Textarea>::new();
    Effect::new(move |_| {
        let text = value.get().unwrap_or_default();
        if let Some(area) = area.get() {
            let _ = area.set_default_value(&text);
        }
    });
    let note = format!("{name}-note");
    view! {
        <div class="field">
            <Label target=name.to_owned() label optional />
            <div class="field-box">
                <textarea
                    class="input"
                    id=name
                    name=name
                    rows="3"
                    maxlength=maxlength.map(|n| n.to_string())
                    required=!optional
                    aria-invalid=move || error.get().map(|_| "true")
                    aria-describedby=note.clone()
                    on:input=move |ev| {
                        if let Some(callback) = on_input {
                            callback.run(event_target_value(&ev));
                        }
                    }
                    node_ref=area
                >
                    {value.get_untracked()}
                </textarea>
            </div>
            <Note id=note error help />
        </div>
    }
}
