//! A button that puts a text where it can be pasted from.

use super::Button;
use crate::view;
use leptos::{html, prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{HtmlElement, HtmlTextAreaElement};

#[wasm_bindgen]
extern "C" {
    type Navigator;

    /// Not there on pages that came over plain HTTP from another machine; `web_sys` takes it for granted.
    #[wasm_bindgen(method, getter)]
    fn clipboard(this: &Navigator) -> Option<web_sys::Clipboard>;

    type Copying;

    #[wasm_bindgen(method, catch, js_name = execCommand)]
    fn exec_command(this: &Copying, command: &str) -> Result<bool, wasm_bindgen::JsValue>;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    Copied,
    Failed,
}

/// `text` is asked for when it is copied. Where the browser refuses, the text is shown, so that it can be copied by hand.
#[component]
pub fn CopyButton(words: &'static str, #[prop(into)] text: Signal<String>) -> impl IntoView {
    let state = RwSignal::new(State::Waits);
    let place = NodeRef::<html::Span>::new();
    let copy = move |_| {
        let text = text.get_untracked();
        let clipboard = window().navigator().unchecked_ref::<Navigator>().clipboard();
        let by_browser = clipboard.map(|clipboard| clipboard.write_text(&text));
        spawn_local(async move {
            let is_copied = match by_browser {
                Some(done) => JsFuture::from(done).await.is_ok(),
                None => false,
            };
            let is_copied =
                is_copied || place.try_get_untracked().flatten().is_some_and(|at| by_hand(&at, &text));
            state.try_set(if is_copied { State::Copied } else { State::Failed });
        });
    };
    view! {
        <span class="copy" node_ref=place>
            <Button on:click=copy attr:data-scripted="">
                {words}
            </Button>
            <span class="meta" role="status">
                {move || match state.get() {
                    State::Waits => "",
                    State::Copied => "Copied",
                    State::Failed => "The browser does not let it be copied. Select it here:",
                }}
            </span>
            {move || (state.get() == State::Failed).then(|| view! { <pre class="copy-text mono">{text.get()}</pre> })}
        </span>
    }
}

/// The old way, which needs no secure page: a text is selected and copied as a person would. The field stands in `place`
/// and not at the end of the page, which cannot be focused while a dialog is open.
fn by_hand(place: &HtmlElement, text: &str) -> bool {
    let focused = document().active_element().and_then(|e| e.dyn_into::<HtmlElement>().ok());
    let Some(field) =
        document().create_element("textarea").ok().and_then(|e| e.dyn_into::<HtmlTextAreaElement>().ok())
    else {
        return false;
    };
    field.set_value(text);
    field.set_class_name("sr-only");
    if place.append_child(&field).is_err() {
        return false;
    }
    field.select();
    let is_copied = document().unchecked_ref::<Copying>().exec_command("copy").unwrap_or_default();
    field.remove();
    if let Some(focused) = focused {
        let _ = focused.focus();
    }
    is_copied
}
