//! The line in which a page tells that something worked.

use super::{Icon, IconName};
use leptos::prelude::*;

/// Stays in its place when there is nothing to tell, so that a screen reader hears of what comes.
#[component]
pub fn Said(#[prop(into)] text: Signal<Option<String>>) -> impl IntoView {
    view! {
        <p class="form-said" role="status">
            {move || text.get().map(|text| view! { <Icon name=IconName::CheckCircle /> {text} })}
        </p>
    }
}
