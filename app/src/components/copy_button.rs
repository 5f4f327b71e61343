//! A button that puts a text where it can be pasted from.

use super::Button;
use crate::view;
use leptos::{prelude::*, task::spawn_local};
use wasm_bindgen_futures::JsFuture;

#[component]
pub fn CopyButton(words: &'static str, #[prop(into)] text: String) -> impl IntoView {
    let copied = RwSignal::new(false);
    let copy = move |_| {
        let done = window().navigator().clipboard().write_text(&text);
        spawn_local(async move {
            copied.try_set(JsFuture::from(done).await.is_ok());
        });
    };
    view! {
        <Button on:click=copy attr:data-scripted="">
            {move || if copied.get() { "Copied" } else { words }}
        </Button>
    }
}
