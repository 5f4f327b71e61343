//! Fields of forms: label above, help below, the error in place of the help. They work without a script: what they
//! hold travels by `name`.

use super::{Icon, IconName};
use crate::effect::effect;
use crate::view;
use leptos::prelude::*;
use std::ops::RangeInclusive;
use wasm_bindgen::{JsCast, closure::Closure};

/// Where the cursor goes when a page comes with a form that was refused.
#[cfg(feature = "ssr")]
#[derive(Clone, Copy)]
struct Cursor {
    is_taken: StoredValue<bool>,
}

/// From here on the first wrong field takes the cursor, as the page comes. With a script the form does that itself.
pub fn guide_cursor() {
    #[cfg(feature = "ssr")]
    provide_context(Cursor { is_taken: StoredValue::new(false) });
}

/// Whether that is the field with that message. Fields are made in the order in which they stand.
pub fn takes_cursor(error: MaybeProp<String>) -> bool {
    #[cfg(feature = "ssr")]
    {
        let Some(Cursor { is_taken }) = use_context() else { return false };
        let takes = error.get_untracked().is_some() && !is_taken.get_value();
        if takes {
            is_taken.set_value(true);
        }
        takes
    }
    #[cfg(not(feature = "ssr"))]
    {
        let _ = error;
        false
    }
}

/// The line below a field, which keeps its place when it has nothing to say.
#[component]
pub fn Note(
    #[prop(into)] id: String,
    error: MaybeProp<String>,
    #[prop(optional, into)] help: MaybeProp<String>,
) -> impl IntoView {
    let text = move || error.get().or_else(|| help.get());
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
/// replaces `help`; `unit` stands inside the field ("characters"); `numeric`: digits are typed; `optional` says so beside the label.
/// `on:input` and `attr:…` given to this component would go to the whole field: use `on_input` and `node`.
#[component]
pub fn Field(
    #[prop(into)] label: String,
    name: &'static str,
    #[prop(default = "text")] kind: &'static str,
    #[prop(optional, into)] value: MaybeProp<String>,
    #[prop(optional, into)] error: MaybeProp<String>,
    #[prop(optional, into)] help: MaybeProp<String>,
    #[prop(optional)] numeric: bool,
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
    let named = label.clone();
    let autofocus = takes_cursor(error) || autofocus;
    view! {
        <div class="field" data-field=named>
            <Label target=name.to_owned() label optional />
            <div class="field-box">
                <input
                    class="input"
                    id=name
                    name=name
                    type=kind
                    value=move || value.get()
                    inputmode=numeric.then_some("numeric")
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

/// A whole number with a slider beside it. The field takes what is typed, also outside of the range, so that the rule
/// can say what is wrong; the slider has no name of its own and is not sent.
#[component]
pub fn NumberField(
    #[prop(into)] label: String,
    name: &'static str,
    #[prop(into)] value: String,
    range: RangeInclusive<u32>,
    step: u32,
    #[prop(into)] unit: Signal<&'static str>,
    #[prop(optional, into)] error: MaybeProp<String>,
    #[prop(optional, into)] help: MaybeProp<String>,
) -> impl IntoView {
    let note = format!("{name}-note");
    let named = label.clone();
    let autofocus = takes_cursor(error);
    let input = NodeRef::<leptos::html::Input>::new();
    let slider = NodeRef::<leptos::html::Input>::new();
    let (least, most) = range.into_inner();
    let slider_label = format!("{label}, slider");
    // The slider follows the field, whatever fills that in: a key, a preset, a reset of the form.
    let follow = move || {
        let there = |field: NodeRef<leptos::html::Input>| field.try_get_untracked().flatten();
        // The form may outlive the field that listens to it.
        if let (Some(input), Some(slider)) = (there(input), there(slider)) {
            slider.set_value(&input.value());
        }
    };
    effect(move || {
        let Some(form) = input.get().and_then(|input| input.form()) else { return };
        for event in ["input", "reset"] {
            let heard = Closure::<dyn Fn()>::new(move || request_animation_frame(follow));
            let _ = form.add_event_listener_with_callback(event, heard.as_ref().unchecked_ref());
            // Goes with the form.
            heard.forget();
        }
    });
    view! {
        <div class="field" data-field=named>
            <Label target=name.to_owned() label optional=false />
            <div class="number">
                <div class="field-box">
                    <input
                        class="input num"
                        id=name
                        name=name
                        type="text"
                        inputmode="numeric"
                        value=value.clone()
                        required=true
                        autofocus=autofocus
                        autocomplete="off"
                        aria-invalid=move || error.get().map(|_| "true")
                        aria-describedby=note.clone()
                        node_ref=input
                    />
                    <span class="unit">{move || unit.get()}</span>
                </div>
                <input
                    class="slider"
                    type="range"
                    min=least
                    max=most
                    step=step
                    value=value
                    aria-label=slider_label
                    data-scripted=""
                    on:input=move |ev| {
                        ev.stop_propagation();
                        if let Some(input) = input.get_untracked() {
                            input.set_value(&event_target_value(&ev));
                            tell_input(&input);
                        }
                    }
                    node_ref=slider
                />
            </div>
            <Note id=note error help />
        </div>
    }
}

/// Says of a field or a form that the script filled in what a key says: that there is something new.
pub fn tell_input(input: &web_sys::EventTarget) {
    let bubbling = web_sys::EventInit::new();
    bubbling.set_bubbles(true);
    if let Ok(event) = web_sys::Event::new_with_event_init_dict("input", &bubbling) {
        let _ = input.dispatch_event(&event);
    }
}

/// A field of several lines, which grows with its text.
#[component]
pub fn TextArea(
    #[prop(into)] label: String,
    name: &'static str,
    #[prop(optional, into)] value: MaybeProp<String>,
    #[prop(optional, into)] error: MaybeProp<String>,
    #[prop(optional, into)] help: MaybeProp<String>,
    #[prop(optional)] maxlength: Option<u32>,
    #[prop(optional)] optional: bool,
    #[prop(optional, into)] on_input: Option<Callback<String>>,
) -> impl IntoView {
    // What it starts with is its text, in which nothing can be kept alive; a change comes as the text to reset to.
    let area = NodeRef::<leptos::html::Textarea>::new();
    effect(move || {
        let text = value.get().unwrap_or_default();
        if let Some(area) = area.get() {
            let _ = area.set_default_value(&text);
        }
    });
    let note = format!("{name}-note");
    let named = label.clone();
    let autofocus = takes_cursor(error);
    view! {
        <div class="field" data-field=named>
            <Label target=name.to_owned() label optional />
            <div class="field-box">
                <textarea
                    class="input"
                    id=name
                    name=name
                    rows="3"
                    maxlength=maxlength.map(|n| n.to_string())
                    required=!optional
                    autofocus=autofocus
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
